"""Scores on the validation split during a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sf2f_bench.data.training import TrainingData
from sf2f_bench.metrics.retrieval import recall_at_k
from sf2f_bench.registry import described, place_of
from sf2f_bench.types import BenchError, SpeechToFace
from sf2f_bench.types.curve import CHANCE, GENDER, RECALL, SIMILARITY

IDENTITIES = 100
SEGMENTS = 4
K = 10  # of recall@k


class Validated(NamedTuple):
    """What one validation found.

    scores: as a training curve names them: the mean cosine of generated and true faces, -1..1; recall@k, the share of
    voices whose true face is among the k most similar to the generated one; what guessing and what knowing the gender
    alone would score. faces: uint8 ``[N, 3, H, W]``.
    """

    scores: dict[str, float]
    faces: Tensor

    @property
    def similarity(self) -> float:
        """Of generated and true faces."""
        return self.scores[SIMILARITY]


class Validation:
    """Generated and true faces of the first validation batch, compared by the training loss's network.

    data: the validation split; perceptual: see `TrainContext`. The judge never takes part, so that no choice that is
    made during a training is made by the network that scores it.
    """

    def __init__(self, data: TrainingData, perceptual: Any) -> None:
        self.perceptual = perceptual
        self.batch = data.segments(0, IDENTITIES, SEGMENTS, "validation")
        self.truth = self._embed(self.batch.faces)
        self.floors = recall_floors(data.genders_of(self.batch.identities))

    def __call__(self, system: SpeechToFace) -> Validated:
        """The scores of a system at this point of its training. Raises BenchError for other pictures."""
        generator = torch.Generator(self.batch.voices.device).manual_seed(0)
        faces = system.generate(self.batch.voices, generator=generator)
        shape = self.batch.faces.shape
        if not isinstance(faces, Tensor) or faces.dtype != torch.uint8 or faces.shape != shape:
            came = f"uint8 {list(shape)}, it gave {described(faces)}"
            raise BenchError(f"generate() must return {came}: {place_of(system)}")
        heard = self._embed(faces)
        similarity = F.cosine_similarity(heard, self.truth).mean().item()
        k = min(K, len(heard))
        scores = {
            SIMILARITY: similarity,
            RECALL: recall_at_k(heard.cpu(), self.truth.cpu(), [k])[k],
            **self.floors,
        }
        return Validated(scores, faces)

    @torch.no_grad()
    def _embed(self, faces: Tensor) -> Tensor:
        return self.perceptual.features(faces.float() / 255)[-1]


def recall_floors(genders: Sequence[str | None], k: int = K) -> dict[str, float]:
    """The expected recall@k of guessing, and of knowing the gender alone where everybody's is known."""
    floors = {CHANCE: min(1.0, k / len(genders))}
    if None not in genders:
        alike = [min(1.0, k / genders.count(gender)) for gender in genders]
        floors[GENDER] = sum(alike) / len(alike)
    return floors
