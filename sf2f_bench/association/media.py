"""The judge's embeddings of what the lists name: of a face generated from each recording, and of each photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def embed_voices(
    paths: Sequence[Path],
    system: SpeechToFace,
    judge: FeatureExtractor,
    device: torch.device,
    generator: torch.Generator,
    advance: Callable[[int], None],
) -> FileEmbeddings:
    """Generate one face from each recording on its own, and embed it with the judge.

    A recording is cut into the windows of the evaluation (the first 20, of 1.25 s). `advance` is called with the
    number of recordings done.
    """
    frontend = system.frontend

    def segments_of(path: Path) -> FloatArray:
        features = AudioFile(path.name, path).log_filterbank(frontend)
        return evaluation_segments([features.T], frontend.segment_frames)

    def embed(segments: list[FloatArray]) -> FloatArray:
        return _embed(
            judge,
            generate_faces(system.generate, segments, frontend.normalise, device, generator, lambda _: None),
        )

    return _in_blocks(paths, segments_of, embed, advance)


def embed_photos(
    paths: Sequence[Path], judge: FeatureExtractor, size: int, advance: Callable[[int], None]
) -> FileEmbeddings:
    """Read photos at `size` pixels, as `prepare` does, and embed them with the judge."""

    def read(path: Path) -> ByteArray:
        return PhotoFile(path.name, path).image(size)

    return _in_blocks(paths, read, lambda images: _embed(judge, np.stack(images)), advance)


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
