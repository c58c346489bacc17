"""What a reader must know below a table: verdicts against the anchors, limits and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from scipy.stats import kendalltau, spearmanr

from sf2f_bench.report.tables import NOT_CONVERGED, tables
from sf2f_bench.report.verdicts import (
    Note,
    against_anchors,
    against_straight_line,
    chance,
    headline,
    heard,
    over_seeds,
    share,
    warnings,
    within_gender,
)
from sf2f_bench.results.convergence import LAST, unconverged
from sf2f_bench.results.numbers import NOTHING, exceeds, listed, with_interval
from sf2f_bench.results.selection import Group, cached_per_group
from sf2f_bench.types import MetricCard

FEWEST_TO_RANK = 4  # rows, for a rank correlation
EVERYTHING = "all"  # the metric of an `AbsentScore` that names an unavailable network


def caption(group: Group) -> list[str]:
    """What the numbers rest on: benchmark, protocol, data, extractors, n, seeds, budget."""
    part, count = group.part, group.part.identities
    main = [
        cell.score for table in tables(group) if table.is_main for row in table.rows for cell in row.cells
    ]
    sizes = sorted({score.n for score in main if score} or {score.n for score in group.scores})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} (scores.csv has each)"
    seeds = ", ".join(str(seed) for seed in sorted({record.seed for record in group.records}))
    budgets = ", ".join(sorted({entry.record.budget for entry in group.trained or group.entries}))
    beside = ", ".join(dict.fromkeys([*group.further, *group.attribute_judges]))
    return [
        f"Benchmark {group.benchmark}, protocol {part.protocol}, {part.image_size}x{part.image_size} pixels, "
        f"{group.protocol.searched(part)}, {part.segments} voice segments; n = {n} test identities; "
        f"seeds {seeds}; budget {budgets}.",
        f"Data {part.dataset}/{part.dataset_version} ({'real' if part.real else 'synthetic'}, "
        f"{'paired' if part.paired else 'UNPAIRED'}, hash {part.data_hash}): "
        f"{count.train}/{count.val}/{count.test} identities for training/validation/test.",
        f"Judge: {group.extractor('judge') or 'none'}; "
        f"network of the training loss: {group.extractor('training-loss') or 'none'}."
        + (f" Beside them: {beside}." if beside else ""),
        f"{group.protocol.legend} {NOTHING} not measured (the notes say why).",
    ]


@cached_per_group
def notes(group: Group) -> list[Note]:
    """All notes of one table: reasons not to trust it, verdicts, limits, and what is missing."""
    audit = [note for note in audit_notes(group) if not note.alarm]
    rest = [
        *_limits(group), *agreement(group), *_remarks(group), *unavailable(group), *absences(group),
    ]  # fmt: skip
    return [*main_notes(group), *audit, *map(Note, rest)]


@cached_per_group
def main_notes(group: Group) -> list[Note]:
    """Reasons not to trust a table, and the verdicts on its systems."""
    warned = warnings(group)
    of_rows = (*_set_aside(group), *_sources(group), *_machines(group), *_not_converged(group))
    found = [*map(Note, (*of_rows, *group.protocol.notes(group.records)))]
    found += [note for note in (*_synthetic_networks(group), *audit_notes(group), *warned) if note.alarm]
    found += map(Note, _verdicts(group)) if group.part.paired else _unpaired(group)
    return found + [note for note in warned if not note.alarm]


def agreement(group: Group) -> Iterator[str]:
    """How alike the judge and every further recogniser order the rows, and the pairs of rows that they turn round."""
    metric = group.headline
    for other in group.further:
        rows = [
            (entry.label, judged.value, second.value)
            for entry in group.entries
            if (judged := entry.score(metric)) and (second := entry.score(metric, other)) and judged.extractor
        ]
        if len(rows) < FEWEST_TO_RANK or any(len({row[side] for row in rows}) == 1 for side in (1, 2)):
            continue
        labels, by_judge, by_other = zip(*rows, strict=True)
        tau, rho = kendalltau(by_judge, by_other).statistic, spearmanr(by_judge, by_other).statistic
        turned = [
            f"{labels[i]} and {labels[j]}"
            for i, j in combinations(range(len(rows)), 2)
            if (by_judge[i] - by_judge[j]) * (by_other[i] - by_other[j]) < 0
        ]
        where = f"in the other order: {listed(turned)}" if turned else "no two in another order"
        yield (
            f"By {metric}, {other} and the judge order {len(rows)} rows with a Kendall rank correlation of {tau:.2f} "
            f"(Spearman {rho:.2f}); {where}."
        )


def _set_aside(group: Group) -> Iterator[str]:
    if group.set_aside:
        plural = "record was" if group.set_aside == 1 else "records were"
        yield (
            f"{group.set_aside} older {plural} set aside for newer ones of the same system, seed and budget, whatever "
            "their other settings (steps, draws) were."
        )


def _sources(group: Group) -> Iterator[str]:
    """Systems that stand here with unlike code, of which a file holds one alone."""
    made: dict[str, dict[str, str]] = {}
    for entry in group.entries:
        created = f"{entry.record.created:%Y-%m-%d %H:%M}"
        made.setdefault(entry.record.system.label, {})[entry.system] = f"{entry.system} (made {created})"
    for name, states in made.items():
        if len(states) > 1:
            yield (
                f"{name} stands here with {len(states)} states of its code: {'; '.join(states.values())}. `sf2f-bench "
                "run` prints the row of the present code; delete the records of states that shall not be shown."
            )


def _machines(group: Group) -> Iterator[str]:
    """Where rows were made under unlike torch versions or processors, which share the key of a record."""
    made: dict[tuple[str, str, str | None], list[str]] = {}
    for entry in group.entries:
        ran = entry.record.environment
        made.setdefault((ran.torch, ran.platform, ran.processor), []).append(entry.label)
    places = {(torch, platform) for torch, platform, _ in made}
    processors = {processor for *_, processor in made if processor}
    if len(places) > 1 or len(processors) > 1:
        rows = (
            f"torch {torch} on {processor or platform}: {listed(list(dict.fromkeys(labels)))}"
            for (torch, platform, processor), labels in made.items()
        )
        yield (
            "These rows were made with unlike torch versions or processors, which alone can move the numbers of a "
            f"trained system: {'; '.join(rows)}."
        )


def _not_converged(group: Group) -> Iterator[str]:
    """The systems that would have learnt more from a longer training: their numbers are those of the budget."""
    systems = [
        f"{name} from {share(rise.start)} to {share(rise.end)} ({rise.stage})"
        for name, rise in unconverged(group).items()
    ]
    if systems:
        yield (
            f"{NOT_CONVERGED} not converged: the similarity to the true faces of the validation split still rose over "
            f"the last {LAST} validations of the training, so a longer one would score higher: {'; '.join(systems)}."
        )


def _synthetic_networks(group: Group) -> Iterator[Note]:
    """On real photos, networks that learned from synthetic faces show that a run works, and no more."""
    if not group.part.real:
        return
    for network in dict.fromkeys((group.extractor("judge"), group.extractor("training-loss"))):
        if network and group.extractor_card(network).synthetic:
            text = f"{network} was trained on synthetic faces: on real photos its numbers are no result."
            yield Note(text, alarm=True)


def audit_notes(group: Group) -> list[Note]:
    """What `sf2f-bench audit` found in the data, each finding once."""
    findings = dict.fromkeys(finding for record in group.records for finding in record.audit)
    return [Note(f"Audit, {finding.check}: {finding.text}", finding.alarm) for finding in findings]


# ---------------------------------------------------------------- verdicts


def _verdicts(group: Group) -> Iterator[str]:
    """What the headline score says about every system, where voice and face belong together."""
    for verdict in (against_anchors, against_straight_line, heard, within_gender):
        yield from filter(None, (verdict(group, entry) for entry in group.systems))
    yield from over_seeds(group)
    yield from _against_whole(group)


def _against_whole(group: Group) -> Iterator[str]:
    """What taking one part out does to the headline score, a note a system."""
    compared: dict[str, list[str]] = {}
    for entry in group.ablations:
        whole = group.whole(entry)
        score, target = headline(group, entry), headline(group, whole)
        if whole is None or score is None or target is None:
            continue
        text = f"{entry.short_label} {share(score.value)}"
        if score.interval and target.interval:
            is_apart = exceeds(target.interval[0], score.interval[1]) or exceeds(
                score.interval[0], target.interval[1]
            )
            text += " (apart)" if is_apart else ""
        compared.setdefault(f"{whole.label} {share(target.value)}", []).append(text)
    for whole_text, texts in compared.items():
        yield (
            f"Ablations, {group.headline_card.term}: {whole_text}; {', '.join(texts)}. (apart): the 95 % intervals do "
            "not overlap; that others overlap does not show that nothing is lost."
        )


def _unpaired(group: Group) -> Iterator[Note]:
    """On unpaired data only chance is right: anything else shows that something leaks."""
    yield Note(
        "Voices and faces are paired at random here, so the truth is chance. By luck alone one interval in twenty "
        "misses it: repeat a warning with another seed."
    )
    term, guess = group.headline_card.term, chance(group)
    for entry in group.trained:
        score = headline(group, entry)
        if score is None or score.interval is None or guess is None:
            yield Note(f"{entry.label}: no {term} with an interval, so no verdict.", alarm=True)
            continue
        is_fine = not (exceeds(score.interval[0], guess) or exceeds(guess, score.interval[1]))
        smallest = min(1.0, guess + score.value - score.interval[0])
        verdict = (
            f"at chance, as it must be; with n = {score.n}, no leak that gives less than about {share(smallest)} would "
            "have been seen"
            if is_fine
            else "NOT at chance: something leaks"
        )
        measured = f"{entry.label}: {term} {with_interval(score)}, chance {share(guess)}"
        yield Note(f"{measured}: {verdict}.", alarm=not is_fine)


# ---------------------------------------------------------------- limits and what is missing


def _limits(group: Group) -> Iterator[str]:
    """Limits of the metrics in these tables, as their cards state them, and of the attribute judges."""
    caveats: dict[str, str] = {}  # by metric: what the first row's n makes of it
    for score in group.scores:
        if score.card.caveat and score.metric not in caveats:
            parts = score.card.parameters.get("parts")
            part = score.n // parts if isinstance(parts, int) and parts > 0 else score.n
            caveats[score.metric] = score.card.caveat.replace("{n}", str(score.n)).replace(
                "{part}", str(part)
            )
    yield from dict.fromkeys(caveats.values())
    photos = group.anchor("true-photo")
    if group.attribute_judges and photos:
        yield (
            f"By attribute: {photos.label} shows how well the attribute judge reads photos, and is no ceiling: it "
            "reads smooth faces without pose, light and noise better. The ceiling is agreement 1 and difference 0."
        )
    least: dict[str, int] = {}
    for score in group.scores:
        if stratum := str(score.card.parameters.get("stratum", "")):
            least[stratum] = min(score.n, least.get(stratum, score.n))
    if least:
        counts = ", ".join(f"{stratum} {n}" for stratum, n in least.items())
        yield f"Smallest n within strata: {counts} identities; identities whose stratum is too small are excluded."


def _remarks(group: Group) -> Iterator[str]:
    """What the runs themselves noted, each remark once with all rows that it is about."""
    made: dict[str, list[str]] = {}
    for entry in group.entries:
        for remark in entry.record.notes:
            made.setdefault(remark, []).append(entry.label)
    return (f"{listed(labels)}: {remark}" for remark, labels in made.items())


def unavailable(group: Group) -> list[str]:
    """A line a network that was not asked: its weights or its package are not installed."""
    found: dict[str, list[tuple[str, str]]] = {}  # network -> (label, reason)
    for entry in group.entries:
        for absent in entry.record.absent:
            if absent.metric == EVERYTHING and absent.extractor:
                found.setdefault(absent.extractor, []).append((entry.label, absent.reason))
    lines = []
    for network, cases in found.items():
        was_asked = any((score.extractor or "").startswith(network) for score in group.scores)
        who = f" ({listed(list(dict.fromkeys(label for label, _ in cases)))})" if was_asked else ""
        reasons = "; ".join(dict.fromkeys(reason for _, reason in cases))
        lines.append(f"{network} was not available{who}: {reasons}")
    return lines


def absences(group: Group) -> list[str]:
    """One line per reason: which rows are missing which metrics, and why."""
    missing: dict[tuple[str, str], list[str]] = {}  # (label, reason) -> metrics
    for entry in group.entries:
        for absent in entry.record.absent:
            if absent.metric != EVERYTHING:
                kinds = missing.setdefault((entry.label, absent.reason), [])
                kind = _kind(absent.metric, group.metrics.get(absent.metric))
                kinds.extend([kind] if kind not in kinds else [])
    together: dict[tuple[str, str], list[str]] = {}  # (metrics, reason) -> labels
    for (label, reason), kinds in missing.items():
        together.setdefault((", ".join(kinds), reason), []).append(label)
    return [
        f"{'Every row' if len(labels) == len(group.entries) > 1 else listed(labels)}: no {metrics}: {reason}"
        for (metrics, reason), labels in together.items()
    ]


def _kind(metric: str, card: MetricCard | None) -> str:
    """A metric without what many of one kind differ in: ``recall (gallery 100, stratum G)``."""
    if card is None or not card.quantity:
        return metric
    words = [f"{word} {value}" for word, value in card.parameters.items() if word not in ("k", "distractors")]
    return f"{card.quantity} ({', '.join(words)})" if words else card.quantity
