"""What a row's numbers say of its system: against the anchors, against itself, and whether it cheats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from sf2f_bench.results.numbers import number
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.selection import CEILING, SHUFFLED, Group, Row, label_of, once_a_group
from sf2f_bench.statistics import intervals
from sf2f_bench.statistics.paired import seeds_interval

# Diversity below this share of the true photos': a few faces for everybody. Of the systems measured on the embedded
# world those with one or few faces had .00 to .46 of it, all others .70 and more; it does not depend on n.
COLLAPSED = 0.5
COPIED = 0.05  # copied faces surely above this share, .01 being usual: the system shows training photos
HONEST = ("mean-face", "nearest-training-face", *CEILING)  # rows that were fitted to no network


@dataclass(frozen=True)
class Note:
    """One sentence or two; `alarm`: the table must not be believed before this is cleared up."""

    text: str
    alarm: bool = False

    @property
    def marked(self) -> str:
        """The text as it is printed, where colour may be lost."""
        return f"ALARM: {self.text}" if self.alarm else self.text


def headline_metric(group: Group) -> str:
    """The name of the recall that the verdicts are about: ``recall@10/g100``."""
    return f"recall@{group.headline_k}/{group.gallery}"


def headline(group: Group, row: Row | None, by: str | None = None) -> ScoreRecord | None:
    """The row's headline recall, by the protocol's network where no other is named."""
    return row.score(headline_metric(group), by or group.headline_role) if row else None


def chance(group: Group) -> float:
    """recall@k of guessing at the headline k: the chance row's where there is one, else k / gallery."""
    score = headline(group, group.anchor("chance"))
    size = group.rows[0].record.benchmark.gallery_size
    return score.value if score else min(1.0, group.headline_k / size)


def share(value: float) -> str:
    """A share as every verdict writes it."""
    return number(value, "share", 3)


def with_interval(score: ScoreRecord) -> str:
    """``.365 (.300 to .430)``."""
    assert score.interval is not None
    return f"{share(score.value)} ({share(score.interval[0])} to {share(score.interval[1])})"


def against_anchors(group: Group, row: Row) -> str:
    """Is the headline recall above chance, and above knowing only the gender?"""
    name, score = f"recall@{group.headline_k}", headline(group, row)
    if score is None or score.interval is None:
        return f"{row.label}: no {name} with an interval, so no verdict against chance."
    rivals = [("chance", chance(group))]
    gender = headline(group, group.anchor("gender-oracle"))
    if gender is not None:
        rivals.append(("knowing only the gender", gender.value))
    verdicts = []
    for rival, value in rivals:
        verdict = (
            "above" if score.interval[0] > value else "below" if score.interval[1] < value else "NOT above"
        )
        verdicts.append(f"{verdict} {rival} ({share(value)})")
    return f"{row.label}: {name} {with_interval(score)} is {' and '.join(verdicts)}."


def against_listener(group: Group, row: Row) -> str | None:
    """A straight line that draws no face shows how much of the voice's information a system leaves."""
    score, line = headline(group, row), headline(group, group.anchor("linear-listener"))
    if score is None or line is None:
        return None
    if line.value <= score.value:
        numbers = f"{share(score.value)} against {share(line.value)}"
        return f"{row.label} is not beaten by the linear listener: {numbers}."
    sentence = (
        f"A straight line from voice statistics (linear-listener) beats {row.label}: "
        f"recall@{group.headline_k} {share(line.value)} against {share(score.value)}"
    )
    apart = line.interval is None or score.interval is None or line.interval[0] > score.interval[1]
    return f"{sentence}." if apart else f"{sentence}, though their intervals overlap."


def against_shuffled(group: Group, row: Row) -> str | None:
    """What the right voices are worth: the headline recall less that of the same faces handed to other people."""
    others = group.shuffled(row)
    own, floor = headline(group, row), headline(group, others)
    if own is None or others is None or floor is None:
        return None
    sentence = (
        f"{row.label}: hearing the right person is worth {share(own.value - floor.value)} of "
        f"recall@{group.headline_k} (its own shuffled voices: {share(floor.value)})"
    )
    interval = _paired_interval(group, row, others)
    if interval is None:
        return f"{sentence}."
    low, high = map(share, interval)
    verdict = "" if interval[0] > 0 else ", NOT above zero"
    return f"{sentence}, paired interval {low} to {high}{verdict}."


