"""How near probes and gallery lie to each other, all pairs in blocks: what retrieval and verification count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from sf2f_bench.metrics.arrays import Matrix, aligned, slices, to_unit_scale, unit_rows
from sf2f_bench.types import BenchError

PROBE_BLOCK, GALLERY_BLOCK = 512, 4096  # 16 MiB of float64 a block, whatever N is
# Far above the rounding of a float64 sum of products, far below any difference that means something:
# what is tied does not depend on how a BLAS orders its sums, nor on the blocks.
TIE_TOLERANCE = 1e-12


def prepared(probes: Any, gallery: Any, similarity: str, at_least: int = 1) -> tuple[Matrix, Matrix]:
    """Checked float64 rows ``[N, D]``, at length 1 where the similarity is the cosine."""
    if similarity not in ("cosine", "l1"):
        raise BenchError(f"unknown similarity {similarity!r}: expected 'cosine' or 'l1'.")
    left, right = aligned(probes, gallery, at_least)
    if similarity == "cosine":
        return unit_rows(left), unit_rows(right)
    left, right = to_unit_scale(left, right)  # the order is the same, and no sum overflows
    return left, right


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
            yield rows, columns, without_answers(block, rows, columns)


def without_answers(block: Any, rows: slice, columns: slice) -> Any:
    """The block with -inf where a probe meets its own answer, in place."""
    same = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
    block[same - rows.start, same - columns.start] = -np.inf
    return block
