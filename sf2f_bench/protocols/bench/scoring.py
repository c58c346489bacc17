"""From a system's faces, or an anchor's answer, to a saved record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING, cast

import numpy as np

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.evaluation.attribute_judges import attribute_scores
from sf2f_bench.evaluation.attribute_judges import notes as attribute_notes
from sf2f_bench.evaluation.test_people import Evaluation, take
from sf2f_bench.evaluation.traits import NO_TRAITS, trait_scores
from sf2f_bench.evaluation.traits import notes as trait_notes
from sf2f_bench.extractors.embedded import TraitReader
from sf2f_bench.files import seed_of
from sf2f_bench.metrics.attributes import METRICS as ATTRIBUTE_METRICS
from sf2f_bench.metrics.common import card_of, missing_needs
from sf2f_bench.metrics.distribution import ClipDiscrepancy
from sf2f_bench.metrics.disturbances import UnderDisturbance
from sf2f_bench.metrics.diversity import LpipsDiversity
from sf2f_bench.metrics.draws import draw_metrics
from sf2f_bench.metrics.lengths import AtLength, with_curve
from sf2f_bench.metrics.retrieval import identified_by_rank, ranking_of
from sf2f_bench.metrics.subgroups import known_subgroups, subgroup_scores, with_subgroups
from sf2f_bench.metrics.traits import METRICS as TRAIT_METRICS
from sf2f_bench.metrics.verification import error_curve
from sf2f_bench.protocols.names import BENCH, DISTURBANCES, SECONDS
from sf2f_bench.protocols.scores import Identified, NamedMetric, Scores, role_of
from sf2f_bench.registry import installed_metrics, unfit
from sf2f_bench.results import records
from sf2f_bench.types import Answer, ExtractorCard, Features, Metric, Role, Score

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

OF_PICTURES = {"samples", "probabilities"}  # needs that every extractor meets; for others it must recognise
OF_EVERY_EXTRACTOR = OF_PICTURES | {"ranking", "embeddings"}
# Beside what every network is asked for.
OF_ONE_NETWORK: dict[str, Metric] = {"clip-vitl14-336": cast("Metric", ClipDiscrepancy())}
# LPIPS has as many features of a picture as a network has weights, too many to keep of every photo; it is asked for
# nothing else.
OF_GENERATED_ALONE: dict[str, Metric] = {"lpips-alex": cast("Metric", LpipsDiversity())}
MISSING = {  # what is missing -> why, in words
    "G": "gender is not known",
    "N": "nationality is not known",
    "A": "age is not known",
    "GNA": "not all of gender, nationality and age are known",
    "training_likeness": "needs faces, which this row does not give",
    "takes": "needs faces from two recordings of everybody, which this row does not give",
    "draws": "needs several faces for each voice, and this row generates one",
}


def metrics_for(benchmark: Benchmark, identities: int, key: str = "judge") -> list[Metric]:
    """The metrics that an extractor is asked for, for the benchmark's galleries and so many identities.

    The judge is asked for all. What takes recordings, photos or strata apart is asked of the judge alone.
    """
    if key in OF_GENERATED_ALONE:
        return [OF_GENERATED_ALONE[key]]
    found = installed_metrics(benchmark.gallery_size, benchmark.ks, identities, benchmark.metrics)
    asked = [metric for metric in found if key == "judge" or set(metric.needs) <= OF_EVERY_EXTRACTOR]
    return [*asked, OF_ONE_NETWORK[key]] if key in OF_ONE_NETWORK else asked


def all_metrics(benchmark: Benchmark, identities: int) -> list[NamedMetric]:
    """Every metric that a record of the protocol may hold, for so many test identities."""
    metrics = metrics_for(benchmark, identities)
    curve = [AtLength(metric, seconds) for metric in with_curve(metrics) for seconds in SECONDS]
    disturbed = [
        UnderDisturbance(metric, what) for metric in with_subgroups(metrics) for what in DISTURBANCES
    ]
    own = [
        metric for name, metric in (OF_ONE_NETWORK | OF_GENERATED_ALONE).items() if name in benchmark.further
    ]
    return [*metrics, *curve, *known_subgroups(metrics), *disturbed, *ATTRIBUTE_METRICS, *TRAIT_METRICS, *own]


def all_metrics_of_draws(benchmark: Benchmark, identities: int, *draws: int) -> list[NamedMetric]:
    """Every metric of so many faces for one voice that a record may hold, for so many test identities."""
    of_one_face = metrics_for(benchmark, identities)
    found = (metric for count in draws for metric in draw_metrics(of_one_face, identities, count))
    return [*{metric.name: metric for metric in found}.values()]


def score(evaluation: Evaluation, answer: Answer) -> Scores:
    """Every metric of `sf2f-bench/1` by every extractor; what cannot be measured is named with its reason."""
    assert evaluation.benchmark.protocol == BENCH, "protocols.paper.scoring scores the other protocol"
    rows = np.ones(len(evaluation.identities), bool) if answer.rows is None else answer.rows
    found = Scores(rows=rows)
    if answer.ranking is not None:
        real, fake = _own_space(evaluation, answer.ranking)
        _add_scores(found, metrics_for(evaluation.benchmark, len(real.identities)), real, fake)
        _add_subgroups(found, real, fake, metrics_for(evaluation.benchmark, len(real.identities)))
        found.curves = _curves(real, fake)
        return found
    for key in evaluation.extractors:
        _score_by_extractor(evaluation, found, key, answer)
    for judge in evaluation.attribute_judges:
        if isinstance(judge, TraitReader):
            _add_traits(found, evaluation, judge, answer)
            continue
        for metric, result in attribute_scores(evaluation, judge, answer):
            found.add(metric, result, judge, "further")
        if answer.faces is not None:
            found.notes += attribute_notes(evaluation, judge)
    if not isinstance(evaluation.dataset, SyntheticWorld):
        found.add_absent(TRAIT_METRICS[0], None, NO_TRAITS)
    for name, reason in evaluation.missing.items():
        found.absent.append(records.AbsentScore(metric="all", extractor=name, reason=reason))
    return found


def _add_traits(found: Scores, evaluation: Evaluation, reader: TraitReader, answer: Answer) -> None:
    for metric, result in trait_scores(evaluation, reader, answer):
        found.add(metric, result, reader, "further")
    if answer.faces is not None:
        found.notes += trait_notes(evaluation, reader)


def _own_space(evaluation: Evaluation, ranking: tuple[FloatArray, FloatArray]) -> tuple[Features, Features]:
    """Both sides of an anchor's own order of the gallery; every photo of a person stands where its owner does."""
    names = tuple(identity.id for identity in evaluation.identities)
    fake, real = (Features(names, side, own_space=True) for side in ranking)
    if "judge" in evaluation.extractors:
        seen = evaluation.real("judge")
        assert seen.owners is not None
        real = replace(
            real,
            photos=ranking[1][seen.owners],
            owners=seen.owners,
            strata=seen.strata,
            subgroups=seen.subgroups,
        )
    return real, fake


