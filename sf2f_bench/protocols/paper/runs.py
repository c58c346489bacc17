"""The ten runs of protocol `sf2f-paper/1`: what the networks make of a system's faces.

The protocol and its quirks are described in `sf2f_bench.protocols.paper.scoring`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.evaluation.segments import cut_segments, segment_places
from sf2f_bench.evaluation.test_people import Evaluation, generate_faces
from sf2f_bench.files import load_tensors, save_tensors, seed_of
from sf2f_bench.protocols.names import CLASSIFIER, INCEPTION, JUDGE, PAPER, RUNS, TRAINING_LOSS
from sf2f_bench.protocols.paper import metrics as paper
from sf2f_bench.types import AudioFrontend, BenchError, FusesSegments, SpeechToFace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench.types import ByteArray, FloatArray

FACES_AT_ONCE = 1024
PREDICTIONS_VERSION = 2  # of what `predict` keeps: part of the artefact's name
KINDS = ("embeddings", "probabilities", "pools", "classes")
RunFeatures = dict[str, dict[str, "FloatArray"]]  # of one run, by kind and by suffix of the metrics: [N, D]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the networks made of a row's faces, run by run; all that scoring needs.

    mode: "average", "fused" or "anchor"; embeddings ``{"" or "/one-segment" or "/mean-voice": [R, N, D]}`` by the
    network of the training loss; by the classifier probabilities, by Inception pools and classes, each
    ``{"" or "/fused": [R, N, C]}``, "" being one segment's faces; faces uint8 ``[N, 3, H, W]`` of the first run, for
    the report: fused ones where the system fuses.
    """

    mode: str
    embeddings: dict[str, FloatArray]
    probabilities: dict[str, FloatArray]
    pools: dict[str, FloatArray] = field(default_factory=dict)
    classes: dict[str, FloatArray] = field(default_factory=dict)
    faces: ByteArray | None = None

    def save(self, path: Path) -> None:
        """Write everything into one safetensors file, atomically."""
        tensors = {
            f"{kind} {name}": torch.from_numpy(value)
            for kind in KINDS
            for name, value in getattr(self, kind).items()
        }
        if self.faces is not None:
            tensors["faces"] = torch.from_numpy(self.faces)
        save_tensors(path, tensors, {"mode": self.mode})

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote."""
        tensors, facts = load_tensors(path)
        parts: dict[str, dict[str, FloatArray]] = {kind: {} for kind in KINDS}
        for key, tensor in tensors.items():
            kind, _, name = key.partition(" ")
            if kind in parts:
                parts[kind][name] = tensor.numpy()
        faces = tensors["faces"].numpy() if "faces" in tensors else None
        return cls(facts["mode"], **parts, faces=faces)


def random_segments(recordings: Sequence[FloatArray], frames: int, random: np.random.Generator) -> FloatArray:
    """As many windows of the same recordings as `evaluation_segments`, each at a random start.

    Raw recordings ``[frames, filters]`` -> ``[S, filters, frames]``. A recording that gives two windows under
    `sf2f-bench/1` gives two here, which may overlap; a start is uniform over all at which the window fits. Where no
    recording is as long as a window, each is repeated from a random frame on.
    """
    lengths = [len(recording) for recording in recordings]
    places = [
        (recording, int(random.integers(max(lengths[recording] - frames + 1, 1))))
        if lengths[recording] >= frames
        else (recording, int(random.integers(lengths[recording])))
        for recording, _ in segment_places(lengths, frames)
    ]
    return cut_segments(recordings, places, frames)


def predict(
    evaluation: Evaluation,
    system: SpeechToFace,
    device: torch.device,
    seed: int,
    advance: Callable[[int], None],
    store: PreparedStore | None = None,
) -> Predictions:
    """Generate a system's faces of all test identities in ten runs, and extract their features.

    store: prepared with the system's front end; None where it is the evaluation's. seed: of the training, which
    also seeds the system's noise; the crops depend on run and identity alone, so all systems with the same front
    end hear the same. `advance` is told the identities done, ten times all of them in the end.
    Raises BenchError where the store holds other test identities, or a generated face is not a picture.
    """
    store = store or evaluation.store
    names = [identity.id for identity in evaluation.identities]
    _check_same_identities(names, store, system.frontend)
    fuses = system.fuses if isinstance(system, FusesSegments) else True
    one_run = _fused_run if fuses else _averaged_run
    runs, shown = [], []
    for run in range(RUNS):
        crops = _crops_of(store, names, system.frontend.segment_frames, run)
        features, faces = one_run(evaluation, crops, _Generator(system, device, seed, run, store.image_size))
        runs.append(features)
        shown.append(faces)
        advance(len(names))
    return stacked("fused" if fuses else "average", runs, shown[0])


@dataclass(frozen=True, eq=False)
class _Crops:
    """What one run hears of every identity: segments ``[S_i, filters, frames]``, and which of them is heard alone."""

    segments: list[FloatArray]
    alone: NDArray[np.int64]  # [N]

    @property
    def single(self) -> list[FloatArray]:
        """The segments heard alone: ``[1, filters, frames]`` each."""
        return [segments[[row]] for segments, row in zip(self.segments, self.alone, strict=True)]


def _crops_of(store: PreparedStore, names: Sequence[str], frames: int, run: int) -> _Crops:
    segments = [random_segments(store.voices(name), frames, random_of("crops", run, name)) for name in names]
    alone = [
        random_of("one segment", run, name).integers(len(found))
        for name, found in zip(names, segments, strict=True)
    ]
    return _Crops(segments, np.array(alone))


class _Generator:
    """A system in one of the runs."""

    def __init__(self, system: SpeechToFace, device: torch.device, seed: int, run: int, size: int) -> None:
        self.system, self.device, self.seeds, self.size = system, device, (seed, run), size
        self.noise = self.noise_of()

    def noise_of(self, *purpose: str) -> torch.Generator:
        """A source of random numbers that depends on training seed, run and purpose alone."""
        return torch.Generator(device=self.device).manual_seed(seed_of(PAPER, *self.seeds, *purpose))

    def __call__(self, segments: Sequence[FloatArray], noise: torch.Generator | None = None) -> ByteArray:
        """``[S_i, filters, frames]`` each -> uint8 ``[N, 3, H, W]``."""
        generate, normalise = self.system.generate, self.system.frontend.normalise
        return generate_faces(
            generate, segments, normalise, self.device, noise or self.noise, lambda count: None, self.size
        )


def _fused_run(evaluation: Evaluation, crops: _Crops, generate: _Generator) -> tuple[RunFeatures, ByteArray]:
    """One face of all segments and one of a single segment; shown are the faces of all segments."""
    fused, single = generate(crops.segments), generate(crops.single)
    embeddings = {"": embeddings_of(evaluation, fused), paper.ONE_SEGMENT: embeddings_of(evaluation, single)}
    return {"embeddings": embeddings, **quality_of(evaluation, {"": single, paper.FUSED: fused})}, fused


def _averaged_run(
    evaluation: Evaluation, crops: _Crops, generate: _Generator
) -> tuple[RunFeatures, ByteArray]:
    """One face of each segment, whose mean embedding belongs to no picture; shown are the faces of one segment."""
    counts = np.array([len(segments) for segments in crops.segments])
    starts = np.cumsum(counts) - counts
    faces = generate([segment[None] for segments in crops.segments for segment in segments])
    each = embeddings_of(evaluation, faces)
    single = faces[starts + crops.alone]
    # With noise of its own, so that the other faces are what they would be without this one.
    mean_voice = generate(crops.segments, generate.noise_of("mean voice"))
    embeddings = {
        "": np.add.reduceat(each, starts) / counts[:, None].astype(each.dtype),
        paper.ONE_SEGMENT: each[starts + crops.alone],
        paper.MEAN_VOICE: embeddings_of(evaluation, mean_voice),
    }
    return {"embeddings": embeddings, **quality_of(evaluation, {"": single})}, single


def embeddings_of(evaluation: Evaluation, faces: ByteArray) -> FloatArray:
    """At length 1 by the network of the training loss, which plays FaceNet's part: ``[N, D]``."""
    parts = range(0, len(faces), FACES_AT_ONCE)  # a large network's class probabilities of all would not fit
    embeddings = np.concatenate(
        [evaluation.embed(TRAINING_LOSS, faces[part : part + FACES_AT_ONCE])[0] for part in parts]
    )
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def quality_of(evaluation: Evaluation, faces: dict[str, ByteArray]) -> RunFeatures:
    """What classifier and Inception give ``[N, C]``, by kind and name; nothing of an unavailable network."""
    found: RunFeatures = {"probabilities": {}, "pools": {}, "classes": {}}
    classifier, _ = classifier_of(evaluation)
    for name, pictures in faces.items():
        probabilities = evaluation.embed(classifier, pictures)[1] if classifier else None
        if probabilities is not None:
            found["probabilities"][name] = probabilities
        if INCEPTION in evaluation.extractors:
            found["pools"][name], classes = evaluation.embed(INCEPTION, pictures)
            assert classes is not None
            found["classes"][name] = classes
    return found


