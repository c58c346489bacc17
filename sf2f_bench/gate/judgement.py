"""New records judged against reference runs: a system regresses if a deciding metric drops by more than its margin.

The test. Differences are signed so that positive is better. For each metric that decides, the null hypothesis is that
the true difference, over new training seeds and new identities, is no further below zero than the margin. Its
one-sided p is half the two-sided p of `statistics.paired.compare_scores` after the new side was moved up by the margin
(one minus that, where the moved difference is not below zero). Benjamini and Hochberg's q is over all deciding
metrics of all systems judged together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.gate.cost import Excess, excesses
from sf2f_bench.gate.instrument import Instrument, check_instrument
from sf2f_bench.gate.rules import Rules
from sf2f_bench.progress import first_few
from sf2f_bench.results.records import RunRecord, ScoreRecord, load_all
from sf2f_bench.results.seed_runs import Key, SeedRuns, other_identities, pair_of, seed_runs
from sf2f_bench.results.selection import difference, groups
from sf2f_bench.results.validation import faults_of
from sf2f_bench.statistics.paired import SIGNIFICANT, Measured, compare_scores
from sf2f_bench.types import BenchError, Format

Verdict = Literal["regressed", "passed", "inconclusive"]
MIN_SEEDS, MIN_IDENTITIES = 3, 30  # of the reference: with fewer, no interval is worth its name
MIN_SENSITIVITY_IN_MARGINS = 4  # a metric that would have missed even such a drop is uninformative
RELATIVE_TOLERANCE = 1e-6  # between one seed's numbers on two machines: float32 sums in another order
NO_REGRESSION, REGRESSION, CANNOT_TELL = 0, 1, 2
WORDS = {NO_REGRESSION: "no regression", REGRESSION: "regression", CANNOT_TELL: "cannot tell"}


@dataclass(frozen=True)
class JudgedMetric:
    """One metric of a system, new against reference, on the n identities that both have.

    difference, lower, upper: new minus reference with its 95 % interval, signed so that positive is better. p:
    one-sided, against the margin; q: after Benjamini and Hochberg, None where the metric does not decide. unchanged:
    the reference has the new seeds too, with the same numbers, so that there is nothing to estimate.
    """

    system: str
    metric: str
    version: int
    extractor: str | None
    extractor_role: str
    higher_is_better: bool
    format: Format
    decides: bool
    n: int
    reference: float
    new: float
    margin: float
    difference: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    p: float = 1.0
    q: float | None = None
    unchanged: bool = False

    @property
    def noticeable(self) -> float:
        """The smallest drop whose whole interval would have been beyond the margin."""
        return self.margin + self.upper - self.difference

    @property
    def tells(self) -> bool:
        """Whether it passed or regressed, or would at least have noticed a drop of four margins."""
        return self.verdict != "inconclusive" or self.noticeable <= MIN_SENSITIVITY_IN_MARGINS * self.margin

    @property
    def verdict(self) -> Verdict:
        """Regressed: the whole interval is beyond the margin, and q < .05; passed: its lower end is within."""
        if self.lower > -self.margin:
            return "passed"
        beyond = self.upper < -self.margin
        return "regressed" if beyond and (self.q is None or self.q < SIGNIFICANT) else "inconclusive"


@dataclass(frozen=True)
class Judgement:
    """All that the gate found. refused: system -> why it cannot be judged; remarks: what a reader should know."""

    title: str
    lines: tuple[JudgedMetric, ...]
    instrument: Instrument
    cost: tuple[Excess, ...]
    refused: dict[str, str]
    remarks: tuple[str, ...]
    guard_cost: bool = False
    faulty: tuple[str, ...] = ()  # records that could not be judged, or judged against, each with its fault

    @property
    def deciding(self) -> tuple[JudgedMetric, ...]:
        """The metrics that decide."""
        return tuple(line for line in self.lines if line.decides)

    @property
    def systems(self) -> tuple[str, ...]:
        """Those that were judged."""
        return tuple(dict.fromkeys(line.system for line in self.deciding))

    @property
    def exit_code(self) -> int:
        """1: something regressed; else 2: some system could not be judged at all; else 0."""
        if self.regressions:
            return REGRESSION
        return CANNOT_TELL if self.unknowns else NO_REGRESSION

    @property
    def verdict(self) -> str:
        """``no regression``, ``regression`` or ``cannot tell``."""
        return WORDS[self.exit_code]

    @property
    def regressions(self) -> tuple[str, ...]:
        """Why the exit code is 1: the instrument, deciding metrics and, where it is guarded, the cost."""
        found = [self.instrument.text] if self.instrument.deviations else []
        found += [
            f"{line.system}: {line.metric} by the {line.extractor_role} is worse by {-line.difference:.3g} "
            f"(95 % interval {-line.upper:.3g} to {-line.lower:.3g}; margin {line.margin:.3g})"
            for line in self.deciding
            if line.verdict == "regressed"
        ]
        return (*found, *(map(str, self.cost) if self.guard_cost else ()))

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Why the exit code is 2: systems that cannot be compared or have no conclusive metric, missing anchors."""
        found = [*self.faulty, *(f"{system}: {reason}" for system, reason in self.refused.items())]
        if self.instrument.missing:
            missing = ", ".join(self.instrument.missing)
            found.append(f"comparable records of {missing} are missing, so the instrument cannot be checked")
        if not self.systems and not found:
            found.append("no system is in both folders, so nothing was judged")
        for system in self.systems:
            lines = [line for line in self.deciding if line.system == system]
            if not any(line.tells for line in lines):
                found.append(
                    f"{system}: all {len(lines)} deciding metrics are inconclusive, and none would have noticed even "
                    f"a drop of {MIN_SENSITIVITY_IN_MARGINS} margins: run more training seeds (`--seed`) or use more "
                    "test identities to narrow the intervals"
                )
        return tuple(found)


