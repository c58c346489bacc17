"""Curves, strata and bars of a group of records."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sf2f_bench.report.columns import (
    STRATA,
    Column,
    likeness_columns,
    paper_classifier,
    retrieval_columns,
    seconds_of_speech,
    strata_of,
)
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
from sf2f_bench.report.verdicts import chance, headline, headline_metric
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.selection import Group, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sf2f_bench.types import FloatArray

ANCHOR_GREY = "0.62"
MOST_ASIDE = 1.17  # the last system's markers stand at this multiple of the first one's k
MOST_ACROSS = 5  # panels of bars
BARS_WIDTH = 1.75  # inches of such a panel
BAR_HEIGHT = 0.21  # inches a row
BAR = 0.72  # of a row's height
PALENESS = 0.55  # of an ablation's bar: share of white
REFERENCE_LINES = {  # anchor -> colour, dashes
    "chance": ("0.55", (0, (1, 2))),
    "gender-oracle": ("0.45", (0, (4, 2))),
    "linear-listener": ("0.35", (0, (6, 2, 1, 2))),
    "shared-factor-oracle": ("0.15", (0, (8, 3))),
    "real-photo-oracle": ("0.0", "solid"),
}


def recall_figure(group: Group) -> Figure | None:
    """recall@k against k with 95 % intervals, between chance, the gender oracle and the ceilings."""
    curves = [(row, curve) for row in group.rows if (curve := _recall_curve(group, row))]
    if not curves:
        return None
    figure, axes = new_figure(*PANEL)
    systems = [row for row in group.systems if any(row is other for other, _ in curves)]
    for row, curve in curves:
        name = row.record.system.name
        reference = next((style for key, style in REFERENCE_LINES.items() if name.startswith(key)), None)
        if row.zone == "system":
            _draw_system(axes, curve, row.label, systems.index(row), len(systems))
        elif reference is not None:
            _draw_reference(axes, curve, row.label, reference)
    _logarithmic(axes, sorted({k for _, curve in curves for k in curve}))
    axes.set(ylim=(0, 1.02), xlabel="k", ylabel="recall@k")
    axes.set_title(title_of(group, f"recall@k in {group.searched}"), loc="left")
    _legend_by_height(axes)
    return figure


def lengths_figure(group: Group) -> Figure | None:
    """The headline recall against the seconds of speech that a system heard; None where none heard less than all."""
    lengths = seconds_of_speech(group)
    curves = [(row, curve) for row in group.systems if len(curve := _length_curve(group, row, lengths)) > 1]
    if not curves:
        return None
    figure, axes = new_figure(*PANEL)
    for i, (row, curve) in enumerate(curves):
        _draw_system(axes, curve, row.label, i, len(curves))
    for name in ("chance", "gender-oracle"):  # exact, and the same however much is heard
        score = headline(group, anchor := group.anchor(name))
        if anchor is not None and score is not None:
            _draw_reference(axes, dict.fromkeys(lengths, score), anchor.label, REFERENCE_LINES[name])
    _logarithmic(axes, list(lengths))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="seconds of speech", ylabel=f"recall@{group.headline_k}")
    axes.set_title(
        title_of(group, f"recall@{group.headline_k} in {group.searched}, by length of speech"), loc="left"
    )
    _legend_by_height(axes)
    return figure


def strata_figure(group: Group) -> Figure | None:
    """The headline recall overall and among people who are alike, a group of marks a row; ablations left out."""
    metric = headline_metric(group)
    kinds = {
        "everybody": metric,
        **{f"within {STRATA[at]} ({at})": f"{metric}/{at}" for at in strata_of(group)},
    }
    kinds = {kind: name for kind, name in kinds.items() if any(row.score(name) for row in group.rows)}
    rows = [row for row in group.rows if row.zone != "ablation" and row.score(metric)]
    if len(kinds) < 2 or not rows:
        return None
    figure, axes = new_figure(PANEL[0], len(rows) * max(0.24, 0.13 * len(kinds)))
    for i, (kind, name) in enumerate(kinds.items()):
        aside = 0.62 * (i / (len(kinds) - 1) - 0.5)
        scores = {place: score for place, row in enumerate(rows) if (score := row.score(name)) is not None}
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
    axes.axvline(chance(group), color="0.4", ls=DASHES[2], label="chance", zorder=1)
    axes.set_yticks([])
    name_rows(axes, [row.label for row in rows])
    axes.set(xlim=(0, None), ylim=(len(rows) - 0.5, -0.5), xlabel=f"recall@{group.headline_k}")
    axes.grid(axis="y", visible=False)
    for edge in range(1, len(rows)):
        axes.axhline(edge - 0.5, color="0.9", lw=0.8, zorder=0)
    axes.set_title(
        title_of(group, f"recall@{group.headline_k} in {group.searched}, within strata"), loc="left"
    )
    legend_beside(axes, *axes.get_legend_handles_labels())
    return figure


def metrics_figure(group: Group) -> Figure | None:
    """A panel of bars a metric with 95 % intervals; anchors in grey, ablations in their system's colour, paler."""
    columns = [column for column in (*retrieval_columns(group), *likeness_columns(group)) if column.plotted]
    columns = [
        column for column in columns if any(row.score(column.pattern, column.by) for row in group.rows)
    ]
    if not columns:
        return None
    down = -(-len(columns) // MOST_ACROSS)
    across = -(-len(columns) // down)
    figure, panels = new_panels(down, across, (BARS_WIDTH, BAR_HEIGHT * len(group.rows)), (0.34, 0.95))
    colors = _bar_colors(group)
    for i, (column, axes) in enumerate(zip_longest(columns, panels.ravel())):
        if column is None:
            axes.set_axis_off()
        else:
            _draw_bars(axes, group, column, colors, named=i % across == 0)
    title = title_of(group, "retrieval, similarity and quality")
    if group.headline_role != "judge":
        title += f"\nquality: {paper_classifier(group) or 'none'}"
    write_title(figure, title, above=0.55)
    return figure


def _recall_curve(group: Group, row: Row) -> dict[float, ScoreRecord]:
    """``{k: score}`` of the row's recall in galleries, by rising k."""
    found: dict[float, ScoreRecord] = {}
    for k in sorted(group.rows[0].record.benchmark.ks):
        score = row.score(f"recall@{k}/{group.gallery}", group.headline_role)
        if score is not None:
            found[k] = score
    return found


def _length_curve(group: Group, row: Row, lengths: Mapping[float, str]) -> dict[float, ScoreRecord]:
    """``{seconds: score}`` of the row's headline recall, by rising length."""
    metric = headline_metric(group)
    found = {seconds: row.score(f"{metric}{ending}") for seconds, ending in lengths.items()}
    return {seconds: score for seconds, score in found.items() if score is not None}


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


def _draw_system(axes: Axes, curve: Mapping[float, ScoreRecord], label: str, index: int, count: int) -> None:
    """A line with error bars, moved a little aside so that bars of several systems do not cover each other."""
    step = min(1.035, MOST_ASIDE ** (1 / max(1, count - 1)))
    aside = step ** (index - (count - 1) / 2)
    values = [score.value for score in curve.values()]
    axes.errorbar(
        [k * aside for k in curve],
        values,
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


def _draw_reference(
    axes: Axes, curve: Mapping[float, ScoreRecord], label: str, style: tuple[str, Any]
) -> None:
    """An anchor's line; a second one of the same style (two shared-factor oracles) gets crosses."""
    color, dashes = style
    taken = any(line.get_color() == color and line.get_linestyle() != "None" for line in axes.get_lines())
    axes.plot(
        list(curve),
        [score.value for score in curve.values()],
        color=color,
        ls=dashes,
        lw=1.3,
        marker="x" if taken else "",
        label=label,
    )


def _first_height(handle: Any) -> float:
    """Where a legend's line starts, for the legend's order."""
    line = handle[0] if isinstance(handle, tuple) else handle
    return float(np.asarray(line.get_ydata())[0])


def _bar_colors(group: Group) -> list[Any]:
    systems = [id(row) for row in group.systems]

    def color(row: Row | None) -> Any:
        if row is None or row.zone not in ("system", "ablation"):
            return ANCHOR_GREY
        if row.zone == "ablation":
            return paler(color(group.whole(row)), PALENESS)
        return PALETTE[systems.index(id(row)) % len(PALETTE)]

    return [color(row) for row in group.rows]


def _draw_bars(axes: Axes, group: Group, column: Column, colors: list[Any], named: bool) -> None:
    """One panel; named: with the rows' labels."""
    scores = [row.score(column.pattern, column.by) for row in group.rows]
    values = column.factor * np.array([np.nan if score is None else score.value for score in scores])
    errors = column.factor * error_bars(scores)
    places = np.arange(len(scores))
    axes.add_collection(_bars(values, colors))
    axes.errorbar(values, places, xerr=errors, fmt="none", ecolor="0.15", elinewidth=1.0, capsize=2)
    missing = [place for place, score in enumerate(scores) if score is None]
    beside = shifted(axes, axes.transData, 6)
    dashes = Line2D([0] * len(missing), missing, ls="none", marker="_", color="0.5", transform=beside)
    axes.add_artist(dashes)  # which stretches no axis
    higher = next(score.higher_is_better for score in scores if score is not None)
    axes.set_title(
        f"{column.heading}\n({'higher' if higher else 'lower'} is better)", loc="left", fontsize=10
    )
    axes.set_yticks([])
    if named:
        name_rows(axes, [row.label for row in group.rows])
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
