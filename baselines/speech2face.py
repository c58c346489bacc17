"""Speech2Face (Oh et al., CVPR 2019, arXiv 1905.09773), reduced to 64 pixels: regression to an identity space.

A frozen face network says what a face is in a few numbers. A decoder learns to draw a face from these numbers, from
photos alone; then a voice network learns to say the numbers of the speaker's face. Differences from the paper: the
face network is that of the training loss, not VGG-Face, and its embedding takes the place of 4,096 numbers; the voice
is a log filter-bank, not a complex spectrogram; faces have 64 pixels, not 224; there are no landmarks and no warping;
the distillation is over the training identities, since the network of the training loss has no classes.
Shapes: B batch, S segments, F filters, T frames, D numbers of the face embedding, P training identities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.anchors import why_no_held_out
from baselines.system import AT_ONCE, OneNetwork, by_segment, to_bytes, with_start
from baselines.voice2face import total
from sf2f_bench import (
    Answer,
    BenchError,
    ModelCard,
    ModelSettings,
    learning_rate,
    scaled,
    scheduled,
)

if TYPE_CHECKING:
    from sf2f_bench import Evaluation, FeatureNetwork, TrainContext, TrainingData

VOICE_CHANNELS = (64, 64, 128, 128, 128, 256, 512, 512)
POOLED = (2, 3, 4, 5)  # after these layers time is halved: the third to the sixth
STRIDED = (6, 7)  # these layers halve time and frequency
VOICE_HIDDEN = 4096
DECODER_HIDDEN = (3072, 2048)
DECODER_CHANNELS = {64: (256, 128, 64, 32, 32), 128: (256, 128, 64, 32, 32, 32)}


# ---------------------------------------------------------------- the networks


class FaceDecoder(nn.Module):
    """A face embedding of length 1 ``[B, D]`` -> a face ``[B, 3, H, W]``, 0 black and 1 white, not clipped.

    Two fully connected layers, then 4x4 and a transposed 5x5 convolution for every doubling, then 1x1.
    """

    def __init__(self, embedding: int, width: float, image_size: int = 64) -> None:
        super().__init__()
        if image_size not in DECODER_CHANNELS:
            raise BenchError(
                f"this decoder draws faces of {' or '.join(map(str, DECODER_CHANNELS))} pixels, not {image_size}: "
                "choose a benchmark of one of these sizes"
            )
        self.scale = embedding**0.5  # numbers about 1 each
        hidden = [scaled(c, width) for c in DECODER_HIDDEN]
        channels = [scaled(c, width) for c in DECODER_CHANNELS[image_size]]
        self.first = nn.Linear(embedding, hidden[0])
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(hidden[0], hidden[1]), nn.ReLU())
        layers: list[nn.Module] = [
            nn.Linear(hidden[1], channels[0] * 16),
            nn.Unflatten(1, (channels[0], 4, 4)),
        ]
        for inputs, outputs in pairwise(channels):
            layers += [
                nn.BatchNorm2d(inputs),
                nn.ReLU(),
                nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1),
            ]
        layers += [nn.BatchNorm2d(channels[-1]), nn.ReLU(), nn.Conv2d(channels[-1], 3, 1)]
        self.layers = nn.Sequential(*layers)

    def first_layer(self, embeddings: Tensor) -> Tensor:
        """``[B, D] -> [B, 3072 * width]``, the numbers that the paper's L1 loss compares."""
        return self.first(self.scale * embeddings)

    def forward(self, embeddings: Tensor) -> Tensor:
        """``[B, D] -> [B, 3, H, W]``."""
        return self.layers(self.second(self.first_layer(embeddings)))


