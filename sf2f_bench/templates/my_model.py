"""my-model: a small network from voice statistics to a face. Yours to change from the first line to the last."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sf2f_bench import LogFilterbank, ModelCard, ModelSettings, TrainContext, TrainingData


def statistics(voices: Tensor) -> Tensor:
    """Mean and deviation over time of every band: ``[B, S, filters, frames]`` -> ``[B, 2 * filters]``."""
    return torch.cat([voices.mean(dim=(1, 3)), voices.std(dim=(1, 3))], dim=1)


class MyModel:
    """Mean and deviation of every band of the voice, through one hidden layer, to pixels."""

    def __init__(self, settings: ModelSettings) -> None:
        self.size = settings.image_size
        self.frontend = LogFilterbank()  # what is computed of a recording, and stored
        # All that decides the training: it is hashed into the name of the trained model.
        self.recipe: dict[str, Any] = {"steps": settings.steps or 300, "batch": 32, "lr": 1e-3, "hidden": 256}
        self.card = ModelCard(
            name="my-model",
            version="1",  # raise it when a change of the code changes its faces
            kind="system",
            description="one hidden layer from voice statistics to pixels",
            limits="a template, not a published model. Not for identifying people: see my_model.md",
            # Of a model without one part of another: ablation_of="its name", change="without ...".
        )
        self.network = self._build(seed=0)

    def _build(self, seed: int) -> nn.Module:
        inputs, hidden, pixels = 2 * self.frontend.filters, self.recipe["hidden"], 3 * self.size * self.size
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return nn.Sequential(
                nn.Linear(inputs, hidden),
                nn.ReLU(),
                nn.Linear(hidden, pixels),
                nn.Sigmoid(),
                nn.Unflatten(1, (3, self.size, self.size)),
            )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Learn the mean of the faces that go with such a voice; resumes where it was interrupted."""
        self.network = context.setup(self._build(context.seed))
        adam = context.adam(self.network.parameters(), self.recipe["lr"], (0.9, 0.999))
        for step in context.loop("fit", self.recipe["steps"], {"network": self.network, "adam": adam}, self):
            batch = data.batch(step, self.recipe["batch"])  # voices [B, filters, T], faces uint8 [B, 3, H, W]
            with context.autocast():
                faces = self.network(statistics(batch.voices[:, None]))
                loss = (faces - batch.faces / 255).abs().mean()
            context.update(adam, loss)
            context.log(batch.identities, pixel=loss)

    @torch.no_grad()
    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """Normalised segments ``[B, S, filters, frames]`` -> faces uint8 ``[B, 3, H, W]``."""
        faces = self.network.to(voices.device).eval()(statistics(voices))
        return (faces * 255).round().to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors that `generate` needs."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""
        self.network.load_state_dict(state)
