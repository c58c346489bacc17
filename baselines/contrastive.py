"""A contrastive space of voices and faces, and its nearest prototypes: our reduced form of VoiceStyle's first half.

VoiceStyle (ACM TOMM 20(9), 2024) looks up the image prototypes that are nearest to a voice in a contrastive space and
goes on with latents of StyleGAN; here the answer is the mean of the people behind the prototypes, drawn by the decoder
of `baselines.speech2face`. The space is SF2F's voice encoder beside a small face network, trained with symmetric
InfoNCE (van den Oord et al. 2018, arXiv 1807.03748; symmetric as in CLIP, arXiv 2103.00020). Sizes, prototypes and the
decoder are our proposal, not the paper's.
Shapes: B batch, S segments, F filters, T frames, J numbers of the joint space, D of the face embedding, K prototypes,
P training identities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor, nn

from baselines.speech2face import (
    FaceDecoder,
    Speech2FaceTrueEmbedding,
    face_embeddings,
    perceptual_of,
    unit_range,
)
from baselines.system import OneNetwork, by_segment, to_bytes, with_start
from reference_model.sf2f import VoiceEncoder
from sf2f_bench import Answer, ModelCard, ModelSettings, learning_rate, scaled, scheduled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench import Evaluation, TrainContext, TrainingData

JOINT = 256
FACE_CHANNELS = (64, 128, 256, 512)


# ---------------------------------------------------------------- the joint space


class FaceEncoder(nn.Module):
    """Strided convolutions: faces in 0..1 ``[B, 3, H, W]`` -> the joint space ``[B, J]``, each row of length 1."""

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = [3, *(scaled(c, width) for c in FACE_CHANNELS)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.project = nn.Linear(16 * channels[-1], JOINT)

    def forward(self, faces: Tensor) -> Tensor:
        """``[B, 3, H, W] -> [B, J]``."""
        return F.normalize(self.project(self.layers(2 * faces - 1)), dim=1)


class VoiceSide(nn.Module):
    """SF2F's voice encoder and a linear layer: ``[B, F, T]`` -> a space of voices and faces ``[B, J]``, of length 1."""

    def __init__(self, embedding: int, width: float, filters: int) -> None:
        super().__init__()
        self.encoder = VoiceEncoder(width, filters)
        self.project = nn.Linear(self.encoder.project.out_channels, embedding)

    def forward(self, voices: Tensor) -> Tensor:
        """``[B, F, T] -> [B, J]``."""
        return F.normalize(self.project(spread(self.encoder(voices))), dim=1)


def spread(embeddings: Tensor) -> Tensor:
    """Rows ``[B, C]`` of any length, brought to numbers of about 1 each."""
    return embeddings.shape[1] ** 0.5 * F.normalize(embeddings, dim=1)


class JointSpace(nn.Module):
    """Both sides and the temperature of their softmax, learnt as its logarithm and never below 1 / 100."""

    def __init__(self, width: float, filters: int) -> None:
        super().__init__()
        self.voice, self.face = VoiceSide(JOINT, width, filters), FaceEncoder(width)
        self.log_scale = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))

    def similarities(self, heard: Tensor, seen: Tensor) -> Tensor:
        """Voices and faces in the space, ``[B, J]`` each -> cosines over temperature ``[B, B]``, a row a voice."""
        return self.log_scale.exp().clamp(max=100) * heard @ seen.T


def contrastive_loss(similarities: Tensor) -> Tensor:
    """Symmetric InfoNCE of ``[B, B]`` whose diagonal holds the pairs: each voice finds its face and the reverse.

    Formula: the mean of the cross-entropies of rows and of columns against the diagonal. A batch holds a person once,
    so that no other face in it is right.
    """
    own = torch.arange(len(similarities), device=similarities.device)
    return (F.cross_entropy(similarities, own) + F.cross_entropy(similarities.T, own)) / 2


