"""What a row's numbers say about its system: against the anchors, against other rows, and why not to trust it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logit

from sf2f_bench.report.tables import tables
from sf2f_bench.results.numbers import exceeds, number, value_and_error, with_interval
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.seed_runs import interval_over_seeds, systems_of
from sf2f_bench.results.selection import Entry, Group

if TYPE_CHECKING:
    from sf2f_bench.statistics.intervals import Interval


@dataclass(frozen=True)
class Note:
    """One sentence or two; `alarm`: a reason not to trust the table."""

    text: str
    alarm: bool = False

    @property
    def marked(self) -> str:
        """The text as it is printed, where colour may be lost."""
        return f"WARNING: {self.text}" if self.alarm else self.text


def headline(group: Group, entry: Entry | None, by: str | None = None) -> ScoreRecord | None:
    """The entry's headline score, by the protocol's network where no other is named."""
    return entry.score(group.headline, by or group.protocol.headline_role) if entry else None


def chance(group: Group) -> float | None:
    """The headline score of guessing: the chance anchor's where there is one, else as the metric's card states it."""
    score = headline(group, group.anchor("chance"))
    return score.value if score else group.headline_card.chance


def share(value: float) -> str:
    """A share as every verdict writes it."""
    return number(value, "share", 3)


def _chance(group: Group) -> list[tuple[str, float]]:
    """In words, with its headline score; empty where it is not known."""
    guess = chance(group)
    return [] if guess is None else [("chance", guess)]


def _known_attributes(group: Group) -> list[tuple[str, float]]:
    """What anchors know of a person, in words, and the headline score of knowing that alone."""
    known = [(anchor, headline(group, anchor)) for anchor in group.anchors("known-attribute")]
    return [(anchor.record.system.words or anchor.label, score.value) for anchor, score in known if score]


def against_anchors(group: Group, entry: Entry) -> str:
    """Whether the headline score is above chance, and above knowing one attribute alone."""
    name, score = group.headline_card.term, headline(group, entry)
    if score is None or score.interval is None:
        return f"{entry.label}: no {name} with an interval, so no verdict against chance."
    low, high = score.interval
    sides: dict[str, list[str]] = {}
    for rival, value in (*_chance(group), *_known_attributes(group)):
        side = "above" if exceeds(low, value) else "below" if exceeds(value, high) else "NOT above"
        sides.setdefault(side, []).append(f"{rival} ({share(value)})")
    verdicts = (f"{side} {' and '.join(rivals)}" for side, rivals in sides.items())
    return f"{entry.label}: {name} {with_interval(score)} is {', and '.join(verdicts)}."


def against_straight_line(group: Group, entry: Entry) -> str | None:
    """A straight line that generates no face shows how much of the voice's information a system leaves unused."""
    lines = [
        (anchor, found) for anchor in group.anchors("straight-line") if (found := headline(group, anchor))
    ]
    score = headline(group, entry)
    if score is None or not lines:
        return None
    anchor, line = max(lines, key=lambda pair: pair[1].value)
    overlap = ""
    if line.interval and score.interval:
        is_apart = exceeds(line.interval[0], score.interval[1]) or exceeds(
            score.interval[0], line.interval[1]
        )
        overlap = "" if is_apart else "; their intervals overlap"
    numbers = f"{group.headline_card.term} {share(line.value)} against {share(score.value)} of {entry.label}"
    return f"{anchor.label}, a straight line from voice statistics: {numbers}{overlap}."


def heard(group: Group, entry: Entry) -> str | None:
    """What the right voices are worth: how much less the same faces are expected to reach for other people."""
    own = headline(group, entry)
    for name, card in group.metrics.items() if own else ():
        score = entry.score(name, group.protocol.headline_role) if card.heard_of == group.headline else None
        if own is None or score is None or score.interval is None:
            continue
        doubt = "" if exceeds(score.interval[0], 0.0) else ": NOT shown to hear anything"
        return (
            f"{entry.label}: {card.heading} {with_interval(score)}{doubt}: {group.headline_card.term} is "
            f"{share(own.value)}, and {share(own.value - score.value)} expected where each face is given to somebody "
            "else."
        )
    return None


def within_gender(group: Group, entry: Entry) -> str | None:
    """That nothing but the gender may be heard; nothing is said where a metric within one gender is above chance."""
    anchor, found = group.anchor("chance"), []
    for column in (column for table in tables(group) for column in table.columns):
        score = entry.score(column.metric) if column.card.parameters.get("stratum") == "G" else None
        if score is None or score.interval is None:
            continue
        floor = anchor.score(column.metric) if anchor else None
        guess = floor.value if floor else column.card.chance
        if guess is None or exceeds(score.interval[0], guess):
            return None
        found.append(f"{column.heading} {with_interval(score)}, chance {share(guess)}")
    if not found:
        return None
    numbers = "; ".join(found)
    return (
        f"{entry.label}: not above chance within one gender, so gender may be all that it hears ({numbers})."
    )


# ---------------------------------------------------------------- over seeds


def over_seeds(group: Group) -> Iterator[str]:
    """The headline score over the training seeds of a system: every seed, their mean, its interval."""
    for name, entries in group.by_system.items():
        scores = {entry: score for entry in entries if (score := headline(group, entry))}
        if not entries[0].is_trained or len(scores) < 2:
            continue
        mean = share(float(np.mean([score.value for score in scores.values()])))
        each = ", ".join(
            f"{share(score.value)} (seed {entry.record.seed})" for entry, score in scores.items()
        )
        interval = _interval_over_seeds(group, name)
        term = group.headline_card.term
        yield f"{name}: {term} {mean} on average over {len(scores)} seeds{interval}: {each}."


