"""Retrieval: how early the right identity comes when the gallery is sorted by similarity.

Probe i (a drawn face) searches a gallery whose row i is the right answer. Ties share their places: every
number is the expectation over a random order among the tied. A system that cannot tell anybody apart is
therefore at chance exactly, without simulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

from sf2f_bench.metrics.arrays import Matrix, aligned, slices, unit_rows
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Counts = NDArray[np.int64]
    BlockCounts = Iterator[tuple[slice, Counts, Counts]]

Similarity = Literal["cosine", "l1"]

PROBE_BLOCK, GALLERY_BLOCK = 512, 4096  # 16 MiB of float64 a block, whatever N is
# Far above the rounding of a float64 sum of products, far below any difference that means something:
# what is tied does not depend on how a BLAS orders its sums, nor on the blocks.
TIE_TOLERANCE = 1e-12
MANY = 512  # more unsure pairs than one in so many: the whole block again is faster than pair by pair


def ranks(
    probes: ArrayLike | Any, gallery: ArrayLike | Any, similarity: Similarity = "cosine"
) -> tuple[Counts, Counts]:
    """How many other gallery rows come before the right one, and how many are tied with it.

    probes, gallery: ``[N, D]``, row i's answer is row i. Returns ``better [N]``, ``ties [N]`` (int64): the
    right answer's rank is uniform on better + 1 .. better + 1 + ties. "cosine": higher is nearer, tied
    within 1e-12; "l1": sum of absolute differences, smaller is nearer, tied within 1e-12 of the distance.
    Memory is O(N D) and a fixed block. Raises BenchError for empty, NaN or unlike inputs.
    """
    left, right = prepared(probes, gallery, similarity)
    answer = answers(left, right, similarity)
    margin = TIE_TOLERANCE * (np.abs(answer) if similarity == "l1" else 1.0)
    above, reach = answer + margin, answer - margin
    better, reached = np.zeros(len(left), np.int64), np.zeros(len(left), np.int64)
    counts = _counts_of_cosines if similarity == "cosine" else _counts_of_distances
    for rows, block_better, block_reached in counts(left, right, above, reach):
        better[rows] += block_better
        reached[rows] += block_reached
    return better, reached - better


def _counts_of_distances(left: Matrix, right: Matrix, above: Matrix, reach: Matrix) -> BlockCounts:
    """Per block of pairs i != j: its rows, and for each of them how many columns are above and how many reach."""
    for rows, _, block in closeness_blocks(left, right, "l1"):
        yield rows, *_per_row(block, above[rows], reach[rows])


def _counts_of_cosines(left: Matrix, right: Matrix, above: Matrix, reach: Matrix) -> BlockCounts:
    """As `_counts_of_distances`, for unit rows: single precision settles nearly all pairs at half the time.

    What lies nearer to a threshold than the rounding error can be is computed again in double precision.
    """
    # Of a sum of D products with rounded factors, whose magnitudes sum to 1 at most, and of the threshold:
    # Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1.
    error = (left.shape[1] + 8) * 2.0**-24
    surely_above, perhaps_reach = (above + error).astype(np.float32), (reach - error).astype(np.float32)
    rough_right = right.astype(np.float32)
    for rows in slices(len(left), PROBE_BLOCK):
        rough_left = left[rows].astype(np.float32)
        for columns in slices(len(right), GALLERY_BLOCK):
            rough = _without_answers(rough_left @ rough_right[columns].T, rows, columns)
            sure, perhaps = _tests(rough, surely_above[rows], perhaps_reach[rows])
            perhaps ^= sure
            if np.count_nonzero(perhaps) > perhaps.size // MANY:
                block = _without_answers(left[rows] @ right[columns].T, rows, columns)
                yield rows, *_per_row(block, above[rows], reach[rows])
                continue
            row, column = np.divmod(np.flatnonzero(perhaps), perhaps.shape[1])
            cosine = np.einsum("nd,nd->n", left[rows][row], right[columns][column])
            count = np.count_nonzero(sure, axis=1)
            extra = (row[cosine > above[rows][row]], row[cosine >= reach[rows][row]])
            yield rows, *(count + np.bincount(some, minlength=len(count)) for some in extra)


def _tests(block: Any, above: Any, reach: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which entries of a block ``[rows, columns]`` are above, and which reach, their row's threshold."""
    return block > above[:, None], block >= reach[:, None]


