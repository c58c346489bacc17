"""Two systems beside each other: every metric that both have, paired by identity, corrected for their number.

From records alone. Several records of one label that differ in their seed are one system trained several times.

The primary metric, which the benchmark names beforehand, is tested by itself. All others are corrected apart, each
family of metrics over all of its lines, whichever of them the user asks to see. Better and worse are said of systems
with three training seeds a side: with fewer there is the difference, its interval for new people, and no p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.protocols.catalogue import protocol_of_records
from sf2f_bench.registry import unknown
from sf2f_bench.results.records import NO_CARD, check_side_files, load, load_all
from sf2f_bench.results.seed_runs import (
    Key,
    SeedRuns,
    missing_seeds,
    other_identities,
    pair_of,
    seed_runs,
)
from sf2f_bench.results.selection import Entry, Group, difference, groups
from sf2f_bench.statistics.paired import SIGNIFICANT, compare_scores, of_these_trainings
from sf2f_bench.types import BenchError, ExtractorCard, MetricCard

Verdict = Literal["better", "worse", "no difference shown", "too few seeds"]
PRIMARY = "primary"  # the family of the primary metric alone


@dataclass(frozen=True)
class ComparedMetric:
    """One metric of A and B, on the n identities that both have; `verdict` is about A.

    family: whose metrics are corrected together. p: two-sided, of the difference; q: p after Benjamini and Hochberg
    over the family; both None with too few seeds, where lower and upper allow for new people alone. detectable: see
    `Comparison`.
    """

    metric: str
    family: str
    version: int
    extractor: str | None
    extractor_role: str
    higher_is_better: bool
    basis: str
    n: int
    a: float
    b: float
    difference: float
    lower: float
    upper: float
    p: float | None
    q: float | None
    detectable: float | None
    verdict: Verdict


@dataclass(frozen=True)
class SystemComparison:
    """All metrics of A against B. left_out: metrics that both have and why they could not be paired; lines: of how
    many metrics `metrics` are those that were asked for.
    """

    a: SeedRuns
    b: SeedRuns
    metrics: tuple[ComparedMetric, ...]
    left_out: dict[str, str]
    lines: int

    @property
    def missing_seeds(self) -> str | None:
        """Why no verdict is given, in words; None where one is."""
        return missing_seeds(self.a, self.b)

    @property
    def title(self) -> str:
        """What decides comparability: ``synthetic-64/1, protocol sf2f-bench/1``."""
        part = self.a.records[0].benchmark
        return f"{part.name}/{part.version}, protocol {part.protocol}"

    def card_of(self, metric: str) -> MetricCard:
        """What a metric says of itself."""
        return self.a.records[0].metrics.get(metric, NO_CARD)

    def heading_of(self, one: ComparedMetric) -> str:
        """What the tables call a metric."""
        extractor = self.a.records[0].extractors.get(one.extractor or "", ExtractorCard())
        card = self.card_of(one.metric)
        return card.headings.get(extractor.convention, card.heading) or one.metric

    @property
    def primary_name(self) -> str:
        """The metric that the benchmark names beforehand, or the protocol's headline."""
        record = self.a.records[0]
        headlines = (name for name, card in record.metrics.items() if card.headline)
        return record.benchmark.primary_metric or next(headlines, "not named")

    @property
    def primary(self) -> ComparedMetric | None:
        """The primary metric; None where it was not asked for, or a side does not have it."""
        return next((one for one in self.metrics if one.family == PRIMARY), None)

    @property
    def secondary(self) -> list[ComparedMetric]:
        """The other metrics that decide, by the network of the verdicts or in an anchor's own space."""
        role = _role(self.a)
        return [
            one
            for one in self.metrics
            if one.family != PRIMARY
            and one.extractor_role in (role, "none")
            and role in self.card_of(one.metric).decides
        ]

    def frame(self) -> pd.DataFrame:
        """One row a metric, unrounded, with what decides its meaning."""
        part = self.a.records[0].benchmark
        common = {
            "benchmark": f"{part.name}/{part.version}",
            "protocol": part.protocol,
            "data_hash": part.data_hash,
            "system_a": self.a.name,
            "system_b": self.b.name,
            "seeds_a": " ".join(str(record.seed) for record in self.a.records),
            "seeds_b": " ".join(str(record.seed) for record in self.b.records),
            "metrics": self.lines,
        }
        return pd.DataFrame([{**common, **asdict(compared)} for compared in self.metrics])


