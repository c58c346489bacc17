"""How far apart two sets of features lie as distributions, whatever identities the faces belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, matrix, not_too_large, slices, unit_rows
from sf2f_bench.metrics.common import AT_LEAST_ZERO, OWN_UNIT, SuiteMetric, pair_score, sample_score
from sf2f_bench.types import BenchError, Features, Margin, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BLOCK = 2048  # rows and columns of a kernel block: 32 MiB, whatever N is
BANDWIDTH = 10.0  # of CMMD's kernel, as its authors have it
FRECHET_NAMES = {"inception": "FID", "vggface2": "FVFD"}  # published, by convention
FRECHET_CAVEAT = "The Frechet distance is biased upwards at n = {n}, by an amount that depends on the system"
FRECHET_MARGIN = Margin(0.1, OWN_UNIT, relative=True)
GROUPS = (2, 3, 4)  # leaving one of so many groups out gives subsamples of 1/2, 2/3 and 3/4 of the rows
ROUNDS = 2  # divisions into groups of each size; more take away hardly any of the choice's noise


def frechet_distance(a: ArrayLike | Any, b: ArrayLike | Any) -> float:
    """Frechet distance between the Gaussians fitted to two sets of features ``[N, D]``, ``[M, D]``; >= 0.

    Needs two rows on each side, else BenchError. With centred rows A = Q R, S_a = R_a' R_a, and the trace of the
    root is the sum of the singular values of R_a R_b': real and stable also where N < D makes the covariances
    singular.

    Formula: ``|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))`` with means m and sample covariances S (N - 1).
    Source: Heusel et al. 2017 (FID, arXiv 1706.08500).
    Pitfall: it is biased upwards, more so for small N and in another amount for each system, so equal N does not cure
    it: never without its N, and with `kernel_distance` beside it.
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


def frechet_extrapolated(
    a: ArrayLike | Any, b: ArrayLike | Any, rng: np.random.Generator
) -> tuple[float, Matrix | None]:
    """Frechet distance extrapolated to infinitely many rows, and what it is without each row in turn.

    a, b: ``[N, D]``, rows i of one identity, N >= 8; rng: divides the rows into groups. The distance of
    subsamples of N / 2, 2 N / 3, 3 N / 4 and N identities (both sides' rows together) is fitted; about 0 for
    equal laws, so it may be negative. Each size's subsamples leave out one group of a division in turn, so every
    identity is in equally many of them and what it adds to first order is not noise of the choice.

    The second result ``[N]`` is the value without row i to first order (infinitesimal jackknife), for a jackknife
    interval. It is None where N // 2 <= D: there the subsamples' covariances are singular, the distance is
    no straight line in 1 / n, the value keeps a part of its bias, and no interval would hold the truth.

    Formula: c of the least-squares fit ``c + d / n`` to the Frechet distances of subsamples of n identities.
    Source: Chong and Forsyth 2020 (FID-infinity, arXiv 1911.07023); they draw subsamples of a generator's
    endless supply at random.
    """
    left, right = _pairs(a, b, at_least=8)
    n = len(left)
    subsamples = [np.arange(n), *_leaving_groups_out(n, rng)]
    inverse = np.array([1 / len(rows) for rows in subsamples])
    weights = np.linalg.pinv(np.stack([np.ones_like(inverse), inverse], axis=1))[0]  # of the intercept
    if n // 2 <= left.shape[1]:
        distances = [frechet_distance(left[rows], right[rows]) for rows in subsamples]
        return float(weights @ distances), None
    value, influence = 0.0, np.zeros(n)
    for weight, rows in zip(weights, subsamples, strict=True):
        distance, derivative = _frechet_influence(left[rows], right[rows])
        value += weight * distance
        influence[rows] += weight * n / len(rows) * derivative
    return float(value), value - influence / (n - 1)


def _leaving_groups_out(n: int, rng: np.random.Generator) -> Iterator[Any]:
    for groups in GROUPS:
        for _ in range(ROUNDS):
            group = rng.permutation(np.arange(n) % groups)
            for left_out in range(groups):
                yield np.flatnonzero(group != left_out)


