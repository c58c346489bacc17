"""What the metrics share: their defaults, their check of the features, and the ways from values to a `Score`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np

from sf2f_bench.statistics.intervals import (
    half_sample_interval,
    half_samples,
    jackknife_interval,
    mean_interval,
    pseudo_values,
)
from sf2f_bench.types import BenchError, Features, Metric, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench.metrics.arrays import Matrix
    from sf2f_bench.statistics.intervals import Interval

UNIT, SIGNED_UNIT = (0.0, 1.0), (-1.0, 1.0)
AT_LEAST_ZERO, AT_LEAST_ONE = (0.0, np.inf), (1.0, np.inf)
OWN_UNIT = "in a unit of the network's own"  # why a margin is relative


def card_of(metric: object) -> MetricCard:
    """What the metric says of itself; the default card for a metric that has none."""
    return getattr(metric, "card", None) or MetricCard()


def short_term(card: MetricCard) -> str:
    """``recall@10``, ``AUC``: for headings that name a part of the people or of the speech too."""
    return card.term if card.headline else card.heading.removeprefix(f"{card.family} ")


@dataclass(frozen=True)
class SuiteMetric:
    """A metric of this package: the defaults of `Metric`, and the check of the features before `_score`.

    Attributes that a metric does not state are these: version 1, higher is better, it needs an order, two identities.
    """

    version = 1

    @property
    def higher_is_better(self) -> bool:
        """The direction."""
        return True

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Metric`."""
        return ("ranking",)

    @property
    def min_n(self) -> int:
        """The fewest identities."""
        return 2

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Compare row by row; BenchError unless both sides hold the same identities and what the metric needs."""
        known, n = cast("Metric", self), len(real.identities)
        if real.identities != fake.identities:
            raise BenchError(
                f"{known.name}: the true side ({n}) and the generated side ({len(fake.identities)}) must hold the "
                "same identities in the same order."
            )
        if n < known.min_n:
            raise BenchError(f"{known.name} needs at least {known.min_n} identities, got {n}.")
        if missing := missing_needs(known, real, fake):
            raise BenchError(f"{known.name} needs {', '.join(sorted(missing))}, missing from these features.")
        for side, array in (("true", real.embeddings), ("generated", fake.embeddings)):
            if len(array) != n:
                raise BenchError(
                    f"{known.name}: {n} identities but {len(array)} embeddings on the {side} side."
                )
        return self._score(real, fake, rng)

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        raise NotImplementedError


OF_TRUE_SIDE = ("photos", "training_photos", "G", "N", "A", "GNA")  # other needs are of the generated side


def missing_needs(metric: Metric, real: Features, fake: Features) -> set[str]:
    """Which of the metric's needs these features do not meet."""
    missing = {need for need in metric.needs if need not in (real if need in OF_TRUE_SIDE else fake).offers}
    of_both_sides = {"samples", "training_likeness"} & set(metric.needs)
    return missing | (of_both_sides - real.offers)


def mean_score(values: Matrix, rng: np.random.Generator, bounds: Interval | None) -> Score:
    """The mean of per-identity values ``[N]`` with its bootstrap interval over identities."""
    return Score(float(values.mean()), len(values), mean_interval(values, rng, bounds), values)


def mean_of_known(values: Matrix, rng: np.random.Generator, bounds: Interval | None = UNIT) -> Score:
    """The mean of per-identity values ``[N]`` over those that are not NaN; NaN with n = 0 if all are."""
    known = values[~np.isnan(values)]
    if not known.size:
        return Score(np.nan, 0)
    return replace(mean_score(known, rng, bounds), per_identity=values)


def both_roles_score(own: Matrix, pseudo: Matrix, bounds: Interval = UNIT) -> Score:
    """The mean of per-identity values ``[N]`` that depend on the other identities too; NaN where one takes no part.

    pseudo: the jackknife pseudo-values ``[N]``, each identity left out as a probe and as everybody's rival. NaN with
    n = 0 where nobody takes part.
    """
    known = ~np.isnan(own)
    n = int(np.count_nonzero(known))
    if n < 2:
        return Score(float(own[known].mean()) if n else np.nan, n, None, own if n else None)
    value = float(own[known].mean())
    leave_one_out = (n * value - pseudo[known]) / (n - 1)
    interval = jackknife_interval(value, leave_one_out, bounds)
    return Score(value, n, interval, np.where(known, pseudo, np.nan), "pseudo-values", own=own)


def pair_score(value: float, leave_one_out: Matrix, bounds: Interval | None) -> Score:
    """A statistic of pairs with its jackknife interval over identities and their pseudo-values.

    leave_one_out: the statistic without each identity in turn, ``[N]``.
    """
    return Score(
        value,
        len(leave_one_out),
        jackknife_interval(value, leave_one_out, bounds),
        pseudo_values(value, leave_one_out),
        "pseudo-values",
    )


def sample_score(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    bounds: Interval | None,
    spread: float | None = None,
) -> Score:
    """A statistic of whole samples with its interval from half-samples; statistic: of the identities in some rows."""
    value = statistic(np.arange(n))
    replicates = np.array([statistic(rows) for rows in half_samples(n)])
    interval = half_sample_interval(value, replicates, n, bounds)
    return Score(value, n, interval, replicates=replicates, spread=spread)


def relative_score(plain: Score, bounds: Interval | None) -> Score:
    """The score of a positive statistic that grows with n, its replicates rescaled to its value.

    Half-samples give smaller values throughout, with a spread smaller in proportion. So the replicates are multiplied
    by value / their mean, which keeps their relative spread, and the interval is made from these.
    """
    values = cast("Matrix", plain.replicates)
    mean = float(values.mean())
    replicates = values * (plain.value / mean if mean > 0 else 1.0)
    interval = half_sample_interval(plain.value, replicates, plain.n, bounds)
    return replace(plain, replicates=replicates, interval=interval)


def share_score(values: Matrix, rng: np.random.Generator) -> Score:
    """The share of faces with a property that depends on the other faces.

    values: 0 or 1, ``[1 + halves, n]``, by the rows of `everybody_and_halves`; 0 for identities outside the set. The
    interval is that of the half-samples, widened to that of n single faces, which at 0 or 1 is binomial.
    """
    n = values.shape[1]
    value, *replicates = set_means(values)
    halves, single = half_sample_interval(value, replicates, n, UNIT), mean_interval(values[0], rng, UNIT)
    ends = [end for interval in (halves, single) if interval for end in interval]
    interval = (min(ends), max(ends)) if ends else None
    return Score(float(value), n, interval, replicates=np.array(replicates))


def set_means(values: Matrix) -> Matrix:
    """Mean over each set of `everybody_and_halves`: ``[1 + halves, n]``, 0 outside the set -> ``[1 + halves]``."""
    n = values.shape[1]
    return values.sum(axis=1) / np.where(np.arange(len(values)) == 0, n, n // 2)


@lru_cache(maxsize=2)
def everybody_and_halves(n: int) -> NDArray[np.bool_]:
    """Members of the set of all n identities, then of each half-sample: bool ``[1 + halves, n]``, read-only."""
    halves = half_samples(n)
    members = np.zeros((1 + len(halves), n), bool)
    members[0] = True
    members[np.arange(1, len(members))[:, None], halves] = True
    members.setflags(write=False)
    return members