class _Outcome(NamedTuple):
    """What the gate found about one system of the reference."""

    label: str
    lines: Sequence[JudgedMetric] = ()
    cost: Sequence[Excess] = ()
    refused: str = ""
    remarks: Sequence[str] = ()


def check(results: Path, against: Path, rules: Rules | None = None, guard_cost: bool = False) -> Judgement:
    """Judge the newest records in `results` against the reference runs in `against`, system by system.

    A record that cannot be read, or does not pass `results.validation.validate`, takes no part and makes the judgement
    undecidable. Raises BenchError for a folder without records.
    """
    if results.resolve() == against.resolve():
        raise BenchError(
            f"{results} is compared with itself: name the reference runs' own folder as --against"
        )
    new, faults_here = _valid(results, ("reference",))
    reference, faults_there = _valid(against, ())
    faulty = faults_here + faults_there
    if not reference:
        reasons = "; ".join(faulty) or "make reference runs with `sf2f-bench run`"
        raise BenchError(f"{against} holds no reference record that can be used: {reasons}")
    rules = rules or Rules()
    known_metrics = {score.metric for record in (*new, *reference) for score in record.scores}
    known_metrics |= {absent.metric for record in (*new, *reference) for absent in record.absent}
    rules.check(known_metrics)
    here, there = _trained(new), _trained(reference)
    outcomes = [_judge(here, old, rules) for old in there]
    known = {outcome.label for outcome in outcomes}
    unknown = [label for label in dict.fromkeys(runs.name for runs in here) if label not in known]
    part = reference[0].benchmark
    return Judgement(
        f"{part.name}/{part.version}, protocol {part.protocol}",
        with_q(line for outcome in outcomes for line in outcome.lines),
        check_instrument(_newest_first(new), _newest_first(reference)),
        tuple(excess for outcome in outcomes for excess in outcome.cost),
        {outcome.label: outcome.refused for outcome in outcomes if outcome.refused},
        (
            *(remark for outcome in outcomes for remark in outcome.remarks),
            *(f"{label} has no reference: not judged." for label in unknown),
        ),
        guard_cost,
        tuple(faulty),
    )


