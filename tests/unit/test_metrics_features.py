"""Similarity, quality, distribution and verification: properties and cases known on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sf2f_bench.metrics import distribution, retrieval
from sf2f_bench.metrics.distribution import (
    ExtrapolatedFrechetDistance,
    FrechetDistance,
    frechet_distance,
    frechet_extrapolated,
    kernel_distance,
    kernel_distance_leave_one_out,
)
from sf2f_bench.metrics.quality import MutualInformationScore, mutual_information, mutual_information_score
from sf2f_bench.metrics.similarity import cosine_similarity, l1_distance, l2_distance
from sf2f_bench.metrics.verification import (
    equal_error_rate,
    verification_auc,
    verification_auc_leave_one_out,
)
from sf2f_bench.statistics.intervals import half_samples
from sf2f_bench.types import BenchError, Features, Score

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


class TwoGaussians:
    """Pairs of rows from two Gaussians with a known Frechet distance; a person's two rows correlate."""

    def __init__(self, d: int, decay: float, scale: float = 0.7) -> None:
        random = np.random.default_rng(d)
        self.deviation = np.arange(1, d + 1.0) ** (-decay / 2)
        rotation = np.linalg.qr(np.eye(d) + 0.05 * random.standard_normal((d, d)))[0]
        self.map = rotation * scale * self.deviation  # of standard normal columns
        self.shift = np.zeros(d)
        self.shift[:3] = 0.3 if scale < 1 else 0.0
        if scale == 1:
            self.map = np.diag(self.deviation)
        other = self.map @ self.map.T
        inner = self.deviation[:, None] * other * self.deviation
        shared = np.sqrt(np.clip(np.linalg.eigvalsh(inner), 0, None)).sum()
        self.distance = self.shift @ self.shift + np.sum(self.deviation**2) + np.trace(other) - 2 * shared

    def draw(self, n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        first, second = random.standard_normal((2, n, len(self.deviation)))
        second = 0.5 * first + np.sqrt(0.75) * second
        return first * self.deviation, second @ self.map.T + self.shift


def samples(rows: np.ndarray) -> Features:
    return Features(tuple(map(str, range(len(rows)))), rows, rows)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_the_extrapolated_distance_has_hardly_any_bias_and_its_interval_holds_the_truth(decay):
    world, random = TwoGaussians(64, decay), np.random.default_rng(1)
    scores, plain = [], []
    for _ in range(40):
        pair = world.draw(300, random)
        plain.append(frechet_distance(*pair))
        scores.append(ExtrapolatedFrechetDistance()(*map(samples, pair), np.random.default_rng(0)))
    values = np.array([score.value for score in scores])
    bias, of_plain = values.mean() - world.distance, np.mean(plain) - world.distance
    assert of_plain > 0.2 * world.distance
    assert abs(bias) < 0.05 * of_plain
    assert np.sqrt(np.mean((values - world.distance) ** 2)) < 0.5 * of_plain
    assert values.std() < 1.6 * np.std(plain)  # what taking away the bias costs
    assert np.mean([low <= world.distance <= high for low, high in (s.interval for s in scores)]) >= 0.9
    error = [score.per_identity.std(ddof=1) / np.sqrt(300) for score in scores]
    assert 0.8 < np.mean(error) / values.std(ddof=1) < 1.6


def test_the_extrapolated_distance_of_equal_laws_is_about_zero_on_both_sides():
    world, random = TwoGaussians(32, 0.5, scale=1.0), np.random.default_rng(2)
    values = [frechet_extrapolated(*world.draw(120, random), random)[0] for _ in range(40)]
    assert world.distance == pytest.approx(0, abs=1e-6)
    assert abs(np.mean(values)) < 3.5 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0 < max(values)


def test_no_interval_where_the_subsamples_have_no_more_rows_than_features():
    world, random = TwoGaussians(64, 0.0), np.random.default_rng(3)
    pair = world.draw(80, random)
    value, leave_one_out = frechet_extrapolated(*pair, random)
    assert leave_one_out is None
    assert world.distance + 1 < value < frechet_distance(*pair)  # better, and still biased
    score = ExtrapolatedFrechetDistance()(*map(samples, pair), random)
    assert (score.interval, score.per_identity, score.n) == (None, None, 80)
    assert frechet_extrapolated(*world.draw(129, random), random)[1] is None
    assert frechet_extrapolated(*world.draw(130, random), random)[1] is not None


def test_the_first_order_of_leaving_out_an_identity_is_the_derivative():
    a, b = TwoGaussians(5, 0.5).draw(400, np.random.default_rng(4))
    value, influence = distribution._frechet_influence(a, b)
    assert value == pytest.approx(frechet_distance(a, b), rel=1e-10)
    assert influence.sum() == pytest.approx(0, abs=1e-8)
    kept = [np.arange(400) != i for i in range(400)]
    exact = np.array([frechet_distance(a[rows], b[rows]) for rows in kept])
    pseudo = 400 * value - 399 * exact
    assert np.corrcoef(influence, pseudo)[0, 1] > 0.999
    assert influence.std() == pytest.approx(pseudo.std(), rel=0.02)


def test_the_extrapolated_distance_is_a_line_through_its_subsamples_and_its_first_order():
    n = 120
    a, b = TwoGaussians(3, 0.5).draw(n, np.random.default_rng(4))
    value, without = frechet_extrapolated(a, b, np.random.default_rng(0))
    subsamples = [np.arange(n), *distribution._leaving_groups_out(n, np.random.default_rng(0))]

    def intercept(keep: np.ndarray) -> float:
        distances = [frechet_distance(a[rows[keep[rows]]], b[rows[keep[rows]]]) for rows in subsamples]
        return np.polyfit([1 / len(rows) for rows in subsamples], distances, 1)[1]

    assert value == pytest.approx(intercept(np.ones(n, bool)), rel=1e-9)
    exact = np.array([intercept(np.arange(n) != i) for i in range(n)])
    assert np.corrcoef(without, exact)[0, 1] > 0.99
    assert np.std(without) == pytest.approx(np.std(exact), rel=0.1)


def test_every_identity_is_left_out_equally_often():
    rows = list(distribution._leaving_groups_out(60, np.random.default_rng(0)))
    assert sorted({len(kept) for kept in rows}) == [30, 40, 45]
    counts = np.bincount(np.concatenate(rows), minlength=60)
    assert (counts == counts[0]).all()


def test_the_extrapolated_distance_depends_on_its_generator_alone_and_scales():
    a, b = TwoGaussians(6, 0.5).draw(60, np.random.default_rng(5))
    value, _ = frechet_extrapolated(a, b, np.random.default_rng(7))
    assert frechet_extrapolated(a, b, np.random.default_rng(7))[0] == value
    assert frechet_extrapolated(a, b, np.random.default_rng(8))[0] != value
    assert frechet_extrapolated(3 * a, 3 * b, np.random.default_rng(7))[0] == pytest.approx(9 * value)
    assert frechet_extrapolated(a, a, np.random.default_rng(7))[0] == pytest.approx(0, abs=1e-9)
    with pytest.raises(BenchError, match="in pairs"):
        frechet_extrapolated(a, b[:-1], np.random.default_rng(7))
    with pytest.raises(BenchError, match="at least 8"):
        frechet_extrapolated(a[:7], b[:7], np.random.default_rng(7))


def coverage_of_mean(scores: list[Score]) -> float:
    """How often the intervals hold what such samples give on average."""
    truth = np.mean([score.value for score in scores])
    return float(np.mean([low <= truth <= high for low, high in (score.interval for score in scores)]))


@pytest.mark.parametrize("scale", [0.7, 1.0])
def test_frechet_intervals_hold_what_so_many_identities_give_on_average(scale):
    world, random = TwoGaussians(12, 1.0, scale), np.random.default_rng(6)
    metric = FrechetDistance()
    scores = [metric(*map(samples, world.draw(100, random)), random) for _ in range(40)]
    assert coverage_of_mean(scores) >= 0.9
    assert scores[0].interval[0] > 0
    assert scores[0].replicates.shape == (len(half_samples(100)),)


@pytest.mark.parametrize("sharpness", [1.0, 6.0])
def test_mutual_information_intervals_hold_what_so_many_faces_give_on_average(sharpness):
    random = np.random.default_rng(7)
    classes = random.standard_normal((12, 300)) / 3
    metric, scores = MutualInformationScore(), []
    for _ in range(40):
        logits = sharpness * random.standard_normal((100, 12)) @ classes
        rows = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows /= rows.sum(axis=1, keepdims=True)
        face = Features(tuple(map(str, range(100))), rows, None, rows)
        scores.append(metric(face, face, random))
    assert coverage_of_mean(scores) >= 0.88
    errors = [score.replicates.std(ddof=1) for score in scores]
    # At the sharp end the parts' size bounds the score: halves alone would say half of the spread.
    assert 0.8 < np.mean(errors) / np.std([score.value for score in scores]) < 1.3


def test_half_samples_keep_the_permutation_that_made_the_parts():
    rows = np.random.default_rng(8).dirichlet(np.full(9, 0.2), 40)
    face = Features(tuple(map(str, range(40))), rows, None, rows)
    score = MutualInformationScore()(face, face, np.random.default_rng(3))
    order = np.random.default_rng(3).permutation(40)
    assert (score.value, score.spread) == mutual_information_score(rows, 5, order)
    halves = [mutual_information(rows, 5)(order[np.isin(order, half)])[0] for half in half_samples(40)]
    np.testing.assert_allclose(score.replicates, np.array(halves) * score.value / np.mean(halves))


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
