"""What a reader must know below a table: verdicts against the anchors, limits and what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sf2f_bench.protocols import BENCH, LEFT_OUT, PAPER
from sf2f_bench.records import ScoreRecord
from sf2f_bench.report.numbers import number
from sf2f_bench.report.selection import Group, Row

INFORMATION = re.compile(r"mutual-information(?:-score/parts|/)(\d+)(?:-parts)?")  # and the number of parts


@dataclass(frozen=True)
class Note:
    """One sentence or two; `alarm`: the table must not be believed before this is cleared up."""

    text: str
    alarm: bool = False


def notes(group: Group) -> list[Note]:
    """All notes of one table, verdicts first."""
    found = [*_comparability(group), *(Note(text) for text in _protocol(group))]
    if group.rows[0].record.benchmark.paired:
        found += [Note(_against_anchors(group, row)) for row in group.systems]
        found += [Note(text) for row in group.systems if (text := _against_listener(group, row))]
        found += [Note(text) for text in _against_whole(group)]
    else:
        found += _unpaired(group)
    found += [Note(text) for text in _limits(group)]
    found += [Note(text) for text in _remarks(group)]
    return found + [Note(text) for text in absences(group.rows)]


def chance(group: Group) -> float:
    """recall@k of guessing at the headline k: the chance row's where there is one, else k / gallery."""
    score = _headline(group, group.anchor("chance"))
    size = group.rows[0].record.benchmark.gallery_size
    return score.value if score else min(1.0, group.headline_k / size)


def absences(rows: Iterable[Row]) -> list[str]:
    """One line per reason: who lacks what, and why."""
    lacking: dict[tuple[str, str], list[str]] = {}  # (label, reason) -> metrics
    for row in rows:
        for absent in row.record.absent:
            family = re.sub(r"@\d+", "", absent.metric)
            metrics = lacking.setdefault((row.label, absent.reason), [])
            if family not in metrics:
                metrics.append(family)
    together: dict[tuple[str, str], list[str]] = {}  # (metrics, reason) -> labels
    for (label, reason), metrics in lacking.items():
        together.setdefault((", ".join(metrics), reason), []).append(label)
    return [f"{', '.join(labels)}: no {metrics}: {reason}" for (metrics, reason), labels in together.items()]


def _headline(group: Group, row: Row | None) -> ScoreRecord | None:
    name = f"recall@{group.headline_k}/{group.gallery}"
    return row.score(name, group.headline_role) if row else None


def _share(value: float) -> str:
    return number(value, "share", 3)


def _with_interval(score: ScoreRecord) -> str:
    assert score.interval is not None
    return f"{_share(score.value)} ({_share(score.interval[0])} to {_share(score.interval[1])})"


def _comparability(group: Group) -> list[Note]:
    if not group.set_aside:
        return []
    plural = "record was" if group.set_aside == 1 else "records were"
    return [Note(f"{group.set_aside} older {plural} set aside for newer ones of the same label and seed.")]


def _protocol(group: Group) -> list[str]:
    """What the numbers of the published evaluation carry along."""
    if group.protocol != PAPER:
        return []
    part = group.rows[0].record.benchmark
    found = [
        f"{PAPER} repeats the published evaluation, for comparison with published numbers in kind; judge systems "
        f"by {BENCH}. The network of the training loss ({group.extractor('training-loss') or 'none'}) scores "
        "recall and distances here, as FaceNet does in the paper, and flatters what was trained with it; the judge "
        f"({group.extractor('judge') or 'none'}) stands for VGGFace2's classifier.",
        "The runs differ in the crops of the same voices alone: their ± is no confidence interval.",
    ]
    searched = (group.galleries or 0) * part.gallery_size
    if searched < part.identities.test:
        found.append(
            f"Recall rests on the first {searched} identities of the test list, the distances on all "
            f"{part.identities.test}."
        )
    return found + [f"{anchor} has no row: {reason}." for anchor, reason in LEFT_OUT[PAPER].items()]


