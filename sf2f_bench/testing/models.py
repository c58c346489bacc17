"""`check_model`: whether a system keeps the contract of `SpeechToFace`."""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.data.training import TrainingData
from sf2f_bench.evaluation.segments import segments_of
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.files import hash_of, load_tensors, save_tensors
from sf2f_bench.progress import Reporter
from sf2f_bench.runs.stages import base_of
from sf2f_bench.testing.anchors import CARD, check_anchor
from sf2f_bench.testing.checks import Rule, expect, expect_array, expect_card, one_of, run_checks
from sf2f_bench.testing.frontends import check_features, check_normalise, check_settings
from sf2f_bench.testing.world import tiny_store
from sf2f_bench.training import Machine, TrainContext, Validated, Validation
from sf2f_bench.training.checkpoint import Stateful
from sf2f_bench.types import ModelCard, ModelSettings, OneToMany, SpeechToFace, TrainedAnchor

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SEED = 1
ROUNDING = 1  # grey levels that a face may change with the other rows of its batch
SYSTEM_CARD: dict[str, Rule] = {
    "name": (
        lambda name: isinstance(name, str) and NAME.fullmatch(name) is not None,
        "to be a name of letters, digits, '.', '_' and '-'",
        "rename it",
    ),
    "kind": one_of(["system"]),
    **CARD,
    "place": one_of(["system", "reference"]),
    "width": (lambda width: width is None or width > 0, "to be None or a share of the channels", "change it"),
}


def check_model(model: Any, *, image_size: int = 64, width: float | None = None, steps: int = 4) -> None:
    """Run every check of a system's contract on a tiny world; an anchor is passed on to `check_anchor`.

    Of an anchor that is trained, how it trains is checked like a system's and how it answers like an anchor's.

    model: what ``--models`` names, a class or function of `ModelSettings`; or an instance that was not fitted
    (then settings are its own). width, steps: passed to it in the settings; keep both small. Takes seconds.
    Raises BenchError that names the check, what was expected, what came and what to do.
    """
    card = getattr(model, "card", None)
    if getattr(card, "kind", None) == "anchor" and not hasattr(model, "fit"):
        return check_anchor(model)
    name = getattr(model, "__name__", None) or getattr(card, "name", None) or type(model).__name__
    with tempfile.TemporaryDirectory() as folder:
        trial = ModelTrial(model, ModelSettings(image_size, "smoke", "cpu", width, steps), Path(folder))
        if not isinstance(trial.build(), TrainedAnchor):
            return run_checks(f"model {name}", MODEL_CHECKS, trial)
        run_checks(f"trained anchor {name}", TRAINING_CHECKS, trial)
        restored: Any = trial.build()
        restored.load_state_dict(load_tensors(save_tensors(Path(folder) / "state", trial.state))[0])
        check_anchor(restored)


class Interrupted(BaseException):
    """Stands for a kill: a model does not catch it."""


class TriedContext(TrainContext):
    """The harness's own context, which counts steps and can stop after some of them, as a kill does."""

    stop_after: int | None = None

    def __init__(self, *settings: Any, **more: Any) -> None:
        super().__init__(*settings, **more)
        self.asked: dict[str, int] = {}  # stage -> steps
        self.taken = 0

    def loop(
        self, stage: str, steps: int, state: Mapping[str, Stateful], system: SpeechToFace | None = None
    ) -> Iterator[int]:
        """As `TrainContext.loop`."""
        self.asked[stage] = steps
        for step in super().loop(stage, steps, state, system):
            if self.taken == self.stop_after:
                raise Interrupted
            self.taken += 1
            yield step


class TriedValidation(Validation):
    """The harness's own, which checks the state dict too: the best one is kept in a file."""

    def __call__(self, system: SpeechToFace) -> Validated:
        """As `Validation`. Raises BenchError for a state dict that does not hold tensors by name."""
        check_tensors(system.state_dict())
        return super().__call__(system)


