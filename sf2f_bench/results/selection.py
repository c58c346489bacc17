"""Which records share a table, in which order, and how their numbers are found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Literal, TypeVar
from weakref import WeakKeyDictionary

from sf2f_bench.protocols.names import PAPER, headline_k
from sf2f_bench.protocols.paper.metrics import gallery_count
from sf2f_bench.results.records import RunRecord, ScoreRecord
from sf2f_bench.types import BenchError

Made = TypeVar("Made")
Role = Literal["judge", "training-loss"]
Zone = Literal["floor", "system", "ablation", "ceiling"]

SHUFFLED = "shuffled-voices:"  # begins the name of an anchor: a system's faces handed to other people
FLOOR = ("chance", "gender-oracle", "mean-face", SHUFFLED, "nearest-training-face")
CEILING = ("linear-listener", "shared-factor-oracle", "real-photo-oracle")
ZONES: tuple[Zone, ...] = ("floor", "system", "ablation", "ceiling")
ABLATION = re.compile(r"(?P<base>.+)-(?P<change>(?:without|plain)-.+)")
CHANGES = {  # what an ablation's label says, in the order of the published table
    "without-l1": "without L1 loss",
    "without-gan": "without image GAN",
    "without-identity": "without identity loss",
    "without-perceptual": "without perceptual loss",
    "plain-encoder": "with plain encoder",
    "plain-decoder": "with plain decoder",
}
ATTRIBUTES = ("gender-agreement", "ethnicity-agreement", "age-difference")
FURTHER = ("inception-2015", "vggface2-resnet50", "deepface", "dinov2")  # their order; others follow


@dataclass(frozen=True, eq=False)
class Row:
    """One record with the name that it has in this table."""

    record: RunRecord
    label: str
    zone: Zone

    def score(self, pattern: str, by: str = "judge") -> ScoreRecord | None:
        """The score whose metric matches `pattern` whole, or None.

        by: a role, or the id of an extractor. What an anchor scored in a space of its own stands by every one.
        """
        if (pattern, by) not in self._found:
            self._found[pattern, by] = next(filter(_asked_for(pattern, by), self.record.scores), None)
        return self._found[pattern, by]

    @cached_property
    def _found(self) -> dict[tuple[str, str], ScoreRecord | None]:
        """What `score` has been asked: every table, picture and note asks again."""
        return {}

    @property
    def ablation_of(self) -> str:
        """The name of the system that this row is an ablation of; empty for any other row."""
        found = ABLATION.fullmatch(self.record.system.name)
        return found["base"] if found and self.zone == "ablation" else ""

    @property
    def short_label(self) -> str:
        """The label under a heading that names the system: ``without L1 loss (width 0.25)``."""
        return self.label.removeprefix(f"{self.ablation_of} ")


def _asked_for(pattern: str, by: str) -> Callable[[ScoreRecord], bool]:
    matches = re.compile(pattern).fullmatch

    def is_asked_for(score: ScoreRecord) -> bool:
        asked = score.extractor_role in (by, "none") or score.extractor == by
        return asked and matches(score.metric) is not None

    return is_asked_for


@dataclass(frozen=True, eq=False)
class Group:
    """Records that may share a table. `why`: what keeps them from sharing an earlier one.

    A group equals itself alone, so `once_a_group` can keep what was made of it.
    """

    rows: tuple[Row, ...]
    set_aside: int = 0
    why: str | None = None

    @property
    def benchmark(self) -> str:
        """``synthetic-64/1``."""
        part = self.rows[0].record.benchmark
        return f"{part.name}/{part.version}"

    @property
    def protocol(self) -> str:
        """``sf2f-bench/1``."""
        return self.rows[0].record.benchmark.protocol

    @property
    def title(self) -> str:
        """Benchmark and protocol, which no two tables with different numbers share."""
        return f"{self.benchmark}, protocol {self.protocol}"

    @property
    def galleries(self) -> int | None:
        """How many fixed galleries the protocol searches; None where it takes all possible ones."""
        part = self.rows[0].record.benchmark
        return gallery_count(part.identities.test, part.gallery_size) if part.protocol == PAPER else None

    @property
    def gallery(self) -> str:
        """What the names of gallery metrics end in: ``g100``, or ``g100x3`` for three fixed galleries."""
        size = f"g{self.rows[0].record.benchmark.gallery_size}"
        return f"{size}x{self.galleries}" if self.galleries else size

    @property
    def searched(self) -> str:
        """Where recall is searched, in words: ``galleries of 100``, ``3 fixed galleries of 100``."""
        kinds = {None: "galleries", 1: "1 fixed gallery"}
        size = self.rows[0].record.benchmark.gallery_size
        return f"{kinds.get(self.galleries, f'{self.galleries} fixed galleries')} of {size}"

    @property
    def headline_role(self) -> Role:
        """Whose recall the verdicts and pictures show: the judge's, or what the published tables used."""
        return "training-loss" if self.protocol == PAPER else "judge"

    @property
    def systems(self) -> tuple[Row, ...]:
        """The rows that are neither anchors nor ablations."""
        return tuple(row for row in self.rows if row.zone == "system")

    @property
    def ablations(self) -> tuple[Row, ...]:
        """The rows of systems with one thing taken out or made plain."""
        return tuple(row for row in self.rows if row.zone == "ablation")

    @property
    def trained(self) -> tuple[Row, ...]:
        """Systems and ablations: the rows that are not anchors."""
        return (*self.systems, *self.ablations)

    @property
    def headline_k(self) -> int:
        """The k of the verdicts: 10, or the largest smaller one that the benchmark has."""
        ks = self.rows[0].record.benchmark.ks
        return headline_k(ks)

    def whole(self, ablation: Row) -> Row | None:
        """The row that an ablation lacks one thing of: the fused one, where there is one, for ablations are fused."""
        named = {row.record.system.name: row for row in self.systems[::-1]}
        return named.get(f"{ablation.ablation_of}-fuser") or named.get(ablation.ablation_of)

    def shuffled(self, system: Row) -> Row | None:
        """The row of the system's own faces handed to other people."""
        wanted = _run_of(system.record)
        for row in self.rows:
            name = row.record.system.name
            if (
                name.startswith(SHUFFLED)
                and (name.removeprefix(SHUFFLED), *_run_of(row.record)[1:]) == wanted
            ):
                return row
        return None

    def anchor(self, name: str) -> Row | None:
        """The first anchor whose name begins so."""
        for row in self.rows:
            if row.record.system.kind == "anchor" and row.record.system.name.startswith(name):
                return row
        return None

    def extractor(self, role: str) -> str | None:
        """The id of the extractor in this role; every row that has one has the same. None for no role."""
        return next(iter(sorted({id_ for row in self.rows for id_ in _extractors(row.record, role)})), None)

    def asked(self, pattern: str) -> str | None:
        """The id of the extractor that the metric matching `pattern` whole is by; None where there is none."""
        found = {s.extractor for s in self.scores if s.extractor and re.fullmatch(pattern, s.metric)}
        return min(found, default=None)

    @property
    def scores(self) -> list[ScoreRecord]:
        """Every score of every row."""
        return [score for row in self.rows for score in row.record.scores]

    @property
    def further(self) -> tuple[str, ...]:
        """The ids of the networks that were asked beside the judge and the one of the training loss."""
        found = {
            score.extractor
            for score in self.scores
            if score.extractor_role == "further" and score.extractor and score.metric not in ATTRIBUTES
        }

        def order(id_: str) -> tuple[int, str]:
            return next((i for i, family in enumerate(FURTHER) if id_.startswith(family)), len(FURTHER)), id_

        return tuple(sorted(found, key=order))

    @property
    def attribute_judges(self) -> tuple[str, ...]:
        """The ids of what named genders, ages and ethnicities."""
        return tuple(sorted({s.extractor for s in self.scores if s.metric in ATTRIBUTES and s.extractor}))


