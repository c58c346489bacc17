"""The faces and voices that a record keeps beside it: one PNG strip, one FLAC."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from PIL import Image

from sf2f_bench.files import write_atomically, write_flac
from sf2f_bench.results.texts import clean
from sf2f_bench.types import SAMPLE_RATE, BenchError

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

MOST_PIXELS = 4096  # of a face's side: a picture may unpack to gigabytes
VOICE_SAMPLES = round(2.5 * SAMPLE_RATE)  # kept of a voice: enough to recognise the speaker


def check_faces(record: str, images: ByteArray, expected: int) -> None:
    """Raise BenchError unless `images` is uint8 ``[K, 3, H, W]`` with K as expected; record: for the message."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3 or len(images) != expected:
        raise BenchError(
            f"{record}: expected faces uint8 [{expected}, 3, H, W], one per files.face_identities, "
            f"got {images.dtype} {list(images.shape)}"
        )


def check_voices(record: str, voices: Sequence[FloatArray], expected: int) -> None:
    """Raise BenchError unless there are as many waveforms ``[T]`` as expected; record: for the message."""
    if len(voices) != expected or any(voice.ndim != 1 for voice in voices):
        raise BenchError(
            f"{record}: expected {expected} waveforms [T], one per files.face_identities, "
            f"got {[list(voice.shape) for voice in voices]}"
        )


def write_strip(path: Path, images: ByteArray) -> None:
    """uint8 ``[K, 3, H, W]`` -> one PNG of height H and width K * W."""
    strip = np.concatenate(list(images.transpose(0, 2, 3, 1)), axis=1)  # [H, K * W, 3]
    write_atomically(path, lambda temporary: Image.fromarray(strip).save(temporary, format="PNG"))


def read_strip(path: Path, count: int) -> ByteArray:
    """The inverse of `write_strip`. Raises BenchError for any other file."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if count == 0 or image.width % count:
                raise BenchError(
                    f"{path}: {image.width} pixels cannot be {count} faces side by side; run again"
                )
            if max(image.height, image.width // count) > MOST_PIXELS:
                raise BenchError(
                    f"{path}: {image.width} x {image.height} pixels are too many for {count} faces; run again"
                )
            image.verify()
        with Image.open(path, formats=["PNG"]) as image:
            strip = np.asarray(image.convert("RGB"))  # [H, K * W, 3]
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        raise BenchError(
            f"{path}: expected a PNG of {count} faces, got {clean(str(error), 200)}; run again"
        ) from error
    return np.stack(np.split(strip, count, axis=1)).transpose(0, 3, 1, 2)


def check_draws(record: str, images: ByteArray, most: int) -> None:
    """Raise BenchError unless `images` is uint8 ``[P, D, 3, S, S]``, P up to `most`; record: for the message."""
    right = images.dtype == np.uint8 and images.ndim == 5 and images.shape[2] == 3 and images.shape[1] > 1
    if not right or images.shape[3] != images.shape[4] or not 1 <= len(images) <= most:
        raise BenchError(
            f"{record}: expected draws uint8 [1 to {most}, 2 or more, 3, S, S] of the first files.face_identities, "
            f"got {images.dtype} {list(images.shape)}"
        )


def check_cases(record: str, images: ByteArray, expected: int) -> None:
    """Raise BenchError unless `images` is uint8 ``[K, 2, 3, S, S]`` with K as expected; record: for the message."""
    if images.dtype != np.uint8 or images.ndim != 5 or images.shape[:3] != (expected, 2, 3):
        raise BenchError(
            f"{record}: expected cases uint8 [{expected}, 2, 3, S, S], one per files.case_identities, "
            f"got {images.dtype} {list(images.shape)}"
        )


def write_draws(path: Path, images: ByteArray) -> None:
    """uint8 ``[P, D, 3, S, S]`` -> one PNG, a column a person and a row a draw."""
    people, draws, _, height, width = images.shape
    write_strip(path, images.transpose(0, 2, 1, 3, 4).reshape(people, 3, draws * height, width))


def read_draws(path: Path, size: int, most: int) -> ByteArray:
    """The inverse of `write_draws`, of faces of `size` pixels. Raises BenchError for any other file."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        raise BenchError(
            f"{path}: expected a PNG of draws, got {clean(str(error), 200)}; run again"
        ) from error
    people, draws = width // size, height // size
    if width % size or height % size or not 1 <= people <= most or draws < 2:
        raise BenchError(
            f"{path}: {width} x {height} pixels cannot be several faces of {size} pixels for each of up to {most} "
            "people; run again"
        )
    columns = read_strip(path, people)  # [P, 3, D * S, S]
    return columns.reshape(people, 3, draws, size, size).transpose(0, 2, 1, 3, 4)


def read_cases(path: Path, size: int, count: int) -> ByteArray:
    """True and generated faces ``[count, 2, 3, S, S]`` that `write_draws` wrote. Raises BenchError for another file."""
    found = read_draws(path, size, count)
    if found.shape[:2] != (count, 2):
        raise BenchError(
            f"{path}: expected a true and a generated face of each of {count} people, got {found.shape[0]} people with "
            f"{found.shape[1]} faces; run again"
        )
    return found


def write_voices(path: Path, voices: Sequence[FloatArray]) -> None:
    """Waveforms ``[T]`` -> one FLAC of 16 bits in which each has `VOICE_SAMPLES`, cut or followed by silence."""
    together = np.zeros((len(voices), VOICE_SAMPLES), dtype=np.float32)
    for row, voice in zip(together, voices, strict=True):
        row[: len(voice)] = voice[:VOICE_SAMPLES]
    write_atomically(path, lambda temporary: write_flac(temporary, together.ravel()))


def read_voices(path: Path, count: int) -> list[FloatArray]:
    """The inverse of `write_voices`."""
    try:
        info = soundfile.info(path)
        shape, rate = (info.frames, info.channels), info.samplerate
        together = (
            soundfile.read(path, dtype="float32")[0]
            if shape == (count * VOICE_SAMPLES, 1)
            else np.empty(shape[:1])
        )
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise BenchError(
            f"{path}: expected a FLAC file of voices, got {clean(str(error), 200)}; run again"
        ) from error
    if rate != SAMPLE_RATE or together.shape != (count * VOICE_SAMPLES,):
        raise BenchError(
            f"{path}: {list(together.shape)} samples at {rate} Hz cannot be {count} voices of {VOICE_SAMPLES} at "
            f"{SAMPLE_RATE} Hz; run again"
        )
    return list(together.reshape(count, VOICE_SAMPLES))