def _paired_interval(group: Group, one: Row, other: Row) -> tuple[float, float] | None:
    """Of the difference in headline recall, over the same identities; None where the records do not pair."""
    mine, yours = _headline_per_identity(group, one), _headline_per_identity(group, other)
    if mine is None or yours is None or set(mine) != set(yours):
        return None
    differences = np.array([mine[name] - yours[name] for name in mine])
    return intervals.mean_interval(differences, np.random.default_rng(0), (-1.0, 1.0))


def _headline_per_identity(group: Group, row: Row) -> dict[str, float] | None:
    """The headline recall of every identity that takes part; None where the record keeps none."""
    return _headlines_per_identity(group).get(row)


@once_a_group
def _headlines_per_identity(group: Group) -> dict[Row, dict[str, float]]:
    """Of every row that is compared by its identities, each file opened once and only that column read."""
    found = {}
    for row in group.rows:
        score, saved = headline(group, row), row.record.path_of("per_identity") is not None
        compared = row in group.trained or row.record.system.name.startswith(SHUFFLED)
        if score is None or not saved or not compared:
            continue
        known = row.record.per_identity(["identity", score.column]).dropna()
        if score.column in known:
            found[row] = dict(zip(known["identity"], known[score.column].astype(float), strict=True))
    return found


def within_gender(group: Group, row: Row) -> str | None:
    """Is anything heard beside the gender? Nothing is said where recall or matching within it is above chance."""
    found = []
    size = group.rows[0].record.benchmark.gallery_size
    for metric, guess in ((f"{headline_metric(group)}/G", group.headline_k / size), ("matching/1:2/G", 0.5)):
        score, anchor = row.score(metric), group.anchor("chance")
        floor = anchor.score(metric) if anchor else None
        if score is not None and score.interval is not None:
            bar = floor.value if floor else guess
            if score.interval[0] > bar:
                return None
            found.append(
                f"{metric.removesuffix('/G').replace('/', ' ')} {with_interval(score)}, chance {share(bar)}"
            )
    if not found:
        return None
    return (
        f"{row.label}: within one gender it is not above chance: what it hears may be gender alone "
        f"({'; '.join(found)})."
    )


def warnings(group: Group) -> list[Note]:
    """Systems that draw few faces, show training photos, or fit the network of their training loss; alarms first."""
    found: list[Note] = []
    for row in group.rows:
        trained = row.zone in ("system", "ablation")
        copied = row.score("copied-faces")
        if trained and (collapsed := _collapsed(group, row)):
            found.append(collapsed)
        if copied is not None and copied.interval is not None and copied.interval[0] > COPIED:
            text = (
                f"{row.label}: copied faces {with_interval(copied)}, above {share(COPIED)}: so many lie nearer to a "
                "training photo than 99 % of the true photos do"
            )
            found.append(Note(f"{text}." if trained else f"{text}; an anchor may.", trained))
        if trained and (fitted := _fits_the_loss(group, row)):
            found.append(fitted)
    return sorted(found, key=lambda note: not note.alarm)


def _collapsed(group: Group, row: Row) -> Note | None:
    """Do the faces of different people differ by less than half of what true photos differ by?"""
    own, photos = row.score("diversity"), group.anchor("real-photo-oracle")
    true = photos.score("diversity") if photos else None
    if own is None or own.interval is None or true is None or own.interval[1] >= COLLAPSED * true.value:
        return None
    distinct = row.score("distinct-faces")
    faces = f", distinct faces {share(distinct.value)}" if distinct else ""
    return Note(
        f"{row.label}: diversity {with_interval(own)}, less than half of the true photos' {share(true.value)}{faces}: "
        "it has collapsed to a few faces that it draws for everybody.",
        True,
    )


