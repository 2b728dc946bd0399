"""Mini MMBench (Chinese, v1.0): questions and options in Chinese."""

from tasks.mini.mmbench import rows_of

rows = rows_of("mmbench_cn", chinese=True)
