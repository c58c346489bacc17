"""Several faces for one voice, by a system that draws them: their best, their mean, and how unlike each other they are.

The draws are independent, and the first is the face by which all other metrics score the system. A system that
generates one face for a voice has none of these numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, matrix, unit_rows
from sf2f_bench.metrics.closeness import TIE_TOLERANCE
from sf2f_bench.metrics.common import (
    AT_LEAST_ZERO,
    SuiteMetric,
    both_roles_score,
    card_of,
    mean_score,
    pair_score,
    short_term,
)
from sf2f_bench.metrics.diversity import mean_distance, mean_distance_leave_one_out
from sf2f_bench.metrics.lengths import OfOtherSpeech
from sf2f_bench.metrics.retrieval import (
    Ranking,
    Recall,
    best_of_pseudo_values,
    chance_of_best,
    expected_recall,
    ranking,
)
from sf2f_bench.metrics.subgroups import with_subgroups
from sf2f_bench.types import BenchError, Features, Metric, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cube = NDArray[np.float64]

TABLE = "draws"
OF_ALL, OF_DIVERSITY = 100, 200  # places in the table, behind those of the best of 2 .. 64


def best_recalls(orders: Sequence[Ranking], gallery_size: int | None, k: int) -> Matrix:
    """Each identity's largest `retrieval.expected_recall` of its draws ``[N]``; orders: of each draw's faces.

    Formula: ``max over d = 1 .. K of r_di``, r_di the expected recall of draw d of person i.
    """
    n = len(orders[0].better)
    return np.asarray(
        np.max([expected_recall(one.better, one.ties, n, gallery_size, k) for one in orders], axis=0)
    )


def mean_of_draws(draws: Any) -> Matrix:
    """The mean of each identity's draws at length 1: ``[K, N, D]`` -> ``[N, D]``, not at length 1 again.

    Formula: ``(1 / K) sum over d of x_d / |x_d|``.
    """
    return np.asarray(_unit(draws, 1).mean(axis=0))


def distance_of_draws(draws: Any) -> Matrix:
    """Mean cosine distance of all pairs of each identity's draws: ``[K, N, D]``, K >= 2 -> ``[N]`` in 0 .. K / (K - 1).

    Every pair, in O(K N D); what is equal to rounding is 0.

    Formula: ``1 - (|sum u|^2 - sum |u|^2) / (K (K - 1))`` with u a person's draws at length 1.
    """
    unit = _unit(draws, 2)
    count, total = len(unit), unit.sum(axis=0)
    alike = np.einsum("nd,nd->n", total, total) - np.einsum("knd,knd->n", unit, unit)
    distance = 1 - alike / (count * (count - 1))
    return np.where(distance > TIE_TOLERANCE, distance, 0.0)


def relative_distance(draws: Any) -> float:
    """Mean of `distance_of_draws` over the mean distance between people's faces; NaN where these are one face.

    draws: ``[K, N, D]``, K >= 2, N >= 2.

    Formula: mean over people of `distance_of_draws`, over the mean over draws of `diversity.mean_distance`.
    """
    within, between = distance_of_draws(draws), np.mean([mean_distance(faces) for faces in draws])
    return float(within.mean() / between) if between > TIE_TOLERANCE else float("nan")


def relative_distance_leave_one_out(draws: Any) -> Matrix:
    """`relative_distance` without identity i, for each i: ``[K, N, D]`` -> ``[N]``, N >= 3."""
    within = distance_of_draws(draws)
    between = np.mean([mean_distance_leave_one_out(faces) for faces in draws], axis=0)
    others = (within.sum() - within) / (len(within) - 1)
    return np.asarray(others / np.where(between > TIE_TOLERANCE, between, np.nan))


def _unit(draws: Any, at_least: int) -> Cube:
    """Draws ``[K, N, D]`` as float64 at length 1; BenchError for other shapes, fewer draws, NaN and infinity."""
    array = np.asarray(draws)
    if array.ndim != 3 or len(array) < at_least:
        raise BenchError(
            f"draws: expected [K, N, D] with K >= {at_least} faces for each voice, got shape {list(array.shape)}."
        )
    return np.stack([unit_rows(matrix(faces, "draws")) for faces in array])


def _draws(fake: Features, count: int | None = None) -> Any:
    """The first `count` draws of everybody, or all; BenchError where there are fewer, or not of these identities."""
    draws, n = np.asarray(fake.draws), len(fake.identities)
    if draws.ndim != 3 or draws.shape[1] != n or len(draws) < (count or 2):
        raise BenchError(
            f"draws: expected [K, {n}, D], {count or 2} faces or more for each voice, got {list(draws.shape)}."
        )
    return draws[:count]


@lru_cache(maxsize=2)
def _rankings(real: Features, fake: Features) -> tuple[Ranking, ...]:
    """Of every draw's faces among the true identities, once for all metrics that need them."""
    return tuple(ranking(faces, real.embeddings, "cosine") for faces in _draws(fake))


