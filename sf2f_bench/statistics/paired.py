"""Paired tests of two systems on the same identities, with one training seed each or several.

What is compared is whatever a score keeps for it (its basis, see `sf2f_bench.types.Score`):

- "mean": the mean of the identities' differences; BCa bootstrap and sign flip;
- "median": the difference of the two medians; percentile bootstrap over identities, and the permutation test that
  exchanges an identity's two values at random;
- "pseudo-values": the difference of the two values; its error from the differences of the pseudo-values, Student's t;
- "replicates": the difference of the two values; its error from the differences on the same half-samples, t.

With several training seeds a difference has two sources of error, the identities and the seeds, and every basis is
treated alike: see `compare_scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import optimize, special, stats

from sf2f_bench.statistics.intervals import (
    BATCH_ELEMENTS,
    ROUNDING,
    around,
    exchange_test,
    half_sample_error,
    half_samples,
    paired_difference,
)
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from sf2f_bench.statistics.intervals import Interval

    Array = NDArray[np.float64]

Basis = Literal["mean", "median", "pseudo-values", "replicates"]
SIGNIFICANT = 0.05  # of q, below which a difference is shown
LEVEL, POWER = 0.95, 0.8  # of intervals; of `Comparison.detectable`
SMALLEST_TAIL = 1e-100


class Error(NamedTuple):
    """A part of a difference's error."""

    variance: float
    degrees: float  # of freedom


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric of one system with S training seeds on n identities.

    values ``[S]``: the metric's value; parts: per-identity or pseudo-values ``[S, n]``, or replicates ``[S, R]``,
    as `basis` says. seeds: of the S trainings; none for an anchor, which a training seed could not change. mean_of: a
    single row may be the mean of so many seeds.
    """

    values: Array
    parts: Array
    basis: Basis
    n: int
    seeds: tuple[int, ...] = ()
    mean_of: int = 1

    def __post_init__(self) -> None:
        columns = self.parts.shape[1] if self.parts.ndim == 2 else 0
        wanted = columns if self.basis == "replicates" else self.n
        if self.parts.shape != (len(self.values), wanted) or self.n < 2 or columns < 2:
            raise BenchError(
                f"expected values [seeds] and {self.basis} [seeds, {self.n} identities], at least two identities, "
                f"got {list(self.values.shape)} and {list(self.parts.shape)}."
            )
        if self.seeds and len(set(self.seeds)) != len(self.values):
            raise BenchError(f"expected {len(self.values)} different training seeds, got {list(self.seeds)}.")
        if not (np.isfinite(self.values).all() and np.isfinite(self.parts).all()):
            raise BenchError("a paired comparison needs finite numbers, got NaN or infinity.")


@dataclass(frozen=True)
class Comparison:
    """A minus B. `detectable`: the smallest true difference that the test shows in 80 % of all cases.

    interval: of the difference; p: two-sided; n: identities. detectable is ``(t_.975 + t_.80) standard error`` (1.96 +
    0.84 for many identities), None where the identities' differences have no spread to judge by.
    """

    effect: float
    interval: Interval
    p: float
    n: int
    detectable: float | None


def compare_scores(a: Measured, b: Measured, rng: np.random.Generator) -> Comparison:
    """The difference of one metric between two systems, paired by identity.

    One seed each: the module's tests, which hold for these two trained models alone. Several seeds on one side at
    least: the difference of the systems' means over seeds, for new seeds and new identities. Its error has two parts:
    the seeds', by Student's t, and the identities', less the noise that the first holds already; the interval adds
    each part's reach squared (MOVER: Graybill and Wang 1980). The same seeds on both sides are taken in pairs, for
    they share batches, noise and often a first stage of training; other seeds are independent draws, with Welch's
    degrees of freedom, and a trained side with a single seed is taken to vary as the other.
    Two seeds have a t of 12.7, three of 4.3, five of 2.8: few seeds show little, and the intervals are wide for it. A
    bootstrap over two to five seeds hides that: its intervals cover 65 to 90 % where seeds differ.
    Raises BenchError where the two do not pair.
    """
    by_exchange = _by_exchange(a, b)
    if _equal_but_for_rounding(a, b):
        return Comparison(0.0, (0.0, 0.0), 1.0, a.n, None)
    if not by_exchange:
        return _by_errors(_effect(a, b), errors_between(a, b), a.n)
    return _by_sign_flip(a, b, rng) if a.basis == "mean" else _by_medians(a, b, rng)


def of_these_trainings(a: Measured, b: Measured) -> tuple[Measured, Measured]:
    """Each side's mean over its seeds as one row, whose error is that of new identities alone."""
    if max(len(a.values), len(b.values)) > 1:
        a, b = _with_replicates(a), _with_replicates(b)
    return _mean_row(a), _mean_row(b)


