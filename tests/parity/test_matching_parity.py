"""Matching, average precision and the equal error rate against scikit-learn, and by trying every order."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from sklearn.metrics.pairwise import cosine_similarity as all_cosines

from sf2f_bench.metrics.matching import Matching
from sf2f_bench.metrics.precision import MeanAveragePrecision, average_precisions
from sf2f_bench.metrics.verification import TrialRates, VerificationEqualErrorRate
from sf2f_bench.statistics.intervals import half_samples
from sf2f_bench.types import Features

N, D = 40, 8


@pytest.fixture(params=["no ties", "ties"])
def pair(request) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    if request.param == "ties":
        return random.integers(-1, 2, (N, 3)).astype(float), random.integers(-1, 2, (N, 3)).astype(float)
    gallery = random.standard_normal((N, D))
    return gallery + random.standard_normal((N, D)), gallery


def side(rows: np.ndarray, **changes) -> Features:
    return Features(tuple(map(str, range(len(rows)))), rows, **changes)


def rounded(probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    return all_cosines(probes, gallery).round(10)  # scikit-learn takes the last bit for a difference


def test_one_of_two_is_each_probes_area_under_the_curve(pair):
    score = Matching(2)(side(pair[1]), side(pair[0]), np.random.default_rng(0))
    expected = [roc_auc_score(np.arange(N) == i, row) for i, row in enumerate(rounded(*pair))]
    np.testing.assert_allclose(score.own, expected, rtol=1e-12)


@pytest.mark.parametrize("candidates", [2, 5, 10])
def test_one_of_many_is_what_drawn_galleries_come_to(candidates, pair):
    random = np.random.default_rng(candidates)
    cosines = rounded(*pair)
    hits = []
    for probe in random.integers(0, N, 10_000):
        others = random.choice(np.delete(np.arange(N), probe), candidates - 1, replace=False)
        rivals = cosines[probe, others]
        tied = np.sum(rivals == cosines[probe, probe])
        hits.append(np.all(rivals <= cosines[probe, probe]) / (tied + 1))
    got = Matching(candidates)(side(pair[1]), side(pair[0]), random).value
    assert got == pytest.approx(np.mean(hits), abs=4 * np.std(hits) / np.sqrt(len(hits)))


def test_average_precision_without_ties_is_scikit_learns():
    random = np.random.default_rng(1)
    photos = random.standard_normal((3 * N, D))
    owners = random.integers(0, N, 3 * N)
    probes = random.standard_normal((N, D))
    score = MeanAveragePrecision()(side(probes, photos=photos, owners=owners), side(probes), random)
    cosines = all_cosines(probes, photos)
    expected = [
        average_precision_score(owners == i, cosines[i]) if (owners == i).any() else np.nan for i in range(N)
    ]
    np.testing.assert_allclose(score.per_identity, expected, rtol=1e-9)
    assert score.value == pytest.approx(np.nanmean(expected))


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_with_ties_is_the_mean_over_all_orders(seed):
    random = np.random.default_rng(seed)
    items = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])[random.integers(0, 3, 7)]
    labels = (random.random(7) < 0.4).astype(int)
    labels[seed % 7] = 1
    probe = np.array([[2.0, 1.0]])
    cosines = rounded(probe, items)[0]
    found = []
    for order in permutations(range(7)):
        shuffled = np.array(order)
        ranked = labels[shuffled[np.argsort(-cosines[shuffled], kind="stable")]]
        found.append(np.mean((np.cumsum(ranked) / np.arange(1, 8))[ranked == 1]))
    (got,) = average_precisions(probe, [1], items, labels)
    assert got == pytest.approx(np.mean(found), rel=1e-12)


def crossing(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    false_accepts, true_accepts, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    return float(np.interp(1.0, false_accepts + true_accepts, false_accepts))


def test_the_equal_error_rate_and_its_replicates_are_where_scikit_learns_curve_crosses(pair):
    score = VerificationEqualErrorRate()(side(pair[1]), side(pair[0]), np.random.default_rng(0))
    cosines = rounded(*pair)
    assert score.value == pytest.approx(crossing(np.eye(N).ravel(), cosines.ravel()), rel=1e-9)
    for rows, replicate in zip(half_samples(N)[:10], score.replicates, strict=False):
        part = cosines[np.ix_(rows, rows)]
        assert replicate == pytest.approx(crossing(np.eye(len(rows)).ravel(), part.ravel()), rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_rates_of_trials_are_scikit_learns(ties, weighted):
    random = np.random.default_rng(2)
    same = random.random(500) < 0.3
    values = random.standard_normal(500) + same
    if ties:
        values = values.round()
    weights = random.integers(0, 5, 500).astype(float) if weighted else None
    rates = TrialRates(values, same)
    assert rates.auc(weights) == pytest.approx(roc_auc_score(same, values, sample_weight=weights), rel=1e-12)
    assert rates.equal_error_rate(weights) == pytest.approx(crossing(same, values, weights), rel=1e-9)
