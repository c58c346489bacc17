"""voice2face (Wen et al., NeurIPS 2019): the baseline of SF2F's comparison, in one file.

As that comparison has it: retrained jointly on the front end of SF2F, one resolution, no image
discriminator, no perceptual loss. Shapes: B batch, S segments, T frames, E = 512 * width.
At 64 pixels every network is the official one. At 128 decoder and discriminator have one more stage, which
is our extension: the supplement of SF2F shows faces of voice2face at 128, but no known source describes its layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sf2f_bench import (
    BenchError,
    LogFilterbank,
    ModelCard,
    ModelSettings,
    filled,
    learning_rate,
    perceptual_loss,
    renamed_tensors,
    scaled,
    scheduled,
    to_imagenet,
    to_uint8,
)

if TYPE_CHECKING:
    from sf2f_bench import TrainContext, TrainingData

EMBEDDING = 512
VOICE_CHANNELS = (256, 384, 576, 864)
FACE_CHANNELS = {64: (1024, 512, 256, 128, 64), 128: (1024, 512, 256, 128, 64, 32)}
DISCRIMINATOR_CHANNELS = {64: (32, 64, 128, 256, 512), 128: (32, 64, 128, 256, 512, 512)}
DISCRIMINATOR_EMBEDDING = 1024


def check_size(image_size: int) -> None:
    """Raise BenchError for an image size that voice2face does not have."""
    if image_size not in FACE_CHANNELS:
        raise BenchError(
            f"voice2face generates faces of {' or '.join(map(str, FACE_CHANNELS))} pixels, not {image_size}: "
            "choose a benchmark of one of these sizes"
        )


class VoiceEncoder(nn.Module):
    """Plain 1-D convolutional encoder: ``[B, 40, T]`` -> unit embedding ``[B, E]``."""

    def __init__(self, width: float, filters: int = 40) -> None:
        super().__init__()
        channels = [filters, *(scaled(c, width) for c in VOICE_CHANNELS)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [
                nn.Conv1d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm1d(outputs),
                nn.ReLU(),
            ]
        layers.append(nn.Conv1d(channels[-1], scaled(EMBEDDING, width), 3, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, voices: Tensor) -> Tensor:
        """``[B, 40, T] -> [B, E]``, each row of length 1."""
        return F.normalize(self.layers(voices).mean(dim=2), dim=1)


class FaceDecoder(nn.Module):
    """Transposed convolutions from an embedding ``[B, E]`` to one image ``[B, 3, H, W]``.

    One k4 s1 to 4x4, then k4 s2 p1 for every doubling, then k1 to three channels; ReLU in between. At 128
    one more doubling, 64 -> 32 channels: our extension.
    """

    def __init__(self, width: float, image_size: int = 64) -> None:
        super().__init__()
        check_size(image_size)
        channels = [scaled(c, width) for c in FACE_CHANNELS[image_size]]
        layers: list[nn.Module] = [nn.ConvTranspose2d(scaled(EMBEDDING, width), channels[0], 4), nn.ReLU()]
        for inputs, outputs in pairwise(channels):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(channels[-1], 3, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, embedding: Tensor) -> tuple[Tensor]:
        """``[B, E]`` -> a tuple of one image tensor ``[B, 3, H, W]``, ImageNet-normalised."""
        return (self.layers(embedding[:, :, None, None]),)


class Generator(nn.Module):
    """Voice to face: plain encoder, transposed-convolution decoder, and noise on the embedding where given."""

    def __init__(self, width: float = 1.0, image_size: int = 64) -> None:
        super().__init__()
        self.encoder = VoiceEncoder(width)
        self.decoder = FaceDecoder(width, image_size)

    def forward(self, voices: Tensor, noise: Tensor | None = None) -> tuple[tuple[Tensor], Tensor]:
        """One segment ``[B, 40, T]`` or several ``[B, S, 40, T]`` -> (images, conditioning ``[B, E]``).

        images: a tuple of one ``[B, 3, H, W]``. noise: ``[B, E]``, or ``[B * S, E]`` for several segments,
        already scaled; it is added to the segments' embeddings, which are then normalised again. The
        conditioning of several segments is their mean embedding, normalised again. Raises BenchError for
        noise of another shape.
        """
        segments = voices if voices.dim() == 4 else voices[:, None]
        embedding = self.encoder(segments.flatten(0, 1))
        if noise is not None:
            if noise.shape != embedding.shape:
                raise BenchError(
                    f"noise has shape {tuple(noise.shape)}: expected one row a segment, {tuple(embedding.shape)}"
                )
            embedding = F.normalize(embedding + noise, dim=1)
        if voices.dim() == 4:
            embedding = F.normalize(embedding.unflatten(0, segments.shape[:2]).mean(dim=1), dim=1)
        return self.decoder(embedding), embedding


class IdentityDiscriminator(nn.Module):
    """Scores realness and identity: ``[B, 3, H, W]`` -> (score ``[B, 1]``, logits ``[B, identities]``).

    At 128 pixels one more k4 s2 p1 convolution, 256 -> 512, before the last: our extension.
    """

    def __init__(self, identities: int, width: float = 1.0, image_size: int = 64) -> None:
        super().__init__()
        check_size(image_size)
        first, *middle, last = (scaled(c, width) for c in DISCRIMINATOR_CHANNELS[image_size])
        layers: list[nn.Module] = [nn.Conv2d(3, first, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise([first, *middle]):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(middle[-1], last, 4))
        self.trunk = nn.Sequential(*layers)
        hidden = scaled(DISCRIMINATOR_EMBEDDING, width)
        self.project = nn.Linear(last, hidden)
        self.real = nn.Linear(hidden, 1)
        self.identity = nn.Linear(hidden, identities)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 3, H, W] -> ([B, 1], [B, identities])``."""
        hidden = self.project(self.trunk(images).mean(dim=(2, 3)))
        return self.real(hidden), self.identity(hidden)


