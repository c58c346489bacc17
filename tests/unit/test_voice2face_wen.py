"""voice2face as published: networks of the published size, two stages under the real context, faces from voices."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from zlib import crc32

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from baselines import voice2face_wen
from baselines.voice2face_wen import FaceGenerator, FaceNetwork, Voice2FaceWen, VoiceNetwork
from sf2f_bench import BenchError, Machine, ModelSettings, TrainContext, WenFilterbank
from sf2f_bench.data.training import Batch
from sf2f_bench.progress import Reporter

IDENTITIES = 8
SMALL = ModelSettings(image_size=64, budget="smoke", width=0.06, steps=6)


class KilledError(Exception):
    """The run ends here."""


class People:
    """People whose voice and face share one number; a batch is a function of (stage, step).

    kill: (stage, step) whose batch is never handed out the first time.
    """

    identities, image_size = IDENTITIES, 64

    def __init__(self, kill: tuple[str, int] | None = None) -> None:
        self.kill = kill

    def batch(self, step: int, size: int, stage: str = "generator") -> Batch:
        if (stage, step) == self.kill:
            self.kill = None
            raise KilledError
        return self.draw(crc32(f"{stage}/{step}".encode()), size, frames=70 if step % 2 else 61)

    @staticmethod
    def draw(seed: int, size: int, frames: int) -> Batch:
        random = torch.Generator().manual_seed(seed)
        labels = torch.randperm(IDENTITIES, generator=random)[: min(size, IDENTITIES)]
        level = labels.float() / (IDENTITIES - 1)
        bands = torch.linspace(-1, 1, 64)[None, :, None] * (level[:, None, None] - 0.5)
        voices = 4 * bands + 0.2 * torch.randn(len(labels), 64, frames, generator=random)
        faces = (255 * level)[:, None, None, None].expand(-1, 3, 64, 64).to(torch.uint8)
        return Batch(voices, faces, labels, tuple(f"person-{label}" for label in labels.tolist()))


def context_in(folder: Path, seed: int = 3) -> TrainContext:
    machine = Machine.start("cpu")
    return TrainContext(folder, "voice2face-wen", seed, machine, None, Reporter(), checkpoint_every=0.0)


@cache
def trained(settings: ModelSettings = SMALL, **recipe: float) -> tuple[Voice2FaceWen, TrainContext]:
    model, context = Voice2FaceWen(settings), context_in(Path(mkdtemp()))
    model.recipe = {**model.recipe, **recipe}
    model.fit(People(), context)
    return model, context


def draw(model: Voice2FaceWen, voices: Tensor) -> Tensor:
    return model.generate(voices, generator=torch.Generator())


def curve(context: TrainContext, stage: str, name: str) -> list[float]:
    return [point[name] for point in context.curve if point["stage"] == stage]


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_networks_are_the_published_ones() -> None:
    """Counts of the published networks, built as its configuration says (embedding of 64)."""
    assert parameters(VoiceNetwork()) == 2_670_720
    assert parameters(FaceGenerator()) == 12_191_875
    assert parameters(FaceNetwork(924)) == 3_310_720 + 64 + 64 * 924


def test_the_speaker_identification_learns_who_speaks(tmp_path: Path) -> None:
    context = context_in(tmp_path)
    model = Voice2FaceWen(SMALL)
    model.recipe = {**model.recipe, "voice_steps": 60, "voice_lr": 5e-3}
    with pytest.raises(KilledError):  # the second stage is not needed here
        model.fit(People(("face", 0)), context)
    accuracy = curve(context, "voice", "speaker_accuracy")
    assert sum(accuracy[-5:]) / 5 > 0.7 > 0.4 > sum(accuracy[:3]) / 3


def test_a_step_is_the_published_one() -> None:
    """Both stages' only step, written out: face network first, then the generator against the new face network."""
    model, context = trained(replace(SMALL, steps=1))
    torch.manual_seed(context.seed)
    voice, face = VoiceNetwork(0.06), FaceGenerator(0.06)
    speakers, discriminator = torch.nn.Linear(4, IDENTITIES, bias=False), FaceNetwork(IDENTITIES, 0.06)
    people = People()
    batch = people.batch(0, 16, "voice")
    adam = torch.optim.Adam([*voice.parameters(), *speakers.parameters()], lr=1e-3)
    F.cross_entropy(speakers(voice(batch.voices)), batch.labels).backward()
    adam.step()
    batch = people.batch(0, 16, "face")
    adams = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (discriminator, face)
    ]
    blur, coins = context.noise("face", 0, 8, 4), context.noise("flip", 0, 8, 1)
    with torch.no_grad():
        unit = F.normalize(voice.eval()(batch.voices), dim=1)
    (fake,) = face(F.normalize(unit + 0.05 * blur, dim=1))
    real = (batch.faces.float() - 127.5) / 127.5
    for row in coins[:, 0].gt(0).nonzero().flatten():
        real[row] = real[row].flip(2)
    (score, logits), (score_of_fake, _) = discriminator(real), discriminator(fake.detach())
    truth, lie = torch.ones(8, 1), torch.zeros(8, 1)
    logistic = F.binary_cross_entropy_with_logits
    (logistic(score, truth) + logistic(score_of_fake, lie) + F.cross_entropy(logits, batch.labels)).backward()
    adams[0].step()
    score, logits = discriminator(fake)
    (logistic(score, truth) + F.cross_entropy(logits, batch.labels)).backward()
    adams[1].step()
    expected = torch.nn.ModuleDict({"voice": voice, "face": face}).state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-6)


