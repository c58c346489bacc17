"""voice2face as it was published (Wen et al., NeurIPS 2019): its own front end and a voice network trained first.

Facts of the published code (github.com/cmu-mlsp/reconstructing_faces_from_voices): networks, losses, their order in
a step, Adam, batch, noise, flips. The voice network is fixed while faces are learnt. There is no pixel loss: only the
classifier of identities ties a generated face to a photo. Shapes: B batch, S segments, T frames, E = 64 * width.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.voice2face import FaceDecoder, VoiceEncoder, discriminator_losses, recipe_for, total
from sf2f_bench import BenchError, ModelCard, ModelSettings, WenFilterbank, scaled

if TYPE_CHECKING:
    from sf2f_bench import TrainContext, TrainingData

FILTERS = 64
EMBEDDING = 64
FACE_NETWORK_CHANNELS = (32, 64, 128, 256, 512)
IMAGE_SIZE = 64


class VoiceNetwork(VoiceEncoder):
    """The plain encoder on 64 filters with an embedding of 64: ``[B, 64, T] -> [B, E]``, of any length."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width, FILTERS)
        last = self.layers[-1]
        assert isinstance(last, nn.Conv1d)
        self.layers[-1] = nn.Conv1d(last.in_channels, scaled(EMBEDDING, width), 3, stride=2, padding=1)

    def forward(self, voices: Tensor) -> Tensor:
        """The mean over time, not normalised: that of a long recording is the mean of its parts'."""
        return self.layers(voices).mean(dim=2)


class FaceGenerator(FaceDecoder):
    """The plain decoder from an embedding of 64: ``[B, E]`` -> a tuple of one ``[B, 3, 64, 64]``, -1..1."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width)
        first = self.layers[0]
        assert isinstance(first, nn.ConvTranspose2d)
        self.layers[0] = nn.ConvTranspose2d(scaled(EMBEDDING, width), first.out_channels, 4)


class FaceNetwork(nn.Module):
    """One trunk, two heads without bias: images ``[B, 3, 64, 64]`` -> (realness ``[B, 1]``, identity logits)."""

    def __init__(self, identities: int, width: float = 1.0) -> None:
        super().__init__()
        channels = [scaled(c, width) for c in FACE_NETWORK_CHANNELS]
        layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(channels[-1], scaled(EMBEDDING, width), 4))
        self.trunk = nn.Sequential(*layers)
        self.real = nn.Linear(scaled(EMBEDDING, width), 1, bias=False)
        self.identity = nn.Linear(scaled(EMBEDDING, width), identities, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 3, 64, 64] -> ([B, 1], [B, identities])``."""
        features = self.trunk(images).flatten(1)
        return self.real(features), self.identity(features)


# ---------------------------------------------------------------- training

COMMON: dict[str, Any] = {
    "lr": 2e-4,
    "betas": (0.5, 0.999),
    "noise": 0.05,  # standard deviation per channel of the unit embedding, in training only
    "voice_lr": 1e-3,  # of the speaker identification, as is all that begins with "voice": our choice
    "voice_betas": (0.9, 0.999),
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {**COMMON, "width": 0.25, "voice_steps": 20, "steps": 30, "batch": 16},
    "default/cpu": {**COMMON, "width": 0.25, "voice_steps": 800, "steps": 600, "batch": 32},
    "default/cuda": {**COMMON, "width": 1.0, "voice_steps": 3000, "steps": 6000, "batch": 128},
    "long": {**COMMON, "width": 0.25, "voice_steps": 3000, "steps": 3000, "batch": 32},
    "paper": {**COMMON, "width": 1.0, "voice_steps": 50_000, "steps": 50_000, "batch": 128},
}


def unit_pixels(faces: Tensor) -> Tensor:
    """Faces uint8 in the published network's space: float in -1..1."""
    return faces.float() / 127.5 - 1


def flipped(faces: Tensor, coins: Tensor) -> Tensor:
    """Faces ``[B, 3, H, W]``, mirrored where the coin ``[B, 1]`` is above 0."""
    return torch.where(coins[:, :, None, None] > 0, faces.flip(3), faces)


