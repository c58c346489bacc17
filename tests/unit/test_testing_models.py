"""Every check of a model fails for what breaks its rule, and says what to do; front ends and anchors too."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from sf2f_bench import BenchError, ModelSettings
from sf2f_bench.templates.my_model import MyModel, statistics
from sf2f_bench.testing import check_anchor, check_model
from sf2f_bench.testing.frontends import check_features, check_normalise, check_settings
from sf2f_bench.testing.models import MODEL_CHECKS


def title(check) -> str:
    return check.__name__.replace("_", " ")


# ---------------------------------------------------------------- models


class Small(MyModel):
    """The template at 16 pixels, small, so that checks are quick."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(replace(settings, image_size=16))
        self.recipe["hidden"] = 8
        self.network = self._build(seed=0)


class NamelessCard(Small):
    def __init__(self, settings):
        super().__init__(settings)
        self.card = replace(self.card, name="two words")


class WordlessCard(Small):
    def __init__(self, settings):
        super().__init__(settings)
        self.card = replace(self.card, description=" ")


class UnknownChange(Small):
    """Without something, but not the system that is without it."""

    def __init__(self, settings):
        super().__init__(settings)
        self.card = replace(self.card, change="without hidden layer")


class ObjectInRecipe(Small):
    def __init__(self, settings):
        super().__init__(settings)
        self.recipe["optimiser"] = torch.optim.Adam


class ChanceInRecipe(Small):
    def __init__(self, settings):
        super().__init__(settings)
        self.recipe["name"] = float(np.random.default_rng().random())


class HidesSteps(Small):
    """How long it trains is not in its recipe."""

    def __init__(self, settings):
        super().__init__(settings)
        self.steps = self.recipe.pop("steps")

    def fit(self, data, context):
        self.network = context.setup(self._build(context.seed))
        for step in context.loop("fit", self.steps, {"network": self.network}, self):
            data.batch(step, 4)


class WritesRecipe(Small):
    def fit(self, data, context):
        super().fit(data, context)
        self.recipe["final_loss"] = 0.1


class UnseededStart(Small):
    def _build(self, seed):
        return super()._build(int(torch.randint(10_000, (1,))))


class ForgetsOptimiser(Small):
    """Its optimiser begins anew after a kill."""

    def fit(self, data, context):
        self.network = context.setup(self._build(context.seed))
        adam = context.adam(self.network.parameters(), 1e-3, (0.9, 0.999))
        for step in context.loop("fit", self.recipe["steps"], {"network": self.network}, self):
            batch = data.batch(step, 4)
            context.update(adam, (self.network(statistics(batch.voices[:, None])) ** 2).mean())


class CountsItsOwnSteps(Small):
    """Takes batches by a counter that a kill sets back."""

    def fit(self, data, context):
        self.network = context.setup(self._build(context.seed))
        adam = context.adam(self.network.parameters(), 1e-3, (0.9, 0.999))
        state = {"network": self.network, "adam": adam}
        for count, _ in enumerate(context.loop("fit", self.recipe["steps"], state, self)):
            batch = data.batch(count, 4)
            context.update(adam, (self.network(statistics(batch.voices[:, None])) ** 2).mean())


class KeepsSomethingBack(Small):
    """Learns a shift that its state dict leaves out."""

    shift = 0

    def fit(self, data, context):
        super().fit(data, context)
        self.shift = 7

    def generate(self, voices, *, generator):
        return super().generate(voices, generator=generator) + self.shift


class FloatFaces(Small):
    def generate(self, voices, *, generator):
        return super().generate(voices, generator=generator).float() / 255


class NoFaces(Small):
    def generate(self, voices, *, generator):
        super().generate(voices, generator=generator)


class NarrowFaces(Small):
    """Narrow ones of a single segment, which is not what it is validated on."""

    def generate(self, voices, *, generator):
        faces = super().generate(voices, generator=generator)
        return faces[..., :8] if voices.shape[1] == 1 else faces


class Explodes(Small):
    def fit(self, data, context):
        super().fit(data, context)
        with torch.no_grad():
            next(iter(self.network.parameters())).fill_(torch.inf)


class NotThreeSegments(Small):
    def generate(self, voices, *, generator):
        if voices.shape[1] == 3:
            raise RuntimeError("the size of tensor a (3) must match")
        return super().generate(voices, generator=generator)


class GlobalNoise(Small):
    def generate(self, voices, *, generator):
        return super().generate(voices + torch.randn(voices.shape), generator=generator)


class InPlace(Small):
    def generate(self, voices, *, generator):
        return super().generate(voices.mul_(0.5), generator=generator)


class BatchStatistics(Small):
    """Normalises by the batch at hand."""

    def generate(self, voices, *, generator):
        return super().generate(voices - voices.mean(dim=0, keepdim=True), generator=generator)


class OtherNames(Small):
    def state_dict(self):
        return {"network": self.network}


class SaysThatItDraws(Small):
    """It has the attribute and no noise."""

    one_to_many = True


