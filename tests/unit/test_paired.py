"""Paired comparisons: each basis against an independent computation, seeds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from sf2f_bench.metrics.verification import verification_auc, verification_auc_leave_one_out
from sf2f_bench.statistics.intervals import half_samples, pseudo_values
from sf2f_bench.statistics.paired import Measured, compare_scores, interval_of_mean, seeds_interval
from sf2f_bench.types import BenchError


def rng() -> np.random.Generator:
    return np.random.default_rng(21)


def means(parts, seeds=()) -> Measured:
    parts = np.atleast_2d(np.asarray(parts, float))
    return Measured(parts.mean(axis=1), parts, "mean", parts.shape[1], tuple(seeds))


def medians(parts, seeds=()) -> Measured:
    parts = np.atleast_2d(np.asarray(parts, float))
    return Measured(np.median(parts, axis=1), parts, "median", parts.shape[1], tuple(seeds))


def sampled(parts, seeds=()) -> Measured:
    """A mean that is known by its half-samples alone."""
    parts = np.atleast_2d(np.asarray(parts, float))
    n = parts.shape[1]
    halves = parts[:, half_samples(n)].mean(axis=-1)
    return Measured(parts.mean(axis=1), halves, "replicates", n, tuple(seeds))


def test_pseudo_values_of_a_mean_give_the_paired_t_test():
    a, b = rng().standard_normal((2, 30)) + np.array([[0.4], [0]])

    def measured(values):
        left_out = (values.sum() - values) / 29
        parts = pseudo_values(values.mean(), left_out)
        return Measured(values.mean(keepdims=True), parts[None], "pseudo-values", 30)

    found = compare_scores(measured(a), measured(b), rng())
    expected = scipy_stats.ttest_rel(a, b)
    assert found.effect == pytest.approx((a - b).mean())
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))


def test_half_samples_of_a_mean_come_close_to_the_paired_t_test():
    a, b = rng().standard_normal((2, 200)) + np.array([[0.1], [0]])
    found = compare_scores(sampled(a), sampled(b), rng())
    expected = scipy_stats.ttest_rel(a, b)
    width = np.diff(expected.confidence_interval())[0]
    assert np.diff(found.interval)[0] == pytest.approx(width, rel=0.2)
    assert found.p == pytest.approx(expected.pvalue, abs=0.1)


def test_means_and_medians_are_permuted_identity_by_identity():
    a, b = np.arange(1.0, 9.0), np.zeros(8)
    assert compare_scores(means(a), means(b), rng()).p == pytest.approx(2 / 2**8)
    median = compare_scores(medians(a), medians(b), rng())
    flips = np.array(np.meshgrid(*[[0, 1]] * 8)).reshape(8, -1).T.astype(bool)  # [256, 8]
    under_null = [np.median(np.where(f, b, a)) - np.median(np.where(f, a, b)) for f in flips]
    more = np.mean(np.array(under_null) >= 4.5)
    assert median.p == pytest.approx(2 * more)
    assert median.effect == 4.5
    assert median.interval[0] <= 4.5 <= median.interval[1]


@pytest.mark.parametrize("made", [means, medians, sampled])
def test_the_same_values_on_both_sides_show_nothing(made):
    values = rng().random(40)
    found = compare_scores(made(values), made(values), rng())
    assert (found.effect, found.interval, found.p, found.detectable) == (0, (0, 0), 1, None)


@pytest.mark.parametrize("made", [means, medians, sampled])
@pytest.mark.parametrize("seeds", [((), ()), ((0, 1, 2), (0, 1, 2)), ((0, 1, 2), (5, 6)), ((0, 1), (0,))])
def test_exchanging_the_systems_turns_the_sign(made, seeds):
    a, b = (made(rng().random((max(1, len(s)), 60)) + 0.3 * i, s) for i, s in enumerate(seeds))
    forth, back = compare_scores(a, b, rng()), compare_scores(b, a, rng())
    assert forth.effect == pytest.approx(-back.effect)
    assert forth.p == pytest.approx(back.p, abs=0.02)
    assert forth.interval == pytest.approx((-back.interval[1], -back.interval[0]), abs=0.02)


@settings(max_examples=20)
@given(st.permutations(range(24)), st.sampled_from([1, 3]))
def test_the_order_of_the_identities_changes_nothing(order, seeds):
    a, b = rng().random((2, seeds, 24))
    names = tuple(range(seeds))
    here = compare_scores(means(a, names), means(b, names), rng())
    there = compare_scores(means(a[:, order], names), means(b[:, order], names), rng())
    assert there.effect == pytest.approx(here.effect)
    assert there.interval == pytest.approx(here.interval, abs=0.06)
    assert there.detectable == pytest.approx(here.detectable)


def test_the_detectable_difference_is_found_in_four_of_five_comparisons():
    generator, n = rng(), 80
    noise = np.sqrt(2)
    shift = (1.96 + 0.84) * noise / np.sqrt(n)
    p, said = [], []
    for _ in range(300):
        a, b = generator.standard_normal((2, n)) + np.array([[shift], [0]])
        found = compare_scores(sampled(a), sampled(b), generator)
        p.append(found.p)
        said.append(found.detectable)
    assert np.mean(said) == pytest.approx(shift, rel=0.05)
    assert 0.73 <= np.mean(np.array(p) < 0.05) <= 0.86


def test_interval_and_p_value_agree_where_both_come_from_one_error():
    generator = rng()
    for seeds in ((0,), (0, 1, 2)):
        for _ in range(30):
            a, b = generator.standard_normal((2, len(seeds), 40)) + 0.6 * generator.standard_normal((2, 1, 1))
            found = compare_scores(sampled(a, seeds), sampled(b, seeds), generator)
            low, high = found.interval
            assert (found.p < 0.05) == (low > 0 or high < 0)


# ---------------------------------------------------------------- seeds


def test_without_identity_noise_seeds_are_a_t_interval_of_their_means():
    luck = np.array([0.1, 0.3, 0.2, 0.5])
    values = np.repeat(luck[:, None], 50, axis=1)
    mean, interval = seeds_interval(values)
    assert mean == pytest.approx(0.275)
    assert interval == pytest.approx(scipy_stats.t.interval(0.95, 3, luck.mean(), scipy_stats.sem(luck)))


def test_seeds_that_agree_leave_the_identities_interval():
    identity = rng().random(50)
    expected = scipy_stats.t.interval(0.95, 49, identity.mean(), scipy_stats.sem(identity))
    assert seeds_interval(np.stack([identity] * 3))[1] == pytest.approx(expected)
    assert seeds_interval(np.stack([identity] * 3), bounds=(0.5, 1))[1][0] >= 0.5


def test_the_same_seeds_are_compared_in_pairs_and_other_seeds_are_not():
    luck = np.array([[-0.2], [0.0], [0.2]])
    noise = 0.01 * rng().standard_normal((2, 3, 50))
    a, b = 0.5 + luck + noise[0], 0.4 + luck + noise[1]
    paired = compare_scores(means(a, (0, 1, 2)), means(b, (0, 1, 2)), rng())
    apart = compare_scores(means(a, (0, 1, 2)), means(b, (3, 4, 5)), rng())
    assert paired.p < 0.001 < 0.3 < apart.p
    expected = scipy_stats.ttest_rel(a.mean(1), b.mean(1))
    assert paired.p == pytest.approx(expected.pvalue, rel=0.3)
    welch = scipy_stats.ttest_ind(a.mean(1), b.mean(1), equal_var=False)
    assert apart.p == pytest.approx(welch.pvalue, rel=0.05)


def test_a_single_seed_is_taken_to_vary_as_the_other_side_and_an_anchor_not_at_all():
    luck = np.array([[-0.1], [0.0], [0.1]])
    a = 0.5 + luck + np.zeros((3, 30))
    system = compare_scores(means(a, (0, 1, 2)), means(np.full(30, 0.3), (0,)), rng())
    anchor = compare_scores(means(a, (0, 1, 2)), means(np.full(30, 0.3)), rng())
    t = scipy_stats.t.ppf(0.975, 2)
    assert np.diff(system.interval)[0] == pytest.approx(2 * t * 0.1 * np.sqrt(1 / 3 + 1))
    assert np.diff(anchor.interval)[0] == pytest.approx(2 * t * 0.1 * np.sqrt(1 / 3))


def test_every_basis_has_the_same_error_over_seeds():
    generator = rng()
    a, b = generator.standard_normal((2, 3, 400)) + 0.1 * generator.standard_normal((2, 3, 1))
    seeds = (0, 1, 2)
    by_mean = compare_scores(means(a, seeds), means(b, seeds), rng())
    by_half = compare_scores(sampled(a, seeds), sampled(b, seeds), rng())
    by_median = compare_scores(medians(a, seeds), medians(b, seeds), rng())
    assert by_half.effect == pytest.approx(by_mean.effect)
    assert by_half.detectable == pytest.approx(by_mean.detectable, rel=0.15)
    assert by_median.detectable == pytest.approx(by_mean.detectable, rel=0.6)


def test_scores_of_pairs_know_which_identities_they_share():
    generator = rng()
    truth = generator.standard_normal((40, 8))
    misheard = generator.standard_normal((40, 8))

    def measured(drawn):
        value = verification_auc(drawn, truth)
        parts = pseudo_values(value, verification_auc_leave_one_out(drawn, truth))
        return Measured(np.array([value]), parts[None], "pseudo-values", 40)

    a, b = measured(truth + misheard), measured(truth + 1.2 * misheard)
    found = compare_scores(a, b, rng())
    alone = np.sqrt((a.parts.var(ddof=1) + b.parts.var(ddof=1)) / 40)
    assert found.p < 0.01
    assert np.diff(found.interval)[0] < 2 * alone  # unpaired it would be four of them


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_scores(means([1, 2]), means([1, 2, 3]), rng()), "mean of 2 and mean of 3"),
        (lambda: compare_scores(means([1, 2]), medians([1, 2]), rng()), "mean of 2 and median of 2"),
        (lambda: means([1.0]), "at least two identities"),
        (lambda: means([1, np.nan]), "NaN"),
        (lambda: means([[1, 2], [3, 4]], (0, 0)), r"2 different training seeds, got \[0, 0\]"),
        (lambda: means([[1, 2]], (0, 1)), "1 different training seeds"),
        (lambda: seeds_interval([0.1, 0.2]), r"seeds >= 2"),
        (lambda: Measured(np.ones(1), np.ones((1, 3)), "mean", 4), r"mean \[seeds, 4 identities\]"),
    ],
)
def test_wrong_values_are_refused(call, message):
    with pytest.raises(BenchError, match=message):
        call()


def test_the_interval_of_a_mean_is_that_of_seeds_interval_whatever_the_basis():
    """Pseudo-values of a mean are the values themselves; a median goes by its half-samples."""
    values = np.random.default_rng(5).normal(0.4, 0.1, (3, 60)) + np.array([[0.0], [0.02], [-0.01]])
    seeds = (0, 1, 2)
    _, expected = seeds_interval(values)
    for basis in ("mean", "pseudo-values"):
        side = Measured(values.mean(axis=1), values, basis, 60, seeds)
        assert interval_of_mean(side) == pytest.approx(expected)
    medians = Measured(np.median(values, axis=1), values, "median", 60, seeds)
    low, high = interval_of_mean(medians)
    assert low < np.median(values, axis=1).mean() < high
    assert interval_of_mean(side, (0.39, 0.41)) == pytest.approx(
        (max(expected[0], 0.39), min(expected[1], 0.41))
    )
