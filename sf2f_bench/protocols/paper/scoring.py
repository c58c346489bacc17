"""Protocol `sf2f-paper/1`: evaluation as SF2F's code and supplement do it, its quirks kept and named.

It allows a comparison in kind with published numbers; claims about a system should rest on `sf2f-bench/1`. The
quirks, each also named where it is computed:

- Truth: the mean of the L2-normalised embeddings of ALL photos of an identity, not normalised again. No photo is
  held out.
- The network that scores is the network of the training loss (FaceNet in the paper), which favours systems that were
  trained with it.
- The classifier of the mutual-information score is VGGFace2's ResNet-50, fed red, green, blue though its weights
  expect blue, green, red (key "paper-classifier"); a benchmark that names no classifier uses its judge.
- Recall in three fixed galleries by the order of the test list; identities past the third never enter.
- Ten runs with ten random crops of the test voices, and their mean. The runs share the test identities, so their
  spread is no confidence interval.
- A system without fuser is scored by the mean of the embeddings of the faces of up to 20 segments
  ("average_facenet_embedding"): by many faces at once, though it is shown with one. A system with fuser generates
  one face from all segments ("fused").
- A system without fuser is also scored by the one face that it generates from all segments ("/mean-voice"). For
  SF2F and voice2face that is the face of the mean voice embedding ("average_voice_embedding"), rescaled to the length
  that the decoder was trained on; the official code decodes the shorter mean itself. How a system treats several
  segments is up to the system: the interface gives no access to voice embeddings, so a system with fuser has no such
  score.
- Quality by one segment's face an identity ("naive"); with a fuser also by the fused face, because it is not known
  which of the two the published tables hold.
- FID (`frechet-distance`) and the Inception Score (`mutual-information/3-parts`) by the Inception network of 2015,
  from as many faces as there are test identities: mostly bias. FID takes one random photo of each identity, another
  in every run, and no photo twice in a run. The Inception Score's three parts follow the order of the test list.
  Neither crops pictures to the face. Both are absent, with the reason, where Inception's weights are not installed.

Intended differences: everything is seeded, where the official code takes new random numbers at every call; ties
count by their expectation; faces are converted to uint8 before any network; small pictures are resized for Inception
by PyTorch's bilinear interpolation, not by that of TensorFlow 1; and probabilities of 0 do not give NaN.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.files import seed_of
from sf2f_bench.protocols.names import INCEPTION, PAPER, TRAINING_LOSS
from sf2f_bench.protocols.paper import metrics as paper
from sf2f_bench.protocols.paper.runs import (
    Predictions,
    classifier_of,
    embeddings_of,
    network_of,
    quality_of,
    random_of,
    stacked,
)
from sf2f_bench.protocols.scores import Scores, role_of
from sf2f_bench.types import Answer, BenchError

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

MODES = {
    "average": 'the mean of the embeddings of the faces of up to 20 segments ("average_facenet_embedding")',
    "fused": 'the fused face of up to 20 segments ("fused")',
    "anchor": "the anchor's one answer, the same in every run",
}
NO_SUCH_FACE = {  # mode -> why a face of one segment, or of the mean voice embedding, is not there
    "average": "this row was generated without it",
    "fused": "a system with fuser generates one face from all segments and gives no voice embedding to average",
    "anchor": "an anchor answers once, from all segments",
}


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
    truth = evaluation.templates_of_all_photos(TRAINING_LOSS)
    for suffix in ("", paper.ONE_SEGMENT, paper.MEAN_VOICE):
        for metric in _metrics(evaluation, suffix):
            if suffix in answer.embeddings:
                _add(evaluation, found, metric, answer.embeddings[suffix], truth)
            else:
                _absent(evaluation, found, metric, TRAINING_LOSS, NO_SUCH_FACE[answer.mode])
    _score_quality(evaluation, found, answer)
    found.notes += (f"Retrieval and distances by {MODES[answer.mode]}.",)
    return found


def _metrics(evaluation: Evaluation, suffix: str = "") -> list[paper.PaperMetric]:
    benchmark = evaluation.benchmark
    return paper.similarity_metrics(benchmark.gallery_size, benchmark.ks, len(evaluation.identities), suffix)


def _predictions_of(evaluation: Evaluation, answer: Answer) -> Predictions:
    """What the networks make of an anchor's faces, or its queries, as one run."""
    if answer.faces is None:
        return Predictions("anchor", {"": (answer.embeddings or {})[TRAINING_LOSS][None]}, {})
    embeddings = {"": embeddings_of(evaluation, answer.faces)}
    features = {"embeddings": embeddings, **quality_of(evaluation, {"": answer.faces})}
    return stacked("anchor", [features], answer.faces)


