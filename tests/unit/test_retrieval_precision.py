"""Ranks counted in single precision first are those of double precision, however close the rivals lie."""

from __future__ import annotations

import numpy as np
import pytest

from sf2f_bench.metrics import retrieval
from sf2f_bench.metrics.retrieval import TIE_TOLERANCE, prepared, ranks


def in_double_precision(probes: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, right = prepared(probes, gallery, "cosine")
    cosines = left @ right.T
    ahead = cosines - np.diag(cosines)[:, None]
    np.fill_diagonal(ahead, -np.inf)
    better = (ahead > TIE_TOLERANCE).sum(axis=1)
    return better, (ahead >= -TIE_TOLERANCE).sum(axis=1) - better


def rivals(apart: float, n: int = 300, d: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Galleries of three nearly equal rows each, so that an answer has two rivals `apart` from it."""
    random = np.random.default_rng(5)
    gallery = random.standard_normal((n // 3, d)).repeat(3, axis=0)
    gallery += apart * random.standard_normal(gallery.shape)
    return gallery + 0.5 * random.standard_normal(gallery.shape), gallery


@pytest.mark.parametrize(
    "most", [1, 1 / 512]
)  # every unsure pair by itself; whole blocks where there are many
@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-7, 1e-5, 1.0])
def test_close_rivals_are_ordered_as_in_double_precision(monkeypatch, apart, most):
    monkeypatch.setattr(retrieval, "UNSURE_AT_MOST", most)
    pair = rivals(apart)
    better, ties = ranks(*pair)
    wanted_better, wanted_ties = in_double_precision(*pair)
    np.testing.assert_array_equal(better, wanted_better)
    np.testing.assert_array_equal(ties, wanted_ties)
    assert apart or ties.sum() == 600


def test_single_precision_alone_would_not_do():
    """The test above can fail: rounded to single precision, the rivals 1e-7 apart change places."""
    left, right = (rows.astype(np.float32) for rows in prepared(*rivals(1e-7), "cosine"))
    rough = left @ right.T
    rough_better = (rough > np.diag(rough)[:, None]).sum(axis=1)
    assert (rough_better != in_double_precision(*rivals(1e-7))[0]).any()
