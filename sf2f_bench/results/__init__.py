"""Saved records: reading, checking, grouping and comparing them. Nothing here imports torch."""
