"""Precision, recall, density and coverage: do drawn faces lie where true ones do, and everywhere they do?

A set of faces is taken for the union of balls, one around each face, that reach to its k-th nearest neighbour
in the same set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, aligned, slices
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Membership = NDArray[np.bool_]

BLOCK = 1024  # rows and columns of a block of distances: 8 MiB
WHOLE_ROWS = 256  # rows of distances to all N at once, where the nearest are looked for
HEAD = 64  # nearest neighbours that are looked at first; a subset's k-th nearest is hardly ever farther
TIE_TOLERANCE = 1e-10  # of the largest squared length: a copy is at distance 0, whatever the rounding


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """What each face of S sets of identities meets: each array ``[S, N]``, 0 where the set lacks the identity.

    precision: does the drawn face lie in a true face's ball? density: in how many, over k.
    recall: does the true face lie in a drawn face's ball? coverage: does its own ball hold a drawn face?
    """

    precision: Matrix
    recall: Matrix
    density: Matrix
    coverage: Matrix


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
    of drawn (true) faces in any ball of the other side, density the true balls around a drawn face / k, coverage
    the share of true balls that hold a drawn face.
    Pitfall: all depend on N and k, since k neighbours of a larger set are nearer.
    Source: Kynkaanniemi et al. 2019 (arXiv 1904.06991); density and coverage Naeem et al. 2020 (arXiv 2002.09797).
    """
    true, drawn = aligned(real, fake, at_least=2)
    sets = np.ones((1, len(true)), bool) if members is None else np.asarray(members, bool)
    if k < 1 or sets.ndim != 2 or sets.shape[1] != len(true) or sets.sum(axis=1).min() < k + 1:
        raise BenchError(
            f"{k} nearest neighbours need sets of {k + 1} of the {len(true)} identities or more, got "
            f"{sets.sum(axis=-1).min() if sets.size else 0}: choose a smaller k or score more identities."
        )
    centre = true.mean(axis=0)  # keeps small distances between far rows from drowning in rounding
    true, drawn = true - centre, drawn - centre
    edge = TIE_TOLERANCE * max(np.square(side).sum(axis=1).max() for side in (true, drawn))
    return _meet(true, drawn, k, sets, _radii(true, k, sets) + edge, _radii(drawn, k, sets) + edge)


def _meet(
    true: Matrix, drawn: Matrix, k: int, sets: Membership, true_radii: Matrix, drawn_radii: Matrix
) -> Neighbourhoods:
    """Count who lies in whose ball; radii: squared ``[S, N]``, of members alone they mean anything."""
    count = np.zeros(sets.shape)  # of true balls around each drawn face
    recalled, covered = np.zeros(sets.shape, bool), np.zeros(sets.shape, bool)
    for rows in slices(len(true), BLOCK):
        for columns in slices(len(drawn), BLOCK):
            squared = _squared_distances(true[rows], drawn[columns])
            for s, kept in enumerate(sets):
                i, j = np.flatnonzero(kept[rows]), np.flatnonzero(kept[columns])
                among = squared[np.ix_(i, j)]
                in_true = among <= true_radii[s, rows][i, None]
                count[s, columns.start + j] += in_true.sum(axis=0)
                covered[s, rows.start + i] |= in_true.any(axis=1)
                recalled[s, rows.start + i] |= (among <= drawn_radii[s, columns][j]).any(axis=1)
    return Neighbourhoods(
        (count > 0).astype(np.float64), recalled.astype(np.float64), count / k, covered.astype(np.float64)
    )


def _radii(rows: Matrix, k: int, sets: Membership) -> Matrix:
    """Squared distance of each row to its k-th nearest other member of each set: ``[S, N]``."""
    radii = np.empty(sets.shape)
    for part in slices(len(rows), WHOLE_ROWS):
        squared = _squared_distances(rows[part], rows)
        squared[np.arange(len(squared)), np.arange(part.start, part.stop)] = np.inf  # nobody's own neighbour
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
