"""Protocol `sf2f-paper/1`: evaluation as SF2F's code and supplement do it, its quirks named and kept.

It stands beside `sf2f-bench/1` so that numbers can be compared with published ones in kind; what is said of a
system should rest on `sf2f-bench/1`. The quirks, each also where it is computed:

- Truth: the mean of the L2-normalised embeddings of ALL photos of an identity, not normalised again. No photo is
  held out.
- The network that scores is the network of the training loss (FaceNet in the paper), which flatters. The
  classifier of the mutual-information score (VGGFace2's ResNet-50 in the paper) is the judge.
- Recall in three fixed galleries by the order of the test list; identities past the third never enter.
- Ten runs with ten random crops of the test voices, and their mean. The runs share the test identities, so their
  spread is no confidence interval.
- A system without fuser is scored by the mean of the embeddings of the faces of up to 20 segments
  ("average_facenet_embedding"): by many faces at once, though it is shown with one. A system with fuser draws one
  face from all segments ("fused").
- Quality by one segment's face an identity ("naive"); with a fuser also by the fused face, because it is not known
  which of the two the published tables hold.

What differs on purpose: everything is seeded, where the official code draws anew at every call; ties count by
their expectation; faces are uint8 before any network sees them.

Not here: FID and the Inception Score, which need TensorFlow's Inception network of 2015, and the official code's
further mode, the face of the mean voice embedding ("average_voice_embedding").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sf2f_bench import records
from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.evaluation import Evaluation, cut_segments, generate_faces, segment_places
from sf2f_bench.files import load_tensors, save_tensors, seed_of
from sf2f_bench.metrics import paper
from sf2f_bench.protocols import PAPER, RUNS
from sf2f_bench.scoring import Scores, role_of
from sf2f_bench.types import Answer, AudioFrontend, BenchError, SpeechToFace

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

FACES_AT_ONCE = 1024
FACENET, CLASSIFIER = "training-loss", "judge"  # the roles that play the paper's two networks
MODES = {
    "average": 'the mean of the embeddings of the faces of up to 20 segments ("average_facenet_embedding")',
    "fused": 'the fused face of up to 20 segments ("fused")',
    "anchor": "the anchor's one answer, the same in every run",
}


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the networks saw of a row's faces, run by run; all that scoring needs.

    mode: "average", "fused" or "anchor"; embeddings ``{"" or "/one-segment": [R, N, D]}`` by the network of the
    training loss; probabilities ``{"" or "/fused": [R, N, C]}`` by the classifier, "" being one segment's faces;
    faces uint8 ``[N, 3, H, W]`` of the first run, for the report: fused ones where the system fuses.
    """

    mode: str
    embeddings: dict[str, FloatArray]
    probabilities: dict[str, FloatArray]
    faces: ByteArray | None = None

    def save(self, path: Path) -> None:
        """Write everything into one safetensors file, atomically."""
        tensors = {f"embeddings {name}": torch.from_numpy(value) for name, value in self.embeddings.items()}
        tensors |= {
            f"probabilities {name}": torch.from_numpy(value) for name, value in self.probabilities.items()
        }
        if self.faces is not None:
            tensors["faces"] = torch.from_numpy(self.faces)
        save_tensors(path, tensors, {"mode": self.mode})

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote."""
        tensors, facts = load_tensors(path)
        parts: dict[str, dict[str, FloatArray]] = {"embeddings": {}, "probabilities": {}}
        for key, tensor in tensors.items():
            kind, _, name = key.partition(" ")
            if kind in parts:
                parts[kind][name] = tensor.numpy()
        faces = tensors["faces"].numpy() if "faces" in tensors else None
        return cls(facts["mode"], parts["embeddings"], parts["probabilities"], faces)


# ---------------------------------------------------------------- ten runs of a system


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
    """Draw a system's faces of all test identities in ten runs, and look at them.

    store: prepared with the system's front end; None where it is the evaluation's. seed: of the training, which
    also seeds noise that the system draws; the crops depend on run and identity alone, so all systems with the
    same front end hear the same. `advance` is told the identities done, ten times all of them in the end.
    Raises BenchError where the store holds other test identities, or a picture is none.
    """
    store = store or evaluation.store
    names = [identity.id for identity in evaluation.identities]
    _check_same_people(names, store, system.frontend)
    fuses = getattr(system, "fuses", True)
    look = _look_at_fused if fuses else _look_at_each
    runs = []
    for run in range(RUNS):
        frames = system.frontend.segment_frames
        crops = [random_segments(store.voices(name), frames, _random("crops", run, name)) for name in names]
        alone = np.array(
            [
                _random("one segment", run, name).integers(len(crop))
                for name, crop in zip(names, crops, strict=True)
            ]
        )
        generator = torch.Generator(device=device).manual_seed(seed_of(PAPER, seed, run))
        draw = partial(_draw, system, device, generator)
        runs.append(look(evaluation, draw, crops, alone))
        advance(len(names))
    embeddings, probabilities, faces = zip(*runs, strict=True)
    return Predictions("fused" if fuses else "average", _stack(embeddings), _stack(probabilities), faces[0])


Draw = Callable[[Sequence["FloatArray"]], "ByteArray"]  # [S_i, filters, frames] each -> uint8 [N, 3, H, W]
Looked = tuple[dict[str, "FloatArray"], dict[str, "FloatArray"], "ByteArray"]  # as in Predictions, of one run


def _look_at_fused(
    evaluation: Evaluation, draw: Draw, crops: Sequence[FloatArray], alone: np.ndarray
) -> Looked:
    """One face of all segments and one of a single segment: for a system that fuses."""
    fused = draw(crops)
    single = draw([crop[[row]] for crop, row in zip(crops, alone, strict=True)])
    embeddings = {"": _embeddings(evaluation, fused), paper.ONE_SEGMENT: _embeddings(evaluation, single)}
    probabilities = _probabilities(evaluation, {"": single, paper.FUSED: fused})
    return embeddings, probabilities, fused


def _look_at_each(
    evaluation: Evaluation, draw: Draw, crops: Sequence[FloatArray], alone: np.ndarray
) -> Looked:
    """A face a segment: their mean embedding, which belongs to no picture, and one of them alone."""
    counts = np.array([len(crop) for crop in crops])
    starts = np.cumsum(counts) - counts
    faces = draw([segment[None] for crop in crops for segment in crop])
    each = _embeddings(evaluation, faces)
    means = np.add.reduceat(each, starts) / counts[:, None].astype(each.dtype)
    single = faces[starts + alone]
    embeddings = {"": means, paper.ONE_SEGMENT: each[starts + alone]}
    return embeddings, _probabilities(evaluation, {"": single}), single


def _draw(
    system: SpeechToFace, device: torch.device, generator: torch.Generator, segments: Sequence[FloatArray]
) -> ByteArray:
    return generate_faces(
        system.generate, segments, system.frontend.normalise, device, generator, lambda count: None
    )


def _embeddings(evaluation: Evaluation, faces: ByteArray) -> FloatArray:
    """At length 1 by the network that plays FaceNet's part: ``[N, D]``."""
    parts = range(0, len(faces), FACES_AT_ONCE)  # a large network's class probabilities of all would not fit
    embeddings = np.concatenate(
        [evaluation.embed(FACENET, faces[part : part + FACES_AT_ONCE])[0] for part in parts]
    )
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def _probabilities(evaluation: Evaluation, faces: dict[str, ByteArray]) -> dict[str, FloatArray]:
    """Class probabilities ``[N, C]`` by name; nothing where the classifier's part is played by none."""
    found = {name: evaluation.embed(CLASSIFIER, pictures)[1] for name, pictures in faces.items()}
    return {name: values for name, values in found.items() if values is not None}


