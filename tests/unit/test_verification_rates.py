"""True accept rates, DET and CMC curves: against counts by hand, exact anchors, and what records keep."""

from __future__ import annotations

import numpy as np
import pytest

from sf2f_bench.metrics import verification
from sf2f_bench.metrics.retrieval import identified_by_rank, ranks, recall_at_k
from sf2f_bench.metrics.verification import (
    TrueAcceptRates,
    VerificationTrueAcceptRate,
    equal_error_rate,
    error_curve,
    true_accept_rate,
)
from sf2f_bench.types import Features


def pair(n: int, d: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    true = random.standard_normal((n, d))
    return true + random.standard_normal((n, d)), true


def cosines(probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    left, right = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (probes, gallery))
    return left @ right.T


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.5])
def test_it_is_the_share_accepted_at_the_threshold_of_the_false_pairs(share):
    probes, gallery = pair(101)  # 10,100 false pairs: every share is a whole number of them
    values = cosines(probes, gallery)
    false = np.sort(values[~np.eye(101, dtype=bool)])[::-1]
    kept = round(share * len(false))
    expected = np.mean(np.diag(values) > false[kept])  # the highest rate with so many false accepts
    assert true_accept_rate(probes, gallery, share) == pytest.approx(expected, abs=1e-12)


def test_guessing_and_knowing_the_gender_are_exact():
    alike, n = np.ones((40, 1)), 40
    gender = np.eye(2)[np.arange(n) % 2]
    assert true_accept_rate(alike, alike, 0.1) == pytest.approx(0.1)
    of_one_gender = (n / 2 - 1) / (n - 1)
    assert true_accept_rate(gender, gender, 0.1) == pytest.approx(0.1 / of_one_gender)
    assert true_accept_rate(np.eye(n), np.eye(n), 0.01) == 1


def test_half_samples_are_those_of_the_embeddings_themselves(monkeypatch):
    probes, gallery = pair(80)
    rows = np.random.default_rng(1).permutation(80)[:40]
    for windowed in (False, True):
        monkeypatch.setattr(verification._RatesOfSubsets, "ALL_PAIRS", 10 if windowed else 1000)
        rates = TrueAcceptRates(probes, gallery, 0.1)
        assert rates(rows) == pytest.approx(true_accept_rate(probes[rows], gallery[rows], 0.1), abs=1e-12)


def test_the_score_has_an_interval_and_replicates():
    probes, gallery = pair(60)
    names = tuple(map(str, range(60)))
    metric = VerificationTrueAcceptRate(0.01)
    score = metric(Features(names, gallery), Features(names, probes), np.random.default_rng(0))
    assert metric.name == "verification-tar/far.01"
    assert VerificationTrueAcceptRate(0.1).name == "verification-tar/far.10"
    assert score.replicates is not None
    assert score.interval is not None
    assert score.interval[0] < score.value < score.interval[1]


def test_the_curves_pass_through_what_the_metrics_say():
    probes, gallery = pair(70)
    accepts, rejects = error_curve(probes, gallery)
    assert (np.diff(rejects) <= 1e-12).all()
    at = np.abs(accepts - 0.1).argmin()
    assert 1 - rejects[at] == pytest.approx(true_accept_rate(probes, gallery, accepts[at]))
    error = equal_error_rate(probes, gallery)
    assert np.interp(error, accepts, rejects) == pytest.approx(error, abs=0.03)
    places, found = identified_by_rank(*ranks(probes, gallery))
    assert places[0] == 1
    assert places[-1] == 70
    assert found[-1] == 1
    expected = recall_at_k(probes, gallery, places[:9])
    assert found[:9].tolist() == pytest.approx(list(expected.values()))


def test_chance_finds_people_evenly():
    places, found = identified_by_rank(np.zeros(50, np.int64), np.full(50, 49))
    assert found == pytest.approx(places / 50)
