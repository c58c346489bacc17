"""Matching, retrieval within strata, mean average precision and the equal error rate, as `Metric` objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from sf2f_bench.metrics import retrieval
from sf2f_bench.metrics.matching import StratumRanks, expected_recall_within, ranks_within
from sf2f_bench.metrics.precision import average_precisions
from sf2f_bench.metrics.table import RECALL_MARGIN, UNIT, check, mean_score, ranks_of, sample_score
from sf2f_bench.metrics.verification import EqualErrorRates
from sf2f_bench.protocols.names import headline_k
from sf2f_bench.statistics.intervals import mean_interval
from sf2f_bench.types import BenchError, Features, Margin, Metric, MetricCard, Score

if TYPE_CHECKING:
    from sf2f_bench.metrics.arrays import Matrix

CANDIDATES = range(2, 11)  # of 1:N matching, as the association literature has it
STRATA = ("G", "N", "A", "GNA")
CANDIDATES_WITHIN = (2, 10)  # of 1:N matching within a stratum
RECALL_PRIORITIES = dict(zip(STRATA, (9, 6, 5, 8), strict=True))
MATCHING_PRIORITIES = dict(zip(STRATA, (7, 1, 0, 2), strict=True))


def matching_metrics(gallery_size: int, ks: Sequence[int], n_test: int) -> list[Metric]:
    """1:N matching, matching and headline recall within strata, mAP and the equal error rate.

    gallery_size: of recall within strata; ks: its k is the largest one up to 10. n_test is not used: a metric
    that finds too few people says so by its `min_n`. Raises BenchError where no k is given.
    """
    if not ks:
        raise BenchError("no k for recall@k was given: name at least one, such as 10.")
    k = headline_k(ks)
    metrics = [
        *(Matching(candidates) for candidates in CANDIDATES),
        # The same stratum's together: its ranks are kept for the next one.
        *(
            metric
            for stratum in STRATA
            for metric in (
                *(Matching(candidates, stratum) for candidates in CANDIDATES_WITHIN),
                RecallWithin(k, gallery_size, stratum),
            )
        ),
        MeanAveragePrecision(),
        VerificationEqualErrorRate(),
    ]
    return cast("list[Metric]", metrics)  # frozen fields are read-only, which the protocol does not say


@dataclass(frozen=True)
class Matching:
    """How often the drawn face is nearer to the right person than to N - 1 others.

    Expected over ALL choices of the others, ties by expectation: recall@1 with galleries of N. With a stratum
    ("G", "N", "A", "GNA") the others are of the probe's own, and who has fewer than N - 1 of them, or whose
    stratum is not known, does not take part.

    Range: 0..1; chance 1 / N, knowing only the gender more, but not within a gender.
    Direction: higher is better.
    Computed by: `retrieval.expected_recall`, `matching.expected_recall_within`.
    Source: 1:N matching of Nagrani et al. 2018 (arXiv 1804.00326), strata of Nagrani et al. 2018 (arXiv 1805.00833).
    Pitfall: published values rest on drawn candidates and on each list's own strata: compare in kind only.
    """

    candidates: int  # N, the right one included
    stratum: str | None = None
    version: int = 1
    higher_is_better: bool = True

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
            tables = {"strata": MATCHING_PRIORITIES[self.stratum]} if self.candidates == 2 else {}
            place = 4 + STRATA.index(self.stratum)
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

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over those who take part; the interval is a bootstrap over them. NaN with n = 0 for nobody."""
        n = check(self, real, fake)
        if self.stratum:
            return score_within(real, fake, rng, self.stratum, self.candidates, 1)
        better, ties = ranks_of(real, fake, "cosine")
        return mean_score(retrieval.expected_recall(better, ties, n, self.candidates, 1), rng, UNIT)


