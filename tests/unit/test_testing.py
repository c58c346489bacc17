"""Every check of a metric, a data set and an extractor fails for what breaks its rule, and says what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from sf2f_bench import Alarm, BenchError, DatasetCard, DatasetSource, Features, Margin, MetricCard, Score
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.templates.my_dataset import MyDataset
from sf2f_bench.templates.my_metric import MyMetric
from sf2f_bench.testing import check_dataset, check_extractor, check_metric
from sf2f_bench.testing.datasets import DATASET_CHECKS
from sf2f_bench.testing.extractors import EXTRACTOR_CHECKS
from sf2f_bench.testing.metrics import METRIC_CHECKS
from sf2f_bench.types import ExtractorCard
from tests.tiny import CARD, TinyDataset, TinyFrontend, TinyPhoto


def title(check) -> str:
    return check.__name__.replace("_", " ")


# ---------------------------------------------------------------- metrics


@dataclass(frozen=True)
class Broken(MyMetric):
    """The template's metric with one thing wrong: `change` gets (real, fake, rng, sound score)."""

    change: object = None

    def __call__(self, real: Features, fake: Features, rng) -> Score:
        return self.change(real, fake, rng, super().__call__(real, fake, rng))


def with_card(**changes) -> MyMetric:
    """The template's metric, whose card has one thing wrong."""

    @dataclass(frozen=True)
    class Mine(MyMetric):
        card: ClassVar[MetricCard] = replace(MyMetric.card, **changes)

    return Mine()


def test_a_metric_without_a_card_passes():
    @dataclass(frozen=True)
    class Mine(MyMetric):
        card: ClassVar[None] = None

    check_metric(Mine())


def test_a_card_of_another_class_fails():
    @dataclass(frozen=True)
    class Mine(MyMetric):
        card: ClassVar[dict] = {"heading": "mine"}

    with pytest.raises(BenchError, match="card to be of class MetricCard, got dict"):
        check_metric(Mine())


def in_place(real, fake, rng, score):
    fake.embeddings[0] = 0
    return score


def by_position(real, fake, rng, score):
    n = len(real.identities)
    values = score.per_identity * np.arange(1, n + 1) / n
    return Score(float(values.mean()), score.n, None, values)


def of_own_chance(real, fake, rng, score):
    return replace(score, value=float(np.random.default_rng().random()), per_identity=None, interval=None)


def crashes_on_ties(real, fake, rng, score):
    if len(np.unique(fake.embeddings, axis=0)) < len(fake.embeddings):
        raise ZeroDivisionError("all alike")
    return score


@pytest.mark.parametrize(
    ("metric", "check", "words"),
    [
        (MyMetric(name="my metric"), "it describes itself", "without spaces"),
        (MyMetric(version="1"), "it describes itself", "version to be a whole number"),
        (MyMetric(higher_is_better="yes"), "it describes itself", "say which end is good"),
        (MyMetric(needs=("faces",)), "it describes itself", "['faces']"),
        (MyMetric(min_n=0), "it describes itself", "min_n to be a whole number"),
        *(
            (with_card(**{field: value}), "its card is complete and in itself sound", words)
            for field, value, words in (
                ("quantity", " ", "card.quantity to say something"),
                ("family", "faces", "card.family to be one of 'identity'"),
                ("heading", "", "card.heading to say something"),
                ("format", "percent", "card.format to be one of 'share'"),
                ("factor", 0.0, "card.factor to be a number above 0"),
                ("bounds", (2.0, -2.0), "smallest and the largest value"),
                ("bounds", (None, "2"), "smallest and the largest value"),
                ("chance", 3.0, "card.chance within card.bounds (-2.0, 2.0), got 3.0"),
                ("margin", 0.03, "card.margin to be a Margin"),
                ("margin", Margin(-1.0), "card.margin to be a Margin of 0 or more"),
                ("decides", ("everybody",), "card.decides to be a tuple of judge"),
                ("shown", "judge", "card.shown to be a tuple of judge"),
                ("tables", ("likeness",), "card.tables to be {table: priority}"),
                ("order", {"likeness": "last"}, "card.order to be {table: place}"),
                ("headline", True, "the headline is the suite's own recall"),
                ("alarm", Alarm(0.5, True, "it shines"), "an alarm at the bad end, got one above 0.5"),
                ("smooth", 1, "card.smooth to be True or False"),
            )
        ),
        (with_card(bounds=(-0.1, 0.1)), "it gives a sound score", "outside the metric's bounds, -0.1 to 0.1"),
        (with_card(chance=1.9), "the good end is the good end", "no worse than card.chance 1.9"),
        (Broken(change=lambda r, f, g, s: s.value), "it gives a sound score", "expected a Score, got float"),
        (
            Broken(change=lambda r, f, g, s: replace(s, value=np.nan)),
            "it gives a sound score",
            "finite value",
        ),
        (Broken(change=lambda r, f, g, s: replace(s, n=s.n - 1)), "it gives a sound score", "n = 23, but 24"),
        (Broken(change=lambda r, f, g, s: replace(s, n=10_000)), "it gives a sound score", "n from 1 to 24"),
        (
            Broken(change=lambda r, f, g, s: replace(s, interval=(5.0, 6.0))),
            "it gives a sound score",
            "does not hold the value",
        ),
        (
            Broken(change=lambda r, f, g, s: replace(s, basis="median")),
            "it gives a sound score",
            "the median of its per-identity values",
        ),
        (
            Broken(change=lambda r, f, g, s: replace(s, per_identity=s.per_identity[1:], n=s.n - 1)),
            "it gives a sound score",
            "NaN for excluded identities",
        ),
        (
            Broken(change=lambda r, f, g, s: replace(s, per_identity=None, replicates=np.zeros(7))),
            "it gives a sound score",
            "expected 100 finite replicates, found 7",
        ),
        (Broken(change=in_place), "it gives a sound score", "read-only"),
        (Broken(change=of_own_chance), "it repeats itself and changes nothing", "take chance from rng alone"),
        (Broken(change=by_position), "the order of people does not matter", "position of a row"),
        (Broken(change=crashes_on_ties), "ties and duplicates do not crash", "ZeroDivisionError: all alike"),
        (MyMetric(higher_is_better=False), "the good end is the good end", "turn higher_is_better round"),
    ],
)
def test_a_broken_metric_fails_its_check(metric, check, words):
    with pytest.raises(BenchError) as failed:
        check_metric(metric)
    assert f"check '{check}'" in str(failed.value)
    assert words in str(failed.value)


