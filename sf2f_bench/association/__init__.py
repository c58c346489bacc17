"""The association lists of the literature, scored with a face generated from each voice."""
