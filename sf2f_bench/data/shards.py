"""Shards: parts of a data set that one worker reads and writes, planned once per store.

STORE/plan.json                 which files are in which shard
STORE/shards/00000.safetensors  frames float32 [sum of frames, filters], images uint8 [n, 3, H, W]
STORE/shards/00000.parquet      the shard's part of the manifest; written last, so the shard is finished
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from sf2f_bench.files import Damaged, as_text, read_or_damaged, write_atomically, write_json
from sf2f_bench.registry import unfit
from sf2f_bench.types import SAMPLE_RATE, AudioFrontend, BenchError, Dataset, MediaError, Photo, Utterance

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

# In VoxCeleb, half an hour of sound, a second of work and 33 MB.
FILES_PER_SHARD = 250
COLUMNS = ["identity", "kind", "key", "shard", "start", "length", "reason"]
SEALS = [
    "stamp",
    "sha256",
]  # of a shard's own manifest: what the file was when it was read, see `contents.py`


class FileRange(NamedTuple):
    """Some files of one identity: numbers first <= i < last of its recordings, followed by its photos."""

    identity: str
    first: int
    last: int
    recordings: int  # of the identity when the plan was made
    photos: int


@dataclass(frozen=True)
class Shard:
    """One unit of work: some files of a data set into one file."""

    number: int
    parts: tuple[FileRange, ...]
    folder: Path

    def __str__(self) -> str:
        return f"shard {self.number} ({self.parts[0].identity} to {self.parts[-1].identity})"

    @property
    def tensors(self) -> Path:
        """The media file."""
        return self.folder / f"{self.number:05d}.safetensors"

    @property
    def manifest(self) -> Path:
        """The file that exists once the shard is finished."""
        return self.folder / f"{self.number:05d}.parquet"

    @property
    def files(self) -> int:
        """The number of recordings and photos in it."""
        return sum(part.last - part.first for part in self.parts)


class Tally(NamedTuple):
    """The counts of a finished shard."""

    files: int
    bad: int
    seconds: float  # of sound


def plan_shards(dataset: Dataset, identities: Iterable[str], store: Path) -> list[Shard]:
    """The shards of a store, by its plan, which is made where it is missing.

    The plan is kept because listing a large data set takes minutes, and because a restart has to divide
    it as the start did. Raises BenchError for shards without a plan, Damaged for a plan that cannot be read.
    """
    path, folder = store / "plan.json", store / "shards"
    if not path.exists():
        if folder.exists():
            raise BenchError(
                f"{store} contains shards that an older version of sf2f-bench left unfinished: delete the "
                "folder to prepare it again"
            )
        write_json(path, _cut(dataset, identities))

    def read(file: Path) -> list[Shard]:
        plan = json.loads(file.read_text(encoding="utf-8"))
        return [
            Shard(number, tuple(FileRange(*part) for part in parts), folder)
            for number, parts in enumerate(plan)
        ]

    return read_or_damaged(path, read)


def is_whole(shard: Shard) -> bool:
    """Whether a shard is finished and none of its files is damaged."""
    if not shard.manifest.exists():
        return False
    try:
        rows = read_or_damaged(shard.manifest, partial(pd.read_parquet, columns=COLUMNS))
        check_tensors(shard.tensors)
    except Damaged:
        return False
    return len(rows) == shard.files


def check_tensors(path: Path) -> None:
    """Raise Damaged for a file of tensors that is missing, cut, or has no readable header."""

    def check(file: Path) -> None:
        with open(file, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, file.stat().st_size)))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        expected, found = 8 + length + max(ends), file.stat().st_size
        if found != expected:
            raise ValueError(f"{found} of {expected} bytes")

    read_or_damaged(path, check)


def _cut(dataset: Dataset, identities: Iterable[str]) -> list[list[FileRange]]:
    """All files in the data set's order, `FILES_PER_SHARD` a shard."""
    shards: list[list[FileRange]] = []
    room = 0
    for identity in identities:
        media = dataset.utterances(identity), dataset.photos(identity)
        _check_media(dataset, identity, *media)
        recordings, photos = map(len, media)
        first, total = 0, recordings + photos
        while first < total:
            if not room:
                shards.append([])
                room = FILES_PER_SHARD
            last = min(first + room, total)
            shards[-1].append(FileRange(identity, first, last, recordings, photos))
            room -= last - first
            first = last
    return shards


def _check_media(
    dataset: Dataset, identity: str, utterances: Sequence[Utterance], photos: Sequence[Photo]
) -> None:
    """Raise BenchError unless these are recordings and photos; the first of each is checked."""
    for items, contract in ((utterances, Utterance), (photos, Photo)):
        if len(items) and not isinstance(items[0], contract):
            what = f"data set {dataset.card.name}, media of {identity}"
            raise unfit(what, dataset, items[0], f"a sf2f_bench.{contract.__name__}")


