"""Benchmarks: one file each, registered as plug-ins of the harness."""