def once_a_group(make: Callable[[Group], Made]) -> Callable[[Group], Made]:
    """`make`, whose result is kept as long as its group: several files of a report ask for the same tables."""
    kept: WeakKeyDictionary[Group, Made] = WeakKeyDictionary()

    @wraps(make)
    def made(group: Group) -> Made:
        if group not in kept:
            kept[group] = make(group)
        return kept[group]

    return made


def groups(records: Sequence[RunRecord]) -> list[Group]:
    """Tables' worth of comparable records, anchors and systems in the order of the report.

    Raises BenchError where there are no records at all.
    """
    if not records:
        raise BenchError("there are no result records to report; run `sf2f-bench run` first")
    kept, older = _newest(records)
    kept.sort(key=lambda record: (not _extractors(record), *_natural(record), record.key))
    members: list[list[RunRecord]] = []
    for record in kept:
        fitting = [group for group in members if all(difference(record, other) is None for other in group)]
        if not fitting:
            members.append([record])
        for group in fitting if not _extractors(record) else fitting[:1]:
            group.append(record)
    result: list[Group] = []
    for group in members:
        places = {tuple(_place(record).values()) for record in group}
        aside = sum(older[place] for place in places)
        result.append(Group(_rows(group), aside, _why(group, members[: len(result)])))
    return result


def difference(one: RunRecord, other: RunRecord) -> str | None:
    """What forbids two records one table, in words; None where nothing does."""
    here, there = _place(one), _place(other)
    for field, value in here.items():
        if value != there[field]:
            return f"{field} differs ({value} here, {there[field]} there)"
    for role in ("judge", "training-loss"):
        mine, yours = _extractors(one, role), _extractors(other, role)
        if mine and yours and mine != yours:
            return f"{role} extractor differs ({', '.join(mine)} here, {', '.join(yours)} there)"
    versions = {score.metric: score.version for score in other.scores}
    for score in one.scores:
        if versions.get(score.metric, score.version) != score.version:
            return f"version of {score.metric} differs ({score.version} here, {versions[score.metric]} there)"
    return None