class VoiceNetwork(nn.Module):
    """2-D convolutions over a log filter-bank: ``[B, F, T]`` -> a face embedding of length 1 ``[B, D]``.

    Pooling halves time alone: the frequencies say more about a voice. Speech of a third of a second or more gives one
    embedding.
    """

    def __init__(self, embedding: int, width: float, filters: int) -> None:
        super().__init__()
        channels = [1, *(scaled(c, width) for c in VOICE_CHANNELS)]
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise(channels)):
            if number in STRIDED:
                layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
                filters //= 2
            else:
                layers.append(nn.Conv2d(inputs, outputs, 4, padding=2))
                filters += 1
            layers += [nn.ReLU(), nn.BatchNorm2d(outputs)]
            if number in POOLED:
                layers.append(nn.MaxPool2d((1, 2), ceil_mode=True))
        self.layers = nn.Sequential(*layers)
        hidden = scaled(VOICE_HIDDEN, width)
        self.head = nn.Sequential(
            nn.Linear(channels[-1] * filters, hidden), nn.ReLU(), nn.Linear(hidden, embedding)
        )

    def forward(self, voices: Tensor) -> Tensor:
        """``[B, F, T] -> [B, D]``: the mean over time of the convolutions' maps, then fully connected."""
        maps = self.layers(voices[:, None])
        return F.normalize(self.head(maps.mean(dim=3).flatten(1)), dim=1)


def unit_range(faces: Tensor) -> Tensor:
    """Faces uint8 as numbers in 0..1."""
    return faces.float() / 255


def perceptual_of(context: TrainContext) -> FeatureNetwork:
    """The frozen network of the training loss. Raises BenchError where the context has none."""
    if context.perceptual is None:
        raise BenchError(f"{context.name} needs the network of the training loss: name one with --perceptual")
    return context.perceptual


def face_embeddings(network: FeatureNetwork, faces: Tensor) -> Tensor:
    """What the frozen face network says of faces in 0..1 ``[B, 3, H, W]``: ``[B, D]``, each row of length 1."""
    return F.normalize(network.features(faces)[-1].float(), dim=1)


@torch.no_grad()
def templates_of(data: TrainingData, network: FeatureNetwork) -> Tensor:
    """The mean embedding of each training identity's photos, of length 1: ``[P, D]``."""
    sums: Tensor | None = None
    for faces, labels in data.every_photo():
        found = face_embeddings(network, unit_range(faces))
        if sums is None:
            sums = found.new_zeros(data.identities, found.shape[1])
        sums.index_add_(0, labels, found)
    assert sums is not None  # a store has people
    return F.normalize(sums, dim=1)


@torch.no_grad()
def redrawn(evaluation: Evaluation, draw: Callable[[Tensor], Tensor]) -> Answer:
    """Held-out photos drawn anew from what the training loss's network says of them.

    draw: embeddings of length 1 ``[B, D]`` -> faces in 0..1 ``[B, 3, H, W]``.
    """
    seen, _ = evaluation.embed("training-loss", evaluation.held_out_photos)
    found = F.normalize(torch.from_numpy(seen), dim=1)
    faces = torch.cat([to_bytes(draw(part)) for part in found.split(AT_ONCE)])
    return Answer(faces=faces.numpy(), rows=evaluation.has_held_out)


# ---------------------------------------------------------------- the losses


def decoder_losses(
    drawn: Tensor, real: Tensor, wanted: Tensor, network: FeatureNetwork, weights: Mapping[str, float]
) -> dict[str, Tensor]:
    """The decoder's weighted terms by name: L1 of pixels, and 1 - cosine of the embedding of what was drawn.

    drawn, real: faces in 0..1 ``[B, 3, H, W]``; wanted ``[B, D]``: the embeddings of the real ones.
    """
    found = face_embeddings(network, drawn.clamp(0, 1))
    return {
        "pixel": weights["pixel"] * F.l1_loss(drawn, real),
        "embedding": weights["embedding"] * (1 - (found * wanted).sum(dim=1)).mean(),
    }


