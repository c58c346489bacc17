"""Checks of a data set before anything is measured with it."""
