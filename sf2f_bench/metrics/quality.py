"""How clearly a classifier recognises an identity in each face, and how varied the recognised identities are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import xlogy

from sf2f_bench.metrics.arrays import matrix, slices
from sf2f_bench.metrics.common import AT_LEAST_ONE, SuiteMetric, relative_score, sample_score
from sf2f_bench.types import BenchError, Features, Margin, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BLOCK = 512  # faces whose logarithms are held at once
SUM_TOLERANCE = 1e-2  # a softmax in half precision over thousands of classes is off by a few thousandths


def mutual_information_score(
    probabilities: ArrayLike | Any, parts: int = 5, order: ArrayLike | None = None
) -> tuple[float, float]:
    """exp of the mutual information between face and class, mean and spread over the parts.

    probabilities: ``[N, C]``, one distribution over classes a face; order: ``[N]``, the permutation of the
    rows before they are cut into parts i N / parts .. (i + 1) N / parts. Returns the mean and population
    standard deviation over parts; the mean in 1 .. min(C, N / parts).

    Raises BenchError for negative or unnormalised rows, fewer rows than parts, an order that is none.

    Formula: ``exp(mean_x KL(p(y|x) || p(y)))`` of a part, p(y) the part's mean; 0 log 0 = 0.
    Pitfall: it is biased downwards, the more the fewer faces a part has: never without its N, and compared only at
    equal N, C and parts.
    Source: the Inception Score (Salimans et al. 2016, arXiv 1606.03498); with VGGFace2's classifier SF2F's VGGFace
    Score.
    """
    score = mutual_information(probabilities, parts)
    n = len(np.asarray(probabilities))
    permutation = np.arange(n) if order is None else np.asarray(order)
    if permutation.shape != (n,) or not np.array_equal(np.sort(permutation), np.arange(n)):
        raise BenchError(f"order: expected a permutation of the {n} rows, each exactly once.")
    return score(permutation)


def mutual_information(
    probabilities: ArrayLike | Any, parts: int = 5
) -> Callable[[NDArray[np.int64]], tuple[float, float]]:
    """`mutual_information_score` of any selection of the rows ``[N, C]``, in its order; checks and logs done once.

    Raises BenchError for negative or unnormalised rows; the function it gives, for fewer rows than parts.

    Formula: the mean over parts of ``exp(mean_x KL(p(y|x) || p(y)))``, p(y) the part's mean; 0 log 0 = 0.
    Source: the Inception Score (Salimans et al. 2016, arXiv 1606.03498) of any classifier's probabilities.
    """
    rows = matrix(probabilities, "class probabilities")
    if rows.min() < 0 or np.abs(rows.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        raise BenchError("class probabilities: expected rows of 0..1 that sum to 1; apply softmax to logits.")
    certainty = np.concatenate([xlogy(rows[s], rows[s]).sum(axis=1) for s in slices(len(rows), BLOCK)])

    def score(chosen: NDArray[np.int64]) -> tuple[float, float]:
        n = len(chosen)
        if not 1 <= parts <= n:
            raise BenchError(f"{n} faces cannot be cut into {parts} parts: choose parts from 1 to {n}.")
        edges = [part * n // parts for part in range(parts + 1)]
        scores = []
        for start, stop in pairwise(edges):
            mean = rows[chosen[start:stop]].mean(axis=0)
            # The divergence as a difference of entropies: no quotient of two tiny probabilities is ever formed.
            information = certainty[chosen[start:stop]].mean() - xlogy(mean, mean).sum()
            scores.append(np.exp(max(information, 0.0)))
        return float(np.mean(scores)), float(np.std(scores))

    return score


@dataclass(frozen=True)
class MutualInformationScore(SuiteMetric):
    """Mutual-information score of the generated faces' class probabilities, a mean over shuffled parts.

    The interval is of what n faces give on average.

    Range: 1..min(C, n / parts).
    Direction: higher is better.
    Computed by: `quality.mutual_information`.
    Pitfall: it is biased by n and bounded by the size of a part: never without its n, and compared at equal n only.
    """

    parts: int = 5
    needs = ("probabilities",)

    @property
    def name(self) -> str:
        """``mutual-information-score/parts5``."""
        return f"mutual-information-score/parts{self.parts}"

    @property
    def min_n(self) -> int:
        """Two faces a part in the half-samples too: with one the score is 1 whatever the face."""
        return 4 * self.parts

    @property
    def card(self) -> MetricCard:
        """Its name in tables is that of the published network's score, where a published network gives it."""
        return MetricCard(
            "mutual-information",
            "quality",
            {"parts": self.parts},
            heading="MI score",
            headings={"inception": "IS", "vggface2": "VGGFace Score"},  # as published,
            format="size",
            bounds=(1.0, None),
            margin=Margin(0.1, "it counts kinds of faces: a tenth of them", relative=True),
            decides=("judge",),
            shown=("training-loss",),
            tables={"likeness": 7, "training-loss": 7, "further": 6},
            order={"likeness": 2, "training-loss": 2, "further": 3},
            plotted=True,
            caveat="The mutual-information (MI) score cannot exceed the size of one part, {part} here: compare it at "
            "equal n only.",
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over the parts with their standard deviation; the interval is from half-samples.

        One permutation of the identities decides the parts: a half-sample keeps its order and is cut into as many
        parts, which are half as large.
        """
        n = len(real.identities)
        order = rng.permutation(n)
        place = np.argsort(order)  # of each identity in the shuffled order
        score = mutual_information(fake.probabilities, self.parts)

        def of(kept: NDArray[np.int64]) -> float:
            return score(kept[np.argsort(place[kept])])[0]

        return relative_score(sample_score(of, n, AT_LEAST_ONE, spread=score(order)[1]), AT_LEAST_ONE)
