"""Retrieval: what must hold for any embeddings, and the cases whose answer is known on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from sf2f_bench.metrics import retrieval
from sf2f_bench.metrics.retrieval import (
    Heard,
    HeardCosine,
    MeanReciprocalRank,
    MedianRank,
    Recall,
    expected_ranks,
    expected_recall,
    inter_identity_leave_one_out,
    inter_identity_similarity,
    ranks,
    recall_at_k,
    reciprocal_ranks,
)
from sf2f_bench.statistics.paired import Measured, compare_scores
from sf2f_bench.types import BenchError, Features

SIMILARITIES = ("cosine", "l1")
quick = settings(max_examples=40, deadline=None)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probes and gallery [N, D] of small whole numbers: zero rows, duplicates and ties are common."""
    shape = draw(st.tuples(st.integers(2, 12), st.integers(1, 4)))
    entries = st.integers(-2, 2).map(float)
    return draw(arrays(np.float64, shape, elements=entries)), draw(
        arrays(np.float64, shape, elements=entries)
    )


def noisy_pair(n: int = 40, d: int = 16, noise: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    gallery = rng.standard_normal((n, d))
    return gallery + noise * rng.standard_normal((n, d)), gallery


@pytest.mark.parametrize("similarity", SIMILARITIES)
@quick
@given(pair=pairs())
def test_recall_is_a_growing_fraction_that_ends_at_one(similarity, pair):
    n = len(pair[0])
    recall = recall_at_k(*pair, range(1, n + 1), similarity)
    values = [0.0, *recall.values()]
    assert (np.diff(values) >= -1e-12).all()
    assert values[-1] == 1.0


@pytest.mark.parametrize("similarity", SIMILARITIES)
@quick
@given(pair=pairs(), seed=st.integers(0, 1000))
def test_the_order_of_the_identities_does_not_matter(similarity, pair, seed):
    order = np.random.default_rng(seed).permutation(len(pair[0]))
    better, ties = ranks(*pair, similarity)
    moved_better, moved_ties = ranks(pair[0][order], pair[1][order], similarity)
    np.testing.assert_array_equal(moved_better, better[order])
    np.testing.assert_array_equal(moved_ties, ties[order])


@quick
@given(pair=pairs(), seed=st.integers(0, 1000))
def test_the_cosine_ignores_the_length_of_every_single_row(pair, seed):
    lengths = np.random.default_rng(seed).uniform(1e-3, 1e3, (2, len(pair[0]), 1))
    for expected, got in zip(ranks(*pair), ranks(pair[0] * lengths[0], pair[1] * lengths[1]), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("factor", [1e-160, 1e-3, 7.0, 1e160])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_common_scale_changes_nothing(similarity, factor):
    probes, gallery = noisy_pair()
    expected = ranks(probes, gallery, similarity)
    np.testing.assert_array_equal(ranks(probes * factor, gallery * factor, similarity), expected)


@quick
@given(k=st.integers(1, 11), size=st.integers(11, 30), constant=st.sampled_from([0.0, 1.0, -3.5]))
def test_a_constant_drawing_is_at_chance_exactly(k, size, constant):
    gallery = np.random.default_rng(size).standard_normal((30, 5))
    probes = np.full((30, 5), constant)
    for similarity in SIMILARITIES:
        better, ties = ranks(probes, gallery, similarity)
        assert expected_recall(better, ties, 30, size, k).mean() == pytest.approx(k / size, abs=1e-12)
        assert recall_at_k(probes, gallery, [k], similarity)[k] == pytest.approx(k / 30, abs=1e-12)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_all_equal_rows_are_at_chance_for_every_identity(similarity):
    better, ties = ranks(np.ones((20, 3)), np.ones((20, 3)), similarity)
    assert (better == 0).all()
    assert (ties == 19).all()
    np.testing.assert_allclose(expected_recall(better, ties, 20, 10, 4), 0.4, rtol=1e-12)
    np.testing.assert_allclose(expected_ranks(better, ties), 10.5)
    np.testing.assert_allclose(reciprocal_ranks(better, ties), np.mean(1 / np.arange(1, 21)))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_knowing_the_gender_alone_gives_the_closed_form(similarity):
    n, women, size, k = 60, 24, 20, 5
    gender = np.eye(2)[(np.arange(n) >= women).astype(int)]
    better, ties = ranks(gender, gender, similarity)
    assert (better == 0).all()
    np.testing.assert_array_equal(ties, np.where(np.arange(n) < women, women, n - women) - 1)
    got = expected_recall(better, ties, n, size, k)
    for rows, group in ((slice(0, women), women), (slice(women, n), n - women)):
        # Others of one's own gender in the gallery: X; the answer is among the first k of X + 1 by luck.
        others = np.arange(size)
        chance_of = stats.hypergeom.pmf(others, n - 1, group - 1, size - 1)
        np.testing.assert_allclose(got[rows], (chance_of * np.minimum(1, k / (others + 1))).sum(), rtol=1e-10)
    full = (women * min(1, k / women) + (n - women) * min(1, k / (n - women))) / n
    assert recall_at_k(gender, gender, [k], similarity)[k] == pytest.approx(full, rel=1e-12)


def test_two_equal_genders_double_chance():
    gender = np.eye(2)[np.arange(100) % 2]
    recall = recall_at_k(gender, gender, [1, 2, 5, 10])
    assert recall == pytest.approx({1: 0.02, 2: 0.04, 5: 0.1, 10: 0.2}, rel=1e-12)


def test_a_duplicate_in_the_gallery_costs_half_the_first_place():
    gallery = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    for similarity in SIMILARITIES:
        better, ties = ranks(gallery, gallery, similarity)
        np.testing.assert_array_equal(ties, [1, 1, 0])
        np.testing.assert_array_equal(better, 0)
        assert recall_at_k(gallery, gallery, [1], similarity)[1] == pytest.approx(2 / 3)


def test_a_zero_vector_has_cosine_zero_with_all():
    gallery = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    probes = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    better, ties = ranks(probes, gallery)
    np.testing.assert_array_equal(better, [0, 0, 2])
    np.testing.assert_array_equal(ties, [2, 0, 0])


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_the_blocks_do_not_show(monkeypatch, similarity):
    probes, gallery = noisy_pair()
    gallery[7] = gallery[31] = gallery[0]  # ties that lie in different blocks
    expected = ranks(probes, gallery, similarity)
    assert expected[1].sum() == 6
    monkeypatch.setattr(retrieval, "PROBE_BLOCK", 7)
    monkeypatch.setattr(retrieval, "GALLERY_BLOCK", 8)
    np.testing.assert_array_equal(ranks(probes, gallery, similarity), expected)


@pytest.mark.parametrize("size", [2, 5, 9])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_expected_recall_is_scipys_hypergeometric_over_the_tie_order(size, k):
    n = 9
    k = min(k, size)
    better, ties = np.array([(b, t) for b in range(n) for t in range(n - b)]).T
    wanted = [
        np.mean([stats.hypergeom.cdf(k - 1, n - 1, b + j, size - 1) for j in range(t + 1)])
        for b, t in zip(better, ties, strict=True)
    ]
    np.testing.assert_allclose(expected_recall(better, ties, n, size, k), wanted, rtol=1e-10, atol=1e-14)


def test_expected_recall_is_what_random_galleries_give_on_average():
    n, size, k, draws = 30, 10, 3, 4000
    probes, gallery = noisy_pair(n, 8)
    cosines = probes @ gallery.T / np.outer(*(np.linalg.norm(rows, axis=1) for rows in (probes, gallery)))
    rng = np.random.default_rng(0)
    found = np.empty(n)
    for i in range(n):
        others = np.tile(np.delete(np.arange(n), i), (draws, 1))
        members = rng.permuted(others, axis=1)[:, : size - 1]
        found[i] = ((cosines[i, members] > cosines[i, i]).sum(axis=1) < k).mean()
    expected = expected_recall(*ranks(probes, gallery), n, size, k)
    assert 0.2 < expected.mean() < 0.9
    assert np.abs(found - expected).max() < 5 * 0.5 / np.sqrt(draws)


def test_expected_recall_stays_sound_for_a_large_split():
    n, size = 50_000, 100
    for k in (1, 10, 50, 100):
        values = expected_recall(np.arange(n), np.zeros(n, int), n, size, k)
        assert values.mean() == pytest.approx(k / size, rel=1e-9)
        assert (np.diff(values) <= 1e-12).all()


def test_a_gallery_of_all_is_the_full_gallery():
    better, ties = ranks(*noisy_pair())
    np.testing.assert_array_equal(
        expected_recall(better, ties, 40, 40, 3), expected_recall(better, ties, 40, None, 3)
    )


def test_the_smallest_gallery_is_one_identity():
    assert recall_at_k(np.ones((1, 2)), np.ones((1, 2)), [1]) == {1: 1.0}
    np.testing.assert_array_equal(expected_recall([0, 4], [0, 0], 5, 1, 1), 1.0)


def test_ranks_and_reciprocal_ranks_without_ties():
    better, ties = np.array([0, 1, 3]), np.zeros(3, int)
    np.testing.assert_array_equal(expected_ranks(better, ties), [1, 2, 4])
    np.testing.assert_allclose(reciprocal_ranks(better, ties), [1, 1 / 2, 1 / 4])
    np.testing.assert_allclose(reciprocal_ranks([1], [2]), (1 / 2 + 1 / 3 + 1 / 4) / 3)


def test_inter_identity_similarity_is_the_mean_over_unlike_pairs():
    probes, gallery = noisy_pair(n=11)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (probes, gallery)]
    cosines = unit[0] @ unit[1].T
    off = ~np.eye(11, dtype=bool)
    assert inter_identity_similarity(probes, gallery) == pytest.approx(cosines[off].mean(), rel=1e-12)
    left_out = inter_identity_leave_one_out(probes, gallery)
    for i in range(11):
        kept = np.arange(11) != i
        assert left_out[i] == pytest.approx(inter_identity_similarity(probes[kept], gallery[kept]), abs=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recall_at_k(np.ones((5, 2)), np.ones((5, 2)), [10]), "gallery of 5 cannot give recall@10"),
        (lambda: recall_at_k(np.ones((5, 2)), np.ones((5, 2)), [0]), "recall@0"),
        (lambda: recall_at_k(np.ones((5, 2)), np.ones((4, 2)), [1]), "differ in shape"),
        (lambda: recall_at_k(np.ones((5, 2)), np.ones((5, 3)), [1]), "differ in shape"),
        (lambda: recall_at_k(np.ones(5), np.ones(5), [1]), r"expected \[N, D\]"),
        (lambda: recall_at_k(np.ones((0, 2)), np.ones((0, 2)), [1]), "at least 1"),
        (lambda: recall_at_k(np.full((5, 2), np.nan), np.ones((5, 2)), [1]), "probes: 5 of 5 rows hold NaN"),
        (lambda: recall_at_k(np.ones((5, 2)), np.full((5, 2), np.inf), [1]), "gallery: 5 of 5 rows"),
        (lambda: recall_at_k([["a"]], [["b"]], [1]), "array of numbers"),
        (lambda: ranks(np.ones((5, 2)), np.ones((5, 2)), "l2"), "unknown similarity 'l2'"),
        (lambda: expected_recall([0], [0], 5, 6, 1), "gallery of 6 cannot be drawn from 5"),
        (lambda: expected_recall([0], [0], 5, 4, 5), "gallery of 4 cannot give recall@5"),
        (lambda: expected_recall([5], [0], 5, None, 1), "0 to n - 1"),
        (lambda: expected_recall([0, 1], [0], 5, None, 1), r"expected better \[N\]"),
        (lambda: inter_identity_similarity(np.ones((1, 2)), np.ones((1, 2))), "at least 2"),
    ],
)
def test_a_wrong_input_is_refused_with_what_was_wrong(call, message):
    with pytest.raises(BenchError, match=message):
        call()


