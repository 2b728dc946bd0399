"""Mini MMBench (Chinese, v1.1): questions and options in Chinese, other pictures than the v1.0 edition."""

from tasks.mini.mmbench import rows_of

rows = rows_of("mmbench_cn_v11", chinese=True)
