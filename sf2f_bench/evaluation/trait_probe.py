"""What a network sees of a face: how well a straight line from its embedding tells each trait of synthetic people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sf2f_bench.data.synthetic.dataset import stream_photos, stream_traits
from sf2f_bench.data.synthetic.world import SHARED_TRAITS, TRAITS
from sf2f_bench.types import BenchError, FeatureExtractor

STREAM = "probe"  # of synthetic people on whom no network was trained
FOLDS = 5
STRENGTHS = np.logspace(-4, 4, 9)  # of the ridge, chosen within the other folds
RESAMPLES = 1000


@dataclass(frozen=True)
class TraitSeen:
    """R^2 of one trait: 1 where the embedding tells it, 0 where it tells no more than the mean."""

    trait: str
    heard: bool  # whether the voices of `synthetic/1` tell of it too
    r2: float
    interval: tuple[float, float]  # 95 %, bootstrap over people


def traits_seen(extractor: FeatureExtractor, people: int, size: int = 64) -> list[TraitSeen]:
    """Each trait by ridge regression on unit embeddings, cross-validated over people; the best seen first.

    people: how many, each with one photo of `size` pixels. Raises BenchError for fewer than 50.
    """
    if people < 50:
        raise BenchError(f"a probe of {people} people tells nothing: use 50 or more")
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    photos = np.concatenate([stream_photos(STREAM, index, 1, size) for index in range(people)])
    rows = (
        torch.cat([extractor(part)[0].cpu() for part in torch.from_numpy(photos).split(64)]).double().numpy()
    )
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    wanted = stream_traits(STREAM, range(people)).astype(np.float64)
    told, centre = np.empty_like(wanted), np.empty_like(wanted)
    for fit, held_out in KFold(FOLDS).split(rows):
        model = RidgeCV(STRENGTHS, alpha_per_target=True).fit(rows[fit], wanted[fit])
        told[held_out], centre[held_out] = model.predict(rows[held_out]), wanted[fit].mean(axis=0)
    errors, spreads = (np.square(wanted - guess) for guess in (told, centre))
    drawn = np.random.default_rng(0).integers(people, size=(RESAMPLES, people))
    resampled = np.stack([1 - errors[who].sum(axis=0) / spreads[who].sum(axis=0) for who in drawn])
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    values, heard = 1 - errors.sum(axis=0) / spreads.sum(axis=0), set(SHARED_TRAITS.values())
    found = [
        TraitSeen(trait, trait in heard, float(values[i]), (float(low[i]), float(high[i])))
        for i, trait in enumerate(TRAITS)
    ]
    return sorted(found, key=lambda seen: -seen.r2)
