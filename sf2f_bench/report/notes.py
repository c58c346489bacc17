"""What a reader must know below a table: verdicts against the anchors, limits and what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sf2f_bench.protocols.names import BENCH, LEFT_OUT, PAPER
from sf2f_bench.report.columns import PLAIN, family_of, paper_classifier, strata_of
from sf2f_bench.report.verdicts import (
    Note,
    against_anchors,
    against_listener,
    against_shuffled,
    chance,
    headline,
    over_seeds,
    share,
    smallest_strata,
    warnings,
    with_interval,
    within_gender,
)
from sf2f_bench.results.selection import Group, Row, once_a_group

EVERYTHING = "all"  # the metric of an `AbsentScore` that says a network is not here
INFORMATION = re.compile(r"mutual-information(?:-score/parts|/)(\d+)(?:-parts)?")  # and the number of parts


@once_a_group
def notes(group: Group) -> list[Note]:
    """All notes of one table: what forbids to believe it, verdicts, limits, and what is missing."""
    found = [*main_notes(group), *(note for note in _audit(group) if not note.alarm)]
    return found + _plain([*_limits(group), *_remarks(group), *not_here(group), *absences(group.rows)])


@once_a_group
def main_notes(group: Group) -> list[Note]:
    """What forbids to believe a table, and the verdicts on its systems."""
    warned = warnings(group)
    found = [*_comparability(group), *_plain(_protocol(group))]
    found += [note for note in (*_drawn_judges(group), *_audit(group), *warned) if note.alarm]
    found += _verdicts(group) if group.rows[0].record.benchmark.paired else _unpaired(group)
    return found + [note for note in warned if not note.alarm]


def _plain(texts: Iterable[str | None]) -> list[Note]:
    return [Note(text) for text in texts if text]


def _verdicts(group: Group) -> list[Note]:
    """What the headline recall says of every system, where voice and face belong together."""
    texts: list[str | None] = [against_anchors(group, row) for row in group.systems]
    for verdict in (against_listener, against_shuffled, within_gender):
        texts += [verdict(group, row) for row in group.systems]
    return _plain([*texts, *over_seeds(group), *_against_whole(group)])


def _drawn_judges(group: Group) -> list[Note]:
    """The embedded networks learned on drawn faces: with real photos they show that a run works, and no more."""
    if not group.rows[0].record.benchmark.real:
        return []
    networks = dict.fromkeys(filter(None, (group.extractor("judge"), group.extractor("training-loss"))))
    return [Note(text, True) for network in networks if (text := of_drawn_faces(network))]


def of_drawn_faces(network: str) -> str | None:
    """What a reader must know of an embedded network that looked at real photos; None of any other network."""
    if not network.startswith("embedded"):
        return None
    return f"{network} was trained on drawn faces: on real photos its numbers are no result."


def _audit(group: Group) -> list[Note]:
    """What `sf2f-bench audit` found in the data, each finding once."""
    findings = dict.fromkeys(finding for row in group.rows for finding in row.record.audit)
    return [Note(f"Audit, {finding.check}: {finding.text}", finding.alarm) for finding in findings]


def not_here(group: Group) -> list[str]:
    """A line a network that was not asked: its weights or its package are not on the machine."""
    reasons: dict[str, dict[str, None]] = {}
    without: dict[str, dict[str, None]] = {}
    for row in group.rows:
        for absent in row.record.absent:
            if absent.metric == EVERYTHING and absent.extractor:
                reasons.setdefault(absent.extractor, {})[absent.reason] = None
                without.setdefault(absent.extractor, {})[row.label] = None
    found = []
    for network, said in reasons.items():
        elsewhere = any((score.extractor or "").startswith(network) for score in group.scores)
        who = f" ({_listed(without[network])})" if elsewhere else ""
        found.append(f"Not measured for want of {network}{who}: {'; '.join(said)}")
    return found


def absences(rows: Sequence[Row]) -> list[str]:
    """One line per reason: who lacks what, and why."""
    lacking: dict[tuple[str, str], list[str]] = {}  # (label, reason) -> metrics
    for row in rows:
        for absent in row.record.absent:
            if absent.metric != EVERYTHING:
                family = _family(absent.metric)
                metrics = lacking.setdefault((row.label, absent.reason), [])
                if family not in metrics:
                    metrics.append(family)
    together: dict[tuple[str, str], list[str]] = {}  # (metrics, reason) -> labels
    for (label, reason), metrics in lacking.items():
        together.setdefault((", ".join(metrics), reason), []).append(label)
    return [
        f"{'Every row' if len(labels) == len(rows) > 1 else _listed(labels)}: no {metrics}: {reason}"
        for (metrics, reason), labels in together.items()
    ]


def _listed(labels: Iterable[str]) -> str:
    """Labels in one line, told apart also where one of them holds a comma."""
    labels = list(labels)
    return ("; " if any("," in label for label in labels) else ", ").join(labels)


def _family(metric: str) -> str:
    """A metric's name without the numbers that many of one kind differ in: ``recall/g100/G``, ``matching/G``."""
    return re.sub(r"@\d+|/1:\d+", "", metric)


