"""The metrics of the first table, as `Metric` objects over the functions of this room.

The drawn faces' embeddings are the probes, the true identities' templates the gallery, both as the extractor
gave them: rows of drawn faces at length 1, templates the mean of such rows and not brought back to length 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from sf2f_bench.metrics import distribution, quality, retrieval, similarity, verification
from sf2f_bench.protocols.names import headline_k
from sf2f_bench.statistics.intervals import (
    half_sample_interval,
    half_samples,
    jackknife_interval,
    mean_interval,
    median_interval,
    pseudo_values,
)
from sf2f_bench.types import BenchError, Features, Margin, Metric, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench.metrics.arrays import Matrix
    from sf2f_bench.statistics.intervals import Interval

UNIT, SIGNED_UNIT = (0.0, 1.0), (-1.0, 1.0)
AT_LEAST_ZERO, AT_LEAST_ONE = (0.0, np.inf), (1.0, np.inf)
OWN_UNIT = "in a unit of the network's own"
SHOWN_KS = (1, 5)  # columns beside the headline's k
FRECHET_NAMES = {"inception": "FID", "vggface2": "FVFD"}  # by convention
INFORMATION_NAMES = {"inception": "IS", "vggface2": "VGGFace Score"}
RECALL_MARGIN = Margin(0.05, "half of what knowing the gender adds to chance at k = 10 of 100")
COSINE_MARGIN = Margin(0.03, "a tenth of what a straight line from voice statistics reaches")
INFORMATION_MARGIN = Margin(0.1, "it counts kinds of faces: a tenth of them", relative=True)
INFORMATION_CAVEAT = (
    "The mutual-information (MI) score cannot exceed the size of one part, {part} here: compare it at equal n "
    "only."
)
FRECHET_CAVEAT = "The Frechet distance is biased upwards at n = {n}, by an amount that depends on the system"
FRECHET_MARGIN = Margin(0.1, OWN_UNIT, relative=True)
DISTANCES = {
    "cosine": similarity.cosine_similarity,
    "l1": similarity.l1_distance,
    "l2": similarity.l2_distance,
}


def metrics_of(gallery_size: int, ks: Sequence[int], n_test: int) -> list[Metric]:
    """The metrics of the first table for galleries of `gallery_size` drawn from `n_test` test identities.

    ks: the k of recall@k. Raises BenchError where a k is larger than the gallery, the gallery larger than
    the test split, or no k is given.
    """
    if not ks:
        raise BenchError("no k for recall@k was given: name at least one, such as 10.")
    if gallery_size > n_test:
        raise BenchError(
            f"galleries of {gallery_size} need as many test identities, there are {n_test}: choose a smaller "
            "gallery or more test identities."
        )
    for k in ks:
        if not 1 <= k <= gallery_size:
            raise BenchError(
                f"a gallery of {gallery_size} cannot give recall@{k}: choose k from 1 to {gallery_size}."
            )
    top = headline_k(ks)
    metrics = [
        *(Recall(k, gallery_size, "cosine", top) for k in ks),
        *(Recall(k, gallery_size, "l1", top) for k in ks),
        *(Recall(k, None, "cosine", top) for k in ks),
        MedianRank(),
        MeanReciprocalRank(),
        *(TrueIdentity(name) for name in DISTANCES),
        InterIdentitySimilarity(),
        VerificationAUC(),
        MutualInformationScore(),
        FrechetDistance(),
        KernelDistance(),
    ]
    return cast("list[Metric]", metrics)  # frozen fields are read-only, which the protocol does not say


@dataclass(frozen=True)
class Recall:
    """Recall@k, expected over all galleries of one size (None: all identities), ties by expectation.

    Range: 0..1; chance k / gallery size, knowing only the gender about twice that.
    Direction: higher is better.
    Computed by: `retrieval.ranks`, `retrieval.expected_recall`.
    Pitfall: gender alone doubles chance: read it beside the gender oracle and within the strata.
    """

    k: int
    gallery_size: int | None = None
    similarity: retrieval.Similarity = "cosine"
    headline_k: int = 0  # the k of the verdicts, which has columns
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("ranking",)

    @property
    def name(self) -> str:
        """``recall@10/g100``, ``recall@10-l1/g100`` or ``recall@10/full``."""
        rule = "" if self.similarity == "cosine" else f"-{self.similarity}"
        return f"recall@{self.k}{rule}/{'full' if self.gallery_size is None else f'g{self.gallery_size}'}"

    @property
    def min_n(self) -> int:
        """As many identities as the gallery holds, or k for the full one."""
        return max(2, self.gallery_size or self.k)

    @property
    def card(self) -> MetricCard:
        """By cosine in galleries at few k, and at the headline's in the full one, it has a column."""
        gallery = "full" if self.gallery_size is None else self.gallery_size
        parameters: dict[str, str | int | float] = {"k": self.k, "gallery": gallery}
        card = MetricCard(
            "recall",
            "identity",
            parameters if self.similarity == "cosine" else {**parameters, "similarity": self.similarity},
            heading=self.name.replace("/", " "),
            bounds=UNIT,
            chance=None if self.gallery_size is None else min(1.0, self.k / self.gallery_size),
            margin=RECALL_MARGIN,
            tables={},
            smooth=False,
        )
        is_top = self.k == self.headline_k
        if self.similarity != "cosine" or not (is_top or (self.k in SHOWN_KS and self.k < self.headline_k)):
            return card
        if self.gallery_size is None:
            return (
                replace(card, tables={"retrieval": 8}, order={"retrieval": 1}, plotted=True)
                if is_top
                else card
            )
        if not is_top:
            return replace(card, tables={"retrieval": self.k}, order={"retrieval": 0})
        return replace(
            card,
            headline=True,
            decides=("judge",),
            shown=("training-loss", "further"),
            tables={"retrieval": 9, "training-loss": 9, "further": 0, "length": 14},
            order={"retrieval": 0, "training-loss": 0, "further": 4, "length": 4},
            plotted=True,
        )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities; the interval is a bootstrap over them."""
        check(self, real, fake)
        better, ties = ranks_of(real, fake, self.similarity)
        values = retrieval.expected_recall(better, ties, len(better), self.gallery_size, self.k)
        return mean_score(values, rng, UNIT)


@dataclass(frozen=True)
class MedianRank:
    """Median rank of the right identity in the full gallery, ties at their mean rank.

    Range: 1..n; chance (n + 1) / 2.
    Direction: lower is better.
    Computed by: `retrieval.ranks`, `retrieval.expected_ranks`.
    Source: the usual summary of ranks in cross-modal retrieval.
    Pitfall: it grows with the number of test identities: compare at equal n only.
    """

    name: str = "median-rank/full"
    version: int = 1
    higher_is_better: bool = False
    needs: tuple[str, ...] = ("ranking",)
    min_n: int = 2
    card: ClassVar[MetricCard] = MetricCard(
        "median-rank",
        "identity",
        {"gallery": "full"},
        heading="median rank",
        format="rank",
        bounds=(1.0, None),
        margin=Margin(0.1, "ranks grow with the gallery", relative=True),
        shown=("judge",),
        tables={"retrieval": 7},
        order={"retrieval": 2},
        smooth=False,
        plotted=True,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Median over identities; the interval is distribution-free, absent below six identities."""
        check(self, real, fake)
        values = retrieval.expected_ranks(*ranks_of(real, fake, "cosine"))
        return Score(float(np.median(values)), len(values), median_interval(values), values, "median")


