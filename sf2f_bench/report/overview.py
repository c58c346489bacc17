"""What a reader sees first: the answer in a few sentences, the systems in order, some faces, and whether to trust it.

Everything here is about systems; each stands once, with all of its training seeds together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from sf2f_bench.report.columns import short_columns
from sf2f_bench.report.gallery import Person, Picture, gallery
from sf2f_bench.report.joined import landmarks, systems
from sf2f_bench.report.marks import bar_of
from sf2f_bench.report.notes import audit_notes, main_notes
from sf2f_bench.report.tables import NOT_CONVERGED, WARNED, Bar
from sf2f_bench.report.verdicts import warnings_of
from sf2f_bench.results.convergence import unconverged, unjudged
from sf2f_bench.results.numbers import and_list, exceeds, number, value_and_error
from sf2f_bench.results.ranking import Ranks, ranks
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.seed_runs import MIN_SEEDS
from sf2f_bench.results.selection import Entry, Group, cached_per_group

State = Literal["good", "doubtful", "bad"]

PEOPLE, SYSTEMS = 5, 4  # of the faces that are shown first
FAMILIES = ("quality",)  # of the metrics beside the headline and what of it was heard
PERCENT = 100
NAMED = 3  # rivals that a sentence names
MARKS = {WARNED: "see the warnings", NOT_CONVERGED: "trained too briefly: its validation still rose"}
ABOVE, BELOW, NOT_ABOVE = "better than", "worse than", "not shown to be better than"


class Line(NamedTuple):
    """What an anchor reaches: in words, and its headline score; whether no system can pass it."""

    words: str
    value: float
    is_ceiling: bool = False


@dataclass(frozen=True)
class Standing:
    """A system in the order of the headline metric, all training seeds together.

    score: the headline's, pooled; rank: of `sf2f_bench.results.ranking`; cells: further metrics; trust: marks with
    their words, why its numbers are not to be taken as they are; is_unjudged: no learning curve tells whether it was
    trained for long enough; entry: of the first seed.
    """

    name: str
    rank: Ranks | None
    seeds: int
    score: ScoreRecord
    bar: Bar | None
    cells: tuple[str, ...]
    trust: tuple[tuple[str, str], ...]
    is_unjudged: bool
    entry: Entry

    @property
    def value(self) -> str:
        """The score as tables show it."""
        return value_and_error(self.score)[0]

    @property
    def error(self) -> str:
        """Its interval, as tables show it."""
        return value_and_error(self.score)[1]

    @property
    def is_doubted(self) -> bool:
        """Whether a warning is about it."""
        return any(mark == WARNED for mark, _ in self.trust)


@dataclass(frozen=True)
class Leaderboard:
    """Every system that has the headline metric, the best first. headings: of the headline and of the further cells."""

    headings: tuple[str, ...]
    rows: tuple[Standing, ...]
    lines: tuple[Line, ...]

    @property
    def marks(self) -> list[tuple[str, str]]:
        """Those of the rows, with their words."""
        return list(dict.fromkeys(mark for row in self.rows for mark in row.trust))


@dataclass(frozen=True)
class Strip:
    """The faces of one row for the first people: true faces, or those of a system."""

    label: str
    faces: tuple[Picture | None, ...]


@dataclass(frozen=True)
class Light:
    """One reason to trust the numbers, or not to. word: the finding in short; reasons: whole sentences."""

    name: str
    state: State
    word: str
    reasons: tuple[str, ...]


# ---------------------------------------------------------------- the systems in order


@cached_per_group
def leaderboard(group: Group) -> Leaderboard:
    """The systems by their headline score, with what anchors reach; no rows where no system has one."""
    columns = short_columns(group, FAMILIES)
    scores = {
        drawn: score
        for drawn in systems(group)
        if drawn.headline(group) and (score := columns[0].pooled(group, drawn))
    }
    if not scores:
        return Leaderboard((), (), ())
    lines = _reached(group)
    ends = [end for score in scores.values() for end in (score.value, *(score.interval or ()))]
    ends += [line.value for line in lines]
    rank, rising, rows = ranks(group), unconverged(group), []
    for drawn, score in scores.items():
        is_alarmed = any(note.alarm for entry in drawn.entries for note in warnings_of(group, entry))
        marks = [WARNED] * is_alarmed + [NOT_CONVERGED] * (drawn.label in rising)
        rows.append(
            Standing(
                name=drawn.name,
                rank=rank.get(drawn.label),
                seeds=len(drawn.entries),
                score=score,
                bar=bar_of(score, None, [line.value for line in lines], (min(0.0, *ends), max(ends))),
                cells=tuple(column.text(column.pooled(group, drawn)) for column in columns[1:]),
                trust=tuple((mark, MARKS[mark]) for mark in marks),
                is_unjudged=drawn.label in unjudged(group),
                entry=drawn.entries[0],
            )
        )
    rows.sort(key=lambda row: -row.score.value if row.score.higher_is_better else row.score.value)
    return Leaderboard(tuple(column.heading for column in columns), tuple(rows), tuple(lines))


def _reached(group: Group) -> list[Line]:
    """What anchors reach in the headline metric, the lowest score first."""
    found = [
        Line(anchor.name, score.value, anchor.purpose == "true-photo")
        for anchor in landmarks(group)
        if (score := anchor.headline(group))
    ]
    return sorted(found, key=lambda line: line.value)


# ---------------------------------------------------------------- the answer


def answer(group: Group) -> list[str]:
    """What the records say, and what they cannot say, in sentences; none where no system has the headline metric."""
    rows = leaderboard(group).rows
    if not rows:
        return []
    if not group.part.paired:
        return ["Voices and faces are paired at random here: a system that is not at chance shows a leak."]
    told = [_measured(group, rows[0]), f"This is {_beside_anchors(group, rows[0])}."]
    if len(rows) > 1:
        last = (
            f"{rows[-1].name} has the lowest value of {len(rows)} systems, {_with_interval(group, rows[-1])}"
        )
        told += [_best(group), f"{last}: {_beside_anchors(group, rows[-1], nearest=True)}."]
    if doubted := [row.name for row in rows if row.is_doubted]:
        told.append(f"Do not trust {and_list(doubted)} before the warnings about them are resolved.")
    if not group.part.real:
        told.append(
            "The people are synthetic: nothing here shows how much real voices tell about real faces."
        )
    return told


def _measured(group: Group, row: Standing) -> str:
    """The headline score of the first system, in words where it is a share found among the k nearest of a gallery."""
    card = group.headline_card
    k, size = card.parameters.get("k"), card.parameters.get("gallery")
    if card.format != "share" or k is None or size is None:
        return f"{row.name} has the best {card.term or card.heading}: {f'{row.value} {row.error}'.strip()}."
    return (
        f"From the faces of {row.name}, the right person is among the {k} nearest of {size} people for "
        f"{_with_interval(group, row)} of the voices."
    )


def _with_interval(group: Group, row: Standing) -> str:
    """``57 % (95 % interval 52 to 61 %)``, or ``.163 (.14 to .19)``."""
    value, interval = _amount(group, row.score.value), row.score.interval
    if not interval:
        return value
    low, high = (_amount(group, end) for end in interval)
    return f"{value} (95 % interval {low.removesuffix(' %')} to {high})"


def _beside_anchors(group: Group, row: Standing, nearest: bool = False) -> str:
    """``more than guessing (10), and less than knowing only the gender (20)``.

    nearest: only the last of the anchors that it is above, and the first of those that it is not above.
    """
    found = [
        (_side(row, line.value), f"{line.words} ({_amount(group, line.value)})")
        for line in leaderboard(group).lines
        if not line.is_ceiling
    ]
    if nearest:
        passed = [one for one in found if one[0] == ABOVE]
        found = passed[-1:] + [one for one in found if one not in passed][:1]
    sides: dict[str, list[str]] = {}
    for side, words in found:
        sides.setdefault(side, []).append(words)
    return and_list([f"{side} {and_list(words)}" for side, words in sides.items()], ", and ")


def _side(row: Standing, value: float) -> str:
    """Where a system's interval lies beside a number."""
    low, high = row.score.interval or (row.score.value, row.score.value)
    if row.score.higher_is_better:
        return ABOVE if exceeds(low, value) else BELOW if exceeds(value, high) else NOT_ABOVE
    return ABOVE if exceeds(value, high) else BELOW if exceeds(low, value) else NOT_ABOVE