def _stack(runs: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


def _random(purpose: str, run: int, identity: str) -> np.random.Generator:
    return np.random.default_rng(seed_of(PAPER, purpose, run, identity))


def _check_same_people(names: Sequence[str], store: PreparedStore, frontend: AudioFrontend) -> None:
    found = [identity.id for identity in store.identities("test")]
    if found != list(names):
        raise BenchError(
            f"the store for front end {frontend.id} holds {len(found)} test identities that are not the benchmark's "
            f"{len(names)}: {store.folder / 'left_out.csv'} says who is missing there"
        )


# ---------------------------------------------------------------- numbers


def paper_scores(evaluation: Evaluation, answer: Predictions | Answer) -> Scores:
    """Every metric of the protocol, for a system's predictions or an anchor's answer.

    An anchor answers once, without runs. Raises BenchError for an answer for some identities only, since the
    galleries are fixed rows of the test list.
    """
    found = Scores(rows=np.ones(len(evaluation.identities), bool))
    if isinstance(answer, Answer):
        if answer.rows is not None and not answer.rows.all():
            raise BenchError(
                f"{PAPER} has fixed galleries of all test identities, the answer is for {answer.rows.sum()} of "
                f"{len(answer.rows)}: leave this row out"
            )
        if answer.ranking is not None:
            _score_own_space(evaluation, found, *answer.ranking)
            return found
        answer = _predictions_of(evaluation, answer)
    truth = evaluation.templates_of_all_photos(FACENET)
    for suffix in ("", paper.ONE_SEGMENT):
        for metric in _metrics(evaluation, suffix):
            if suffix not in answer.embeddings:
                _absent(evaluation, found, metric.name, FACENET, "an anchor answers once, from all segments")
                continue
            _add(evaluation, found, metric, answer.embeddings[suffix], truth)
    _score_quality(evaluation, found, answer)
    found.notes += (f"Retrieval and distances by {MODES[answer.mode]}.",)
    return found


def _metrics(evaluation: Evaluation, suffix: str = "") -> list[paper.PaperMetric]:
    benchmark = evaluation.benchmark
    return paper.similarity_metrics(benchmark.gallery_size, benchmark.ks, len(evaluation.identities), suffix)


def _predictions_of(evaluation: Evaluation, answer: Answer) -> Predictions:
    """An anchor's faces or queries as the networks see them, as one run."""
    if answer.faces is None:
        return Predictions("anchor", {"": (answer.embeddings or {})[FACENET][None]}, {})
    probabilities = _probabilities(evaluation, {"": answer.faces})
    embeddings = {"": _embeddings(evaluation, answer.faces)}
    return Predictions("anchor", _stack([embeddings]), _stack([probabilities]), answer.faces)


def _score_own_space(evaluation: Evaluation, found: Scores, probes: FloatArray, gallery: FloatArray) -> None:
    """Recall alone: a space of the anchor's own has no distance to a face."""
    for metric in _metrics(evaluation):
        if metric.needs_embeddings:
            _absent(evaluation, found, metric.name, None, "the anchor ranks in a space of its own")
        else:
            _add(evaluation, found, metric, probes[None], gallery, None)
    _absent(evaluation, found, paper.MutualInformation().name, None, "the anchor draws no face")


def _add(
    evaluation: Evaluation,
    found: Scores,
    metric: paper.PaperMetric,
    runs: FloatArray,
    truth: FloatArray,
    role: str | None = FACENET,
) -> None:
    extractor = evaluation.extractors[role] if role else None
    random = np.random.default_rng(seed_of(metric.name, extractor and extractor.id))
    found.add(
        metric, paper.over_runs(metric, runs, truth, random), extractor, role_of(role) if role else "none"
    )


def _score_quality(evaluation: Evaluation, found: Scores, answer: Predictions) -> None:
    """The mutual-information score and its deviation over parts, of every kind of face that was drawn."""
    n = len(evaluation.identities)
    names = ("", paper.FUSED) if answer.mode == "fused" else ("",)
    for suffix in names:
        metric = paper.MutualInformation(suffix)
        if n < 2 * paper.PARTS:
            _absent(
                evaluation,
                found,
                metric.name,
                CLASSIFIER,
                f"needs {2 * paper.PARTS} identities, there are {n}",
            )
        elif suffix not in answer.probabilities:
            reason = "needs probabilities, which this row does not give"
            _absent(evaluation, found, metric.name, CLASSIFIER, reason)
        else:
            classifier = evaluation.extractors[CLASSIFIER]
            random = np.random.default_rng(seed_of(metric.name, classifier.id))
            score, deviation = paper.quality_over_runs(metric, answer.probabilities[suffix], random)
            found.add(metric, score, classifier, role_of(CLASSIFIER))
            found.add(metric.deviation, deviation, classifier, role_of(CLASSIFIER))


def _absent(evaluation: Evaluation, found: Scores, name: str, role: str | None, reason: str) -> None:
    extractor = evaluation.extractors[role].id if role else None
    found.absent.append(records.AbsentScore(metric=name, extractor=extractor, reason=reason))
