"""Protocol `sf2f-paper/1`: evaluation as SF2F's code and supplement do it."""
