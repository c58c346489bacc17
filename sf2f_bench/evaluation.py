"""Everything that scoring knows of the test identities, shared by all systems and anchors.

Protocol `sf2f-bench/1`: the first 20 windows of 125 frames of an identity's recordings in file order; one photo
of an identity (its first) is held out where it has two or more: it is the real-photo oracle's answer. The
identity's template is the mean of the L2-normalised embeddings of its other photos, not normalised again; the
distribution metrics compare with one of these other photos. So no row, the oracle's included, meets its own picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.files import hash_of, load_tensors, save_tensors
from sf2f_bench.protocols import SEGMENT_FRAMES, SEGMENTS
from sf2f_bench.types import AudioFrontend, BenchError, Dataset, FeatureExtractor, Features

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

BATCH = 64  # pictures or voices at once


def evaluation_segments(recordings: Sequence[FloatArray], frames: int = SEGMENT_FRAMES) -> FloatArray:
    """Raw recordings ``[frames, filters]`` in file order -> windows ``[S, filters, frames]``.

    S is at most 2500 // frames: 25 s of speech, 20 windows of 1.25 s. Windows do not overlap and do not cross
    recordings; what is left at a recording's end is dropped. Where no recording is as long as a window, each
    is repeated until it fills one. Raises BenchError where there is no recording.
    """
    return cut_segments(
        recordings, segment_places([len(recording) for recording in recordings], frames), frames
    )


def segment_places(lengths: Sequence[int], frames: int) -> list[tuple[int, int]]:
    """(recording, first frame) of every evaluation window of recordings this long, in frames."""
    places = [
        (recording, start)
        for recording, length in enumerate(lengths)
        for start in range(0, length - frames + 1, frames)
    ] or [(recording, 0) for recording, length in enumerate(lengths) if length]
    if not places:
        raise BenchError("an identity has no recording: prepare leaves such people out")
    return places[: max(1, SEGMENTS * SEGMENT_FRAMES // frames)]


def cut_segments(
    recordings: Sequence[FloatArray], places: Sequence[tuple[int, int]], frames: int
) -> FloatArray:
    """The windows at these places, ``[S, filters, frames]``; past its end a recording begins anew."""
    windows = []
    for number, start in places:
        recording = recordings[number]
        whole = start + frames <= len(recording)
        rows = slice(start, start + frames) if whole else np.arange(start, start + frames) % len(recording)
        windows.append(recording[rows].T)
    return np.stack(windows)


def segments_of(store: PreparedStore, frontend: AudioFrontend, split: str = "test") -> list[FloatArray]:
    """Raw evaluation segments of every identity of a split: ``[S_i, filters, frames]``.

    store: prepared with `frontend`, whose `segment_frames` the windows are long.
    """
    names = [identity.id for identity in store.identities(split)]
    return [evaluation_segments(store.voices(name), frontend.segment_frames) for name in names]


class Evaluation:
    """The test identities' voices and true faces, the extractors, and the training split for anchors that fit.

    Public to anchors: `identities`, `genders`, `image_size`, `dataset`, `extractors`, `held_out_photos`,
    `has_held_out`, `voice_statistics`, `train_voice_statistics`, `train_faces`, `train_templates`, `embed`.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        store: PreparedStore,
        dataset: Dataset,
        frontend: AudioFrontend,
        extractors: Mapping[str, FeatureExtractor],
        cache: Path,
    ) -> None:
        self.benchmark, self.store, self.dataset, self.frontend = benchmark, store, dataset, frontend
        self.extractors = dict(extractors)  # role -> extractor: "judge", "training-loss"
        self.cache, self.image_size = cache, store.image_size
        self.identities = store.identities("test")
        self.genders = [identity.gender for identity in self.identities]
        if len(self.identities) < benchmark.gallery_size:
            raise BenchError(
                f"galleries of {benchmark.gallery_size} need as many test identities, {store.card.name} "
                f"has {len(self.identities)}: choose a smaller gallery (--gallery {len(self.identities)} --ks 1,2)"
            )

    # -------------------------------------------------------------- voices

    @cached_property
    def segments(self) -> list[FloatArray]:
        """Raw evaluation segments of every test identity: ``[S_i, filters, 125]``."""
        return segments_of(self.store, self.frontend)

    @cached_property
    def voice_statistics(self) -> FloatArray:
        """Mean and deviation over time of every band of the test identities: ``[N, 2 * filters]``."""
        return _statistics(self.segments)

    @cached_property
    def train_voice_statistics(self) -> FloatArray:
        """The same of the training identities, from the same number of segments."""
        return _statistics(segments_of(self.store, self.frontend, "train"))

    # --------------------------------------------------------------- faces

    @cached_property
    def _test_faces(self) -> list[ByteArray]:
        return [self.store.faces(identity.id) for identity in self.identities]

    @cached_property
    def has_held_out(self) -> np.ndarray:
        """Which test identities have a photo to hold out: bool ``[N]``."""
        return np.array([len(faces) > 1 for faces in self._test_faces])

    @cached_property
    def held_out_photos(self) -> ByteArray:
        """The held-out photo (the first) of every identity that has two or more: uint8 ``[M, 3, H, W]``."""
        return np.stack([faces[0] for faces in self._test_faces if len(faces) > 1])

    @cached_property
    def true_photos(self) -> ByteArray:
        """One photo of every test identity that its template holds: uint8 ``[N, 3, H, W]``."""
        return np.stack([faces[min(1, len(faces) - 1)] for faces in self._test_faces])

    @cached_property
    def train_faces(self) -> list[ByteArray]:
        """Every photo of every training identity: uint8 ``[n, 3, H, W]`` each."""
        return [self.store.faces(identity.id) for identity in self.store.identities("train")]

    # ------------------------------------------------------------ features

    def embed(self, role: str, images: ByteArray) -> tuple[FloatArray, FloatArray | None]:
        """Embeddings ``[N, D]`` and class probabilities ``[N, C]`` (or None) of uint8 ``[N, 3, H, W]``."""
        extractor = self.extractors[role]
        seen = [extractor(torch.from_numpy(images[i : i + BATCH])) for i in range(0, len(images), BATCH)]
        embeddings = np.concatenate([embedding.cpu().numpy() for embedding, _ in seen])
        parts = [probability.cpu().numpy() for _, probability in seen if probability is not None]
        return embeddings, np.concatenate(parts) if parts else None

    def real(self, role: str) -> Features:
        """The true side as an extractor sees it: templates, one sample an identity and its probabilities."""
        others = [faces[1:] if len(faces) > 1 else faces for faces in self._test_faces]
        tensors = self._remember(("test-templates", role), lambda: self._templates(role, others))
        names = tuple(identity.id for identity in self.identities)
        return Features(names, tensors["templates"], tensors["samples"], tensors.get("probabilities"))

    def templates_of_all_photos(self, role: str) -> FloatArray:
        """Templates of the test identities over all their photos, none held out: ``[N, D]``."""
        what = ("test-templates-of-all-photos", role)
        return self._remember(what, lambda: self._templates(role, self._test_faces))["templates"]

    def train_templates(self, role: str) -> FloatArray:
        """Templates of the training identities over all their photos: ``[N_train, D]``."""
        return self._remember(("train-templates", role), lambda: self._templates(role, self.train_faces))[
            "templates"
        ]

    def _templates(self, role: str, faces: Sequence[ByteArray]) -> dict[str, FloatArray]:
        embeddings, probabilities = self.embed(role, np.concatenate(faces))
        ends = np.cumsum([len(images) for images in faces])
        starts = ends - [len(images) for images in faces]
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        templates = np.stack([unit[a:b].mean(axis=0) for a, b in zip(starts, ends, strict=True)])
        found = {"templates": templates, "samples": unit[starts]}
        return found if probabilities is None else {**found, "probabilities": probabilities[starts]}

    def _remember(
        self, what: tuple[str, str], compute: Callable[[], dict[str, FloatArray]]
    ) -> dict[str, FloatArray]:
        """An artefact of the cache, keyed by the data, the extractor's id (its weights) and what it holds."""
        purpose, role = what
        path = (
            self.cache / f"{hash_of([self.store.data_hash, self.extractors[role].id, purpose])}.safetensors"
        )
        if not path.exists():
            save_tensors(path, {name: torch.from_numpy(array) for name, array in compute().items()})
        return {name: tensor.numpy() for name, tensor in load_tensors(path)[0].items()}


