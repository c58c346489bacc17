"""Wav2Pix (Duarte et al., ICASSP 2019): a face from the raw waveform by a conditional GAN, in one file.

Facts of the paper (arXiv 1903.10195) and of its published code (GPL-3; none of it is copied here): networks, losses,
Adam, batch. What is ours is said where it stands and in the card. Shapes: B batch, S segments, T frames of 10 ms, so
160 T samples; E = 128 * width numbers of a voice.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from baselines.voice2face import total
from baselines.voice2face_wen import to_bytes, unit_pixels
from sf2f_bench import BenchError, ModelCard, ModelSettings, RawWaveform, learning_rate, scaled, scheduled

if TYPE_CHECKING:
    from sf2f_bench import TrainContext, TrainingData

EMBEDDING = 128
VOICE_CHANNELS = (16, 32, 128, 256, 512, 1024)
VOICE_HIDDEN = (256, 128)
POSITIONS = 4  # of one second after six strides of 4: 4 * 1024 = 4096 numbers
# By image size; at 128 pixels the published code has one more stage.
FACE_CHANNELS = {64: (512, 256, 128, 64), 128: (1024, 512, 256, 128, 64)}
DISCRIMINATOR_CHANNELS = {64: (64, 128, 256, 512), 128: (64, 128, 256, 512, 1024)}
CLASSIFIER_HIDDEN = 200


class VoiceEncoder(nn.Module):
    """Strided convolutions over samples: ``[B, 160, T]`` -> embedding ``[B, E]``, T of 98 or more.

    k15 s4, batch norm and LeakyReLU six times, then fully connected layers 4096-256-128-128. The published first one
    takes exactly one second; here it is a convolution over four positions, which is the same layer for one second, and
    of a longer sound the mean over all places is passed on.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = [1, *(scaled(c, width) for c in VOICE_CHANNELS)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv1d(inputs, outputs, 15, stride=4, padding=7), nn.BatchNorm1d(outputs)]
            layers += [nn.LeakyReLU(0.3)]
        self.convolutions = nn.Sequential(*layers)
        first, second = (scaled(c, width) for c in VOICE_HIDDEN)
        self.windows = nn.Conv1d(channels[-1], first, POSITIONS)
        self.project = nn.Sequential(
            nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, scaled(EMBEDDING, width))
        )

    def forward(self, voices: Tensor) -> Tensor:
        """``[B, 160, T] -> [B, E]``."""
        samples = voices.transpose(1, 2).flatten(1)[:, None]  # [B, 1, 160 T]
        return self.project(self.windows(self.convolutions(samples)).mean(dim=2))


def normed(layer: nn.Module) -> Tensor:
    """The weight of a layer with spectral norm, in full precision whatever the run's."""
    with torch.autocast(next(layer.parameters()).device.type, enabled=False):
        weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


class FaceGenerator(nn.Module):
    """Transposed convolutions: ``[B, E]`` -> image ``[B, 3, H, W]``, -1..1, H = W = 64 or 128.

    k4 s1 to 4x4, then k4 s2 p1 for every doubling; spectral norm on each, dropout and ReLU after all but the last,
    tanh at the end. No bias and no other normalisation, as published.
    """

    def __init__(self, width: float, image_size: int = 64) -> None:
        super().__init__()
        channels = [scaled(c, width) for c in FACE_CHANNELS[image_size]]
        first = nn.ConvTranspose2d(scaled(EMBEDDING, width), channels[0], 4, bias=False)
        rest = [
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
            for inputs, outputs in pairwise([*channels, 3])
        ]
        self.layers = nn.ModuleList(spectral_norm(layer) for layer in (first, *rest))
        # How many numbers each hidden stage has.
        self.dropped = [c * (4 * 2**stage) ** 2 for stage, c in enumerate(channels)]

    def forward(self, embedding: Tensor, masks: Tensor | None = None) -> Tensor:
        """masks: ``[B, sum of `dropped`]``, by which the hidden stages are multiplied; None in evaluation."""
        images = embedding[:, :, None, None]
        kept = masks.split(self.dropped, dim=1) if masks is not None else [None] * len(self.dropped)
        for stage, mask in enumerate(kept):
            images = self._enlarged(images, stage)
            if mask is not None:
                images = images * mask.to(images.dtype).view_as(images)
            images = F.relu(images)
        return torch.tanh(self._enlarged(images, len(kept)))

    def _enlarged(self, images: Tensor, stage: int) -> Tensor:
        stride, padding = (2, 1) if stage else (1, 0)
        return F.conv_transpose2d(images, normed(self.layers[stage]), stride=stride, padding=padding)


