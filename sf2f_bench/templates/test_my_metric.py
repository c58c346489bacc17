"""my-metric keeps the contract of a metric; add a test against an independent implementation."""

import pytest
from my_metric import my_metrics

from sf2f_bench.testing import check_metric


@pytest.mark.parametrize("metric", my_metrics(10, (1, 5), 60), ids=lambda metric: metric.name)
def test_it_keeps_the_contract(metric):
    """Everything that a table relies on."""
    check_metric(metric)
