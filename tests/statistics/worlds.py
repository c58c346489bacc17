"""Invented identities, embeddings, ranks and trainings whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Random = np.random.Generator


def bernoulli(rng: Random, n: int) -> np.ndarray:
    """Found or not, in one fixed gallery; mean 0.3."""
    return (rng.random(n) < 0.3).astype(float)


def recall_like(rng: Random, n: int) -> np.ndarray:
    """Expected recall over all galleries: most identities near 0, some near 1; mean 0.2."""
    return rng.beta(0.4, 1.6, n)


def rare_hits(rng: Random, n: int) -> np.ndarray:
    """Reciprocal ranks of a weak system: one in twenty has rank 1 to 3, the others 30 to 300."""
    hit = rng.random(n) < 0.05
    return 1 / np.where(hit, rng.integers(1, 4, n), rng.integers(30, 301, n))


RARE_MEAN = 0.05 * np.mean(1 / np.arange(1, 4)) + 0.95 * np.mean(1 / np.arange(30, 301))
MEANS = {bernoulli: 0.3, recall_like: 0.2, rare_hits: float(RARE_MEAN)}


def embeddings(rng: Random, n: int, hears: Sequence[float], d: int = 8) -> list[np.ndarray]:
    """True embeddings ``[n, d]`` and those of systems that hear so much of them; what they mishear is half shared."""
    spectrum = np.arange(1, d + 1) ** -0.5
    truth, shared = rng.standard_normal((2, n, d)) * spectrum
    drawn = []
    for share in hears:
        misheard = np.sqrt(0.5) * (shared + rng.standard_normal((n, d)) * spectrum)
        drawn.append(0.8 * (share * truth + np.sqrt(1 - share**2) * misheard) + 0.2)
    return [truth, *drawn]


def ranks(rng: Random, n: int, scale: Sequence[float]) -> list[np.ndarray]:
    """Ranks ``[n]`` of the right identity under each system, correlated through how clear the voice is."""
    clear = rng.standard_normal(n)
    noise = rng.standard_normal((len(scale), n))
    return [
        np.ceil(factor * np.exp(0.7 * clear + 0.7 * own)) for factor, own in zip(scale, noise, strict=True)
    ]


def over_seeds(
    rng: Random, n: int, seeds: int, shift: float, seed: float, identity: np.ndarray
) -> np.ndarray:
    """Values ``[seeds, n]``: the identity's own, the seed's luck, and noise; mean `shift`."""
    luck = seed * rng.standard_normal((seeds, 1))
    return shift + luck + identity + 0.3 * rng.standard_normal((seeds, n))
