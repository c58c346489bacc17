"""Intervals and tests: exact cases, properties, no spread; whether they cover is simulated in `tests/statistics`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from sf2f_bench.statistics.intervals import (
    HALVES,
    binomial_interval,
    half_sample_error,
    half_sample_interval,
    half_samples,
    jackknife_interval,
    mean_interval,
    median_interval,
    paired_difference,
    pseudo_values,
    weighted_interval,
)
from sf2f_bench.types import BenchError


def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def test_a_jackknife_interval_of_a_mean_is_students():
    generator = rng()
    values = generator.standard_normal(25)
    left_out = (values.sum() - values) / 24
    expected = scipy_stats.t.interval(0.95, 24, values.mean(), scipy_stats.sem(values))
    assert jackknife_interval(values.mean(), left_out) == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1, width=16), min_size=2, max_size=30))
def test_a_mean_interval_holds_its_mean_and_stays_between_the_bounds(values):
    interval = mean_interval(values, rng(), bounds=(0, 1), resamples=300)
    if interval is None:  # a few equal values
        assert len(values) < 6
        assert np.ptp(values) < 1e-9
        return
    low, high = interval
    assert 0 <= low <= high <= 1
    assert low <= np.mean(values) + 0.1
    assert high >= np.mean(values) - 0.1


def test_a_narrower_level_gives_a_narrower_interval_and_a_seed_the_same_one():
    values = rng().random(50)
    wide, narrow = mean_interval(values, rng()), mean_interval(values, rng(), level=0.8)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert mean_interval(values, rng()) == wide


def test_all_at_a_bound_is_clopper_pearson():
    high = 1 - 0.025 ** (1 / 50)
    assert mean_interval(np.zeros(50), rng(), bounds=(0, 1)) == pytest.approx((0, high))
    assert mean_interval(np.ones(50), rng(), bounds=(0, 1)) == pytest.approx((1 - high, 1))
    assert mean_interval(np.ones(50), rng(), bounds=(-1, 1)) == pytest.approx((1 - 2 * high, 1))
    assert jackknife_interval(1.0, np.ones(50), bounds=(0, 1)) == pytest.approx((1 - high, 1))


def test_a_hair_off_the_bound_is_not_an_interval_of_a_hair():
    nearly = np.append(np.ones(49), 1 - 1e-6)
    assert mean_interval(nearly, rng(), bounds=(0, 1)) == pytest.approx((0.025 ** (1 / 50), 1), abs=1e-6)
    assert mean_interval(1 - nearly, rng(), bounds=(0, 1)) == pytest.approx(
        (0, 1 - 0.025 ** (1 / 50)), abs=1e-6
    )
    assert jackknife_interval(1 - 1e-6, nearly, bounds=(0, 1))[0] == pytest.approx(
        0.025 ** (1 / 50), abs=1e-5
    )
    assert mean_interval(nearly, rng())[0] > 1 - 1e-6  # who gives no bounds gets what resampling sees


def test_all_equal_elsewhere_is_that_value():
    assert mean_interval(np.full(30, 0.1), rng(), bounds=(0, 1)) == pytest.approx((0.1, 0.1))
    assert mean_interval(np.zeros(30), rng()) == (0, 0)
    assert jackknife_interval(0.5, np.full(30, 0.5), bounds=(0, 1)) == (0.5, 0.5)
    assert mean_interval(np.full(30, 1e-3), rng(), bounds=(0, 1)) == pytest.approx((1e-3, 1e-3))
    rounded = np.full(30, 0.1) + np.tile([0, 1e-16], 15)
    assert mean_interval(rounded, rng(), bounds=(0, 1)) == pytest.approx((0.1, 0.1))


def test_many_values_are_resampled_in_bounded_batches():
    values = rng().random(6_000)
    low, high = mean_interval(values, rng(), resamples=1000)
    half = 1.96 * values.std() / np.sqrt(6_000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 5)


def test_a_median_interval_is_made_of_order_statistics():
    assert median_interval(np.arange(5)) is None
    assert median_interval(np.arange(6)) == (0, 5)
    assert median_interval(np.full(9, 4.0)) == (4, 4)
    low, high = median_interval(np.arange(1, 101))
    assert (low, high) == (40, 61)


def test_a_jackknife_interval_stays_between_the_bounds_with_the_longer_side_away_from_the_near_one():
    low, high = jackknife_interval(0.8, [0.6, 0.9, 0.8, 0.9], bounds=(0, 1))
    assert 0 < low < 0.8 < high < 1
    assert 0.8 - low > high - 0.8
    assert jackknife_interval(0.8, [0.6, 0.9, 0.8, 0.9], bounds=(0, np.inf))[1] > 1
    mirrored = jackknife_interval(-0.6, 2 * (1 - np.array([0.6, 0.9, 0.8, 0.9])) - 1, bounds=(-1, 1))
    assert mirrored == pytest.approx((1 - 2 * high, 1 - 2 * low))


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_a_few_equal_values_have_no_interval_and_never_one_of_width_zero(n):
    same, exact = np.full(n, 0.3), n >= 6
    assert mean_interval(same, rng()) == ((0.3, 0.3) if exact else None)
    assert mean_interval(same, rng(), bounds=(0, 1)) == ((0.3, 0.3) if exact else None)
    if n > 1:
        assert jackknife_interval(0.3, same, (0, 1)) == ((0.3, 0.3) if exact else None)
        assert paired_difference(same, same, rng())[1] == ((0, 0) if exact else None)
    if n >= 4:
        assert half_sample_interval(0.3, np.full(100, 0.3), n, (0, 1)) == ((0.3, 0.3) if exact else None)
    low, high = mean_interval(np.ones(n), rng(), bounds=(0, 1))  # at a bound it is binomial
    assert high == 1
    assert low < 0.7


def test_paired_difference_sees_what_two_intervals_do_not():
    generator = rng()
    ability = generator.standard_normal(80)
    a, b = ability + 0.1 + 0.1 * generator.standard_normal((1, 80))[0], ability
    difference, (low, high), p = paired_difference(a, b, generator)
    assert difference == pytest.approx((a - b).mean())
    assert 0 < low < difference < high < 0.2
    assert p < 0.01
    alone = mean_interval(a, generator), mean_interval(b, generator)
    assert alone[0][0] < alone[1][1]  # the intervals of the two overlap


def test_paired_difference_changes_sign_with_the_order_of_the_systems():
    a, b = rng().random((2, 12))
    forth, back = paired_difference(a, b, rng()), paired_difference(b, a, rng())
    assert forth[0] == pytest.approx(-back[0])
    assert forth[2] == pytest.approx(back[2], abs=0.05)


def test_a_paired_test_rejects_equals_as_seldom_as_it_says():
    generator = rng()
    rejected = sum(
        paired_difference(*generator.random((2, 20)), generator, resamples=200)[2] <= 0.05 for _ in range(100)
    )
    assert rejected <= 11  # expected 5; more than 11 happens once in 150 honest runs


def test_a_small_paired_test_is_exact():
    assert paired_difference([2, 3, 4, 5], [1, 1, 1, 1], rng())[2] == pytest.approx(2 / 2**4)
    assert paired_difference([1, 2], [1, 2], rng()) == (0, None, 1)


def test_a_weighted_interval_of_hits_and_misses_is_clopper_pearson():
    for hits in (0, 3, 20):
        values = np.repeat([1.0, 0.0], [hits, 20 - hits])
        expected = scipy_stats.binomtest(hits, 20).proportion_ci(0.95, "exact")
        found = weighted_interval(values, rng(), (0, 1), resamples=20_000)
        assert found == pytest.approx((expected.low, expected.high), abs=0.01)
    scaled = weighted_interval(2 * values - 1, rng(), (-1, 1), resamples=20_000)
    assert scaled == pytest.approx((2 * expected.low - 1, 2 * expected.high - 1), abs=0.02)


def test_few_hits_near_a_bound_allow_for_those_not_seen():
    values = np.linspace(0.003, 0.03, 50)  # reciprocal ranks of a weak system, none of them an early one
    low, high = mean_interval(values, rng(), bounds=(0, 1))
    blind = mean_interval(values, rng())
    assert blind[1] < 0.02
    assert high > 0.06  # one hit in fifty might have been missed
    assert low == pytest.approx(blind[0], abs=0.005)
    mirrored = mean_interval(1 - values, rng(), bounds=(0, 1))
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=0.02)
    assert mean_interval(values, rng(), bounds=(0, np.inf)) == blind  # an open bound has no near side


def test_a_small_sample_gets_the_width_of_students_t():
    widths, expected = [], []
    generator = rng()
    for _ in range(60):
        values = generator.standard_normal(12)
        widths.append(np.diff(mean_interval(values, generator, resamples=1000))[0])
        expected.append(np.diff(scipy_stats.t.interval(0.95, 11, scale=scipy_stats.sem(values)))[0])
    assert np.mean(widths) == pytest.approx(np.mean(expected), rel=0.05)


def test_a_binomial_interval_is_exact():
    assert binomial_interval(0, 50) == pytest.approx((0, 1 - 0.025 ** (1 / 50)))
    assert binomial_interval(50, 50) == pytest.approx((0.025 ** (1 / 50), 1))
    low, high = binomial_interval(12, 40)
    assert scipy_stats.binom.sf(11, 40, low) == pytest.approx(0.025)
    assert scipy_stats.binom.cdf(12, 40, high) == pytest.approx(0.025)


# ---------------------------------------------------------------- half-samples and pseudo-values


@settings(max_examples=20)
@given(st.integers(4, 400))
def test_half_samples_are_halves_without_repetition_and_the_same_for_everybody(n):
    halves = half_samples(n)
    assert halves.shape == (HALVES, n // 2)
    assert (np.diff(halves, axis=1) > 0).all()
    assert halves.min() >= 0
    assert halves.max() < n
    half_samples.cache_clear()
    assert (half_samples(n) == halves).all()
    with pytest.raises(ValueError, match="read-only"):
        halves[0, 0] = 1


def test_every_identity_is_in_about_half_of_the_half_samples():
    counts = np.bincount(half_samples(60).ravel(), minlength=60)
    assert counts.min() >= 30
    assert counts.max() <= 70


@pytest.mark.parametrize("n", [50, 51, 300])
def test_half_samples_of_a_mean_give_its_standard_error(n):
    """Exactly so over all halves; over a hundred of them within their chance."""
    ratios = []
    for seed in range(20):
        values = np.random.default_rng(seed).standard_normal(n)
        error = half_sample_error(values[half_samples(n)].mean(axis=1), n)
        ratios.append(error / scipy_stats.sem(values))
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_half_samples_over_all_halves_are_exact():
    from itertools import combinations

    values = rng().standard_normal(8)
    every = np.array([values[list(rows)].mean() for rows in combinations(range(8), 4)])
    error = half_sample_error(every, 8) * np.sqrt(
        (len(every) - 1) / len(every)
    )  # over all, not a sample of them
    assert error == pytest.approx(scipy_stats.sem(values))


def test_a_half_sample_interval_is_centred_on_the_value_and_cut_to_the_bounds():
    replicates = np.linspace(0.2, 0.6, 100)
    low, high = half_sample_interval(0.3, replicates, 50)
    assert (low + high) / 2 == pytest.approx(0.3)
    assert (high - low) / 2 == pytest.approx(scipy_stats.t.ppf(0.975, 49) * replicates.std(ddof=1))
    cut = half_sample_interval(0.2, replicates, 50, (0, 1))
    assert cut[0] == 0
    assert half_sample_interval(0.2, replicates, 50, (0, np.inf)) == cut


def test_half_samples_without_spread_say_what_that_means():
    assert half_sample_interval(0.0, np.zeros(100), 50, (0, 1)) == pytest.approx(binomial_interval(0, 50))
    assert half_sample_interval(1.0, np.full(100, 0.9), 50, (0, 1)) == pytest.approx(
        binomial_interval(50, 50)
    )
    assert half_sample_interval(0.0, np.zeros(100), 50, (0, np.inf)) == (0, 0)
    assert half_sample_interval(2.5, np.full(100, 2.5), 50) == (2.5, 2.5)


def test_pseudo_values_of_a_mean_are_the_values():
    values = rng().random(12)
    left_out = (values.sum() - values) / 11
    assert pseudo_values(values.mean(), left_out) == pytest.approx(values)


def test_pseudo_values_have_the_jackknifes_error_and_lose_the_bias():
    values = rng().standard_normal(15)
    left_out = np.array([np.var(np.delete(values, i)) for i in range(15)])
    pseudo = pseudo_values(np.var(values), left_out)
    assert pseudo.mean() == pytest.approx(np.var(values, ddof=1))
    low, high = jackknife_interval(np.var(values), left_out)
    assert (high - low) / 2 == pytest.approx(scipy_stats.t.ppf(0.975, 14) * scipy_stats.sem(pseudo))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([], rng()), r"shape \[0\]"),
        (lambda: mean_interval([0.1, np.nan], rng()), "NaN"),
        (lambda: mean_interval(np.ones((2, 2)), rng()), r"shape \[2, 2\]"),
        (lambda: median_interval([np.inf]), "infinity"),
        (lambda: paired_difference([1, 2], [1], rng()), "same identities on both sides, got 2 and 1"),
        (lambda: jackknife_interval(1, [1]), "at least 2"),
        (lambda: binomial_interval(3, 2), "got 3 of 2"),
        (lambda: binomial_interval(0, 0), "n >= 1"),
        (lambda: half_samples(3), "at least 4 identities, got 3"),
        (lambda: half_sample_interval(1, [1, np.nan], 10), "half-sample values"),
        (lambda: pseudo_values(1, []), "leave-one-out values"),
    ],
)
def test_wrong_values_are_refused(call, message):
    with pytest.raises(BenchError, match=message):
        call()
