"""Frozen networks of faces: the judges of the benchmark and the network of the training loss."""