def check_tensors(state: Mapping[str, Tensor]) -> None:
    """Raise BenchError for a state dict that does not hold tensors by name."""
    others = [name for name, part in state.items() if not (isinstance(name, str) and torch.is_tensor(part))]
    remedy = "return the networks' state_dict() and leave settings out of it"
    expect(not others, "state_dict() to hold tensors by name", f"other things under {others[:3]}", remedy)


class ModelTrial:
    """A model on the tiny world; what several checks need is made once."""

    def __init__(self, model: Any, settings: ModelSettings, folder: Path) -> None:
        self.model, self.settings, self.folder = model, settings, folder
        self.is_factory = callable(model)
        self.bases: dict[str, dict[str, Tensor]] = {}  # by name
        self.used = 0  # how often torch's global random state was changed
        self.last: TriedContext

    def build(self, **changes: Any) -> SpeechToFace:
        """A model that was never fitted."""
        if not self.is_factory:
            return copy.deepcopy(self.model)
        return self.model(replace(self.settings, **changes))

    @cached_property
    def store(self) -> PreparedStore:
        """The tiny world as the model's front end hears it."""
        return tiny_store(self.build().frontend, self.settings.image_size, self.folder / "store")

    @cached_property
    def voices(self) -> Tensor:
        """Normalised segments of the five test people: float32 ``[5, 20, filters, frames]``."""
        frontend = self.build().frontend
        heard = [torch.from_numpy(windows) for windows in segments_of(self.store, frontend)]
        filled = [windows[torch.arange(20) % len(windows)] for windows in heard]
        return frontend.normalise(torch.stack(filled))

    def fit(self, system: SpeechToFace, folder: str, stop_after: int | None = None) -> TriedContext:
        """Train through the harness's context; torch's global random state differs each time."""
        start = self._base_of(system)
        self._move_global_chance()
        machine = Machine.start("cpu")
        perceptual = EmbeddedExtractor("embedded-perceptual").module
        seen = TrainingData(self.store, system.frontend, SEED, machine.device, "val")
        place, silent, validation = (
            self.folder / folder,
            Reporter(silent=True),
            TriedValidation(seen, perceptual),
        )
        name = system.card.name
        context = TriedContext(place, name, SEED, machine, perceptual, silent, 0.0, start, validation)
        context.stop_after, self.last = stop_after, context
        system.fit(TrainingData(self.store, system.frontend, SEED, machine.device), context)
        return context

    def _move_global_chance(self) -> None:
        self.used += 1
        torch.manual_seed(self.used)

    def _base_of(self, system: SpeechToFace) -> dict[str, Tensor] | None:
        """The tensors of the trained system that this one starts from; None where it starts from none."""
        if (base := base_of(system)) is None:
            return None
        if base.card.name not in self.bases:
            self.fit(base, f"base {base.card.name}")
            self.bases[base.card.name] = copy.deepcopy(base.state_dict())
        return self.bases[base.card.name]

    @cached_property
    def fitted(self) -> tuple[SpeechToFace, TriedContext]:
        """The model after an uninterrupted training, with its context."""
        system = self.build()
        return system, self.fit(system, "whole")

    @cached_property
    def state(self) -> dict[str, Tensor]:
        """A copy of its tensors."""
        return copy.deepcopy(self.fitted[0].state_dict())

    def expect_state(self, system: SpeechToFace, expected: str, remedy: str) -> None:
        """Expect that another fitted model has the same tensors."""
        found = system.state_dict()
        other_names = sorted(found.keys() ^ self.state.keys())
        expect(not other_names, expected, f"other names: {other_names[:4]}", remedy)
        differ = [name for name, tensor in self.state.items() if not torch.equal(found[name], tensor)]
        came = f"{len(differ)} of {len(found)} tensors that differ, such as {differ[:3]}"
        expect(not differ, expected, came, remedy)

    def generate(self, voices: Tensor, seed: int = 0, system: SpeechToFace | None = None) -> Tensor:
        """Faces of normalised voices, by the fitted model or another."""
        self._move_global_chance()
        generator = torch.Generator().manual_seed(seed)
        return (system or self.fitted[0]).generate(voices.clone(), generator=generator)


def _key(system: SpeechToFace) -> str:
    return hash_of(dict(system.recipe))