@dataclass(frozen=True)
class RecallWithin:
    """Recall@k in galleries of the probe's own stratum, expected over all of them.

    Who has too few people of the same stratum, or whose stratum is not known, does not take part.

    Range: 0..1; chance k / gallery size, for the gender oracle too.
    Direction: higher is better.
    Computed by: `matching.ranks_within`, `matching.expected_recall_within`.
    Source: strata of Nagrani et al. 2018 (arXiv 1805.00833), with recall in place of 1:N matching.
    Pitfall: only people of large strata take part: read the n, and do not compare it with the n of all.
    """

    k: int
    gallery_size: int
    stratum: str
    version: int = 1
    higher_is_better: bool = True

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
            tables={"strata": RECALL_PRIORITIES[self.stratum]},
            order={"strata": STRATA.index(self.stratum)},
            smooth=False,
        )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over those who take part; the interval is a bootstrap over them. NaN with n = 0 for nobody."""
        check(self, real, fake)
        return score_within(real, fake, rng, self.stratum, self.gallery_size, self.k)


@dataclass(frozen=True)
class MeanAveragePrecision:
    """Mean average precision of finding ALL photos of the person among everybody's photos.

    Range: 0..1; chance depends on the numbers of photos.
    Direction: higher is better.
    Computed by: `precision.average_precisions`.
    Pitfall: compare with the chance row of the same table only.
    """

    name: str = "map/photos"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("ranking", "photos")
    min_n: int = 2
    card: ClassVar[MetricCard] = MetricCard(
        "mean-average-precision",
        "identity",
        {"gallery": "photos"},
        heading="mAP",
        bounds=UNIT,
        margin=Margin(0.02, "a fifth of what a straight line from voice statistics reaches"),
        shown=("judge",),
        tables={"retrieval": -1},
        order={"retrieval": 5},
        smooth=False,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities with a photo; the interval is a bootstrap over them."""
        n = check(self, real, fake)
        if real.owners is None or real.owners.min(initial=0) < 0 or real.owners.max(initial=0) >= n:
            raise BenchError(f"{self.name}: every photo needs the row of its owner, 0 to {n - 1}.")
        return score_of_some(average_precisions(fake.embeddings, np.arange(n), real.photos, real.owners), rng)


@dataclass(frozen=True)
class VerificationEqualErrorRate:
    """Error rate of telling matching from non-matching pairs at the threshold where both kinds of error meet.

    Range: 0..1; guessing .5.
    Direction: lower is better.
    Computed by: `verification.EqualErrorRates`, `verification.equal_error_rate`.
    Pitfall: all N (N - 1) false pairs of all genders: published lists hold their own, often harder, pairs.
    """

    name: str = "verification-eer"
    version: int = 1
    higher_is_better: bool = False
    needs: tuple[str, ...] = ("ranking",)
    min_n: int = 4  # half-samples of two
    card: ClassVar[MetricCard] = MetricCard(
        "verification-eer",
        "verification",
        heading="verification EER",
        bounds=UNIT,
        chance=0.5,
        margin=Margin(0.03, "as the AUC"),
        tables={"strata": 3},
        order={"strata": 9},
        smooth=False,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all pairs; 0..1, guessing .5; the interval is from half-samples of the identities."""
        n = check(self, real, fake)
        return sample_score(EqualErrorRates(fake.embeddings, real.embeddings), n, UNIT)


@lru_cache(maxsize=1)  # all metrics of one stratum come one after the other
def ranks_within_of(real: Features, fake: Features, stratum: str) -> StratumRanks:
    """`matching.ranks_within` of the drawn faces among the true identities."""
    return ranks_within(fake.embeddings, real.embeddings, real.strata[stratum])


def score_within(
    real: Features, fake: Features, rng: np.random.Generator, stratum: str, gallery_size: int, k: int
) -> Score:
    """Recall@k in galleries of the probe's own stratum."""
    return score_of_some(expected_recall_within(ranks_within_of(real, fake, stratum), gallery_size, k), rng)


def score_of_some(values: Matrix, rng: np.random.Generator) -> Score:
    """The mean of per-identity values ``[N]`` in 0..1 over those that are not NaN; NaN with n = 0 for nobody."""
    known = values[~np.isnan(values)]
    if not known.size:
        return Score(np.nan, 0)
    return Score(float(known.mean()), len(known), mean_interval(known, rng, UNIT), values)
