"""SF2F and voice2face as the harness runs them, on made-up data and an in-memory context."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import voice2face
from baselines.voice2face import Voice2Face, Voice2Face128, Voice2FacePerceptual
from reference_model import ablations
from reference_model.recipe import (
    SCHEDULES,
    SF2F64,
    SF2F128,
    SF2F64Fuser,
    SF2F128Fuser,
    learning_rate,
    recipe_for,
)
from sf2f_bench import BenchError, ModelSettings
from sf2f_bench.registry import MODELS
from sf2f_bench.runs.systems import build
from sf2f_bench.training import Machine

IDENTITIES = 8
SYSTEMS = [SF2F64, SF2F64Fuser, Voice2Face]
SMALL = ModelSettings(image_size=64, budget="smoke", width=0.06, steps=4)


class KilledError(Exception):
    """The run ends here."""


class FakeData:
    """People whose voice and face share one number; a batch is a function of (stage, step)."""

    identities, image_size = IDENTITIES, 64

    def batch(self, step: int, size: int, stage: str = "generator") -> Any:
        batch = self._batch((step,), size, 1, 110 if step % 2 else 101)
        batch.voices = batch.voices[:, 0]
        return batch

    def segments(self, step: int, size: int, count: int = 20, stage: str = "fuser") -> Any:
        return self._batch((step, 1), size, min(count, 3), 125)  # fewer segments: fast

    def _batch(self, key: tuple[int, ...], size: int, count: int, frames: int) -> Any:
        random = torch.Generator().manual_seed(hash(key))
        labels = torch.randperm(IDENTITIES, generator=random)[: min(size, IDENTITIES)]
        level = labels.float() / IDENTITIES
        noise = torch.randn(len(labels), count, 40, frames, generator=random)
        voices = noise * 0.2 + 4 * (level[:, None, None, None] - 0.5)
        faces = (level * 200)[:, None, None, None].expand(-1, 3, 64, 64).to(torch.uint8)
        names = tuple(f"person-{label}" for label in labels.tolist())
        return SimpleNamespace(voices=voices, faces=faces, labels=labels, identities=names)


class Looker(nn.Module):
    """A tiny stand-in for the perceptual network."""

    def features(self, images: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(images, n) for n in (4, 8, 16)] + [images.mean(dim=(2, 3))]


class LargeData(FakeData):
    """The same at 128 pixels."""

    image_size = 128

    def _batch(self, *args: Any) -> Any:
        batch = super()._batch(*args)
        batch.faces = F.interpolate(batch.faces, scale_factor=2)
        return batch


class FakeContext:
    """Keeps checkpoints in memory; `kill` = (stage, step) raises KilledError once that many steps are done."""

    def __init__(self, kill: tuple[str, int] | None = None, seed: int = 3) -> None:
        self.device, self.seed, self.kill, self.perceptual = torch.device("cpu"), seed, kill, Looker()
        self.start: dict[str, Tensor] | None = None
        self.saved: dict[str, tuple[int, dict[str, Any]]] = {}
        self.logs: dict[str, list[dict[str, float]]] = {}
        self.machine = Machine.start("cpu")
        self.adam, self.update = self.machine.adam, self.machine.update
        self.autocast, self.setup = self.machine.autocast, self.machine.setup

    def noise(self, stage: str, step: int, rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, generator=torch.Generator().manual_seed(1000 * self.seed + step))

    def log(self, identities: tuple[str, ...], **scalars: Tensor) -> None:
        assert all(name.startswith("person-") for name in identities)
        self._row = {name: value.item() for name, value in scalars.items()}

    def loop(self, stage: str, steps: int, state: Mapping[str, Any], system: Any = None) -> Iterator[int]:
        assert system is not None
        done, saved = self.saved.get(stage, (0, {}))
        for name, content in saved.items():
            state[name].load_state_dict(copy.deepcopy(content))
        for step in range(done, steps):
            yield step
            self.logs.setdefault(stage, []).append(self._row)
            content = {name: copy.deepcopy(part.state_dict()) for name, part in state.items()}
            self.saved[stage] = (step + 1, content)
            if self.kill == (stage, step + 1):
                self.kill = None
                raise KilledError


def fit(model: Any, context: FakeContext, data: FakeData | None = None) -> None:
    """As the harness does it: the system that this one starts from first."""
    data = data or FakeData()
    if base := getattr(model, "starts_from", None):
        base.fit(data, context)
        context.start = copy.deepcopy(base.state_dict())
    model.fit(data, context)


@cache
def trained(system: type, settings: ModelSettings = SMALL) -> tuple[Any, FakeContext]:
    model, context = system(settings), FakeContext()
    fit(model, context)
    return model, context


def draw(model: Any, voices: Tensor, seed: int = 0) -> Tensor:
    return model.generate(voices, generator=torch.Generator().manual_seed(seed))


@cache
def learned(system: type) -> tuple[Any, FakeContext]:
    """Trained long enough, at a high rate, to draw bright faces for loud voices."""
    model, context = system(replace(SMALL, steps=20)), FakeContext()
    for part in (model, getattr(model, "starts_from", None)):
        if part is not None:
            part.recipe = {**part.recipe, "lr": 5e-3}
    fit(model, context)
    return model, context


@pytest.mark.parametrize("system", SYSTEMS)
def test_training_lowers_the_pixel_loss_and_faces_follow_the_voice(system: type) -> None:
    model, context = learned(system)
    pixels = [row["pixel"] for row in context.logs["generator"]]
    assert sum(pixels[-5:]) < 0.8 * sum(pixels[:5])
    batch = FakeData().segments(99, IDENTITIES, 3)
    brightness = draw(model, batch.voices).float().mean(dim=(1, 2, 3))
    assert torch.corrcoef(torch.stack([brightness, batch.labels.float()]))[0, 1] > 0.7


@pytest.mark.parametrize("system", SYSTEMS)
def test_generated_faces_are_bytes_repeatable_and_use_every_segment(system: type) -> None:
    model, _ = learned(system)
    batch = FakeData().segments(5, IDENTITIES, 2)
    order = batch.labels.argsort()
    low, high = batch.voices[order[:1]], batch.voices[order[-1:]]
    faces = draw(model, torch.cat([low, high]))
    assert faces.shape == (2, 3, 64, 64)
    assert faces.dtype == torch.uint8
    assert torch.equal(faces, draw(model, torch.cat([low, high])))
    both = draw(model, torch.cat([low, high], dim=1)).float().mean()  # segments of two people
    assert faces[0].float().mean() < both < faces[1].float().mean()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_saved_system_draws_the_same_faces(system: type) -> None:
    model, _ = trained(system)
    other = system(SMALL)
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    voices = FakeData().segments(5, 8, 3).voices
    assert torch.equal(draw(model, voices), draw(other, voices))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("system", "kill"),
    [(SF2F64, ("generator", 2)), (SF2F64Fuser, ("fuser", 2)), (Voice2Face, ("generator", 2))],
)
def test_a_killed_run_ends_like_an_uninterrupted_one(system: type, kill: tuple[str, int]) -> None:
    uninterrupted, _ = trained(system)
    context = FakeContext(kill)
    with pytest.raises(KilledError):
        fit(system(SMALL), context)
    torch.rand(7)  # the global random state must not matter
    resumed = system(SMALL)
    fit(resumed, context)
    assert same(uninterrupted.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_seed_decides_the_weights_and_the_global_random_state_is_left_alone(system: type) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, _ = trained(system)
    assert torch.equal(before, torch.get_rng_state())
    context = FakeContext(seed=4)
    second = system(SMALL)
    fit(second, context)
    assert not same(first.state_dict(), second.state_dict())


def test_the_paper_schedule_freezes_batch_norm_and_starts_a_fresh_adam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        SCHEDULES, "paper", {**SCHEDULES["paper"], "batch": 8, "fuser_batch": 8, "fuser_steps": 2}
    )
    settings = ModelSettings(image_size=64, budget="paper", width=0.06, steps=6)
    _, context = trained(SF2F64, settings)
    done, first = context.saved["generator"]
    rest, second = context.saved["generator_frozen_norm"]
    assert (done, rest) == (5, 1)
    statistics = [name for name in first["generator"] if name.endswith("running_mean")]
    assert statistics
    assert all(torch.equal(first["generator"][name], second["generator"][name]) for name in statistics)
    steps = [second[f"{name}_adam"]["state"][0]["step"].item() for name in ("generator", "image", "identity")]
    assert steps == [1, 6, 6]
    rates = [second[f"{name}_adam"]["param_groups"][0]["lr"] for name in ("generator", "image", "identity")]
    assert rates[0] == rates[1] == pytest.approx(5e-4)  # the first step of the falling part
    assert rates[2] == 5e-4


def test_voice2face_does_the_same_for_the_official_trainer_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = {**voice2face.SCHEDULES["paper"], "batch": 8}
    monkeypatch.setitem(voice2face.SCHEDULES, "paper", paper)
    _, context = trained(Voice2Face, ModelSettings(image_size=64, budget="paper", width=0.06, steps=6))
    (done, first), (rest, second) = (context.saved[phase] for phase in ("generator", "generator_frozen_norm"))
    assert (done, rest) == (5, 1)
    statistics = [name for name in first["generator"] if name.endswith("running_mean")]
    assert statistics
    assert all(torch.equal(first["generator"][name], second["generator"][name]) for name in statistics)
    assert [second[f"{name}_adam"]["state"][0]["step"].item() for name in ("generator", "identity")] == [1, 6]


def test_voice2face_with_the_perceptual_loss_has_one_term_more() -> None:
    (plain, before), (model, context) = trained(Voice2Face), trained(Voice2FacePerceptual)
    assert set(context.logs["generator"][0]) - set(before.logs["generator"][0]) == {"perceptual"}
    assert model.card.name == "voice2face-64-perceptual"
    assert not same(plain.state_dict(), model.state_dict())


def test_the_learning_rate_falls_for_all_but_the_identity_discriminators() -> None:
    _, context = trained(SF2F64)
    _, saved = context.saved["generator"]
    rates = [saved[f"{name}_adam"]["param_groups"][0]["lr"] for name in ("generator", "image", "identity")]
    assert rates[0] == rates[1] < 4e-4
    assert rates[2] == 5e-4


def test_the_second_stage_moves_the_fuser_alone() -> None:
    model, context = trained(SF2F64Fuser)
    assert context.start is not None
    start = {name: value for name, value in context.start.items() if name.startswith("generator.")}
    state = model.state_dict()
    assert set(state) - set(start) == {"generator.fuser.query.weight", "generator.fuser.out.weight"}
    assert all(torch.equal(state[name], value) for name, value in start.items())
    eye = torch.eye(*state["generator.fuser.query.weight"].shape)
    assert not torch.equal(state["generator.fuser.query.weight"], eye)


def test_the_variants_share_one_first_stage() -> None:
    fused, plain = SF2F64Fuser(SMALL), SF2F64(SMALL)
    assert fused.starts_from is not None
    assert fused.starts_from.card == plain.card
    assert fused.starts_from.recipe == plain.recipe
    assert (fused.fuses, plain.fuses) == (True, False)


def test_a_fuser_without_its_first_stage_is_refused() -> None:
    with pytest.raises(BenchError, match=r"starts from sf2f-64, which was not given"):
        SF2F64Fuser(SMALL).fit(FakeData(), FakeContext())
    context = FakeContext()
    context.start = {"generator.decoder.start.0.weight": torch.zeros(3, 3)}
    with pytest.raises((BenchError, RuntimeError)):
        SF2F64Fuser(SMALL).fit(FakeData(), context)


@pytest.mark.parametrize("system", [SF2F128, SF2F128Fuser, Voice2Face128])
def test_a_128_system_trains_and_draws(system: type) -> None:
    model = system(ModelSettings(image_size=128, budget="smoke", width=0.06, steps=2))
    fit(model, FakeContext(), LargeData())
    assert model.recipe["weights"]["pixel"] == 100.0
    assert draw(model, FakeData().segments(1, 4, 2).voices).shape == (4, 3, 128, 128)


TERMS = {
    "pixel": "WithoutL1",
    "adversarial": "WithoutGan",
    "image_discriminator": "WithoutGan",
    "identity": "WithoutIdentity",
    "identity_adversarial": "WithoutIdentity",
    "identity_discriminator": "WithoutIdentity",
    "identity_discriminator_classes": "WithoutIdentity",
    "perceptual": "WithoutPerceptual",
}


@pytest.mark.parametrize("name", ["WithoutL1", "WithoutGan", "WithoutIdentity", "WithoutPerceptual"])
def test_an_ablation_loses_its_terms_and_no_others(name: str) -> None:
    model, context = trained(getattr(ablations, name), replace(SMALL, steps=2))
    assert set(context.logs["generator"][0]) == {term for term, without in TERMS.items() if without != name}
    assert model.card.change.startswith("without ")
    assert model.card.change in model.card.description


def test_an_untrained_discriminator_stands_still() -> None:
    _, context = trained(ablations.WithoutGan, replace(SMALL, steps=2))
    _, saved = context.saved["generator"]
    assert not saved["image_adam"]["state"]
    assert saved["identity_adam"]["state"]


@pytest.mark.parametrize(("name", "part"), [("PlainEncoder", "encoder"), ("PlainDecoder", "decoder")])
def test_an_ablation_replaces_its_network_and_no_other(name: str, part: str) -> None:
    model, _ = trained(getattr(ablations, name), replace(SMALL, steps=2))
    whole, _ = trained(SF2F64Fuser)

    def shapes(system: Any, of: str) -> list[torch.Size]:
        return [v.shape for k, v in system.state_dict().items() if k.startswith(f"generator.{of}.")]

    other = "decoder" if part == "encoder" else "encoder"
    assert shapes(model, other) == shapes(whole, other)
    assert shapes(model, part) != shapes(whole, part)
    assert model.card.change == f"with plain {part}"
    assert model.card.change in model.card.description


def test_every_registered_system_carries_its_own_name() -> None:
    for name in MODELS:
        if name.startswith(("sf2f", "voice2face")):
            size = 128 if "128" in name else 64
            assert MODELS.get(name)(ModelSettings(image_size=size)).card.name == name


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_label_names_the_width(system: type) -> None:
    def label(**settings: Any) -> str:
        return system(ModelSettings(image_size=64, **settings)).card.label

    name = system(SMALL).card.name
    assert label() == f"{name} (width 0.25)"
    assert label(accelerator="cuda") == name
    assert label(budget="paper") == name
    assert label(width=0.5) == f"{name} (width 0.5)"


def test_the_recipe_holds_what_the_settings_ask_for() -> None:
    recipe = recipe_for(ModelSettings(image_size=64, width=0.5, steps=17))
    assert (recipe["width"], recipe["steps"], recipe["fuser_steps"]) == (0.5, 17, 17)
    assert not any(name.startswith("fuser") for name in SF2F64(SMALL).recipe)
    paper = recipe_for(ModelSettings(image_size=64, budget="paper"))
    assert (paper["steps"], paper["batch"], paper["fuser_steps"]) == (132_000, 256, 360)


def test_the_learning_rate_is_constant_then_falls_to_a_thousandth() -> None:
    recipe = recipe_for(ModelSettings(image_size=64, budget="paper"))
    assert learning_rate(0, recipe) == learning_rate(110_000, recipe) == 5e-4
    assert learning_rate(121_000, recipe) == pytest.approx(5e-4 * 0.5005)
    assert learning_rate(132_000, recipe) == pytest.approx(5e-7)


def test_evaluation_noise_can_be_switched_off() -> None:
    class Quiet(Voice2Face):
        evaluation_noise = 0.0

    model, quiet = trained(Voice2Face)[0], Quiet(SMALL)
    quiet.load_state_dict(model.state_dict())
    voices = FakeData().segments(5, 8, 1).voices
    assert quiet.recipe["evaluation_noise"] == 0.0
    assert torch.equal(draw(quiet, voices, 1), draw(quiet, voices, 2))
    assert not torch.equal(draw(model, voices, 1), draw(model, voices, 2))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 128}, "of the other size|choose voice2face-128"),
        ({"image_size": 64, "budget": "huge"}, "no budget 'huge'"),
        ({"image_size": 64, "width": -1.0}, "width is -1"),
        ({"image_size": 64, "steps": 0}, "steps is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    system: type, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        system(ModelSettings(**settings))


@pytest.mark.parametrize("system", SYSTEMS)
def test_drawing_without_weights_or_from_one_dimension_too_few_is_refused(system: type) -> None:
    model = system(SMALL)
    with pytest.raises(BenchError, match="no weights yet"):
        draw(model, torch.zeros(2, 1, 40, 125))
    with pytest.raises(BenchError, match="expected voices"):
        draw(model, torch.zeros(2, 40, 125))


def test_one_installed_system_is_what_tables_compare_with():
    cards = {
        (name, size): build(name, ModelSettings(size)).card
        for size in (64, 128)
        for name in MODELS.targets()
        if name.endswith(f"-{size}") or f"-{size}-" in name
    }
    references = {place for place, card in cards.items() if card.place == "reference"}
    assert references == {("sf2f-64", 64), ("sf2f-128", 128)}
