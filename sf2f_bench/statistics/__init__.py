"""Intervals and paired tests, on arrays."""