# ---------------------------------------------------------------- both roles of an identity


@quick
@given(
    st.integers(0, 10**6), st.sampled_from([(12, 5, 2), (12, 11, 3), (9, 2, 1), (30, 10, 10)]), st.booleans()
)
def test_recalls_pseudo_values_leave_an_identity_out_of_probes_and_gallery(seed, sizes, has_ties):
    n, gallery_size, k = sizes
    probes, gallery = np.random.default_rng(seed).standard_normal((2, n, 3))
    if has_ties:
        probes, gallery = np.sign(probes), np.sign(gallery)
    order = retrieval.ranking(probes, gallery)
    value = expected_recall(order.better, order.ties, n, gallery_size, k).mean()
    without = []
    for left_out in range(n):
        rows = np.delete(np.arange(n), left_out)
        without.append(expected_recall(*ranks(probes[rows], gallery[rows]), n - 1, gallery_size, k).mean())
    got = retrieval.recall_pseudo_values(order, gallery_size, k)
    np.testing.assert_allclose(got, n * value - (n - 1) * np.array(without), atol=1e-12)
    assert got.mean() == pytest.approx(value)


@pytest.mark.parametrize(
    "metric", [Recall(1, 10), Recall(5, 10), Recall(5), MedianRank(), MeanReciprocalRank()]
)
@pytest.mark.parametrize("is_blind", [True, False])
def test_one_face_for_all_has_exact_numbers_without_an_interval_of_chance(metric, is_blind):
    """One face's order of the gallery is everybody's, so each place is taken once."""
    people = tuple(map(str, range(40)))
    gallery = np.random.default_rng(0).standard_normal((40, 6))
    face = np.ones((40, 6))
    real = Features(people, np.ones((40, 6)) if is_blind else gallery)
    score = metric(real, Features(people, face), np.random.default_rng(0))
    chance = {"recall@1/g10": 0.1, "recall@5/g10": 0.5, "recall@5/full": 0.125, "median-rank/full": 20.5}
    chance["mrr/full"] = np.mean(1 / np.arange(1, 41))
    assert score.value == pytest.approx(chance[metric.name])
    assert score.interval == pytest.approx((score.value, score.value), abs=1e-9)
    assert score.own is not None