def _per_row(block: Matrix, above: Matrix, reach: Matrix) -> tuple[Counts, Counts]:
    """How many columns are above, and how many reach, each row's threshold."""
    is_above, reaches = _tests(block, above, reach)
    return np.count_nonzero(is_above, axis=1), np.count_nonzero(reaches, axis=1)


def _without_answers(block: Any, rows: slice, columns: slice) -> Any:
    """The block with -inf where a probe meets its own answer, in place."""
    same = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
    block[same - rows.start, same - columns.start] = -np.inf
    return block


def prepared(probes: Any, gallery: Any, similarity: str, at_least: int = 1) -> tuple[Matrix, Matrix]:
    """Checked float64 rows ``[N, D]``, at length 1 where the similarity is the cosine."""
    if similarity not in ("cosine", "l1"):
        raise BenchError(f"unknown similarity {similarity!r}: expected 'cosine' or 'l1'.")
    left, right = aligned(probes, gallery, at_least)
    return (unit_rows(left), unit_rows(right)) if similarity == "cosine" else (left, right)


def answers(left: Matrix, right: Matrix, similarity: str) -> Matrix:
    """Closeness ``[N]`` of each row to its own answer: larger is nearer, so a distance is negated."""
    if similarity == "cosine":
        return np.einsum("nd,nd->n", left, right)
    return np.concatenate([-np.abs(left[s] - right[s]).sum(axis=1) for s in slices(len(left), GALLERY_BLOCK)])


def closeness_blocks(left: Matrix, right: Matrix, similarity: str) -> Iterator[tuple[slice, slice, Matrix]]:
    """Rows, columns and closeness ``[rows, columns]`` of all pairs i != j; -inf stands where i == j."""
    for rows in slices(len(left), PROBE_BLOCK):
        for columns in slices(len(right), GALLERY_BLOCK):
            if similarity == "cosine":
                block = left[rows] @ right[columns].T
            else:
                block = -cdist(left[rows], right[columns], "cityblock")
            yield rows, columns, _without_answers(block, rows, columns)


def recall_at_k(
    probes: ArrayLike | Any,
    gallery: ArrayLike | Any,
    ks: Sequence[int],
    similarity: Similarity = "cosine",
) -> dict[int, float]:
    """Fraction of probes whose right answer is among the k nearest gallery rows, for each k.

    probes, gallery: ``[N, D]``, row i's answer is row i. Values in 0..1, chance is k / N; ties by
    expectation. Raises BenchError where k is not in 1..N and for inputs that `ranks` refuses.
    Source: Recall@K of "Speech Fusion to Face" (arXiv 2006.05888), with a gallery of N.
    """
    better, ties = ranks(probes, gallery, similarity)
    n = len(better)
    return {k: float(expected_recall(better, ties, n, None, k).mean()) for k in ks}


def expected_recall(better: ArrayLike, ties: ArrayLike, n: int, gallery_size: int | None, k: int) -> Matrix:
    """Each probe's recall@k, expected over ALL galleries of `gallery_size` that hold its right answer.

    better, ties: ``[N]`` of `ranks`, within `n` gallery rows. A gallery is the right answer and
    gallery_size - 1 of the n - 1 others, all choices alike; None (or n) is the full gallery. Returns
    ``[N]`` in 0..1, free of the luck of which gallery was drawn.

    Raises BenchError where k or gallery_size do not fit.

    Formula: with u others ahead of the answer P(X < k), X hypergeometric (gallery_size - 1 draws from n - 1 with u
    marked); with ties the mean over u = better, ..., better + ties.
    Source: Recall@K of "Speech Fusion to Face" (arXiv 2006.05888), over all galleries in place of three.
    """
    size = n if gallery_size is None else gallery_size
    if not 1 <= size <= n:
        raise BenchError(f"a gallery of {size} cannot be drawn from {n} identities: choose 1 to {n}.")
    if not 1 <= k <= size:
        raise BenchError(f"a gallery of {size} cannot give recall@{k}: choose k from 1 to {size}.")
    ahead, tied = _counts(better, ties, n)
    area = np.concatenate([[0.0], np.cumsum(_recall_by_number_ahead(n, size, k))])
    return np.clip((area[ahead + tied + 1] - area[ahead]) / (tied + 1), 0.0, 1.0)


