"""Data sets, the prepared store and the batches made from it."""
