"""Mean average precision: one probe has several right answers in the gallery, such as all photos of a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, matrix, slices, unit_rows
from sf2f_bench.metrics.closeness import TIE_TOLERANCE
from sf2f_bench.metrics.common import UNIT, SuiteMetric, mean_of_known
from sf2f_bench.types import BenchError, Features, Margin, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Labels = NDArray[np.int64]

BLOCK_ELEMENTS = 2**21  # cosines held at once: 16 MiB of float64, whatever the gallery's size


def average_precisions(
    probes: ArrayLike | Any, probe_labels: ArrayLike, items: ArrayLike | Any, item_labels: ArrayLike
) -> Matrix:
    """Average precision of every probe over a gallery sorted by cosine: ``[P]`` in 0..1.

    probes ``[P, D]``, items ``[M, D]``; an item is relevant where its label (a whole number) is the probe's. The
    mean over the relevant items of the precision at their rank, expected over the order of the tied (within
    1e-12); NaN for a probe without a relevant item. Memory is O((P + M) D) and a fixed block.

    Raises BenchError for empty, NaN or unlike inputs.

    Formula: with t items and R relevant ones before a group of n tied items, r of them relevant, the group adds
    ``r / n * sum over j = 1..n of (R + 1 + (j - 1) (r - 1) / (n - 1)) / (t + j)``.
    Source: McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of
    Tied Scores" (2008).
    Pitfall: chance depends on how many items are relevant; compare only within one gallery.
    """
    left, right = unit_rows(matrix(probes, "probes")), unit_rows(matrix(items, "items"))
    if left.shape[1] != right.shape[1]:
        raise BenchError(f"probes {list(left.shape)} and items {list(right.shape)} must have one width.")
    wanted, places = _labels(probe_labels, len(left), "probe"), _labels(item_labels, len(right), "item")
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, len(right) + 1))])
    values = np.full(len(left), np.nan)
    for row, cosines in _rows(left, right):
        relevant = np.flatnonzero(places == wanted[row])
        if relevant.size:
            values[row] = _expected_precision(cosines, np.sort(cosines[relevant])[::-1], harmonic)
    return values


def _labels(labels: ArrayLike, count: int, what: str) -> Labels:
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise BenchError(
            f"expected a whole number as label of each of {count} {what}s, got {array.dtype} {list(array.shape)}."
        )
    return array.astype(np.int64)


def _rows(left: Matrix, right: Matrix) -> Iterator[tuple[int, Matrix]]:
    """Every probe's number and its cosines to all items ``[M]``."""
    for rows in slices(len(left), max(1, BLOCK_ELEMENTS // len(right))):
        yield from enumerate(left[rows] @ right.T, rows.start)


def _expected_precision(cosines: Matrix, relevant: Matrix, harmonic: Matrix) -> float:
    """Expected average precision from all cosines ``[M]`` and those of the relevant items, falling."""
    # Tied relevant items are one group: it begins where the gap to the relevant item before is no tie.
    starts = np.flatnonzero(np.diff(relevant, prepend=np.inf) < -TIE_TOLERANCE)
    ends = np.append(starts[1:], len(relevant))
    before = _counts_above(cosines, relevant[starts] + TIE_TOLERANCE)  # t
    tied = _counts_above(cosines, relevant[ends - 1] - TIE_TOLERANCE) - before  # n
    hits = ends - starts  # r
    growth = (hits - 1) / np.maximum(tied - 1, 1)  # relevant ones among the tied before, for each place
    # sum of (a + g (j - 1)) / (t + j) is n g + (a - g (t + 1)) (H[t + n] - H[t])
    share = harmonic[before + tied] - harmonic[before]
    sums = tied * growth + (starts + 1 - growth * (before + 1)) * share
    return float(np.clip(np.sum(hits / tied * sums) / len(relevant), 0.0, 1.0))


def _counts_above(cosines: Matrix, thresholds: Matrix) -> Labels:
    """How many cosines are higher than each threshold: compared one by one, which is faster than sorting them."""
    return np.array([np.count_nonzero(cosines > threshold) for threshold in thresholds])


@dataclass(frozen=True)
class MeanAveragePrecision(SuiteMetric):
    """Mean average precision of finding ALL photos of the person among everybody's photos.

    Range: 0..1; chance depends on the numbers of photos.
    Direction: higher is better.
    Computed by: `precision.average_precisions`.
    Pitfall: compare with the chance row of the same table only.
    """

    name = "map/photos"
    needs = ("ranking", "photos")
    card = MetricCard(
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

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities with a photo; the interval is a bootstrap over them."""
        n = len(real.identities)
        if real.owners is None or real.owners.min(initial=0) < 0 or real.owners.max(initial=0) >= n:
            raise BenchError(f"{self.name}: every photo needs the row of its owner, 0 to {n - 1}.")
        return mean_of_known(average_precisions(fake.embeddings, np.arange(n), real.photos, real.owners), rng)
