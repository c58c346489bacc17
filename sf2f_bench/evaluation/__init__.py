"""The test people of a benchmark: what is heard of them, and who judges their attributes."""
