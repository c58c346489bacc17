"""What each picture says, in words and numbers: its text for those who do not see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sf2f_bench.report import joined
from sf2f_bench.report.curve_plots import DEEPEST, Curve, by_length, seed_curves
from sf2f_bench.report.faces import PEOPLE, face_identities, face_strips, glance_strips
from sf2f_bench.report.joined import Drawn, Joined, floors, landmarks, measured, systems
from sf2f_bench.report.learning_plots import floors_of, learnt
from sf2f_bench.report.row_plots import metric_columns, stratum_in_words
from sf2f_bench.report.scatter_plots import points_of
from sf2f_bench.report.training_plots import stages, validation_curves
from sf2f_bench.results.convergence import unconverged
from sf2f_bench.results.numbers import NOTHING, and_list, number
from sf2f_bench.results.selection import Group

AT_FALSE_ACCEPTS = (0.01, 0.1)
AT_RANKS = (1.0, 10.0)


def answer(group: Group) -> str:
    """``recall@10 in galleries of 100: sf2f-64 .45 (.37 to .53, 3 seeds), ...; chance .10, ...``."""
    return f"{_where(group)}: {_headlines(group, systems(group))}; {_headlines(group, landmarks(group))}."


def recall(group: Group) -> str:
    """The first and last recall and the headline's."""
    names = group.variants("k")
    wanted = [k for k, name in names.items() if name == group.headline]
    shown = list(dict.fromkeys((min(names), *wanted, max(names)))) if names else []
    metrics = {f"{group.headline_card.quantity}@{k}": names[k] for k in sorted(shown)}
    return f"In {group.protocol.searched(group.part)}, {_lists(group, metrics, (*systems(group), *landmarks(group)))}."


def cmc(group: Group) -> str:
    """The share found at a few ranks."""
    found = seed_curves(group, "rank", "identified")
    deepest = max((curve.places[-1] for curve in found.values()), default=0.0) / DEEPEST
    ranks = [*(rank for rank in AT_RANKS if rank < deepest), float(round(deepest))]
    words = and_list(f"{rank:g}" for rank in ranks)
    return f"Share of identities found up to rank {words} of all: {_heights(found, ranks)}."


def det(group: Group) -> str:
    """The false rejects at a few rates of false accepts."""
    found = seed_curves(group, "false_accepts", "false_rejects")
    rates = and_list(_share(rate) for rate in AT_FALSE_ACCEPTS)
    return f"False reject rate at a false accept rate of {rates}: {_heights(found, AT_FALSE_ACCEPTS)}."


def lengths(group: Group) -> str:
    """The headline score after the least and after all speech."""
    metrics = by_length(group)
    ends = {f"after {place:g} s": metrics[place] for place in (min(metrics), max(metrics))}
    heard = _lists(group, ends, systems(group))
    return f"{_where(group)}, {heard}; however much is heard: {_headlines(group, floors(group))}."


def disturbances(group: Group) -> str:
    """The headline score from each kind of speech."""
    rows = (*systems(group), *landmarks(group))
    return f"{_where(group)}, {_lists(group, measured(group, 'disturbance'), rows)}."


def strata(group: Group) -> str:
    """The headline score of everybody, among people alike, and of the worst and the best subgroup."""
    within = {
        f"within {stratum_in_words(letter)}": name for letter, name in measured(group, "stratum").items()
    }
    parts = []
    for row in (*systems(group), *landmarks(group)):
        if (score := row.headline(group)) is None:
            continue
        words = [f"{row.name} {_share(score.value)}"]
        words += [f"{kind} {_share(one.value)}" for kind, one in _scores(group, row, within).items()]
        subgroups = _scores(group, row, measured(group, "subgroup"))
        if subgroups and row.index is not None:
            low, high = (choose(subgroups, key=lambda kind: subgroups[kind].value) for choose in (min, max))
            words.append(
                f"from {_share(subgroups[low].value)} ({low}) to {_share(subgroups[high].value)} ({high})"
            )
        parts.append(", ".join(words))
    kinds = and_list(
        [
            "everybody",
            *within,
            *(["of the worst and the best subgroup"] if measured(group, "subgroup") else []),
        ]
    )
    return f"{_where(group)}, of {kinds}: {'; '.join(parts)}."


def metrics(group: Group) -> str:
    """The headline of all, and which system is the best in each further metric."""
    best = []
    for column in metric_columns(group):
        scores = {row: one for row in systems(group) if (one := row.score(group, column.metric, column.by))}
        if scores and column.metric != group.headline:
            choose: Callable[..., Drawn] = max if column.higher_is_better else min
            row = choose(scores, key=lambda one: scores[one].value)
            value = number(column.card.factor * scores[row].value, column.card.format, 3)
            best.append(f"{column.heading} {row.name} {value}")
    rest = f" The best in the other panels: {'; '.join(best)}." if best else ""
    return answer(group) + rest