def _score_by_extractor(evaluation: Evaluation, found: Scores, key: str, answer: Answer) -> None:
    """All that one extractor is asked for, and by the judge the audio-length curve too."""
    assert found.rows is not None
    real = _true_side(evaluation, key, found.rows)
    fake = _generated(evaluation, key, answer, real.identities)
    if fake is None:
        return
    extractor, role = evaluation.extractors[key], role_of(key)
    metrics = metrics_for(evaluation.benchmark, len(real.identities), key)
    families = getattr(extractor, "card", ExtractorCard()).families if role == "further" else ()
    asked = [one for one in metrics if not families or card_of(one).family in families]
    _add_scores(found, [one for one in asked if _is_asked(one, fake)], real, fake, extractor, role)
    if key != "judge":
        return
    _add_subgroups(found, real, fake, metrics, extractor, role)
    found.curves = _curves(real, fake)
    if fake.draws is not None:
        drawn = draw_metrics(metrics, len(real.identities), len(fake.draws))
        _add_scores(found, drawn, real, fake, extractor, role)
    _add_disturbed(found, evaluation, key, answer, metrics)
    for seconds, faces in answer.shorter.items():  # the curve's last point is the plain metric
        fake = Features(real.identities, evaluation.embed(key, faces)[0])
        for metric in with_curve(metrics):
            result = _measure(metric, real, fake, _random(metric, extractor))
            if isinstance(result, Score):
                found.add(AtLength(metric, seconds), result, extractor, role)


def _true_side(evaluation: Evaluation, key: str, rows: np.ndarray) -> Features:
    """Of some identities; empty arrays for a network that is shown no photo."""
    if key not in OF_GENERATED_ALONE:
        return take(evaluation.real(key), rows)
    names = tuple(identity.id for identity in compress(evaluation.identities, rows))
    nothing = np.empty((len(names), 0))
    return Features(names, nothing, nothing, recognises=False)


