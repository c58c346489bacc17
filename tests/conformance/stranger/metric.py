"""A stranger's metric: it decides, and its card is all that the harness knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sf2f_bench import BenchError, Features, Margin, MetricCard, Score, mean_interval


@dataclass(frozen=True)
class Nearness:
    """Mean inner product of a generated face with its own person's template."""

    name: str = "nearness"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("embeddings",)
    min_n: int = 3
    card: ClassVar[MetricCard] = MetricCard(
        "nearness",
        "identity",
        heading="near-ness",
        bounds=(-1.0, 1.0),
        margin=Margin(0.02, "of a cosine"),
        decides=("judge",),
        shown=("judge",),
    )

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities with its bootstrap interval."""
        if len(real.identities) < self.min_n:
            raise BenchError(f"{self.name} needs {self.min_n} identities, got {len(real.identities)}.")
        values = np.asarray((fake.embeddings * real.embeddings).sum(axis=1), np.float64)
        return Score(float(values.mean()), len(values), mean_interval(values, rng), values)


def metrics(gallery_size: int, ks: tuple[int, ...], identities: int) -> list[Nearness]:
    """What the entry point names."""
    return [Nearness()]
