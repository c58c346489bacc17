"""The metrics of drawn faces as a set, as `Metric` objects: where they lie, how varied they are, whether copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import numpy as np

from sf2f_bench.metrics import distribution, diversity, manifold, similarity, verification
from sf2f_bench.metrics.table import (
    AT_LEAST_ONE,
    AT_LEAST_ZERO,
    FRECHET_MARGIN,
    FRECHET_NAMES,
    SIGNED_UNIT,
    UNIT,
    check,
    mean_score,
    pair_score,
    relative_score,
    sample_score,
)
from sf2f_bench.statistics.intervals import half_sample_interval, half_samples, mean_interval
from sf2f_bench.types import Alarm, BenchError, Features, Margin, Metric, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench.metrics.arrays import Matrix

NEIGHBOURS = 5
Side = Literal["precision", "recall", "density", "coverage"]
SIDES: tuple[Side, ...] = ("precision", "recall", "density", "coverage")
SIDE_PRIORITIES = dict(zip(SIDES, (5, 4, 2, 3), strict=True))
FURTHER_SIDE_PRIORITIES = dict(zip(SIDES, (3, 2, -1, 0), strict=True))
# Of the systems measured on the embedded world those with one or few faces had .00 to .46 of the true photos'
# diversity, all others .70 and more; it does not depend on n.
COLLAPSED = Alarm(
    0.5,
    above=False,
    text="it has collapsed to a few faces that it generates for everybody",
    of_true_photos=True,
    beside=("distinct-faces",),
)
COPIED = Alarm(  # .01 is usual
    0.05,
    above=True,
    text="so many lie nearer to a training photo than 99 % of the true photos do",
    expected="expected here: this baseline shows training photos by design",
)


def face_metrics(gallery_size: int, ks: Sequence[int], n_test: int) -> list[Metric]:
    """Every metric of this module; galleries, ks and the number of identities do not matter to them."""
    metrics = [
        ExtrapolatedFrechetDistance(),
        *(ManifoldShare(side) for side in SIDES),
        Diversity(),
        EffectiveFaces(),
        DistinctFaces(),
        CopiedFaces(),
        Consistency(),
        ConsistencyAUC(),
    ]
    return cast("list[Metric]", metrics)  # frozen fields are read-only, which the protocol does not say


@dataclass(frozen=True)
class ExtrapolatedFrechetDistance:
    """Frechet distance extrapolated to infinite n by a straight line in 1 / n.

    It takes away most of the plain distance's bias, and with it most of what makes values at unlike n
    incomparable. Interval and pseudo-values are there only where n // 2 exceeds the number of features: below,
    a part of the bias stays and no interval would hold the truth.

    Range: any number; about 0 for equal laws, so it may be negative.
    Direction: lower is better.
    Computed by: `distribution.frechet_extrapolated`.
    Pitfall: where n is far below the number of features it takes off none of the bias that matters.
    """

    name: str = "frechet-distance/extrapolated"
    version: int = 1
    higher_is_better: bool = False
    needs: tuple[str, ...] = ("samples",)
    min_n: int = 20  # ten in the smallest subsample
    card: ClassVar[MetricCard] = MetricCard(
        "extrapolated-frechet-distance",
        "distribution",
        heading="Frechet, n to infinity",
        headings={convention: f"{name}, n to infinity" for convention, name in FRECHET_NAMES.items()},
        format="size",
        margin=FRECHET_MARGIN,
        tables={"likeness": 4, "further": 4},
        order={"likeness": 4, "further": 1},
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over subsamples of identities; the interval is an infinitesimal jackknife over identities."""
        n = check(self, real, fake)
        value, leave_one_out = distribution.frechet_extrapolated(real.samples, fake.samples, rng)
        return Score(value, n) if leave_one_out is None else pair_score(value, leave_one_out, None)


