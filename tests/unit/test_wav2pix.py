"""Wav2Pix: networks of the published size, losses and a step written out, resumption, faces from voices."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from baselines import wav2pix
from baselines.wav2pix import Discriminator, FaceGenerator, VoiceEncoder, Wav2Pix64
from sf2f_bench import BenchError, Machine, ModelSettings, RawWaveform, TrainContext
from sf2f_bench.data.training import Batch
from sf2f_bench.progress import Reporter
from sf2f_bench.types.curve import PLACE

IDENTITIES = 8
SMALL = ModelSettings(image_size=64, budget="smoke", width=0.06, steps=5)
WEIGHTS = {"adversarial": 1.0, "features": 100.0, "pixel": 50.0, "identity": 20.0}


class KilledError(Exception):
    """The run ends here."""


class People:
    """People whose voice and face share one number; a batch is a function of the step.

    kill: the step whose batch is never handed out the first time; few: how many people there are.
    """

    image_size = 64

    def __init__(self, kill: int | None = None, identities: int = IDENTITIES) -> None:
        self.kill, self.identities = kill, identities

    def batch(self, step: int, size: int, stage: str = "generator") -> Batch:
        if step == self.kill:
            self.kill = None
            raise KilledError
        return self.draw(step, min(size, self.identities), frames=105 if step % 2 else 100)

    @staticmethod
    def draw(seed: int, size: int, frames: int) -> Batch:
        random = torch.Generator().manual_seed(seed)
        labels = torch.randperm(IDENTITIES, generator=random)[:size]
        level = labels.float() / (IDENTITIES - 1)
        voices = (0.2 + level)[:, None, None] * torch.randn(size, 160, frames, generator=random)
        faces = (255 * level)[:, None, None, None].expand(-1, 3, 64, 64).to(torch.uint8)
        return Batch(voices, faces, labels, tuple(f"person-{label}" for label in labels.tolist()))


def context_in(folder: Path, seed: int = 3) -> TrainContext:
    machine = Machine.start("cpu")
    return TrainContext(folder, "wav2pix-64", seed, machine, None, Reporter(), checkpoint_every=0.0)


@cache
def trained(settings: ModelSettings = SMALL) -> tuple[Wav2Pix64, TrainContext]:
    model, context = Wav2Pix64(settings), context_in(Path(mkdtemp()))
    model.fit(People(), context)
    return model, context


def draw(model: Wav2Pix64, voices: Tensor) -> Tensor:
    return model.generate(voices, generator=torch.Generator())


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def made(network: type[nn.Module], width: float = 0.06) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return network(width)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


# ---------------------------------------------------------------- networks


def test_the_networks_have_the_published_size() -> None:
    channels = [1, 16, 32, 128, 256, 512, 1024]
    convolutions = sum(15 * a * b + 3 * b for a, b in pairwise(channels))
    fully_connected = 4096 * 256 + 256 + 256 * 128 + 128 + 128 * 128 + 128
    assert parameters(VoiceEncoder(1.0)) == convolutions + fully_connected
    faces = [128, 512, 256, 128, 64, 3]
    assert parameters(FaceGenerator(1.0)) == sum(16 * a * b for a, b in pairwise(faces))
    seen = [3, 64, 128, 256, 512]
    looking = sum(16 * a * b for a, b in pairwise(seen))
    assert parameters(Discriminator(1.0)) == looking + 16 * (512 + 128)


def test_shapes() -> None:
    voices = normal(1, 2, 160, 125)
    assert VoiceEncoder(0.25)(voices).shape == (2, 32)
    generator, discriminator = FaceGenerator(0.25), Discriminator(0.25)
    images = generator(torch.zeros(2, 32))
    assert images.shape == (2, 3, 64, 64)
    assert generator.dropped == [128 * 16, 64 * 64, 32 * 256, 16 * 1024]
    seen = discriminator.look(images)
    assert seen.shape == (2, 128, 4, 4)
    assert discriminator.compare(seen, torch.zeros(2, 32)).shape == (2,)


def test_one_second_goes_through_the_published_fully_connected_layer() -> None:
    """1.024 s, after six strides of 4, has four places: all their numbers meet in one linear layer."""
    encoder = made(VoiceEncoder).eval()
    samples = normal(2, 3, 16_000)
    places = encoder.convolutions(samples[:, None])
    assert places.shape[2] == 4
    first = F.linear(places.flatten(1), encoder.windows.weight.flatten(1), encoder.windows.bias)
    columns = samples.unflatten(1, (100, 160)).transpose(1, 2)
    torch.testing.assert_close(encoder(columns), encoder.project(first))


def test_samples_are_read_in_the_order_in_which_they_were_spoken() -> None:
    sound = np.arange(320, dtype=np.float32)
    columns = torch.from_numpy(sound.reshape(2, 160).T.copy())[None]
    encoder = made(VoiceEncoder)
    heard: list[Tensor] = []
    encoder.convolutions.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    with pytest.raises(ValueError, match="more than 1 value"):  # far too short for batch statistics
        encoder(columns)
    assert heard[0].flatten().tolist() == sound.tolist()


def test_the_largest_singular_value_of_every_layer_is_1() -> None:
    for network in (made(FaceGenerator), made(Discriminator)):
        layers = [m for m in network.modules() if hasattr(m, "parametrizations")]
        assert len(layers) == 5 - isinstance(network, Discriminator)
        for _ in range(30):  # power iteration has arrived
            weights = [layer.weight for layer in layers]
        for layer, weight in zip(layers, weights, strict=True):
            matrix = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
            assert torch.linalg.matrix_norm(matrix.flatten(1), 2).item() == pytest.approx(1, abs=0.01)


def test_spectral_norm_is_taken_in_full_precision() -> None:
    layer = made(Discriminator).eval().layers[1]
    with torch.autocast("cpu", torch.bfloat16):
        weight = wav2pix.normed(layer)
    assert weight.dtype == torch.float32
    assert torch.equal(weight, layer.weight)


@given(st.floats(0.05, 0.9))
def test_masks_drop_their_share_and_keep_the_mean(share: float) -> None:
    masks = wav2pix.dropout_masks(normal(1, 100, 200), share)
    assert (masks == 0).double().mean().item() == pytest.approx(share, abs=0.02)
    assert sorted({0.0, *masks.unique().tolist()}) == pytest.approx([0, 1 / (1 - share)])


def test_every_hidden_stage_is_dropped_and_evaluation_drops_nothing() -> None:
    generator = made(FaceGenerator)
    embedding, ones = normal(3, 2, 8), torch.ones(2, sum(generator.dropped))
    generator.eval()
    torch.testing.assert_close(generator(embedding, ones), generator(embedding))
    first = 0
    for count in generator.dropped:
        masks = ones.clone()
        masks[0, first : first + count] = 0
        assert (generator(embedding, masks)[0] == 0).all()  # no bias: nothing is left
        torch.testing.assert_close(generator(embedding, masks)[1], generator(embedding)[1])
        first += count


# ---------------------------------------------------------------- losses


def looked(discriminator: Discriminator, images: Tensor) -> Tensor:
    """The features, by layers written out."""
    for layer in discriminator.layers:
        images = F.conv2d(images, layer.weight, stride=2, padding=1)
        images = torch.where(images > 0, images, 0.2 * images)
    return images


def scored(discriminator: Discriminator, features: Tensor, embedding: Tensor) -> Tensor:
    weight, width = discriminator.last.weight[0], features.shape[1]
    of_face = torch.einsum("bchw,chw->b", features, weight[:width])
    return of_face + torch.einsum("be,ehw->b", embedding, weight[width:])


def test_losses_against_a_plain_computation() -> None:
    discriminator = made(Discriminator).eval()
    fake, real = torch.tanh(normal(1, 3, 3, 64, 64)), torch.tanh(normal(2, 3, 3, 64, 64))
    embedding, logits, labels = normal(3, 3, 8), normal(4, 3, 5), torch.tensor([4, 0, 2])
    of_fake, of_real = looked(discriminator, fake), looked(discriminator, real)
    found = wav2pix.discriminator_losses(fake, real, embedding, discriminator, 0.9)
    wrong = of_real[[2, 0, 1]]
    expected = {
        "discriminator_real": ((scored(discriminator, of_real, embedding) - 0.9) ** 2).mean(),
        "discriminator_fake": (scored(discriminator, of_fake, embedding) ** 2).mean(),
        "discriminator_mismatched": (scored(discriminator, wrong, embedding) ** 2).mean(),
    }
    torch.testing.assert_close(found, expected)
    found = wav2pix.generator_losses(fake, real, embedding, logits, labels, discriminator, WEIGHTS)
    chosen = torch.stack(
        [logits[row].exp()[label] / logits[row].exp().sum() for row, label in enumerate(labels)]
    )
    expected = {
        "pixel": 50 * (fake - real).abs().sum() / fake.numel(),
        "identity": 20 * -chosen.log().mean(),
        "adversarial": ((scored(discriminator, of_fake, embedding) - 1) ** 2).mean(),
        "features": 100 * ((of_fake.mean(0) - of_real.mean(0)) ** 2).mean(),
    }
    torch.testing.assert_close(found, expected)


def test_no_gradient_flows_back_through_the_true_faces() -> None:
    real = torch.zeros(2, 3, 64, 64, requires_grad=True)
    fake = torch.ones(2, 3, 64, 64, requires_grad=True)
    terms = wav2pix.generator_losses(
        fake, real, normal(3, 2, 8), normal(4, 2, 5), torch.tensor([1, 0]), made(Discriminator), WEIGHTS
    )
    terms["features"].backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


# ---------------------------------------------------------------- training


def test_everything_learns_and_every_term_is_logged() -> None:
    model, context = trained()
    fresh = Wav2Pix64(SMALL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        before = fresh._build().state_dict()
    after = model.state_dict()
    still = [name for name, value in before.items() if torch.equal(value, after[name])]
    assert still == []
    points = [point for point in context.curve if "pixel" in point]
    assert len(points) == 5
    assert set(points[0]) == {
        *PLACE,
        *WEIGHTS,
        *(f"discriminator_{pair}" for pair in ("real", "fake", "mismatched")),
    }


@pytest.mark.parametrize("kill", [1, 4])
def test_a_killed_run_ends_like_an_uninterrupted_one(kill: int, tmp_path: Path) -> None:
    people = People(kill)
    with pytest.raises(KilledError):
        Wav2Pix64(SMALL).fit(people, context_in(tmp_path))
    torch.rand(7)  # the global random state must not matter
    resumed = Wav2Pix64(SMALL)
    resumed.fit(people, context_in(tmp_path))
    assert same(trained()[0].state_dict(), resumed.state_dict())


def test_the_seed_decides_and_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    other = Wav2Pix64(SMALL)
    other.fit(People(), context_in(tmp_path, seed=4))
    assert torch.equal(before, torch.get_rng_state())
    assert not same(trained()[0].state_dict(), other.state_dict())


def test_it_learns_to_draw_the_level_that_it_hears() -> None:
    settings = ModelSettings(image_size=64, budget="smoke", width=0.06, steps=150)
    model, context = Wav2Pix64(settings), context_in(Path(mkdtemp()))
    model.recipe = {**model.recipe, "lr": 3e-3}
    model.fit(People(), context)
    batch = People.draw(1000, IDENTITIES, 125)
    shown = draw(model, batch.voices[:, None]).float().mean(dim=(1, 2, 3))
    assert np.corrcoef(shown, batch.labels)[0, 1] > 0.7


def test_a_batch_without_a_mismatched_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no mismatched pair"):
        Wav2Pix64(SMALL).fit(People(identities=1), context_in(tmp_path))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_in_either_precision_is_finite(precision: str, tmp_path: Path) -> None:
    machine = Machine.start("cpu", precision)
    context = TrainContext(tmp_path, "wav2pix-64", 3, machine, None, Reporter())
    Wav2Pix64(ModelSettings(64, "smoke", "cpu", 0.06, 2)).fit(People(), context)
    points = [point for point in context.curve if "pixel" in point]
    assert np.isfinite(
        [value for point in points for value in point.values() if isinstance(value, float)]
    ).all()


# ---------------------------------------------------------------- faces


def test_the_face_of_several_segments_is_that_of_their_mean_embedding() -> None:
    model, _ = trained()
    voices = torch.stack([People.draw(seed, IDENTITIES, 125).voices for seed in (1, 2, 3)], dim=1)
    faces = draw(model, voices)
    assert faces.shape == (IDENTITIES, 3, 64, 64)
    assert faces.dtype == torch.uint8
    assert torch.equal(faces, draw(model, voices))
    networks = model.networks.eval()
    with torch.no_grad():
        embedding = sum(networks["voice"](voices[:, segment]) for segment in range(3)) / 3
        expected = (networks["face"](embedding) + 1) * 127.5
    assert (faces - expected).abs().max() <= 1


def test_a_saved_system_draws_the_same_faces() -> None:
    model, other = trained()[0], Wav2Pix64(SMALL)
    other.load_state_dict(model.state_dict())
    voices = People.draw(5, IDENTITIES, 125).voices[:, None]
    assert torch.equal(draw(model, voices), draw(other, voices))


def test_recipe_and_card_say_what_is_trained() -> None:
    paper = Wav2Pix64(ModelSettings(image_size=64, budget="paper"))
    recipe = paper.recipe
    assert (recipe["lr"], recipe["discriminator_lr"], recipe["betas"]) == (1e-4, 4e-4, (0.5, 0.999))
    assert (recipe["batch"], recipe["dropout"], recipe["real"], recipe["weights"]) == (64, 0.5, 0.9, WEIGHTS)
    assert paper.card.label == "wav2pix-64"
    assert isinstance(paper.frontend, RawWaveform)
    assert "published form" in paper.card.limits
    assert "Not for identifying people" in paper.card.limits
    default = Wav2Pix64(ModelSettings(image_size=64))
    assert default.card.label == "wav2pix-64 (width 0.25)"
    assert "reduced form: the generator's learning rate 0.001 (published: 0.0001)" in default.card.limits
    assert default.recipe["steps"] * default.recipe["batch"] == 25_600
    short = Wav2Pix64(ModelSettings(image_size=64, width=0.5, steps=17)).recipe
    assert (short["width"], short["steps"]) == (0.5, 17)


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
        Wav2Pix64(ModelSettings(**settings))


def test_drawing_without_weights_or_from_one_dimension_too_few_is_refused() -> None:
    model = Wav2Pix64(SMALL)
    with pytest.raises(BenchError, match="no weights yet"):
        draw(model, torch.zeros(2, 1, 160, 125))
    with pytest.raises(BenchError, match="expected voices"):
        draw(model, torch.zeros(2, 160, 125))
