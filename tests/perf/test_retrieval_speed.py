"""Retrieval at the size where the official code runs out of memory; run with ``--benchmark-only``."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sf2f_bench.metrics.retrieval import recall_at_k

MEMORY = """
import resource
import numpy as np
from sf2f_bench.metrics.retrieval import recall_at_k
rows = np.random.default_rng(0).standard_normal((2, 5000, 512), np.float32)
recall_at_k(rows[0], rows[1], [1, 10])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def embeddings(n: int) -> tuple[np.ndarray, np.ndarray]:
    probes, gallery = np.random.default_rng(0).standard_normal((2, n, 512), np.float32)
    return probes, gallery


@pytest.mark.parametrize(("n", "similarity", "limit"), [(5000, "cosine", 2.0), (1500, "l1", 4.0)])
def test_recall_is_fast(benchmark, n, similarity, limit):
    """Limits in seconds on two cores; L1 has no matrix product and takes some ten times as long."""
    probes, gallery = embeddings(n)
    recall = benchmark.pedantic(recall_at_k, (probes, gallery, [1, 10, 50], similarity), rounds=3)
    assert set(recall) == {1, 10, 50}
    assert benchmark.stats.stats.min < limit


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_recall_fits_in_500_mb(benchmark):
    """Peak memory of a whole process, imports and inputs included."""
    command = [sys.executable, "-c", MEMORY]
    out = benchmark.pedantic(subprocess.check_output, (command,), {"text": True}, rounds=1)
    assert float(out) < 500
