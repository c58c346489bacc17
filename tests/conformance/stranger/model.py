"""A stranger's model: one layer from statistics of the voice to pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sf2f_bench import LogFilterbank, ModelCard, ModelSettings, TrainContext, TrainingData


class Listener:
    """Mean and deviation of every band of the voice, through one layer."""

    card = ModelCard("listener", "1", "system", "one layer from voice statistics to pixels")
    deviation = True

    def __init__(self, settings: ModelSettings) -> None:
        self.size, self.frontend = settings.image_size, LogFilterbank()
        self.recipe: dict[str, Any] = {"steps": settings.steps or 20, "deviation": self.deviation}
        self.network = self._build(seed=0)

    def _build(self, seed: int) -> nn.Module:
        inputs, pixels = (1 + self.deviation) * self.frontend.filters, 3 * self.size**2
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            shape = nn.Unflatten(1, (3, self.size, self.size))
            return nn.Sequential(nn.Linear(inputs, pixels), nn.Sigmoid(), shape)

    def _statistics(self, voices: Tensor) -> Tensor:
        parts = [voices.mean(dim=(1, 3)), *([voices.std(dim=(1, 3))] if self.deviation else [])]
        return torch.cat(parts, dim=1)

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Learn the mean of the faces that go with such a voice."""
        self.network = context.setup(self._build(context.seed))
        adam = context.adam(self.network.parameters(), 1e-3, (0.9, 0.999))
        for step in context.loop("fit", self.recipe["steps"], {"network": self.network, "adam": adam}, self):
            batch = data.batch(step, 16)
            faces = self.network(self._statistics(batch.voices[:, None]))
            loss = (faces - batch.faces / 255).abs().mean()
            context.update(adam, loss)
            context.log(batch.identities, pixel=loss)

    @torch.no_grad()
    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """Normalised segments ``[B, S, filters, frames]`` -> faces uint8 ``[B, 3, H, W]``."""
        faces = self.network.to(voices.device).eval()(self._statistics(voices))
        return (faces * 255).round().to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors that `generate` needs."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""
        self.network.load_state_dict(state)