def _add_disturbed(
    found: Scores, evaluation: Evaluation, key: str, answer: Answer, metrics: Sequence[Metric]
) -> None:
    """The headline's recall and the AUC from disturbed voices, of a gallery of people, or why there are none."""
    if not answer.disturbed:
        return
    extractor = evaluation.extractors[key]
    real = take(evaluation.real(key), np.arange(evaluation.benchmark.gallery_size))
    for what, made in answer.disturbed.items():
        fake = None if isinstance(made, str) else _generated(evaluation, key, made, real.identities)
        for metric in with_subgroups(metrics):
            asked = UnderDisturbance(metric, what)
            result: Score | str = made if isinstance(made, str) else "this row makes nothing of it"
            if fake is not None:
                result = _measure(metric, real, fake, _random(asked, extractor))
            if isinstance(result, Score):
                found.add(asked, result, extractor, role_of(key))
            else:
                found.add_absent(asked, extractor.id, result)


def _curves(real: Features, fake: Features) -> dict[str, np.ndarray]:
    """The columns of `RunRecord.det_cmc`."""
    false_accepts, false_rejects = error_curve(fake.embeddings, real.embeddings)
    order = ranking_of(real, fake, "cosine")
    rank, identified = identified_by_rank(order.better, order.ties)
    return {
        "false_accepts": false_accepts,
        "false_rejects": false_rejects,
        "rank": rank,
        "identified": identified,
    }


def _generated(evaluation: Evaluation, key: str, answer: Answer, names: tuple[str, ...]) -> Features | None:
    """The generated side as an extractor sees it; None where the answer has nothing for this extractor."""
    recognises = evaluation.extractors[key].recognises
    if answer.faces is None:
        queries = (answer.embeddings or {}).get(key)
        return None if queries is None else Features(names, queries)
    embeddings, probabilities = evaluation.embed(key, answer.faces)
    fake = Features(names, embeddings, embeddings, probabilities, recognises=recognises)
    if key != "judge":
        return fake

    def each(several: ByteArray | None) -> FloatArray | None:
        return None if several is None else np.stack([evaluation.embed(key, faces)[0] for faces in several])

    return replace(
        fake,
        repeat_faces=each(answer.repeat_faces),
        draws=each(answer.draws),
        training_likeness=evaluation.training_pictures.likeness(answer.faces),
    )


def _is_asked(metric: Metric, fake: Features) -> bool:
    """Whether a metric makes sense at all: identities only of a network that recognises."""
    return fake.recognises or set(metric.needs) <= OF_PICTURES


def _add_scores(
    found: Scores,
    metrics: Sequence[Metric],
    real: Features,
    fake: Features,
    extractor: Identified | None = None,
    role: Role = "none",
) -> None:
    """The score of each metric, or why there is none; extractor: None in an anchor's own space."""
    for metric in metrics:
        result = _measure(metric, real, fake, _random(metric, extractor))
        if isinstance(result, Score):
            found.add(metric, result, extractor, role)
        else:
            found.add_absent(metric, extractor.id if extractor else None, result)


def _add_subgroups(
    found: Scores,
    real: Features,
    fake: Features,
    metrics: Sequence[Metric],
    extractor: Identified | None = None,
    role: Role = "none",
) -> None:
    """The headline's recall and the AUC of each subgroup of people, and the gap between subgroups."""
    for asked, result in subgroup_scores(metrics, real, fake, lambda one: _random(one, extractor)):
        if isinstance(result, Score):
            found.add(asked, result, extractor, role)
        else:
            found.add_absent(asked, extractor.id if extractor else None, result)


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


def _random(metric: NamedMetric, extractor: Identified | None) -> np.random.Generator:
    """The random numbers of a metric by an extractor, the same for every row."""
    return np.random.default_rng(seed_of(metric.name, extractor.id if extractor else None))


def _measure(metric: Metric, real: Features, fake: Features, rng: np.random.Generator) -> Score | str:
    """The score, or the reason why there is none."""
    n = len(real.identities)
    if n < metric.min_n:
        return f"needs {metric.min_n} identities, there are {n}"
    if missing := missing_needs(metric, real, fake):
        reasons = (
            MISSING.get(need, f"needs {need}, which this row does not give") for need in sorted(missing)
        )
        return " and ".join(reasons)
    result = metric(real, fake, rng)
    _check(metric, result, n)
    if result.n < metric.min_n and result.value != result.value:
        return f"needs {metric.min_n} identities in strata that are large enough, there are {result.n}"
    if not np.isfinite(result.value):
        return f"came out as {result.value} on these {result.n} identities"
    return result