def _score_own_space(evaluation: Evaluation, found: Scores, probes: FloatArray, gallery: FloatArray) -> None:
    """Recall alone: a space of the anchor's own has no distance to a face."""
    for metric in _metrics(evaluation):
        if metric.needs_embeddings:
            _absent(evaluation, found, metric, None, "the anchor ranks in a space of its own")
        else:
            _add(evaluation, found, metric, probes[None], gallery, None)
    for quality in (paper.MutualInformation(), paper.inception_score(), paper.PublishedFrechetDistance()):
        _absent(evaluation, found, quality, None, "the anchor generates no face")


def _add(
    evaluation: Evaluation,
    found: Scores,
    metric: paper.PaperMetric,
    runs: FloatArray,
    truth: FloatArray,
    role: str | None = TRAINING_LOSS,
) -> None:
    extractor = evaluation.extractors[role] if role else None
    random = np.random.default_rng(seed_of(metric.name, extractor and extractor.id))
    found.add(
        metric, paper.over_runs(metric, runs, truth, random), extractor, role_of(role) if role else "none"
    )


# ---------------------------------------------------------------- quality


def _score_quality(evaluation: Evaluation, found: Scores, answer: Predictions) -> None:
    """VGGFace Score, Inception Score and FID, of every kind of generated face."""
    inception = network_of(evaluation, INCEPTION, INCEPTION)
    for suffix in ("", paper.FUSED) if answer.mode == "fused" else ("",):
        score = partial(_score_parts, evaluation, found)
        score(paper.MutualInformation(suffix), classifier_of(evaluation), answer.probabilities.get(suffix))
        score(paper.inception_score(suffix), inception, answer.classes.get(suffix))
        _score_frechet(
            evaluation, found, paper.PublishedFrechetDistance(suffix), inception, answer.pools.get(suffix)
        )


def _score_parts(
    evaluation: Evaluation,
    found: Scores,
    metric: paper.MutualInformation,
    network: tuple[str | None, str],
    runs: FloatArray | None,
) -> None:
    """A mutual-information score and its deviation over parts, of class probabilities ``[R, N, C]``."""
    key, reason = network
    if key is None or (reason := _why_absent(evaluation, metric, runs, "probabilities")):
        _absent(evaluation, found, metric, key, reason)
        return
    extractor = evaluation.extractors[key]
    random = np.random.default_rng(seed_of(metric.name, extractor.id))
    assert runs is not None
    score, deviation = paper.quality_over_runs(metric, runs, random)
    found.add(metric, score, extractor, role_of(key))
    found.add(metric.deviation, deviation, extractor, role_of(key))


def _score_frechet(
    evaluation: Evaluation,
    found: Scores,
    metric: paper.PublishedFrechetDistance,
    network: tuple[str | None, str],
    runs: FloatArray | None,
) -> None:
    """FID of pool features ``[R, N, 2048]``, each run's against that run's photos."""
    key, reason = network
    if key is None or (reason := _why_absent(evaluation, metric, runs, "faces")):
        _absent(evaluation, found, metric, key, reason)
        return
    assert runs is not None
    score = paper.frechet_over_runs(metric, random_photos(evaluation, key, len(runs)), runs)
    found.add(metric, score, evaluation.extractors[key], role_of(key))


def _why_absent(
    evaluation: Evaluation,
    metric: paper.MutualInformation | paper.PublishedFrechetDistance,
    runs: FloatArray | None,
    what: str,
) -> str:
    """Why a quality metric cannot be computed; empty where it can."""
    n = len(evaluation.identities)
    if n < metric.min_n:
        return f"needs {metric.min_n} identities, there are {n}"
    return "" if runs is not None else f"needs {what}, which this row does not give"


def random_photos(evaluation: Evaluation, key: str, runs: int) -> FloatArray:
    """Features of one random photo of each test identity, chosen anew in each run: ``[R, N, D]``."""
    counts = np.array([len(faces) for faces in evaluation.test_faces])
    starts = np.cumsum(counts) - counts
    each, _ = evaluation.embed(key, np.concatenate(evaluation.test_faces))
    chosen = [
        [
            random_of("photo", run, identity.id).integers(count)
            for identity, count in zip(evaluation.identities, counts, strict=True)
        ]
        for run in range(runs)
    ]
    return each[starts + np.array(chosen)]


def _absent(
    evaluation: Evaluation, found: Scores, metric: paper.NamedMetric, role: str | None, reason: str
) -> None:
    found.add_absent(metric, evaluation.extractors[role].id if role else None, reason)