@dataclass(frozen=True)
class MeanReciprocalRank:
    """Mean of 1 / rank in the full gallery, ties by expectation.

    Range: 0..1; chance (1 + 1/2 + ... + 1/n) / n.
    Direction: higher is better.
    Computed by: `retrieval.ranks`, `retrieval.reciprocal_ranks`.
    Source: Voorhees 1999 (TREC-8 question answering).
    Pitfall: the first ranks decide it, and it falls with the number of test identities: compare at equal n only.
    """

    name: str = "mrr/full"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("ranking",)
    min_n: int = 2
    card: ClassVar[MetricCard] = MetricCard(
        "mean-reciprocal-rank",
        "identity",
        {"gallery": "full"},
        heading="MRR",
        bounds=UNIT,
        margin=Margin(0.02, "as the mean average precision"),
        tables={"retrieval": 6},
        order={"retrieval": 3},
        smooth=False,
        plotted=True,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities; the interval is a bootstrap over them."""
        check(self, real, fake)
        return mean_score(retrieval.reciprocal_ranks(*ranks_of(real, fake, "cosine")), rng, UNIT)


@dataclass(frozen=True)
class TrueIdentity:
    """Mean "cosine", "l1" or "l2" of the drawn face's embedding to the true identity's template.

    Range: -1..1 (cosine), 0 or more (l1, l2).
    Direction: higher is better (cosine), lower is better (l1, l2).
    Computed by: `similarity.cosine_similarity`, `similarity.l1_distance`, `similarity.l2_distance`.
    Pitfall: one face for all can have a high cosine: compare with `inter-identity-similarity`. Distances depend on
    the extractor's scale and width.
    """

    name: str
    version: int = 1
    needs: tuple[str, ...] = ("embeddings",)
    min_n: int = 2

    @property
    def higher_is_better(self) -> bool:
        """The cosine is a similarity, the others are distances."""
        return self.name == "cosine"

    @property
    def card(self) -> MetricCard:
        """The cosine has columns; the distances, which depend on the network's scale, have none."""
        return replace(
            likeness_card(self.name),
            tables={"likeness": 9, "training-loss": 9, "further": 5, "length": 0}
            if self.name == "cosine"
            else {},
            order={"likeness": 0, "training-loss": 1, "further": 5, "length": 14}
            if self.name == "cosine"
            else {},
            plotted=self.name == "cosine",
        )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities; the interval is a bootstrap over them."""
        check(self, real, fake)
        values = DISTANCES[self.name](fake.embeddings, real.embeddings)
        return mean_score(values, rng, None)


@dataclass(frozen=True)
class InterIdentitySimilarity:
    """Mean cosine of a drawn face to all OTHER identities, beside the cosine to the right one.

    Range: -1..1.
    Direction: lower is better.
    Computed by: `retrieval.inter_identity_similarity`.
    Source: this suite, as the measure to hold the cosine of SF2F's tables against.
    Pitfall: low alone is no merit, noise is unlike everybody: what counts is the distance to the cosine.
    """

    name: str = "inter-identity-similarity"
    version: int = 1
    higher_is_better: bool = False
    needs: tuple[str, ...] = ("embeddings",)
    min_n: int = 3
    card: ClassVar[MetricCard] = MetricCard(
        "inter-identity-similarity",
        "identity",
        heading="cosine to others",
        bounds=SIGNED_UNIT,
        margin=Margin(0.03, "as the cosine"),
        tables={},
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over pairs; the interval is a jackknife over identities."""
        check(self, real, fake)
        pair = fake.embeddings, real.embeddings
        value = retrieval.inter_identity_similarity(*pair)
        return pair_score(value, retrieval.inter_identity_leave_one_out(*pair), SIGNED_UNIT)


@dataclass(frozen=True)
class VerificationAUC:
    """Area under the ROC curve of matching against non-matching pairs by cosine.

    Range: 0..1; chance .5, knowing only the gender about .75.
    Direction: higher is better.
    Computed by: `verification.verification_auc`.
    Pitfall: half of all strangers are of the other gender, so that gender alone reaches about .75.
    """

    name: str = "verification-auc"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("ranking",)
    min_n: int = 3
    card: ClassVar[MetricCard] = MetricCard(
        "verification-auc",
        "verification",
        heading="verification AUC",
        bounds=UNIT,
        chance=0.5,
        margin=Margin(0.03, "an eighth of what knowing the gender adds to chance"),
        decides=("judge", "training-loss"),
        tables={"likeness": 8, "further": 1},
        order={"likeness": 1, "further": 6},
        plotted=True,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all pairs; the interval is a jackknife over identities."""
        check(self, real, fake)
        pair = fake.embeddings, real.embeddings
        value = verification.verification_auc(*pair)
        return pair_score(value, verification.verification_auc_leave_one_out(*pair), UNIT)


@dataclass(frozen=True)
class MutualInformationScore:
    """Mutual-information score of the drawn faces' class probabilities, a mean over shuffled parts.

    The interval is of what n faces give on average.

    Range: 1..min(C, n / parts).
    Direction: higher is better.
    Computed by: `quality.mutual_information`.
    Pitfall: it is biased by n and bounded by the size of a part: never without its n, and compared at equal n only.
    """

    parts: int = 5
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("probabilities",)

    @property
    def name(self) -> str:
        """``mutual-information-score/parts5``."""
        return f"mutual-information-score/parts{self.parts}"

    @property
    def min_n(self) -> int:
        """Two faces a part in the half-samples too: with one the score is 1 whatever the face."""
        return 4 * self.parts

    @property
    def card(self) -> MetricCard:
        """Its name in tables is that of the published network's score, where a published network gives it."""
        return MetricCard(
            "mutual-information",
            "quality",
            {"parts": self.parts},
            heading="MI score",
            headings=INFORMATION_NAMES,
            format="size",
            bounds=(1.0, None),
            margin=INFORMATION_MARGIN,
            decides=("judge",),
            shown=("training-loss",),
            tables={"likeness": 7, "training-loss": 7, "further": 6},
            order={"likeness": 2, "training-loss": 2, "further": 3},
            plotted=True,
            caveat=INFORMATION_CAVEAT,
        )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over the parts with their standard deviation; the interval is from half-samples.

        One permutation of the identities decides the parts: a half-sample keeps its order and is cut into as many
        parts, which are half as large.
        """
        n = check(self, real, fake)
        order = rng.permutation(n)
        place = np.argsort(order)  # of each identity in the shuffled order
        score = quality.mutual_information(fake.probabilities, self.parts)

        def of(kept: NDArray[np.int64]) -> float:
            return score(kept[np.argsort(place[kept])])[0]

        return relative_score(sample_score(of, n, AT_LEAST_ONE, spread=score(order)[1]), AT_LEAST_ONE)


@dataclass(frozen=True)
class FrechetDistance:
    """Frechet distance of the drawn faces' features from the true photos'.

    The interval is of what n identities give on average, bias included.

    Range: 0 or more; equal laws give more than 0 at every finite n.
    Direction: lower is better.
    Computed by: `distribution.frechet_distance`.
    Pitfall: it is biased upwards at small n, by an amount that depends on the system: never without its n, and
    beside the kernel distance, which is not biased.
    """

    name: str = "frechet-distance"
    version: int = 1
    higher_is_better: bool = False
    needs: tuple[str, ...] = ("samples",)
    min_n: int = 4
    card: ClassVar[MetricCard] = MetricCard(
        "frechet-distance",
        "distribution",
        heading="Frechet",
        headings=FRECHET_NAMES,
        format="size",
        bounds=(0.0, None),
        margin=FRECHET_MARGIN,
        shown=("judge", "further"),
        tables={"likeness": 6, "further": 9},
        order={"likeness": 3, "further": 0},
        heading_with_n=True,
        plotted=True,
        caveat=f"{FRECHET_CAVEAT}; the kernel distance is not, and its extrapolation to infinite n is less so.",
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all rows; the interval is from half-samples of the identities, both sides together."""
        n = check(self, real, fake)
        true, drawn = np.asarray(real.samples, np.float64), np.asarray(fake.samples, np.float64)
        return sample_score(
            lambda kept: distribution.frechet_distance(true[kept], drawn[kept]), n, AT_LEAST_ZERO
        )


@dataclass(frozen=True)
class KernelDistance:
    """Unbiased kernel distance of the drawn faces' features from the true photos'.

    KID with a subset size of n, which needs no subsets.

    Range: any number; 0 on average for equal laws, so a good system's may be negative.
    Direction: lower is better.
    Computed by: `distribution.kernel_distance`.
    Pitfall: it is small in absolute terms, and others print it times 100 or 1000: look at the unit.
    """

    name: str = "kernel-distance"
    version: int = 1
    higher_is_better: bool = False
    needs: tuple[str, ...] = ("samples",)
    min_n: int = 3
    card: ClassVar[MetricCard] = MetricCard(
        "kernel-distance",
        "distribution",
        heading="kernel distance x1000",
        headings={"inception": "KID x1000"},
        format="size",
        factor=1000.0,
        margin=Margin(0.2, f"{OWN_UNIT}, and of squares", relative=True),
        decides=("judge",),
        tables={"likeness": 5, "further": 7},
        order={"likeness": 5, "further": 2},
        plotted=True,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all rows; the interval is a jackknife over identities."""
        check(self, real, fake)
        value = distribution.kernel_distance(real.samples, fake.samples)
        return pair_score(value, distribution.kernel_distance_leave_one_out(real.samples, fake.samples), None)


def likeness_card(kind: str) -> MetricCard:
    """The cosine, L1 or L2 to the true identity, in no table."""
    if kind == "cosine":
        return MetricCard(
            kind,
            "identity",
            heading="cosine",
            bounds=SIGNED_UNIT,
            margin=COSINE_MARGIN,
            decides=("judge", "training-loss"),
            shown=("further",),
            tables={},
        )
    return MetricCard(
        kind,
        "identity",
        heading=kind.upper(),
        format="size",
        bounds=(0.0, None),
        margin=Margin(0.05, OWN_UNIT, relative=True),
        tables={},
    )


def check(metric: object, real: Features, fake: Features) -> int:
    """The number of identities; BenchError unless both sides hold the same ones and what the metric needs."""
    known = cast("Metric", metric)
    n = len(real.identities)
    if real.identities != fake.identities:
        raise BenchError(
            f"{known.name}: the true side ({n}) and the drawn side ({len(fake.identities)}) must hold the "
            "same identities in the same order."
        )
    if n < known.min_n:
        raise BenchError(f"{known.name} needs at least {known.min_n} identities, got {n}.")
    if missing := lacking(known, real, fake):
        raise BenchError(f"{known.name} needs {', '.join(sorted(missing))}, which these features lack.")
    for side, array in (("true", real.embeddings), ("drawn", fake.embeddings)):
        if len(array) != n:
            raise BenchError(f"{known.name}: {n} identities but {len(array)} embeddings on the {side} side.")
    return n


OF_TRUE_SIDE = ("photos", "training_photos", "G", "N", "A", "GNA")  # the other needs are the drawn side's


def lacking(metric: Metric, real: Features, fake: Features) -> set[str]:
    """Which of the metric's needs these features do not meet."""
    missing = {need for need in metric.needs if need not in (real if need in OF_TRUE_SIDE else fake).offers}
    if "samples" in metric.needs and real.samples is None:
        missing.add("samples")
    return missing


@lru_cache(maxsize=2)  # cosine and L1 of the pair at hand: features are compared by identity, not by value
def ranks_of(
    real: Features, fake: Features, similarity: retrieval.Similarity
) -> tuple[retrieval.Counts, retrieval.Counts]:
    """`retrieval.ranks` of the drawn faces among the true identities, once for all metrics that need it."""
    return retrieval.ranks(fake.embeddings, real.embeddings, similarity)


def mean_score(values: Matrix, rng: np.random.Generator, bounds: Interval | None) -> Score:
    """The mean of per-identity values ``[N]`` with its bootstrap interval."""
    return Score(float(values.mean()), len(values), mean_interval(values, rng, bounds), values)


def pair_score(value: float, leave_one_out: Matrix, bounds: Interval | None) -> Score:
    """A statistic of pairs with its jackknife interval over identities ``[N]`` and their pseudo-values."""
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
    """A statistic of whole samples with its interval from half-samples: ``statistic(rows of the identities)``."""
    value = statistic(np.arange(n))
    replicates = np.array([statistic(rows) for rows in half_samples(n)])
    interval = half_sample_interval(value, replicates, n, bounds)
    return Score(value, n, interval, replicates=replicates, spread=spread)


def relative_score(plain: Score, bounds: Interval | None) -> Score:
    """A score with replicates, of a positive statistic that grows with n, such as the exp of an information.

    Halves give smaller values throughout, and a spread as much smaller. So the replicates are multiplied by value /
    their mean, which keeps their relative spread, and the interval is made of these.
    """
    values = cast("Matrix", plain.replicates)
    mean = float(values.mean())
    replicates = values * (plain.value / mean if mean > 0 else 1.0)
    interval = half_sample_interval(plain.value, replicates, plain.n, bounds)
    return replace(plain, replicates=replicates, interval=interval)