def take(features: Features, rows: np.ndarray) -> Features:
    """The features of some identities: `rows` is bool ``[N]``."""
    names = tuple(name for name, keep in zip(features.identities, rows, strict=True) if keep)

    def cut(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else values[rows]

    return replace(
        features,
        identities=names,
        embeddings=features.embeddings[rows],
        samples=cut(features.samples),
        probabilities=cut(features.probabilities),
    )


def generate_faces(
    generate: Callable[..., Tensor],
    segments: Sequence[FloatArray],
    normalise: Callable[[Tensor], Tensor],
    device: torch.device,
    generator: torch.Generator,
    advance: Callable[[int], None],
) -> ByteArray:
    """A system's faces for raw segments ``[S_i, filters, frames]``: uint8 ``[N, 3, H, W]``.

    Identities with equally many segments go through the network together; the order is fixed.
    Raises BenchError when the system gives something else than one uint8 picture a voice.
    """
    faces: list[ByteArray | None] = [None] * len(segments)
    counts = np.array([len(item) for item in segments])
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH]
            voices = torch.from_numpy(np.stack([segments[row] for row in chosen])).to(device)
            made = generate(normalise(voices), generator=generator)
            if made.dtype != torch.uint8 or made.ndim != 4 or made.shape[:2] != (len(chosen), 3):
                raise BenchError(
                    f"generate() must return uint8 [{len(chosen)}, 3, H, W], it gave {made.dtype} {list(made.shape)}"
                )
            for row, face in zip(chosen, made.cpu().numpy(), strict=True):
                faces[row] = face
            advance(len(chosen))
    return np.stack([face for face in faces if face is not None])


def _statistics(segments: Sequence[FloatArray]) -> FloatArray:
    """[S, filters, frames] each -> [N, 2 * filters]."""
    return np.stack([np.concatenate([item.mean(axis=(0, 2)), item.std(axis=(0, 2))]) for item in segments])
