"""How many different faces a system generates, whether it copies, and whether one person's faces are alike.

All by cosines of an extractor that tells people apart; lengths of embeddings do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.special import entr

from sf2f_bench.metrics.arrays import Matrix, matrix, slices, unit_rows
from sf2f_bench.metrics.closeness import TIE_TOLERANCE
from sf2f_bench.metrics.common import (
    AT_LEAST_ONE,
    AT_LEAST_ZERO,
    SIGNED_UNIT,
    UNIT,
    SuiteMetric,
    everybody_and_halves,
    mean_score,
    pair_score,
    relative_score,
    sample_score,
    share_score,
)
from sf2f_bench.metrics.similarity import cosine_similarity
from sf2f_bench.metrics.verification import verification_auc, verification_auc_leave_one_out
from sf2f_bench.types import Alarm, BenchError, Features, Margin, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BLOCK = 2048  # rows and columns of a block of cosines: 32 MiB
# Chosen on the rows of synthetic-64 at 550 steps: systems with few faces had at most 2.7 effective faces and a lookup
# of four faces has 4, all others 7.7 and more, of the true photos' 47.5. Tested on others, see docs/instruments.md.
COLLAPSED = Alarm(
    0.12,
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


def mean_distance(faces: ArrayLike | Any) -> float:
    """Mean cosine distance between two different rows of ``[N, D]``, N >= 2; 0 (all alike) .. N / (N - 1).

    Every pair, in O(N D).

    Formula: ``1 - (|sum u|^2 - sum |u|^2) / (N (N - 1))`` with u the rows at length 1.
    """
    unit = unit_rows(matrix(faces, "generated faces", at_least=2))
    n = len(unit)
    return float(1 - _alike(unit) / (n * (n - 1)))


def mean_distance_leave_one_out(faces: ArrayLike | Any) -> Matrix:
    """`mean_distance` without row i, for each i: ``[N, D]`` -> ``[N]``, N >= 3, in O(N D)."""
    unit = unit_rows(matrix(faces, "generated faces", at_least=3))
    n = len(unit)
    own = unit @ unit.sum(axis=0) - np.square(unit).sum(axis=1)
    return 1 - (_alike(unit) - 2 * own) / ((n - 1) * (n - 2))


def mean_squared_distance(features: ArrayLike | Any) -> float:
    """Mean squared Euclidean distance of all pairs of ``[N, D]``, N >= 2: of LPIPS features the mean LPIPS.

    Formula: ``2 / (N - 1) sum |x - m|^2`` with m the mean row.
    Source: diversity as the mean LPIPS of pairs: Zhu et al. 2017 (BicycleGAN, arXiv 1711.11586).
    """
    rows = matrix(features, "generated faces", at_least=2)
    return float(2 * np.square(rows - rows.mean(axis=0)).sum() / (len(rows) - 1))


def mean_squared_distance_leave_one_out(features: ArrayLike | Any) -> Matrix:
    """`mean_squared_distance` without row i, for each i: ``[N, D]`` -> ``[N]``, N >= 3, in O(N D)."""
    rows = matrix(features, "generated faces", at_least=3)
    n = len(rows)
    own = np.square(rows - rows.mean(axis=0)).sum(axis=1)
    return 2 * (own.sum() - own * n / (n - 1)) / (n - 2)


def _alike(unit: Matrix) -> float:
    """Sum of the cosines of all ordered pairs of different rows."""
    total = unit.sum(axis=0)
    return float(total @ total - np.square(unit).sum())


def effective_number(faces: ArrayLike | Any) -> float:
    """Vendi score of ``[N, D]`` with the cosine as kernel: 1 for one face for all .. min(N, D) for all unlike.

    As many equally frequent faces, unlike each other at every angle, would give it.

    Formula: ``exp(-sum l log l)`` over the eigenvalues l of K / N, K the cosines of all pairs.
    Pitfall: it grows with N: compare at equal N.
    Source: Friedman and Dieng 2023 (arXiv 2210.02410).
    """
    unit = unit_rows(matrix(faces, "generated faces"))
    smaller = unit if len(unit) <= unit.shape[1] else unit.T  # u u' and u' u share their eigenvalues
    spectrum = np.maximum(np.linalg.eigvalsh(smaller @ smaller.T), 0.0)
    total = spectrum.sum()
    return float(np.exp(entr(spectrum / total).sum())) if total > 0 else 1.0


def same_person_similarity(photos: ArrayLike | Any, owners: ArrayLike) -> float | None:
    """How alike two photos of one person usually are: the median over people of their pairs' mean cosine; -1..1.

    photos ``[M, D]``, owners ``[M]``: the person on each. Every person has one vote, however many photos. None where
    nobody has two photos. Raises BenchError unless each photo has one owner.
    """
    unit = unit_rows(matrix(photos, "photos"))
    whose = np.asarray(owners)
    if whose.shape != (len(unit),):
        raise BenchError(f"owners: expected one of each of {len(unit)} photos, got {list(whose.shape)}.")
    people = (unit[whose == person] for person in np.unique(whose))
    means = [_alike(own) / (len(own) * (len(own) - 1)) for own in people if len(own) > 1]
    return float(np.median(means)) if means else None


def is_distinct(faces: ArrayLike | Any, threshold: float, members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each face's cosine to every other face of a set is below `threshold`, for S sets.

    faces: ``[N, D]``; members: bool ``[S, N]``, the faces of each set. Returns ``[S, N]``, False for faces outside
    the set. In blocks.
    """
    unit = unit_rows(matrix(faces, "generated faces", at_least=2))
    sets = np.asarray(members, np.float32)
    neighbours = np.zeros(sets.shape, np.float32)  # exact up to 2^24 faces
    for rows in slices(len(unit), BLOCK):
        for columns in slices(len(unit), BLOCK):
            near = unit[rows] @ unit[columns].T >= threshold - TIE_TOLERANCE
            if rows == columns:
                np.fill_diagonal(near, False)
            neighbours[:, rows] += sets[:, columns] @ near.T.astype(np.float32)
    return (neighbours == 0) & (sets > 0)