def write_shard(dataset: Dataset, frontend: AudioFrontend, image_size: int, shard: Shard) -> Tally:
    """Read the shard's files and write it; doing it twice is harmless.

    A file that cannot be read is a row with a reason. Raises BenchError where the data set differs from the plan.
    """
    meter = _Meter(frontend)
    rows: list[dict[str, Any]] = []
    frames: list[FloatArray] = [np.zeros((0, frontend.filters), np.float32)]
    images: list[ByteArray] = [np.zeros((0, 3, image_size, image_size), np.uint8)]
    frame_count = 0
    for row, media in _read(dataset, meter, image_size, shard.parts):
        rows.append({**row, "shard": shard.number})
        if media is None:
            continue
        if row["kind"] == "voice":
            rows[-1].update(start=frame_count, length=len(media))
            frames.append(media)
            frame_count += len(media)
        else:
            rows[-1].update(start=len(images) - 1, length=1)
            images.append(media[None])
    tensors = {"frames": np.concatenate(frames), "images": np.concatenate(images)}
    del frames, images
    write_atomically(shard.tensors, lambda temporary: save_file(tensors, temporary))
    table = pd.DataFrame(rows, columns=[*COLUMNS, *SEALS]).astype({"reason": "string"})
    write_atomically(shard.manifest, lambda temporary: table.to_parquet(temporary, index=False))
    return Tally(len(rows), int(table["reason"].notna().sum()), meter.seconds)


class _Meter:
    """A front end that counts the seconds of its input."""

    def __init__(self, frontend: AudioFrontend) -> None:
        self.frontend, self.seconds = frontend, 0.0

    def __call__(self, waveform: FloatArray) -> FloatArray:
        self.seconds += len(waveform) / SAMPLE_RATE
        return self.frontend(waveform)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.frontend, name)

    def frames_of(self, utterance: Utterance) -> FloatArray:
        """float32 ``[frames, filters]`` of a recording; feature files count as the speech in them."""
        before = self.seconds
        features = utterance.log_filterbank(self)
        if np.ndim(features) != 2 or len(features) != self.filters:
            raise unfit(utterance.key, utterance, features, f"float32 [{self.filters}, frames]")
        frames = np.ascontiguousarray(features.T, dtype=np.float32)
        if self.seconds == before:
            self.seconds += len(frames) / self.frontend.frames_per_second
        return frames


def _read(
    dataset: Dataset, meter: _Meter, image_size: int, parts: Iterable[FileRange]
) -> Iterator[tuple[dict[str, Any], Any]]:
    """(manifest row, frames [T, filters] or image [3, H, W] or None) of every file."""
    for part in parts:
        utterances, photos = dataset.utterances(part.identity), dataset.photos(part.identity)
        _check_unchanged(part, len(utterances), len(photos))
        for utterance in utterances[part.first : part.last]:
            yield _try(dataset, part.identity, "voice", utterance, partial(meter.frames_of, utterance))
        first, last = (max(number - len(utterances), 0) for number in (part.first, part.last))
        for photo in photos[first:last]:
            yield _try(dataset, part.identity, "face", photo, partial(_image_of, photo, image_size))


def _image_of(photo: Photo, size: int) -> ByteArray:
    image = photo.image(size)
    if np.shape(image) != (3, size, size) or image.dtype != np.uint8:
        raise unfit(photo.key, photo, image, f"uint8 [3, {size}, {size}]")
    return image


def _check_unchanged(part: FileRange, recordings: int, photos: int) -> None:
    """Raise BenchError where a worker sees other files than those planned: it would write the wrong ones."""
    if (recordings, photos) != (part.recordings, part.photos):
        raise BenchError(
            f"{part.identity}: planned with {part.recordings} recordings and {part.photos} photos, {platform.node()} "
            f"finds {recordings} and {photos}: let every worker see the same folder, and do not change the data set "
            "while it is being prepared; then give the same command again"
        )


def _try(
    dataset: Dataset, identity: str, kind: str, item: Utterance | Photo, read: Callable[[], Any]
) -> tuple[dict[str, Any], Any]:
    path = path_of(item)
    stamp, sha256 = (stamp_of(path), sha256_of(path)) if path else ("", "")
    row = {"identity": identity, "kind": kind, "key": item.key, "start": 0, "length": 0, "reason": None}
    row |= {"stamp": stamp, "sha256": sha256}
    try:
        media = read()
    except MediaError as error:
        return {**row, "reason": as_text(str(error))}, None
    if path is None and dataset.card.real:  # no file to hash: what was made of it
        row["sha256"] = hashlib.sha256(media.tobytes()).hexdigest()
    return row, media


def path_of(item: object) -> Path | None:
    """The file that a recording or photo is; None where it is none."""
    path = getattr(item, "path", None)
    return path if isinstance(path, Path) else None


def stamp_of(path: Path) -> str:
    """Size and times of a file: where they are the same, so is the content; empty where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def sha256_of(path: Path) -> str:
    """Of a file's content; empty where it cannot be read, and of what has no end, such as a pipe or a device."""
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
