"""How near the generated face's embedding lies to the true identity's, identity by identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, aligned, not_too_large, unit_rows
from sf2f_bench.metrics.common import OWN_UNIT, SIGNED_UNIT, SuiteMetric, mean_score
from sf2f_bench.types import Features, Margin, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PAIRWISE_EPSILON = 1e-6  # torch.nn.PairwiseDistance adds it to every difference; published values carry it


def cosine_similarity(generated: ArrayLike | Any, true: ArrayLike | Any) -> Matrix:
    """Cosine of each generated face's embedding with its true one: ``[N, D]``, ``[N, D]`` -> ``[N]`` in -1..1.

    Raises BenchError for unlike, empty or NaN inputs.

    Formula: ``x . y / (|x| |y|)``; 0 where one of them is zero.
    Source: torch.nn.CosineSimilarity, as SF2F's evaluation uses it.
    """
    left, right = aligned(generated, true)
    return np.clip(np.einsum("nd,nd->n", unit_rows(left), unit_rows(right)), -1.0, 1.0)


def l1_distance(generated: ArrayLike | Any, true: ArrayLike | Any) -> Matrix:
    """L1 distance of each row: ``[N, D]``, ``[N, D]`` -> ``[N]``, 0 or more; nothing is normalised here.

    Formula: ``sum_d |x_d - y_d + 1e-6|``.
    Source: torch.nn.PairwiseDistance(p=1), as SF2F's evaluation uses it.
    """
    left, right = (not_too_large(side, "embeddings") for side in aligned(generated, true))
    return np.abs(left - right + PAIRWISE_EPSILON).sum(axis=1)


def l2_distance(generated: ArrayLike | Any, true: ArrayLike | Any) -> Matrix:
    """Euclidean distance of each row: ``[N, D]``, ``[N, D]`` -> ``[N]``, 0 or more; nothing is normalised here.

    Formula: ``sqrt(sum_d (x_d - y_d + 1e-6)^2)``.
    Source: torch.nn.PairwiseDistance(p=2), as SF2F's evaluation uses it.
    """
    left, right = (not_too_large(side, "embeddings") for side in aligned(generated, true))
    return np.linalg.norm(left - right + PAIRWISE_EPSILON, axis=1)


SIMILARITIES: dict[str, Callable[[Any, Any], Matrix]] = {
    "cosine": cosine_similarity,
    "l1": l1_distance,
    "l2": l2_distance,
}


def likeness_card(kind: str) -> MetricCard:
    """The card of the "cosine", "l1" or "l2" to the true identity, in no table yet."""
    if kind == "cosine":
        return MetricCard(
            kind,
            "identity",
            heading="cosine",
            bounds=SIGNED_UNIT,
            margin=Margin(0.03, "a tenth of what a straight line from voice statistics reaches"),
            # The network of the training loss flatters, so it does not praise; but where it falls, training broke.
            decides=("judge", "training-loss"),
            shown=("further",),
            tables={},
        )
    return MetricCard(
        kind,
        "identity",
        heading=kind.upper(),
        format="size",
        bounds=(0.0, None),
        margin=Margin(0.05, OWN_UNIT, relative=True),
        tables={},
    )


@dataclass(frozen=True)
class TrueIdentity(SuiteMetric):
    """Mean "cosine", "l1" or "l2" of the generated face's embedding to the true identity's template.

    Range: -1..1 (cosine), 0 or more (l1, l2).
    Direction: higher is better (cosine), lower is better (l1, l2).
    Computed by: `similarity.cosine_similarity`, `similarity.l1_distance`, `similarity.l2_distance`.
    Pitfall: one face for all can have a high cosine: compare with `inter-identity-similarity`. Distances depend on
    the extractor's scale and width.
    """

    name: str
    needs = ("embeddings",)

    @property
    def higher_is_better(self) -> bool:
        """The cosine is a similarity, the others are distances."""
        return self.name == "cosine"

    @property
    def card(self) -> MetricCard:
        """The cosine has columns; the distances, which depend on the network's scale, have none."""
        card = likeness_card(self.name)
        if self.name != "cosine":
            return card
        return replace(
            card,
            tables={"likeness": 9, "training-loss": 9, "further": 5, "length": 0},
            order={"likeness": 0, "training-loss": 1, "further": 5, "length": 14},
            plotted=True,
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        values = SIMILARITIES[self.name](fake.embeddings, real.embeddings)
        return mean_score(values, rng, None)
