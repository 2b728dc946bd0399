"""What ran beside a measurement, as its table says it: the variable BENCH_BESIDE, else nothing did."""

import os

BESIDE = os.environ.get("BENCH_BESIDE") or "on a machine that did nothing else"
