"""Mini MMBench (English, v1.1): other pictures than the v1.0 edition, the same twenty categories."""

from tasks.mini.mmbench import rows_of

rows = rows_of("mmbench_en_v11")
