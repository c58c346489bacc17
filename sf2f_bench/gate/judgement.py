"""New records judged against reference runs: a system regresses if a deciding metric drops by more than its margin.

The test. Differences are signed so that positive is better. For each metric that decides, the null hypothesis is that
the true difference, over new training seeds and new identities, is no further below zero than the margin. Its
one-sided p is half the two-sided p of `statistics.paired.compare_scores` after the new side was moved up by the margin
(one minus that, where the moved difference is not below zero). Benjamini and Hochberg's q is over all deciding
metrics of all systems judged together. Fewer than three new seeds are assumed to vary as the reference's do.

"No regression" is said only where a fall would have been seen: see `JudgedMetric.tells` and `Judgement.unknowns`.
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
from sf2f_bench.statistics.paired import SIGNIFICANT, Error, Measured, compare_scores, errors_between, reach
from sf2f_bench.types import BenchError, Format

Verdict = Literal["regressed", "passed", "inconclusive"]
MIN_SEEDS, MIN_IDENTITIES = 3, 30  # of the reference: with fewer, no interval is worth its name
FLOORS = ("chance", "one-face")  # purposes of the anchors that hear nothing
TAIL = 0.025  # of an interval
RELATIVE_TOLERANCE = 1e-6  # between one seed's numbers on two machines: float32 sums in another order
NO_REGRESSION, REGRESSION, CANNOT_TELL = 0, 1, 2
WORDS = {NO_REGRESSION: "no regression", REGRESSION: "regression", CANNOT_TELL: "cannot tell"}
FAMILIES = ("identity", "quality", "loss")  # each must tell, where a metric of it decides


@dataclass(frozen=True)
class JudgedMetric:
    """One metric of a system, new against reference, on the n identities that both have.

    family: of `FAMILIES`. floor: what hearing nothing scores; None: not known. difference, lower, upper: new minus
    reference with its 95 % interval, signed so that positive is better. p: one-sided, against the margin; q: after
    Benjamini and Hochberg, None where the metric does not decide. unchanged: the reference has the new seeds too, with
    the same numbers, so that there is nothing to estimate. errors: of the difference; tail: the one-sided p below which
    this metric is significant if no other one has fallen.
    """

    system: str
    family: str
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
    floor: float | None
    difference: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    p: float = 1.0
    q: float | None = None
    unchanged: bool = False
    errors: tuple[Error, ...] = ()
    tail: float = TAIL

    @property
    def what(self) -> str:
        """``cosine by the judge``."""
        loss = self.extractor_role == "training-loss"
        return f"{self.metric} by the {'network of the training loss' if loss else self.extractor_role}"

    @property
    def noticeable(self) -> float:
        """The smallest drop that would have been called a regression, had this metric alone fallen."""
        return self.margin + reach(self.errors, self.tail)

    @property
    def room(self) -> float:
        """How far the reference lies above the floor; none where that is not known."""
        if self.floor is None:
            return 0.0
        return self.reference - self.floor if self.higher_is_better else self.floor - self.reference

    @property
    def tells(self) -> bool:
        """Whether a noticeable drop is possible: it ends above the floor."""
        return self.noticeable < self.room

    @property
    def verdict(self) -> Verdict:
        """Regressed: the whole interval is beyond the margin, and q < .05; passed: its lower end is within."""
        if self.lower > -self.margin:
            return "passed"
        beyond = self.upper < -self.margin
        return "regressed" if beyond and (self.q is None or self.q < SIGNIFICANT) else "inconclusive"


@dataclass(frozen=True)
class Judgement:
    """All that the gate found.

    refused: system -> why it cannot be judged; families: system -> those of the metrics that decide in the reference;
    remarks: what a reader should know.
    """

    title: str
    lines: tuple[JudgedMetric, ...]
    instrument: Instrument
    cost: tuple[Excess, ...]
    refused: dict[str, str]
    families: dict[str, tuple[str, ...]]
    remarks: tuple[str, ...]
    guard_cost: bool = False
    non_inferior: bool = False
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
        """1: something regressed, or is not shown to be no worse; else 2: a family of metrics cannot tell; else 0."""
        if self.regressions or self.not_shown:
            return REGRESSION
        return CANNOT_TELL if self.unknowns else NO_REGRESSION

    @property
    def verdict(self) -> str:
        """``no regression``, ``regression`` or ``cannot tell``; of non-inferiority ``shown to be no worse`` or not."""
        if self.non_inferior and self.exit_code != CANNOT_TELL:
            return ("" if self.exit_code == NO_REGRESSION else "not ") + "shown to be no worse"
        return WORDS[self.exit_code]

    @property
    def regressions(self) -> tuple[str, ...]:
        """Why the exit code is 1: the instrument, deciding metrics and, where it is guarded, the cost."""
        found = [self.instrument.text] if self.instrument.deviations else []
        found += [
            f"{line.system}: {line.what} is worse by {-line.difference:.3g} "
            f"(95 % interval {-line.upper:.3g} to {-line.lower:.3g}; margin {line.margin:.3g})"
            for line in self.deciding
            if line.verdict == "regressed"
        ]
        return (*found, *(map(str, self.cost) if self.guard_cost else ()))

    @property
    def not_shown(self) -> tuple[str, ...]:
        """Which deciding metrics are not shown to be no worse, where that is asked: the exit code is 1 for them too."""
        return tuple(
            f"{line.system}: {line.what} is not shown to be no worse than its margin {line.margin:.3g} allows: it may "
            f"have fallen by {-line.lower:.3g}"
            for line in self.deciding
            if self.non_inferior and line.verdict == "inconclusive"
        )

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Why the exit code is 2: systems that cannot be compared, families that cannot tell, missing anchors."""
        found = [*self.faulty, *(f"{system}: {reason}" for system, reason in self.refused.items())]
        if self.instrument.missing:
            missing = ", ".join(self.instrument.missing)
            found.append(f"comparable records of {missing} are missing, so the instrument cannot be checked")
        if not self.families and not found:
            found.append("no system is in both folders, so nothing was judged")
        for system, families in self.families.items():
            found += [f"{system}: {reason}" for reason in self.blind(system, families)]
        return tuple(found)

    def blind(self, system: str, families: Iterable[str]) -> list[str]:
        """Why some of these families cannot tell whether the system has fallen."""
        found = []
        for family in families:
            lines = [one for one in self.deciding if (one.system, one.family) == (system, family)]
            if not any(line.tells for line in lines):
                found.append(_why_blind(family, lines))
        return found