def test_a_system_better_on_everybody_is_seen_although_its_people_are_rivals_too():
    random = np.random.default_rng(2)
    people = tuple(map(str, range(60)))
    truth = random.standard_normal((60, 8))
    good, weak = truth + random.standard_normal((60, 8)), truth + 3 * random.standard_normal((60, 8))
    found = [Recall(5, 20)(Features(people, truth), Features(people, face), random) for face in (good, weak)]
    a, b = (Measured(np.array([one.value]), one.per_identity[None], one.basis, one.n) for one in found)
    compared = compare_scores(a, b, random)
    assert compared.effect == pytest.approx(found[0].value - found[1].value)
    assert compared.p < 0.001


@pytest.mark.parametrize("ties", [False, True])
def test_heard_is_recall_less_what_a_face_finds_of_others(ties):
    random = np.random.default_rng(2)
    left, right = (random.standard_normal((9, 4)) for _ in range(2))
    if ties:
        right[5] = right[2]
        left[3] = left[4]
    names = tuple(map(str, range(9)))
    metric = Heard(2, 5, headline_k=2)
    found = metric(Features(names, right), Features(names, left), np.random.default_rng(0))
    own = expected_recall(*ranks(left, right), 9, 5, 2)
    reached = np.zeros(9)
    for step in range(1, 9):  # each face for each other person once
        order = np.roll(np.arange(9), step)
        reached[order] += expected_recall(*ranks(left[order], right), 9, 5, 2) / 8
    assert found.value == pytest.approx(float(np.mean(own - reached)))
    plain = Recall(2, 5)(Features(names, right), Features(names, left), np.random.default_rng(0))
    np.testing.assert_allclose(found.per_identity, (plain.per_identity - 2 / 5) * 9 / 8)
    assert found.interval[0] < found.value < found.interval[1]
    assert found.n == 9


def test_cosine_heard_is_the_cosine_less_that_to_others():
    random = np.random.default_rng(3)
    left, right = (random.standard_normal((30, 4)) for _ in range(2))
    names = tuple(map(str, range(30)))
    found = HeardCosine()(Features(names, right), Features(names, left), random)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (left, right)]
    cosines = unit[0] @ unit[1].T
    others = (cosines.sum() - np.trace(cosines)) / (30 * 29)
    assert found.value == pytest.approx(np.diag(cosines).mean() - others)
    assert found.per_identity.mean() == pytest.approx(found.value)
    one = np.ones((30, 4))
    assert HeardCosine()(Features(names, right), Features(names, one), random).value == pytest.approx(
        0, abs=1e-12
    )