def test_the_voice_network_is_fixed_while_faces_are_learnt() -> None:
    model, context = trained()
    voices = load_file(context.folder / "voice.safetensors")
    faces = load_file(context.folder / "face.safetensors")
    assert not any(name.startswith("voice/") for name in faces)
    compared = 0
    for name, tensor in model.state_dict().items():
        part, _, rest = name.partition(".")
        if part == "voice":
            assert torch.equal(tensor, voices[f"voice/{rest}"]), name
            compared += 1
    assert (
        compared == 26
    )  # four convolutions, four normalisations of five tensors, the last convolution's two


def test_the_generator_draws_whom_a_fixed_face_network_wants_to_see() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        discriminator, face = FaceNetwork(IDENTITIES, 0.25), FaceGenerator(0.25)
        embeddings = F.normalize(torch.randn(IDENTITIES, 16), dim=1)
    batch = People.draw(1, IDENTITIES, 61)
    adam = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    for _ in range(40):
        adam.zero_grad()
        F.cross_entropy(discriminator(voice2face_wen.unit_pixels(batch.faces))[1], batch.labels).backward()
        adam.step()
    discriminator.requires_grad_(False)
    adam = torch.optim.Adam(face.parameters(), lr=1e-3)
    losses = []
    for _ in range(40):
        adam.zero_grad()
        terms = voice2face_wen.generator_losses(
            face(embeddings[batch.labels])[0], batch.labels, discriminator
        )
        sum(terms.values()).backward()
        adam.step()
        losses.append(terms["identity"].item())
    assert losses[-1] < 0.5 * losses[0]


def test_faces_are_bytes_and_follow_the_direction_of_the_mean_embedding() -> None:
    model, _ = trained()
    voices = torch.stack([People.draw(seed, IDENTITIES, 61).voices for seed in (1, 2, 3)], dim=1)
    faces = draw(model, voices)
    assert faces.shape == (IDENTITIES, 3, 64, 64)
    assert faces.dtype == torch.uint8
    assert torch.equal(faces, draw(model, voices))  # no noise when faces are drawn
    assert torch.equal(faces, draw(model, voices.flip(1)))
    networks = model.networks.eval()
    with torch.no_grad():
        embedding = sum(networks["voice"](voices[:, segment]) for segment in range(3))
        expected = networks["face"](embedding / embedding.norm(dim=1, keepdim=True))[0]
    shown = ((expected + 1) * 127.5).round().clamp(0, 255)
    assert (faces - shown).abs().max() <= 1
    assert not torch.equal(faces, draw(model, voices[:, :1]))  # every segment counts
    alone = torch.cat([draw(model, voices[row : row + 1]) for row in range(IDENTITIES)])
    assert (faces.int() - alone.int()).abs().max() <= 1


