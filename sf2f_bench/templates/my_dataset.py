"""my-dataset: a template that reads ROOT/train|val|test/PERSON/*.wav (flac, mp3, m4a) and *.png (jpg)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sf2f_bench import (
    AUDIO_SUFFIXES,
    PHOTO_SUFFIXES,
    SPLITS,
    AudioFile,
    BenchError,
    DatasetCard,
    DatasetSource,
    Identity,
    PhotoFile,
    files_in,
    hash_files,
    limited,
    people_of,
)


class MyDataset:
    """A folder for each split, in it one for each person. Raises BenchError without `--root`."""

    card = DatasetCard(
        name="my-dataset",
        version="1",  # raise it when people or files change
        licence="state whose media these are and what is allowed",
        real=True,  # recordings and photos of people
        paired=True,  # a voice and a face of one identity belong to one person
        media_shareable=False,  # may faces be shown in a report?
        description="What it holds, of whom, recorded how.",
        limits="What it cannot show; which published networks have seen its people.",
    )

    def __init__(self, source: DatasetSource) -> None:
        if source.root is None or not source.root.is_dir():
            raise BenchError(f"my-dataset: expected a folder (--root FOLDER), got {source.root or 'none'}.")
        found = {split: sorted(_folders(source.root / split)) for split in SPLITS}
        self._splits = limited(found, source.limits)
        self._folders = {folder.name: folder for folders in self._splits.values() for folder in folders}

    def identities(self, split: str) -> Sequence[Identity]:
        """The people of a split, sorted by name. Raises BenchError for another split and an empty one."""
        # Identity(id, gender="f", nationality=..., age=...) where these are known: strata and anchors need them.
        return [Identity(folder.name) for folder in people_of(self._splits, split, "Add people.")]

    def utterances(self, identity: str) -> Sequence[AudioFile]:
        """The recordings of a person, sorted by name."""
        return [AudioFile(path.name, path) for path in files_in(self._folder_of(identity), AUDIO_SUFFIXES)]

    def photos(self, identity: str) -> Sequence[PhotoFile]:
        """The photos of a person, sorted by name."""
        return [PhotoFile(path.name, path) for path in files_in(self._folder_of(identity), PHOTO_SUFFIXES)]

    def fingerprint(self) -> str:
        """A hash over splits, names and sizes of all files."""
        entries = [(split, folder) for split in SPLITS for folder in self._splits[split]]
        return hash_files(entries)

    def _folder_of(self, identity: str) -> Path:
        if identity not in self._folders:
            raise BenchError(
                f"unknown identity {identity!r} in my-dataset: ids are the names of its folders."
            )
        return self._folders[identity]


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