def _frechet_influence(left: Matrix, right: Matrix) -> tuple[float, Matrix]:
    """The distance, and its derivative ``[N]`` towards more weight on each pair of rows; N > D, sums to 0.

    With M = U s V' the product of the two centred, weighted sets of rows, the trace of the root is sum s, and
    a row's weight enters M as a factor of row and column: its derivative is (U^2 + V^2) s / 2.
    """
    n = len(left)
    shift = left.mean(axis=0) - right.mean(axis=0)
    (basis_a, root_a), (basis_b, root_b) = (
        np.linalg.qr((rows - rows.mean(axis=0)) / np.sqrt(n - 1)) for rows in (left, right)
    )
    u, singular, v = np.linalg.svd(root_a @ root_b.T)
    traces, shared = np.sum(root_a**2) + np.sum(root_b**2), singular.sum()
    of_shift = 2 * (left - right - shift) @ shift
    of_traces = np.sum((basis_a @ root_a) ** 2 + (basis_b @ root_b) ** 2, axis=1)
    of_shared = ((basis_a @ u) ** 2 + (basis_b @ v.T) ** 2) @ singular / 2
    distance = max(0.0, float(shift @ shift + traces - 2 * shared))
    return distance, of_shift + (n * of_traces - traces) - 2 * (n * of_shared - shared)


def kernel_distance(a: ArrayLike | Any, b: ArrayLike | Any) -> float:
    """Unbiased squared maximum mean discrepancy of ``[N, D]`` and ``[M, D]``; 0 on average for equal laws.

    It may be negative. Needs two rows on each side, else BenchError.

    It is the complete estimate over all rows: KID as others print it is the mean over random subsets (often 100
    of 1,000 rows), with this one's expectation and the noise of the choice on top; its subset size is N here.
    The estimate is unbiased at every N, so only its interval depends on N.

    Formula: ``mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean_{i, j} k(a_i, b_j)`` with
    ``k(x, y) = (x . y / D + 1)^3``.
    Source: Binkowski et al. 2018 (KID, arXiv 1801.01401).
    """
    left, right = _samples(a, b)
    return _discrepancy(left, right, _cubic(left))


def kernel_distance_leave_one_out(a: ArrayLike | Any, b: ArrayLike | Any) -> Matrix:
    """`kernel_distance` without row i of both sides, for each i: ``[N, D]``, ``[N, D]`` -> ``[N]``, N >= 3.

    Rows i belong to one identity, so that a jackknife over it respects their dependence. From row sums, in
    the time of one distance.
    """
    left, right = _pairs(a, b, at_least=3)
    return _discrepancy_leave_one_out(left, right, _cubic(left))


def clip_discrepancy(a: ArrayLike | Any, b: ArrayLike | Any) -> float:
    """Unbiased squared maximum mean discrepancy of ``[N, D]`` and ``[M, D]`` at length 1; 0 on average for equal laws.

    It may be negative. Needs two rows on each side, else BenchError. The authors' code gives a thousandfold of the
    estimate that keeps each row's kernel with itself, which is larger by about (1 - mean kernel) (1 / N + 1 / M).

    Formula: as `kernel_distance` with ``k(x, y) = exp(-|x - y|^2 / (2 s^2))``, s = 10, of rows at length 1.
    Source: Jayasumana et al. 2024 (CMMD, arXiv 2401.09603).
    """
    left, right = _samples(a, b)
    return _discrepancy(unit_rows(left), unit_rows(right), _gaussian)


def clip_discrepancy_leave_one_out(a: ArrayLike | Any, b: ArrayLike | Any) -> Matrix:
    """`clip_discrepancy` without row i of both sides, for each i: ``[N, D]``, ``[N, D]`` -> ``[N]``, N >= 3."""
    left, right = _pairs(a, b, at_least=3)
    return _discrepancy_leave_one_out(unit_rows(left), unit_rows(right), _gaussian)


Kernel = Callable[[Matrix], Matrix]  # of inner products


