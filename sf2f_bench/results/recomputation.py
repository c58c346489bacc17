"""Numbers of a record recomputed from what lies beside it: per-identity values, pseudo-values, half-samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.results.parts import own_column_of
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.statistics import intervals
from sf2f_bench.statistics.intervals import HALVES, half_sample_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Interval = tuple[float, float]

ROUNDING = 1e-9  # relative, below 1 absolute
SAME = 1e-6  # of an interval's width, where its ends follow from the values alone
RESAMPLED = (
    0.2  # likewise, where random resampling decides them: another version of SciPy may resample otherwise
)
# How far a value may lie from the mean of its pseudo-values, whichever is more: in standard errors (a tenth was seen on
# 300 identities), and in 1 / n, the order of a jackknife's bias (.18 was seen on 32).
BIAS, BIAS_OF_FEW = 0.3, 0.5
SHIFT, FACTOR = (
    10,
    4,
)  # standard errors, or times, that a value may be from its half-samples', which are biased
LARGEST = 1e100  # beyond it sums of squares overflow


def score_faults(
    column: str,
    score: ScoreRecord,
    people: pd.DataFrame,
    replicates: pd.DataFrame | None,
    own: bool = False,
    resampled: bool = True,
) -> Iterator[str]:
    """The faults of one number, whose values or replicates are in `column` of the tables.

    own: a metric of this package, whose interval must be what `statistics.intervals` makes of these values. Of
    another package's it need only be wide enough. resampled: False: not where random resampling decides it.
    """
    yield from out_of_bounds(column, score)
    if score.n > len(people):
        yield f"{column}: n = {score.n}, but there are {len(people)} identities"
    if score.basis is None:
        if column in people:
            yield f"{column}: has per-identity values but no basis, as older versions wrote it; run the benchmark again"
        return
    if (own_column := own_column_of(column)) in people:
        yield from _own_values(own_column, score, people[own_column].dropna().to_numpy(np.float64))
    values = _values(column, score, people, replicates)
    if isinstance(values, str):
        yield f"{column}: {values}"
        return
    faults = list(_value(column, score, values, own))
    yield from faults
    if not resampled and score.basis == "mean":
        return
    if own and not faults:
        yield from _interval(column, score, values)
    elif score.basis in ("pseudo-values", "replicates"):
        yield from _too_narrow(column, score, values)


def _values(
    column: str, score: ScoreRecord, people: pd.DataFrame, replicates: pd.DataFrame | None
) -> Vector | str:
    """What the number rests on, or why it cannot be read."""
    if score.basis == "replicates":
        if replicates is None or column not in replicates:
            return "rests on half-samples, but its replicates are missing"
        values = replicates[column].to_numpy(np.float64)
        good = int(np.isfinite(values).sum())
        return (
            values if good == len(values) == HALVES else f"expected {HALVES} finite replicates, found {good}"
        )
    if column not in people:
        return "its per-identity values are missing"
    values = people[column].dropna().to_numpy(np.float64)
    if not np.isfinite(values).all() or not len(values):
        return "its per-identity values are not finite numbers"
    if len(values) != score.n:
        return f"n = {score.n}, but {len(values)} identities have a value"
    return values


def _slack(score: ScoreRecord) -> float:
    return ROUNDING * max(1.0, abs(score.value))


def _bounds(score: ScoreRecord) -> Interval:
    low, high = score.card.bounds
    return -np.inf if low is None else low, np.inf if high is None else high


def out_of_bounds(column: str, score: ScoreRecord) -> Iterator[str]:
    """What in a value and its interval the metric's card or each other rule out."""
    low, high = score.interval or (score.value, score.value)
    slack = _slack(score)
    if not low - slack <= score.value <= high + slack:
        yield f"{column}: the interval {low:g} to {high:g} does not hold the value {score.value:g}"
    least, most = _bounds(score)
    for end in sorted({low, score.value, high}):
        if not least - slack <= end <= most + slack:
            yield f"{column}: {end:g} is outside the metric's bounds, {score.card.bounds[0]} to {score.card.bounds[1]}"
        elif abs(end) > LARGEST:
            yield f"{column}: {end:g} is no number that a metric gives"


def _value(column: str, score: ScoreRecord, values: Vector, own: bool) -> Iterator[str]:
    """Whether the value follows from what it rests on."""
    least, most = _bounds(score)
    slack = _slack(score)
    if score.basis != "pseudo-values" and not (
        least - slack <= values.min() and values.max() <= most + slack
    ):
        outside = values[(values < least - slack) | (values > most + slack)][0]
        yield f"{column}: {outside:g}, among the values that it rests on, is outside the metric's bounds"
        return
    if np.abs(values).max() > LARGEST:
        yield f"{column}: {np.abs(values).max():g}, among the values that it rests on, is no number that a metric gives"
        return
    averages: dict[str | None, Callable[[Vector], float]] = {"mean": np.mean, "median": np.median}
    if score.basis in averages:
        value = float(averages[score.basis](values))
        if abs(value - score.value) > slack:
            yield (
                f"{column}: the value is {score.value!r}, but the {score.basis} of its per-identity values is {value!r}"
            )
        return
    if score.basis == "replicates" and not own:
        return
    reach, least_shift = float(SHIFT), 3 / score.n
    if score.basis == "pseudo-values":
        reach, least_shift = (BIAS, BIAS_OF_FEW / score.n) if own else (1, 1 / score.n)
    allowed = max(reach * _error(score, values), least_shift) + slack
    is_of_their_size = (
        score.basis == "replicates" and 1 / FACTOR <= values.mean() / (score.value or np.inf) <= FACTOR
    )
    if abs(values.mean() - score.value) > allowed and not is_of_their_size:
        yield (
            f"{column}: the value is {score.value!r}, but its {score.basis} have the mean {values.mean():.6g}, more "
            f"than {reach:g} standard errors away ({allowed:.3g})"
        )