@dataclass(frozen=True)
class BestOf(OfOtherSpeech, SuiteMetric):  # type: ignore[override]  # version: the metric's own
    """Recall@k of the best of K draws: how often one of K faces for a voice would have found the person.

    Of each person the largest of the first K draws' own recalls, each expected over all galleries of one size. Who
    picks the best draw must know the person, so this is no recall that anybody could reach: it says whether the right
    face is among those that the system thinks possible. Its chance is what K independent random rankings would
    reach; it depends on K and on the number of test people, and stands in the heading.

    The interval is a jackknife over both roles of an identity, as that of recall: with all its draws as a probe, and as
    a rival of every draw of everybody else.

    Formula: mean over i of ``max over d = 1 .. K of r_di``, r_di the expected recall of draw d of person i.
    Range: 0..1; chance that of `retrieval.chance_of_best`, exact.
    Direction: higher is better.
    Computed by: `retrieval.chance_of_best`, `draws.best_recalls`.
    Source: this suite; the best of K samples as in stochastic prediction (Gupta et al. 2018, arXiv 1803.10892).
    Pitfall: it grows with K by luck alone, and noise has more of that luck than a system that draws one face again and
    again: compare with its own chance, and systems at one K.
    """

    draws: int
    people: int

    needs = ("draws",)

    @property
    def recall(self) -> Recall:
        """What is computed of each draw."""
        return cast("Recall", self.metric)

    @property
    def name(self) -> str:
        """``recall@10/g100/best-of-8``."""
        return f"{self.metric.name}/best-of-{self.draws}"

    @property
    def min_n(self) -> int:
        """The recall's own."""
        return self.metric.min_n

    @property
    def card(self) -> MetricCard:
        """The recall's own, with the chance of the best of so many draws, which its heading names."""
        whole, recall = card_of(self.metric), self.recall
        guess = chance_of_best(self.people, recall.gallery_size, recall.k, self.draws)
        shown = f"{guess:.3f}".removeprefix("0")
        card = self.point(
            {"best of": self.draws},
            f"{short_term(whole)} best of {self.draws} (chance {shown})",
            {TABLE: 9},
            {TABLE: self.draws},
        )
        return replace(card, chance=guess)

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        _draws(fake, self.draws)
        orders, of = _rankings(real, fake)[: self.draws], (self.recall.gallery_size, self.recall.k)
        return both_roles_score(best_recalls(orders, *of), best_of_pseudo_values(orders, *of))