def _comparability(group: Group) -> list[Note]:
    if not group.set_aside:
        return []
    plural = "record was" if group.set_aside == 1 else "records were"
    return [Note(f"{group.set_aside} older {plural} set aside for newer ones of the same label and seed.")]


def _protocol(group: Group) -> list[str]:
    """What the numbers of the published evaluation carry along."""
    if group.protocol != PAPER:
        return []
    part, classifier = group.rows[0].record.benchmark, paper_classifier(group)
    stands_in = classifier is None or family_of(classifier) is PLAIN
    found = [
        f"{PAPER} repeats the published evaluation, for comparison with published numbers in kind; judge systems "
        f"by {BENCH}. The network of the training loss ({group.extractor('training-loss') or 'none'}) scores "
        "recall and distances here, as FaceNet does in the paper, and flatters what was trained with it"
        + (f"; the judge ({classifier or 'none'}) stands for VGGFace2's classifier." if stands_in else "."),
        "The runs differ in the crops of the same voices alone: their ± is no confidence interval.",
    ]
    searched = (group.galleries or 0) * part.gallery_size
    if searched < part.identities.test:
        found.append(
            f"Recall rests on the first {searched} identities of the test list, the distances on all "
            f"{part.identities.test}."
        )
    return found + [f"{anchor} has no row: {reason}." for anchor, reason in LEFT_OUT[PAPER].items()]


def _against_whole(group: Group) -> list[str]:
    """What taking one thing out does to the headline recall, a note a system."""
    compared: dict[str, list[str]] = {}
    for row in group.ablations:
        score, whole = headline(group, row), group.whole(row)
        target = headline(group, whole)
        if score is None or whole is None or target is None:
            continue
        text = f"{row.short_label} {share(score.value)}"
        if score.interval and target.interval:
            apart = score.interval[1] < target.interval[0] or target.interval[1] < score.interval[0]
            text += " (apart)" if apart else ""
        compared.setdefault(f"{whole.label} {share(target.value)}", []).append(text)
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
        score = headline(group, row)
        if score is None or score.interval is None:
            text = f"{row.label}: no recall@{group.headline_k} with an interval, so no verdict."
            found.append(Note(text, alarm=True))
            continue
        fine = score.interval[0] <= guess <= score.interval[1]
        verdict = "at chance, as it must be" if fine else "NOT at chance: something leaks"
        measured = f"recall@{group.headline_k} {with_interval(score)}, chance {share(guess)}"
        found.append(Note(f"{row.label}: {measured}: {verdict}.", alarm=not fine))
    return found


def _limits(group: Group) -> list[str | None]:
    """Limits of the metrics that stand in these tables."""
    scores = group.scores
    found: list[str | None] = []
    parts = {int(named[1]): s.n for s in scores if (named := INFORMATION.fullmatch(s.metric))}
    if parts:
        most = ", ".join(
            f"{n // count}" + (f" ({count} parts)" if len(parts) > 1 else "") for count, n in parts.items()
        )
        found.append(
            f"The mutual-information (MI) score cannot exceed the size of one part, {most} here: compare it at "
            "equal n only."
        )
    distance = next((s for s in scores if s.metric == "frechet-distance"), None)
    if distance is not None:
        names = {s.metric for s in scores}
        better = ["the kernel distance is not"] if "kernel-distance" in names else []
        better += (
            ["its extrapolation to infinite n is less"] if f"{distance.metric}/extrapolated" in names else []
        )
        found.append(
            f"The Frechet distance is biased upwards at n = {distance.n}, by an amount that depends on the "
            f"system{'; ' * bool(better)}{', '.join(better)}."
        )
    if group.attribute_judges and group.anchor("real-photo-oracle"):
        found.append(
            "By attribute: the real-photo-oracle row is how far the attribute judge agrees with itself, or with the "
            "records, on another photo of the same person; no drawn face can be held to more."
        )
    return [*found, smallest_strata(group, strata_of(group))]


def _remarks(group: Group) -> list[str]:
    """What the runs themselves noted, each remark once with all who made it."""
    made: dict[str, list[str]] = {}
    for row in group.rows:
        for remark in row.record.notes:
            made.setdefault(remark, []).append(row.label)
    return [f"{_listed(labels)}: {remark}" for remark, labels in made.items()]
