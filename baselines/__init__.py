"""Baseline systems and anchors that every table compares with."""
