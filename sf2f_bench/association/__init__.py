"""The association lists of the literature: a drawn face stands for a voice, and is scored per list."""
