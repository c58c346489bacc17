"""Protocol `sf2f-paper/1`: evaluation as SF2F's code and supplement do it, its quirks kept and named.

It allows a comparison in kind with published numbers; claims about a system should rest on `sf2f-bench/1`. The
quirks, beside those that `protocols.paper.metrics` names of single metrics:

- Truth: the mean of the L2-normalised embeddings of ALL photos of an identity, not normalised again. No photo is
  held out.
- The network that scores is the network of the training loss (FaceNet in the paper), which favours systems that were
  trained with it.
- The classifier of the mutual-information score is VGGFace2's ResNet-50, fed red, green, blue though its weights
  expect blue, green, red (key "paper-classifier"); a benchmark that names no classifier uses its judge.
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

Quality = paper.MutualInformation | paper.PublishedFrechetDistance
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
    if isinstance(answer, Answer):
        if answer.rows is not None and not answer.rows.all():
            raise BenchError(
                f"{PAPER} has fixed galleries of all test identities, the answer is for {answer.rows.sum()} of "
                f"{len(answer.rows)}: leave this row out"
            )
        if answer.ranking is not None:
            return _PaperScores(evaluation).in_own_space(*answer.ranking)
        answer = _predictions_of(evaluation, answer)
    return _PaperScores(evaluation).of(answer)


def _predictions_of(evaluation: Evaluation, answer: Answer) -> Predictions:
    """What the networks make of an anchor's faces, or its queries, as one run."""
    if answer.faces is None:
        return Predictions("anchor", {"": (answer.embeddings or {})[TRAINING_LOSS][None]}, {})
    embeddings = {"": embeddings_of(evaluation, answer.faces)}
    features = {"embeddings": embeddings, **quality_of(evaluation, {"": answer.faces})}
    return stacked("anchor", [features], answer.faces)


class _PaperScores:
    """The scores of one row, added one by one."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation, self.n = evaluation, len(evaluation.identities)
        self.found = Scores(rows=np.ones(self.n, bool))

    def of(self, answer: Predictions) -> Scores:
        """All that the networks' features of generated faces give."""
        truth = self.evaluation.templates_of_all_photos(TRAINING_LOSS)
        for suffix in ("", paper.ONE_SEGMENT, paper.MEAN_VOICE):
            for metric in self._metrics(suffix):
                if suffix in answer.embeddings:
                    self._add(metric, answer.embeddings[suffix], truth, TRAINING_LOSS)
                else:
                    self._absent(metric, TRAINING_LOSS, NO_SUCH_FACE[answer.mode])
        classifier = classifier_of(self.evaluation)
        inception = network_of(self.evaluation, INCEPTION, INCEPTION)
        for suffix in ("", paper.FUSED) if answer.mode == "fused" else ("",):
            self._add_quality(paper.MutualInformation(suffix), classifier, answer.probabilities.get(suffix))
            self._add_quality(paper.inception_score(suffix), inception, answer.classes.get(suffix))
            self._add_quality(paper.PublishedFrechetDistance(suffix), inception, answer.pools.get(suffix))
        self.found.notes += (f"Retrieval and distances by {MODES[answer.mode]}.",)
        return self.found

    def in_own_space(self, probes: FloatArray, gallery: FloatArray) -> Scores:
        """Recall alone: a space of the anchor's own has no distance to a face."""
        for metric in self._metrics():
            if metric.needs_embeddings:
                self._absent(metric, None, "the anchor ranks in a space of its own")
            else:
                self._add(metric, probes[None], gallery, None)
        for quality in (paper.MutualInformation(), paper.inception_score(), paper.PublishedFrechetDistance()):
            self._absent(quality, None, "the anchor generates no face")
        return self.found

    def _metrics(self, suffix: str = "") -> list[paper.PaperMetric]:
        benchmark = self.evaluation.benchmark
        return paper.similarity_metrics(benchmark.gallery_size, benchmark.ks, self.n, suffix)

    def _add(self, metric: paper.PaperMetric, runs: FloatArray, truth: FloatArray, key: str | None) -> None:
        extractor = self.evaluation.extractors[key] if key else None
        random = np.random.default_rng(seed_of(metric.name, extractor and extractor.id))
        score = paper.over_runs(metric, runs, truth, random)
        self.found.add(metric, score, extractor, role_of(key) if key else "none")

    def _add_quality(self, metric: Quality, network: tuple[str | None, str], runs: FloatArray | None) -> None:
        """Of class probabilities ``[R, N, C]``, with the deviation over parts, or FID of pools ``[R, N, 2048]``."""
        key, reason = network
        if key and self.n < metric.min_n:
            reason = f"needs {metric.min_n} identities, there are {self.n}"
        elif key and runs is None:
            needed = "probabilities" if isinstance(metric, paper.MutualInformation) else "faces"
            reason = f"needs {needed}, which this row does not give"
        if key is None or runs is None or reason:
            return self._absent(metric, key, reason)
        extractor, role = self.evaluation.extractors[key], role_of(key)
        if isinstance(metric, paper.PublishedFrechetDistance):
            photos = random_photos(self.evaluation, key, len(runs))
            return self.found.add(metric, paper.frechet_over_runs(metric, photos, runs), extractor, role)
        random = np.random.default_rng(seed_of(metric.name, extractor.id))
        score, deviation = paper.quality_over_runs(metric, runs, random)
        self.found.add(metric, score, extractor, role)
        return self.found.add(metric.deviation, deviation, extractor, role)

    def _absent(self, metric: paper.NamedMetric, key: str | None, reason: str) -> None:
        self.found.add_absent(metric, self.evaluation.extractors[key].id if key else None, reason)


def random_photos(evaluation: Evaluation, key: str, runs: int) -> FloatArray:
    """Features of one random photo of each test identity, chosen anew in each run: ``[R, N, D]``."""
    counts = np.array([len(faces) for faces in evaluation.test_faces])
    starts = np.cumsum(counts) - counts
    each, _ = evaluation.embed(key, np.concatenate(evaluation.test_faces))
    people = list(zip(evaluation.identities, counts, strict=True))
    chosen = [
        [random_of("photo", run, one.id).integers(count) for one, count in people] for run in range(runs)
    ]
    return each[starts + np.array(chosen)]
