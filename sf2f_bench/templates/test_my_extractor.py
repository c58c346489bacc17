"""my-extractor keeps the contract of an extractor; takes seconds."""

from my_extractor import MyExtractor

from sf2f_bench.testing import check_extractor


def test_it_keeps_the_contract():
    """Everything that scoring relies on."""
    check_extractor(MyExtractor())
