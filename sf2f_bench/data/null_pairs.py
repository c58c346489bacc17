"""A negative control from real media: voices and faces of strangers, paired at random."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from sf2f_bench.audio.decode import AUDIO_SUFFIXES, stated_seconds
from sf2f_bench.data.media import AudioFile, PhotoFile, files_in, hash_files, unread_files
from sf2f_bench.data.splits import limited, people_of
from sf2f_bench.faces.images import PHOTO_SUFFIXES
from sf2f_bench.progress import first_few
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

    source: `voices` holds SPEAKER/*.wav (or flac, mp3, m4a) or, at any depth, files named SPEAKER-CHAPTER-NUMBER as
    LibriSpeech's are (SUBSET/SPEAKER/CHAPTER/*.flac); `faces` holds PERSON/*.jpg (or png, pgm); `seed` shuffles both.
    No voice and no face is in two splits; train 50 %, val 10 %, test 40 % of the pairs. Any score above chance here is
    an error of the measurement. Raises BenchError for missing folders and too few people.
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
        voices, faces = self._voices, self._faces = _folders_of(source)
        self._left_out: list[tuple[str, str]] = []
        speakers = _files_by_owner(
            voices,
            AUDIO_SUFFIXES,
            AudioFile,
            "one folder per speaker, or files named SPEAKER-CHAPTER-NUMBER",
            _speaker_of,
        )
        persons = _files_by_owner(faces, PHOTO_SUFFIXES, PhotoFile, "one folder per person", lambda path: "")
        pairs = self._pair(speakers, persons, source.seed)
        if len(pairs) < FEWEST_PAIRS:
            few = first_few([f"{name}: {reason}" for name, reason in self._left_out], 2, "; ")
            reasons = f", {few}" if few else ""
            raise BenchError(
                f"null-pairs: expected at least {FEWEST_PAIRS} speakers in {voices} and {FEWEST_PAIRS} people "
                f"in {faces}, which give {len(pairs)} pairs ({len(self._left_out)} left out{reasons}): add people."
                f"{_deeper(voices, speakers, 'voices')}{_deeper(faces, persons, 'faces')}"
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
        """Speakers that cannot be used, and files of kinds that are not read, each with the reason."""
        unread = [
            found
            for folder, suffixes in ((self._voices, AUDIO_SUFFIXES), (self._faces, PHOTO_SUFFIXES))
            for found in unread_files(folder, suffixes)
        ]
        return [*self._left_out, *(("", f"{path}: {reason}") for path, reason in unread)]

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
    folder: Path, suffixes: Collection[str], kind: type[File], names: str, owner_in: Callable[[Path], str]
) -> dict[str, list[File]]:
    """Files by the owner that their own name states, or by the folder of `folder` that they are in.

    names: how owners must be told, for errors; owner_in: the owner stated by a path within `folder`, "" for none.
    """
    found: dict[str, list[File]] = {}
    for path in files_in(folder, suffixes):
        inside = path.relative_to(folder)
        owner = owner_in(inside) or (inside.parts[0] if len(inside.parts) > 1 else "")
        if not owner:
            raise BenchError(f"{path}: expected {names}; it is not clear whose file this is.")
        found.setdefault(owner, []).append(kind(inside.as_posix(), path))
    if not found:
        others = first_few([path.name for path, _ in unread_files(folder, suffixes)])
        came = f"none, but {others}" if others else "none"
        raise BenchError(f"{folder}: expected files ({', '.join(sorted(suffixes))}), found {came}.")
    return found


def _speaker_of(path: Path) -> str:
    """Of a file named SPEAKER-...: SPEAKER, where the file is in no folder or in one of that name at any depth."""
    speaker, hyphen, _ = path.name.partition("-")
    return speaker if hyphen and (len(path.parts) == 1 or speaker in path.parts[:-1]) else ""


def _deeper(folder: Path, owners: Mapping[str, Sequence[File]], what: str) -> str:
    """Advice where people seem to be one folder deeper than they were looked for; else nothing."""
    if len(owners) >= FEWEST_PAIRS:
        return ""
    for owner, files in owners.items():
        inner = {file.path.relative_to(folder).parts[1] for file in files if file.key.count("/") > 1}
        if len(inner) >= FEWEST_PAIRS:
            return (
                f" {owner} counts as one, and has {len(inner)} folders ({first_few(sorted(inner), 3)}): if each is "
                f"somebody's, name --{what} {folder / owner}."
            )
    return ""


def _shuffled(names: Iterable[str], random: np.random.Generator) -> list[str]:
    ordered = sorted(names)
    return [ordered[index] for index in random.permutation(len(ordered))]
