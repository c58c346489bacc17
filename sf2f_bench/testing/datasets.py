"""`check_dataset`: whether a data set keeps the contract of `Dataset`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cloudpickle
import numpy as np

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.data.splits import check_disjoint
from sf2f_bench.testing.checks import (
    WORDS,
    Rule,
    expect,
    expect_array,
    expect_card,
    expect_error,
    expect_fields,
    expect_finite,
    is_word,
    run_checks,
)
from sf2f_bench.types import SPLITS, AudioFrontend, Dataset, DatasetCard, Identity, KnownLaw, MediaError

FILES = 3  # of each kind that are read, of one person
CARD: dict[str, Rule] = dict.fromkeys(("name", "version", "licence", "description", "limits"), WORDS)
PERSON: dict[str, Rule] = {
    "id": (
        lambda id_: is_word(id_) and not set(id_) & set("/\\\0") and not id_.startswith("."),
        "to be a name that a folder can have",
        "replace slashes and leading dots",
    ),
    "gender": ((None, "f", "m").__contains__, "to be 'f', 'm' or None", "translate it"),
    "age": (lambda age: age is None or 0 < age < 130, "to be in years or None", "translate it"),
}


def check_dataset(dataset: Dataset, *, frontend: AudioFrontend | None = None, people: int = 2) -> None:
    """Run every check of a data set's contract; the first `people` of every split are read.

    frontend: what recordings are asked for; None: the harness's own. Raises BenchError that names the check, what
    was expected, what came and what to do.
    """
    name = getattr(getattr(dataset, "card", None), "name", type(dataset).__name__)
    trial = DatasetTrial(dataset, frontend or LogFilterbank(), people)
    run_checks(f"data set {name}", DATASET_CHECKS, trial)


@dataclass(frozen=True)
class DatasetTrial:
    """A data set and how much of it is read."""

    dataset: Dataset
    frontend: AudioFrontend
    people: int

    def some(self) -> list[Identity]:
        """The people who are read."""
        return [person for split in SPLITS for person in list(self.dataset.identities(split))[: self.people]]

    def media(self, person: str) -> dict[str, Sequence[Any]]:
        """A person's files, by kind."""
        return {"recordings": self.dataset.utterances(person), "photos": self.dataset.photos(person)}


# ---------------------------------------------------------------- checks


def card_is_complete(trial: DatasetTrial) -> None:
    """What a reader must know before believing a number made from it."""
    expect_card(trial.dataset.card, DatasetCard, CARD)


def splits_hold_different_people(trial: DatasetTrial) -> None:
    """Three splits with people, nobody in two, nobody twice, in the same order when asked again."""
    dataset = trial.dataset
    splits = {split: [person.id for person in dataset.identities(split)] for split in SPLITS}
    for split, names in splits.items():
        expect(bool(names), f"people in split {split!r}", "none", "every split needs some")
        again = [person.id for person in dataset.identities(split)]
        expect(names == again, f"the people of {split!r} in a fixed order", "another order", "sort them")
        twice = [name for name, count in Counter(names).items() if count > 1]
        came = f"{twice[:3]} more than once"
        expect(not twice, f"everybody once in {split!r}", came, "drop the duplicates")
    check_disjoint(splits)
    wrong = "no-such-split"
    expect_error(lambda: dataset.identities(wrong), f"split {wrong!r}", "refuse all but train, val and test")


def people_are_described_in_the_fields_words(trial: DatasetTrial) -> None:
    """Ids that can name a folder, genders f or m, ages in years, None for what is not known."""
    for split in SPLITS:
        for person in trial.dataset.identities(split):
            kind = type(person).__name__
            expect(isinstance(person, Identity), "an Identity", kind, "see sf2f_bench.Identity")
            expect_fields(person, f"of {person.id!r} the ", PERSON)


def keys_are_sorted_and_unique(trial: DatasetTrial) -> None:
    """Recordings and photos of a person, each under a key of its own, sorted by it."""
    for person in trial.some():
        for what, items in trial.media(person.id).items():
            expect(bool(items), f"{what} of {person.id}", "none", "leave out people without both")
            keys = [item.key for item in items]
            right = all(is_word(key) for key in keys) and keys == sorted(set(keys))
            expected = f"keys of the {what} of {person.id} to be sorted and unique"
            expect(right, expected, keys[:5], "sort them, and make them unique")


def recordings_can_be_read(trial: DatasetTrial) -> None:
    """float32 ``[filters, frames]``, the same again; a bad one raises MediaError and no other error."""

    def read(item: Any) -> np.ndarray:
        features = item.log_filterbank(trial.frontend)
        remedy = "return frontend(waveform), float32 [T] at 16 kHz in -1..1"
        expect_array(features, "features", "float32", [trial.frontend.filters, "frames"], remedy)
        expect_finite(features, "features", "raise MediaError for a bad recording")
        return features

    _check_reading(trial, "recordings", read)


def photos_can_be_read(trial: DatasetTrial) -> None:
    """uint8 ``[3, size, size]`` of any size, the same again; a bad one raises MediaError and no other error."""

    def read(size: int, item: Any) -> np.ndarray:
        image = item.image(size)
        remedy = "resize, and put the colours first"
        expect_array(image, f"image({size}) as", "uint8", [3, size, size], remedy)
        return image

    for size in (64, 128):
        _check_reading(trial, "photos", partial(read, size))


def fingerprint_stays(trial: DatasetTrial) -> None:
    """A hash of the content: the same when asked again, and in the copy that a worker process gets."""
    mark = trial.dataset.fingerprint()
    expect(is_word(mark), "fingerprint() to be a string", repr(mark), "hash whatever decides the content")
    again = trial.dataset.fingerprint()
    expect(again == mark, "the same fingerprint again", "another one", "leave time out of it")
    copy = cloudpickle.loads(cloudpickle.dumps(trial.dataset))
    expected = "the same fingerprint of a pickled copy (workers get one)"
    expect(copy.fingerprint() == mark, expected, "another one", "hash content, not objects")


def a_known_law_gives_faces(trial: DatasetTrial) -> None:
    """Where the data set knows its law: the oracle's faces."""
    dataset = trial.dataset
    if not isinstance(dataset, KnownLaw):
        return
    person = trial.some()[-1].id
    expect_array(dataset.oracle_face(person, 64), "oracle_face as", "uint8", [3, 64, 64], "see KnownLaw")
    faces = dataset.faces_given_shared(person, 2, 0, 64)
    expect_array(faces, "faces_given_shared as", "uint8", [2, 3, 64, 64], "see KnownLaw")


def _check_reading(trial: DatasetTrial, what: str, read: Callable[[Any], np.ndarray]) -> None:
    """Read some files twice; at least one must be good."""
    good, reason = 0, ""
    for person in trial.some():
        for item in trial.media(person.id)[what][:FILES]:
            try:
                first = read(item)
            except MediaError as error:
                reason = str(error)
                continue
            same = np.array_equal(first, read(item))
            expected = f"{item.key} of {person.id} to be the same when read again"
            expect(same, expected, "another one", "use no randomness here")
            good += 1
    expect(good > 0, f"{what} that can be read", f"none ({reason})", "see the reason")


DATASET_CHECKS: tuple[Callable[[DatasetTrial], None], ...] = (
    card_is_complete,
    splits_hold_different_people,
    people_are_described_in_the_fields_words,
    keys_are_sorted_and_unique,
    recordings_can_be_read,
    photos_can_be_read,
    fingerprint_stays,
    a_known_law_gives_faces,
)
