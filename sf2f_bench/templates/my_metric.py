"""my-metric: a template that measures by how much a generated face is nearer to its own person than to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sf2f_bench import BenchError, Features, Margin, MetricCard, Score, mean_interval


@dataclass(frozen=True)
class MyMetric:
    """Mean cosine of a generated face to its own person, less the mean cosine to all others; -2..2, chance 0.

    Formula, range, direction, source and pitfalls belong here.
    """

    name: str = "my-metric"
    version: int = 1  # raise it when a change alters a number
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("embeddings",)  # see sf2f_bench.Features.offers
    min_n: int = 3
    # How it is shown and judged, see sf2f_bench.MetricCard; without `tables` it stands among the further metrics.
    card: ClassVar[MetricCard] = MetricCard(
        "my-metric",
        "identity",
        heading="my-metric",
        bounds=(-2.0, 2.0),
        chance=0.0,
        margin=Margin(0.03, "as the cosine"),
        shown=("judge",),
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """One number from features whose rows are the same people; chance comes from `rng` alone."""
        n = len(real.identities)
        if n < self.min_n:
            raise BenchError(f"{self.name} needs at least {self.min_n} identities, got {n}.")
        cosines = unit(fake.embeddings) @ unit(real.embeddings).T  # [generated, true]
        own = np.diagonal(cosines)
        others = (cosines.sum(axis=1) - own) / (n - 1)
        values = own - others
        return Score(float(values.mean()), n, mean_interval(values, rng), values)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows ``[N, D]`` at length 1, in double precision."""
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def my_metrics(gallery_size: int, ks: Sequence[int], identities: int) -> list[MyMetric]:
    """What the entry point names: the metrics for galleries of this size, these k and so many test identities."""
    return [MyMetric()]
