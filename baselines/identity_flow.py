"""identity-flow-64: a voice is mapped to an identity embedding, and a flow draws faces of that identity.

Our proposal, with the two stages of Vox2Face (Information 17(2):200, 2026): speech aligned to an identity space, and a
generator conditioned on identity, trained on true embeddings; with its self-consistency, which here trains the mapper
alone. The identity space is that of the training loss's network, never the judge's. The generator is the flow of
`baselines.flow`. Relational distillation: Park et al. 2019 (arXiv 1904.05068), its distances as cosines.
Shapes: B batch, S segments, F filters, T frames, D numbers of the face embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.anchors import why_no_held_out
from baselines.contrastive import VoiceSide, spread
from baselines.flow import COMMON, Flow, fit_flow
from baselines.residual_flow import ConditionalFlow
from baselines.speech2face import face_embeddings, perceptual_of, redrawn, unit_range
from baselines.system import OneNetwork, by_segment, with_start
from baselines.voice2face import total
from sf2f_bench import Answer, ModelCard, ModelSettings, learning_rate, scheduled

if TYPE_CHECKING:
    from sf2f_bench import Batch, Evaluation, FeatureNetwork, TrainContext, TrainingData

OF_VOICE = ("steps", "lr", "batch", "weights", "consistency_times")  # of a recipe: what only the mapper needs
MAPPER: dict[str, Any] = {
    **COMMON,
    "lr": 1e-3,
    "weights": {"identity": 1.0, "relation": 1.0, "consistency": 0.1},
    "consistency_times": (0.3, 0.9),  # of the path, from which the consistency term looks at the face
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {
        **MAPPER,
        "width": 0.25,
        "flow_steps": 20,
        "flow_batch": 16,
        "steps": 20,
        "batch": 16,
        "euler_steps": 4,
    },
    "default/cpu": {
        **MAPPER,
        "width": 0.25,
        "flow_steps": 1600,
        "flow_batch": 32,
        "steps": 1600,
        "batch": 16,
        "euler_steps": 12,
    },
    "default/cuda": {
        **MAPPER,
        "width": 1.0,
        "flow_steps": 10_000,
        "flow_batch": 256,
        "steps": 6000,
        "batch": 256,
    },
    "long": {
        **MAPPER,
        "width": 0.25,
        "flow_steps": 6000,
        "flow_batch": 32,
        "steps": 6000,
        "batch": 16,
        "euler_steps": 12,
    },
    "paper": {
        **MAPPER,
        "width": 1.0,
        "flow_steps": 200_000,
        "flow_batch": 256,
        "steps": 60_000,
        "batch": 256,
    },
}


def recipe_for(settings: ModelSettings, hears: bool = True) -> dict[str, Any]:
    """Everything that determines a training, for one budget; hears: with what only the mapper needs."""
    recipe = scheduled("identity-flow", settings, SCHEDULES)
    recipe["flow_steps"] = min(recipe["flow_steps"], settings.steps or recipe["flow_steps"])
    return {name: value for name, value in recipe.items() if hears or name not in OF_VOICE}


def relation_loss(heard: Tensor, wanted: Tensor) -> Tensor:
    """How unlike the cosines within two batches ``[B, D]`` of length 1 are: their mean squared difference."""
    return F.mse_loss(heard @ heard.T, wanted @ wanted.T)


def consistency_loss(
    flow: Flow,
    network: FeatureNetwork,
    heard: Tensor,
    wanted: Tensor,
    faces: Tensor,
    noise: Tensor,
    times: Tensor,
) -> Tensor:
    """1 - cosine between the true embedding and that of the face that the flow heads for, told what was heard.

    heard, wanted ``[B, D]``; faces in 0..1 ``[B, 3, H, W]``; noise ``[B, 3 * H * W]``; times ``[B]``. The flow's own
    weights stay as they are.
    """
    drawn = flow.seen_through(noise, times, faces, spread(heard))
    found = face_embeddings(network, drawn.clamp(0, 1))
    return (1 - (found * wanted).sum(dim=1)).mean()


class IdentityFlowTrueEmbedding(OneNetwork[Flow]):
    """What the generator can draw: it is given the true embedding of the held-out photo, and hears nothing.

    It is also the first stage of `IdentityFlow`: the generator, trained on true embeddings.
    """

    name = "identity-flow-64-true-embedding"

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.recipe = recipe_for(settings, hears=False)
        self.card = ModelCard(
            name=self.name,
            version="1",
            kind="anchor",
            description="identity-flow's generator on the true embedding of the photo held out: what it can draw",
            width=self.recipe["width"],
            reference="our proposal, after Vox2Face (Information 17(2):200, 2026)",
            limits=f"generator of {self.recipe['flow_steps']} steps at batch {self.recipe['flow_batch']}, photos alone",
            place="ceiling",
            order=11,
        )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train the generator on photos and their embeddings; a resumed call continues from a checkpoint."""
        network = perceptual_of(context)

        def condition_of(batch: Batch) -> Tensor:
            return spread(face_embeddings(network, unit_range(batch.faces)))

        photo, _ = next(data.every_photo(1))
        embedding = face_embeddings(network, unit_range(photo)).shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            flow = self._flow(embedding)
        self.network = fit_flow(flow, condition_of, self.recipe, data, context)

    def _flow(self, embedding: int) -> Flow:
        recipe = self.recipe
        return Flow(self.image_size, embedding, recipe["width"], recipe["euler_steps"], recipe["guidance"])

    def build(self, shapes: Mapping[str, torch.Size]) -> Flow:
        """See `OneNetwork`."""
        return self._flow(shapes["picture.condition.0.weight"][1])

    def applies(self, evaluation: Evaluation) -> str | None:
        """As the real-photo oracle: where enough test identities have two photos."""
        return why_no_held_out(evaluation)

    def answer(self, evaluation: Evaluation) -> Answer:
        """The generator's pictures of the held-out photos' embeddings, from noise of a fixed seed."""
        flow, chance = self.trained.cpu().eval(), torch.Generator().manual_seed(0)

        def draw(found: Tensor) -> Tensor:
            return flow(torch.randn((len(found), flow.mean.numel()), generator=chance), spread(found))

        return redrawn(evaluation, draw)