def compare(
    a: str, b: str, results: Path, metrics: str = "*", left_out: dict[Path, str] | None = None
) -> list[SystemComparison]:
    """A against B in every table where both stand.

    a, b: the path of a record's JSON, or a system among the records of `results` by its name or its label as the
    tables print it (all its seeds, or one where the label names one); metrics: a pattern like ``recall@10*``; left_out:
    takes the records that cannot be used, as in `load_all`.
    Raises BenchError for unknown names and metrics, and where the two may not be compared.
    """
    found = [] if _is_path(a) and _is_path(b) else groups(load_all(results, ("reference",), left_out))
    pairs = [(left, right) for left in _systems(a, found) for right in _systems(b, found)]
    reasons = [_why_not_comparable(*pair) for pair in pairs]
    comparable = [pair for pair, reason in zip(pairs, reasons, strict=True) if reason is None]
    if not comparable:
        raise BenchError(f"{a} and {b} may not be compared: {reasons[0]}.")
    shared = [_shared(*pair) for pair in comparable]
    names = sorted({left[0] for keys in shared for left, _ in keys})
    if names and not any(fnmatchcase(name, metrics) for name in names):
        raise BenchError(unknown("metric", metrics, names))
    every = [comparison_of(*pair, keys) for pair, keys in zip(comparable, shared, strict=True)]
    made = [_filtered(comparison, metrics) for comparison in every]
    if not any(comparison.metrics for comparison in made):
        reasons_left_out = sorted({reason for one in made for reason in one.left_out.values()})
        why = "; ".join(reasons_left_out) or "they have no metric by the same extractor in common"
        raise BenchError(f"there is nothing to compare between {a} and {b}: {why}.")
    return [comparison for comparison in made if comparison.metrics]


# ---------------------------------------------------------------- which systems are meant


def _is_path(word: str) -> bool:
    return word.endswith(".json")


def _systems(word: str, found: Sequence[Group]) -> list[SeedRuns]:
    """The system of this name in every group that has it; seeds taken together."""
    if _is_path(word):
        record = load(Path(word))
        check_side_files(record)
        return [SeedRuns((record,))]
    systems: dict[tuple[str, ...], SeedRuns] = {}
    for group in found:
        named = [entry for entry in group.entries if word in _names(entry)]
        if named:
            runs = _one_system(word, named)
            systems[tuple(record.key for record in runs.records)] = runs
    if not systems:
        known = sorted({name for group in found for entry in group.entries for name in _names(entry)})
        raise BenchError(unknown("system", word, known))
    return list(systems.values())


def _names(entry: Entry) -> list[str]:
    """All that an entry may be called."""
    record = entry.record
    seed, budget = f"seed {record.seed}", f"budget {record.budget}"
    longer = [
        ", ".join([name, *words])
        for name in dict.fromkeys((record.system.label, entry.system))
        for words in ([], [seed], [budget], [seed, budget])
    ]
    return [record.system.name, entry.label, *longer]


def _one_system(word: str, named: Sequence[Entry]) -> SeedRuns:
    """Raises BenchError where the entries are of several systems or states of its code, or of several budgets."""
    labels = sorted({entry.system for entry in named})
    if len(labels) == 1:
        labels = sorted({f"{labels[0]}, budget {entry.record.budget}" for entry in named})
    if len(labels) > 1:
        raise BenchError(f"{word!r} names several rows: give one of {', '.join(map(repr, labels))}.")
    return seed_runs([entry.record for entry in named], named[0].system)