# ---------------------------------------------------------------- the official code's checkpoints


def official_tensors(official_state: Mapping[str, Tensor], image_size: int = 64) -> dict[str, Tensor]:
    """The tensors of our generator from the state dict of the official code's (SF2F's, options v2f.yaml).

    There every decoder layer is a block of its own. Raises what `sf2f_bench.renamed_tensors` raises.
    """
    with torch.device("meta"):  # names and shapes alone
        network = Generator(image_size=image_size)
    names = {}
    for ours in network.state_dict():
        part, _, layer, leaf = ours.split(".")
        block = layer if part == "encoder" else f"{int(layer) // 2}.model.0"  # ours counts the ReLUs
        names[ours] = f"{part}.model.{block}.{leaf}"
    what = f"voice2face's generator at {image_size} pixels"
    return renamed_tensors(network, names, official_state, what)


def load_official_generator(official_state: Mapping[str, Tensor], image_size: int = 64) -> Generator:
    """Our generator with the official one's weights, in evaluation mode; it adds no noise unless given some.

    Raises what `official_tensors` raises.
    """
    tensors = official_tensors(official_state, image_size)
    with torch.device("meta"):
        network = Generator(image_size=image_size)
    return filled(network, tensors).eval()


# ---------------------------------------------------------------- training

COMMON: dict[str, Any] = {
    "lr": 5e-4,
    "betas": (0.9, 0.999),
    "weights": {"pixel": 100.0, "identity": 1.0},
    "decay_from": 0.5,  # share of the steps after which the generator's learning rate falls linearly ...
    "final_lr": 0.001,  # ... to this share of it
    "noise": 0.05,  # standard deviation per channel of a segment's embedding, in training
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {**COMMON, "width": 0.25, "steps": 30, "batch": 16},
    "default/cpu": {**COMMON, "width": 0.25, "steps": 1600, "batch": 16},
    "default/cuda": {**COMMON, "width": 1.0, "steps": 6000, "batch": 256},
    "long": {**COMMON, "width": 0.25, "steps": 6000, "batch": 16},
    "paper": {
        **COMMON,
        "width": 1.0,
        "steps": 132_000,
        "batch": 256,
        "decay_from": 5 / 6,  # step 110,000, epoch 10,000 of the official run
        "frozen_norm_from": 5
        / 6,  # the generator's batch norm is frozen from here on, and its optimiser is new
    },
}