class Discriminator(nn.Module):
    """Does this face go with this voice? Images ``[B, 3, H, W]`` and embeddings ``[B, E]`` -> scores ``[B]``.

    k4 s2 p1 with spectral norm and LeakyReLU .2 for every halving down to 4x4; the embedding, repeated at all of its
    places, joins before the last convolution.
    """

    def __init__(self, width: float, image_size: int = 64) -> None:
        super().__init__()
        channels = [3, *(scaled(c, width) for c in DISCRIMINATOR_CHANNELS[image_size])]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False))
            for inputs, outputs in pairwise(channels)
        )
        self.last = nn.Conv2d(channels[-1] + scaled(EMBEDDING, width), 1, 4, bias=False)

    def look(self, images: Tensor) -> Tensor:
        """Features of faces alone: ``[B, 3, H, W] -> [B, C, 4, 4]``."""
        for layer in self.layers:
            images = F.leaky_relu(F.conv2d(images, normed(layer), stride=2, padding=1), 0.2)
        return images

    def compare(self, features: Tensor, embedding: Tensor) -> Tensor:
        """What `look` made of faces ``[B, C, 4, 4]``, and voices ``[B, E]`` -> scores ``[B]``."""
        tiled = embedding[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return self.last(torch.cat([features, tiled.to(features.dtype)], dim=1)).flatten()


def classifier_of(identities: int, width: float) -> nn.Module:
    """Whose voice is it? Embeddings ``[B, E]`` -> logits ``[B, identities]``, in training only."""
    return nn.Sequential(
        nn.Linear(scaled(EMBEDDING, width), CLASSIFIER_HIDDEN),
        nn.BatchNorm1d(CLASSIFIER_HIDDEN),
        nn.LeakyReLU(0.2),
        nn.Linear(CLASSIFIER_HIDDEN, identities),
    )


# ---------------------------------------------------------------- training

COMMON: dict[str, Any] = {
    "lr": 1e-4,  # of voice encoder, generator and classifier
    "discriminator_lr": 4e-4,
    "betas": (0.5, 0.999),
    "decay_from": 1.0,  # share of the steps after which both rates fall linearly ...
    "final_lr": 1.0,  # ... to this share of them; in the paper budget they stay as they are
    "dropout": 0.5,
    "real": 0.9,  # what the discriminator is to say of a true pair: smoothed on this side alone
    "weights": {"adversarial": 1.0, "features": 100.0, "pixel": 50.0, "identity": 20.0},
}
# Ours, without which a short training draws one face for everybody: see the card.
SHORT: dict[str, Any] = {**COMMON, "lr": 1e-3, "dropout": 0.1, "decay_from": 0.3, "final_lr": 0.01}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {**SHORT, "width": 0.25, "steps": 30, "batch": 16},
    "default/cpu": {**SHORT, "width": 0.25, "steps": 1600, "batch": 16},
    "default/cuda": {**COMMON, "width": 1.0, "steps": 20_000, "batch": 64},
    "long": {**SHORT, "width": 0.25, "steps": 6000, "batch": 16},
    "paper": {**COMMON, "width": 1.0, "steps": 100_000, "batch": 64},  # ours: published are 200 epochs
}


def discriminator_losses(
    fake: Tensor, real: Tensor, embedding: Tensor, discriminator: Discriminator, smoothed: float
) -> dict[str, Tensor]:
    """The discriminator's terms by name, of least squares (Mao et al. 2017): true pairs, generated, mismatched.

    fake, real: ``[B, 3, H, W]`` in -1..1; embedding: ``[B, E]`` of the same people. Mismatched are the true faces of
    the row before.
    """
    seen = discriminator.look(torch.cat([real, fake]))
    real_seen, fake_seen = seen.chunk(2)
    return {
        "discriminator_real": (discriminator.compare(real_seen, embedding) - smoothed).square().mean(),
        "discriminator_fake": discriminator.compare(fake_seen, embedding).square().mean(),
        "discriminator_mismatched": discriminator.compare(real_seen.roll(1, 0), embedding).square().mean(),
    }


def generator_losses(
    fake: Tensor,
    real: Tensor,
    embedding: Tensor,
    logits: Tensor,
    labels: Tensor,
    discriminator: Discriminator,
    weights: Mapping[str, float],
) -> dict[str, Tensor]:
    """The generator's weighted terms by name: L1 pixels, identity of the voice, least squares, feature matching.

    Feature matching is the squared distance of batch means (Salimans et al. 2016). logits ``[B, identities]`` and
    labels int64 ``[B]`` are of the voices; the discriminator is held fixed.
    """
    seen = discriminator.look(fake)
    with torch.no_grad():
        wanted = discriminator.look(real).mean(dim=0)
    return {
        "pixel": weights["pixel"] * F.l1_loss(fake, real),
        "identity": weights["identity"] * F.cross_entropy(logits, labels),
        "adversarial": weights["adversarial"] * (discriminator.compare(seen, embedding) - 1).square().mean(),
        "features": weights["features"] * F.mse_loss(seen.mean(dim=0), wanted),
    }


def dropout_masks(noise: Tensor, share: float) -> Tensor:
    """Standard normal numbers as dropout masks: 0 for this share of them, else 1 / (1 - share)."""
    below = torch.special.ndtri(torch.tensor(share, dtype=torch.float64)).item()
    return (noise > below) / (1 - share)


