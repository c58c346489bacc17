"""Matching and retrieval among people of one stratum: the same gender, nationality or age group.

A system that hears nothing but the gender beats every second stranger, and nobody of the speaker's own gender. So
the association literature draws the others from the probe's own stratum; within it the gender oracle is at chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, aligned
from sf2f_bench.metrics.retrieval import expected_recall, ranks
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sf2f_bench.metrics.retrieval import Counts


@dataclass(frozen=True, eq=False)
class StratumRanks:
    """What `retrieval.ranks` counts among the people of each probe's own stratum.

    better, ties, size: int64 ``[N]``; size is the number of people of the stratum, the probe included, 0 where the
    stratum is not known.
    """

    better: Counts
    ties: Counts
    size: Counts


def ranks_within(
    probes: ArrayLike | Any, gallery: ArrayLike | Any, strata: Sequence[str | None]
) -> StratumRanks:
    """How many others of its stratum come before each probe's right answer, and how many are tied with it.

    probes, gallery: ``[N, D]``, row i's answer is row i; strata: the stratum of each row, None where not known.
    Cosine, ties within 1e-12. Raises BenchError for inputs that `retrieval.ranks` refuses, or another number
    of strata than rows.
    """
    left, right = aligned(probes, gallery)
    if len(strata) != len(left):
        raise BenchError(f"expected a stratum (or None) for each of {len(left)} rows, got {len(strata)}.")
    labels = np.array(["" if stratum is None else f"={stratum}" for stratum in strata])
    found = StratumRanks(*(np.zeros(len(left), np.int64) for _ in range(3)))
    for label in np.unique(labels[labels != ""]):
        rows = np.flatnonzero(labels == label)
        found.better[rows], found.ties[rows] = ranks(left[rows], right[rows])
        found.size[rows] = len(rows)
    return found


def expected_recall_within(within: StratumRanks, gallery_size: int, k: int) -> Matrix:
    """Each probe's recall@k, expected over all galleries of `gallery_size` from its own stratum: ``[N]``.

    In 0..1, chance k / gallery_size; NaN for probes whose stratum is smaller than the gallery or not known.
    k = 1 is the accuracy of 1:N matching, N = gallery_size. Raises BenchError as `retrieval.expected_recall`.

    Formula: that of `retrieval.expected_recall`, with n the size of the probe's stratum.
    """
    values = np.full(len(within.size), np.nan)
    for size in np.unique(within.size[within.size >= gallery_size]):
        rows = within.size == size
        values[rows] = expected_recall(within.better[rows], within.ties[rows], int(size), gallery_size, k)
    return values
