"""Scores on the validation split during a training."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sf2f_bench.data.training import TrainingData
from sf2f_bench.registry import described, place_of
from sf2f_bench.types import BenchError, SpeechToFace

IDENTITIES = 100
SEGMENTS = 4


class Validation:
    """Mean cosine between generated and true faces of the first validation batch, by the training loss's network.

    data: the validation split; perceptual: see `TrainContext`. The judge never takes part.
    """

    def __init__(self, data: TrainingData, perceptual: Any) -> None:
        self.perceptual = perceptual
        self.batch = data.segments(0, IDENTITIES, SEGMENTS, "validation")
        self.truth = self._embed(self.batch.faces)

    def __call__(self, system: SpeechToFace) -> tuple[float, Tensor]:
        """(similarity in -1..1, generated faces uint8 ``[N, 3, H, W]``). Raises BenchError for other pictures."""
        generator = torch.Generator(self.batch.voices.device).manual_seed(0)
        faces = system.generate(self.batch.voices, generator=generator)
        shape = self.batch.faces.shape
        if not isinstance(faces, Tensor) or faces.dtype != torch.uint8 or faces.shape != shape:
            came = f"uint8 {list(shape)}, it gave {described(faces)}"
            raise BenchError(f"generate() must return {came}: {place_of(system)}")
        return F.cosine_similarity(self._embed(faces), self.truth).mean().item(), faces

    @torch.no_grad()
    def _embed(self, faces: Tensor) -> Tensor:
        return self.perceptual.features(faces.float() / 255)[-1]