def _valid(folder: Path, without: tuple[str, ...]) -> tuple[list[RunRecord], list[str]]:
    """The records without faults, and a line on each of the others."""
    left_out: dict[Path, str] = {}
    records = load_all(folder, without, left_out)
    sound = []
    for record in records:
        if faults := faults_of(record, resampled=False):
            left_out[folder / f"{record.stem}.json"] = (
                f"{first_few(faults, 1, '; ')}; `sf2f-bench validate` names all"
            )
        else:
            sound.append(record)
    return sound, [f"{path}: {reason}" for path, reason in left_out.items()]


def _trained(records: Sequence[RunRecord]) -> list[SeedRuns]:
    """The trained systems: the seeds of one label and budget together, newest records only."""
    return [
        seed_runs([entry.record for entry in entries])
        for group in groups(records)
        for entries in group.by_system.values()
        if entries[0].is_trained
    ]


def _newest_first(records: Sequence[RunRecord]) -> list[RunRecord]:
    return sorted(records, key=lambda record: record.created, reverse=True)


def _judge(here: Sequence[SeedRuns], reference: SeedRuns, rules: Rules) -> _Outcome:
    """Judge one system of the reference by the first of its new runs that may be compared with it."""
    label = reference.name
    named = [side for side in here if side.name == label]
    if not named:
        return _Outcome(label, remarks=[f"{label} is in the reference only: not judged."])
    if len(states := {side.records[0].system.source for side in named}) > 1:
        reason = (
            f"there are records of {len(states)} states of its code: delete those that shall not be judged"
        )
        return _Outcome(label, refused=reason)
    reasons = [_why_not_comparable(side, reference) for side in named]
    if None not in reasons:
        return _Outcome(label, refused=str(reasons[0]))
    new = named[reasons.index(None)]
    lines, left_out = judge_metrics(new, reference, rules)
    return _Outcome(label, lines, excesses(new, reference), "", _remarks(label, new, reference, left_out))


def _why_not_comparable(new: SeedRuns, reference: SeedRuns) -> str | None:
    """The reason why these two may not be judged; None where they may."""
    for one in new.records:
        for other in reference.records:
            reason = difference(one, other)
            if one.budget != other.budget:
                return (
                    f"{reason or f'budget differs ({one.budget} here, {other.budget} there)'}: the reference was run "
                    f"with `--budget {other.budget}`"
                )
            if reason:
                return f"{reason}: make new reference runs, or find out what changed"
    if reason := other_identities(new, reference):
        return reason
    if (count := len(reference.values[0])) < MIN_IDENTITIES:
        return f"{count} test identities are too few: at least {MIN_IDENTITIES} are needed"
    if len(reference.seeds) < MIN_SEEDS:
        return (
            f"the reference has {len(reference.seeds)} training seed(s): at least {MIN_SEEDS} are needed to know how "
            "far another seed moves a number"
        )
    return None


def _remarks(label: str, new: SeedRuns, reference: SeedRuns, left_out: dict[str, str]) -> list[str]:
    """Seeds on both sides, settings that differ, metrics that could not be judged."""
    here, there = (", ".join(map(str, side.seeds)) for side in (new, reference))
    found = [
        f"{label}: training seeds {here} against {there}; n = {len(reference.values[0])} test identities."
    ]
    old, now = reference.records[0].system.recipe, new.records[0].system.recipe
    changed = [
        f"{name} {old.get(name)} -> {now.get(name)}"
        for name in sorted({*old, *now})
        if old.get(name) != now.get(name)
    ]
    if changed:
        found.append(f"{label}: its recipe differs from the reference's: {', '.join(changed)}.")
    return found + [f"{label}: {metric} not judged: {why}." for metric, why in left_out.items()]


# ---------------------------------------------------------------- metric by metric


