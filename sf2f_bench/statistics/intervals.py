"""Intervals and paired tests over identities; scipy.stats does the work where it has it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special, stats

from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Vector = NDArray[np.float64]
    Interval = tuple[float, float]

BATCH_ELEMENTS = 2**22  # resampled values held at once: 32 MiB
BCA_LIMIT = 5_000  # BCa's own jackknife is quadratic; beyond, skewness no longer matters
HALVES = 100  # half-samples of a statistic that no identity contributes to on its own
# Identities' worth off a bound: with fewer, resampling does not see what it has not met.
NEAR_BOUND_IDENTITIES = 5
# Equal values that count as exact: with fewer, two values of equal probability agree more often than in 1 of 20 cases.
FEWEST_EQUAL = 6
# Paired differences of skewed values: with fewer, intervals cover less than 93 % (results/reference/coverage.md).
FEWEST_PAIRED = 30
ROUNDING = 1e-12  # values closer than this (relatively) are one value


def mean_interval(
    values: ArrayLike,
    rng: np.random.Generator,
    bounds: Interval | None = None,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval | None:
    """Bootstrap interval (BCa; percentile beyond 5,000 values) of the mean of ``[N]`` over identities.

    bounds: the smallest and largest value possible, (0, 1) for a recall. Where all values lie on one bound
    (or all but half an identity's worth) resampling sees no spread: there it is the exact binomial
    (Clopper-Pearson) interval for N out of N, which holds for any bounded value, scaled to the bounds; with less
    than five identities' worth off it, it is `weighted_interval`, for the bootstrap covers 85 % there.
    Where all are equal elsewhere the interval is that value alone; None for fewer than six, which may be equal by
    chance.
    Raises BenchError for empty or NaN values.
    Source: Efron 1987 through scipy.stats.bootstrap, expanded for small N as Hesterberg 2015 does.
    """
    array = _vector(values, "values")
    mean, n = float(array.mean()), len(array)
    is_constant = _constant(array)
    if known := _interval_without_spread(mean, n, is_constant, bounds, level):
        return known
    if is_constant:
        return None
    if bounds is not None and _worth_off_bound(mean, n, bounds) < NEAR_BOUND_IDENTITIES:
        return weighted_interval(array, rng, bounds, level, resamples)
    method = "BCa" if len(array) <= BCA_LIMIT else "percentile"
    interval = _bootstrap(array, rng, level, resamples, method)
    if not np.isfinite(interval).all():  # BCa has no answer where all resamples lie on one side
        interval = _bootstrap(array, rng, level, resamples, "percentile")
    return interval


def _bootstrap(
    array: Vector, rng: np.random.Generator, level: float, resamples: int, method: Any
) -> Interval:
    """scipy's, at the level that corrects for small N: (N - 1) / N for the variance, and t for z."""
    n = len(array)
    reach = np.sqrt(n / (n - 1)) * stats.t.ppf((1 + level) / 2, n - 1)
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        # Where all resamples lie on one side its answer is NaN, which is dealt with.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (array,),
            np.mean,
            n_resamples=resamples,
            batch=max(1, BATCH_ELEMENTS // n),
            confidence_level=float(1 - 2 * stats.norm.sf(reach)),
            method=method,
            rng=rng,
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def weighted_interval(
    values: ArrayLike,
    rng: np.random.Generator,
    bounds: Interval,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Interval of the mean of bounded values ``[N]`` that allows for a value not seen: one more at either bound.

    Quantiles of the mean under random weights, uniform on all that sum to 1, with the bound as a further value.
    For values on the bounds alone it is Clopper-Pearson's; its coverage was never seen below `level`, and is above
    it for values far from both bounds. Source: Gaffke 2005; Learned-Miller and Thomas 2019.
    """
    array = _vector(values, "values")
    means, further = [], []
    rows = max(1, BATCH_ELEMENTS // (len(array) + 1))
    for start in range(0, resamples, rows):
        weights = rng.standard_exponential((min(rows, resamples - start), len(array) + 1))
        weights /= weights.sum(axis=1, keepdims=True)
        means.append(weights[:, :-1] @ array)
        further.append(weights[:, -1])
    mean, weight = np.concatenate(means), np.concatenate(further)
    tail = (1 - level) / 2
    low = np.quantile(mean + bounds[0] * weight, tail)
    return float(low), float(np.quantile(mean + bounds[1] * weight, 1 - tail))


def binomial_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Exact interval (Clopper-Pearson) of a share: `successes` of `n` identities, 0..1.

    For a recall in one fixed gallery, where each identity is found or not. Its coverage is at least `level`.
    Raises BenchError for successes outside 0..n.
    """
    if not 0 <= successes <= n or n < 1:
        raise BenchError(f"a binomial interval needs 0 to n successes of n >= 1, got {successes} of {n}.")
    interval = stats.binomtest(successes, n).proportion_ci(level, "exact")
    return float(interval.low), float(interval.high)


def median_interval(values: ArrayLike, level: float = 0.95) -> Interval | None:
    """Distribution-free interval of the median of ``[N]`` from its order statistics; None below six values.

    Its coverage is at least `level`. Source: Conover 1999, through scipy.stats.quantile_test.
    """
    array = _vector(values, "values")
    interval = stats.quantile_test(array, q=np.median(array), p=0.5).confidence_interval(level)
    low, high = float(interval.low), float(interval.high)
    return (low, high) if np.isfinite([low, high]).all() else None


def paired_difference(
    a: ArrayLike, b: ArrayLike, rng: np.random.Generator, resamples: int = 2000
) -> tuple[float, Interval | None, float]:
    """Mean of a - b over the same identities, its bootstrap interval and a two-sided p-value.

    a, b: ``[N]``, row i the same identity under two systems; no interval where `mean_interval` has none. p is of the
    sign-flip permutation test (each identity's two values exchanged at random; exact for small N), so its smallest
    value is 1 / (resamples + 1). Raises BenchError where the two do not pair.
    """
    left, right = _vector(a, "first values"), _vector(b, "second values")
    if left.shape != right.shape:
        raise BenchError(
            f"a paired comparison needs the same identities on both sides, got {len(left)} and {len(right)}."
        )
    difference = left - right
    interval = mean_interval(difference, rng, resamples=resamples)
    if not difference.any():
        return 0.0, interval, 1.0
    p = exchange_test((left, right), lambda a, b, axis: np.mean(a - b, axis=axis), rng, resamples)
    return float(difference.mean()), interval, p


def exchange_test(
    pair: tuple[Vector, Vector],
    statistic: Callable[..., Any],
    rng: np.random.Generator,
    resamples: int = 2000,
) -> float:
    """Two-sided p of ``statistic(a, b, axis)`` of ``[N]``, ``[N]``, each identity's two values exchanged at random."""
    test = stats.permutation_test(
        pair,
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, BATCH_ELEMENTS // len(pair[0])),
        rng=rng,
    )
    return float(test.pvalue)


def jackknife_interval(
    value: float, leave_one_out: ArrayLike, bounds: Interval | None = None, level: float = 0.95
) -> Interval | None:
    """Interval of a statistic from its values without each identity in turn ``[N]``, N >= 2.

    ``value +- t(N - 1) sqrt((N - 1) / N sum (theta_i - mean theta)^2)``; between two finite `bounds` it is made on the
    scale of the logit of the value's place, where a value near a bound has the longer side away from it. For
    statistics of pairs, where resampling identities with replacement would pair an identity with its copy. At a bound
    it is the exact binomial interval, and None for fewer than six equal values, as in `mean_interval`.
    Source: Tukey 1958; the logit of a share: Agresti, "Categorical Data Analysis", section 3.1.
    """
    array = _vector(leave_one_out, "leave-one-out values")
    n = len(array)
    if n < 2:
        raise BenchError("a jackknife interval needs at least 2 identities, got 1.")
    is_constant = _constant(array)
    if known := _interval_without_spread(value, n, is_constant, bounds, level):
        return known
    if is_constant:
        return None
    error = np.sqrt((n - 1) / n * np.sum((array - array.mean()) ** 2))
    reach = float(stats.t.ppf((1 + level) / 2, n - 1) * error)
    low, high = bounds or (-np.inf, np.inf)
    place = (value - low) / (high - low) if np.isfinite(high - low) else np.nan
    if not 0 < place < 1:
        return around(value, reach, bounds)
    ends = special.expit(
        special.logit(place) + np.array([-1, 1]) * reach / (high - low) / (place * (1 - place))
    )
    below, above = low + (high - low) * ends
    return float(min(below, value)), float(max(above, value))


def around(value: float, reach: float, bounds: Interval | None) -> Interval:
    """``value +- reach``, cut to `bounds`."""
    low, high = bounds or (-np.inf, np.inf)
    return float(max(low, value - reach)), float(min(high, value + reach))


def pseudo_values(value: float, leave_one_out: ArrayLike) -> Vector:
    """Jackknife pseudo-values ``N theta - (N - 1) theta_(-i)`` of a statistic: ``[N]`` -> ``[N]``.

    What each identity adds: a paired test of two systems' pseudo-values tests their difference in a statistic of
    pairs, and their standard error is the jackknife's. Source: Tukey 1958.
    """
    array = _vector(leave_one_out, "leave-one-out values")
    return np.asarray(len(array) * value - (len(array) - 1) * array)


@lru_cache(maxsize=8)
def half_samples(n: int) -> NDArray[np.int64]:
    """Random halves of n identities, drawn without replacement: rows ``[HALVES, n // 2]``, sorted.

    They depend on n alone, so two systems on the same identities meet the same halves and can be paired.
    Raises BenchError below four identities.
    """
    if n < 4:
        raise BenchError(f"half-samples need at least 4 identities, got {n}.")
    random = np.random.default_rng(n)
    halves = np.stack([np.sort(random.permutation(n)[: n // 2]) for _ in range(HALVES)])
    halves.setflags(write=False)
    return halves


def half_sample_interval(
    value: float, replicates: ArrayLike, n: int, bounds: Interval | None = None, level: float = 0.95
) -> Interval | None:
    """Interval of a statistic of n identities from its values on `half_samples` ``[R]``.

    ``value +- t se``, ``se^2 = h / (n - h) var(replicates)`` with h = n // 2 (about 1 for halves), t of
    min(n, R) - 1 degrees, cut to `bounds`: the delete-d jackknife with d = n - h, which also holds where resampling
    with replacement fails because an identity would meet its own copy. It is an interval of what n identities give
    on average, with the bias of that n in it. At a bound it is at least the exact binomial interval of `mean_interval`,
    which alone would hide what the halves show: a share of 1 that half the people would not have had.
    Where pairs of identities weigh more than single ones (a distance between nearly equal laws, or in more
    dimensions than identities) it is up to 1.7 times too wide, never too narrow.
    Source: Shao and Wu 1989; Politis and Romano 1994.
    """
    array = _vector(replicates, "half-sample values")
    degrees = min(n, len(array)) - 1
    reach = float(stats.t.ppf((1 + level) / 2, degrees)) * half_sample_error(array, n)
    cut = around(value, reach, bounds)
    is_constant = _constant(np.append(array, value))
    known = _interval_without_spread(value, n, is_constant, bounds, level)
    if is_constant and not known:
        return None
    return (min(cut[0], known[0]), max(cut[1], known[1])) if known else cut


def half_sample_error(replicates: ArrayLike, n: int) -> float:
    """Standard error of a statistic (or of the difference of two, paired) from its values on half-samples."""
    half = n // 2
    return float(np.sqrt(half / (n - half) * np.var(_vector(replicates, "half-sample values"), ddof=1)))


def _vector(values: ArrayLike, what: str) -> Vector:
    array = np.asarray(values, dtype=np.float64)
    is_list = array.ndim == 1 and array.size > 0
    if not is_list or not np.isfinite(array).all():
        came = f"shape {list(array.shape)}{' with NaN or infinity' if is_list else ''}"
        raise BenchError(f"{what}: expected finite numbers [N], N >= 1, got {came}.")
    return array


def _constant(array: Vector) -> bool:
    return bool(np.ptp(array) <= ROUNDING * np.abs(array).max())


def _interval_without_spread(
    value: float, n: int, constant: bool, bounds: Interval | None, level: float
) -> Interval | None:
    """The interval where the spread of the values tells nothing about the mean's error; None elsewhere.

    With share the mean's place between the bounds and x = n share, Clopper-Pearson for real x: Beta(x,
    n - x + 1) and Beta(x + 1, n - x). A mean less than half an identity from a bound counts as there, so
    that one value a hair off the bound does not turn an interval of a per cent into one of a hair.
    """
    alone = (value, value) if constant and n >= FEWEST_EQUAL else None
    if bounds is None or not np.isfinite(bounds).all():
        return alone
    low, high = bounds
    x = n * (value - low) / (high - low)
    off_bound = _worth_off_bound(value, n, bounds)
    if constant and off_bound > ROUNDING * n:
        return alone
    if off_bound >= 0.5:
        return None
    tail = (1 - level) / 2
    below = stats.beta.ppf(tail, x, n - x + 1) if x > 0.5 else 0.0
    above = stats.beta.ppf(1 - tail, x + 1, n - x) if n - x > 0.5 else 1.0
    return float(low + (high - low) * below), float(low + (high - low) * above)


def _worth_off_bound(value: float, n: int, bounds: Interval) -> float:
    """How many of `n` identities on the far bound bring the mean from the near bound to `value`; inf without bounds."""
    low, high = bounds
    if not np.isfinite(bounds).all():
        return np.inf
    return n * min(value - low, high - value) / (high - low)