def test_a_metric_that_accepts_too_few_people_fails():
    class Careless(MyMetric):
        def __call__(self, real, fake, rng):
            values = (np.asarray(real.embeddings) * fake.embeddings).sum(axis=1)
            return Score(float(values.mean()), len(values), None, values)

    with pytest.raises(BenchError, match=r"check 'the fewest people are enough .* BenchError for 2 people"):
        check_metric(Careless())


def test_a_distance_said_to_be_a_similarity_fails():
    from sf2f_bench.metrics.distribution import FrechetDistance

    class Similarity(FrechetDistance):
        higher_is_better = True

    with pytest.raises(BenchError, match="photos unrelated"):
        check_metric(Similarity())


def test_every_check_of_a_metric_has_a_broken_one():
    marks = test_a_broken_metric_fails_its_check.pytestmark[0].args[1]
    assert {check for _, check, _ in marks} == {title(check) for check in METRIC_CHECKS} - {
        "the fewest people are enough and fewer are refused"
    }


# ---------------------------------------------------------------- data sets


COMPLETE = replace(CARD, limits="invented")


@dataclass(frozen=True)
class Tiny(TinyDataset):
    """The tests' data set, complete."""

    card: DatasetCard = COMPLETE

    def identities(self, split):
        if split not in self.counts:
            raise BenchError(f"no split {split}")
        return super().identities(split)


class AnySplit(Tiny):
    def identities(self, split):
        return super().identities("test" if split not in self.counts else split)


class WordsForGender(Tiny):
    def identities(self, split):
        return [replace(person, gender="q") for person in super().identities(split)]


class FolderIds(Tiny):
    def identities(self, split):
        return [replace(person, id=f"a/{person.id}") for person in super().identities(split)]


class Unsorted(Tiny):
    def photos(self, identity):
        return super().photos(identity)[::-1]


class Mute(Tiny):
    def utterances(self, identity):
        return []


class ChancyMark(Tiny):
    def fingerprint(self):
        return str(np.random.default_rng().random())


class MarkOfAnObject(Tiny):
    def fingerprint(self):
        return str(id(self))


class WrongPhoto(Tiny):
    def photos(self, identity):
        @dataclass(frozen=True)
        class Turned(TinyPhoto):
            def image(self, size):
                return super().image(size).transpose(1, 2, 0)

        return [Turned(photo.key, photo.seed) for photo in super().photos(identity)]


class CrashingPhoto(Tiny):
    def photos(self, identity):
        @dataclass(frozen=True)
        class Gone(TinyPhoto):
            def image(self, size):
                raise FileNotFoundError("gone.png")

        return [Gone(photo.key, photo.seed) for photo in super().photos(identity)]


