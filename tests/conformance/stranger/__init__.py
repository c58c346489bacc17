"""What a stranger brings, one file each; `tests/conformance/test_stranger.py` installs a copy as a package."""
