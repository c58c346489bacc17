"""Precision, recall, density and coverage: properties, known cases, intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf2f_bench.metrics import manifold
from sf2f_bench.metrics.manifold import ManifoldShare, Neighbourhoods, neighbourhoods
from sf2f_bench.types import BenchError, Features

quick = settings(max_examples=30, deadline=None)
SIDES = ("precision", "recall", "density", "coverage", "capped-precision")


def shares(found: Neighbourhoods) -> np.ndarray:
    return np.array([of(found, side)[0].mean() for side in SIDES])


def of(found: Neighbourhoods, side: str) -> np.ndarray:
    return getattr(found, side.replace("-", "_"))


def samples(rows: np.ndarray) -> Features:
    return Features(tuple(map(str, range(len(rows)))), rows, rows)


def scores(true: np.ndarray, drawn: np.ndarray) -> dict[str, object]:
    real, fake = samples(true), samples(drawn)
    return {side: ManifoldShare(side)(real, fake, np.random.default_rng(0)) for side in SIDES}


def test_on_paper_along_a_line():
    # Nearest neighbours (k = 1) of 0, 1, 3 reach 1, 1, 2; of the drawn 0.5, 2.5, 9 reach 2, 2, 6.5.
    found = neighbourhoods(np.array([[0.0], [1], [3]]), np.array([[0.5], [2.5], [9]]), 1)
    np.testing.assert_array_equal(found.precision, [[1, 1, 0]])
    np.testing.assert_array_equal(found.density, [[2, 1, 0]])
    np.testing.assert_array_equal(found.coverage, [[1, 1, 1]])
    np.testing.assert_array_equal(found.recall, [[1, 1, 1]])
    np.testing.assert_array_equal(
        neighbourhoods(np.array([[0.0], [1], [3]]), np.array([[9.0], [9.5], [10]]), 1).recall, [[0, 0, 0]]
    )


def test_the_same_faces_lie_in_their_own_region():
    rows = np.random.default_rng(0).standard_normal((60, 7))
    found = neighbourhoods(rows, rows, 5)
    for side in ("precision", "recall", "coverage"):
        assert getattr(found, side).all()
    assert found.density.mean() == pytest.approx(6 / 5)  # five neighbours and the face itself


def test_one_face_for_all_is_no_region_and_a_typical_one_is_precise():
    true = np.random.default_rng(1).standard_normal((80, 4))
    found = neighbourhoods(true, np.full((80, 4), 0.01), 5)
    assert found.precision.all()
    assert not found.recall.any()
    assert 0 < found.coverage.mean() < 0.9
    far = neighbourhoods(true, np.full((80, 4), 99.0), 5)
    assert not shares(far).any()


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_copies_tie_at_their_radius_whatever_the_rounding(offset):
    # Whole numbers: many distances are equal to a radius, and shifted rows make rounding matter.
    rows = np.random.default_rng(2).integers(0, 3, (50, 4)).astype(float)
    expected = neighbourhoods(rows, rows[::-1], 5)
    got = neighbourhoods(rows + offset, rows[::-1] + offset, 5)
    for side in SIDES:
        np.testing.assert_array_equal(of(got, side), of(expected, side))


@quick
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(12, 30),
    d=st.integers(1, 8),
    scale=st.sampled_from([1e-6, 3.0, 1e6]),
)
def test_order_and_scale_do_not_matter_and_the_rules_agree(seed, n, d, scale):
    random = np.random.default_rng(seed)
    true, drawn = random.standard_normal((2, n, d))
    found, order = neighbourhoods(true, drawn, 3), random.permutation(n)
    np.testing.assert_allclose(
        shares(neighbourhoods(scale * true[order], scale * drawn[order], 3)), shares(found)
    )
    np.testing.assert_allclose(shares(neighbourhoods(true, drawn[order], 3)), shares(found))
    swapped = neighbourhoods(drawn, true, 3)
    np.testing.assert_array_equal(found.precision, swapped.recall)
    np.testing.assert_array_equal(found.density > 0, found.precision > 0)
    assert found.density.max() <= n / 3


def test_sets_are_as_if_the_others_were_not_there(monkeypatch):
    for name, size in (("BLOCK", 13), ("WHOLE_ROWS", 7), ("HEAD", 6)):  # blocks cut through, heads fall short
        monkeypatch.setattr(manifold, name, size)
    random = np.random.default_rng(4)
    true, drawn = random.standard_normal((2, 50, 5))
    members = random.random((6, 50)) < np.array([1.1, 0.9, 0.6, 0.5, 0.4, 0.3])[:, None]
    found = neighbourhoods(true, drawn, 4, members)
    for s, kept in enumerate(members):
        alone = neighbourhoods(true[kept], drawn[kept], 4)
        for side in SIDES:
            np.testing.assert_array_equal(of(found, side)[s, kept], of(alone, side)[0])
            assert not of(found, side)[s, ~kept].any()


def test_coverage_and_density_of_equal_laws():
    random = np.random.default_rng(5)
    found = np.mean([shares(neighbourhoods(*random.standard_normal((2, 150, 6)))) for _ in range(30)], axis=0)
    assert found[2] == pytest.approx(1, abs=0.05)
    assert found[3] == pytest.approx(1 - 2**-5, abs=0.015)


def test_they_have_no_interval_and_nothing_for_paired_tests():
    for score in scores(*np.random.default_rng(6).standard_normal((2, 60, 8))).values():
        assert (score.interval, score.per_identity, score.replicates) == (None, None, None)


def test_a_few_photos_far_from_all_others_decide_precision_but_not_the_capped_one():
    random = np.random.default_rng(7)
    true, drawn = random.standard_normal((300, 16)), 1.6 * random.standard_normal((300, 16))
    far = true.copy()
    far[:5] *= 30
    before, after = scores(true, drawn), scores(far, drawn)
    assert before["precision"].value < 0.25
    assert after["precision"].value > 0.5
    assert after["capped-precision"].value == pytest.approx(before["capped-precision"].value, abs=0.03)
    assert before["capped-precision"].value < before["precision"].value


@pytest.mark.parametrize("where", [1e4, 3e4, 1e5, 1e8])
@pytest.mark.parametrize("side", ["true", "drawn"])
def test_one_outlier_changes_only_what_it_touches(side, where):
    random = np.random.default_rng(8)
    true, drawn = random.standard_normal((2, 300, 16))
    rows = {"true": true, "drawn": drawn}
    rows[side][0] = where
    found = neighbourhoods(true, drawn, 5)
    squared = np.square(true[:, None] - drawn).sum(axis=2)  # distances one by one, without cancellation
    own = np.square(true[:, None] - true).sum(axis=2)
    radii = np.sort(own, axis=1)[:, 5]
    np.testing.assert_allclose(found.density[0], (squared <= radii[:, None]).sum(axis=0) / 5)
    np.testing.assert_array_equal(found.coverage[0], (squared <= radii[:, None]).any(axis=1))


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e200])
def test_neither_huge_nor_tiny_features_matter(factor):
    true, drawn = np.random.default_rng(9).standard_normal((2, 60, 6))
    np.testing.assert_allclose(
        shares(neighbourhoods(factor * true, factor * drawn)), shares(neighbourhoods(true, drawn))
    )


@pytest.mark.parametrize("side", SIDES)
def test_the_fewest_identities(side):
    metric = ManifoldShare(side)
    assert metric.name == {"recall": "manifold-recall/k5"}.get(side, f"{side}/k5")
    rows = np.random.default_rng(8).standard_normal((2, 20, 3))
    score = metric(samples(rows[0]), samples(rows[1]), np.random.default_rng(0))
    assert score.n == metric.min_n == 20
    assert score.value == of(neighbourhoods(*rows), side)[0].mean()
    with pytest.raises(BenchError, match="at least 20 identities, got 19"):
        metric(samples(rows[0, 1:]), samples(rows[1, 1:]), np.random.default_rng(0))


def test_five_metrics_look_at_the_pair_once(monkeypatch):
    calls = []
    original = manifold.neighbourhoods
    monkeypatch.setattr(manifold, "neighbourhoods", lambda *given: calls.append(1) or original(*given))
    scores(*np.random.default_rng(9).standard_normal((2, 24, 3)))
    assert calls == [1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: neighbourhoods(a, a[:-1]), "differ in shape"),
        (lambda a: neighbourhoods(a[:5], a[:5]), "need sets of 6 of the 5 identities or more, got 5"),
        (lambda a: neighbourhoods(a, a, 0), "0 nearest neighbours"),
        (lambda a: neighbourhoods(a, a, 5, np.arange(9)[None] < 4), "got 4"),
        (lambda a: neighbourhoods(a, a, 5, np.ones((1, 8), bool)), "nearest neighbours need sets"),
        (lambda a: neighbourhoods(a, np.where(a > 8, np.nan, a)), "NaN"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(BenchError, match=message):
        call(np.arange(18.0).reshape(9, 2))