def _amount(group: Group, value: float) -> str:
    """A share as a percentage; any other number as the tables have it."""
    card = group.headline_card
    if card.format == "share":
        return f"{PERCENT * value:.0f} %"
    return number(card.factor * value, card.format, 3)


def _best(group: Group) -> str:
    """Whether one system can be called the best, of those with seeds enough to be ranked."""
    rows = leaderboard(group).rows
    ranked = [row for row in rows if row.rank]
    first = [row.name for row in ranked if row.rank and row.rank.best == 1]
    rest = len(rows) - len(ranked)
    few = (
        f" {rest} of {len(rows)} systems have fewer than three training seeds and are not ranked."
        if rest
        else ""
    )
    if not ranked:
        return "Which system is best is undecided: none has three training seeds."
    if len(ranked) == 1:
        return f"Only {ranked[0].name} has three training seeds, so systems cannot be ranked."
    if len(first) == 1:
        return f"Of {len(ranked)} systems with three training seeds, {first[0]} is shown to be the best.{few}"
    who = and_list(first) if len(first) <= NAMED else f"{len(first)} systems"
    return f"Of {len(ranked)} systems with three training seeds, {who} may be the best.{few}"


# ---------------------------------------------------------------- faces


def first_faces(group: Group) -> tuple[tuple[Person, ...], tuple[Strip, ...]]:
    """The first people whose faces are kept, with the true faces and those of the best systems; nothing without."""
    people = gallery(group).people[:PEOPLE]
    if not people:
        return (), ()
    strips = [Strip("true face", tuple(one.true for one in people))]
    for row in leaderboard(group).rows:
        faces = tuple(
            next((face for face in one.generated if face.entry is row.entry), None) for one in people
        )
        if any(faces) and len(strips) <= SYSTEMS:
            strips.append(Strip(row.name, faces))
    return people, tuple(strips)


