"""From a system's faces, or an anchor's answer, to a saved record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.evaluation.attribute_judges import attribute_scores
from sf2f_bench.evaluation.attribute_judges import notes as attribute_notes
from sf2f_bench.evaluation.test_people import Evaluation, take
from sf2f_bench.files import seed_of
from sf2f_bench.metrics.attributes import METRICS as ATTRIBUTE_METRICS
from sf2f_bench.metrics.table import DISTANCES, Recall, TrueIdentity, lacking
from sf2f_bench.protocols.names import BENCH, SECONDS, headline_k
from sf2f_bench.protocols.scores import NamedMetric, Scores, card_of, role_of
from sf2f_bench.registry import installed_metrics, unfit
from sf2f_bench.results import records
from sf2f_bench.types import Answer, Features, Metric, MetricCard, Score

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

OF_EVERY_EXTRACTOR = {"ranking", "embeddings", "samples", "probabilities"}
LACKING = {
    "G": "gender is not known",
    "N": "nationality is not known",
    "A": "age is not known",
    "GNA": "not all of gender, nationality and age are known",
    "takes": "needs faces from two recordings of everybody, which this row does not give",
}


def metrics_for(benchmark: Benchmark, identities: int, key: str = "judge") -> list[Metric]:
    """The installed metrics that an extractor is asked for, for the benchmark's galleries and so many identities.

    The judge is asked for all. What takes recordings, photos or strata apart is asked of the judge alone.
    """
    found = installed_metrics(benchmark.gallery_size, benchmark.ks, identities)
    return (
        found if key == "judge" else [metric for metric in found if set(metric.needs) <= OF_EVERY_EXTRACTOR]
    )


@dataclass(frozen=True)
class AtLength:
    """A metric of faces that were drawn from the first `seconds` of each person's speech."""

    metric: Metric
    seconds: float

    @property
    def name(self) -> str:
        """``recall@10/g100/2.5s``."""
        return f"{self.metric.name}/{self.seconds:g}s"

    @property
    def version(self) -> int:
        """The metric's own."""
        return self.metric.version

    @property
    def higher_is_better(self) -> bool:
        """The metric's own."""
        return self.metric.higher_is_better

    @property
    def card(self) -> MetricCard:
        """A point of the curve; the longest speech stays longest."""
        whole, place = card_of(self.metric), SECONDS.index(self.seconds)
        return replace(
            whole,
            parameters={**whole.parameters, "seconds": self.seconds},
            heading=f"{whole.term} {self.seconds:g} s",
            decides=(),
            shown=(),
            headline=False,
            tables={"length": 10 + place if whole.headline else 0},
            order={"length": place if whole.headline else 10 + place},
            plotted=False,
        )


def metrics_by_length(benchmark: Benchmark) -> list[Metric]:
    """What the audio-length curve shows: recall at the headline's k, and the cosine to the true identity."""
    headline = headline_k(benchmark.ks)
    recall = Recall(headline, benchmark.gallery_size, headline_k=headline)
    return cast("list[Metric]", [recall, TrueIdentity("cosine")])


def all_metrics(benchmark: Benchmark, identities: int) -> list[NamedMetric]:
    """Every metric that a record of the protocol may hold, for so many test identities."""
    curve = [AtLength(metric, seconds) for metric in metrics_by_length(benchmark) for seconds in SECONDS]
    return [*metrics_for(benchmark, identities), *curve, *ATTRIBUTE_METRICS]


def score(evaluation: Evaluation, answer: Answer, whole: bool = True) -> Scores:
    """Every metric of `sf2f-bench/1` by every extractor; what cannot be measured is named with its reason.

    whole: False for faces of the row above handed to other people: only what depends on who is who.
    """
    assert evaluation.benchmark.protocol == BENCH, (
        "sf2f_bench.protocols.paper.scoring scores the other protocol"
    )
    rows = np.ones(len(evaluation.identities), bool) if answer.rows is None else answer.rows
    found = Scores(rows=rows)
    if answer.ranking is not None:
        _score_own_space(evaluation, found, answer.ranking)
        return found
    for key in evaluation.extractors if whole else evaluation.recognisers:
        real = take(evaluation.real(key), rows)
        fake = _drawn(evaluation, key, answer, real.identities)
        if fake is None:
            continue
        _score(evaluation, found, key, real, fake, whole)
        if key == "judge":
            _score_by_length(evaluation, found, real, answer)
    for judge in evaluation.attribute_judges:
        for metric, result in attribute_scores(evaluation, judge, answer):
            found.add(metric, result, judge, "further")
        if answer.faces is not None:
            found.notes += attribute_notes(evaluation, judge)
    for name, reason in evaluation.missing.items():
        found.absent.append(records.AbsentScore(metric="all", extractor=name, reason=reason))
    return found