def stacked(mode: str, runs: Sequence[RunFeatures], faces: ByteArray | None = None) -> Predictions:
    """Runs ``[N, D]`` each, one after the other: ``[R, N, D]``."""
    parts = {
        kind: {name: np.stack([run[kind][name] for run in runs]) for name in runs[0][kind]} for kind in KINDS
    }
    return Predictions(mode, **parts, faces=faces)


def random_of(purpose: str, run: int, identity: str) -> np.random.Generator:
    """Random numbers that depend on run and identity alone: the same for every system."""
    return np.random.default_rng(seed_of(PAPER, purpose, run, identity))


def _check_same_identities(names: Sequence[str], store: PreparedStore, frontend: AudioFrontend) -> None:
    found = [identity.id for identity in store.identities("test")]
    if found != list(names):
        raise BenchError(
            f"the store for front end {frontend.id} holds {len(found)} test identities that are not the benchmark's "
            f"{len(names)}: {store.folder / 'left_out.csv'} lists who is missing there"
        )


def classifier_of(evaluation: Evaluation) -> tuple[str | None, str]:
    """The key of the network that plays the VGGFace Score's classifier, or (None, why there is none)."""
    benchmark = evaluation.benchmark
    if benchmark.paper_classifier:
        return network_of(evaluation, CLASSIFIER, benchmark.paper_classifier)
    return network_of(evaluation, JUDGE, benchmark.judge)


def network_of(evaluation: Evaluation, key: str, name: str) -> tuple[str | None, str]:
    """The key itself, or (None, why the network of that name does not score)."""
    if key in evaluation.extractors:
        return key, ""
    if name in evaluation.missing:
        return None, f"needs {name}, which is not installed: see `sf2f-bench weights list`"
    return None, f"needs {name}, which this benchmark does not use"