def nearest_similarity(faces: ArrayLike | Any, references: ArrayLike | Any) -> Matrix:
    """Largest cosine of each face to a reference: ``[N, D]``, ``[T, D]`` -> ``[N]`` in -1..1, in blocks."""
    left, right = unit_rows(matrix(faces, "faces")), unit_rows(matrix(references, "references"))
    if left.shape[1] != right.shape[1]:
        raise BenchError(
            f"faces of {left.shape[1]} and references of {right.shape[1]} features cannot be compared."
        )
    largest = np.full(len(left), -np.inf)
    for rows in slices(len(left), BLOCK):
        for columns in slices(len(right), BLOCK):
            largest[rows] = np.maximum(largest[rows], (left[rows] @ right[columns].T).max(axis=1))
    return np.clip(largest, -1.0, 1.0)


def is_copied(
    faces: ArrayLike | Any,
    photos: ArrayLike | Any,
    training_photos: ArrayLike | Any,
    quantile: float = 0.99,
) -> NDArray[np.bool_]:
    """Whether each face lies nearer to a training photo than `quantile` of the true photos do: bool ``[N]``.

    faces ``[N, D]``; photos ``[M, D]``: of people outside the training split; training_photos ``[T, D]``.

    Formula: max cosine to a training photo > the photos' `quantile` of the same.
    """
    usual = np.quantile(nearest_similarity(photos, training_photos), quantile)
    return nearest_similarity(faces, training_photos) > usual + TIE_TOLERANCE