def _why_not_comparable(a: SeedRuns, b: SeedRuns) -> str | None:
    """None where the two may be compared."""
    if {record.key for record in a.records} & {record.key for record in b.records}:
        return "the two have a record in common"
    reasons = (difference(left, right) for left in a.records for right in b.records)
    return next(filter(None, reasons), None) or other_identities(a, b)


# ---------------------------------------------------------------- metric by metric


def comparison_of(
    a: SeedRuns, b: SeedRuns, keys: Sequence[tuple[Key, Key]] | None = None
) -> SystemComparison:
    """Of comparable systems in all metrics, or in those of these keys of each."""
    compared, left_out = [], {}
    for left, right in _shared(a, b) if keys is None else keys:
        made = _compared(a, b, left, right)
        if isinstance(made, str):
            left_out[left[0]] = made
        else:
            compared.append(made)
    return SystemComparison(a, b, tuple(_judged(compared)), left_out, len(compared))


def _filtered(comparison: SystemComparison, metrics: str) -> SystemComparison:
    """Only the metrics that match a pattern, with their q over all."""
    kept = tuple(one for one in comparison.metrics if fnmatchcase(one.metric, metrics))
    left_out = {name: why for name, why in comparison.left_out.items() if fnmatchcase(name, metrics)}
    return replace(comparison, metrics=kept, left_out=left_out)


def _role(runs: SeedRuns) -> str:
    """Of the network whose verdicts count."""
    return protocol_of_records(runs.records[0].benchmark.protocol).headline_role


def _family(a: SeedRuns, metric: str, role: str) -> str:
    """The family whose metrics are corrected together; the primary metric's own where it is that one."""
    record = a.records[0]
    card = record.metrics.get(metric, NO_CARD)
    primary = record.benchmark.primary_metric
    is_primary = metric == primary if primary else card.headline
    return PRIMARY if is_primary and role in (_role(a), "none") else card.family


def _shared(a: SeedRuns, b: SeedRuns) -> list[tuple[Key, Key]]:
    """The metrics of both by the same extractor. An anchor's own space is no extractor's and goes with each."""
    return [
        (left, right)
        for left in a.scores
        for right in b.scores
        if left[0] == right[0] and (left[1] == right[1] or None in (left[1], right[1]))
    ]


def _compared(a: SeedRuns, b: SeedRuns, left: Key, right: Key) -> ComparedMetric | str:
    """One metric, its q and verdict still open; or why it cannot be compared."""
    pair = pair_of(a, b, left, right)
    if isinstance(pair, str):
        return pair
    one, other = a.scores[left][0], b.scores[right][0]
    score = one if one.extractor else other
    few = missing_seeds(a, b) is not None
    sides = of_these_trainings(*pair) if few else pair
    result = compare_scores(*sides, np.random.default_rng(seed_of(score.metric, score.extractor)))
    return ComparedMetric(
        metric=score.metric,
        family=_family(a, score.metric, score.extractor_role),
        version=score.version,
        extractor=score.extractor,
        extractor_role=score.extractor_role,
        higher_is_better=score.higher_is_better,
        basis=pair[0].basis,
        n=result.n,
        a=float(pair[0].values.mean()),
        b=float(pair[1].values.mean()),
        difference=result.effect,
        lower=result.interval[0],
        upper=result.interval[1],
        p=None if few else result.p,
        q=None,
        detectable=None if few else result.detectable,
        verdict="too few seeds" if few else "no difference shown",
    )


def _judged(compared: Sequence[ComparedMetric]) -> list[ComparedMetric]:
    """With q over each family, and the verdict that it bears."""
    families: dict[str, list[float]] = {}
    for one in compared:
        if one.p is not None:
            families.setdefault(one.family, []).append(one.p)
    q = {family: iter(stats.false_discovery_control(p)) for family, p in families.items()}
    return [one if one.p is None else _with_q(one, float(next(q[one.family]))) for one in compared]


def _with_q(compared: ComparedMetric, q: float) -> ComparedMetric:
    verdict: Verdict = "no difference shown"
    if q < SIGNIFICANT:
        verdict = "better" if (compared.difference > 0) == compared.higher_is_better else "worse"
    return replace(compared, q=q, verdict=verdict)