@dataclass(frozen=True)
class ManifoldShare:
    """Precision, recall, density or coverage of the drawn faces among the true photos, by k nearest neighbours.

    "precision": share of drawn faces in the true faces' region; "recall": share of true faces in the drawn
    ones'; "density": how densely true faces lie around a drawn one (about 1 for equal laws);
    "coverage": share of true faces that have a drawn one in their neighbourhood (1 - 2^-k for equal laws).

    The interval is from half-samples, in which the radii move with the faces: with the radii held fixed it
    would be too narrow by a third (recall) to a half (density). It is never narrower than that of the single
    faces, so that 0 or 1 throughout does not count as certain.

    Range: 0..1 (precision, manifold-recall, coverage), 0 or more (density).
    Direction: higher is better.
    Computed by: `manifold.neighbourhoods`.
    Pitfall: a system that draws only typical faces has precision 1 and recall 0: read them together. All depend on n
    and k: compare at equal n.
    """

    side: Side
    k: int = NEIGHBOURS
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("samples",)

    @property
    def name(self) -> str:
        """``precision/k5``; recall is ``manifold-recall/k5``, because recall@k is something else."""
        return f"{'manifold-recall' if self.side == 'recall' else self.side}/k{self.k}"

    @property
    def min_n(self) -> int:
        """Twice as many as neighbours in the half-samples."""
        return 4 * self.k

    @property
    def card(self) -> MetricCard:
        """All four stand side by side."""
        quantity, place = self.name.partition("/")[0], SIDES.index(self.side)
        return MetricCard(
            quantity,
            "distribution",
            {"neighbours": self.k},
            heading=f"{quantity.replace('-', ' ')} k={self.k}",
            bounds=(0.0, None) if self.side == "density" else UNIT,
            tables={
                "distribution": SIDE_PRIORITIES[self.side],
                "further": FURTHER_SIDE_PRIORITIES[self.side],
            },
            order={"distribution": place, "further": 7 + place},
            smooth=False,
        )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over drawn faces (precision, density) or true faces (recall, coverage)."""
        n = check(self, real, fake)
        values = getattr(_neighbourhoods(real, fake, self.k), self.side)  # [1 + halves, n]
        if self.side != "density":
            return share_score(values, rng)
        means = _means(values)
        plain = Score(float(means[0]), n, replicates=means[1:])
        # At 0 nothing is seen to vary, and how often it would is not known: no interval is sound.
        return relative_score(plain, AT_LEAST_ZERO) if plain.value else plain


@dataclass(frozen=True)
class Diversity:
    """Mean cosine distance between the drawn faces of different people.

    Range: 0..2; 0 where all faces are one, at most n / (n - 1).
    Direction: higher is better.
    Computed by: `diversity.mean_distance`.
    Source: the mean pairwise distance of Zhu et al. 2017 (arXiv 1711.11586), by the extractor's cosine.
    Pitfall: noise is diverse: compare with the true photos' value, and read it beside precision.
    """

    name: str = "diversity"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("embeddings", "samples")
    min_n: int = 3
    card: ClassVar[MetricCard] = MetricCard(
        "diversity",
        "diversity",
        bounds=(0.0, 2.0),
        shown=("judge",),
        tables={"distribution": 7},
        order={"distribution": 4},
        alarm=COLLAPSED,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over pairs; the interval is a jackknife over identities."""
        check(self, real, fake)
        value = diversity.mean_distance(fake.embeddings)
        return pair_score(value, diversity.mean_distance_leave_one_out(fake.embeddings), (0.0, 2.0))


