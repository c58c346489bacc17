"""A tiny data set in memory, for tests of the store, the training data and the evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sf2f_bench.types import SPLITS, DatasetCard, Identity, MediaError

CARD = DatasetCard("tiny", "1", "none", False, True, True, "for tests", "")


@dataclass(frozen=True)
class TinyFrontend:
    """Stands where LogFilterbank would: the "waveform" is already features."""

    id: str = "tiny"
    filters: int = 40
    frames_per_second: float = 100.0
    crop_frames: tuple = (100, 150)
    segment_frames: int = 125

    def __call__(self, waveform):
        return waveform

    def normalise(self, features):
        return (features - 10.0) / 2.0


@dataclass(frozen=True)
class TinyUtterance:
    key: str
    seed: int
    frames: int
    broken: bool = False

    def log_filterbank(self, frontend):
        if self.broken:
            raise MediaError(f"{self.key}: planted fault")
        noise = np.random.RandomState(self.seed).standard_normal((frontend.filters, self.frames))
        return frontend((noise + 10).astype(np.float32))


@dataclass(frozen=True)
class TinyPhoto:
    key: str
    seed: int
    broken: bool = False

    def image(self, size):
        if self.broken:
            raise MediaError(f"{self.key}: planted fault")
        return np.random.RandomState(self.seed).randint(0, 256, (3, size, size)).astype(np.uint8)


@dataclass(frozen=True)
class TinyDataset:
    """`counts` identities a split, two recordings (300 and 140 frames) and three photos each.

    broken: (identity, key) of files that cannot be read; reads: every read is counted in this file.
    """

    counts: dict = field(default_factory=lambda: {"train": 6, "val": 2, "test": 5})
    broken: frozenset = frozenset()
    shared_identity: bool = False
    photos_each: int = 3
    card: DatasetCard = CARD

    def identities(self, split):
        names = [f"{split}-{number}" for number in range(self.counts[split])]
        if self.shared_identity and split == "test":
            names[0] = "train-0"
        return [Identity(name, gender="fm"[number % 2]) for number, name in enumerate(names)]

    def _seed(self, identity):
        split, number = identity.split("-")
        return 1000 * SPLITS.index(split) + 10 * int(number)

    def utterances(self, identity):
        seed = self._seed(identity)
        return [
            TinyUtterance(f"u{i}", seed + i, frames, (identity, f"u{i}") in self.broken)
            for i, frames in enumerate((300, 140))
        ]

    def photos(self, identity):
        seed = self._seed(identity)
        return [
            TinyPhoto(f"p{i}", seed + 5 + i, (identity, f"p{i}") in self.broken)
            for i in range(self.photos_each)
        ]

    def fingerprint(self):
        return "tiny"
