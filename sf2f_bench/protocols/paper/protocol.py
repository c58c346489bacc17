"""Protocol `sf2f-paper/1`: evaluation as SF2F's code does it, described in `sf2f_bench.protocols.paper.scoring`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sf2f_bench.protocols.names import BENCH, CLASSIFIER, INCEPTION, PAPER, RUNS
from sf2f_bench.protocols.paper import metrics as paper
from sf2f_bench.protocols.protocol import FURTHER_METRICS, EvaluationProtocol, TableSpec, TrainedSystem
from sf2f_bench.types import Answer, BenchError, ModelCard, Role

if TYPE_CHECKING:
    from sf2f_bench.benchmarks import Benchmark
    from sf2f_bench.evaluation.test_people import Evaluation
    from sf2f_bench.progress import Reporter
    from sf2f_bench.protocols.paper.runs import Predictions
    from sf2f_bench.protocols.scores import NamedMetric, Scores
    from sf2f_bench.results.records import BenchmarkPart, RunRecord

WHY_NO_TRUE_PHOTO = (
    "the published truth is the mean over ALL photos of a person, so none is left that could answer without finding "
    "itself"
)


def _extractor_of(records: Sequence[RunRecord], *metrics: str) -> str | None:
    """The id of the extractor that the first of these metrics with a score is by; None where no record has one."""
    scores = [score for record in records for score in record.scores]
    for metric in metrics:
        found = {score.extractor for score in scores if score.metric == metric and score.extractor}
        if found:
            return min(found)
    return None


def _classifier_of(records: Sequence[RunRecord]) -> tuple[str | None, str]:
    """(id of the classifier of the quality score, what its published score is called; "" for an unpublished one)."""
    metric = paper.MutualInformation().name
    classifier = _extractor_of(records, metric)
    for record in records:
        if classifier in record.extractors and metric in record.metrics:
            headings = record.metrics[metric].headings
            return classifier, headings.get(record.extractors[classifier].convention, "")
    return classifier, ""


def _gallery(part: BenchmarkPart) -> str:
    return f"g{part.gallery_size}x{paper.gallery_count(part.identities.test, part.gallery_size)}"


def _retrieval_title(records: Sequence[RunRecord], _: str) -> str:
    gallery = _gallery(records[0].benchmark)
    return f"Who is it? Recall in fixed galleries ({gallery}), by the network of the training loss"


def _likeness_title(records: Sequence[RunRecord], _: str) -> str:
    classifier, score = _classifier_of(records)
    quality = f"{score} by {classifier}" if score else "mutual information (MI) by the judge"
    inception = _extractor_of(records, paper.inception_score().name, paper.PublishedFrechetDistance().name)
    title = f"How alike? By the network of the training loss; {quality}"
    return f"{title}; FID and IS by {inception}" if inception else title


class PaperProtocol(EvaluationProtocol["Predictions"]):
    """`sf2f-paper/1`."""

    name = PAPER
    description = (
        "The published evaluation of SF2F, quirks and all: the network of the training loss scores, the truth is the "
        "mean over all photos, galleries are few and fixed, runs differ in random crops. It is for comparison in kind "
        "only."
    )
    legend = (
        f"Means of {RUNS} runs with random crops, ± standard deviation over the runs; anchors answer once. 95 % "
        "intervals over identities: scores.csv and the pictures."
    )
    headline_role: ClassVar[Role] = "training-loss"
    why_no_folder = f"{PAPER} generates ten times from random crops: a folder of faces goes with {BENCH}"
    tables = (
        TableSpec("retrieval", _retrieval_title, by="training-loss", main=True),
        TableSpec("likeness", _likeness_title, by="any extractor", main=True),
        FURTHER_METRICS,
    )

    def galleries(self, part: BenchmarkPart) -> int:
        """One to three: as many as the test identities fill."""
        return paper.gallery_count(part.identities.test, part.gallery_size)

    def notes(self, records: Sequence[RunRecord]) -> list[str]:
        """What the numbers of the published evaluation carry along."""
        part = records[0].benchmark
        classifier, score = _classifier_of(records)
        by_loss = (s for record in records for s in record.scores if s.extractor_role == "training-loss")
        loss = min((score.extractor or "" for score in by_loss), default="none")
        found = [
            f"{PAPER} repeats the published evaluation, for comparison with published numbers in kind; judge systems "
            f"by {BENCH}. The network of the training loss ({loss}) scores recall and distances here, as FaceNet does "
            "in the paper, and flatters what was trained with it"
            + ("." if score else f"; the judge ({classifier or 'none'}) stands for VGGFace2's classifier."),
            "The runs differ in the crops of the same voices alone: their ± is no confidence interval.",
        ]
        searched = self.galleries(part) * part.gallery_size
        if searched < part.identities.test:
            found.append(
                f"Recall rests on the first {searched} identities of the test list, the distances on all "
                f"{part.identities.test}."
            )
        return [*found, f"The anchor of another true photo has no row: {WHY_NO_TRUE_PHOTO}."]

    def left_out(self, anchor: ModelCard) -> str | None:
        """Another true photo of the person would find itself in the published truth."""
        return WHY_NO_TRUE_PHOTO if anchor.purpose == "true-photo" else None

    def further_extractors(self, benchmark: Benchmark) -> dict[str, str]:
        """The classifier of the published quality score, where the benchmark names one, and Inception."""
        classifier = {CLASSIFIER: benchmark.paper_classifier} if benchmark.paper_classifier else {}
        return {**classifier, INCEPTION: INCEPTION}

    def metrics(self, benchmark: Benchmark, identities: int) -> list[NamedMetric]:
        """Those of the published tables, for each kind of generated face. Raises BenchError for any other."""
        if benchmark.metrics:
            raise BenchError(
                f"{PAPER} has the published metrics alone: --metrics {benchmark.metrics[0]} goes with {BENCH}"
            )
        return paper.all_metrics(benchmark.gallery_size, benchmark.ks, identities)

    def key_parts(self, extractors: Mapping[str, str]) -> dict[str, Any]:
        """The artefact is what the extractors made of the faces."""
        from sf2f_bench.protocols.paper.runs import PREDICTIONS_VERSION

        return {"extractors": dict(extractors), "predictions": PREDICTIONS_VERSION}

    def generate(
        self, evaluation: Evaluation, trained: TrainedSystem, reporter: Reporter, path: Path
    ) -> None:
        """Features of the faces of ten runs, and the first run's faces for the report."""
        from sf2f_bench.protocols.paper.runs import predict

        system, total = trained.system, RUNS * len(evaluation.identities)
        with reporter.bar(f"generate {system.card.label} (identities, {RUNS} runs)", total) as bar:
            predict(evaluation, system, trained.device, trained.seed, bar.advance, trained.store).save(path)

    def load(self, path: Path) -> Predictions:
        """What the extractors made of the faces."""
        from sf2f_bench.protocols.paper.runs import Predictions

        return Predictions.load(path)

    def score(self, evaluation: Evaluation, answer: Predictions | Answer) -> Scores:
        """As published."""
        from sf2f_bench.protocols.paper.scoring import paper_scores

        return paper_scores(evaluation, answer)