@pytest.mark.parametrize(
    ("model", "check", "words"),
    [
        (NamelessCard, "card is complete", "'two words'; rename it"),
        (WordlessCard, "card is complete", "card.description to say something"),
        (UnknownChange, "card is complete", "got '' and 'without hidden layer'"),
        (ObjectInRecipe, "recipe can be hashed", "put plain values into it"),
        (ChanceInRecipe, "recipe can be hashed", "leave time and randomness out"),
        (HidesSteps, "recipe decides the steps", "write what you take from the settings into self.recipe"),
        (WritesRecipe, "fit leaves the recipe alone", "do not write into self.recipe"),
        (UnseededStart, "fit depends on the seed alone", "make initial weights from context.seed"),
        (
            ForgetsOptimiser,
            "fit resumes from a checkpoint",
            "hand every network and optimiser to context.loop",
        ),
        (CountsItsOwnSteps, "fit resumes from a checkpoint", "take batches and noise by the step's number"),
        (KeepsSomethingBack, "state survives a file", "put all that generate uses into state_dict"),
        (OtherNames, "fit goes through", "tensors by name"),
        (FloatFaces, "fit goes through", "it gave torch.float32"),
        (NoFaces, "fit goes through", "it gave nothing: NoFaces ("),
        (Explodes, "fit goes through", "lower the learning rate"),
        (NarrowFaces, "generate gives faces", "expected faces uint8 [1, 3, 16, 16]"),
        (NotThreeSegments, "generate gives faces", "RuntimeError: the size of tensor a (3) must match"),
        (GlobalNoise, "generate repeats itself", "take random numbers from `generator` only"),
        (InPlace, "generate repeats itself", "do not work in place"),
        (BatchStatistics, "generate treats each voice alone", "switch to eval()"),
        (SaysThatItDraws, "draws differ where it says so", "or leave `one_to_many` out"),
    ],
)
def test_a_broken_model_fails_its_check(model, check, words):
    with pytest.raises(BenchError) as failed:
        check_model(model, image_size=16, steps=2)
    assert f"check '{check}'" in str(failed.value)
    assert words in str(failed.value)


def test_a_sound_model_passes_as_a_class_and_as_an_instance():
    check_model(Small, image_size=16, steps=2)
    check_model(Small(ModelSettings(16, steps=3)), image_size=16)


def test_every_check_of_a_model_has_a_broken_one():
    marks = test_a_broken_model_fails_its_check.pytestmark[0].args[1]
    assert {check for _, check, _ in marks} == {title(check) for check in MODEL_CHECKS} - {
        "frontend keeps its contract"
    }


# ---------------------------------------------------------------- front ends


@dataclass(frozen=True)
class Sound:
    """A minimal front end: energies of 40 frames in a fixed order."""

    id: str = "sound"
    filters: int = 40
    frames_per_second: float = 100.0
    crop_frames: tuple[int, int] = (10, 20)
    segment_frames: int = 10

    def __call__(self, waveform):
        return waveform[: len(waveform) // 40 * 40].reshape(40, -1).astype(np.float32)

    def normalise(self, features):
        return features * 2


class MeanOfSegment(Sound):
    def normalise(self, features):
        return features - features.mean(-1, keepdims=True)


class DoubleFeatures(Sound):
    def __call__(self, waveform):
        return super().__call__(waveform).astype(np.float64)


class InPlaceSound(Sound):
    def __call__(self, waveform):
        waveform *= 0.5
        return super().__call__(waveform)


class ChancySound(Sound):
    def __call__(self, waveform):
        return super().__call__(waveform) + np.float32(np.random.default_rng().random())


class SilentNan(Sound):
    def __call__(self, waveform):
        return super().__call__(waveform / np.abs(waveform).max())


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    ("frontend", "words"),
    [
        (Sound(id=""), "frontend.id to say something"),
        (Sound(segment_frames=0), "frontend.segment_frames to be a positive whole number"),
        (Sound(crop_frames=(20, 10)), "(shortest, longest)"),
        (Sound(filters=39), "float32 [39, frames], got float32 [40,"),
        (MeanOfSegment(), "normalise"),
        (DoubleFeatures(), "got float64"),
        (InPlaceSound(), "the waveform to stay as it is"),
        (ChancySound(), "use no randomness"),
        (SilentNan(), "features, or MediaError, for two seconds of silence"),
    ],
)
def test_a_broken_front_end_is_named(frontend, words):
    with pytest.raises(BenchError) as failed:
        check_frontend(frontend)
    assert words in str(failed.value)


def check_frontend(frontend):
    check_settings(frontend)
    check_normalise(frontend, check_features(frontend))


def test_a_sound_front_end_passes():
    check_frontend(Sound())


def test_a_model_answers_for_its_front_end():
    class Mine(Small):
        def __init__(self, settings):
            super().__init__(settings)
            self.frontend = Sound(id="")

    with pytest.raises(
        BenchError, match=r"check 'frontend keeps its contract': expected frontend\.id to say something"
    ):
        check_model(Mine, image_size=16)


# ---------------------------------------------------------------- anchors


def test_a_broken_anchor_fails():
    from baselines.anchors import Chance, MeanFace

    class Half(MeanFace):
        def answer(self, evaluation):
            return replace(super().answer(evaluation), faces=super().answer(evaluation).faces[:2])

    class Chancy(Chance):
        def answer(self, evaluation):
            rows = np.random.default_rng().random((len(evaluation.identities), 2))
            return replace(super().answer(evaluation), ranking=(rows, rows))

    class Both(Chance):
        def answer(self, evaluation):
            return replace(super().answer(evaluation), faces=np.zeros((5, 3, 64, 64), np.uint8))

    class Nowhere(Chance):
        card = replace(Chance.card, place="system")

    class Boundless(Chance):
        card = replace(Chance.card, tolerance=3)

    for anchor, words in (
        (Nowhere, "card.place to be 'floor' or 'ceiling', got 'system'"),
        (Boundless, "card.tolerance to be None or a relative difference"),
        (Half, "one picture an identity"),
        (Chancy, "seed whatever"),
        (Both, "exactly one"),
    ):
        with pytest.raises(BenchError, match=words):
            check_anchor(anchor)
    check_model(Chance)  # and anchors need no other call
