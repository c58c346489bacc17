"""`check_dataset`: does a data set keep the contract of `Dataset`?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import numpy as np

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.data.splits import check_disjoint
from sf2f_bench.testing.checks import expect, is_word, run_checks
from sf2f_bench.types import (
    SPLITS,
    AudioFrontend,
    BenchError,
    Dataset,
    DatasetCard,
    Identity,
    KnownLaw,
    MediaError,
    Photo,
    Utterance,
)

FILES = 3  # of one person that are read, of each kind


def check_dataset(dataset: Dataset, *, frontend: AudioFrontend | None = None, people: int = 2) -> None:
    """Run every check of a data set's contract; of every split the first `people` are read.

    frontend: what recordings are asked for; None: the harness's own. Raises BenchError that names the check, what
    was expected, what came and what to do.
    """
    name = getattr(getattr(dataset, "card", None), "name", type(dataset).__name__)
    run_checks(f"data set {name}", DATASET_CHECKS, Trial(dataset, frontend or LogFilterbank(), people))


class Trial:
    """A data set and how much of it is read."""

    def __init__(self, dataset: Dataset, frontend: AudioFrontend, people: int) -> None:
        self.dataset, self.frontend, self.people = dataset, frontend, people

    def some(self) -> list[Identity]:
        """The people who are read."""
        return [person for split in SPLITS for person in list(self.dataset.identities(split))[: self.people]]


# ---------------------------------------------------------------- checks


def card_is_complete(trial: Trial) -> None:
    """What a reader must know before believing a number made from it."""
    card = trial.dataset.card
    expect(isinstance(card, DatasetCard), "a DatasetCard", type(card).__name__, "see sf2f_bench.DatasetCard")
    for field in ("name", "version", "licence", "description", "limits"):
        value = getattr(card, field)
        expect(is_word(value), f"card.{field} to say something", repr(value), "fill it in")
    for field in ("real", "paired", "media_shareable"):
        value = getattr(card, field)
        expect(type(value) is bool, f"card.{field} to be True or False", repr(value), "decide")


def splits_hold_different_people(trial: Trial) -> None:
    """Three splits with people, nobody in two, nobody twice, in the same order when asked again."""
    dataset = trial.dataset
    splits = {split: [person.id for person in dataset.identities(split)] for split in SPLITS}
    for split, names in splits.items():
        expect(bool(names), f"people in split {split!r}", "none", "give every split some")
        again = [person.id for person in dataset.identities(split)]
        expect(names == again, f"the people of {split!r} in a fixed order", "another order", "sort them")
        twice = (
            sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        )
        expect(not twice, f"everybody once in {split!r}", f"{twice[:3]} more than once", "drop the doubles")
    check_disjoint(splits)
    try:
        dataset.identities("no-such-split")
    except BenchError:
        return
    expect(False, "BenchError for split 'no-such-split'", "people", "refuse what is not train, val or test")


def people_are_described_in_the_fields_words(trial: Trial) -> None:
    """Ids that can name a folder, genders f or m, ages in years, None for what is not known."""
    for split in SPLITS:
        for person in trial.dataset.identities(split):
            expect(
                isinstance(person, Identity), "an Identity", type(person).__name__, "see sf2f_bench.Identity"
            )
            right = is_word(person.id) and not set(person.id) & set("/\\\0") and not person.id.startswith(".")
            expect(
                right, "an id that can name a folder", repr(person.id), "replace slashes and dots in front"
            )
            right = person.gender in (None, "f", "m")
            expect(right, f"gender of {person.id} as 'f', 'm' or None", repr(person.gender), "translate it")
            right = person.age is None or 0 < person.age < 130
            expect(right, f"age of {person.id} in years or None", repr(person.age), "translate it")


def keys_are_sorted_and_unique(trial: Trial) -> None:
    """Recordings and photos of a person, each under a key of its own, sorted by it."""
    for person in trial.some():
        for what, items in _media(trial, person.id).items():
            expect(bool(items), f"{what} of {person.id}", "none", "leave out people without both")
            keys = [item.key for item in items]
            right = all(is_word(key) for key in keys) and keys == sorted(set(keys))
            expect(
                right,
                f"keys of the {what} of {person.id} sorted, each once",
                keys[:5],
                "sort them, make them unique",
            )


def recordings_can_be_read(trial: Trial) -> None:
    """float32 ``[filters, frames]``, the same again; a bad one raises MediaError and no other error."""
    rows = trial.frontend.filters

    def read(item: Any) -> np.ndarray:
        features = item.log_filterbank(trial.frontend)
        came = f"{getattr(features, 'dtype', type(features).__name__)} {list(np.shape(features))}"
        right = (
            getattr(features, "dtype", None) == np.float32
            and np.ndim(features) == 2
            and len(features) == rows
        )
        expect(
            right,
            f"float32 [{rows}, frames]",
            came,
            "return frontend(waveform), float32 [T] at 16 kHz in -1..1",
        )
        finite = bool(np.isfinite(features).all())
        expect(finite, "finite features", "NaN or infinity", "raise MediaError for a bad recording")
        return features

    _check_reading(trial, "recordings", read)


def photos_can_be_read(trial: Trial) -> None:
    """uint8 ``[3, size, size]`` of any size, the same again; a bad one raises MediaError and no other error."""

    def read(item: Any, size: int = 64) -> np.ndarray:
        image = item.image(size)
        came = f"{getattr(image, 'dtype', type(image).__name__)} {list(np.shape(image))}"
        right = getattr(image, "dtype", None) == np.uint8 and np.shape(image) == (3, size, size)
        expect(
            right, f"image({size}) as uint8 [3, {size}, {size}]", came, "resize, and put the colours first"
        )
        return image

    for size in (64, 128):
        _check_reading(trial, "photos", lambda item, size=size: read(item, size))  # type: ignore[misc]


def fingerprint_stays(trial: Trial) -> None:
    """A hash of the content: the same when asked again, and in the copy that a worker process gets."""
    mark = trial.dataset.fingerprint()
    expect(is_word(mark), "fingerprint() to be a string", repr(mark), "hash what decides the content")
    expect(
        trial.dataset.fingerprint() == mark,
        "the same fingerprint again",
        "another one",
        "leave time out of it",
    )
    copy = cloudpickle.loads(cloudpickle.dumps(trial.dataset))
    same = copy.fingerprint() == mark
    expect(
        same, "a pickled copy (workers get one) to have the same", "another one", "hash content, not objects"
    )


def a_known_law_draws_faces(trial: Trial) -> None:
    """Where the data set knows its law: the oracle's faces."""
    dataset = trial.dataset
    if not isinstance(dataset, KnownLaw):
        return
    person = trial.some()[-1].id
    faces = np.concatenate(
        [dataset.oracle_face(person, 64)[None], dataset.faces_given_shared(person, 2, 0, 64)]
    )
    right = faces.dtype == np.uint8 and faces.shape == (3, 3, 64, 64)
    expect(
        right,
        "faces uint8 [3, 64, 64] and [2, 3, 64, 64]",
        f"{faces.dtype} {list(faces.shape)}",
        "see KnownLaw",
    )


def _media(trial: Trial, person: str) -> dict[str, Sequence[Utterance] | Sequence[Photo]]:
    return {"recordings": trial.dataset.utterances(person), "photos": trial.dataset.photos(person)}


def _check_reading(trial: Trial, what: str, read: Callable[[Any], np.ndarray]) -> None:
    """Read some files twice; at least one must be good."""
    good, reason = 0, ""
    for person in trial.some():
        items: list[Any] = list(_media(trial, person.id)[what])[:FILES]
        for item in items:
            try:
                first = read(item)
            except MediaError as error:
                reason = str(error)
                continue
            same = np.array_equal(first, read(item))
            expect(
                same,
                f"{item.key} of {person.id} to be the same when read again",
                "another one",
                "no chance here",
            )
            good += 1
    expect(good > 0, f"{what} that can be read", f"none ({reason})", "look at the reason")


DATASET_CHECKS: tuple[Callable[[Trial], None], ...] = (
    card_is_complete,
    splits_hold_different_people,
    people_are_described_in_the_fields_words,
    keys_are_sorted_and_unique,
    recordings_can_be_read,
    photos_can_be_read,
    fingerprint_stays,
    a_known_law_draws_faces,
)
