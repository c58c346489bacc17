"""my-anchor keeps the contract of an anchor; takes seconds."""

from my_anchor import MyAnchor

from sf2f_bench.testing import check_anchor


def test_it_keeps_the_contract():
    """Everything that `sf2f-bench run` relies on."""
    check_anchor(MyAnchor)
