"""What pictures draw of a group: each system with all its training seeds joined, and the few anchors that matter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.report.verdicts import headline
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.seed_runs import interval_over_seeds, systems_of
from sf2f_bench.results.selection import Entry, Group, Zone, cached_per_group
from sf2f_bench.types import Purpose, with_width

if TYPE_CHECKING:
    from sf2f_bench.statistics.intervals import Interval

LANDMARKS: dict[Purpose, str] = {  # the anchors that pictures show, and what they stand for
    "chance": "chance",
    "known-attribute": "",  # its own words
    "straight-line": "a straight line from the voice",
    "true-photo": "another photo",
}


@dataclass(frozen=True)
class Joined:
    """One number of a system over its training seeds.

    value: the mean over the seeds; low, high: the 95 % interval for new people and new seeds where there are three
    seeds that are known well enough, else from the lowest to the highest bound of the seeds' own intervals, which are
    for new people alone; seeds: the value of each.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]

    def times(self, factor: float) -> Joined:
        """In other units."""
        low, high = sorted((factor * self.low, factor * self.high))
        return Joined(factor * self.value, low, high, tuple(factor * value for value in self.seeds))


def joined(scores: Sequence[ScoreRecord], over_seeds: Interval | None = None) -> Joined:
    """The seeds' scores of one metric as one number; at least one score. over_seeds: their interval, if it is known."""
    values = tuple(score.value for score in scores)
    bounds = over_seeds or [end for score in scores for end in score.interval or (score.value,)]
    return Joined(float(np.mean(values)), min(bounds), max(bounds), values)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A row or line of a picture. index: of a system, its place by the headline score, which decides its look.

    name: as pictures write it; label: of a system, its name in `Group.by_system`; entries: one for each training seed,
    none for chance where no anchor stands for it. What chance did not score, a metric's card may state.
    """

    name: str
    entries: tuple[Entry, ...]
    index: int | None = None
    purpose: Purpose = ""
    label: str = ""

    def score(self, group: Group, metric: str, by: str) -> Joined | None:
        """Of this metric by this role or extractor; None where no seed has it."""
        found = [score for entry in self.entries if (score := entry.score(metric, by))]
        guess = group.metrics[metric].chance if self.purpose == "chance" else None
        if not found and guess is not None:
            return Joined(guess, guess, guess, (guess,))
        if not found:
            return None
        runs = systems_of(group)[self.label] if self.label and len(found) == len(self.entries) else None
        key = (found[0].metric, found[0].extractor)
        return joined(found, interval_over_seeds(runs, key) if runs else None)

    def headline(self, group: Group) -> Joined | None:
        """The headline score by the protocol's network."""
        return self.score(group, group.headline, group.protocol.headline_role) if group.headline else None


@cached_per_group
def systems(group: Group) -> tuple[Drawn, ...]:
    """Every system, the best headline score first."""
    return _trained(group, "system")


@cached_per_group
def ablations(group: Group) -> tuple[Drawn, ...]:
    """Every ablation after the systems that they lack a part of; best first. Empty without ablations."""
    made = _trained(group, "ablation")
    wholes = {whole for drawn in made if (whole := group.whole(drawn.entries[0]))}
    return (*(one for one in systems(group) if wholes & set(one.entries)), *made) if made else ()


def _trained(group: Group, zone: Zone) -> tuple[Drawn, ...]:
    width = common_width(group)
    found = {label: entries for label, entries in group.by_system.items() if entries[0].zone == zone}

    def score(entries: Sequence[Entry]) -> float:
        values = [one.value for entry in entries if (one := headline(group, entry))]
        return float(np.mean(values)) if values else -inf

    def name(label: str) -> str:
        short = without_width(label, width).removesuffix(f", budget {common_budget(group)}")
        return re.sub(r", budget (\w+)$", r" (\1)", short)  # "sf2f-64 (long)"

    order = sorted(found, key=lambda label: -score(found[label]))
    return tuple(
        Drawn(name(label), found[label], i if zone == "system" else None, label=label)
        for i, label in enumerate(order)
    )


@cached_per_group
def common_width(group: Group) -> float | None:
    """The width that all systems share which have another than the published one; None where there is no such."""
    widths = {entry.record.system.width for entry in group.trained} - {None, 1.0}
    return widths.pop() if len(widths) == 1 else None


def without_width(label: str, width: float | None) -> str:
    """A label without the width that is said once for all."""
    return label.replace(with_width("", width), "", 1)


@cached_per_group
def common_budget(group: Group) -> str:
    """The budget of most systems where there are several, which names leave out; empty where all have one."""
    counts = Counter(entry.record.budget for entry in group.trained)
    return counts.most_common(1)[0][0] if len(counts) > 1 else ""


@cached_per_group
def landmarks(group: Group) -> tuple[Drawn, ...]:
    """The anchors of `LANDMARKS` that the group has, of straight lines the best; chance is always there."""
    found: list[Drawn] = []
    for purpose, words in LANDMARKS.items():
        anchors = group.anchors(purpose)
        if purpose == "straight-line":
            anchors = sorted(anchors, key=lambda anchor: -_value(group, anchor))[:1]
        if purpose == "chance" and not anchors:
            found.append(Drawn(words, (), None, purpose))
        for anchor in anchors if purpose == "known-attribute" else anchors[:1]:
            found.append(Drawn(words or anchor.record.system.words or anchor.label, (anchor,), None, purpose))
    return tuple(found)


def floors(group: Group) -> list[Drawn]:
    """The landmarks that hear nothing."""
    return [one for one in landmarks(group) if one.purpose in ("chance", "known-attribute")]


def _value(group: Group, entry: Entry) -> float:
    score = headline(group, entry)
    return score.value if score else -inf


def measured(group: Group, parameter: str) -> dict[str, str]:
    """``{"women": metric, ...}``: the headline's variants in this parameter that a system has, in the tables' order."""
    role = group.protocol.headline_role
    found = {
        str(value): name
        for value, name in group.variants(parameter).items()
        if any(row.score(group, name, role) for row in systems(group))
    }
    return dict(sorted(found.items(), key=lambda item: min(group.metrics[item[1]].order.values(), default=0)))
