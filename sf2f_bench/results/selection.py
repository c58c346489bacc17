"""Which records share a table, in which order, and under which labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Literal, TypeVar
from weakref import WeakKeyDictionary

from sf2f_bench.protocols.catalogue import protocol_of_records
from sf2f_bench.protocols.protocol import EvaluationProtocol
from sf2f_bench.results.records import NO_CARD, BenchmarkPart, RunRecord, ScoreRecord
from sf2f_bench.types import BenchError, ExtractorCard, MetricCard, Purpose, with_width

Made = TypeVar("Made")
Zone = Literal["floor", "system", "ablation", "ceiling"]
ZONES: tuple[Zone, ...] = ("floor", "system", "ablation", "ceiling")
TRAINED: tuple[Zone, ...] = ("system", "ablation")


@dataclass(frozen=True, eq=False)
class Entry:
    """One record with the label and the block that it has among the records of its group.

    system: the label without seed and budget; with the source of the code where its group has the system of several.
    """

    record: RunRecord
    label: str
    zone: Zone
    system: str

    def score(self, metric: str, by: str = "judge") -> ScoreRecord | None:
        """The score of this metric; None where there is none.

        by: a role, or the id of an extractor. What an anchor scored in a space of its own counts for every one.
        """
        return self._scores.get((metric, by)) or self._scores.get((metric, "none"))

    @cached_property
    def _scores(self) -> dict[tuple[str, str], ScoreRecord]:
        found: dict[tuple[str, str], ScoreRecord] = {}
        for score in self.record.scores:
            found.setdefault((score.metric, score.extractor_role), score)
            if score.extractor is not None:
                found.setdefault((score.metric, score.extractor), score)
        return found

    @property
    def is_trained(self) -> bool:
        """Whether it is a system or an ablation, not an anchor."""
        return self.zone in TRAINED

    @property
    def short_label(self) -> str:
        """The label under a heading that names the whole system: ``without L1 loss (width 0.25)``."""
        system = self.record.system
        if self.zone != "ablation" or not system.change:
            return self.label
        return with_width(system.change, system.width) + self.label.removeprefix(system.label)


@dataclass(frozen=True, eq=False)
class Group:
    """Records that may share a table. `why`: what keeps them from sharing an earlier one.

    A group equals itself alone, so `cached_per_group` can keep what was made of it.
    """

    entries: tuple[Entry, ...]
    set_aside: int = 0
    why: str | None = None

    @property
    def part(self) -> BenchmarkPart:
        """The benchmark, which all records share but for numbers that do not matter."""
        return self.entries[0].record.benchmark

    @property
    def records(self) -> list[RunRecord]:
        """Those of the entries, in their order."""
        return [entry.record for entry in self.entries]

    @property
    def benchmark(self) -> str:
        """``synthetic-64/1``."""
        return f"{self.part.name}/{self.part.version}"

    @cached_property
    def protocol(self) -> EvaluationProtocol:
        """How the records were scored, and how their numbers are shown."""
        return protocol_of_records(self.part.protocol)

    @property
    def title(self) -> str:
        """Benchmark and protocol, which no two tables with different numbers share."""
        return f"{self.benchmark}, protocol {self.part.protocol}"

    # ---------------------------------------------------------------- entries

    @property
    def systems(self) -> tuple[Entry, ...]:
        """The entries that are neither anchors nor ablations."""
        return tuple(entry for entry in self.entries if entry.zone == "system")

    @property
    def ablations(self) -> tuple[Entry, ...]:
        """The entries of systems without one part, or with a plain one."""
        return tuple(entry for entry in self.entries if entry.zone == "ablation")

    @property
    def trained(self) -> tuple[Entry, ...]:
        """Systems and ablations."""
        return (*self.systems, *self.ablations)

    @cached_property
    def by_system(self) -> dict[str, tuple[Entry, ...]]:
        """The entries of each system, all its training seeds together, by its label (and budget, where they differ)."""
        budgets = {entry.record.budget for entry in self.entries if is_trained(entry.record)}
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            record = entry.record
            budget = f", budget {record.budget}" if is_trained(record) and len(budgets) > 1 else ""
            found.setdefault(entry.system + budget, []).append(entry)
        return {name: tuple(entries) for name, entries in found.items()}

    def whole(self, ablation: Entry) -> Entry | None:
        """The first entry of the system that an ablation is without a part of."""
        name = ablation.record.system.ablation_of
        return next((entry for entry in self.systems if entry.record.system.name == name), None)

    def anchors(self, purpose: Purpose) -> list[Entry]:
        """The anchors that stand for this."""
        return [entry for entry in self.entries if entry.record.system.purpose == purpose]

    def anchor(self, purpose: Purpose) -> Entry | None:
        """The first anchor that stands for this."""
        return next(iter(self.anchors(purpose)), None)

    # ---------------------------------------------------------------- metrics

    @cached_property
    def scores(self) -> list[ScoreRecord]:
        """Every score of every entry."""
        return [score for record in self.records for score in record.scores]

    @cached_property
    def metrics(self) -> dict[str, MetricCard]:
        """The card of every metric that a record names."""
        return {name: card for record in self.records for name, card in record.metrics.items()}

    @cached_property
    def headline(self) -> str:
        """The metric of the verdicts and pictures; empty where no record has one."""
        return next((name for name, card in self.metrics.items() if card.headline), "")

    @property
    def headline_card(self) -> MetricCard:
        """The card of the headline metric; an empty one where there is none."""
        return self.metrics.get(self.headline, NO_CARD)

    def variants(self, parameter: str) -> dict[str | int | float, str]:
        """Metrics that differ from the headline in this parameter alone, by its value; numbers smallest first."""
        headline = self.headline_card

        def others(card: MetricCard) -> dict[str, str | int | float]:
            return {word: value for word, value in card.parameters.items() if word != parameter}

        found = {
            card.parameters[parameter]: name
            for name, card in self.metrics.items()
            if parameter in card.parameters
            and card.quantity == headline.quantity
            and others(card) == others(headline)
        }
        return dict(sorted(found.items(), key=lambda item: 0 if isinstance(item[0], str) else item[0]))

    # ---------------------------------------------------------------- extractors

    @cached_property
    def _extractors(self) -> dict[str, list[str]]:
        """Ids by role, sorted; those of judges of attributes under "attribute" and under no role."""
        found: dict[str, set[str]] = {}
        for score in self.scores:
            kind = "attribute" if score.card.family in ("attribute", "trait") else score.extractor_role
            if score.extractor:
                found.setdefault(kind, set()).add(score.extractor)
        return {kind: sorted(ids) for kind, ids in found.items()}

    def extractor(self, role: str) -> str | None:
        """The id of the extractor in this role, which is the same for all entries; None for no such role."""
        return next(iter(self._extractors.get(role, ())), None)

    def extractor_card(self, extractor: str | None) -> ExtractorCard:
        """What an extractor says of itself; the default card where no record has one."""
        found = (record.extractors[extractor] for record in self.records if extractor in record.extractors)
        return next(found, ExtractorCard())

    @property
    def further(self) -> list[str]:
        """The ids of the networks that were asked beside the judge and the network of the training loss."""
        found = self._extractors.get("further", [])
        return sorted(found, key=lambda id_: (self.extractor_card(id_).order, id_))

    @property
    def attribute_judges(self) -> list[str]:
        """The ids of what named genders, ages and ethnicities, and of what read traits."""
        return self._extractors.get("attribute", [])


def cached_per_group(make: Callable[[Group], Made]) -> Callable[[Group], Made]:
    """`make`, whose result is kept as long as its group: several files of a report ask for the same tables."""
    kept: WeakKeyDictionary[Group, Made] = WeakKeyDictionary()

    @wraps(make)
    def made(group: Group) -> Made:
        if group not in kept:
            kept[group] = make(group)
        return kept[group]

    return made


# ---------------------------------------------------------------- who shares a table with whom


def groups(records: Sequence[RunRecord]) -> list[Group]:
    """Tables' worth of comparable records, anchors and systems in the order of the report.

    An anchor that was scored by no extractor stands in every group that it may be compared with, any other record in
    the first. Raises BenchError where there are no records at all.
    """
    if not records:
        raise BenchError("there are no result records to report; run `sf2f-bench run` first")
    kept, set_aside = _newest(records)
    members: list[list[RunRecord]] = []
    for record in sorted(kept, key=lambda record: (not _extractors(record), *_natural(record), record.key)):
        comparable = [group for group in members if all(difference(record, other) is None for other in group)]
        if not comparable:
            members.append([record])
        for group in comparable[:1] if _extractors(record) else comparable:
            group.append(record)
    return [
        Group(_entries(group), set_aside[_place(group[0])], _why(group, members[:i]))
        for i, group in enumerate(members)
    ]


def difference(one: RunRecord, other: RunRecord) -> str | None:
    """What keeps two records from sharing a table, in words; None where nothing does."""
    for field, here, there in zip(PLACE, _place(one), _place(other), strict=True):
        if here != there:
            return f"{field} differs ({here} here, {there} there)"
    for role in ("judge", "training-loss"):
        mine, yours = _extractors(one, role), _extractors(other, role)
        if mine and yours and mine != yours:
            return f"{role} extractor differs ({', '.join(mine)} here, {', '.join(yours)} there)"
    if reason := _other_code(one, other):
        return reason
    versions = {score.metric: score.version for score in other.scores}
    for score in one.scores:
        if versions.get(score.metric, score.version) != score.version:
            return f"version of {score.metric} differs ({score.version} here, {versions[score.metric]} there)"
    return None


def _other_code(one: RunRecord, other: RunRecord) -> str | None:
    """Which extractor or metric of both is of unlike code, in words; None where none is."""
    for cards, others in ((one.extractors, other.extractors), (one.metrics, other.metrics)):
        for name in sorted(cards.keys() & others.keys()):
            if cards[name].source != others[name].source:
                return f"the code of {name} differs"
    return None


def is_trained(record: RunRecord) -> bool:
    """Whether seed and budget of a training decide the numbers."""
    return record.system.kind == "system" or record.system.trained_first


PLACE = ("benchmark", "protocol", "data_hash", "image_size", "gallery_size")


def _place(record: RunRecord) -> tuple[str, str, str, int, int]:
    """The values of `PLACE`."""
    part = record.benchmark
    name = f"{part.name}/{part.version}"
    return name, part.protocol, part.data_hash, part.image_size, part.gallery_size


def _natural(record: RunRecord) -> list[list[tuple[bool, int, str]]]:
    """The values of `PLACE` for sorting: 64 before 128."""
    words = [re.findall(r"\d+|\D+", str(value)) for value in _place(record)]
    return [
        [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts] for parts in words
    ]


def _extractors(record: RunRecord, role: str | None = None) -> list[str]:
    """The ids of the extractors in this role, or in any."""
    return sorted({s.extractor for s in record.scores if s.extractor and role in (None, s.extractor_role)})


def _newest(records: Iterable[RunRecord]) -> tuple[list[RunRecord], Counter[tuple[object, ...]]]:
    """The newest record of each place, system, seed and budget, and how many older ones each place has.

    An anchor trains nothing, so records of it that differ in budget alone are duplicates. Those of unlike code are not:
    an edit that was undone has left the newer one.
    """
    newest: dict[tuple[object, ...], list[RunRecord]] = {}
    older: Counter[tuple[object, ...]] = Counter()
    for record in sorted(records, key=lambda record: (record.created, record.key), reverse=True):
        system, budget = record.system, record.budget if is_trained(record) else None
        kept = newest.setdefault(
            (_place(record), system.name, system.width, system.source, record.seed, budget), []
        )
        if any(_other_code(record, newer) is None for newer in kept):
            older[_place(record)] += 1
        else:
            kept.append(record)
    return [record for found in newest.values() for record in found], older


def _why(group: list[RunRecord], earlier: list[list[RunRecord]]) -> str | None:
    """The difference to the most similar earlier table: one of the same benchmark, else the first."""
    if not earlier:
        return None
    alike = [members for members in earlier if members[0].benchmark.name == group[0].benchmark.name]
    for other in (alike or earlier)[0]:
        for record in group:
            if reason := difference(record, other):
                return f"Not in one table with {_place(other)[0]} above: {reason}."
    return None


# ---------------------------------------------------------------- order and labels


def _zone(record: RunRecord) -> Zone:
    """An anchor that states no place of its own stands in the floor."""
    system = record.system
    if system.place in ("floor", "ceiling"):
        return system.place
    if system.kind == "anchor":
        return "floor"
    return "ablation" if system.ablation_of else "system"


def _entries(records: list[RunRecord]) -> tuple[Entry, ...]:
    """Entries in order; source, seed and budget stand in a label only where they tell entries apart."""
    sources: dict[str, set[str]] = {}
    seeds: dict[str, set[int]] = {}
    for record in records:
        sources.setdefault(record.system.label, set()).add(record.system.source)

    def system(record: RunRecord) -> str:
        several = len(sources[record.system.label]) > 1
        return f"{record.system.label}, {_short(record.system.source)}" if several else record.system.label

    for record in records:
        seeds.setdefault(system(record), set()).add(record.seed)
    budgets = {record.budget for record in records if is_trained(record)}

    def label(record: RunRecord) -> str:
        parts = [system(record)]
        if len(seeds[parts[0]]) > 1:
            parts.append(f"seed {record.seed}")
        if len(budgets) > 1 and is_trained(record):
            parts.append(f"budget {record.budget}")
        return ", ".join(parts)

    def order(record: RunRecord) -> tuple[object, ...]:
        part = record.system
        is_first = part.place != "reference"
        return (ZONES.index(_zone(record)), is_first, part.order, system(record), record.seed, record.budget)

    ordered = sorted(records, key=order)
    return tuple(Entry(record, label(record), _zone(record), system(record)) for record in ordered)


def _short(source: str) -> str:
    """A source as labels show it, its hash cut: ``source 1a2b3c4d``."""
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{8}\b", r"\1", source) or "source not known"
