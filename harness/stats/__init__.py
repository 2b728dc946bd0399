"""Intervals, paired tests, multiplicity and power over units and clusters."""