@dataclass(frozen=True)
class Diversity(SuiteMetric):
    """Mean cosine distance between the generated faces of different people.

    Range: 0..2; 0 where all faces are one, at most n / (n - 1).
    Direction: higher is better.
    Computed by: `diversity.mean_distance`.
    Source: the mean pairwise distance of Zhu et al. 2017 (arXiv 1711.11586), by the extractor's cosine.
    Pitfall: noise is diverse: compare with the true photos' value, and read it beside precision.
    """

    name = "diversity"
    needs = ("embeddings", "samples")
    min_n = 3
    card = MetricCard(
        "diversity",
        "diversity",
        heading="diversity",
        bounds=(0.0, 2.0),
        shown=("judge",),
        tables={"distribution": 7},
        order={"distribution": 4},
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        value = mean_distance(fake.embeddings)
        return pair_score(value, mean_distance_leave_one_out(fake.embeddings), (0.0, 2.0))


@dataclass(frozen=True)
class LpipsDiversity(SuiteMetric):
    """Mean LPIPS of all pairs of faces generated for two identities; larger: more varied to a human eye.

    Asked of LPIPS alone. The true photos' row shows how varied faces are.

    Range: 0 or more; 0 for one face for all.
    Direction: higher is better.
    Computed by: `diversity.mean_squared_distance`.
    Pitfall: noise and artefacts vary too, so it rewards bad pictures; read it beside precision.
    """

    name = "lpips-diversity"
    needs = ("samples",)
    card = MetricCard(
        "lpips-diversity",
        "diversity",
        heading="LPIPS diversity",
        bounds=AT_LEAST_ZERO,
        tables={"further": 11},
        order={"further": 0},
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all pairs; the interval is a jackknife over identities."""
        value = mean_squared_distance(fake.samples)
        return pair_score(value, mean_squared_distance_leave_one_out(fake.samples), AT_LEAST_ZERO)


@dataclass(frozen=True)
class EffectiveFaces(SuiteMetric):
    """Vendi score of the generated faces, the effective number of unlike faces.

    The interval is of what n faces give on average.

    Range: 1..n; 1 for one face for all.
    Direction: higher is better.
    Computed by: `diversity.effective_number`.
    Pitfall: it grows with n: never without its n, and compared at equal n only, best as a share of the real photos'
    value.
    """

    name = "effective-faces"
    needs = ("embeddings", "samples")
    min_n = 4
    card = MetricCard(
        "effective-faces",
        "diversity",
        heading="effective faces",
        format="size",
        bounds=(1.0, None),
        margin=Margin(0.1, "a tenth of the faces", relative=True),
        tables={"distribution": 1},
        order={"distribution": 5},
        alarm=COLLAPSED,
        smooth=False,
        heading_with_n=True,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Of all generated faces; the interval is from half-samples."""
        n = len(real.identities)
        faces = np.asarray(fake.embeddings, np.float64)
        plain = sample_score(lambda kept: effective_number(faces[kept]), n, AT_LEAST_ONE)
        return relative_score(plain, AT_LEAST_ONE)


@dataclass(frozen=True)
class DistinctFaces(SuiteMetric):
    """Share of people whose generated face could not be taken for any other person's.

    A generated face is distinct where its largest cosine to another person's generated face is below the similarity
    at which two photos of one person usually lie (`diversity.same_person_similarity` of the true photos). NaN, so
    absent, where nobody has two photos.

    The interval is from half-samples: doubles come in pairs, so single faces are not independent. It holds the
    threshold fixed.

    Formula: mean over i of [cos(f_i, f_j) < t for all j != i], f the generated faces, t the threshold.
    Range: 0..1; 0 for one face for all.
    Direction: higher is better.
    Computed by: `diversity.same_person_similarity`, `diversity.is_distinct`.
    Source: this suite.
    Pitfall: it falls as n grows: more people, more doubles. Compare at equal n.
    """

    name = "distinct-faces"
    needs = ("embeddings", "samples", "photos")
    min_n = 4
    card = MetricCard(
        "distinct-faces",
        "diversity",
        heading="distinct faces",
        bounds=UNIT,
        tables={"distribution": 9},
        order={"distribution": 6},
        smooth=False,
        heading_with_n=True,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean of 0 or 1 over identities."""
        n = len(real.identities)
        threshold = same_person_similarity(real.photos, cast("Matrix", real.owners))
        if threshold is None:
            return Score(np.nan, n)
        distinct = is_distinct(fake.embeddings, threshold, everybody_and_halves(n))
        return share_score(distinct.astype(float), rng)


@dataclass(frozen=True)
class CopiedFaces(SuiteMetric):
    """Share of generated faces nearer to a training photo than 99 % of the true test photos are.

    The interval holds training photos and threshold fixed.

    Range: 0..1; about .01 for faces of new people, 1 for a system that shows training photos.
    Direction: lower is better.
    Computed by: `diversity.is_copied`.
    Source: this suite; the nearest training photo as in Meehan et al. 2020 (arXiv 2004.05675).
    Pitfall: it sees whole faces by the extractor's eye and misses copies of parts.
    """

    name = "copied-faces"
    higher_is_better = False
    needs = ("embeddings", "samples", "photos", "training_photos")
    card = MetricCard(
        "copied-faces",
        "diversity",
        heading="copied faces",
        bounds=UNIT,
        tables={"distribution": 8},
        order={"distribution": 7},
        alarm=COPIED,
        smooth=False,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean of 0 or 1 over identities; the interval is a bootstrap over them."""
        copied = is_copied(fake.embeddings, real.photos, real.training_photos)
        return mean_score(copied.astype(np.float64), rng, UNIT)


@dataclass(frozen=True)
class CopiedPictures(SuiteMetric):
    """Share of generated faces that as pictures are more like training photos than 99 % of the true test photos are.

    Brightness and contrast are normalised; a face is compared with each training photo mirrored and not, moved by up
    to three pixels, and with the mixtures of two of the nearest photos. The interval holds the threshold fixed.

    Formula: mean over people of [likeness of the face > the true photos' 99 % quantile of it].
    Range: 0..1; about .01 for faces of new people, 1 for a system that shows training photos.
    Direction: lower is better.
    Computed by: `evaluation.copying.TrainingPictures.likeness`.
    Source: this suite; the nearest training photo as in Meehan et al. 2020 (arXiv 2004.05675).
    Pitfall: it misses strong blur (which copied-faces finds), larger moves, turned or scaled copies, mirrored or moved
    mixtures, mixtures of three and copies of parts.
    """

    name = "copied-pictures"
    higher_is_better = False
    needs = ("samples", "photos", "training_likeness")
    card = replace(CopiedFaces.card, quantity="copied-pictures", heading="copied pictures")

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean of 0 or 1 over identities; the interval is a bootstrap over them."""
        usual = np.quantile(cast("Matrix", real.training_likeness), 0.99)
        copied = np.asarray(fake.training_likeness) > usual + TIE_TOLERANCE
        return mean_score(copied.astype(np.float64), rng, UNIT)


@dataclass(frozen=True)
class Consistency(SuiteMetric):
    """Mean cosine between the two faces generated from different recordings of one person.

    Range: -1..1.
    Direction: higher is better.
    Computed by: `similarity.cosine_similarity`.
    Source: this suite.
    Pitfall: a collapsed system, which generates one face for all, has consistency 1 and a consistency-auc of .5: read
    the two together.
    """

    name = "consistency"
    needs = ("takes",)
    card = MetricCard(
        "consistency",
        "diversity",
        heading="consistency",
        bounds=SIGNED_UNIT,
        shown=("judge",),
        tables={"distribution": 6},
        order={"distribution": 8},
        smooth=False,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        return mean_score(cosine_similarity(*_repeat_faces(fake)), rng, None)


@dataclass(frozen=True)
class ConsistencyAUC(SuiteMetric):
    """Chance that the two faces of one person are more alike than faces of two people.

    Range: 0..1; guessing .5.
    Direction: higher is better.
    Computed by: `verification.verification_auc`.
    Pitfall: it says that the voice decides the face, not that the face is right. A collapsed system has .5, with
    a consistency of 1: read the two together.
    """

    name = "consistency-auc"
    needs = ("takes",)
    min_n = 3
    card = MetricCard(
        "consistency-auc",
        "diversity",
        heading="consistency AUC",
        bounds=UNIT,
        chance=0.5,
        tables={"distribution": 0},
        order={"distribution": 9},
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all pairs of a first and a second take; the interval is a jackknife over identities."""
        pair = _repeat_faces(fake)
        return pair_score(verification_auc(*pair), verification_auc_leave_one_out(*pair), UNIT)


def _repeat_faces(fake: Features) -> tuple[Matrix, Matrix]:
    first_and_second = np.asarray(fake.repeat_faces)
    if first_and_second.ndim != 3 or first_and_second.shape[:2] != (2, len(fake.identities)):
        raise BenchError(
            f"takes: expected [2, {len(fake.identities)}, D], two faces an identity, got "
            f"{list(first_and_second.shape)}."
        )
    return first_and_second[0], first_and_second[1]