def _cubic(rows: Matrix) -> Kernel:
    """KID's, of rows ``[N, D]``."""
    return lambda products: (products / rows.shape[1] + 1) ** 3


def _gaussian(products: Matrix) -> Matrix:
    """CMMD's less 1, of rows at length 1: the discrepancy is the same and small differences of kernels are exact."""
    return np.asarray(np.expm1((products - 1) / BANDWIDTH**2))


def _discrepancy(left: Matrix, right: Matrix, kernel: Kernel) -> float:
    n, m = len(left), len(right)
    within_a, within_b = _within(left, kernel), _within(right, kernel)
    across, _ = _row_and_column_sums(left, right, kernel)
    return float(within_a.sum() / (n * (n - 1)) + within_b.sum() / (m * (m - 1)) - 2 * across.sum() / (n * m))


def _discrepancy_leave_one_out(left: Matrix, right: Matrix, kernel: Kernel) -> Matrix:
    n = len(left)
    within = _within(left, kernel) + _within(right, kernel)
    rows, columns = _row_and_column_sums(left, right, kernel)
    remaining = rows.sum() - rows - columns + _kernel_of_pairs(left, right, kernel)
    return (within.sum() - 2 * within) / ((n - 1) * (n - 2)) - 2 * remaining / (n - 1) ** 2


def _samples(a: Any, b: Any, at_least: int = 2) -> tuple[Matrix, Matrix]:
    left, right = (
        not_too_large(matrix(rows, what, at_least), what)
        for rows, what in ((a, "first samples"), (b, "second samples"))
    )
    if left.shape[1] != right.shape[1]:
        raise BenchError(f"samples of {left.shape[1]} and {right.shape[1]} features cannot be compared.")
    return left, right


def _pairs(a: Any, b: Any, at_least: int) -> tuple[Matrix, Matrix]:
    left, right = _samples(a, b, at_least)
    if len(left) != len(right):
        raise BenchError(f"leaving out identities needs rows in pairs, got {len(left)} and {len(right)}.")
    return left, right


def _kernel_of_pairs(a: Matrix, b: Matrix, kernel: Kernel) -> Matrix:
    return kernel(np.einsum("nd,nd->n", a, b))


def _within(rows: Matrix, kernel: Kernel) -> Matrix:
    """Sum of each row's kernel with all other rows: ``[N, D]`` -> ``[N]``."""
    return _row_and_column_sums(rows, rows, kernel)[0] - _kernel_of_pairs(rows, rows, kernel)


def _row_and_column_sums(a: Matrix, b: Matrix, kernel: Kernel) -> tuple[Matrix, Matrix]:
    """Sums of the kernel matrix ``[N, M]`` over its columns ``[N]`` and over its rows ``[M]``, in blocks."""
    rows, columns = np.zeros(len(a)), np.zeros(len(b))
    for i in slices(len(a), BLOCK):
        for j in slices(len(b), BLOCK):
            block = kernel(a[i] @ b[j].T)
            rows[i] += block.sum(axis=1)
            columns[j] += block.sum(axis=0)
    return rows, columns


