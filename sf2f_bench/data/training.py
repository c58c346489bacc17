"""Batches for training: pure functions of (seed, stage, step), so that a resumed run equals an uninterrupted one.

All random choices are made for the global batch; each process then reads its own rows. Media are on the device where
they fit there, else in the memory-mapped store, from which the next batches are read ahead; this affects speed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.files import seed_of
from sf2f_bench.types import AudioFrontend, BenchError

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

DEVICE_SHARE = 0.6  # of the device's free memory, at most, for the training set
READ_AHEAD = 2  # batches


@dataclass(frozen=True, eq=False)
class Batch:
    """voices float32 ``[B, filters, T]`` or ``[B, S, filters, T]`` normalised; faces uint8
    ``[B, 3, H, W]``; labels int64 ``[B]``: the identity's row in the training split; identities: their names.
    """

    voices: Tensor
    faces: Tensor
    labels: Tensor
    identities: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """The contents of a batch as indices: rows ``[B]``, recordings and starts ``[B, S]``, photos ``[B]``."""

    rows: np.ndarray
    recordings: np.ndarray
    starts: np.ndarray
    photos: np.ndarray
    frames: int


class Media(Protocol):
    """Reads crops and photos: raw crops ``[B, S, frames, filters]``, faces uint8 ``[B, 3, H, W]``."""

    def read(self, choice: Choice) -> tuple[Tensor, Tensor]:
        """The crops, padded with raw zeros, and the photos of a choice."""
        ...


class MappedMedia:
    """Reads from the memory-mapped store into fresh memory (pinned for a CUDA device)."""

    def __init__(self, recordings: Sequence[FloatArray], faces: ByteArray, pinned: bool) -> None:
        self.recordings, self.faces, self.pinned = recordings, torch.from_numpy(faces), pinned
        self.filters = recordings[0].shape[1]

    def read(self, choice: Choice) -> tuple[Tensor, Tensor]:
        """Crops float32 ``[B, S, frames, filters]`` and faces ``[B, 3, H, W]`` on the host."""
        shape = (*choice.recordings.shape, choice.frames, self.filters)
        crops = torch.zeros(shape, pin_memory=self.pinned)
        places = zip(
            crops.numpy().reshape(-1, *shape[2:]),
            choice.recordings.ravel().tolist(),
            choice.starts.ravel().tolist(),
            strict=True,
        )
        for place, recording, start in places:
            part = self.recordings[recording][start : start + choice.frames]
            place[: len(part)] = part
        faces = self.faces[torch.from_numpy(choice.photos)]
        return crops, faces.pin_memory() if self.pinned else faces


class ResidentMedia:
    """All frames and faces on the device; cropping is an index there. Half precision halves the frames."""

    def __init__(
        self, recordings: Sequence[FloatArray], faces: ByteArray, device: torch.device, dtype: torch.dtype
    ) -> None:
        lengths = torch.tensor([len(recording) for recording in recordings])
        ends = lengths.cumsum(0)
        self.device = device
        self.starts, self.ends = (ends - lengths).to(device), ends.to(device)
        self.frames = torch.empty((int(ends[-1]), recordings[0].shape[1]), dtype=dtype, device=device)
        for end, recording in zip(ends.tolist(), recordings, strict=True):
            self.frames[end - len(recording) : end] = torch.from_numpy(np.array(recording)).to(dtype)
        self.faces = torch.from_numpy(faces).to(device)

    def read(self, choice: Choice) -> tuple[Tensor, Tensor]:
        """Crops float32 ``[B, S, frames, filters]`` and faces ``[B, 3, H, W]`` on the device."""
        recordings, starts, photos = (
            torch.from_numpy(part).to(self.device, non_blocking=True)
            for part in (choice.recordings, choice.starts, choice.photos)
        )
        places = (self.starts[recordings] + starts)[..., None] + torch.arange(
            choice.frames, device=self.device
        )
        inside = places < self.ends[recordings][..., None]
        crops = self.frames[places.clamp(max=len(self.frames) - 1)].float() * inside[..., None]
        return crops, self.faces[photos]


class ReadAhead:
    """Calls `read(step, ...)` for the next steps in a thread, so that the device never waits for data."""

    def __init__(self, read: Callable[..., Any]) -> None:
        self.read = read
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self.coming: dict[tuple[Any, ...], Future[Any]] = {}

    def __call__(self, step: int, *rest: Any) -> Any:
        """The result of ``read(step, *rest)``; errors of the thread are raised here."""
        wanted = [(step + ahead, *rest) for ahead in range(READ_AHEAD + 1)]
        for key in [key for key in self.coming if key not in wanted]:
            self.coming.pop(key).cancel()
        for key in wanted:
            if key not in self.coming:
                self.coming[key] = self.thread.submit(self.read, *key)
        return self.coming.pop(wanted[0]).result()


class TrainingData:
    """The training split as batches: one random photo and one random recording per identity and epoch.

    shard: (number of this process, number of processes): each reads its equal part of every batch.
    resident: keep the training set on the device; None: on a CUDA device when it fits.
    """

    def __init__(
        self,
        store: PreparedStore,
        frontend: AudioFrontend,
        seed: int,
        device: torch.device,
        split: str = "train",
        shard: tuple[int, int] = (0, 1),
        resident: bool | None = None,
    ) -> None:
        self.store, self.frontend, self.seed, self.device, self.shard = store, frontend, seed, device, shard
        self.image_size = store.image_size
        people = store.identities(split)
        self.names = np.array([identity.id for identity in people])
        self._genders = {identity.id: identity.gender for identity in people}
        voices = [store.voices(name) for name in self.names]
        faces = [store.faces(name) for name in self.names]
        self._recordings = [recording for of_one in voices for recording in of_one]
        self._lengths = np.array([len(recording) for recording in self._recordings])
        self._voice_ends = np.cumsum([len(of_one) for of_one in voices])
        self._face_ends = np.cumsum([len(of_one) for of_one in faces])
        self._faces = np.concatenate(faces)
        self.resident = self._fits() if resident is None else resident
        self._read = ReadAhead(self._materials) if self._waits else self._materials

    @property
    def identities(self) -> int:
        """How many identities (classes) there are."""
        return len(self.names)

    def genders_of(self, names: Sequence[str]) -> list[str | None]:
        """Of these identities; None where one is not known."""
        return [self._genders[name] for name in names]

    @property
    def _waits(self) -> bool:
        """Whether a device would have to wait for the host to read."""
        return self.device.type == "cuda" and not self.resident

    def _fits(self) -> bool:
        if self.device.type != "cuda":
            return False
        free, _ = torch.cuda.mem_get_info(self.device)
        needed = 2 * int(self._lengths.sum()) * self.frontend.filters + self._faces.nbytes
        return needed < DEVICE_SHARE * free

    @cached_property
    def _media(self) -> Media:
        if not self.resident:
            return MappedMedia(self._recordings, self._faces, pinned=self.device.type == "cuda")
        dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        return ResidentMedia(self._recordings, self._faces, self.device, dtype)

    def batch(self, step: int, size: int, stage: str = "generator") -> Batch:
        """One recording cropped to a common random length, and one photo, per identity.

        The length is random within the front end's `crop_frames`. A recording shorter than the crop is padded with
        raw zeros, as the reference does. `size` (of all processes together) is cut to the number of
        identities; an epoch drops its incomplete last batch. Raises BenchError when the processes cannot share
        it equally.
        """
        return self._batch(self._read(step, size, 1, None, stage), single=True)

    def segments(self, step: int, size: int, count: int = 20, stage: str = "fuser") -> Batch:
        """`count` crops of the front end's `segment_frames` per identity, each at a random start."""
        return self._batch(self._read(step, size, count, self.frontend.segment_frames, stage), single=False)

    def every_photo(self, size: int = 256) -> Iterator[tuple[Tensor, Tensor]]:
        """Every photo once, identity by identity: faces uint8 ``[B, 3, H, W]`` and labels int64 ``[B]``.

        The same in every process: for what is computed of all photos, such as their mean.
        """
        counts = np.diff(self._face_ends, prepend=0)
        labels = torch.from_numpy(np.repeat(np.arange(self.identities), counts))
        for start in range(0, len(labels), size):
            faces = torch.from_numpy(self._faces[start : start + size])
            yield faces.to(self.device), labels[start : start + size].to(self.device)

    def _batch(self, materials: tuple[np.ndarray, Tensor, Tensor], single: bool) -> Batch:
        rows, crops, faces = materials
        crops = crops.to(self.device, non_blocking=True)
        voices = self.frontend.normalise(crops).transpose(-1, -2).contiguous()
        return Batch(
            voices=voices[:, 0] if single else voices,
            faces=faces.to(self.device, non_blocking=True),
            labels=torch.from_numpy(rows).to(self.device, non_blocking=True),
            identities=tuple(self.names[rows].tolist()),
        )

    def _materials(
        self, step: int, size: int, count: int, frames: int | None, stage: str
    ) -> tuple[np.ndarray, Tensor, Tensor]:
        choice = self._choose(step, size, count, frames, stage)
        return choice.rows, *self._media.read(choice)

    def _choose(self, step: int, size: int, count: int, frames: int | None, stage: str) -> Choice:
        """The global batch's random choices, then this process's rows of them."""
        random = np.random.default_rng(seed_of(self.seed, stage, step))
        rows = self._rows(step, size, stage)
        shortest, longest = self.frontend.crop_frames
        random_frames = int(random.integers(shortest, longest + 1))
        of_voice, of_start = random.random((2, len(rows), count))
        of_face = random.random(len(rows))
        number, processes = self.shard
        mine = slice(len(rows) // processes * number, len(rows) // processes * (number + 1))
        frames = frames or random_frames
        recordings = _pick(self._voice_ends, rows[:, None], of_voice)
        spare = np.maximum(self._lengths[recordings] - frames, 0) + 1
        starts = (of_start * spare).astype(np.int64)
        photos = _pick(self._face_ends, rows, of_face)
        return Choice(rows[mine], recordings[mine], starts[mine], photos[mine], frames)

    def _rows(self, step: int, size: int, stage: str) -> np.ndarray:
        size = min(size, self.identities)
        if size % self.shard[1]:
            raise BenchError(
                f"a batch of {size} cannot be shared equally by {self.shard[1]} processes: choose a number of "
                "processes that divides it"
            )
        epoch, place = divmod(step, self.identities // size)
        return _order(self.seed, stage, epoch, self.identities)[place * size : (place + 1) * size].copy()


@lru_cache(maxsize=4)
def _order(seed: int, stage: str, epoch: int, identities: int) -> np.ndarray:
    """The identities in an epoch's random order."""
    return np.random.default_rng(seed_of(seed, stage, "epoch", epoch)).permutation(identities)


def _pick(ends: np.ndarray, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """One item of each row's range ``[ends[row - 1], ends[row])``, chosen by a number in [0, 1)."""
    starts = np.where(rows > 0, ends[rows - 1], 0)
    return starts + (uniform * (ends[rows] - starts)).astype(np.int64)