@dataclass(frozen=True)
class EffectiveFaces:
    """Vendi score of the drawn faces, the effective number of unlike faces.

    The interval is of what n faces give on average.

    Range: 1..n; 1 for one face for all.
    Direction: higher is better.
    Computed by: `diversity.effective_number`.
    Pitfall: it grows with n: never without its n, and compared at equal n only, best as a share of the real photos'
    value.
    """

    name: str = "effective-faces"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("embeddings", "samples")
    min_n: int = 4
    card: ClassVar[MetricCard] = MetricCard(
        "effective-faces",
        "diversity",
        heading="effective faces",
        format="size",
        bounds=(1.0, None),
        margin=Margin(0.1, "a tenth of the faces", relative=True),
        tables={"distribution": 1},
        order={"distribution": 5},
        smooth=False,
        heading_with_n=True,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Of all drawn faces; the interval is from half-samples."""
        n = check(self, real, fake)
        faces = np.asarray(fake.embeddings, np.float64)
        plain = sample_score(lambda kept: diversity.effective_number(faces[kept]), n, AT_LEAST_ONE)
        return relative_score(plain, AT_LEAST_ONE)


@dataclass(frozen=True)
class DistinctFaces:
    """Share of people whose drawn face could not be taken for any other person's.

    A drawn face is distinct where its largest cosine to another person's drawn face is below the similarity at
    which two photos of one person usually lie (`diversity.same_person_similarity` of the true photos). NaN, so
    absent, where nobody has two photos.

    The interval is from half-samples: doubles come in pairs, so single faces are no independent draws. It holds
    the threshold fixed.

    Formula: mean over i of [cos(f_i, f_j) < t for all j != i], f the drawn faces, t the threshold.
    Range: 0..1; 0 for one face for all.
    Direction: higher is better.
    Computed by: `diversity.same_person_similarity`, `diversity.is_distinct`.
    Source: this suite.
    Pitfall: it falls as n grows: more people, more doubles. Compare at equal n.
    """

    name: str = "distinct-faces"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("embeddings", "samples", "photos")
    min_n: int = 4
    card: ClassVar[MetricCard] = MetricCard(
        "distinct-faces",
        "diversity",
        heading="distinct faces",
        bounds=UNIT,
        tables={"distribution": 9},
        order={"distribution": 6},
        smooth=False,
        heading_with_n=True,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean of 0 or 1 over identities."""
        n = check(self, real, fake)
        threshold = diversity.same_person_similarity(real.photos, cast("Matrix", real.owners))
        if threshold is None:
            return Score(np.nan, n)
        members = _everybody_and_halves(n)
        return share_score(diversity.is_distinct(fake.embeddings, threshold, members).astype(float), rng)


@dataclass(frozen=True)
class CopiedFaces:
    """Share of drawn faces nearer to a training photo than 99 % of the true test photos are.

    The interval holds training photos and threshold fixed.

    Range: 0..1; about .01 for faces of new people, 1 for a system that shows training photos.
    Direction: lower is better.
    Computed by: `diversity.is_copied`.
    Source: this suite; the nearest training photo as in Meehan et al. 2020 (arXiv 2004.05675).
    Pitfall: it sees whole faces by the extractor's eye and misses copies of parts.
    """

    name: str = "copied-faces"
    version: int = 1
    higher_is_better: bool = False
    needs: tuple[str, ...] = ("embeddings", "samples", "photos", "training_photos")
    min_n: int = 2
    card: ClassVar[MetricCard] = MetricCard(
        "copied-faces",
        "diversity",
        heading="copied faces",
        bounds=UNIT,
        tables={"distribution": 8},
        order={"distribution": 7},
        alarm=COPIED,
        smooth=False,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean of 0 or 1 over identities; the interval is a bootstrap over them."""
        check(self, real, fake)
        copied = diversity.is_copied(fake.embeddings, real.photos, real.training_photos)
        return mean_score(copied.astype(np.float64), rng, UNIT)


@dataclass(frozen=True)
class Consistency:
    """Mean cosine between the two faces drawn from different recordings of one person.

    Range: -1..1.
    Direction: higher is better.
    Computed by: `similarity.cosine_similarity`.
    Source: this suite.
    Pitfall: a collapsed system, which draws one face for all, has consistency 1 and a consistency-auc of .5: read
    the two together.
    """

    name: str = "consistency"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("takes",)
    min_n: int = 2
    card: ClassVar[MetricCard] = MetricCard(
        "consistency",
        "diversity",
        bounds=SIGNED_UNIT,
        shown=("judge",),
        tables={"distribution": 6},
        order={"distribution": 8},
        smooth=False,
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities; the interval is a bootstrap over them."""
        check(self, real, fake)
        return mean_score(similarity.cosine_similarity(*_takes(fake)), rng, None)


@dataclass(frozen=True)
class ConsistencyAUC:
    """Chance that two takes of one person are more alike than takes of two people.

    Range: 0..1; guessing .5.
    Direction: higher is better.
    Computed by: `verification.verification_auc`.
    Pitfall: it says that the voice decides the face, not that the face is right. A collapsed system has .5, with
    a consistency of 1: read the two together.
    """

    name: str = "consistency-auc"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("takes",)
    min_n: int = 3
    card: ClassVar[MetricCard] = MetricCard(
        "consistency-auc",
        "diversity",
        heading="consistency AUC",
        bounds=UNIT,
        chance=0.5,
        tables={"distribution": 0},
        order={"distribution": 9},
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all pairs of a first and a second take; the interval is a jackknife over identities."""
        check(self, real, fake)
        takes = _takes(fake)
        value = verification.verification_auc(*takes)
        return pair_score(value, verification.verification_auc_leave_one_out(*takes), UNIT)


def share_score(values: Matrix, rng: np.random.Generator) -> Score:
    """The share of faces of which something holds, where it depends on the other faces.

    values: 0 or 1, ``[1 + halves, n]``: among all identities, then among each half-sample, 0 for who is not in it.
    The interval is that of the half-samples, widened to that of n single faces, which at 0 or 1 is binomial.
    """
    n = values.shape[1]
    value, *replicates = _means(values)
    low, high = half_sample_interval(value, replicates, n, UNIT)
    single_low, single_high = mean_interval(values[0], rng, UNIT)
    interval = (min(low, single_low), max(high, single_high))
    return Score(float(value), n, interval, replicates=np.array(replicates))


def _takes(fake: Features) -> tuple[Matrix, Matrix]:
    takes = np.asarray(fake.takes)
    if takes.ndim != 3 or takes.shape[:2] != (2, len(fake.identities)):
        raise BenchError(
            f"takes: expected [2, {len(fake.identities)}, D], two faces an identity, got {list(takes.shape)}."
        )
    return takes[0], takes[1]


def _means(values: Matrix) -> Matrix:
    """Mean over all n identities, and over the members of each half-sample: ``[1 + halves, n]`` -> ``[1 + halves]``."""
    n = values.shape[1]
    return values.sum(axis=1) / np.where(np.arange(len(values)) == 0, n, n // 2)


@lru_cache(maxsize=2)
def _everybody_and_halves(n: int) -> NDArray[np.bool_]:
    """Who is in it: all identities, then each half-sample, bool ``[1 + halves, n]``."""
    halves = half_samples(n)
    members = np.zeros((1 + len(halves), n), bool)
    members[0] = True
    members[np.arange(1, len(members))[:, None], halves] = True
    members.setflags(write=False)
    return members


@lru_cache(maxsize=1)  # four metrics of the pair at hand: features are compared by identity, not by value
def _neighbourhoods(real: Features, fake: Features, k: int) -> manifold.Neighbourhoods:
    members = _everybody_and_halves(len(real.identities))
    return manifold.neighbourhoods(real.samples, fake.samples, k, members)