def test_pixels_go_there_and_back() -> None:
    faces = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(voice2face_wen.to_bytes(voice2face_wen.unit_pixels(faces)), faces)
    assert voice2face_wen.to_bytes(torch.tensor([-3.0, -1.0, 1.0, 9.0])).tolist() == [0, 0, 255, 255]


def test_only_chosen_faces_are_mirrored() -> None:
    faces = torch.arange(2 * 3 * 2 * 4, dtype=torch.uint8).reshape(2, 3, 2, 4)
    mirrored = voice2face_wen.flipped(faces, torch.tensor([[-0.1], [0.1]]))
    assert torch.equal(mirrored[0], faces[0])
    assert mirrored[1, 0, 0].tolist() == faces[1, 0, 0].tolist()[::-1]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("kill", [("voice", 3), ("face", 0), ("face", 4)])
def test_a_killed_run_ends_like_an_uninterrupted_one(kill: tuple[str, int], tmp_path: Path) -> None:
    people = People(kill)
    with pytest.raises(KilledError):
        Voice2FaceWen(SMALL).fit(people, context_in(tmp_path))
    torch.rand(7)  # the global random state must not matter
    resumed = Voice2FaceWen(SMALL)
    resumed.fit(people, context_in(tmp_path))
    assert same(trained()[0].state_dict(), resumed.state_dict())


def test_the_seed_decides_and_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    other = Voice2FaceWen(SMALL)
    other.fit(People(), context_in(tmp_path, seed=4))
    assert torch.equal(before, torch.get_rng_state())
    assert not same(trained()[0].state_dict(), other.state_dict())


def test_a_saved_system_draws_the_same_faces() -> None:
    model, other = trained()[0], Voice2FaceWen(SMALL)
    other.load_state_dict(model.state_dict())
    voices = People.draw(5, IDENTITIES, 61).voices[:, None]
    assert torch.equal(draw(model, voices), draw(other, voices))


def test_recipe_and_card_say_what_is_trained() -> None:
    paper = Voice2FaceWen(ModelSettings(image_size=64, budget="paper"))
    recipe = paper.recipe
    assert (recipe["steps"], recipe["voice_steps"], recipe["batch"]) == (50_000, 50_000, 128)
    assert (recipe["lr"], recipe["betas"], recipe["noise"]) == (2e-4, (0.5, 0.999), 0.05)
    assert paper.card.label == "voice2face-wen"
    assert isinstance(paper.frontend, WenFilterbank)
    assert Voice2FaceWen(ModelSettings(image_size=64)).card.label == "voice2face-wen (width 0.25)"
    short = Voice2FaceWen(ModelSettings(image_size=64, width=0.5, steps=17)).recipe
    assert (short["width"], short["steps"], short["voice_steps"]) == (0.5, 17, 17)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 128}, "the benchmark needs 128"),
        ({"image_size": 64, "budget": "huge"}, "no budget 'huge'"),
        ({"image_size": 64, "width": -1.0}, "width is -1"),
        ({"image_size": 64, "steps": 0}, "steps is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Voice2FaceWen(ModelSettings(**settings))


def test_drawing_without_weights_or_from_one_dimension_too_few_is_refused() -> None:
    model = Voice2FaceWen(SMALL)
    with pytest.raises(BenchError, match="no weights yet"):
        draw(model, torch.zeros(2, 1, 64, 61))
    with pytest.raises(BenchError, match="expected voices"):
        draw(model, torch.zeros(2, 64, 61))