class Wav2Pix64:
    """Wav2Pix at 64 pixels as a system of the benchmark."""

    image_size = 64
    fuses = False

    def __init__(self, settings: ModelSettings) -> None:
        name = f"wav2pix-{self.image_size}"
        if settings.image_size != self.image_size:
            raise BenchError(
                f"{name} generates faces of {self.image_size} pixels, the benchmark needs {settings.image_size}: "
                f"choose a benchmark of {self.image_size} pixels or wav2pix-{settings.image_size}"
            )
        self.recipe = scheduled(name, settings, SCHEDULES)
        self.frontend = RawWaveform()
        self.networks: nn.ModuleDict | None = None  # "voice" and "face"
        self.card = ModelCard(
            name=name,
            version="1",
            kind="system",
            description="Wav2Pix: raw waveform, conditional GAN of least squares with mismatched pairs",
            width=self.recipe["width"],
            reference="arXiv 1903.10195, retrained",
            limits=(
                f"{self._changes()}; a voice is heard over all of a segment, not over exactly 1 s; discriminator "
                "and generator of a step see the same generated faces, and faces are generated without dropout. "
                "Not for identifying people"
            ),
        )

    def _changes(self) -> str:
        """Length of the training, and what of the published one it does not keep."""
        recipe = self.recipe
        length = f"{recipe['steps']} steps at batch {recipe['batch']}"
        changed = [
            f"{what} {recipe[name]:g} (published: {COMMON[name]:g})"
            for name, what in (("lr", "the generator's learning rate"), ("dropout", "dropout"))
            if recipe[name] != COMMON[name]
        ]
        if changed:
            return f"{length}, reduced form: {', '.join(changed)}, rates falling to the end"
        return f"{length}, published form" if recipe["width"] == 1 else length

    def _build(self) -> nn.ModuleDict:
        width = self.recipe["width"]
        return nn.ModuleDict({"voice": VoiceEncoder(width), "face": FaceGenerator(width, self.image_size)})

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train generator against discriminator; a resumed call continues from a checkpoint."""
        recipe = self.recipe
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            networks = self._build()
            discriminator = Discriminator(recipe["width"], self.image_size)
            classifier = classifier_of(data.identities, recipe["width"])
        voice, face = context.setup(networks["voice"]), context.setup(networks["face"])
        discriminator, classifier = context.setup(discriminator), context.setup(classifier)
        self.networks = networks = nn.ModuleDict({"voice": voice, "face": face})
        drawing = [*networks.parameters(), *classifier.parameters()]
        adam = context.adam(drawing, recipe["lr"], recipe["betas"])
        discriminator_adam = context.adam(
            discriminator.parameters(), recipe["discriminator_lr"], recipe["betas"]
        )
        state = {
            "voice": voice,
            "face": face,
            "classifier": classifier,
            "discriminator": discriminator,
            "adam": adam,
            "discriminator_adam": discriminator_adam,
        }
        for step in context.loop("generator", recipe["steps"], state, self):
            batch = data.batch(step, recipe["batch"])
            if len(batch.labels) < 2:
                raise BenchError(
                    "a batch of 1 in a process has no mismatched pair: train with fewer processes"
                )
            real = unit_pixels(batch.faces)
            noise = context.noise("dropout", step, len(real), sum(face.dropped))
            with context.autocast():
                embedding = voice(batch.voices)
                fake = face(embedding, dropout_masks(noise, recipe["dropout"]))
                judged = discriminator_losses(
                    fake.detach(), real, embedding.detach(), discriminator, recipe["real"]
                )
            rate = learning_rate(step, recipe)
            context.update(
                discriminator_adam, total(judged), rate * recipe["discriminator_lr"] / recipe["lr"]
            )
            discriminator.requires_grad_(False)
            with context.autocast():
                terms = generator_losses(
                    fake,
                    real,
                    embedding,
                    classifier(embedding),
                    batch.labels,
                    discriminator,
                    recipe["weights"],
                )
            context.update(adam, total(terms), rate)
            discriminator.requires_grad_(True)
            context.log(batch.identities, **terms, **judged)
        networks.eval()

    @torch.no_grad()
    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """The face of the mean of the segments' embeddings, ``[B, S, 160, T]`` -> uint8 ``[B, 3, H, W]``.

        Without dropout; `generator` is not used. Raises BenchError for another shape of voices and before there are
        weights.
        """
        if voices.dim() != 4:
            raise BenchError(
                f"expected voices [B, S, 160, T], got {tuple(voices.shape)}: add the missing axis"
            )
        networks = self._trained().to(voices.device).eval()
        faces = []
        for part in voices.split(64):
            embedding = networks["voice"](part.flatten(0, 1)).unflatten(0, part.shape[:2]).mean(dim=1)
            faces.append(to_bytes(networks["face"](embedding)))
        return torch.cat(faces)

    def _trained(self) -> nn.ModuleDict:
        if self.networks is None:
            raise BenchError(f"{self.card.label} has no weights yet: call fit or load_state_dict first")
        return self.networks

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors of voice encoder and generator by name."""
        return self._trained().state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a `state_dict`."""
        networks = self._build()
        networks.load_state_dict(state)
        self.networks = networks


class Wav2Pix128(Wav2Pix64):
    """Wav2Pix at 128 pixels: one more stage in generator and discriminator."""

    image_size = 128