def _fits_the_loss(group: Group, row: Row) -> Note | None:
    """Does the network of the training loss see more in a system than the judge does, and than it sees in honest rows?

    Rows that were fitted to neither network show how much better the one tells people apart; the odds of a
    system's recall may rise by no more. An alarm where only that network puts it above knowing the gender, and the
    two intervals lie apart.
    """
    own = _by_both(group, row)
    if own is None or own[0].interval is None or own[1].interval is None:
        return None
    honest = {
        other.label: both for other in group.rows if _is_honest(other) and (both := _by_both(group, other))
    }
    most = max(honest, key=lambda label: _odds_gap(*honest[label]), default=None)
    if most is not None and _odds_gap(*own) <= _odds_gap(*honest[most]):
        return None
    gender = headline(group, group.anchor("gender-oracle"))
    bar, rival = (gender.value, "knowing only the gender") if gender else (chance(group), "chance")
    apart, alone = own[0].interval[0] > own[1].interval[1], own[0].interval[0] > bar >= own[1].interval[0]
    if not (apart and own[0].interval[0] > bar) and not alone:
        return None
    verdict = {(True, True): "fits", (False, True): "leans on", (True, False): "is flattered by"}[
        apart, alone
    ]
    compared = f" ({most}: {' and '.join(share(score.value) for score in honest[most])})" if most else ""
    return Note(
        f"{row.label} {verdict} the network of its training loss{', not the face' if apart and alone else ''}: by that "
        f"network recall@{group.headline_k} {with_interval(own[0])}, by the judge {with_interval(own[1])}{compared}; "
        f"{rival} has {share(bar)}.",
        alarm=apart and alone,
    )


def _is_honest(row: Row) -> bool:
    return row.record.system.name.startswith(HONEST)


def _by_both(group: Group, row: Row) -> tuple[ScoreRecord, ScoreRecord] | None:
    """The headline recall by the network of the training loss and by the judge."""
    loss, judge = headline(group, row, "training-loss"), headline(group, row, "judge")
    return (loss, judge) if loss and judge else None


def _odds_gap(one: ScoreRecord, other: ScoreRecord) -> float:
    """Log-odds of one recall less those of the other."""
    edge = 0.5 / other.n  # half an identity from 0 and 1, so that the odds stay finite
    return float(np.subtract(*logit(np.clip([one.value, other.value], edge, 1 - edge))))


def over_seeds(group: Group) -> list[str]:
    """The headline recall over the training seeds of one label: every seed, their mean, its interval."""
    runs: dict[tuple[str, str], list[Row]] = {}
    for row in group.rows:
        if row.zone in ("system", "ablation"):
            runs.setdefault((label_of(row.record), row.record.budget), []).append(row)
    budgets = {budget for _, budget in runs}
    found = []
    for (label, budget), rows in runs.items():
        scored = [(row, score) for row in rows if (score := headline(group, row)) is not None]
        if len(scored) > 1:
            name = label if len(budgets) == 1 else f"{label}, budget {budget}"
            mean = share(float(np.mean([score.value for _, score in scored])))
            each = ", ".join(f"{share(score.value)} (seed {row.record.seed})" for row, score in scored)
            text = f"{name}: recall@{group.headline_k} {mean} on average over {len(scored)} seeds"
            found.append(f"{text}{_interval_over_seeds(group, [row for row, _ in scored])}: {each}.")
    return found


def _interval_over_seeds(group: Group, rows: list[Row]) -> str:
    """`` (.12 to .67 for new seeds and people)``; nothing where the records do not hold the same identities."""
    runs = [known for row in rows if (known := _headline_per_identity(group, row))]
    if len(runs) < len(rows) or any(set(run) != set(runs[0]) for run in runs):
        return ""
    values = np.array([[run[name] for name in runs[0]] for run in runs])  # [seeds, identities]
    low, high = seeds_interval(values, (0.0, 1.0))[1]
    return f" ({share(low)} to {share(high)} for new seeds and new people)"


def smallest_strata(group: Group, letters: Iterable[str]) -> str | None:
    """How few people a number within strata rests on."""
    least = {
        letter: min(score.n for score in group.scores if score.metric.endswith(f"/{letter}"))
        for letter in letters
    }
    if not least:
        return None
    counts = ", ".join(f"{letter} {n}" for letter, n in least.items())
    return f"Smallest n within strata: {counts} identities; who has too few people alike does not take part."