def to_bytes(images: Tensor) -> Tensor:
    """Images in -1..1 as uint8, values outside clipped."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def generator_losses(fake: Tensor, labels: Tensor, discriminator: FaceNetwork) -> dict[str, Tensor]:
    """The generator's terms by name: non-saturating logistic GAN, cross-entropy of the voice's identity."""
    score, logits = discriminator(fake)
    return {"identity_adversarial": F.softplus(-score).mean(), "identity": F.cross_entropy(logits, labels)}


class Voice2FaceWen:
    """voice2face with its published front end, networks and losses, as a system of the benchmark."""

    fuses = False

    def __init__(self, settings: ModelSettings) -> None:
        if settings.image_size != IMAGE_SIZE:
            raise BenchError(
                f"voice2face-wen generates faces of {IMAGE_SIZE} pixels, the benchmark needs {settings.image_size}: "
                "choose a benchmark of 64 pixels or another system"
            )
        self.recipe = recipe_for(settings, SCHEDULES)
        if settings.steps is not None:  # a shorter training shortens both stages
            self.recipe["voice_steps"] = min(self.recipe["voice_steps"], settings.steps)
        self.frontend = WenFilterbank()
        self.networks: nn.ModuleDict | None = None  # "voice" and "face"
        self.card = ModelCard(
            name="voice2face-wen",
            version="1",
            kind="system",
            description="voice2face as published: own front end, fixed voice network, identity GAN, no pixel loss",
            width=self.recipe["width"],
            reference="arXiv 1905.10604 and its code, retrained",
            limits=(
                f"{self.recipe['steps']} steps at batch {self.recipe['batch']}; the voice network is trained here, "
                f"{self.recipe['voice_steps']} steps of speaker identification on the same identities, since the "
                "published code leaves that stage out. Not for identifying people"
            ),
        )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train the voice network, then generator against face network; each resumes from its own checkpoint."""
        width = self.recipe["width"]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            voice, face = VoiceNetwork(width), FaceGenerator(width)
            speakers = nn.Linear(scaled(EMBEDDING, width), data.identities, bias=False)
            discriminator = FaceNetwork(data.identities, width)
        voice, speakers = context.setup(voice), context.setup(speakers)
        face, discriminator = context.setup(face), context.setup(discriminator)
        self._learn_voices(data, context, voice, speakers)
        self.networks = nn.ModuleDict({"voice": voice.eval().requires_grad_(False), "face": face})
        self._learn_faces(data, context, face, discriminator)

    def _learn_voices(
        self, data: TrainingData, context: TrainContext, voice: VoiceNetwork, speakers: nn.Linear
    ) -> None:
        """Speaker identification: softmax cross-entropy over the training identities.

        The last layer has no bias, so the winning speaker depends on the embedding's direction alone, which is all
        that the second stage uses.
        """
        recipe = self.recipe
        parameters = [*voice.parameters(), *speakers.parameters()]
        adam = context.adam(parameters, lr=recipe["voice_lr"], betas=recipe["voice_betas"])
        state = {"voice": voice, "speakers": speakers, "adam": adam}
        for step in context.loop("voice", recipe["voice_steps"], state):
            batch = data.batch(step, recipe["batch"], stage="voice")
            with context.autocast():
                logits = speakers(voice(batch.voices))
                loss = F.cross_entropy(logits, batch.labels)
            context.update(adam, loss)
            right = (logits.argmax(dim=1) == batch.labels).float().mean()
            context.log(batch.identities, speaker=loss, speaker_accuracy=right)

    def _learn_faces(
        self, data: TrainingData, context: TrainContext, face: FaceGenerator, discriminator: FaceNetwork
    ) -> None:
        """The face network first, the generator second, on the same generated faces, as in the published step."""
        recipe = self.recipe
        adams = [
            context.adam(n.parameters(), lr=recipe["lr"], betas=recipe["betas"])
            for n in (face, discriminator)
        ]
        state = {
            "face": face,
            "discriminator": discriminator,
            "face_adam": adams[0],
            "discriminator_adam": adams[1],
        }
        for step in context.loop("face", recipe["steps"], state, self):
            batch = data.batch(step, recipe["batch"], stage="face")
            with context.autocast():
                (fake,) = face(self._embedded(batch.voices, step, context))
                real = unit_pixels(flipped(batch.faces, context.noise("flip", step, len(fake), 1)))
                judged = discriminator_losses(fake.detach(), real, batch.labels, discriminator)
            context.update(adams[1], total(judged))
            discriminator.requires_grad_(False)
            with context.autocast():
                terms = generator_losses(fake, batch.labels, discriminator)
            context.update(adams[0], total(terms))
            discriminator.requires_grad_(True)
            context.log(batch.identities, **terms, **judged)

    @torch.no_grad()
    def _embedded(self, voices: Tensor, step: int, context: TrainContext) -> Tensor:
        """Unit embeddings ``[B, E]`` of one segment each, blurred."""
        embedding = F.normalize(self._trained()["voice"](voices), dim=1)
        blur = context.noise("face", step, *embedding.shape)
        return F.normalize(embedding + self.recipe["noise"] * blur, dim=1)

    @torch.no_grad()
    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """The face of the mean of the segments' embeddings, ``[B, S, 64, T]`` -> uint8 ``[B, 3, 64, 64]``.

        The mean is taken before normalisation, as for one long recording in the published network. `generator` is not
        used. Raises BenchError for another shape of voices and before there are weights.
        """
        if voices.dim() != 4:
            raise BenchError(
                f"expected voices [B, S, 64, T], got {tuple(voices.shape)}: add the missing axis"
            )
        networks = self._trained().to(voices.device).eval()
        faces = []
        for part in voices.split(64):
            embedding = networks["voice"](part.flatten(0, 1)).unflatten(0, part.shape[:2]).mean(dim=1)
            faces.append(to_bytes(networks["face"](F.normalize(embedding, dim=1))[0]))
        return torch.cat(faces)

    def _trained(self) -> nn.ModuleDict:
        if self.networks is None:
            raise BenchError(f"{self.card.label} has no weights yet: call fit or load_state_dict first")
        return self.networks

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors of voice network and generator by name."""
        return self._trained().state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a `state_dict`."""
        width = self.recipe["width"]
        networks = nn.ModuleDict({"voice": VoiceNetwork(width), "face": FaceGenerator(width)})
        networks.load_state_dict(state)
        self.networks = networks