def _own_values(column: str, score: ScoreRecord, values: Vector) -> Iterator[str]:
    """Whether the value follows from the identities' own values that stand beside what its interval rests on."""
    average: Callable[[Vector], float] = np.median if score.basis == "replicates" else np.mean
    if len(values) != score.n or not np.isfinite(values).all():
        yield f"{column}: expected {score.n} finite values of identities, found {np.isfinite(values).sum()}"
    elif abs((value := float(average(values))) - score.value) > _slack(score):
        yield f"{column}: the value is {score.value!r}, but the {average.__name__} of these values is {value!r}"


def _error(score: ScoreRecord, values: Vector) -> float:
    if score.n < 2:
        return 0.0
    if score.basis == "replicates":
        return half_sample_error(values, score.n)
    return float(values.std(ddof=1) / np.sqrt(len(values)))


# ---------------------------------------------------------------- intervals


def _interval(column: str, score: ScoreRecord, values: Vector) -> Iterator[str]:
    """Whether the interval is what the values give, none where they give none."""
    possible = _possible(score, values)
    expected, found = next(possible, None), score.interval
    if expected is None or found is None:
        if expected:
            yield f"{column}: has no interval, but its values give {expected[0]:g} to {expected[1]:g}"
        elif found:
            yield f"{column}: has an interval, but these values give none"
        return
    tolerance = RESAMPLED if score.basis == "mean" else SAME
    if any(_alike(found, one, tolerance) for one in chain([expected], possible)):
        return
    if _as_share(score, expected, values):
        return
    state = "narrower than" if found[1] - found[0] < expected[1] - expected[0] else "another than"
    yield (
        f"{column}: the interval {found[0]:g} to {found[1]:g} about {score.value:g} is {state} the spread of its "
        f"{'values' if score.basis in ('mean', 'median') else score.basis} gives, {expected[0]:g} to {expected[1]:g}"
    )


def _possible(score: ScoreRecord, values: Vector) -> Iterator[Interval]:
    return filter(None, _all_possible(score, values))


def _all_possible(score: ScoreRecord, values: Vector) -> Iterator[Interval | None]:
    """By the code that makes intervals, with the same random numbers where it takes some; none where there is none."""
    bounds = _bounds(score)
    if score.basis == "median":
        yield intervals.median_interval(values)
    elif score.basis == "replicates":
        yield intervals.half_sample_interval(score.value, values, score.n, bounds)
    elif score.basis == "pseudo-values":
        if score.n > 1:
            without_each = (score.n * score.value - values) / (score.n - 1)
            yield intervals.jackknife_interval(score.value, without_each, bounds)
    else:
        seed = seed_of(score.metric, score.extractor)
        for used in (bounds, None):  # some metrics state bounds that their intervals do not use
            yield intervals.mean_interval(values, np.random.default_rng(seed), used)


def _alike(found: Interval, expected: Interval, tolerance: float) -> bool:
    width = expected[1] - expected[0]
    slack = tolerance * width + ROUNDING * max(1.0, *map(abs, expected))
    return all(abs(end - other) <= slack for end, other in zip(found, expected, strict=True))


def _as_share(score: ScoreRecord, expected: Interval, values: Vector) -> bool:
    """Whether it is the half-samples' interval widened to that of n single faces, as `metrics.common.share_score`."""
    if score.basis != "replicates" or score.interval is None or score.card.bounds != (0.0, 1.0):
        return False
    ones = (np.arange(score.n) < round(score.value * score.n)).astype(np.float64)
    single = intervals.mean_interval(ones, np.random.default_rng(0), (0.0, 1.0)) or expected
    slack = RESAMPLED * (single[1] - single[0])
    low, high = score.interval
    is_wide = low <= expected[0] + ROUNDING and high >= expected[1] - ROUNDING
    return (
        is_wide and low >= min(expected[0], single[0] - slack) and high <= max(expected[1], single[1] + slack)
    )


def _too_narrow(column: str, score: ScoreRecord, values: Vector) -> Iterator[str]:
    """Both ends must be a t-interval's reach from the value, or further, unless cut off at a bound.

    Less than half an identity's worth from a bound intervals are binomial (`intervals.mean_interval`): not checked.
    """
    bounds = [bound for bound in score.card.bounds if bound is not None]
    if (
        score.interval is None
        or score.n < 2
        or any(abs(score.value - bound) * score.n < 0.5 for bound in bounds)
    ):
        return
    draws = min(score.n, HALVES) if score.basis == "replicates" else len(values)
    reach = float(stats.t.ppf(0.975, draws - 1)) * _error(score, values)
    low, high = score.interval
    slack = reach * 1e-6 + _slack(score)
    near = [score.value - reach, score.value + reach]
    if score.basis == "pseudo-values":  # between two bounds the logit's ends may be nearer
        for least, most in _possible(score, values):
            near = [max(near[0], least), min(near[1], most)]
    if (low > near[0] + slack and low not in bounds) or (high < near[1] - slack and high not in bounds):
        yield (
            f"{column}: the interval {low:g} to {high:g} about {score.value:g} is narrower than the spread of its "
            f"{score.basis}, ±{reach:g}"
        )