def _interval_over_seeds(group: Group, name: str) -> str:
    """`` (.12 to .67 for new seeds and new identities)``; nothing where the records hold other identities."""
    runs = systems_of(group)[name]
    score = headline(group, group.by_system[name][0])
    found = interval_over_seeds(runs, (score.metric, score.extractor), at_least=2) if score else None
    return f" ({share(found[0])} to {share(found[1])} for new seeds and new identities)" if found else ""


# ---------------------------------------------------------------- reasons not to trust a row


def warnings(group: Group) -> list[Note]:
    """Those of all rows; alarms first."""
    found = [note for entry in group.entries for note in warnings_of(group, entry)]
    return sorted(found, key=lambda note: not note.alarm)


def warnings_of(group: Group, entry: Entry) -> list[Note]:
    """What metrics' cards call an alarm, and that a system fits the network of its training loss."""
    found = list(_of_cards(group, entry))
    if entry.is_trained and (note := _fits_the_loss(group, entry)):
        found.append(note)
    return found


def _of_cards(group: Group, entry: Entry) -> Iterator[Note]:
    """An alarm for a system whose whole interval is beyond a limit; for an anchor what is expected, if anything is."""
    photos = group.anchor("true-photo")
    for score in entry.record.scores:
        alarm = score.card.alarm
        if alarm is None or score.interval is None or score.extractor_role != "judge":
            continue
        true = photos.score(score.metric) if photos and alarm.of_true_photos else None
        if alarm.of_true_photos and true is None:
            continue
        limit = alarm.limit * (true.value if true else 1.0)
        low, high = score.interval
        if not (exceeds(low, limit) if alarm.above else exceeds(limit, high)):
            continue
        card, side = score.card, "above" if alarm.above else "below"
        bound = number(card.factor * limit, card.format, 3)
        if true:
            bound = f"{100 * alarm.limit:g} % of the true photos' {_value(true)}"
        beside = "".join(_beside(group, entry, alarm.beside))
        measured = f"{card.heading or score.metric} {with_interval(score)}, {side} {bound}{beside}"
        text = f"{entry.label}: {measured}: {alarm.text}"
        if entry.is_trained:
            yield Note(f"{text}.", alarm=True)
        elif alarm.expected:
            yield Note(f"{text}; {alarm.expected}.")


def _beside(group: Group, entry: Entry, quantities: tuple[str, ...]) -> Iterator[str]:
    """``, distinct faces .000``."""
    for name, card in group.metrics.items():
        if card.quantity in quantities and (score := entry.score(name)):
            yield f", {card.heading or name} {_value(score)}"


def _value(score: ScoreRecord) -> str:
    return value_and_error(score)[0]


@dataclass(frozen=True)
class _ByBoth:
    """The headline score by the network of the training loss and by the judge."""

    loss: ScoreRecord
    judge: ScoreRecord

    @property
    def odds_gap(self) -> float:
        """How much better the first network tells identities apart: log-odds of one score less those of the other."""
        edge = 0.5 / self.judge.n  # half an identity from 0 and 1, so that the odds stay finite
        odds = logit(np.clip([self.loss.value, self.judge.value], edge, 1 - edge))
        return float(odds[0] - odds[1])


def _by_both(group: Group, entry: Entry) -> _ByBoth | None:
    """None where one of the networks was not asked; an order in a space of one's own is no network's."""
    loss, judge = headline(group, entry, "training-loss"), headline(group, entry, "judge")
    return _ByBoth(loss, judge) if loss and judge and judge.extractor else None


def _fits_the_loss(group: Group, entry: Entry) -> Note | None:
    """Whether the network of the training loss sees more in a system than the judge does.

    Rows that were fitted to neither network show how much better the first tells identities apart anyway; the odds of
    a system's score may rise by no more.
    """
    own, rivals = _by_both(group, entry), _known_attributes(group) or _chance(group)
    if own is None or own.loss.interval is None or own.judge.interval is None or not rivals:
        return None
    unfitted = {
        other.label: both
        for other in group.entries
        if other.record.system.fitted_to == "nothing" and (both := _by_both(group, other))
    }
    most = max(unfitted, key=lambda label: unfitted[label].odds_gap, default=None)
    rival, bar = rivals[0]
    verdict = _verdict_on_the_loss(own.loss.interval, own.judge.interval, bar)
    if verdict is None or (most is not None and own.odds_gap <= unfitted[most].odds_gap):
        return None
    compared = ""
    if most is not None:
        numbers = f"{share(unfitted[most].loss.value)} and {share(unfitted[most].judge.value)}"
        compared = f" ({most}, fitted to neither: {numbers})"
    words, is_alarm = verdict
    return Note(
        f"{entry.label} {words}: {group.headline_card.term} {with_interval(own.loss)} by that network, "
        f"{with_interval(own.judge)} by the judge{compared}; {rival} has {share(bar)}.",
        is_alarm,
    )


def _verdict_on_the_loss(loss: Interval, judge: Interval, bar: float) -> tuple[str, bool] | None:
    """In words, and whether it is an alarm; None where the network of the loss does not favour the system.

    loss, judge: intervals of the headline score by the two networks. It is an alarm where only the first puts the
    system above knowing the gender (or chance) and the two intervals lie apart.
    """
    if not exceeds(loss[0], bar):
        return None
    is_apart = exceeds(loss[0], judge[1])
    if exceeds(judge[0], bar):
        return (
            ("scores higher on the network it was trained with than on the judge", False)
            if is_apart
            else None
        )
    return f"{'scores' if is_apart else 'may score'} well only on the network it was trained with", is_apart