def _mean_row(side: Measured) -> Measured:
    values, parts = side.values.mean(keepdims=True), side.parts.mean(axis=0, keepdims=True)
    return replace(side, values=values, parts=parts, seeds=())


def seeds_interval(values: ArrayLike, bounds: Interval | None = None) -> tuple[float, Interval]:
    """Mean of ``[S seeds, N identities]`` and its interval for new seeds and new identities, cut to `bounds`.

    ``reach^2 = t(S - 1)^2 V_seeds + t(N - 1)^2 max(0, V_identities - V_noise)``: V_seeds is the variance of the S
    means over S, V_identities that of the identities' means over N; both hold V_noise, what neither explains.
    It covers 95 to 99 % for S = 2, to 98 % for S = 3, to 97 % for S = 5, and is wide: t is 12.7, 4.3, 2.8.
    Raises BenchError for fewer than two seeds or identities.
    """
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if array.ndim != 2 or len(array) < 2:
        raise BenchError(f"an interval over seeds needs values [seeds >= 2, N], got {list(array.shape)}.")
    sample = Measured(array.mean(axis=1), array, "mean", array.shape[1], tuple(range(len(array))))
    return float(array.mean()), interval_of_mean(sample, bounds)


def interval_of_mean(side: Measured, bounds: Interval | None = None) -> Interval:
    """Of a metric's mean over two seeds or more, whatever its basis, as `seeds_interval` gives it."""
    side = _with_replicates(side)
    return around(float(side.values.mean()), reach(_errors(side), (1 - LEVEL) / 2), bounds)


def _by_exchange(a: Measured, b: Measured) -> bool:
    """Whether the tests of one seed hold that exchange an identity's two values at random."""
    if (a.basis, a.n, a.parts.shape[1]) != (b.basis, b.n, b.parts.shape[1]):
        raise BenchError(
            f"a paired comparison needs the same basis and the same identities on both sides, got {a.basis} of {a.n} "
            f"and {b.basis} of {b.n}."
        )
    return len(a.values) == len(b.values) == 1 and a.basis in ("mean", "median")


def _effect(a: Measured, b: Measured) -> float:
    return float(a.values.mean() - b.values.mean())


def _equal_but_for_rounding(a: Measured, b: Measured) -> bool:
    """Whether values and parts are the same numbers added up in another order: no test of that is worth its p."""
    scale = ROUNDING * float(max(np.abs(a.values).max(), np.abs(b.values).max()))
    if abs(_effect(a, b)) > scale or a.parts.shape[1:] != b.parts.shape[1:]:
        return False
    # A pseudo-value holds the rounding of n values.
    return bool(np.abs(a.parts.mean(axis=0) - b.parts.mean(axis=0)).max() <= 10 * a.n * scale)


def _by_sign_flip(a: Measured, b: Measured, rng: np.random.Generator) -> Comparison:
    effect, interval, p = paired_difference(a.parts[0], b.parts[0], rng)
    if interval is None:
        raise BenchError(f"the differences of {a.n} identities are all equal: too few for an interval.")
    return Comparison(effect, interval, p, a.n, _detectable(_errors(a, b)))


