"""Recordings and photos that are files, for data sets on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sf2f_bench.audio import decode
from sf2f_bench.audio.decode import AUDIO_SUFFIXES
from sf2f_bench.faces import read_photo
from sf2f_bench.faces.images import PHOTO_SUFFIXES, photo_shape
from sf2f_bench.files import as_text
from sf2f_bench.types import MediaError

if TYPE_CHECKING:
    from sf2f_bench.types import AudioFrontend, ByteArray, FloatArray


@runtime_checkable
class Recording(Protocol):
    """An utterance with its sound; a feature file has none."""

    @property
    def key(self) -> str:  # noqa: D102
        ...

    def waveform(self) -> FloatArray:
        """float32 ``[T]`` at 16 kHz, mono, -1..1; raises MediaError for a bad recording."""
        ...


@dataclass(frozen=True)
class AudioFile:
    """One recording on disk."""

    key: str
    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", as_text(self.key))

    def waveform(self) -> FloatArray:
        """float32 ``[T]`` at 16 kHz, mono, -1..1; raises MediaError for a bad recording."""
        return decode(self.path)

    def log_filterbank(self, frontend: AudioFrontend) -> FloatArray:
        """Raw features float32 ``[filters, frames]``; raises MediaError for a bad recording."""
        waveform = self.waveform()
        try:
            return frontend(waveform)
        except MediaError as error:  # a front end sees no file names
            raise MediaError(f"{self.path}: {error}") from error


@dataclass(frozen=True)
class PhotoFile:
    """One photo on disk."""

    key: str
    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", as_text(self.key))

    def image(self, size: int) -> ByteArray:
        """The photo as uint8 ``[3, size, size]``; raises MediaError for a bad file."""
        return read_photo(self.path, size)

    def shape(self) -> tuple[int, int] | None:
        """Width and height in the file, by its header; None where it cannot be read."""
        return photo_shape(self.path)


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files of these suffixes (lower case, with dot) at any depth of a folder, sorted as paths are."""
    found = sorted(_walk(str(folder), suffixes), key=lambda name: name.replace(os.sep, "\0"))
    return [Path(name) for name in found]


def has_files(folder: Path, suffixes: Collection[str]) -> bool:
    """Whether `files_in` would find any file; stops at the first."""
    return next(_walk(str(folder), suffixes), None) is not None


# Media of kinds that no data set here reads, or not in this place.
MEDIA_SUFFIXES = (
    AUDIO_SUFFIXES
    | PHOTO_SUFFIXES
    | {
        *(".aif", ".aiff", ".amr", ".avi", ".mkv", ".mov", ".opus", ".sph", ".wma", ".wv"),
        *(".avif", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".svg"),
        *(".h5", ".mat", ".npy", ".npz", ".pickle", ".pkl", ".pt"),
    }
)


def unread_files(folder: Path, suffixes: Collection[str]) -> list[tuple[Path, str]]:
    """Media of other kinds than these in a folder, at any depth, each with the reason why it is not read."""
    expected = ", ".join(sorted(suffixes))
    found = files_in(folder, MEDIA_SUFFIXES - frozenset(suffixes))
    return [(path, f"{path.suffix} is not read here, expected {expected}") for path in found]


def _walk(folder: str, suffixes: Collection[str]) -> Iterator[str]:
    """Hidden files are skipped: archives made on a Mac contain one for every photo.

    A broken link is a file: reading it says so.
    """
    for entry in _entries(folder):
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix in suffixes and not entry.name.startswith("."):
            yield entry.path


def _entries(folder: str, within: Collection[str] = ()) -> Iterator[os.DirEntry[str]]:
    """All entries at any depth but folders; the listing tells their kind, so no file is opened.

    within: true paths that links led through; a link back to one of them or to its parent leads to nothing new.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:  # missing or unreadable: no files
        return
    for entry in entries:
        if not _is_folder(entry):
            yield entry
        elif not entry.is_symlink():
            yield from _entries(entry.path, within)
        else:
            target, passed = os.path.realpath(entry.path), {*within, os.path.realpath(folder)}
            if not any(os.path.commonpath([target, place]) == target for place in passed):
                yield from _entries(entry.path, {*passed, target})


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def hash_files(entries: Iterable[tuple[str, Path]]) -> str:
    """SHA-256 over (label, path) pairs: each label, the names and sizes of the files at the path.

    A path is a file, or a folder for all files in it. Contents are not hashed: reading hundreds of thousands of
    recordings on every run would take longer than using them. `prepare` hashes what it reads.
    """
    digest = hashlib.sha256()
    for label, path in entries:
        digest.update(f"{label}\0".encode())
        parent = str(path.parent)
        for file, size in _sizes(path):
            name = file.removeprefix(parent)
            digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _sizes(path: Path) -> list[tuple[str, int]]:
    """The file, or every file of the folder, with its size; sorted, as plain strings because that is fast."""
    if not path.is_dir():
        return [(str(path), _size(path))]
    return sorted((entry.path, _size(entry)) for entry in _entries(str(path)))


def _size(file: Path | os.DirEntry[str]) -> int:
    try:
        return file.stat().st_size
    except OSError:  # a broken link: reading it will say so
        return -1