def _why_blind(family: str, lines: Sequence[JudgedMetric]) -> str:
    """Why no metric of a family tells, and what to do."""
    if not lines:
        return f"no metric of the family {family} could be judged: make both sides with the networks that compute one"
    if all(line.floor is None for line in lines):
        names = ", ".join(line.metric for line in lines)
        return (
            f"the floor of {names} ({family}) is not known: keep the reference's record of an anchor that shows one "
            "face for everybody, such as mean-face, or state `chance` on the metric's card"
        )
    seen = "; ".join(
        f"{line.what} lies {line.room:.3g} above its floor, and a fall of less than "
        f"{line.noticeable:.3g} is not seen"
        for line in lines
    )
    return (
        f"no metric of the family {family} has room to fall: {seen}. Train the reference longer (`--steps`), give "
        "either side more training seeds (`--seed`), or use more test identities"
    )


class _Outcome(NamedTuple):
    """What the gate found about one system of the reference."""

    label: str
    lines: Sequence[JudgedMetric] = ()
    cost: Sequence[Excess] = ()
    refused: str = ""
    families: tuple[str, ...] = ()
    remarks: Sequence[str] = ()


def check(
    results: Path,
    against: Path,
    rules: Rules | None = None,
    guard_cost: bool = False,
    non_inferior: bool = False,
) -> Judgement:
    """Judge the newest records in `results` against the reference runs in `against`, system by system.

    non_inferior: every deciding metric must be shown to have fallen by less than its margin; what is not shown fails.
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
    floors = [record for record in reference if record.system.purpose in FLOORS]
    outcomes = [_judge(here, old, rules, floors) for old in there]
    known = {outcome.label for outcome in outcomes}
    unknown = [label for label in dict.fromkeys(runs.name for runs in here) if label not in known]
    part = reference[0].benchmark
    return Judgement(
        f"{part.name}/{part.version}, protocol {part.protocol}",
        with_q(line for outcome in outcomes for line in outcome.lines),
        check_instrument(_newest_first(new), _newest_first(reference)),
        tuple(excess for outcome in outcomes for excess in outcome.cost),
        {outcome.label: outcome.refused for outcome in outcomes if outcome.refused},
        {outcome.label: outcome.families for outcome in outcomes if outcome.families},
        (
            *(remark for outcome in outcomes for remark in outcome.remarks),
            *(f"{label} has no reference: not judged." for label in unknown),
        ),
        guard_cost,
        non_inferior,
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


def _judge(
    here: Sequence[SeedRuns], reference: SeedRuns, rules: Rules, floors: Sequence[RunRecord]
) -> _Outcome:
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
    lines, left_out = judge_metrics(new, reference, rules, floors)
    deciding = {family_of(score) for score, *_ in reference.scores.values() if rules.decides(score)}
    families = tuple(family for family in FAMILIES if family in deciding)
    remarks = _remarks(label, new, reference, left_out)
    if without := ", ".join(family for family in FAMILIES if family not in deciding):
        remarks.append(f"{label}: no metric decides of the family {without}, so a fall there is not seen.")
    return _Outcome(label, lines, excesses(new, reference), "", families, remarks)


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
    new: SeedRuns, reference: SeedRuns, rules: Rules, floors: Sequence[RunRecord] = ()
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
            judged.append(
                judged_metric(reference.name, score, *pair, rules, floor_of(score, floors, reference))
            )
    return judged, left_out


def with_q(lines: Iterable[JudgedMetric]) -> tuple[JudgedMetric, ...]:
    """The metrics with their q, over all that decide; those first."""
    lines = list(lines)
    deciding = [line for line in lines if line.decides]
    q = stats.false_discovery_control([line.p for line in deciding]) if deciding else []
    tail = min(TAIL, SIGNIFICANT / max(1, len(deciding)))
    judged = [replace(line, q=float(value), tail=tail) for line, value in zip(deciding, q, strict=True)]
    return (*judged, *(line for line in lines if not line.decides))


def _pair(new: SeedRuns, reference: SeedRuns, key: Key) -> tuple[Measured, Measured] | str:
    """The metric of both sides on the identities that both have; or why it cannot be compared."""
    if key not in new.scores:
        absent = [row.reason for record in new.records for row in record.absent if row.metric == key[0]]
        return absent[0] if absent else "the new records do not have it"
    return pair_of(new, reference, key, key)


def floor_of(score: ScoreRecord, floors: Sequence[RunRecord], reference: SeedRuns) -> float | None:
    """The best that hearing nothing scores: guessing, as the card states it, or an anchor in the reference."""
    known = [] if score.card.chance is None else [score.card.chance]
    known += [
        one.value
        for anchor in floors
        if difference(anchor, reference.records[0]) is None
        for one in anchor.scores
        if one.metric == score.metric and one.extractor in (score.extractor, None)
    ]
    return (max if score.higher_is_better else min)(known, default=None)


def family_of(score: ScoreRecord) -> str:
    """Of `FAMILIES`: who a face is, what the faces are like, or what the training loss's network sees."""
    if score.extractor_role == "training-loss":
        return "loss"
    return "identity" if score.card.family in ("identity", "verification") else "quality"


