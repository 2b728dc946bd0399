"""Benchmarks: one file each, registered as plug-ins of the harness."""

from pathlib import Path

#: The suites and composites of these benchmarks.
SUITES = Path(__file__).with_name("suites.yaml")