@dataclass(frozen=True)
class MeanOf(OfOtherSpeech, SuiteMetric):  # type: ignore[override]  # likewise
    """A metric of the mean of K draws: the query is the mean of the faces' embeddings at length 1.

    A mean of draws loses what the system made up and keeps what the voice decided, so it is the best single query that
    the draws give without knowing the person.

    Range: 0..1; chance the metric's own.
    Direction: higher is better.
    Computed by: `draws.mean_of_draws`.
    Source: this suite; the mean of embeddings at length 1 is also what a person's template is.
    Pitfall: it is a query and no face: nobody can look at it.
    """

    draws: int

    needs = ("draws",)

    @property
    def name(self) -> str:
        """``recall@10/g100/mean-of-8``."""
        return f"{self.metric.name}/mean-of-{self.draws}"

    @property
    def min_n(self) -> int:
        """The metric's own."""
        return self.metric.min_n

    @property
    def card(self) -> MetricCard:
        """The metric's own, in the table of draws."""
        whole = card_of(self.metric)
        return self.point(
            {"mean of": self.draws},
            f"{short_term(whole)} mean of {self.draws}",
            {TABLE: 8 if whole.headline else 5},
            {TABLE: OF_ALL + (not whole.headline)},
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        mean = mean_of_draws(_draws(fake, self.draws))
        return self.metric(real, replace(fake, embeddings=mean, draws=None), rng)


@dataclass(frozen=True)
class DrawDiversity(SuiteMetric):
    """Mean cosine distance between the faces that were drawn for one voice.

    Range: 0..2; 0 where a voice always gets the same face.
    Direction: higher is better.
    Computed by: `draws.distance_of_draws`.
    Source: the mean pairwise distance of Zhu et al. 2017 (arXiv 1711.11586), by the extractor's cosine.
    Pitfall: noise is diverse, so higher is better only as far as the voice still decides the face: read it beside the
    value relative to that between people, and beside the recall of the mean.
    """

    name = "diversity/one-voice"
    needs = ("draws",)
    card = MetricCard(
        "diversity-for-one-voice",
        "diversity",
        heading="diversity for one voice",
        bounds=(0.0, 2.0),
        tables={TABLE: 7},
        order={TABLE: OF_DIVERSITY},
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities; the interval is a bootstrap over them."""
        return mean_score(distance_of_draws(_draws(fake)), rng, None)


@dataclass(frozen=True)
class RelativeDrawDiversity(SuiteMetric):
    """Diversity for one voice over the diversity between people: how much of what varies the voice does not decide.

    Absent where all people have one face, which has no diversity to compare with.

    Range: 0 or more; 0 where a voice always gets the same face, 1 where two faces for one voice are as unlike as the
    faces of two people: the voice does not matter.
    Direction: higher is better.
    Computed by: `draws.relative_distance`.
    Source: this suite.
    Pitfall: neither end is good, and near 1 higher is worse: read it beside the recall of the mean, which falls where
    the voice does not matter.
    """

    name = "diversity/one-voice/relative"
    needs = ("draws",)
    min_n = 3
    card = MetricCard(
        "relative-diversity-for-one-voice",
        "diversity",
        heading="over that between people",
        bounds=(0.0, None),
        tables={TABLE: 7},
        order={TABLE: OF_DIVERSITY + 1},
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Of all pairs; the interval is a jackknife over identities."""
        draws = _draws(fake)
        value, without_each = relative_distance(draws), relative_distance_leave_one_out(draws)
        if not np.isfinite([value, *without_each]).all():
            return Score(np.nan, len(real.identities))
        return pair_score(value, without_each, AT_LEAST_ZERO)


def counts_up_to(draws: int) -> list[int]:
    """Of how many draws the best is computed: powers of two, and all of them."""
    return sorted({*(2**power for power in range(1, draws.bit_length())), draws} - {1})


def draw_metrics(metrics: Iterable[Metric], people: int, draws: int) -> list[Metric]:
    """The metrics of so many draws for each voice of so many people; metrics: of one face, see `with_subgroups`."""
    metrics = with_subgroups(metrics)
    recalls = [metric for metric in metrics if isinstance(metric, Recall)]
    best = [BestOf(metric, count, people) for metric in recalls for count in counts_up_to(draws)]
    mean = [MeanOf(metric, draws) for metric in metrics]
    return cast("list[Metric]", [*best, *mean, DrawDiversity(), RelativeDrawDiversity()])
