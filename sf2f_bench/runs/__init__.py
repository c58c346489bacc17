"""A run: from names to trained systems, faces, scores and saved records."""