def _recall_by_number_ahead(n: int, size: int, k: int) -> Matrix:
    """P(fewer than k of the u others ahead are drawn) ``[n]`` for u = 0 .. n - 1."""
    if size == n:
        return (np.arange(n) < k).astype(np.float64)
    if size == k:
        return np.ones(n)
    # The same as hypergeom.cdf(k - 1, n - 1, u, size - 1) for every u at once: fewer than k of the first u
    # are drawn exactly if the k-th drawn one has u or more before it, of which k - 1 are drawn.
    skipped = stats.nhypergeom.pmf(np.arange(n - size + 1), n - 1, n - size, k)
    tail = np.cumsum(skipped[::-1])[::-1]
    return np.concatenate([np.ones(k), tail[1:] / tail[0], np.zeros(n)])[:n]


def expected_ranks(better: ArrayLike, ties: ArrayLike) -> Matrix:
    """Rank of each right answer in the full gallery ``[N]``, 1 is best, ties by expectation.

    Formula: 1 + better + ties / 2.
    """
    ahead, tied = _counts(better, ties)
    return 1.0 + ahead + tied / 2


def reciprocal_ranks(better: ArrayLike, ties: ArrayLike) -> Matrix:
    """1 / rank of each right answer ``[N]`` in 0..1, the mean over the places that ties share.

    Their mean is the MRR.

    Formula: (H[better + ties + 1] - H[better]) / (ties + 1), H the harmonic numbers; 1 / rank without ties.
    """
    ahead, tied = _counts(better, ties)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, (ahead + tied).max() + 2))])
    return (harmonic[ahead + tied + 1] - harmonic[ahead]) / (tied + 1)


def _counts(better: ArrayLike, ties: ArrayLike, n: int | None = None) -> tuple[Counts, Counts]:
    ahead, tied = np.asarray(better, dtype=np.int64), np.asarray(ties, dtype=np.int64)
    if ahead.shape != tied.shape or ahead.ndim != 1 or ahead.size == 0:
        raise BenchError(f"expected better [N] and ties [N], got {list(ahead.shape)} and {list(tied.shape)}.")
    if ahead.min() < 0 or tied.min() < 0 or (n is not None and (ahead + tied).max() >= n):
        raise BenchError(f"better and ties must count other gallery rows: 0 to n - 1 together, n = {n}.")
    return ahead, tied


def inter_identity_similarity(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> float:
    """Mean cosine over all pairs of unlike identities, probe i with gallery row j != i; -1..1.

    probes, gallery: ``[N, D]``, N >= 2. How alike the answers are whoever speaks: a system that always
    draws the same face has here what it has with the true identity. Computed from row sums, in O(N D).

    Formula: mean over i != j of ``x_i . y_j / (|x_i| |y_j|)``.
    """
    left, right = prepared(probes, gallery, "cosine", at_least=2)
    n = len(left)
    matching = np.einsum("nd,nd->", left, right)
    return float((left.sum(axis=0) @ right.sum(axis=0) - matching) / (n * (n - 1)))


def inter_identity_leave_one_out(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> Matrix:
    """`inter_identity_similarity` without each identity in turn ``[N]``, N >= 3: for a jackknife."""
    left, right = prepared(probes, gallery, "cosine", at_least=3)
    n = len(left)
    own = np.einsum("nd,nd->n", left, right)
    probe_sum, gallery_sum = left.sum(axis=0), right.sum(axis=0)
    involved = left @ gallery_sum + right @ probe_sum - 2 * own
    unlike = probe_sum @ gallery_sum - own.sum()
    return (unlike - involved) / ((n - 1) * (n - 2))
