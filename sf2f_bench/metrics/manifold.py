"""Precision, recall, density and coverage: whether generated faces lie where true ones do, and everywhere they do.

A set of faces stands for a union of balls, one around each face, that reach to its k-th nearest neighbour in the
same set.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, aligned, slices, to_unit_scale
from sf2f_bench.metrics.common import UNIT, SuiteMetric
from sf2f_bench.types import BenchError, Features, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Membership = NDArray[np.bool_]

Side = Literal["precision", "recall", "density", "coverage", "capped-precision"]
SIDES: dict[Side, tuple[int, int]] = {  # by their place in tables: priority in "distribution", in "further"
    "precision": (5, 3),
    "recall": (4, 2),
    "density": (2, -1),
    "coverage": (3, 0),
    "capped-precision": (3, -1),
}
NEIGHBOURS = 5
BLOCK = 1024  # rows and columns of a block of distances: 8 MiB
WHOLE_ROWS = 256  # rows of distances to all N at once, where the nearest are looked for
HEAD = 64  # nearest neighbours that are looked at first; a subset's k-th nearest is hardly ever farther
TIE_TOLERANCE = 1e-10  # of the squared lengths of a pair: a copy is at distance 0, whatever the rounding


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """What holds of each face within S sets of identities: each array ``[S, N]``, 0 for identities outside the set.

    precision: 1 where the generated face lies in a true face's ball; density: the number of such balls over k.
    recall: 1 where the true face lies in a generated face's ball; coverage: where its own ball holds a generated one.
    capped_precision: as precision, with no true ball larger than the set's median one.
    """

    precision: Matrix
    recall: Matrix
    density: Matrix
    coverage: Matrix
    capped_precision: Matrix


def neighbourhoods(
    real: ArrayLike | Any, fake: ArrayLike | Any, k: int = 5, members: Membership | None = None
) -> Neighbourhoods:
    """Precision, recall, density and coverage of each face, within each of S sets of identities.

    real, fake: features ``[N, D]``, rows i of one identity; members: bool ``[S, N]``, the identities of each set
    (None: one set of all). The metrics are the means over a set's members: precision, recall and coverage in
    0..1, density 0 or more and about 1 for equal laws, whose coverage is about 1 - 2^-k. Distances are Euclidean;
    a face on the edge of a ball lies in it. Memory is O(N (D + S)) and a fixed block.

    Raises BenchError for unlike sides and for sets of fewer than k + 1 identities.

    Formula: a face's ball reaches to its k-th nearest neighbour on its own side; precision and recall are the shares
    of generated (true) faces in any ball of the other side, density the true balls around a generated face / k,
    coverage the share of true balls that hold a generated face; capped precision is precision with the squared radii
    ``min(r^2, median r^2)``.
    Pitfall: all depend on N and k, since k neighbours of a larger set are nearer.
    Source: Kynkaanniemi et al. 2019 (arXiv 1904.06991); density and coverage Naeem et al. 2020 (arXiv 2002.09797).
    """
    true, generated = aligned(real, fake, at_least=2)
    sets = np.ones((1, len(true)), bool) if members is None else np.asarray(members, bool)
    if k < 1 or sets.ndim != 2 or sets.shape[1] != len(true) or sets.sum(axis=1).min() < k + 1:
        raise BenchError(
            f"{k} nearest neighbours need sets of {k + 1} of the {len(true)} identities or more, got "
            f"{sets.sum(axis=-1).min() if sets.size else 0}: choose a smaller k or score more identities."
        )
    true, generated = _centred(true, generated)
    return _meet(true, generated, k, sets, _radii(true, k, sets), _radii(generated, k, sets))


def _centred(true: Matrix, generated: Matrix) -> tuple[Matrix, Matrix]:
    """Both about one centre and on one scale, so that distances neither drown in rounding nor overflow.

    The centre is a median, for the mean follows an outlier.
    """
    true, generated = to_unit_scale(true, generated)
    centre = np.median(true, axis=0)
    true, generated = to_unit_scale(true - centre, generated - centre)
    return true, generated


def _meet(
    true: Matrix, generated: Matrix, k: int, sets: Membership, true_radii: Matrix, generated_radii: Matrix
) -> Neighbourhoods:
    """Count which faces lie in which balls; radii: squared ``[S, N]``, meaningless outside the set."""
    count = np.zeros(sets.shape)  # of true balls around each generated face
    recalled, covered, in_capped = np.zeros((3, *sets.shape), bool)
    cap = np.array([np.median(radii[kept]) for radii, kept in zip(true_radii, sets, strict=True)])
    for rows in slices(len(true), BLOCK):
        for columns in slices(len(generated), BLOCK):
            # A face on the edge lies in the ball, whatever the rounding, which grows with the lengths of the two.
            lengths = np.square(true[rows]).sum(axis=1)[:, None] + np.square(generated[columns]).sum(axis=1)
            squared = _squared_distances(true[rows], generated[columns]) - TIE_TOLERANCE * lengths
            for s, kept in enumerate(sets):
                i, j = np.flatnonzero(kept[rows]), np.flatnonzero(kept[columns])
                among = squared[np.ix_(i, j)]
                in_true = among <= true_radii[s, rows][i, None]
                count[s, columns.start + j] += in_true.sum(axis=0)
                covered[s, rows.start + i] |= in_true.any(axis=1)
                in_capped[s, columns.start + j] |= (in_true & (among <= cap[s])).any(axis=0)
                recalled[s, rows.start + i] |= (among <= generated_radii[s, columns][j]).any(axis=1)
    shares = (side.astype(np.float64) for side in (recalled, covered, in_capped))
    recall, coverage, capped = shares
    return Neighbourhoods((count > 0).astype(np.float64), recall, count / k, coverage, capped)


def _radii(rows: Matrix, k: int, sets: Membership) -> Matrix:
    """Squared distance of each row to its k-th nearest other member of each set: ``[S, N]``."""
    radii = np.empty(sets.shape)
    for part in slices(len(rows), WHOLE_ROWS):
        squared = _squared_distances(rows[part], rows)
        # No face is its own neighbour.
        squared[np.arange(len(squared)), np.arange(part.start, part.stop)] = np.inf
        radii[:, part] = _kth_member(squared, k, sets, HEAD)
    return radii


def _kth_member(squared: Matrix, k: int, sets: Membership, reach: int) -> Matrix:
    """The k-th smallest distance to a member: ``[rows, N]`` -> ``[S, rows]``."""
    head = min(reach, squared.shape[1])
    nearest = np.argpartition(squared, head - 1, axis=1)[:, :head]
    distances = np.take_along_axis(squared, nearest, axis=1)
    order = distances.argsort(axis=1)
    found = sets[:, np.take_along_axis(nearest, order, axis=1)].cumsum(axis=2)  # [S, rows, head]
    if found[:, :, -1].min() < k:
        return _kth_member(squared, k, sets, 2 * reach)
    place = (found >= k).argmax(axis=2)
    return np.take_along_axis(np.take_along_axis(distances, order, axis=1), place.T, axis=1).T


def _squared_distances(a: Matrix, b: Matrix) -> Matrix:
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squared, 0.0, out=squared)


@dataclass(frozen=True)
class ManifoldShare(SuiteMetric):
    """Precision, recall, density or coverage of the generated faces among the true photos, by k nearest neighbours.

    "precision": share of generated faces in the true faces' region; "recall": share of true faces in the generated
    ones'; "density": how densely true faces lie around a generated one (about 1 for equal laws);
    "coverage": share of true faces that have a generated one in their neighbourhood (1 - 2^-k for equal laws);
    "capped-precision": precision where no true face's ball is larger than the median one, so that a few photos far from
    all others do not decide it.

    They have no interval, and nothing is kept for paired tests: with a judge's number of dimensions a few large balls
    hold a large share of the faces, and half-samples, which seldom have all of them, give too narrow intervals.

    Range: 0..1 (precision, manifold-recall, coverage, capped-precision), 0 or more (density).
    Direction: higher is better.
    Computed by: `manifold.neighbourhoods`.
    Source: Kynkaanniemi et al. 2019 (arXiv 1904.06991); Naeem et al. 2020 (arXiv 2002.09797); capping after Park and
    Kim 2023 (arXiv 2309.01590), who give all balls one radius.
    Pitfall: a system that generates only typical faces has precision 1 and recall 0: read them together. All depend
    on n and k: compare at equal n.
    """

    side: Side
    k: int = NEIGHBOURS
    needs = ("samples",)

    @property
    def name(self) -> str:
        """``precision/k5``; recall is ``manifold-recall/k5``, because recall@k is something else."""
        return f"{'manifold-recall' if self.side == 'recall' else self.side}/k{self.k}"

    @property
    def min_n(self) -> int:
        """Four times as many as neighbours: with fewer, balls hold a large share of the faces whatever the law."""
        return 4 * self.k

    @property
    def card(self) -> MetricCard:
        """They stand side by side."""
        quantity, place = self.name.partition("/")[0], min(3, list(SIDES).index(self.side))
        priority, further = SIDES[self.side]
        return MetricCard(
            quantity,
            "distribution",
            {"neighbours": self.k},
            heading=f"{quantity.replace('-', ' ')} k={self.k}",
            bounds=(0.0, None) if self.side == "density" else UNIT,
            tables={"distribution": priority, "further": further},
            order={"distribution": place, "further": 7 + place},
            smooth=False,
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over generated faces (precision, density) or true faces (recall, coverage)."""
        found = _neighbourhoods(real, fake, self.k)
        return Score(float(getattr(found, self.side.replace("-", "_"))[0].mean()), len(real.identities))


@lru_cache(maxsize=1)  # five metrics of the pair at hand: features are compared by identity, not by value
def _neighbourhoods(real: Features, fake: Features, k: int) -> Neighbourhoods:
    return neighbourhoods(real.samples, fake.samples, k)
