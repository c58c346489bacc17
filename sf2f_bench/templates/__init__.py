"""What `sf2f-bench new` copies: a working model, anchor, metric, data set and extractor, each with a test.

They import public names alone. The placeholders my-model, my_model and MyModel (and so on) are replaced by the name
that the user gives.
"""