# ---------------------------------------------------------------- whether to trust it


def lights(group: Group) -> list[Light]:
    """The data's audit, warnings about rows, training seeds and convergence, each as a light with its reasons."""
    return [_audited(group), _warned(group), _seeded(group), _converged(group)]


def _audited(group: Group) -> Light:
    notes = audit_notes(group)
    alarms = tuple(note.text for note in notes if note.alarm)
    if alarms:
        return Light("data", "bad", _count(len(alarms), "warning"), alarms)
    if not notes:
        reason = f"These records keep no audit: `sf2f-bench audit {group.part.name}` makes one."
        return Light("data", "doubtful", "not audited", (reason,))
    return Light("data", "good", "audited", tuple(note.text for note in notes))


def _warned(group: Group) -> Light:
    audit = audit_notes(group)
    alarms = tuple(note.text for note in main_notes(group) if note.alarm and note not in audit)
    if alarms:
        return Light("rows", "bad", _count(len(alarms), "warning"), alarms)
    cards = (score.card for row in leaderboard(group).rows for score in row.entry.record.scores)
    if not any(card.alarm for card in cards):
        reason = "No metric of this protocol can tell whether a system has collapsed or copies its training photos."
        return Light("rows", "doubtful", "not checked", (reason,))
    return Light("rows", "good", "no warning", ("No metric gives a warning for any system.",))


def _seeded(group: Group) -> Light:
    rows = leaderboard(group).rows
    few = [f"{row.name} ({row.seeds})" for row in rows if row.seeds < MIN_SEEDS]
    if not few:
        return Light(
            "seeds", "good", "three or more", (f"Every system has {MIN_SEEDS} training seeds or more.",)
        )
    reason = (
        f"Another training seed gives another model. With fewer than {MIN_SEEDS} seeds these systems are not ranked: "
        f"{', '.join(few)}."
    )
    return Light("seeds", "doubtful", f"too few for {len(few)} of {len(rows)}", (reason,))


def _converged(group: Group) -> Light:
    rows = leaderboard(group).rows
    rising = [row.name for row in rows if (NOT_CONVERGED, MARKS[NOT_CONVERGED]) in row.trust]
    unseen = [row.name for row in rows if row.is_unjudged]
    if rising:
        reason = (
            "The validation of these systems still rose when their training ended, so a longer one would probably "
            f"score higher: {', '.join(rising)}."
        )
        return Light("training", "doubtful", f"too short for {len(rising)} of {len(rows)}", (reason,))
    if unseen:
        reason = f"Without a learning curve nobody knows whether it was long enough: {', '.join(unseen)}."
        return Light("training", "doubtful", f"unknown for {len(unseen)} of {len(rows)}", (reason,))
    return Light("training", "good", "long enough", ("No system's validation still rose at the end.",))


def _count(number_: int, noun: str) -> str:
    return f"{number_} {noun}{'s' if number_ > 1 else ''}"
