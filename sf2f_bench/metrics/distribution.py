"""How far apart two sets of features lie as distributions, whoever the faces belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, matrix, slices
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BLOCK = 2048  # rows and columns of a kernel block: 32 MiB, whatever N is


def frechet_distance(a: ArrayLike | Any, b: ArrayLike | Any) -> float:
    """Frechet distance between the Gaussians fitted to two sets of features ``[N, D]``, ``[M, D]``; >= 0.

    ``|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))`` with sample covariances (N - 1). It is biased
    upwards, more so for small N and in another amount for each system: compare at equal N, with
    `kernel_distance` beside it. Needs two rows on each side, else BenchError.

    With centred rows A = Q R, S_a = R_a' R_a, and the trace of the root is the sum of the singular values
    of R_a R_b': real and stable also where N < D makes the covariances singular.
    Source: Heusel et al. 2017 (FID).
    """
    left, right = _samples(a, b)
    root_a, root_b = _covariance_root(left), _covariance_root(right)
    shared = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    shift = left.mean(axis=0) - right.mean(axis=0)
    return float(max(0.0, shift @ shift + np.sum(root_a**2) + np.sum(root_b**2) - 2 * shared))


def _covariance_root(rows: Matrix) -> Matrix:
    """R ``[min(N, D), D]`` with R' R = the sample covariance of ``[N, D]``."""
    centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    return centred if len(rows) <= rows.shape[1] else np.asarray(np.linalg.qr(centred, mode="r"))


def kernel_distance(a: ArrayLike | Any, b: ArrayLike | Any) -> float:
    """Unbiased squared maximum mean discrepancy of ``[N, D]`` and ``[M, D]``; 0 on average for equal laws.

    ``mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean_{i, j} k(a_i, b_j)`` with
    ``k(x, y) = (x . y / D + 1)^3``. It may be negative. Needs two rows on each side, else BenchError.
    Source: Binkowski et al. 2018 (KID), over all rows instead of random subsets.
    """
    left, right = _samples(a, b)
    n, m = len(left), len(right)
    within_a, within_b = _within(left), _within(right)
    across, _ = _row_and_column_sums(left, right)
    return float(within_a.sum() / (n * (n - 1)) + within_b.sum() / (m * (m - 1)) - 2 * across.sum() / (n * m))


def kernel_distance_leave_one_out(a: ArrayLike | Any, b: ArrayLike | Any) -> Matrix:
    """`kernel_distance` without row i of both sides, for each i: ``[N, D]``, ``[N, D]`` -> ``[N]``, N >= 3.

    Rows i belong to one identity, so that a jackknife over it respects their dependence. From row sums, in
    the time of one distance.
    """
    left, right = _samples(a, b, at_least=3)
    if len(left) != len(right):
        raise BenchError(f"leaving out identities needs rows in pairs, got {len(left)} and {len(right)}.")
    n = len(left)
    within = _within(left) + _within(right)
    rows, columns = _row_and_column_sums(left, right)
    remaining = rows.sum() - rows - columns + _kernel_of_pairs(left, right)
    return (within.sum() - 2 * within) / ((n - 1) * (n - 2)) - 2 * remaining / (n - 1) ** 2


def _samples(a: Any, b: Any, at_least: int = 2) -> tuple[Matrix, Matrix]:
    left, right = matrix(a, "first samples", at_least), matrix(b, "second samples", at_least)
    if left.shape[1] != right.shape[1]:
        raise BenchError(f"samples of {left.shape[1]} and {right.shape[1]} features cannot be compared.")
    return left, right


def _kernel_of_pairs(a: Matrix, b: Matrix) -> Matrix:
    return (np.einsum("nd,nd->n", a, b) / a.shape[1] + 1) ** 3


def _within(rows: Matrix) -> Matrix:
    """Sum of each row's kernel with all other rows: ``[N, D]`` -> ``[N]``."""
    return _row_and_column_sums(rows, rows)[0] - _kernel_of_pairs(rows, rows)


def _row_and_column_sums(a: Matrix, b: Matrix) -> tuple[Matrix, Matrix]:
    """Sums of the kernel matrix ``[N, M]`` over its columns ``[N]`` and over its rows ``[M]``, in blocks."""
    rows, columns = np.zeros(len(a)), np.zeros(len(b))
    for i in slices(len(a), BLOCK):
        for j in slices(len(b), BLOCK):
            block = (a[i] @ b[j].T / a.shape[1] + 1) ** 3
            rows[i] += block.sum(axis=1)
            columns[j] += block.sum(axis=0)
    return rows, columns
