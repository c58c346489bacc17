"""A negative control from real media: voices and faces of strangers, paired at random."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from sf2f_bench.audio.decode import AUDIO_SUFFIXES, stated_seconds
from sf2f_bench.data.media import AudioFile, PhotoFile, files_in, hash_files
from sf2f_bench.data.splits import limited, people_of
from sf2f_bench.faces.images import PHOTO_SUFFIXES
from sf2f_bench.types import BenchError, DatasetCard, DatasetSource, Identity

FEWEST_PAIRS = 10  # so that every split gets its share
TRAIN_SHARE, VAL_SHARE = 0.5, 0.1
SHORTEST_SECONDS = 2.5  # two evaluation segments: pauses, which are removed, were up to 39 % of read speech

File = TypeVar("File", AudioFile, PhotoFile)


@dataclass(frozen=True)
class Pair:
    """A speaker's recordings under the photos of somebody else."""

    id: str
    recordings: tuple[AudioFile, ...]
    photos: tuple[PhotoFile, ...]


class NullPairs:
    """Data set `null-pairs`: any folder of voices and any folder of faces, paired by chance.

    source: `voices` holds SPEAKER/*.wav (or flac, mp3, m4a) or flat files named SPEAKER-CHAPTER-NUMBER as
    LibriSpeech's are; `faces` holds PERSON/*.jpg (or png, pgm); `seed` shuffles both. No voice and no face
    is in two splits; train 50 %, val 10 %, test 40 % of the pairs. Any score above chance here is an error of the
    measurement. Raises BenchError for missing folders and too few people.
    """

    card = DatasetCard(
        name="null-pairs",
        version="2",
        licence="that of the voices and faces given",
        real=True,
        paired=False,
        media_shareable=False,
        description="Real recordings and real photos of different people, paired at random.",
        limits="No face belongs to its voice: a negative control, never a result about people.",
    )

    def __init__(self, source: DatasetSource) -> None:
        voices, faces = _folders_of(source)
        self._left_out: list[tuple[str, str]] = []
        speakers = _files_by_owner(
            voices,
            AUDIO_SUFFIXES,
            AudioFile,
            "one folder per speaker, or files named SPEAKER-CHAPTER-NUMBER",
            _speaker_of,
        )
        persons = _files_by_owner(faces, PHOTO_SUFFIXES, PhotoFile, "one folder per person", lambda name: "")
        pairs = self._pair(speakers, persons, source.seed)
        if len(pairs) < FEWEST_PAIRS:
            raise BenchError(
                f"null-pairs: expected at least {FEWEST_PAIRS} speakers in {voices} and {FEWEST_PAIRS} people "
                f"in {faces}, which give {len(pairs)} pairs ({len(self._left_out)} left out): add people."
            )
        train = round(TRAIN_SHARE * len(pairs))
        val = train + round(VAL_SHARE * len(pairs))
        splits = {"train": pairs[:train], "val": pairs[train:val], "test": pairs[val:]}
        self._splits = limited(splits, source.limits)
        self._pairs = {pair.id: pair for people in self._splits.values() for pair in people}

    def identities(self, split: str) -> Sequence[Identity]:
        """The pairs of a split; gender and the rest are unknown, for voice and face differ in them."""
        return [Identity(pair.id) for pair in people_of(self._splits, split, "Add voices and faces.")]

    def utterances(self, identity: str) -> Sequence[AudioFile]:
        """The recordings of a pair's speaker, sorted by key."""
        return self._find(identity).recordings

    def photos(self, identity: str) -> Sequence[PhotoFile]:
        """The photos of a pair's other person, sorted by key."""
        return self._find(identity).photos

    def left_out(self) -> list[tuple[str, str]]:
        """Speakers that cannot be used, each with the reason."""
        return list(self._left_out)

    def fingerprint(self) -> str:
        """A hash over who is paired with whom in which split, and the files' names and sizes."""
        return hash_files(self._files())

    def _files(self) -> Iterator[tuple[str, Path]]:
        for split, pairs in self._splits.items():
            for pair in pairs:
                items: list[AudioFile | PhotoFile] = [*pair.recordings, *pair.photos]
                for item in items:
                    yield f"{split}/{pair.id}/{item.key}", item.path

    def _find(self, identity: str) -> Pair:
        if identity not in self._pairs:
            raise BenchError(f"unknown identity {identity!r} in {self.card.name}: ids look like 'pair-007'.")
        return self._pairs[identity]

    def _pair(
        self, speakers: dict[str, list[AudioFile]], persons: dict[str, list[PhotoFile]], seed: int
    ) -> list[Pair]:
        """Shuffle both sides and pair them until one side ends."""
        random = np.random.default_rng(seed)
        voices = [
            name for name in _shuffled(speakers, random) if self._speaks_long_enough(name, speakers[name])
        ]
        faces = _shuffled(persons, random)
        return [
            Pair(f"pair-{number:03d}", tuple(speakers[voice]), tuple(persons[face]))
            for number, (voice, face) in enumerate(zip(voices, faces, strict=False))
        ]

    def _speaks_long_enough(self, speaker: str, recordings: list[AudioFile]) -> bool:
        enough = any(stated_seconds(recording.path) >= SHORTEST_SECONDS for recording in recordings)
        if not enough:
            self._left_out.append((speaker, f"no readable recording of {SHORTEST_SECONDS} s or more"))
        return enough


def _folders_of(source: DatasetSource) -> tuple[Path, Path]:
    if source.root is not None:
        raise BenchError("data set null-pairs takes a folder of voices and one of faces, not a root.")
    for what, folder in (("voices", source.voices), ("faces", source.faces)):
        if folder is None or not folder.is_dir():
            came = "none was named" if folder is None else f"{folder} is not a folder"
            raise BenchError(f"data set null-pairs: expected a folder of {what} (--{what} FOLDER), {came}.")
    assert source.voices is not None
    assert source.faces is not None
    return source.voices, source.faces


def _files_by_owner(
    folder: Path, suffixes: Collection[str], kind: type[File], names: str, flat_owner: Callable[[str], str]
) -> dict[str, list[File]]:
    """Files by the name of the folder of `folder` that they are in, or by what their own name says.

    names: how owners must be told, for errors; flat_owner: the owner of a file that is in no folder, "" for none.
    """
    found: dict[str, list[File]] = {}
    for path in files_in(folder, suffixes):
        inside = path.relative_to(folder)
        owner = inside.parts[0] if len(inside.parts) > 1 else flat_owner(inside.name)
        if not owner:
            raise BenchError(f"{path}: expected {names}; it is not clear whose file this is.")
        found.setdefault(owner, []).append(kind(inside.as_posix(), path))
    if not found:
        raise BenchError(f"{folder}: expected files ({', '.join(sorted(suffixes))}), found none.")
    return found


def _speaker_of(name: str) -> str:
    """Of a flat file: its name up to the first hyphen."""
    speaker, hyphen, _ = name.partition("-")
    return speaker if hyphen else ""


def _shuffled(names: Iterable[str], random: np.random.Generator) -> list[str]:
    ordered = sorted(names)
    return [ordered[index] for index in random.permutation(len(ordered))]
