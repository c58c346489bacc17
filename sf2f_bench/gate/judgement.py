"""Who is judged against whom, and the verdict of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sf2f_bench.gate.cost import Excess, excesses
from sf2f_bench.gate.instrument import Instrument, check_instrument
from sf2f_bench.gate.judging import SHARP, Line, lines_of, with_q
from sf2f_bench.gate.rules import Rules
from sf2f_bench.results.records import RunRecord, load_all
from sf2f_bench.results.selection import difference, groups, label_of
from sf2f_bench.results.sides import Side

SEEDS, IDENTITIES = 3, 30  # fewest of the reference: below, no interval is worth its name
NO_REGRESSION, REGRESSION, CANNOT_TELL = 0, 1, 2
WORDS = {NO_REGRESSION: "no regression", REGRESSION: "regression", CANNOT_TELL: "cannot tell"}


@dataclass(frozen=True)
class Judgement:
    """All that the gate found. refused: system -> why it cannot be judged; remarks: what a reader should know."""

    title: str
    lines: tuple[Line, ...]
    instrument: Instrument
    cost: tuple[Excess, ...]
    refused: dict[str, str]
    remarks: tuple[str, ...]
    guard_cost: bool = False

    @property
    def deciding(self) -> tuple[Line, ...]:
        """The lines that decide."""
        return tuple(line for line in self.lines if line.decides)

    @property
    def systems(self) -> tuple[str, ...]:
        """Those that were judged."""
        return tuple(dict.fromkeys(line.system for line in self.deciding))

    @property
    def exit_code(self) -> int:
        """1: something regressed; else 2: somebody could not be judged at all; else 0."""
        if self.regressions:
            return REGRESSION
        return CANNOT_TELL if self.unknowns else NO_REGRESSION

    @property
    def verdict(self) -> str:
        """``no regression``, ``regression`` or ``cannot tell``."""
        return WORDS[self.exit_code]

    @property
    def regressions(self) -> tuple[str, ...]:
        """Why the exit code is 1: the instrument, deciding metrics, and where it is guarded the cost."""
        found = [self.instrument.text] if self.instrument.deviations else []
        for line in self.deciding:
            if line.verdict == "regressed":
                found.append(
                    f"{line.system}: {line.metric} by the {line.extractor_role} is worse by {-line.difference:.3g} "
                    f"(95 % interval {-line.upper:.3g} to {-line.lower:.3g}; margin {line.margin:.3g})"
                )
        return (*found, *(map(str, self.cost) if self.guard_cost else ()))

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Why the exit code is 2: who is not comparable, which anchors lack, for whom no metric tells anything."""
        found = [f"{system}: {reason}" for system, reason in self.refused.items()]
        if self.instrument.lacking:
            lacking = ", ".join(self.instrument.lacking)
            found.append(f"comparable records of {lacking} are lacking, so the instrument cannot be checked")
        if not self.systems and not found:
            found.append("no system stands on both sides: nothing was judged")
        for system in self.systems:
            lines = [line for line in self.deciding if line.system == system]
            if not any(line.tells for line in lines):
                found.append(
                    f"{system}: all {len(lines)} deciding metrics are inconclusive, and none would have shown even a "
                    f"fall of {SHARP} margins: more training seeds (`--seed`) or identities make the intervals narrower"
                )
        return tuple(found)


def check(results: Path, against: Path, rules: Rules | None = None, guard_cost: bool = False) -> Judgement:
    """The newest records in `results` judged against the reference runs in `against`, system by system.

    Raises BenchError where a folder or a record cannot be read.
    """
    rules = rules or Rules()
    new, reference = load_all(results, without=("reference",)), load_all(against)
    here, there = _sides(new), _sides(reference)
    lines: list[Line] = []
    cost: list[Excess] = []
    refused: dict[str, str] = {}
    remarks: list[str] = []
    for old in there:
        label = label_of(old.records[0])
        named = [side for side in here if label_of(side.records[0]) == label]
        reasons = [forbids(side, old) for side in named]
        if not named:
            remarks.append(f"{label} stands in the reference alone: not judged.")
        elif None not in reasons:
            refused[label] = str(reasons[0])
        else:
            side = named[reasons.index(None)]
            found, left_out = lines_of(side, old, rules)
            lines += found
            cost += excesses(side, old)
            remarks += _remarks(label, side, old, left_out)
    known = {label_of(side.records[0]) for side in there}
    unknown = dict.fromkeys(label_of(side.records[0]) for side in here)
    remarks += [f"{label} has no reference: not judged." for label in unknown if label not in known]
    instrument = check_instrument(_newest(new), _newest(reference))
    return Judgement(
        _title(reference), with_q(lines), instrument, tuple(cost), refused, tuple(remarks), guard_cost
    )


def forbids(new: Side, reference: Side) -> str | None:
    """Why these two may not be judged; None where they may."""
    for one in new.records:
        for other in reference.records:
            if reason := difference(one, other):
                return f"{reason}: make reference runs anew, or look for what changed"
            if one.budget != other.budget:
                return f"budget differs ({one.budget} here, {other.budget} there)"
    people = reference.values[0].index
    for frame in (*new.values, *reference.values):
        if not frame.index.equals(people):
            return f"they rest on other test identities ({len(frame)} and {len(people)})"
    if len(people) < IDENTITIES:
        return f"{len(people)} test identities are too few: at least {IDENTITIES} are needed"
    if len(reference.seeds) < SEEDS:
        return (
            f"the reference has {len(reference.seeds)} training seed(s): at least {SEEDS} are needed to know how far "
            "another seed moves a number"
        )
    return None


def _sides(records: Sequence[RunRecord]) -> list[Side]:
    """The trained systems, seeds of one label and budget together, newest records only."""
    sides = []
    for group in groups(records):
        members: dict[tuple[str, str], list[RunRecord]] = {}
        for row in group.trained:
            members.setdefault((label_of(row.record), row.record.budget), []).append(row.record)
        sides += [Side(tuple(sorted(rows, key=lambda record: record.seed))) for rows in members.values()]
    return sides


def _newest(records: Sequence[RunRecord]) -> list[RunRecord]:
    return sorted(records, key=lambda record: record.created, reverse=True)


def _title(reference: Sequence[RunRecord]) -> str:
    part = reference[0].benchmark
    return f"{part.name}/{part.version}, protocol {part.protocol}"


def _remarks(label: str, new: Side, reference: Side, left_out: dict[str, str]) -> list[str]:
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