class IdentityFlow(OneNetwork[ConditionalFlow]):
    """A mapper from voice to identity, and a flow that was trained on true identities."""

    name = "identity-flow-64"
    one_to_many = True

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.recipe = recipe_for(settings)
        self.starts_from = IdentityFlowTrueEmbedding(settings)
        recipe = self.recipe
        self.card = ModelCard(
            name=self.name,
            version="1",
            kind="system",
            description="several faces for a voice: the voice is mapped to a face embedding, under which a flow draws",
            width=recipe["width"],
            reference="our proposal, after Vox2Face (Information 17(2):200, 2026)",
            limits=(
                f"{recipe['flow_steps']} steps of the generator at batch {recipe['flow_batch']} and {recipe['steps']} "
                f"of the mapper at batch {recipe['batch']}; no published system. Not for identifying people"
            ),
        )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train the mapper against the generator of `context.start`; a resumed call continues."""
        first = with_start(self.starts_from, self, context)
        recipe, network = self.recipe, perceptual_of(context)
        embedding = first.state_dict()["picture.condition.0.weight"].shape[1]
        flow = context.setup(first.trained).requires_grad_(False).eval()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            mapper = VoiceSide(embedding, recipe["width"], data.frontend.filters)
        mapper = context.setup(mapper)
        self.network = ConditionalFlow(mapper, flow)
        adam = context.adam(mapper.parameters(), recipe["lr"], recipe["betas"])
        weights, pixels = recipe["weights"], flow.mean.numel()
        earliest, latest = recipe["consistency_times"]
        for step in context.loop("mapper", recipe["steps"], {"mapper": mapper, "mapper_adam": adam}, self):
            batch = data.batch(step, recipe["batch"])
            faces = unit_range(batch.faces)
            chance = context.noise("mapper", step, len(faces), pixels + 1)
            times = earliest + (latest - earliest) * torch.special.ndtr(chance[:, pixels])
            with torch.no_grad():
                wanted = face_embeddings(network, faces)
            with context.autocast():
                heard = mapper(batch.voices).float()
                terms = {
                    "identity": weights["identity"] * (1 - (heard * wanted).sum(dim=1)).mean(),
                    "relation": weights["relation"]
                    * relation_loss(context.gather(heard), context.gather(wanted)),
                    "consistency": weights["consistency"]
                    * consistency_loss(flow, network, heard, wanted, faces, chance[:, :pixels], times),
                }
            context.update(adam, total(terms), learning_rate(step, recipe))
            context.log(batch.identities, **terms)
        self.network.eval()

    def build(self, shapes: Mapping[str, torch.Size]) -> ConditionalFlow:
        """See `OneNetwork`."""
        recipe, embedding = self.recipe, shapes["flow.picture.condition.0.weight"][1]
        flow = Flow(self.image_size, embedding, recipe["width"], recipe["euler_steps"], recipe["guidance"])
        return ConditionalFlow(VoiceSide(embedding, recipe["width"], self.frontend.filters), flow)

    def draw(self, network: ConditionalFlow, voices: Tensor, generator: torch.Generator) -> Tensor:
        """One face of each voice, from noise of the generator."""
        return network.draw(spread(by_segment(network.voice, voices)), generator)