def judge_metrics(
    new: SeedRuns, reference: SeedRuns, rules: Rules
) -> tuple[list[JudgedMetric], dict[str, str]]:
    """Every metric that decides or is shown, without its q; and those that could not be judged, with the reason."""
    judged: list[JudgedMetric] = []
    left_out: dict[str, str] = {}
    for key, (score, *_) in reference.scores.items():
        if not rules.shows(score):
            continue
        pair = _pair(new, reference, key)
        if isinstance(pair, str):
            left_out[f"{score.metric} by {score.extractor_role}"] = pair
        else:
            judged.append(_judged(reference.name, score, *pair, rules))
    return judged, left_out


def with_q(lines: Iterable[JudgedMetric]) -> tuple[JudgedMetric, ...]:
    """The metrics with their q, over all that decide; those first."""
    lines = list(lines)
    deciding = [line for line in lines if line.decides]
    q = stats.false_discovery_control([line.p for line in deciding]) if deciding else []
    judged = [replace(line, q=float(value)) for line, value in zip(deciding, q, strict=True)]
    return (*judged, *(line for line in lines if not line.decides))


def _pair(new: SeedRuns, reference: SeedRuns, key: Key) -> tuple[Measured, Measured] | str:
    """The metric of both sides on the identities that both have; or why it cannot be compared."""
    if key not in new.scores:
        absent = [row.reason for record in new.records for row in record.absent if row.metric == key[0]]
        return absent[0] if absent else "the new records do not have it"
    return pair_of(new, reference, key, key)


def _judged(
    system: str, score: ScoreRecord, new: Measured, reference: Measured, rules: Rules
) -> JudgedMetric:
    same = _rows_of_same_seeds(new, reference)
    level = float((reference.values if same is None else reference.values[same]).mean())
    margin = rules.margin(score).of(level)
    tested = {"unchanged": True} if same is not None else _tested(score, new, reference, margin)
    return JudgedMetric(
        system=system,
        metric=score.metric,
        version=score.version,
        extractor=score.extractor,
        extractor_role=score.extractor_role,
        higher_is_better=score.higher_is_better,
        format=score.card.format,
        decides=rules.decides(score),
        n=new.n,
        reference=level,
        new=float(new.values.mean()),
        margin=margin,
        **tested,
    )


def _rows_of_same_seeds(new: Measured, reference: Measured) -> list[int] | None:
    """The reference's rows of the new seeds, where these have the same numbers; else None."""
    if not set(new.seeds) <= set(reference.seeds):
        return None
    rows = [reference.seeds.index(seed) for seed in new.seeds]
    same = np.allclose(new.parts, reference.parts[rows], RELATIVE_TOLERANCE, RELATIVE_TOLERANCE)
    return rows if same else None


def _tested(score: ScoreRecord, new: Measured, reference: Measured, margin: float) -> dict[str, Any]:
    """The difference, its interval, and p against the margin."""
    sign = 1 if score.higher_is_better else -1
    new = _two_as_one(new)
    moved = replace(new, values=new.values + sign * margin, parts=new.parts + sign * margin)
    found = compare_scores(moved, reference, np.random.default_rng(seed_of(score.metric, score.extractor)))
    effect, (lower, upper) = sign * found.effect, sorted(sign * bound for bound in found.interval)
    return {
        "difference": effect - margin,
        "lower": lower - margin,
        "upper": upper - margin,
        "p": found.p / 2 if effect < 0 else 1 - found.p / 2,
    }


def _two_as_one(new: Measured) -> Measured:
    """The mean of two seeds, as if it were one seed's.

    The spread of two says next to nothing (Student's t is 12.7), while that of the reference is known. A mean of two
    varies less than one seed, so this errs on the safe side.
    """
    if len(new.seeds) != 2:
        return new
    return replace(
        new,
        values=new.values.mean(keepdims=True),
        parts=new.parts.mean(axis=0, keepdims=True),
        seeds=new.seeds[:1],
    )
