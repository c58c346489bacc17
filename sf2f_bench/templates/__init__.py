"""What `sf2f-bench new` copies: a working model, metric and data set, each with a test, and a model card.

They import public names alone. The placeholders my-model, my_model and MyModel (and so on) are replaced by the name
that the user gives.
"""
