"""The judge's embeddings of what the lists name: of a face generated from each recording, and of each photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sf2f_bench.data.media import AudioFile, PhotoFile
from sf2f_bench.evaluation.segments import evaluation_segments
from sf2f_bench.evaluation.test_people import BATCH, generate_faces
from sf2f_bench.metrics.arrays import slices
from sf2f_bench.types import FeatureExtractor, MediaError, SpeechToFace

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

FILES_AT_ONCE = 128  # at most 51 MB of features of the usual front end

# (embeddings float32 [P, D] of these files, why a file cannot be used); the row of such a file is NaN.
FileEmbeddings = tuple["FloatArray", dict[Path, str]]


@dataclass(frozen=True, eq=False)
class VoiceEmbedder:
    """Generates one face from each recording on its own and embeds it with the judge.

    A recording is cut into the windows of the evaluation (the first 20, of 1.25 s). `advance` is called with the
    number of recordings done.
    """

    system: SpeechToFace
    judge: FeatureExtractor
    device: torch.device
    generator: torch.Generator
    advance: Callable[[int], None]

    def __call__(self, paths: Sequence[Path]) -> FileEmbeddings:
        """Embeddings ``[V, D]``, NaN for recordings that cannot be used, and the reasons."""
        return _in_blocks(paths, self._segments, self._embedded, self.advance)

    def _segments(self, path: Path) -> FloatArray:
        frontend = self.system.frontend
        features = AudioFile(path.name, path).log_filterbank(frontend)
        return evaluation_segments([features.T], frontend.segment_frames)

    def _embedded(self, segments: list[FloatArray]) -> FloatArray:
        normalise = self.system.frontend.normalise
        faces = generate_faces(
            self.system.generate, segments, normalise, self.device, self.generator, lambda _: None
        )
        return _embed(self.judge, faces)


@dataclass(frozen=True, eq=False)
class PhotoEmbedder:
    """Embeds photos with the judge, read at `size` pixels as `prepare` reads them."""

    judge: FeatureExtractor
    size: int
    advance: Callable[[int], None]

    def __call__(self, paths: Sequence[Path]) -> FileEmbeddings:
        """Embeddings ``[F, D]``, NaN for photos that cannot be used, and the reasons."""
        return _in_blocks(
            paths, self._read, lambda images: _embed(self.judge, np.stack(images)), self.advance
        )

    def _read(self, path: Path) -> ByteArray:
        return PhotoFile(path.name, path).image(self.size)


def _in_blocks(
    paths: Sequence[Path],
    read: Callable[[Path], Any],
    embed: Callable[[list[Any]], FloatArray],
    advance: Callable[[int], None],
) -> FileEmbeddings:
    """Read and embed some files at a time, so that no more than their embeddings is kept."""
    rows: list[int] = []
    parts: list[FloatArray] = []
    unusable = {}
    for block in slices(len(paths), FILES_AT_ONCE):
        items = []
        for row in range(block.start, block.stop):
            try:
                items.append(read(paths[row]))
                rows.append(row)
            except MediaError as error:
                unusable[paths[row]] = str(error)
        if items:
            parts.append(embed(items))
        advance(block.stop - block.start)
    found = np.full((len(paths), parts[0].shape[1] if parts else 1), np.nan, np.float32)
    if parts:
        found[rows] = np.concatenate(parts)
    return found, unusable


def _embed(judge: FeatureExtractor, faces: ByteArray) -> FloatArray:
    parts = [judge(torch.from_numpy(faces[block]))[0] for block in slices(len(faces), BATCH)]
    return np.concatenate([part.cpu().numpy() for part in parts])
