"""Extraction and scoring rules that several benchmarks share, one file per rule family."""
