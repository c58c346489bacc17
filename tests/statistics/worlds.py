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


# Root mean squares in the judge's 112 dimensions, along the axes of the training templates' principal components:
# of templates, of photos about their templates, of the faces of sf2f-64 (width 0.25, default budget, seed 0) and of
# their mean; and the correlation of these faces with the templates.
WIDTHS = (1, 1, 1, 2, 3, 4, 8, 12, 16, 16, 16, 16, 16)
IDENTITY, PHOTO, FACE, OFF_CENTRE, HEARD = np.repeat(
    [
        (0.280, 0.272, 0.239, 0.198, 0.184, 0.158, 0.133, 0.104, 0.076, 0.053, 0.038, 0.027, 0.018),
        (0.039, 0.042, 0.042, 0.040, 0.037, 0.039, 0.037, 0.034, 0.030, 0.025, 0.021, 0.017, 0.014),
        (0.346, 0.322, 0.324, 0.138, 0.121, 0.142, 0.114, 0.092, 0.071, 0.050, 0.040, 0.029, 0.022),
        (0.025, 0.104, 0.043, 0.047, 0.043, 0.053, 0.048, 0.037, 0.032, 0.023, 0.019, 0.014, 0.008),
        (0.57, 0.62, 0.52, 0.28, 0.23, 0.27, 0.16, 0.12, 0.11, 0.04, 0.05, 0.02, 0.04),
    ],
    WIDTHS,
    axis=1,
)


def judge_world(rng: Random, n: int, hears: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Templates, one photo each, and a system's faces as the judge embeds them: ``[n, 112]`` each.

    hears: 1 for sf2f-64, 0 for faces that know nothing of the voice, at most 1.6.
    """
    voice, photo, noise = rng.standard_normal((3, n, len(IDENTITY)))
    heard = hears * HEARD
    templates = voice * IDENTITY
    faces = OFF_CENTRE + FACE * (heard * voice + np.sqrt(1 - heard**2) * noise)
    return templates, *(_at_length_1(rows) for rows in (templates + photo * PHOTO, faces))


def judge_draws(
    rng: Random, n: int, draws: int, hears: float = 1.0, alike: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Templates ``[n, 112]`` and several faces for each voice ``[draws, n, 112]``, as `judge_world` has one.

    alike: the share that all draws for a voice have of what none of them heard, as a variance.
    """
    voice, shared = rng.standard_normal((2, n, len(IDENTITY)))
    noise = np.sqrt(alike) * shared + np.sqrt(1 - alike) * rng.standard_normal((draws, n, len(IDENTITY)))
    heard = hears * HEARD
    faces = OFF_CENTRE + FACE * (heard * voice + np.sqrt(1 - heard**2) * noise)
    return voice * IDENTITY, faces / np.linalg.norm(faces, axis=2, keepdims=True)


def _at_length_1(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