@dataclass(frozen=True)
class FrechetDistance(SuiteMetric):
    """Frechet distance of the generated faces' features from the true photos'.

    The interval is of what n identities give on average, bias included.

    Range: 0 or more; equal laws give more than 0 at every finite n.
    Direction: lower is better.
    Computed by: `distribution.frechet_distance`.
    Pitfall: it is biased upwards at small n, by an amount that depends on the system: never without its n, and
    beside the kernel distance, which is not biased.
    """

    name = "frechet-distance"
    higher_is_better = False
    needs = ("samples",)
    min_n = 4
    card = MetricCard(
        "frechet-distance",
        "distribution",
        heading="Frechet",
        headings=FRECHET_NAMES,
        format="size",
        bounds=(0.0, None),
        margin=FRECHET_MARGIN,
        shown=("judge", "further"),
        tables={"likeness": 6, "further": 9},
        order={"likeness": 3, "further": 0},
        heading_with_n=True,
        plotted=True,
        caveat=f"{FRECHET_CAVEAT}; the kernel distance is not, and its extrapolation to infinite n is less so.",
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all rows; the interval is from half-samples of the identities, both sides together."""
        n = len(real.identities)
        true, generated = np.asarray(real.samples, np.float64), np.asarray(fake.samples, np.float64)
        return sample_score(lambda kept: frechet_distance(true[kept], generated[kept]), n, AT_LEAST_ZERO)


@dataclass(frozen=True)
class KernelDistance(SuiteMetric):
    """Unbiased kernel distance of the generated faces' features from the true photos'.

    KID with a subset size of n, which needs no subsets.

    Range: any number; 0 on average for equal laws, so a good system's may be negative.
    Direction: lower is better.
    Computed by: `distribution.kernel_distance`.
    Pitfall: it is small in absolute terms, and others print it times 100 or 1000: look at the unit.
    """

    name = "kernel-distance"
    higher_is_better = False
    needs = ("samples",)
    min_n = 3
    card = MetricCard(
        "kernel-distance",
        "distribution",
        heading="kernel distance x1000",
        headings={"inception": "KID x1000"},
        format="size",
        factor=1000.0,
        margin=Margin(0.2, f"{OWN_UNIT}, and of squares", relative=True),
        decides=("judge",),
        tables={"likeness": 5, "further": 7},
        order={"likeness": 5, "further": 2},
        plotted=True,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all rows; the interval is a jackknife over identities."""
        pair = real.samples, fake.samples
        return pair_score(kernel_distance(*pair), kernel_distance_leave_one_out(*pair), None)


@dataclass(frozen=True)
class ClipDiscrepancy(SuiteMetric):
    """CMMD: the discrepancy of the generated faces' CLIP features from the true photos'.

    Asked of CLIP alone.

    Range: any number; 0 on average for equal laws, so a good system's may be negative.
    Direction: lower is better.
    Computed by: `distribution.clip_discrepancy`.
    Pitfall: others print a thousandfold of it, as tables here do, and the biased estimate, which is larger by some
    hundredths at n = 300: compare within one table.
    """

    name = "cmmd"
    higher_is_better = False
    needs = ("samples",)
    min_n = 3
    card = MetricCard(
        "cmmd",
        "distribution",
        heading="CMMD x1000",
        format="size",
        factor=1000.0,
        margin=Margin(0.2, f"{OWN_UNIT}, and of squares", relative=True),
        tables={"further": 10},
        order={"further": 0},
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all rows; the interval is a jackknife over identities."""
        pair = real.samples, fake.samples
        return pair_score(clip_discrepancy(*pair), clip_discrepancy_leave_one_out(*pair), None)


@dataclass(frozen=True)
class ExtrapolatedFrechetDistance(SuiteMetric):
    """Frechet distance extrapolated to infinite n by a straight line in 1 / n.

    It takes away most of the plain distance's bias, and with it most of what makes values at unlike n
    incomparable. Interval and pseudo-values are there only where n // 2 exceeds the number of features: below,
    a part of the bias stays and no interval would hold the truth.

    Range: any number; about 0 for equal laws, so it may be negative.
    Direction: lower is better.
    Computed by: `distribution.frechet_extrapolated`.
    Pitfall: where n is far below the number of features it takes off none of the bias that matters.
    """

    name = "frechet-distance/extrapolated"
    higher_is_better = False
    needs = ("samples",)
    min_n = 20  # ten in the smallest subsample
    card = MetricCard(
        "extrapolated-frechet-distance",
        "distribution",
        heading="Frechet, n to infinity",
        headings={convention: f"{name}, n to infinity" for convention, name in FRECHET_NAMES.items()},
        format="size",
        margin=FRECHET_MARGIN,
        tables={"likeness": 4, "further": 4},
        order={"likeness": 4, "further": 1},
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over subsamples of identities; the interval is an infinitesimal jackknife over identities."""
        n = len(real.identities)
        value, leave_one_out = frechet_extrapolated(real.samples, fake.samples, rng)
        return Score(value, n) if leave_one_out is None else pair_score(value, leave_one_out, None)
