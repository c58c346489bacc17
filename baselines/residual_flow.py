"""residual-flow-64: several faces for a voice, drawn from noise as the difference to the mean face.

Our proposal, with ideas of SCLDM (arXiv 2310.03363): a contrastive pre-training of both encoders, a generator
conditioned on speech, and a residual to a statistical face. It is not SCLDM: the space is that of
`baselines.contrastive`, the generator the flow of `baselines.flow` on pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from baselines.contrastive import JOINT, VoiceSide, fit_joint_space, joint_recipe, spread
from baselines.flow import COMMON, Flow, fit_flow
from baselines.system import OneNetwork, by_segment, to_bytes
from sf2f_bench import ModelCard, ModelSettings

if TYPE_CHECKING:
    from sf2f_bench import Batch, TrainContext, TrainingData

JOINT_COMMON = {**COMMON, "joint_lr": 1e-3}
# A short training hears less: with more guidance its faces are nearer to the true ones of the validation split.
SHORT = {**JOINT_COMMON, "width": 0.25, "guidance": 3.0}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {
        **SHORT,
        "joint_steps": 20,
        "joint_batch": 16,
        "flow_steps": 20,
        "flow_batch": 16,
        "euler_steps": 4,
    },
    "default/cpu": {
        **SHORT,
        "joint_steps": 800,
        "joint_batch": 64,
        "flow_steps": 1600,
        "flow_batch": 32,
        "euler_steps": 12,
    },
    "default/cuda": {
        **JOINT_COMMON,
        "width": 1.0,
        "joint_steps": 3000,
        "joint_batch": 256,
        "flow_steps": 10_000,
        "flow_batch": 256,
    },
    "long": {
        **SHORT,
        "joint_steps": 3000,
        "joint_batch": 64,
        "flow_steps": 6000,
        "flow_batch": 32,
        "euler_steps": 12,
    },
    "paper": {
        **JOINT_COMMON,
        "width": 1.0,
        "joint_steps": 60_000,
        "joint_batch": 256,
        "flow_steps": 200_000,
        "flow_batch": 256,
    },
}


class ConditionalFlow(nn.Module):
    """Voice ``[B, S, F, T]`` -> condition ``[B, C]``, and the flow that draws under it."""

    def __init__(self, voice: nn.Module, flow: Flow) -> None:
        super().__init__()
        self.voice, self.flow = voice, flow

    def draw(self, conditions: Tensor, generator: torch.Generator) -> Tensor:
        """Conditions ``[B, C]`` -> faces uint8 ``[B, 3, H, W]``, from noise of the generator."""
        shape = (len(conditions), self.flow.mean.numel())
        noise = torch.randn(shape, generator=generator, device=conditions.device)
        return to_bytes(self.flow(noise, conditions))


class ResidualFlow(OneNetwork[ConditionalFlow]):
    """A contrastive voice encoder, kept as it is, and a flow that draws faces under it."""

    name = "residual-flow-64"
    one_to_many = True

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.recipe = joint_recipe(self.name, settings, SCHEDULES)
        self.recipe["flow_steps"] = self.recipe.pop("steps", self.recipe["flow_steps"])
        recipe = self.recipe
        self.card = ModelCard(
            name=self.name,
            version="1",
            kind="system",
            description="several faces for a voice: a flow draws the difference to the mean face under "
            "a contrastive voice embedding",
            width=recipe["width"],
            reference="our proposal, after SCLDM (arXiv 2310.03363)",
            limits=(
                f"{recipe['joint_steps']} steps of the contrastive space at batch {recipe['joint_batch']} and "
                f"{recipe['flow_steps']} of the flow at batch {recipe['flow_batch']}; no published system. "
                "Not for identifying people"
            ),
        )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train the contrastive space, then the flow; a resumed call continues from a checkpoint."""
        voice = fit_joint_space(self.recipe, data, context, "joint").voice.requires_grad_(False).eval()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            flow = self._flow()

        def condition_of(batch: Batch) -> Tensor:
            return spread(voice(batch.voices))

        self.network = ConditionalFlow(voice, flow)
        self.network.flow = fit_flow(flow, condition_of, self.recipe, data, context, self)

    def average(self, flow: Flow) -> None:
        """Draw with this flow from now on."""
        self.trained.flow = flow

    def _flow(self) -> Flow:
        recipe = self.recipe
        return Flow(self.image_size, JOINT, recipe["width"], recipe["euler_steps"], recipe["guidance"])

    def build(self, shapes: Mapping[str, torch.Size]) -> ConditionalFlow:
        """See `OneNetwork`."""
        return ConditionalFlow(VoiceSide(JOINT, self.recipe["width"], self.frontend.filters), self._flow())

    def draw(self, network: ConditionalFlow, voices: Tensor, generator: torch.Generator) -> Tensor:
        """One face of each voice, from noise of the generator."""
        return network.draw(spread(by_segment(network.voice, voices)), generator)
