"""Batches for training: pure functions of (seed, stage, step), so that a resumed run equals another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.files import seed_of
from sf2f_bench.types import AudioFrontend

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

CROP_FRAMES = (100, 150)  # inclusive; one length for the whole batch


@dataclass(frozen=True, eq=False)
class Batch:
    """voices float32 ``[B, filters, T]`` or ``[B, S, filters, T]`` normalised; faces uint8
    ``[B, 3, H, W]``; labels int64 ``[B]``: the identity's row in the training split.
    """

    voices: Tensor
    faces: Tensor
    labels: Tensor


class TrainingData:
    """The training split as batches: one random photo and one random recording per identity and epoch."""

    def __init__(
        self,
        store: PreparedStore,
        frontend: AudioFrontend,
        seed: int,
        device: torch.device,
        split: str = "train",
    ) -> None:
        self.store, self.frontend, self.seed, self.device = store, frontend, seed, device
        self.image_size = store.image_size
        names = [identity.id for identity in store.identities(split)]
        self._voices = [store.voices(name) for name in names]
        self._faces = [store.faces(name) for name in names]

    @property
    def identities(self) -> int:
        """How many people (classes) there are."""
        return len(self._faces)

    def batch(self, step: int, size: int, stage: str = "generator") -> Batch:
        """One recording cropped to a common random length of 100..150 frames, and one photo, per identity.

        A recording shorter than the crop is padded with raw zeros, as the reference does. `size` is cut to the
        number of identities; an epoch drops its incomplete last batch.
        """
        random = np.random.default_rng(seed_of(self.seed, stage, step))
        rows = self._rows(step, size, stage)
        frames = int(random.integers(CROP_FRAMES[0], CROP_FRAMES[1] + 1))
        voices = [self._crop(row, frames, random) for row in rows]
        return self._batch(np.stack(voices), rows, random)

    def segments(
        self, step: int, size: int, count: int = 20, frames: int = 125, stage: str = "fuser"
    ) -> Batch:
        """`count` crops of `frames` frames per identity, each at a random start of a random recording."""
        random = np.random.default_rng(seed_of(self.seed, stage, step))
        rows = self._rows(step, size, stage)
        voices = [np.stack([self._crop(row, frames, random) for _ in range(count)]) for row in rows]
        return self._batch(np.stack(voices), rows, random)

    def _rows(self, step: int, size: int, stage: str) -> np.ndarray:
        size = min(size, self.identities)
        per_epoch = self.identities // size
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng(seed_of(self.seed, stage, "epoch", epoch)).permutation(self.identities)
        return order[place * size : (place + 1) * size]

    def _crop(self, row: int, frames: int, random: np.random.Generator) -> FloatArray:
        """Raw features [frames, filters]."""
        recordings = self._voices[row]
        recording = recordings[random.integers(len(recordings))]
        start = int(random.integers(max(len(recording) - frames, 0) + 1))
        crop = np.zeros((frames, self.frontend.filters), np.float32)
        part = recording[start : start + frames]
        crop[: len(part)] = part
        return crop

    def _batch(self, voices: FloatArray, rows: np.ndarray, random: np.random.Generator) -> Batch:
        faces = np.stack([self._faces[row][random.integers(len(self._faces[row]))] for row in rows])
        normalised = self.frontend.normalise(torch.from_numpy(voices).to(self.device))
        return Batch(
            voices=normalised.transpose(-1, -2).contiguous(),
            faces=torch.from_numpy(faces).to(self.device),
            labels=torch.from_numpy(rows.astype(np.int64)).to(self.device),
        )
