"""Similarity, quality, distribution and verification: properties and cases known on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sf2f_bench.metrics import distribution, retrieval
from sf2f_bench.metrics.distribution import frechet_distance, kernel_distance, kernel_distance_leave_one_out
from sf2f_bench.metrics.quality import mutual_information_score
from sf2f_bench.metrics.similarity import cosine_similarity, l1_distance, l2_distance
from sf2f_bench.metrics.verification import (
    equal_error_rate,
    verification_auc,
    verification_auc_leave_one_out,
)
from sf2f_bench.types import BenchError

quick = settings(max_examples=40, deadline=None)
RNG = np.random.default_rng(11)
A, B = RNG.standard_normal((40, 6)), 0.3 + 1.4 * RNG.standard_normal((40, 6))


@st.composite
def probabilities(draw: st.DrawFn) -> np.ndarray:
    """Class probabilities [N, C] among which zeros are common."""
    shape = draw(st.tuples(st.integers(5, 20), st.integers(1, 5)))
    counts = draw(arrays(np.float64, shape, elements=st.integers(0, 3).map(float)))
    counts[counts.sum(axis=1) == 0] = 1
    return counts / counts.sum(axis=1, keepdims=True)


def features(low: float = -3, high: float = 3):
    entries = st.floats(low, high, width=16)
    shape = st.tuples(st.integers(3, 10), st.integers(1, 12))
    return shape.flatmap(lambda s: st.tuples(arrays(np.float64, s, elements=entries), st.just(s)))


def test_similarity_on_paper():
    x, y = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [1.0, 0.0]])
    np.testing.assert_allclose(cosine_similarity(x, y), [24 / 25, 0.0])
    np.testing.assert_allclose(l1_distance(x, y), [2.0, 1.0], atol=3e-6)
    np.testing.assert_allclose(l2_distance(x, y), [np.sqrt(2), 1.0], atol=3e-6)
    with pytest.raises(BenchError, match="differ in shape"):
        l2_distance(x, y[:1])


def test_distances_do_not_normalise_and_the_cosine_does():
    np.testing.assert_allclose(cosine_similarity(5 * A, 0.1 * B), cosine_similarity(A, B))
    np.testing.assert_allclose(l1_distance(5 * A, 5 * B), 5 * l1_distance(A, B), rtol=1e-5)
    assert l2_distance(5 * A, B).mean() > 2 * l2_distance(A, B).mean()


@quick
@given(rows=probabilities(), seed=st.integers(0, 99))
def test_mutual_information_is_finite_and_bounded_by_classes_and_part(rows, seed):
    order = np.random.default_rng(seed).permutation(len(rows))
    mean, spread = mutual_information_score(rows, 5, order)
    assert 1 - 1e-9 <= mean <= min(rows.shape[1], -(-len(rows) // 5)) * (1 + 1e-9)
    assert spread >= 0
    assert (mean, spread) == mutual_information_score(rows[order], 5)


@quick
@given(rows=probabilities(), seed=st.integers(0, 99))
def test_one_part_does_not_depend_on_the_order(rows, seed):
    order = np.random.default_rng(seed).permutation(len(rows))
    assert mutual_information_score(rows, 1, order)[0] == pytest.approx(mutual_information_score(rows, 1)[0])


def test_mutual_information_on_paper():
    assert mutual_information_score(np.eye(4), 1) == pytest.approx((4.0, 0.0))
    assert mutual_information_score(np.tile(np.eye(2), (10, 1)), 5) == pytest.approx((2.0, 0.0))
    assert mutual_information_score(np.full((20, 7), 1 / 7), 5) == pytest.approx((1.0, 0.0))
    # Parts of one face each know nothing of each other; 7 rows in 2 parts are cut 3 and 4.
    assert mutual_information_score(np.eye(4), 4) == pytest.approx((1.0, 0.0))
    assert mutual_information_score(np.eye(7), 2) == pytest.approx((3.5, 0.5))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (np.full((5, 2), 0.7), {}, "sum to 1"),
        (np.tile([1.5, -0.5], (5, 1)), {}, "sum to 1"),
        (np.full((4, 2), 0.5), {}, "4 faces cannot be cut into 5 parts"),
        (np.full((5, 2), 0.5), {"parts": 0}, "0 parts"),
        (np.full((5, 2), 0.5), {"order": [0, 1, 2, 3, 3]}, "permutation"),
        (np.full((5, 2), 0.5), {"order": [0, 1]}, "permutation"),
        (np.full((5, 2), np.nan), {}, "NaN"),
    ],
)
def test_mutual_information_refuses(rows, options, message):
    with pytest.raises(BenchError, match=message):
        mutual_information_score(rows, **options)


@quick
@given(drawn=features(), shift=st.floats(-5, 5, width=16))
def test_frechet_of_a_moved_copy_is_the_squared_shift(drawn, shift):
    rows, (_, d) = drawn
    scale = 1 + np.square(rows).sum() + d * shift**2
    assert frechet_distance(rows, rows + shift) == pytest.approx(d * shift**2, abs=1e-9 * scale)


@quick
@given(drawn=features())
def test_both_distances_are_symmetric(drawn):
    rows, (n, d) = drawn
    other = np.random.default_rng(n * d).standard_normal((n + 2, d))
    assert frechet_distance(rows, other) >= 0
    assert frechet_distance(rows, other) == pytest.approx(frechet_distance(other, rows), rel=1e-7, abs=1e-9)
    assert kernel_distance(rows, other) == pytest.approx(kernel_distance(other, rows), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("d", [3, 200])
def test_frechet_of_a_scaled_copy_with_more_or_fewer_rows_than_features(d):
    rows = np.random.default_rng(d).standard_normal((50, d))
    rows -= rows.mean(axis=0)
    trace = np.var(rows, axis=0, ddof=1).sum()
    assert frechet_distance(rows, 3 * rows) == pytest.approx(4 * trace, rel=1e-9)


def test_frechet_in_one_dimension_is_the_closed_form():
    a, b = A[:, :1], B[:30, :1]
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_frechet_does_not_depend_on_rotation_or_order():
    rotation = np.linalg.qr(RNG.standard_normal((6, 6)))[0]
    expected = frechet_distance(A, B)
    assert frechet_distance(A @ rotation, B @ rotation) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(A[::-1], B[RNG.permutation(40)]) == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_is_zero_on_average_for_equal_laws_and_grows_with_the_shift():
    rng = np.random.default_rng(5)
    same = [kernel_distance(*rng.standard_normal((2, 30, 4))) for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(200)
    assert min(same) < 0  # unbiased, so below zero as often as not
    assert kernel_distance(A, A + 1) < kernel_distance(A, A + 2)


def test_leaving_out_identities_is_the_statistic_without_them(monkeypatch):
    monkeypatch.setattr(distribution, "BLOCK", 7)
    monkeypatch.setattr(retrieval, "PROBE_BLOCK", 6)
    monkeypatch.setattr(retrieval, "GALLERY_BLOCK", 11)
    a, b = A[:20].copy(), A[:20] + 1.5 * B[:20]
    a[3] = a[4] = 0  # ties
    b[9] = b[10]
    kernel, auc = kernel_distance_leave_one_out(a, b), verification_auc_leave_one_out(a, b)
    for i in range(20):
        kept = np.arange(20) != i
        assert kernel[i] == pytest.approx(kernel_distance(a[kept], b[kept]), rel=1e-9, abs=1e-11)
        assert auc[i] == pytest.approx(verification_auc(a[kept], b[kept]), abs=1e-12)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_distances_refuse(distance):
    with pytest.raises(BenchError, match="at least 2"):
        distance(A[:1], B)
    with pytest.raises(BenchError, match="6 and 5 features"):
        distance(A, B[:, :5])
    with pytest.raises(BenchError, match="second samples: 1 of 40"):
        distance(A, np.where(np.arange(40)[:, None] == 3, np.nan, B))
    with pytest.raises(BenchError, match="in pairs"):
        kernel_distance_leave_one_out(A, B[:30])


def test_verification_on_paper():
    assert verification_auc(np.eye(5), np.eye(5)) == 1.0
    assert equal_error_rate(np.eye(5), np.eye(5)) == 0.0
    assert verification_auc(np.ones((5, 2)), np.ones((5, 2))) == 0.5
    assert equal_error_rate(np.ones((5, 2)), np.ones((5, 2))) == pytest.approx(0.5)
    assert verification_auc(-np.eye(5), np.eye(5)) == 0.0
    # Gender alone: the others of one's own gender tie, the rest lose.
    gender = np.eye(2)[np.arange(10) % 2]
    assert verification_auc(gender, gender) == pytest.approx(5 / 9 + 4 / 9 / 2)


def test_a_constant_drawing_verifies_nobody():
    gallery = RNG.standard_normal((25, 4))
    probes = np.ones((25, 4))
    assert verification_auc(probes, gallery) == pytest.approx(0.5, abs=1e-12)
    assert equal_error_rate(probes, gallery) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(verification_auc_leave_one_out(probes, gallery), 0.5, atol=1e-12)


@quick
@given(seed=st.integers(0, 10_000), n=st.integers(2, 12))
def test_verification_is_bounded_and_ignores_order_and_length(seed, n):
    rng = np.random.default_rng(seed)
    probes, gallery = rng.integers(-2, 3, (2, n, 3)).astype(float)
    order = rng.permutation(n)
    auc, error = verification_auc(probes, gallery), equal_error_rate(probes, gallery)
    assert 0 <= auc <= 1
    assert 0 <= error <= 1
    assert verification_auc(3 * probes[order], gallery[order]) == pytest.approx(auc, abs=1e-12)
    assert equal_error_rate(probes[order], 0.1 * gallery[order]) == pytest.approx(error, abs=1e-12)
