"""Mini MMBench (English, v1.0): circular groups over the twenty categories and six abilities."""

from tasks.mini.mmbench import rows_of

rows = rows_of("mmbench_en")
