"""my-model keeps the contract of a model; takes seconds."""

from my_model import MyModel

from sf2f_bench.testing import check_model


def test_it_keeps_the_contract():
    """Everything that `sf2f-bench run` relies on."""
    check_model(MyModel)