# ---------------------------------------------------------------- checks


def card_is_complete(trial: ModelTrial) -> None:
    """A `ModelCard` whose name can stand in a table and in a file's name."""
    card = trial.build().card
    expect_card(card, ModelCard, SYSTEM_CARD)
    expected = "card.ablation_of and card.change to be given together"
    came = f"{card.ablation_of!r} and {card.change!r}"
    remedy = "name the system and what this one is without, or leave both out"
    expect(bool(card.ablation_of) == bool(card.change), expected, came, remedy)


def recipe_can_be_hashed(trial: ModelTrial) -> None:
    """Plain JSON values, the same for the same settings: it names the trained model in the cache."""
    recipe = trial.build().recipe
    kind = type(recipe).__name__
    expect(isinstance(recipe, Mapping), "model.recipe to be a dictionary", kind, "make it one")
    try:
        json.dumps(dict(recipe), allow_nan=False)
    except (TypeError, ValueError) as error:
        expect(False, "a recipe of numbers, words, lists and dictionaries", error, "put plain values into it")
    same, remedy = _key(trial.build()) == hash_of(dict(recipe)), "leave time and randomness out of it"
    expect(same, "the same recipe for the same settings", "another one", remedy)


def frontend_keeps_its_contract(trial: ModelTrial) -> None:
    """float32 ``[filters, frames]`` of a waveform, repeatable, and a normalisation value by value."""
    frontend = trial.build().frontend
    check_settings(frontend)
    check_normalise(frontend, check_features(frontend))


def fit_goes_through(trial: ModelTrial) -> None:
    """Some steps in the harness's context; where `context.loop` is given the system, it is validated on the way."""
    system, _ = trial.fitted
    check_tensors(system.state_dict())
    bad = [name for name, tensor in trial.state.items() if not torch.isfinite(tensor.float()).all()]
    remedy = "lower the learning rate"
    expect(not bad, "finite tensors after a few steps", f"NaN or infinity in {bad[:3]}", remedy)


def fit_leaves_the_recipe_alone(trial: ModelTrial) -> None:
    """The recipe is the key under which the trained model is looked for."""
    same, remedy = _key(trial.fitted[0]) == _key(trial.build()), "do not write into self.recipe in fit"
    expect(same, "the recipe after fit to be that before", "another one", remedy)


def fit_depends_on_the_seed_alone(trial: ModelTrial) -> None:
    """Two trainings with one seed give the same tensors, whatever torch's global random state."""
    again = trial.build()
    trial.fit(again, "again")
    remedy = (
        "make initial weights from context.seed (torch.random.fork_rng, torch.manual_seed) and noise from "
        "context.noise or a generator of your own"
    )
    trial.expect_state(again, "two trainings with the same seed to give the same tensors", remedy)


def recipe_decides_the_steps(trial: ModelTrial) -> None:
    """A training of another length has another recipe, else one would be mistaken for the other."""
    if not trial.is_factory:
        return
    longer = trial.build(steps=(trial.settings.steps or 1) + 1)
    key = _key(longer)
    with suppress(Interrupted):
        trial.fit(longer, "longer", stop_after=0)
    asked, before = trial.last.asked, trial.fitted[1].asked
    if any(steps != before.get(stage) for stage, steps in asked.items()):
        expected = "another recipe where settings.steps lets it train longer"
        remedy = "write what you take from the settings into self.recipe"
        expect(key != _key(trial.build()), expected, "the same recipe", remedy)


