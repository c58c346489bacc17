"""Errors of the traits that a network reads from generated faces of the synthetic world, whose true traits are known.

The network errs too: the same number of true photos, which the notes of a record and the row of true photos show,
is the floor of each metric. No data set of real photos knows such traits, so there the metrics are absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sf2f_bench.metrics.common import AT_LEAST_ZERO, mean_score, pair_score
from sf2f_bench.types import BenchError, Margin, MetricCard, Score

if TYPE_CHECKING:
    from sf2f_bench.metrics.arrays import Matrix

HEARD = ("age", "face_height", "jaw_width", "brow_height", "skin_tone", "nose_length", "mouth_width")
# The network reads `ear_size` and `face_taper` too badly for a score.
FACE_ONLY = (
    "hair_length", "hair_colour", "hair_volume", "fringe", "eye_size", "eye_spacing", "eye_colour", "nose_width",
    "lip_thickness", "brow_thickness", "brow_angle",
)  # fmt: skip
READ = (*HEARD, *FACE_ONLY)


@dataclass(frozen=True)
class TraitError:
    """Squared error of traits read from the generated faces, over that of the same guess for everybody.

    traits: one, or several, of which the mean is taken: all that the network reads well (`trait-error`), or those of
    which the voices of `synthetic/1` tell (`trait-error-heard`).

    Formula: mean over traits of [sum over people of (trait read from the face - true trait)^2 / sum over people of
    (mean true trait of the people - true trait)^2].
    Range: 0 or more; the mean face is at about 1; the floor is the network's own error on true photos.
    Direction: lower is better.
    Source: 1 - R^2 of a prediction, against the known parameters of the world.
    Pitfall: the network learnt from rendered faces; on a soft mean of photos it may misread a trait (the size of
    the eyes above all) and give more than 1, so compare with the row of the mean face, and trait by trait.
    """

    name: str
    traits: tuple[str, ...]
    place: int
    version: int = 1
    higher_is_better: bool = False
    min_n: int = 4

    @property
    def card(self) -> MetricCard:
        """In the table of traits where the voice tells of it, or a mean; the others stand in files."""
        return MetricCard(
            self.name,
            "trait",
            heading=self.name.removeprefix("trait-error-").replace("-", " "),
            bounds=(0.0, None),
            margin=Margin(0.05, "of the error of one guess for everybody"),
            tables={} if self.traits[0] in FACE_ONLY else {"traits": 9 - self.place},
            order={} if self.traits[0] in FACE_ONLY else {"traits": self.place},
        )

    def __call__(self, true: Mapping[str, Matrix], read: Mapping[str, Matrix]) -> Score:
        """The traits of the same people in the same order, ``[N]`` each; the interval is a jackknife over people."""
        t, r = (
            np.stack([np.asarray(side[name], np.float64) for name in self.traits]) for side in (true, read)
        )
        if t.shape != r.shape or (n := t.shape[1]) < self.min_n:
            raise BenchError(
                f"{self.name} needs the traits of at least {self.min_n} people, once on each side."
            )
        errors, around = np.square(r - t), np.square(t - t.mean(axis=1, keepdims=True))
        total, spread = errors.sum(axis=1, keepdims=True), around.sum(axis=1, keepdims=True)
        if not (spread > 0).all():
            return Score(np.nan, n)
        # Without one person the mean of the others moves too.
        value, without = float((total / spread).mean()), (total - errors) / (spread - n / (n - 1) * around)
        leave_one_out = without.mean(axis=0)
        # About the value: a ratio's pseudo-values have its bias, which an interval for the ratio itself leaves out.
        return pair_score(value, leave_one_out + (value - leave_one_out.mean()), AT_LEAST_ZERO)


@dataclass(frozen=True)
class LandmarkError:
    """Mean distance between the landmarks of the traits read from the face and the true ones, in eye distances.

    Ten landmarks that follow from the traits, in a neutral pose: eyes, brows, corners of the mouth, jaw, nose, chin.

    Formula: mean over people and landmarks of |landmark read - true landmark| / distance of the true eyes.
    Range: 0 or more; the floor is the network's own error on true photos.
    Direction: lower is better.
    Source: the normalised mean error of facial landmarks, by the distance between the eyes.
    Pitfall: of expected positions, not of pixels: pose and expression of a face do not count.
    """

    name: str = "landmark-error"
    version: int = 1
    higher_is_better: bool = False
    min_n: int = 4
    card: ClassVar[MetricCard] = MetricCard(
        "landmark-error",
        "trait",
        heading="landmark error",
        bounds=(0.0, None),
        margin=Margin(0.005, "of the distance between the eyes"),
        tables={"traits": 8},
        order={"traits": 2},
    )

    def __call__(self, true: Matrix, read: Matrix, rng: np.random.Generator) -> Score:
        """Landmarks of the same people, ``[N, 10, 2]``, right and left eye at 0 and 4; a bootstrap over people."""
        if true.shape != read.shape or len(true) < self.min_n:
            raise BenchError(
                f"{self.name} needs landmarks of at least {self.min_n} people, once on each side."
            )
        eyes = np.linalg.norm(true[:, 0] - true[:, 4], axis=1)
        return mean_score(np.linalg.norm(read - true, axis=2).mean(axis=1) / eyes, rng, AT_LEAST_ZERO)


TRAIT_ERRORS = (
    TraitError("trait-error", READ, 0),
    TraitError("trait-error-heard", HEARD, 1),
    *(TraitError(f"trait-error-{name.replace('_', '-')}", (name,), 3 + i) for i, name in enumerate(READ)),
)
LANDMARK_ERROR = LandmarkError()
METRICS: tuple[TraitError | LandmarkError, ...] = (*TRAIT_ERRORS, LANDMARK_ERROR)