def fit_joint_space(
    recipe: Mapping[str, Any], data: TrainingData, context: TrainContext, stage: str
) -> JointSpace:
    """Train a joint space; a resumed call continues from a checkpoint.

    recipe: its `joint_steps`, `joint_batch`, `joint_lr` and the fall of the learning rate.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(context.seed)
        joint = JointSpace(recipe["width"], data.frontend.filters)
    joint = context.setup(joint)
    adam = context.adam(joint.parameters(), recipe["joint_lr"], recipe["betas"])
    schedule = {**recipe, "steps": recipe["joint_steps"], "lr": recipe["joint_lr"]}
    for step in context.loop(stage, recipe["joint_steps"], {"joint": joint, "joint_adam": adam}):
        batch = data.batch(step, recipe["joint_batch"], stage)
        with context.autocast():
            heard, seen = joint.voice(batch.voices), joint.face(unit_range(batch.faces))
        similarities = joint.similarities(context.gather(heard.float()), context.gather(seen.float()))
        loss = contrastive_loss(similarities)
        found = similarities.argmax(dim=1) == torch.arange(len(similarities), device=similarities.device)
        context.update(adam, loss, learning_rate(step, schedule))
        context.log(batch.identities, contrastive=loss, found=found.float().mean())
    return joint.eval()


# ---------------------------------------------------------------- the prototypes


class Prototypes(nn.Module):
    """Voice -> nearest prototypes -> the people in them -> their mean face embedding -> a face.

    joint: the space, with both sides. centres ``[K, J]``; members ``[K, P]``: how many photos of a person a prototype
    holds; sums ``[K, D]``: the sum of the face embeddings of its photos. Before `fit_prototypes` all three are zero.
    """

    centres: Tensor
    members: Tensor
    sums: Tensor

    def __init__(self, joint: JointSpace, decoder: FaceDecoder, count: int, people: int, near: int) -> None:
        super().__init__()
        self.joint, self.decoder, self.near = joint, decoder, near
        self.register_buffer("centres", torch.zeros(count, JOINT))
        self.register_buffer("members", torch.zeros(count, people))
        self.register_buffer("sums", torch.zeros(count, decoder.first.in_features))

    def nearest(self, heard: Tensor) -> Tensor:
        """The joint space ``[B, J]`` -> which prototypes are its nearest: 0 or 1 ``[B, K]``."""
        near = heard @ F.normalize(self.centres, dim=1).T
        empty = self.members.sum(dim=1) == 0  # there may be fewer photos than prototypes
        places = near.masked_fill(empty, -torch.inf).topk(self.near, dim=1).indices
        return torch.zeros(len(heard), len(self.centres), device=heard.device).scatter_(1, places, 1.0)

    def forward(self, segments: Tensor) -> Tensor:
        """``[B, S, F, T] -> [B, K]``: the prototypes nearest to the mean of the segments."""
        return self.nearest(self.heard(segments))

    def heard(self, segments: Tensor) -> Tensor:
        """``[B, S, F, T]`` -> the joint space ``[B, J]``: the mean of the segments, brought back to length 1."""
        return F.normalize(by_segment(self.joint.voice, segments), dim=1)


@torch.no_grad()
def fit_prototypes(network: Prototypes, data: TrainingData, context: TrainContext) -> None:
    """k-means (Lloyd 1982; scikit-learn's) of all training photos in the joint space, and who is in which cluster."""
    places, seen, owners = [], [], []
    for faces, labels in data.every_photo():
        places.append(network.joint.face(unit_range(faces)).float())
        seen.append(face_embeddings(perceptual_of(context), unit_range(faces)))
        owners.append(labels)
    joined, owner = torch.cat(places), torch.cat(owners)
    count = min(len(network.centres), len(joined))
    found = KMeans(count, n_init=3, random_state=context.seed % 2**32).fit(joined.cpu().numpy())
    cluster = torch.from_numpy(found.labels_.astype(np.int64)).to(owner.device)
    network.centres[:count] = torch.from_numpy(found.cluster_centers_).to(network.centres)
    network.members.index_put_((cluster, owner), torch.ones(len(owner), device=owner.device), accumulate=True)
    network.sums.index_add_(0, cluster, torch.cat(seen))


# ---------------------------------------------------------------- training

COMMON: dict[str, Any] = {
    "joint_lr": 1e-3,
    "betas": (0.9, 0.999),
    "decay_from": 0.5,  # share of the steps after which the learning rate falls linearly ...
    "final_lr": 0.01,  # ... to this share of it
    "prototypes": 100,
    "near": 5,  # prototypes that answer
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {**COMMON, "width": 0.25, "joint_steps": 20, "joint_batch": 16, "prototypes": 10, "near": 2},
    "default/cpu": {**COMMON, "width": 0.25, "joint_steps": 1600, "joint_batch": 64},
    "default/cuda": {**COMMON, "width": 1.0, "joint_steps": 6000, "joint_batch": 256},
    "long": {**COMMON, "width": 0.25, "joint_steps": 6000, "joint_batch": 64},
    "paper": {**COMMON, "width": 1.0, "joint_steps": 60_000, "joint_batch": 256},
}


def joint_recipe(
    system: str, settings: ModelSettings, schedules: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The schedule of a budget, whose `steps` are those of the joint space where it names no others."""
    recipe = scheduled(system, settings, schedules)
    recipe["joint_steps"] = min(recipe["joint_steps"], settings.steps or recipe["joint_steps"])
    return recipe


class ContrastivePrototypes(OneNetwork[Prototypes]):
    """The mean of the people nearest to a voice, drawn."""

    name = "contrastive-prototypes"
    kind_of_row: Mapping[str, Any] = {
        "kind": "system",
        "description": "the mean of the training people whose prototypes a voice is nearest to, drawn by a decoder",
    }

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.recipe = joint_recipe(self.name, settings, SCHEDULES)
        self.recipe.pop("steps", None)
        self.starts_from: OneNetwork[Any] = Speech2FaceTrueEmbedding(settings)
        recipe = self.recipe
        self.card = ModelCard(
            name=self.name,
            version="1",
            width=recipe["width"],
            reference="after VoiceStyle's prototypes (ACM TOMM 20(9), 2024); our reduced form",
            limits=(
                f"{recipe['joint_steps']} steps of the joint space at batch {recipe['joint_batch']}, "
                f"{recipe['prototypes']} prototypes of which {recipe['near']} answer. It knows no face but the "
                "training photos', so the copying alarm is of interest. Not for identifying people"
            ),
            **self.kind_of_row,
        )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train the joint space, then place the prototypes; a resumed call continues from a checkpoint."""
        first = with_start(self.starts_from, self, context)
        joint = fit_joint_space(self.recipe, data, context, "joint")
        network = self._network(joint, first.trained.decoder, data.identities)
        self.network = network.to(context.device).eval()
        fit_prototypes(self.network, data, context)

    def _network(self, joint: JointSpace, decoder: FaceDecoder, people: int) -> Prototypes:
        return Prototypes(joint, decoder, self.recipe["prototypes"], people, self.recipe["near"])

    def build(self, shapes: Mapping[str, torch.Size]) -> Prototypes:
        """See `OneNetwork`."""
        width = self.recipe["width"]
        decoder = FaceDecoder(shapes["sums"][1], width, self.image_size)
        return self._network(JointSpace(width, self.frontend.filters), decoder, shapes["members"][1])

    def draw(self, network: Prototypes, voices: Tensor, generator: torch.Generator) -> Tensor:
        """The decoder's picture of the mean embedding of all photos in the nearest prototypes."""
        return to_bytes(network.decoder(F.normalize(network(voices) @ network.sums, dim=1)))


class _Undrawn(ContrastivePrototypes):
    """What `ContrastivePrototypes` has learnt, asked without a picture."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.starts_from: OneNetwork[Any] = ContrastivePrototypes(settings)

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Nothing is left to learn: it takes what the row that draws has learnt."""
        self.network = with_start(self.starts_from, self, context).trained

    def applies(self, evaluation: Evaluation) -> str | None:
        """None: it can always be computed."""
        return None

    def heard(self, evaluation: Evaluation, of: Callable[[Tensor], Tensor]) -> NDArray[np.floating]:
        """What `of` makes of the segments ``[1, S, F, T]`` of each test identity, as rows ``[N, ...]``."""
        normalise = evaluation.frontend.normalise
        found = [of(normalise(torch.from_numpy(windows))[None]) for windows in evaluation.segments]
        return torch.cat(found).numpy()


class ContrastivePrototypesQuery(_Undrawn):
    """The same people without a picture: the mean of their templates by each network that scores.

    The learnt rival of the linear listener: it shows what is lost by drawing.
    """

    name = "contrastive-prototypes-query"
    kind_of_row: Mapping[str, Any] = {
        "kind": "anchor",
        "place": "ceiling",
        "order": 1,
        "fitted_to": "nothing",
        "trained_on": "the training split, in the judge's own space",
        "description": "the mean template of the training people whose prototypes a voice is nearest to; no face is "
        "generated",
    }

    @torch.no_grad()
    def answer(self, evaluation: Evaluation) -> Answer:
        """One query per identity and network that tells people apart."""
        network = self.trained.cpu().eval()
        near = self.heard(evaluation, lambda segments: network(segments) @ network.members)
        shares = near / near.sum(axis=1, keepdims=True)
        return Answer(
            embeddings={role: shares @ evaluation.train_templates(role) for role in evaluation.recognisers}
        )


class ContrastiveSpace(_Undrawn):
    """Voices look for faces in the contrastive space itself: how much can be heard where nothing has to be drawn.

    Its face network sees the gallery's photos, as no row that draws does: it is a matcher of voices and faces, like
    those of the association literature.
    """

    name = "contrastive-space"
    kind_of_row: Mapping[str, Any] = {
        "kind": "anchor",
        "place": "ceiling",
        "order": 1,
        "fitted_to": "nothing",
        "description": "the voice looks for the face in the contrastive space of both; no face is generated",
    }

    @torch.no_grad()
    def answer(self, evaluation: Evaluation) -> Answer:
        """The order of the gallery in the joint space; a person is the mean over the photos that a template holds."""
        network = self.trained.cpu().eval()
        photos = [faces[1:] if len(faces) > 1 else faces for faces in evaluation.test_faces]
        seen = [network.joint.face(unit_range(torch.from_numpy(faces))).mean(dim=0) for faces in photos]
        return Answer(ranking=(self.heard(evaluation, network.heard), torch.stack(seen).numpy()))