def _place(record: RunRecord) -> dict[str, object]:
    part = record.benchmark
    return {
        "benchmark": f"{part.name}/{part.version}",
        "protocol": part.protocol,
        "data_hash": part.data_hash,
        "image_size": part.image_size,
        "gallery_size": part.gallery_size,
    }


def _natural(record: RunRecord) -> list[list[tuple[bool, int, str]]]:
    """What `_place` says, for sorting: 64 before 128."""
    words = [re.findall(r"\d+|\D+", str(value)) for value in _place(record).values()]
    return [
        [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts] for parts in words
    ]


def _extractors(record: RunRecord, role: str | None = None) -> list[str]:
    wanted = {
        score.extractor
        for score in record.scores
        if score.extractor is not None and role in (None, score.extractor_role)
    }
    return sorted(wanted)


def _run_of(record: RunRecord) -> tuple[str, float | None, int, str]:
    """What a row of shuffled voices shares with its system, after the name."""
    return record.system.name, record.system.width, record.seed, record.budget


def _is_trained(record: RunRecord) -> bool:
    """Does the budget of training decide the row? A system's own shuffled voices are its faces."""
    return record.system.kind == "system" or record.system.name.startswith(SHUFFLED)


def _newest(records: Iterable[RunRecord]) -> tuple[list[RunRecord], Counter[tuple[object, ...]]]:
    """The newest record of each (place, label, seed, budget) and how many older ones each place has.

    An anchor trains nothing, so records of it that differ in budget alone are duplicates.
    """
    newest: dict[tuple[object, ...], RunRecord] = {}
    older: Counter[tuple[object, ...]] = Counter()
    for record in sorted(records, key=lambda record: (record.created, record.key)):
        place = tuple(_place(record).values())
        budget = record.budget if _is_trained(record) else None
        name = (*place, record.system.label, record.seed, budget)
        older[place] += name in newest
        newest[name] = record
    return list(newest.values()), older


def _why(group: list[RunRecord], earlier: list[list[RunRecord]]) -> str | None:
    """The difference to the most similar earlier table: one of the same benchmark, else the first."""
    if not earlier:
        return None
    alike = [members for members in earlier if members[0].benchmark.name == group[0].benchmark.name]
    for other in (alike or earlier)[0]:
        for record in group:
            reason = difference(record, other)
            if reason:
                return f"Not in one table with {_place(other)['benchmark']} above: {reason}."
    return None


def _zone(record: RunRecord) -> Zone:
    if record.system.kind == "system":
        return "ablation" if ABLATION.fullmatch(record.system.name) else "system"
    return "ceiling" if record.system.name.startswith(CEILING) else "floor"


def label_of(record: RunRecord) -> str:
    """The card's label, in words where the name is a code.

    An ablation's says what is missing: ``sf2f-64 without L1 loss (width 0.25)``; the anchor of a system's own faces
    handed to other people is ``sf2f-64, shuffled voices (width 0.25)``.
    """
    name, label = record.system.name, record.system.label
    if name.startswith(SHUFFLED):
        return label.replace(name, f"{name.removeprefix(SHUFFLED)}, shuffled voices")
    found = ABLATION.fullmatch(name)
    if found is None or record.system.kind != "system":
        return label
    change = found["change"]
    kind, _, part = change.partition("-")
    words = CHANGES.get(change) or f"{'with plain' if kind == 'plain' else kind} {part}"
    return label.replace(name, f"{found['base']} {words}")


def _rows(records: list[RunRecord]) -> tuple[Row, ...]:
    """Rows in order; seed and budget stand in a label only where they tell rows apart."""
    seeds: dict[str, set[int]] = {}
    for record in records:
        seeds.setdefault(record.system.label, set()).add(record.seed)
    budgets = {record.budget for record in records if _is_trained(record)}

    def label(record: RunRecord) -> str:
        parts = [label_of(record)]
        if len(seeds[record.system.label]) > 1:
            parts.append(f"seed {record.seed}")
        if len(budgets) > 1 and _is_trained(record):
            parts.append(f"budget {record.budget}")
        return ", ".join(parts)

    def order(record: RunRecord) -> tuple[object, ...]:
        zone = _zone(record)
        known = {"floor": FLOOR, "ablation": tuple(CHANGES), "ceiling": CEILING}.get(zone, ())
        name = record.system.name
        if zone == "ablation" and (change := ABLATION.fullmatch(name)):
            name = change["change"]
        rank = next((i for i, known_name in enumerate(known) if name.startswith(known_name)), len(known))
        return (ZONES.index(zone), rank, record.system.label, record.seed, record.budget)

    return tuple(Row(record, label(record), _zone(record)) for record in sorted(records, key=order))
