"""Faces made elsewhere in, voices out."""
