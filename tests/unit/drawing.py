"""Small systems for tests, from one file as a stranger's: one that draws its faces, and the same without noise."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sf2f_bench import ModelSettings
from sf2f_bench.templates.my_model import MyModel


class Plain(MyModel):
    """The template, small."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.recipe["hidden"] = 8
        self.card = replace(self.card, name="plain")
        self.network = self._build(seed=0)


class Drawing(Plain):
    """With a colour of its own on each face."""

    one_to_many = True

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.card = replace(self.card, name="drawing")

    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """As the template, with noise of 30 grey levels for each colour and quarter of the face."""
        faces = super().generate(voices, generator=generator).float()
        noise = torch.randn(len(faces), 3, 2, 2, generator=generator, device=voices.device)
        large = torch.nn.functional.interpolate(30 * noise, size=faces.shape[2:])
        return (faces + large).clamp(0, 255).to(torch.uint8)


class SaysSoAlone(Plain):
    """It says that it draws, and gives the same face again."""

    one_to_many = True