def _against_anchors(group: Group, row: Row) -> str:
    """Is the headline recall above chance, and above knowing only the gender?"""
    name, score = f"recall@{group.headline_k}", _headline(group, row)
    if score is None or score.interval is None:
        return f"{row.label}: no {name} with an interval, so no verdict against chance."
    rivals = [("chance", chance(group))]
    gender = _headline(group, group.anchor("gender-oracle"))
    if gender is not None:
        rivals.append(("knowing only the gender", gender.value))
    verdicts = []
    for rival, value in rivals:
        verdict = (
            "above" if score.interval[0] > value else "below" if score.interval[1] < value else "NOT above"
        )
        verdicts.append(f"{verdict} {rival} ({_share(value)})")
    return f"{row.label}: {name} {_with_interval(score)} is {' and '.join(verdicts)}."


def _against_listener(group: Group, row: Row) -> str | None:
    """A straight line that draws no face shows how much of the voice's information a system leaves."""
    score, line = _headline(group, row), _headline(group, group.anchor("linear-listener"))
    if score is None or line is None:
        return None
    if line.value <= score.value:
        numbers = f"{_share(score.value)} against {_share(line.value)}"
        return f"{row.label} is not beaten by the linear listener: {numbers}."
    sentence = (
        f"A straight line from voice statistics (linear-listener) beats {row.label}: "
        f"recall@{group.headline_k} {_share(line.value)} against {_share(score.value)}"
    )
    apart = line.interval is None or score.interval is None or line.interval[0] > score.interval[1]
    return f"{sentence}." if apart else f"{sentence}, though their intervals overlap."


def _against_whole(group: Group) -> list[str]:
    """What taking one thing out does to the headline recall, a note a system."""
    compared: dict[str, list[str]] = {}
    for row in group.ablations:
        score, whole = _headline(group, row), group.whole(row)
        target = _headline(group, whole)
        if score is None or whole is None or target is None:
            continue
        text = f"{row.short_label} {_share(score.value)}"
        if score.interval and target.interval:
            apart = score.interval[1] < target.interval[0] or target.interval[1] < score.interval[0]
            text += " (apart)" if apart else ""
        compared.setdefault(f"{whole.label} {_share(target.value)}", []).append(text)
    return [
        f"Ablations, recall@{group.headline_k}: {whole}; {', '.join(texts)}. (apart): the 95 % intervals do not "
        "overlap; overlap alone does not say that nothing is lost."
        for whole, texts in compared.items()
    ]


def _unpaired(group: Group) -> list[Note]:
    """On unpaired data only chance is right: anything else says that something leaks."""
    found = [
        Note(
            "Voices and faces are paired at random here, so the truth is chance. By luck alone one interval "
            "in twenty misses it: repeat an alarm with another seed."
        )
    ]
    guess = chance(group)
    for row in group.trained:
        score = _headline(group, row)
        if score is None or score.interval is None:
            text = f"{row.label}: no recall@{group.headline_k} with an interval, so no verdict."
            found.append(Note(text, alarm=True))
            continue
        fine = score.interval[0] <= guess <= score.interval[1]
        verdict = "at chance, as it must be" if fine else "NOT at chance: something leaks"
        measured = f"recall@{group.headline_k} {_with_interval(score)}, chance {_share(guess)}"
        found.append(Note(f"{row.label}: {measured}: {verdict}.", alarm=not fine))
    return found


def _limits(group: Group) -> list[str]:
    """Limits of the metrics that stand in this table."""
    scores = [score for row in group.rows for score in row.record.scores]
    found = []
    information = {s.n // int(parts[1]) for s in scores if (parts := INFORMATION.fullmatch(s.metric))}
    if information:
        found.append(
            "The mutual-information (MI) score cannot exceed the size of one part, "
            f"{max(information)} here: compare it at equal n only."
        )
    distance = next((s for s in scores if s.metric == "frechet-distance"), None)
    if distance is not None:
        found.append(
            f"The Frechet distance is biased upwards at n = {distance.n}, by an amount that depends on the "
            "system; the kernel distance is not."
        )
    return found


def _remarks(group: Group) -> list[str]:
    """What the runs themselves noted, each remark once with all who made it."""
    made: dict[str, list[str]] = {}
    for row in group.rows:
        for remark in row.record.notes:
            made.setdefault(remark, []).append(row.label)
    return [f"{', '.join(labels)}: {remark}" for remark, labels in made.items()]
