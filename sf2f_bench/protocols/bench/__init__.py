"""Protocol `sf2f-bench/1`."""
