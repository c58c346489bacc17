"""Curves, strata, bars and points of a group of records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.stats import norm

from sf2f_bench.protocols.bench.protocol import STRATA
from sf2f_bench.protocols.names import DISTURBANCES
from sf2f_bench.report.style import (
    DASHES,
    MARKERS,
    PALETTE,
    PANEL,
    error_bars,
    legend_beside,
    name_rows,
    new_figure,
    new_panels,
    paler,
    shifted,
    title_of,
    write_title,
)
from sf2f_bench.report.tables import Column, all_seconds, tables
from sf2f_bench.report.verdicts import chance, headline
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.selection import Entry, Group
from sf2f_bench.types import Purpose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sf2f_bench.types import FloatArray

    Curve = Mapping[float, ScoreRecord]

ANCHOR_GREY = "0.62"
MOST_ASIDE = 1.17  # the last system's markers stand at this multiple of the first one's k
LEGEND_GAP = 2.6  # inches between two panels with a legend each
MOST_ACROSS = 5  # panels of bars
BARS_WIDTH = 1.75  # inches of such a panel
BAR_HEIGHT = 0.21  # inches a row
BAR = 0.72  # of a row's height
PALENESS = 0.55  # of an ablation's bar: share of white
DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99)  # of both rates
MARGIN = 0.04  # below a distance of zero, so that the mark of the true photos is whole
REFERENCE_LINES: dict[Purpose, tuple[str, Any]] = {  # colour, dashes
    "chance": ("0.55", (0, (1, 2))),
    "known-attribute": ("0.45", (0, (4, 2))),
    "straight-line": ("0.35", (0, (6, 2, 1, 2))),
    "shared-factors": ("0.15", (0, (8, 3))),
    "true-photo": ("0.0", "solid"),
}


def recall_figure(group: Group) -> Figure | None:
    """recall@k against k with 95 % intervals, between anchors."""
    metrics = {float(k): name for k, name in group.variants("k").items()}
    curves = {
        entry: curve
        for entry in group.entries
        if (curve := _curve(entry, metrics, group.protocol.headline_role))
    }
    if not curves:
        return None
    figure, axes = new_figure(*PANEL)
    systems = [entry for entry in group.systems if entry in curves]
    for entry, curve in curves.items():
        if entry.zone == "system":
            _draw_system(axes, curve, entry.label, systems.index(entry), len(systems))
        else:
            _draw_reference(axes, curve, entry)
    _logarithmic(axes, sorted({k for curve in curves.values() for k in curve}))
    quantity = f"{group.headline_card.quantity}@k"
    axes.set(ylim=(0, 1.02), xlabel="k", ylabel=quantity)
    axes.set_title(title_of(group, f"{quantity} in {group.protocol.searched(group.part)}"), loc="left")
    _legend_by_height(axes)
    return figure


def cmc_figure(group: Group) -> Figure | None:
    """The share of identities found up to each rank of the full gallery: the CMC curves."""
    made = _curves_figure(group, "rank", "identified")
    if made is None:
        return None
    figure, axes = made
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place:g}"))
    axes.set(ylim=(0, 1.02), xlabel="rank", ylabel="share of identities found up to it")
    axes.set_title(title_of(group, "cumulative match (CMC) in the full gallery"), loc="left")
    _legend_by_height(axes)
    return figure


def det_figure(group: Group) -> Figure | None:
    """False rejects against false accepts of every threshold, both on a normal deviate scale: the DET curves."""
    made = _curves_figure(group, "false_accepts", "false_rejects", norm.ppf)
    if made is None:
        return None
    figure, axes = made
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(norm.ppf(DET_TICKS)))
        axis.set_major_formatter(FuncFormatter(lambda place, _: f"{norm.cdf(place):.3g}"))
    ends = norm.ppf([DET_TICKS[0], DET_TICKS[-1]])
    axes.set(xlim=ends, ylim=ends, xlabel="false accept rate", ylabel="false reject rate")
    axes.set_title(title_of(group, "detection error trade-off (DET), all pairs"), loc="left")
    _legend_by_height(axes)
    return figure


def _curves_figure(
    group: Group, x: str, y: str, scale: Callable[[Any], Any] = np.asarray
) -> tuple[Figure, Axes] | None:
    """Lines of two columns of the records' `det_cmc`, of systems and of anchors that stand for something."""
    curves = {entry: found for entry in group.entries if (found := entry.record.det_cmc()) is not None}
    if not any(entry.zone == "system" for entry in curves):
        return None
    figure, axes = new_figure(*PANEL)
    systems = [entry for entry in group.systems if entry in curves]
    for entry, curve in curves.items():
        places = curve[[x, y]].dropna().to_numpy(np.float64)
        with np.errstate(divide="ignore"):  # rates of 0 and 1 lie off a normal deviate scale
            places = scale(places)
        places = places[np.isfinite(places).all(axis=1)]
        if not len(places):
            continue
        if entry.zone == "system":
            i = systems.index(entry)
            color, dashes = PALETTE[i % len(PALETTE)], DASHES[i // len(PALETTE) % len(DASHES)]
        elif entry.record.system.purpose in REFERENCE_LINES:
            color, dashes = REFERENCE_LINES[entry.record.system.purpose]
        else:
            continue
        axes.plot(
            *places.T, color=color, ls=dashes, lw=1.8 if entry.zone == "system" else 1.3, label=entry.label
        )
    return figure, axes


def lengths_figure(group: Group) -> Figure | None:
    """The headline score against the seconds of speech that a system heard; None where none heard less than all."""
    metrics = {float(seconds): name for seconds, name in group.variants("seconds").items()}
    metrics |= {all_seconds(group): group.headline}
    curves = [(entry, curve) for entry in group.systems if len(curve := _curve(entry, metrics)) > 1]
    if not curves:
        return None
    figure, axes = new_figure(*PANEL)
    for i, (entry, curve) in enumerate(curves):
        _draw_system(axes, curve, entry.label, i, len(curves))
    for anchor in (group.anchor("chance"), group.anchor("known-attribute")):  # the same however much is heard
        score = headline(group, anchor)
        if anchor is not None and score is not None:
            _draw_reference(axes, dict.fromkeys(metrics, score), anchor)
    _logarithmic(axes, list(metrics))
    axes.set_ylim(bottom=0)
    term = group.headline_card.term
    axes.set(xlabel="seconds of speech", ylabel=term)
    subject = f"{term} in {group.protocol.searched(group.part)}, by length of speech"
    axes.set_title(title_of(group, subject), loc="left")
    _legend_by_height(axes)
    return figure


def disturbances_figure(group: Group) -> Figure | None:
    """The headline score from voices as they are and disturbed, of all rows that hear a voice."""
    variants = {str(what): name for what, name in group.variants("disturbance").items()}
    kinds = [what for what in DISTURBANCES if what in variants]
    entries = [entry for entry in group.entries if any(entry.score(variants[what]) for what in kinds)]
    if not any(entry.zone == "system" for entry in entries):
        return None
    figure, axes = new_figure(*PANEL)
    for i, entry in enumerate(entries):
        scores = {place: score for place, what in enumerate(kinds) if (score := entry.score(variants[what]))}
        axes.errorbar(
            [place + 0.5 * ((i + 0.5) / len(entries) - 0.5) for place in scores],
            [score.value for score in scores.values()],
            yerr=error_bars(list(scores.values())),
            color=PALETTE[i % len(PALETTE)],
            marker=MARKERS[i % len(MARKERS)],
            ls=DASHES[2],
            lw=1,
            markersize=4.5,
            capsize=2,
            label=entry.label,
        )
    if (guess := chance(group)) is not None:
        axes.axhline(guess, color="0.4", ls=DASHES[2], label="chance", zorder=1)
    axes.set_xticks(range(len(kinds)), kinds, rotation=30, ha="right")
    axes.set_ylim(bottom=0)
    term = group.headline_card.term
    axes.set(ylabel=term)
    subject = f"{term} in {group.protocol.searched(group.part)}, 5 s of disturbed speech"
    axes.set_title(title_of(group, subject), loc="left")
    legend_beside(axes, *axes.get_legend_handles_labels())
    return figure


def strata_figure(group: Group) -> Figure | None:
    """The headline score among all, among similar identities, and of subgroups; ablations left out."""
    variants = {str(stratum): name for stratum, name in group.variants("stratum").items()}
    strata = sorted(variants, key=lambda stratum: [*STRATA, stratum].index(stratum))
    within = {f"within {STRATA.get(at, at)} ({at})": variants[at] for at in strata}
    subgroups = {str(name): metric for name, metric in group.variants("subgroup").items()}
    panels = {"within strata": within, "of subgroups, searched among all": subgroups}
    entries = [entry for entry in group.entries if entry.zone != "ablation" and entry.score(group.headline)]
    shown = {
        title: {"everybody": group.headline, **found}
        for title, kinds in panels.items()
        if (found := {kind: name for kind, name in kinds.items() if any(e.score(name) for e in entries)})
    }
    if not shown or not entries:
        return None
    most = max(map(len, shown.values()))
    height = len(entries) * max(0.24, 0.13 * most)
    figure, made = new_panels(1, len(shown), (PANEL[0], height), (LEGEND_GAP, 0))
    term = group.headline_card.term
    for i, (axes, (title, kinds)) in enumerate(zip(made[0], shown.items(), strict=True)):
        _draw_kinds(axes, group, entries, kinds)
        if not i:
            name_rows(axes, [entry.label for entry in entries])
        subject = f"{term} in {group.protocol.searched(group.part)}, {title}"
        axes.set_title(title_of(group, subject) if not i else subject, loc="left")
        legend_beside(axes, *axes.get_legend_handles_labels())
    return figure


def _draw_kinds(axes: Axes, group: Group, entries: Sequence[Entry], kinds: Mapping[str, str]) -> None:
    """A group of marks a row: the scores of several metrics, by what they are called."""
    for i, (kind, name) in enumerate(kinds.items()):
        aside = 0.62 * (i / (len(kinds) - 1) - 0.5)
        scores = {place: score for place, entry in enumerate(entries) if (score := entry.score(name))}
        axes.errorbar(
            [score.value for score in scores.values()],
            [place + aside for place in scores],
            xerr=error_bars(list(scores.values())),
            color=PALETTE[i % len(PALETTE)],
            marker=MARKERS[i % len(MARKERS)],
            ls="none",
            markersize=4.5,
            capsize=2,
            label=kind,
            zorder=3,
        )
    if (guess := chance(group)) is not None:
        axes.axvline(guess, color="0.4", ls=DASHES[2], label="chance", zorder=1)
    axes.set_yticks([])
    axes.set(xlim=(0, None), ylim=(len(entries) - 0.5, -0.5), xlabel=group.headline_card.term)
    axes.grid(axis="y", visible=False)
    for edge in range(1, len(entries)):
        axes.axhline(edge - 0.5, color="0.9", lw=0.8, zorder=0)


def metrics_figure(group: Group) -> Figure | None:
    """A panel of bars a metric with 95 % intervals; anchors in grey, ablations in their system's colour, paler."""
    columns = [column for column in _main_columns(group) if column.card.plotted]
    if not columns:
        return None
    down = -(-len(columns) // MOST_ACROSS)
    across = -(-len(columns) // down)
    figure, panels = new_panels(down, across, (BARS_WIDTH, BAR_HEIGHT * len(group.entries)), (0.34, 0.95))
    colors = _bar_colors(group)
    for i, (column, axes) in enumerate(zip_longest(columns, panels.ravel())):
        if column is None:
            axes.set_axis_off()
        else:
            _draw_bars(axes, group, column, colors, is_named=i % across == 0)
    others = {column.by for column in columns} - {
        group.protocol.headline_role,
        group.extractor(columns[0].by),
    }
    by = f"\nquality: {', '.join(sorted(others))}" if others else ""
    write_title(figure, title_of(group, "retrieval, similarity and quality") + by, above=0.55)
    return figure


def scatter_figure(group: Group) -> Figure | None:
    """The headline score against the distance of distributions, a mark a row with both; None without a system.

    The distance is the main tables' metric of highest priority among those of distributions.
    """
    distances = [column for column in _main_columns(group) if column.card.family == "distribution"]
    if not distances:
        return None
    column = max(distances, key=lambda column: column.priority)
    points = [
        (entry, score, distance)
        for entry in group.entries
        if (score := headline(group, entry)) and (distance := entry.score(column.metric, column.by))
    ]
    if not any(entry.zone == "system" for entry, _, _ in points):
        return None
    figure, axes = new_figure(*PANEL)
    count: dict[bool, int] = {True: 0, False: 0}
    for entry, score, distance in points:
        _draw_point(axes, entry, score, distance, count[entry.is_trained])
        count[entry.is_trained] += 1
    if (guess := chance(group)) is not None:
        axes.axvline(guess, color="0.4", ls=(0, (1, 1)), lw=1, label="chance", zorder=1)
    known = group.anchor("known-attribute")
    if known and (score := headline(group, known)):
        axes.axvline(score.value, color="0.4", ls=(0, (4, 2)), lw=1, label=known.label, zorder=1)
    axes.set(
        xlabel=f"{group.headline_card.term} (right is better)",
        ylabel=f"{column.heading} ({'up' if column.higher_is_better else 'down'} is better)",
    )
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=-MARGIN * max(distance.value for _, _, distance in points))
    axes.set_title(title_of(group, "quality against identity"), loc="left")
    legend_beside(axes, *axes.get_legend_handles_labels())
    return figure


def _main_columns(group: Group) -> list[Column]:
    return [column for table in tables(group) if table.is_main for column in table.columns]


def _curve(entry: Entry, metrics: Mapping[float, str], by: str = "judge") -> Curve:
    """``{place on the axis: score}`` of those that the entry has."""
    found = {place: entry.score(name, by) for place, name in metrics.items()}
    return {place: score for place, score in found.items() if score is not None}


def _logarithmic(axes: Axes, places: list[float]) -> None:
    """A logarithmic axis with a tick at each place, as a plain number."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place:g}"))


def _legend_by_height(axes: Axes) -> None:
    """Right of the picture, in the order in which the lines begin."""
    handles, labels = axes.get_legend_handles_labels()
    best_first = sorted(range(len(handles)), key=lambda i: -_first_height(handles[i]))
    legend_beside(axes, [handles[i] for i in best_first], [labels[i] for i in best_first])


def _first_height(handle: Any) -> float:
    """Where a legend's line starts, for the legend's order."""
    line = handle[0] if isinstance(handle, tuple) else handle
    return float(np.asarray(line.get_ydata())[0])


def _draw_system(axes: Axes, curve: Curve, label: str, index: int, count: int) -> None:
    """A line with error bars, moved a little aside so that bars of several systems do not cover each other."""
    step = min(1.035, MOST_ASIDE ** (1 / max(1, count - 1)))
    aside = step ** (index - (count - 1) / 2)
    axes.errorbar(
        [place * aside for place in curve],
        [score.value for score in curve.values()],
        yerr=error_bars(list(curve.values())),
        color=PALETTE[index % len(PALETTE)],
        ls=DASHES[index // len(PALETTE) % len(DASHES)],
        marker=MARKERS[index % len(MARKERS)],
        markersize=4.5,
        linewidth=1.8,
        capsize=2.5,
        label=label,
        zorder=3,
    )


def _draw_reference(axes: Axes, curve: Curve, anchor: Entry) -> None:
    """The line of an anchor that stands for something; a second one of the same purpose gets crosses."""
    purpose = anchor.record.system.purpose
    if purpose not in REFERENCE_LINES:
        return
    color, dashes = REFERENCE_LINES[purpose]
    is_taken = any(line.get_color() == color and line.get_linestyle() != "None" for line in axes.get_lines())
    axes.plot(
        list(curve),
        [score.value for score in curve.values()],
        color=color,
        ls=dashes,
        lw=1.3,
        marker="x" if is_taken else "",
        label=anchor.label,
    )


def _bar_colors(group: Group) -> list[Any]:
    colors = {entry: PALETTE[i % len(PALETTE)] for i, entry in enumerate(group.systems)}

    def color(entry: Entry) -> Any:
        if entry.zone != "ablation":
            return colors.get(entry, ANCHOR_GREY)
        whole = group.whole(entry)
        return paler(colors[whole] if whole else ANCHOR_GREY, PALENESS)

    return [color(entry) for entry in group.entries]


def _draw_bars(axes: Axes, group: Group, column: Column, colors: list[Any], is_named: bool) -> None:
    """One panel; is_named: with the rows' labels."""
    scores = [entry.score(column.metric, column.by) for entry in group.entries]
    factor = column.card.factor
    values = factor * np.array([np.nan if score is None else score.value for score in scores])
    places = np.arange(len(scores))
    axes.add_collection(_bars(values, colors))
    errors = factor * error_bars(scores)
    axes.errorbar(values, places, xerr=errors, fmt="none", ecolor="0.15", elinewidth=1.0, capsize=2)
    missing = [place for place, score in enumerate(scores) if score is None]
    beside = shifted(axes, axes.transData, 6)
    dashes = Line2D([0] * len(missing), missing, ls="none", marker="_", color="0.5", transform=beside)
    axes.add_artist(dashes)  # which stretches no axis
    better = "higher" if column.higher_is_better else "lower"
    axes.set_title(f"{column.heading}\n({better} is better)", loc="left", fontsize=10)
    axes.set_yticks([])
    if is_named:
        name_rows(axes, [entry.label for entry in group.entries])
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.locator_params(axis="x", nbins=4)


def _bars(values: FloatArray, colors: list[Any]) -> PolyCollection:
    """Lying bars from zero, one a place, as one thing to draw: matplotlib takes long over hundreds."""
    low, high = np.arange(len(values)) - BAR / 2, np.arange(len(values)) + BAR / 2
    none = np.zeros(len(values))
    corners = np.stack([none, low, values, low, values, high, none, high], axis=1).reshape(-1, 4, 2)
    bars = PolyCollection(list(corners), facecolors=colors, linewidths=0)
    bars.sticky_edges.x.append(0.0)  # no margin below zero
    return bars


def _draw_point(axes: Axes, entry: Entry, score: ScoreRecord, distance: ScoreRecord, index: int) -> None:
    """Colour and shape tell the systems apart, shape alone the anchors."""
    axes.errorbar(
        [score.value],
        [distance.value],
        xerr=error_bars([score]),
        yerr=error_bars([distance]),
        color=PALETTE[index % len(PALETTE)] if entry.is_trained else ANCHOR_GREY,
        marker=MARKERS[(index + (0 if entry.is_trained else 3)) % len(MARKERS)],
        markerfacecolor=None if entry.zone != "ablation" else "white",
        ls="none",
        markersize=7,
        label=entry.label,
        zorder=3 if entry.is_trained else 2,
    )