def _score_own_space(evaluation: Evaluation, found: Scores, ranking: tuple[FloatArray, FloatArray]) -> None:
    """An anchor's order of the gallery; every photo of a person stands where its owner does."""
    names = tuple(identity.id for identity in evaluation.identities)
    probes, gallery = (Features(names, side, own_space=True) for side in ranking)
    if "judge" in evaluation.extractors:
        seen = evaluation.real("judge")
        assert seen.owners is not None
        gallery = replace(gallery, photos=ranking[1][seen.owners], owners=seen.owners, strata=seen.strata)
    _score(evaluation, found, None, gallery, probes)


def _drawn(evaluation: Evaluation, key: str, answer: Answer, names: tuple[str, ...]) -> Features | None:
    """The drawn side as an extractor sees it; None where the answer says nothing to it."""
    recognises = evaluation.extractors[key].recognises
    if answer.faces is None:
        queries = (answer.embeddings or {}).get(key)
        return None if queries is None else Features(names, queries)
    embeddings, probabilities = evaluation.embed(key, answer.faces)
    takes = None
    if answer.takes is not None and key == "judge":
        takes = np.stack([evaluation.embed(key, faces)[0] for faces in answer.takes])
    return Features(names, embeddings, embeddings, probabilities, recognises=recognises, takes=takes)


def _score(
    evaluation: Evaluation,
    found: Scores,
    key: str | None,
    real: Features,
    fake: Features,
    whole: bool = True,
) -> None:
    """whole: False for the metrics of who is who alone."""
    extractor = evaluation.extractors[key] if key else None
    name = extractor.id if extractor else None
    for metric in metrics_for(evaluation.benchmark, len(real.identities), key or "judge"):
        if not fake.recognises and not set(metric.needs) <= {"samples", "probabilities"}:
            continue  # who is who is not asked of a network that cannot tell
        if not whole and "ranking" not in metric.needs and metric.name not in DISTANCES:
            continue
        result = _measure(metric, real, fake, np.random.default_rng(seed_of(metric.name, name)))
        if isinstance(result, str):
            found.add_absent(metric, name, result)
        else:
            found.add(metric, result, extractor, role_of(key) if key else "none")


def _score_by_length(evaluation: Evaluation, found: Scores, real: Features, answer: Answer) -> None:
    """The audio-length curve by the judge; its last point is the plain metric."""
    judge = evaluation.extractors["judge"]
    for seconds, faces in answer.shorter.items():
        fake = Features(real.identities, evaluation.embed("judge", faces)[0])
        for metric in metrics_by_length(evaluation.benchmark):
            random = np.random.default_rng(seed_of(metric.name, judge.id))
            result = _measure(metric, real, fake, random)
            if not isinstance(result, str):
                found.add(AtLength(metric, seconds), result, judge, "judge")


def _check(metric: Metric, result: object, n: int) -> None:
    """Raise BenchError for what is no sound `Score` of n identities."""
    what = f"metric {metric.name}"
    if not isinstance(result, Score):
        raise unfit(what, metric, result, "a Score")
    if not all(isinstance(number, int | float | np.number) for number in (result.value, result.n)):
        raise unfit(what, metric, (result.value, result.n), "numbers as value and n")
    for values in (result.per_identity, result.replicates):
        if values is not None and np.ndim(values) != 1:
            raise unfit(what, metric, values, "one number for each identity or half-sample")
    if result.per_identity is not None and len(result.per_identity) > n:
        raise unfit(what, metric, result.per_identity, f"per_identity of {n} identities")


def _measure(metric: Metric, real: Features, fake: Features, rng: np.random.Generator) -> Score | str:
    """The score, or the reason why there is none."""
    n = len(real.identities)
    if n < metric.min_n:
        return f"needs {metric.min_n} identities, there are {n}"
    if missing := lacking(metric, real, fake):
        return " and ".join(
            LACKING.get(need, f"needs {need}, which this row does not give") for need in sorted(missing)
        )
    result = metric(real, fake, rng)
    _check(metric, result, n)
    if result.n < metric.min_n and result.value != result.value:
        return f"needs {metric.min_n} identities in strata that are large enough, there are {result.n}"
    return (
        result if np.isfinite(result.value) else f"came out as {result.value} on these {result.n} identities"
    )
