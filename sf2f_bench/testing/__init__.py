"""Checks for your own tests: whether a model, an anchor, a metric, a data set or an extractor keeps its contract.

Like scikit-learn's `check_estimator`, each runs a list of named checks on tiny real inputs and raises BenchError
at the first that fails, with what was expected, what came and what to do. They take seconds and need no network.

    from sf2f_bench.testing import check_model
    def test_mine():
        check_model(Mine)
"""

from sf2f_bench.testing.anchors import check_anchor
from sf2f_bench.testing.datasets import check_dataset
from sf2f_bench.testing.extractors import check_extractor
from sf2f_bench.testing.metrics import check_metric
from sf2f_bench.testing.models import check_model
from sf2f_bench.testing.world import one_waveform

__all__ = ["check_anchor", "check_dataset", "check_extractor", "check_metric", "check_model", "one_waveform"]