def judged_metric(
    system: str,
    score: ScoreRecord,
    new: Measured,
    reference: Measured,
    rules: Rules,
    floor: float | None = None,
) -> JudgedMetric:
    """The metric without its q."""
    same = _rows_of_same_seeds(new, reference)
    level = float((reference.values if same is None else reference.values[same]).mean())
    margin = rules.margin(score).of(level)
    tested = {"unchanged": True} if same is not None else _tested(score, new, reference, margin)
    return JudgedMetric(
        system=system,
        family=family_of(score),
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
        floor=floor,
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
    new = _few_as_one(new)
    moved = replace(new, values=new.values + sign * margin, parts=new.parts + sign * margin)
    found = compare_scores(moved, reference, np.random.default_rng(seed_of(score.metric, score.extractor)))
    effect, (lower, upper) = sign * found.effect, sorted(sign * bound for bound in found.interval)
    return {
        "difference": effect - margin,
        "lower": lower - margin,
        "upper": upper - margin,
        "p": found.p / 2 if effect < 0 else 1 - found.p / 2,
        "errors": tuple(errors_between(new, reference)),
    }


def _few_as_one(new: Measured) -> Measured:
    """The mean of two seeds, which varies half as much as one seed of the reference.

    The spread of two says next to nothing (Student's t is 12.7), while that of the reference is known.
    """
    if len(new.seeds) != 2:
        return new
    return replace(
        new,
        values=new.values.mean(keepdims=True),
        parts=new.parts.mean(axis=0, keepdims=True),
        seeds=new.seeds[:1],
        mean_of=2,
    )
