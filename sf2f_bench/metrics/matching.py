"""Matching and retrieval among people of one stratum: the same gender, nationality or age group.

A system that hears nothing but the gender is nearer than every second stranger, but not than strangers of the
speaker's own gender. So the association literature takes the others from the probe's own stratum; within it the
gender oracle is at chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import aligned
from sf2f_bench.metrics.common import UNIT, SuiteMetric, both_roles_score
from sf2f_bench.metrics.retrieval import (
    RECALL_MARGIN,
    Ranking,
    expected_recall,
    ranking,
    ranking_of,
    recall_pseudo_values,
)
from sf2f_bench.types import BenchError, Features, Margin, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sf2f_bench.metrics.retrieval import Counts


# Priorities of recall and of matching 1:2 within it.
STRATA = {"G": (9, 7), "N": (6, 1), "A": (5, 0), "GNA": (8, 2)}


def rankings_within(
    probes: ArrayLike | Any, gallery: ArrayLike | Any, strata: Sequence[str | None]
) -> Iterator[tuple[Counts, Ranking]]:
    """The rows of each stratum and their `retrieval.ranking` among themselves.

    probes, gallery: ``[N, D]``, row i's answer is row i; strata: the stratum of each row, None where not known.
    Cosine, ties within 1e-12. Raises BenchError for inputs that `retrieval.ranking` refuses, or another number of
    strata than rows.
    """
    left, right = aligned(probes, gallery)
    if len(strata) != len(left):
        raise BenchError(f"expected a stratum (or None) for each of {len(left)} rows, got {len(strata)}.")
    labels = np.array(["" if stratum is None else f"={stratum}" for stratum in strata])
    for label in np.unique(labels[labels != ""]):
        rows = np.flatnonzero(labels == label)
        yield rows, ranking(left[rows], right[rows])


@dataclass(frozen=True)
class Matching(SuiteMetric):
    """How often the generated face is nearer to the right person than to N - 1 others.

    Expected over ALL choices of the others, ties by expectation: recall@1 with galleries of N. With a stratum
    ("G", "N", "A", "GNA") the others are of the probe's own; identities whose stratum is smaller than N or not known
    are excluded.

    Range: 0..1; chance 1 / N, knowing only the gender more, but not within a gender.
    Direction: higher is better.
    Computed by: `retrieval.expected_recall`, `matching.rankings_within`.
    Source: 1:N matching of Nagrani et al. 2018 (arXiv 1804.00326), strata of Nagrani et al. 2018 (arXiv 1805.00833).
    Pitfall: published values rest on sampled candidates and on each list's own strata: compare in kind only.
    """

    candidates: int  # N, the right one included
    stratum: str | None = None

    @property
    def name(self) -> str:
        """``matching/1:2`` or ``matching/1:2/G``."""
        return f"matching/1:{self.candidates}" + (f"/{self.stratum}" if self.stratum else "")

    @property
    def needs(self) -> tuple[str, ...]:
        """An order, and the stratum."""
        return ("ranking", self.stratum) if self.stratum else ("ranking",)

    @property
    def min_n(self) -> int:
        """As many identities as candidates."""
        return self.candidates

    @property
    def card(self) -> MetricCard:
        """1:2 stands beside retrieval and within each stratum, 1:10 beside the strata."""
        parameters: dict[str, str | int | float] = {"distractors": self.candidates - 1}
        tables, place = {2: ({"retrieval": 0}, 4), 10: ({"strata": 4}, 8)}.get(self.candidates, ({}, 0))
        if self.stratum:
            parameters["stratum"] = self.stratum
            tables = {"strata": STRATA[self.stratum][1]} if self.candidates == 2 else {}
            place = len(STRATA) + list(STRATA).index(self.stratum)
        is_two = self.candidates == 2
        return MetricCard(
            "matching",
            "identity",
            parameters,
            heading=f"matching 1:{self.candidates}" + (f" within {self.stratum}" if self.stratum else ""),
            bounds=UNIT,
            chance=1 / self.candidates,
            margin=Margin(0.03, "as the AUC, which it estimates") if is_two else Margin(0.05, "as recall"),
            shown=("judge",) if is_two and not self.stratum else (),
            tables=tables,
            order=dict.fromkeys(tables, place),
            smooth=False,
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over the identities included; the interval is a jackknife over both of their
        roles, probe and rival. NaN with n = 0 for none."""
        n = len(real.identities)
        if self.stratum:
            return RecallWithin(1, self.candidates, self.stratum)._score(real, fake, rng)
        order = ranking_of(real, fake, "cosine")
        values = expected_recall(order.better, order.ties, n, self.candidates, 1)
        return both_roles_score(values, recall_pseudo_values(order, self.candidates, 1))


@dataclass(frozen=True)
class RecallWithin(SuiteMetric):
    """Recall@k in galleries of the probe's own stratum, expected over all of them.

    Identities whose stratum is smaller than the gallery or not known are excluded.

    Range: 0..1; chance k / gallery size, for the gender oracle too.
    Direction: higher is better.
    Computed by: `matching.rankings_within`, `retrieval.expected_recall`.
    Source: strata of Nagrani et al. 2018 (arXiv 1805.00833), with recall in place of 1:N matching.
    Pitfall: only identities of large strata are included: read the n, and do not compare it with the n of all.
    """

    k: int
    gallery_size: int
    stratum: str

    @property
    def name(self) -> str:
        """``recall@10/g100/G``."""
        return f"recall@{self.k}/g{self.gallery_size}/{self.stratum}"

    @property
    def needs(self) -> tuple[str, ...]:
        """An order, and the stratum."""
        return "ranking", self.stratum

    @property
    def min_n(self) -> int:
        """As many identities as the gallery holds."""
        return max(2, self.gallery_size)

    @property
    def card(self) -> MetricCard:
        """The headline's recall within a stratum."""
        return MetricCard(
            "recall",
            "identity",
            {"k": self.k, "gallery": self.gallery_size, "stratum": self.stratum},
            heading=f"recall@{self.k} g{self.gallery_size} within {self.stratum}",
            bounds=UNIT,
            chance=min(1.0, self.k / self.gallery_size),
            margin=RECALL_MARGIN,
            tables={"strata": STRATA[self.stratum][0]},
            order={"strata": list(STRATA).index(self.stratum)},
            smooth=False,
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over the identities included; the interval is a jackknife over both of their
        roles, probe and rival. NaN with n = 0 for none."""
        values, pseudo = np.full((2, len(real.identities)), np.nan)
        for rows, order in _rankings_within(real, fake, self.stratum):
            if len(rows) >= self.gallery_size:
                counts = order.better, order.ties, len(rows)
                values[rows] = expected_recall(*counts, self.gallery_size, self.k)
                pseudo[rows] = recall_pseudo_values(order, self.gallery_size, self.k)
        return both_roles_score(values, pseudo)


@lru_cache(maxsize=1)  # all metrics of one stratum come one after the other
def _rankings_within(real: Features, fake: Features, stratum: str) -> list[tuple[Counts, Ranking]]:
    return list(rankings_within(fake.embeddings, real.embeddings, real.strata[stratum]))
