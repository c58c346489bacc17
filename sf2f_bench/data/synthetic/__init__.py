"""The embedded data set `synthetic/1`: a small world whose law of voice and face is known."""