def _by_medians(a: Measured, b: Measured, rng: np.random.Generator) -> Comparison:
    """Both resample identities; scipy's permutation type "samples" exchanges an identity's two values."""
    pair = (a.parts[0], b.parts[0])
    if np.array_equal(*pair):
        return Comparison(0.0, (0.0, 0.0), 1.0, a.n, None)
    bootstrap = stats.bootstrap(
        pair,
        _median_difference,
        paired=True,
        vectorized=True,
        n_resamples=2000,
        batch=max(1, BATCH_ELEMENTS // a.n),
        confidence_level=LEVEL,
        method="percentile",
        rng=rng,
    )
    p = exchange_test(pair, _median_difference, rng)
    low, high = map(float, bootstrap.confidence_interval)
    detectable = _detectable([Error(float(bootstrap.standard_error) ** 2, a.n - 1)])
    return Comparison(_effect(a, b), (low, high), p, a.n, detectable)


def _median_difference(a: Array, b: Array, axis: int) -> Array:
    return np.asarray(np.median(a, axis=axis) - np.median(b, axis=axis))


def _by_errors(effect: float, errors: Sequence[Error], n: int) -> Comparison:
    interval = around(effect, reach(errors, (1 - LEVEL) / 2), None)
    return Comparison(effect, interval, _p_value(effect, errors), n, _detectable(errors))


# ---------------------------------------------------------------- variances


def _difference(a: Measured, b: Measured) -> Measured:
    """Seed by seed, of sides with the same seeds in the same order."""
    return replace(a, values=a.values - b.values, parts=a.parts - b.parts)


def errors_between(a: Measured, b: Measured) -> list[Error]:
    """Of the difference of the two means over seeds: the same seeds in pairs, others apart."""
    left, right = _with_replicates(a), _with_replicates(b)
    sides = [_difference(left, right)] if len(a.seeds) > 1 and a.seeds == b.seeds else [left, right]
    return _errors(*sides)


def _errors(*sides: Measured) -> list[Error]:
    """Of the first side's mean over seeds, less the second's where there is one: the identities' error, the seeds'.

    The seeds' error holds noise of the identities within a seed, which the first error holds too and is rid of. A
    trained side with a single seed is assumed to vary with its seed as the other side does.
    """
    first, *rest = sides
    parts = first.parts.mean(axis=0)
    for side in rest:
        parts = parts - side.parts.mean(axis=0)
    identities = Error(_variance(parts, first), _count(first) - 1)
    if not np.isfinite(identities.variance):
        raise BenchError("a paired comparison needs numbers whose squares do not overflow.")
    spreads = [_spread_of_seeds(side) for side in sides if len(side.seeds) > 1]
    if not spreads:
        return [identities]
    single_seeds = sum(1 / side.mean_of for side in sides if len(side.seeds) == 1)
    weights = [1 / spread.seeds + single_seeds for spread in spreads]
    noise = sum(weight * spread.noise for weight, spread in zip(weights, spreads, strict=True))
    return [
        Error(max(0.0, identities.variance - noise), identities.degrees),
        _welch([weight * spread.variance for weight, spread in zip(weights, spreads, strict=True)], spreads),
    ]


class _SpreadOfSeeds(NamedTuple):
    """How one side varies over its seeds."""

    seeds: int
    variance: float  # of one seed's value
    noise: float  # the part of it that the identities' noise within a seed explains


def _spread_of_seeds(side: Measured) -> _SpreadOfSeeds:
    residuals = side.parts - side.parts.mean(axis=0)
    noise = sum(_variance(row, side) for row in residuals) / (len(residuals) - 1)
    return _SpreadOfSeeds(len(side.values), float(side.values.var(ddof=1)), noise)


def _welch(variances: Sequence[float], spreads: Sequence[_SpreadOfSeeds]) -> Error:
    """Sum of the sides' variances with Welch and Satterthwaite's degrees of freedom."""
    total = float(sum(variances))
    denominator = sum(
        variance**2 / (spread.seeds - 1) for variance, spread in zip(variances, spreads, strict=True)
    )
    return Error(total, total**2 / denominator if denominator else 1.0)


def _count(side: Measured) -> int:
    """How many values a variance over identities rests on."""
    return side.n if side.basis != "replicates" else min(side.n, side.parts.shape[1])


def _variance(parts: Array, side: Measured) -> float:
    """Variance of the statistic that these parts ``[n]`` or ``[R]`` belong to, over identities."""
    if side.basis == "replicates":
        return half_sample_error(parts, side.n) ** 2
    return float(parts.var(ddof=1)) / side.n


def _with_replicates(side: Measured) -> Measured:
    """A median as a statistic known by its values on half-samples, which the delete-d jackknife was made for."""
    if side.basis != "median":
        return side
    medians = np.median(side.parts[:, half_samples(side.n)], axis=-1)  # [S, R]
    return replace(side, parts=medians, basis="replicates")


# ---------------------------------------------------------------- from errors to intervals and tests


def reach(errors: Sequence[Error], tail: float) -> float:
    """Half the width of the interval that leaves `tail` on either side."""
    squares = (variance * special.stdtrit(degrees, tail) ** 2 for variance, degrees in errors)
    return float(np.sqrt(sum(squares)))


def _p_value(effect: float, errors: Sequence[Error]) -> float:
    """Twice the tail whose interval ends at zero."""
    if effect == 0 or reach(errors, SMALLEST_TAIL) <= abs(effect):
        return float(effect == 0)
    if len(errors) == 1:
        (only,) = errors
        return float(2 * special.stdtr(only.degrees, -abs(effect) / np.sqrt(only.variance)))

    def beyond(exponent: float) -> float:
        return reach(errors, 10**exponent) - abs(effect)

    return float(min(1.0, 2 * 10 ** optimize.brentq(beyond, np.log10(SMALLEST_TAIL), np.log10(0.5))))


def _detectable(errors: Sequence[Error]) -> float | None:
    """``(t_.975 + t_.80) standard error``, the parts of the error added in squares; None where there is no error."""
    parts = [
        variance * (stats.t.ppf(0.975, degrees) + stats.t.ppf(POWER, degrees)) ** 2
        for variance, degrees in errors
    ]
    return float(np.sqrt(sum(parts))) or None