def recipe_for(
    settings: ModelSettings, schedules: Mapping[str, Mapping[str, Any]] = SCHEDULES
) -> dict[str, Any]:
    """Everything that determines a training, for one budget; the settings' width and steps override it.

    Raises BenchError for a size that voice2face does not generate and what `sf2f_bench.scheduled` raises.
    """
    check_size(settings.image_size)
    return scheduled("voice2face", settings, schedules)


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of scalar terms."""
    return torch.stack(list(terms.values())).sum()


def generator_losses(
    fake: Tensor,
    real: Tensor,
    labels: Tensor,
    discriminator: IdentityDiscriminator,
    weights: Mapping[str, float],
) -> dict[str, Tensor]:
    """The generator's weighted terms by name: L1 pixels, identity cross-entropy, non-saturating logistic GAN.

    fake, real: ImageNet-normalised ``[B, 3, H, W]``; labels int64 ``[B]``.
    """
    score, logits = discriminator(fake)
    return {
        "pixel": weights["pixel"] * F.l1_loss(fake, real),
        "identity": weights["identity"] * F.cross_entropy(logits, labels),
        "identity_adversarial": weights["identity"] * F.softplus(-score).mean(),
    }


def discriminator_losses(
    fake: Tensor, real: Tensor, labels: Tensor, discriminator: nn.Module
) -> dict[str, Tensor]:
    """The discriminator's terms by name: logistic on both sides, cross-entropy on real images only.

    discriminator: images ``[B, 3, H, W]`` -> (score ``[B, 1]``, logits ``[B, identities]``).
    """
    score, logits = discriminator(real)
    return {
        "identity_discriminator": F.softplus(-score).mean() + F.softplus(discriminator(fake)[0]).mean(),
        "identity_discriminator_classes": F.cross_entropy(logits, labels),
    }


class Voice2Face:
    """voice2face as a system of the benchmark, at the image size of its class.

    evaluation_noise: the noise on a segment's embedding when faces are generated. The official code keeps it
    on; a subclass with 0.0 generates without it. Of a variant, extra_weights: the weights of its further losses;
    suffix and addition: the ends of its name and description.
    """

    image_size = 64
    evaluation_noise = 0.05
    fuses = False
    extra_weights: Mapping[str, float] = {}
    suffix = addition = ""

    def __init__(self, settings: ModelSettings) -> None:
        if settings.image_size != self.image_size:
            raise BenchError(
                f"voice2face-{self.image_size} generates faces of {self.image_size} pixels, the benchmark needs "
                f"{settings.image_size}: choose voice2face-{settings.image_size} or another benchmark"
            )
        recipe = recipe_for(settings)
        weights = {**recipe["weights"], **self.extra_weights}
        self.recipe = {**recipe, "weights": weights, "evaluation_noise": self.evaluation_noise}
        self.frontend = LogFilterbank()
        self.generator: Generator | None = None
        self.card = ModelCard(
            name=f"voice2face-{self.image_size}{self.suffix}",
            version="2",
            kind="system",
            description=(
                "voice2face: convolutional voice encoder, transposed-convolution decoder, identity GAN"
                f"{self.addition}"
            ),
            width=self.recipe["width"],
            reference="arXiv 1905.10604, retrained as in arXiv 2006.05888",
            limits=(
                f"{self.recipe['steps']} steps at batch {self.recipe['batch']}; voice and face networks are "
                "trained jointly on SF2F's front end, without the speaker-identification pre-training of the "
                "original. Not for identifying people"
            ),
        )

    def _build(self) -> Generator:
        return Generator(self.recipe["width"], self.recipe["image_size"])

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train the generator against the identity discriminator; a resumed call continues from a checkpoint."""
        recipe = self.recipe
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            generator = self._build()
            discriminator = IdentityDiscriminator(data.identities, recipe["width"], recipe["image_size"])
        self.generator = generator = context.setup(generator)
        discriminator = context.setup(discriminator)
        adams = {
            part: context.adam(network.parameters(), recipe["lr"], recipe["betas"])
            for part, network in (("generator", generator), ("identity", discriminator))
        }
        frozen_from = round(recipe.get("frozen_norm_from", 1.0) * recipe["steps"])
        phases = {"generator": (0, frozen_from), "generator_frozen_norm": (frozen_from, recipe["steps"])}
        for phase, (first, last) in phases.items():
            if first == last:
                continue
            if phase == "generator_frozen_norm":
                generator.eval()
                adams["generator"] = context.adam(generator.parameters(), recipe["lr"], recipe["betas"])
            state = {"generator": generator, "identity": discriminator}
            state |= {f"{part}_adam": adam for part, adam in adams.items()}
            for number in context.loop(phase, last - first, state, self):
                self._step(first + number, generator, discriminator, adams, data, context)
        generator.eval()

    def _step(
        self,
        step: int,
        generator: Generator,
        discriminator: IdentityDiscriminator,
        adams: Mapping[str, torch.optim.Adam],
        data: TrainingData,
        context: TrainContext,
    ) -> None:
        """One update of the generator, then of the discriminator."""
        recipe = self.recipe
        weights = recipe["weights"]
        batch = data.batch(step, recipe["batch"])
        real = to_imagenet(batch.faces)
        blur = context.noise("generator", step, len(real), scaled(EMBEDDING, recipe["width"]))
        discriminator.requires_grad_(False)
        with context.autocast():
            fake = generator(batch.voices, recipe["noise"] * blur)[0][-1]
            terms = generator_losses(fake, real, batch.labels, discriminator, weights)
            if "perceptual" in weights:
                terms["perceptual"] = weights["perceptual"] * perceptual_loss(context.perceptual, fake, real)
        context.update(adams["generator"], total(terms), learning_rate(step, recipe))
        discriminator.requires_grad_(True)
        with context.autocast():
            judged = discriminator_losses(fake.detach(), real, batch.labels, discriminator)
        context.update(adams["identity"], total(judged))
        context.log(batch.identities, **terms, **judged)

    @torch.no_grad()
    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """The face of the mean voice embedding of segments ``[B, S, 40, T]``: uint8 ``[B, 3, H, W]``.

        `generator`, on the voices' device, gives the evaluation noise. Raises BenchError for another shape
        of voices and before there are weights.
        """
        if voices.dim() != 4:
            raise BenchError(
                f"expected voices [B, S, 40, T], got {tuple(voices.shape)}: add the missing axis"
            )
        network = self._trained().to(voices.device).eval()
        return torch.cat([self._generate(network, part, generator) for part in voices.split(64)])

    def _generate(self, network: Generator, voices: Tensor, generator: torch.Generator) -> Tensor:
        noise = None
        if deviation := self.recipe["evaluation_noise"]:
            shape = (voices.shape[0] * voices.shape[1], scaled(EMBEDDING, self.recipe["width"]))
            noise = deviation * torch.randn(shape, generator=generator, device=voices.device)
        return to_uint8(network(voices, noise)[0][-1])

    def _trained(self) -> Generator:
        if self.generator is None:
            raise BenchError(f"{self.card.label} has no weights yet: call fit or load_state_dict first")
        return self.generator

    def state_dict(self) -> dict[str, Tensor]:
        """The generator's tensors by name."""
        return self._trained().state_dict()

    @staticmethod
    def from_official(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The argument of `load_state_dict` from the official generator's state dict; see `official_tensors`."""
        return official_tensors(state, 128 if name.endswith("128") else 64)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a `state_dict`."""
        self.generator = self._build()
        self.generator.load_state_dict(state)


class Voice2Face128(Voice2Face):
    """voice2face at 128 pixels: decoder and discriminator have one more stage, which is our extension."""

    image_size = 128


class Voice2FacePerceptual(Voice2Face):
    """voice2face with SF2F's perceptual loss beside its own: what of SF2F's lead is the loss, what the architecture."""

    extra_weights: Mapping[str, float] = {"perceptual": 100.0}
    suffix = "-perceptual"
    addition = ", with SF2F's perceptual loss"