def voice_losses(
    heard: Tensor, wanted: Tensor, templates: Tensor, decoder: FaceDecoder, recipe: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The voice network's weighted terms by name: L1 of the decoder's first layer, embedding, distillation.

    heard, wanted ``[B, D]`` of length 1; templates ``[P, D]``: of the training identities, the classes of the
    distillation: cross-entropy between the two softmax over the cosines with them, divided by a temperature.
    """
    weights, sharpness = recipe["weights"], recipe["cosine_scale"] / recipe["temperature"]
    guessed, known = (sharpness * unit @ templates.T for unit in (heard, wanted))
    return {
        "first_layer": weights["first_layer"]
        * F.l1_loss(decoder.first_layer(heard), decoder.first_layer(wanted)),
        "embedding": weights["embedding"] * (heard - wanted).square().sum(dim=1).mean(),
        "distillation": weights["distillation"] * F.cross_entropy(guessed, known.softmax(dim=1)),
    }


# ---------------------------------------------------------------- training

OF_VOICE = ("steps", "weights", "temperature", "cosine_scale")  # of a recipe
COMMON: dict[str, Any] = {
    "lr": 1e-3,
    "betas": (0.5, 0.999),
    "decoder_weights": {"pixel": 100.0, "embedding": 100.0},
    "weights": {"first_layer": 1.0, "embedding": 0.025, "distillation": 200.0},
    "temperature": 2.0,
    "cosine_scale": 32.0,  # of the cosines in the distillation: ours, for the paper's network has classes
    "decay_from": 0.5,  # share of the steps after which the learning rate falls linearly ...
    "final_lr": 0.01,  # ... to this share of it; in the paper it falls by 5 % every 10,000 steps
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {**COMMON, "width": 0.25, "decoder_steps": 20, "steps": 20, "batch": 16},
    "default/cpu": {**COMMON, "width": 0.25, "decoder_steps": 1600, "steps": 1600, "batch": 16},
    "default/cuda": {**COMMON, "width": 1.0, "decoder_steps": 6000, "steps": 6000, "batch": 256},
    "long": {**COMMON, "width": 0.25, "decoder_steps": 6000, "steps": 6000, "batch": 16},
    "paper": {**COMMON, "width": 1.0, "decoder_steps": 100_000, "steps": 100_000, "batch": 256},
}


def recipe_for(settings: ModelSettings, hears: bool = True) -> dict[str, Any]:
    """Everything that determines a training, for one budget; hears: with what only the voice network needs."""
    recipe = scheduled("speech2face", settings, SCHEDULES)
    recipe["decoder_steps"] = min(recipe["decoder_steps"], recipe["steps"])
    return {name: value for name, value in recipe.items() if hears or name not in OF_VOICE}


class DecoderWithTemplates(nn.Module):
    """The decoder, and the training identities' templates ``[P, D]``: what is learnt of photos."""

    templates: Tensor

    def __init__(self, decoder: FaceDecoder, templates: Tensor) -> None:
        super().__init__()
        self.decoder = decoder
        self.register_buffer("templates", templates)


class Listener(nn.Module):
    """Voice network and decoder: ``[B, F, T]`` -> embedding ``[B, D]`` -> face ``[B, 3, H, W]``."""

    def __init__(self, voice: VoiceNetwork, decoder: FaceDecoder) -> None:
        super().__init__()
        self.voice, self.decoder = voice, decoder


class Speech2FaceTrueEmbedding(OneNetwork[DecoderWithTemplates]):
    """What the decoder can draw: it is given the true embedding of the held-out photo, and hears nothing.

    It is also the first stage of `Speech2Face` and of `baselines.contrastive`: the decoder, trained on photos alone.
    """

    name = "speech2face-64-true-embedding"

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.recipe = recipe_for(settings, hears=False)
        self.card = ModelCard(
            name=self.name,
            version="1",
            kind="anchor",
            description="speech2face's decoder on the true embedding of the photo held out: what it can draw",
            width=self.recipe["width"],
            reference="arXiv 1905.09773, reduced",
            limits=f"decoder of {self.recipe['decoder_steps']} steps at batch {self.recipe['batch']}, photos alone",
            place="ceiling",
            order=10,
        )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train the decoder on photos; a resumed call continues from a checkpoint."""
        recipe, network = self.recipe, perceptual_of(context)
        templates = templates_of(data, network)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            decoder = FaceDecoder(templates.shape[1], recipe["width"], recipe["image_size"])
        decoder = context.setup(decoder)
        adam = context.adam(decoder.parameters(), recipe["lr"], recipe["betas"])
        schedule = {**recipe, "steps": recipe["decoder_steps"]}
        state = {"decoder": decoder, "decoder_adam": adam}
        for step in context.loop("decoder", recipe["decoder_steps"], state):
            batch = data.batch(step, recipe["batch"], "decoder")
            real = unit_range(batch.faces)
            with torch.no_grad():
                wanted = face_embeddings(network, real)
            with context.autocast():
                drawn = decoder(wanted)
            terms = decoder_losses(drawn.float(), real, wanted, network, recipe["decoder_weights"])
            context.update(adam, total(terms), learning_rate(step, schedule))
            context.log(batch.identities, **terms)
        self.network = DecoderWithTemplates(decoder, templates).eval()

    def build(self, shapes: Mapping[str, torch.Size]) -> DecoderWithTemplates:
        """See `OneNetwork`."""
        people, embedding = shapes["templates"]
        decoder = FaceDecoder(embedding, self.recipe["width"], self.image_size)
        return DecoderWithTemplates(decoder, torch.zeros(people, embedding))

    def applies(self, evaluation: Evaluation) -> str | None:
        """As the real-photo oracle: where enough test identities have two photos."""
        return why_no_held_out(evaluation)

    def answer(self, evaluation: Evaluation) -> Answer:
        """The decoder's pictures of the held-out photos' embeddings."""
        return redrawn(evaluation, lambda found: self.trained.cpu().eval().decoder(found))


class Speech2Face(OneNetwork[Listener]):
    """Speech2Face as a system of the benchmark, at the image size of its class."""

    name = "speech2face-64"
    first_stage = Speech2FaceTrueEmbedding

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.recipe = recipe_for(settings)
        self.starts_from = self.first_stage(settings)
        recipe = self.recipe
        self.card = ModelCard(
            name=self.name,
            version="1",
            kind="system",
            description="Speech2Face, reduced: the voice is regressed to a face embedding, which a decoder draws",
            width=recipe["width"],
            reference="arXiv 1905.09773, reduced",
            limits=(
                f"{recipe['decoder_steps']} steps of the decoder and {recipe['steps']} of the voice network at batch "
                f"{recipe['batch']}; a reduced form: {self.image_size} pixels in place of 224, the training loss's "
                "network in place of VGG-Face, a log filter-bank in place of a complex spectrogram, no landmarks, "
                "distillation over training identities. Not for identifying people"
            ),
        )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train the voice network against the decoder of `context.start`; a resumed call continues."""
        photos = with_start(self.starts_from, self, context).trained
        drawn_by, templates = photos.decoder, photos.templates
        recipe, network = self.recipe, perceptual_of(context)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            voice = VoiceNetwork(templates.shape[1], recipe["width"], data.frontend.filters)
        voice, decoder = context.setup(voice), context.setup(drawn_by).requires_grad_(False).eval()
        templates = templates.to(context.device)
        self.network = Listener(voice, decoder)
        adam = context.adam(voice.parameters(), recipe["lr"], recipe["betas"])
        for step in context.loop("voice", recipe["steps"], {"voice": voice, "voice_adam": adam}, self):
            batch = data.batch(step, recipe["batch"])
            with torch.no_grad():
                wanted = face_embeddings(network, unit_range(batch.faces))
            with context.autocast():
                heard = voice(batch.voices)
                terms = voice_losses(heard, wanted, templates, decoder, recipe)
            context.update(adam, total(terms), learning_rate(step, recipe))
            context.log(batch.identities, **terms)
        self.network.eval()

    def build(self, shapes: Mapping[str, torch.Size]) -> Listener:
        """See `OneNetwork`."""
        embedding, width = shapes["decoder.first.weight"][1], self.recipe["width"]
        voice = VoiceNetwork(embedding, width, self.frontend.filters)
        return Listener(voice, FaceDecoder(embedding, width, self.image_size))

    def draw(self, network: Listener, voices: Tensor, generator: torch.Generator) -> Tensor:
        """The face of the mean embedding of the segments, brought back to length 1."""
        return to_bytes(network.decoder(F.normalize(by_segment(network.voice, voices), dim=1)))