def ablations(group: Group) -> str:
    """The headline of whole systems and of what lacks a part."""
    return (
        f"{_where(group)}: {_headlines(group, joined.ablations(group))}; {_headlines(group, floors(group))}."
    )


def scatter(group: Group) -> str:
    """Both numbers of each mark."""
    column, points = points_of(group)
    if column is None:
        return ""
    better = "higher" if column.higher_is_better else "lower"
    marks = [
        f"{row.name} {_share(score.value)} and {number(distance.value, column.card.format, 2)}"
        for row, score, distance in points
    ]
    both = f"{_where(group)}, and {column.heading} ({better} is better)"
    return f"{both}: {'; '.join(marks)}; {_headlines(group, floors(group))}."


def faces(group: Group) -> str:
    """Whose faces stand in which order."""
    return _faces(len(face_identities(group)), face_strips(group))


def glance(group: Group) -> str:
    """The same of the first people and the best systems."""
    return _faces(min(PEOPLE, len(face_identities(group))), glance_strips(group))


def _faces(count: int, strips: Sequence[tuple[str, object]]) -> str:
    rows = ", ".join(label for label, _ in strips)
    return f"Faces of {count} test identities, a column each; from above: {rows}."


def learning(group: Group) -> str:
    """What each system has reached at the end, after how much."""
    found = learnt(group)
    parts = []
    for row, seeds in found.items():
        end = float(np.mean([one.recall[-1] for one in seeds]))
        samples = f"{seeds[0].samples[-1]:,.0f} samples"
        minutes = float(np.mean([one.minutes[-1] for one in seeds]))
        after = f"{samples} and {minutes:.3g} minutes" if np.isfinite(minutes) else samples
        parts.append(f"{row.name} {_share(end)} after {after}")
    parts += [f"{words} {_share(value)}" for words, value in floors_of(found).items()]
    return f"recall@10 of validation voices at the end of the training: {'; '.join(parts)}."


def training(group: Group) -> str:
    """The similarity at the end, which still rose, and how far losses fell."""
    rising = unconverged(group)
    similar = [
        f"{row.name} {_share(float(curve.middle[-1]))}{', which still rose' if row.label in rising else ''}"
        for row, curve in validation_curves(group).items()
    ]
    losses = [
        f"{stage.drawn.name} ({stage.name}) "
        + ", ".join(f"{name} {_share(float(curve.middle[-1]))}" for name, curve in stage.losses.items())
        for stage in stages(group)[0]
    ]
    said = []
    if similar:
        said.append(f"Similarity to true faces of the validation split at the end: {'; '.join(similar)}.")
    if losses:
        said.append(f"Losses at the end, as shares of their first value: {'; '.join(losses)}.")
    return " ".join(said)


# ---------------------------------------------------------------- words


def _where(group: Group) -> str:
    return f"{group.headline_card.term or group.headline} in {group.protocol.searched(group.part)}"


def _share(value: float) -> str:
    return number(value, "share", 2)


def _headlines(group: Group, rows: Sequence[Drawn]) -> str:
    """``sf2f-64 .45 (.37 to .53, 3 seeds), ...``; exact numbers of anchors alone."""
    return ", ".join(f"{row.name} {_with_range(row, one)}" for row in rows if (one := row.headline(group)))


def _with_range(row: Drawn, one: Joined) -> str:
    parts = [f"{_share(one.low)} to {_share(one.high)}"] if one.high > one.low and not row.purpose else []
    parts += [f"{len(one.seeds)} seeds"] if len(one.seeds) > 1 else []
    return _share(one.value) + (f" ({', '.join(parts)})" if parts else "")


def _scores(group: Group, row: Drawn, metrics: Mapping[str, str]) -> dict[str, Joined]:
    role = group.protocol.headline_role
    return {kind: one for kind, name in metrics.items() if name and (one := row.score(group, name, role))}


def _lists(group: Group, metrics: Mapping[str, str], rows: Sequence[Drawn]) -> str:
    """``after 1.25 s and after 25 s: sf2f-64 .42 and .45; ...``; a dash for what one row lacks."""
    found = {row.name: _scores(group, row, metrics) for row in rows}
    lines = [
        f"{name} {and_list(_share(scores[kind].value) if kind in scores else NOTHING for kind in metrics)}"
        for name, scores in found.items()
        if scores
    ]
    return f"{and_list(metrics)}: {'; '.join(lines)}"


def _heights(found: Mapping[Drawn, Curve], places: Sequence[float]) -> str:
    lines = (
        (row.name, [float(np.interp(place, curve.places, curve.middle)) for place in places])
        for row, curve in found.items()
    )
    return "; ".join(f"{name} {and_list(map(_share, heights))}" for name, heights in lines)