def fit_resumes_from_a_checkpoint(trial: ModelTrial) -> None:
    """Killed halfway and started again, it ends with the tensors of an uninterrupted training."""
    steps = trial.fitted[1].taken
    if steps < 2:  # not trained in steps: after a kill it starts again
        return
    with suppress(Interrupted):
        trial.fit(trial.build(), "resumed", stop_after=steps // 2)
    resumed = trial.build()
    trial.fit(resumed, "resumed")
    remedy = (
        "hand every network and optimiser to context.loop, and take batches and noise by the step's number"
    )
    trial.expect_state(resumed, "a training that was killed halfway to end as an uninterrupted one", remedy)


def state_survives_a_file(trial: ModelTrial) -> None:
    """Saved and loaded into a new model that was never fitted, it generates the same faces."""
    state = trial.state
    expected = "state_dict() to hold what generate needs"
    expect(bool(state), expected, "no tensor", "return the network's state_dict()")
    tensors, _ = load_tensors(save_tensors(trial.folder / "state.safetensors", state))
    fresh = trial.build()
    fresh.load_state_dict(tensors)
    same = torch.equal(trial.generate(trial.voices, system=fresh), trial.generate(trial.voices))
    remedy = "put all that generate uses into state_dict"
    expect(same, "the loaded model to generate the same faces", "other faces", remedy)


def generate_gives_faces(trial: ModelTrial) -> None:
    """uint8 ``[B, 3, H, W]`` of the asked size, for one voice and for many, for one segment and for twenty."""
    size = trial.settings.image_size
    for people, segments in ((1, 1), (5, 1), (2, 3), (5, 20)):
        voices = trial.voices[:people, :segments]
        remedy = f"check generate with voices {list(voices.shape)}; sf2f_bench.to_uint8 helps"
        expect_array(trial.generate(voices), "faces", "uint8", [people, 3, size, size], remedy)


def generate_repeats_itself(trial: ModelTrial) -> None:
    """The same voices with generators of the same seed give the same faces, and the voices stay as they are."""
    voices = trial.voices.clone()
    first = trial.fitted[0].generate(voices, generator=torch.Generator().manual_seed(3))
    unchanged = torch.equal(voices, trial.voices)
    expect(unchanged, "generate to leave the voices as they are", "changed voices", "do not work in place")
    same = torch.equal(first, trial.generate(trial.voices, seed=3))
    remedy = "take random numbers from `generator` only, and switch networks to eval()"
    expect(same, "the same faces for the same seed of the generator", "other faces", remedy)


def generate_treats_each_voice_alone(trial: ModelTrial) -> None:
    """A face does not depend on the rest of its batch (up to a grey level of rounding)."""
    voices = trial.voices[:, :3]
    first, *others = (trial.generate(voices[rows])[0].int() for rows in ([0, 1, 2], [0, 3, 4], [0]))
    if not torch.equal(trial.generate(voices, seed=0), trial.generate(voices, seed=1)):
        others.pop()  # its random numbers depend on the size of the batch
    difference = max(int((first - other).abs().max()) for other in others)
    remedy = "switch to eval() in generate, so that batch normalisation uses its running statistics"
    wanted = f"a face to be the same, up to {ROUNDING} grey level, whatever else is in the batch"
    expect(difference <= ROUNDING, wanted, f"{difference} grey levels of difference", remedy)


def draws_differ_where_it_says_so(trial: ModelTrial) -> None:
    """A system that says that it generates another face each time does so for generators of two seeds."""
    system = trial.fitted[0]
    if not (isinstance(system, OneToMany) and system.one_to_many):
        return
    first, second = (trial.generate(trial.voices, seed=seed) for seed in (0, 1))
    same = [number for number, faces in enumerate(zip(first, second, strict=True)) if torch.equal(*faces)]
    remedy = "take the noise from `generator`, or leave `one_to_many` out"
    expected = "another face for each voice from generators of two seeds, as `one_to_many` says"
    expect(not same, expected, f"the same face for {len(same)} of {len(first)} voices", remedy)


TRAINING_CHECKS: tuple[Callable[[ModelTrial], None], ...] = (
    recipe_can_be_hashed,
    frontend_keeps_its_contract,
    fit_goes_through,
    fit_leaves_the_recipe_alone,
    fit_depends_on_the_seed_alone,
    fit_resumes_from_a_checkpoint,
    recipe_decides_the_steps,
)
MODEL_CHECKS: tuple[Callable[[ModelTrial], None], ...] = (
    card_is_complete,
    *TRAINING_CHECKS,
    generate_gives_faces,
    generate_repeats_itself,
    state_survives_a_file,
    generate_treats_each_voice_alone,
    draws_differ_where_it_says_so,
)
