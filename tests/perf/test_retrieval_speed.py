"""Recall queries up to sizes where the official code runs out of memory; run with ``--benchmark-only``."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest

from sf2f_bench.metrics.retrieval import recall_at_k

ROUNDS = {370: 50, 1500: 20, 5000: 5, 100_000: 1}
LONG = "SF2F_BENCH_LONG"  # set to measure what takes minutes


@pytest.mark.parametrize("n", ROUNDS)
def test_recall(measure, n):
    if n > 5000 and not os.environ.get(LONG):
        pytest.skip(f"takes minutes: set {LONG}=1")
    probes, gallery = np.random.default_rng(0).standard_normal((2, n, 512), np.float32)
    query = lambda: recall_at_k(probes, gallery, [1, 5, 10])  # noqa: E731
    facts = {"memory": memory(query)} if n <= 5000 else {}
    measure(f"recall-{n}", query, rounds=ROUNDS[n], **facts)


def memory(query):
    """GB that a query takes on top of its inputs: the peak of what Python and NumPy allocate."""
    tracemalloc.start()
    try:
        query()
        return tracemalloc.get_traced_memory()[1] / 1e9
    finally:
        tracemalloc.stop()