ALL_BROKEN = frozenset(
    (f"{split}-{number}", f"u{i}")
    for split in ("train", "val", "test")
    for number in range(6)
    for i in range(2)
)


@pytest.mark.parametrize(
    ("dataset", "check", "words"),
    [
        (Tiny(card=CARD), "card is complete", "card.limits to say something"),
        (Tiny(shared_identity=True), "splits hold different people", "share 1 identities (train-0)"),
        (
            Tiny({"train": 6, "val": 0, "test": 5}),
            "splits hold different people",
            "people in split 'val', got none",
        ),
        (AnySplit(), "splits hold different people", "refuse all but train, val and test"),
        (WordsForGender(), "splits hold different people", "gender 'q': expected f (female) or m"),
        (
            FolderIds(),
            "people are described in the fields words",
            "to be a name that a folder can have, got 'a/train-0'",
        ),
        (Unsorted(), "keys are sorted and unique", "['p2', 'p1', 'p0']"),
        (Mute(), "keys are sorted and unique", "recordings of train-0, got none"),
        (Tiny(broken=ALL_BROKEN), "recordings can be read", "planted fault"),
        (WrongPhoto(), "photos can be read", "image(64) as uint8 [3, 64, 64], got uint8 [64, 64, 3]"),
        (CrashingPhoto(), "photos can be read", "FileNotFoundError: gone.png"),
        (ChancyMark(), "fingerprint stays", "leave time out of it"),
        (MarkOfAnObject(), "fingerprint stays", "hash content, not objects"),
    ],
)
def test_a_broken_data_set_fails_its_check(dataset, check, words):
    with pytest.raises(BenchError) as failed:
        check_dataset(dataset, frontend=TinyFrontend())
    assert f"check '{check}'" in str(failed.value)
    assert words in str(failed.value)


def test_a_sound_data_set_passes_with_a_bad_file_in_it():
    check_dataset(Tiny(broken=frozenset({("test-0", "u0"), ("train-0", "p1")})), frontend=TinyFrontend())


def test_every_check_of_a_data_set_has_a_broken_one():
    marks = test_a_broken_data_set_fails_its_check.pytestmark[0].args[1]
    assert {check for _, check, _ in marks} == {title(check) for check in DATASET_CHECKS} - {
        "a known law gives faces"  # of synthetic worlds alone
    }


def test_the_template_says_which_folder_it_wants():
    with pytest.raises(BenchError, match="--root FOLDER"):
        MyDataset(DatasetSource())


# ---------------------------------------------------------------- extractors


class Eye:
    """A small sound extractor."""

    recognises = True
    sha256 = "ab" * 32
    id = "eye/1@abababab"

    def __call__(self, images):
        if images.dtype != torch.uint8 or images.shape[1] != 3:
            raise BenchError("uint8 faces")
        return nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1), None


class Noisy(Eye):
    def __call__(self, images):
        return super().__call__(images)[0] + torch.rand(1), None


class Together(Eye):
    def __call__(self, images):
        seen = super().__call__(images)[0]
        return seen - seen.mean(dim=0), None


class TakesAll(Eye):
    def __call__(self, images):
        return super().__call__(images.to(torch.uint8))


class Nameless(Eye):
    id = "eye/1"


class NoLicence(Eye):
    card = ExtractorCard(licence="")


class Logits(Eye):
    def __call__(self, images):
        seen = super().__call__(images)[0]
        return seen, seen


class Thawed(EmbeddedExtractor):
    def __init__(self):
        super().__init__("embedded-perceptual")
        self.module.requires_grad_(True)


@pytest.mark.parametrize(
    ("extractor", "check", "words"),
    [
        (Nameless(), "it names its weights", "@abababab"),
        (NoLicence(), "its card is complete", "card.licence to say something, got ''; fill it in"),
        (Noisy(), "it gives embeddings and probabilities", "eval()"),
        (Logits(), "it gives embeddings and probabilities", "apply softmax"),
        (Together(), "each face is seen alone", "running statistics"),
        (TakesAll(), "it takes faces of any size and nothing else", "BenchError for float32 faces"),
        (Thawed(), "its module can be a training loss", "requires_grad_(False)"),
    ],
)
def test_a_broken_extractor_fails_its_check(extractor, check, words):
    with pytest.raises(BenchError) as failed:
        check_extractor(extractor)
    assert f"check '{check}'" in str(failed.value)
    assert words in str(failed.value)


def test_a_sound_extractor_passes_and_every_check_has_a_broken_one():
    check_extractor(Eye())
    marks = test_a_broken_extractor_fails_its_check.pytestmark[0].args[1]
    assert {check for _, check, _ in marks} == {title(check) for check in EXTRACTOR_CHECKS}
