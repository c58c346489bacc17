"""Rows of a group: a row a system, a panel a metric, a dot a number with its bar over the training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from sf2f_bench.protocols.bench.protocol import STRATA
from sf2f_bench.report.joined import Drawn, Joined, ablations, floors, landmarks, measured, systems
from sf2f_bench.report.style import (
    GREY,
    INK,
    PALE_INK,
    PALETTE,
    name_rows,
    new_panels,
    origin_of,
    write_title,
)
from sf2f_bench.report.tables import Column, tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sf2f_bench.results.selection import Group

MOST_ACROSS = 5  # panels with a scale of their own
ROW = 0.2  # inches
WIDTH, GAP, BELOW = 7.6, 0.2, 0.75  # inches of all panels of a row, and between panels
ABOVE = 0.42  # inches between the first row and the title, for the panels' own
MARGIN = 0.05  # of a panel's width, on both sides
ORIGIN_WIDTH = 115  # characters
KIND_WIDTH = 14  # characters above a panel of a shared scale
BEYOND = "‹›"
EVERYBODY = "everybody"
OF_BARS = "dots: training seeds and their mean; bars: 95 % intervals (of three seeds: for new seeds too)"


class Panel(NamedTuple):
    """A metric by a network, and what is written above it."""

    title: str
    metric: str
    by: str
    factor: float = 1.0


def strata_figure(group: Group) -> Figure | None:
    """The headline score among all, among people alike, and of subgroups; None where nobody has more than the first."""
    within = measured(group, "stratum").items()
    alike = {f"within {stratum_in_words(letter)}": name for letter, name in within}
    subgroups = measured(group, "subgroup")
    panels = _shared(group, {EVERYBODY: group.headline, **alike, **subgroups})
    if len(panels) < 2:
        return None
    figure = _rows_figure(group, _everyone(group, panels), panels, len(panels), is_shared=True)
    where = f"{group.headline_card.term} in {group.protocol.searched(group.part)}"
    title = f"Is more heard than the gender{', and is it heard in everybody' if subgroups else ''}?"
    write_title(figure, title, ABOVE, _origin(group, where, OF_BARS, "upright strokes: everybody's mean"))
    return figure


def disturbances_figure(group: Group) -> Figure | None:
    """The headline score from voices as they are and disturbed; None without systems that heard any."""
    panels = _shared(group, measured(group, "disturbance"))
    if not panels:
        return None
    figure = _rows_figure(group, _everyone(group, panels), panels, len(panels), is_shared=True)
    where = f"{group.headline_card.term} in {group.protocol.searched(group.part)}, 5 s of speech"
    origin = _origin(group, where, OF_BARS, f"upright strokes: the mean of {panels[0].title} speech")
    write_title(figure, "How much is still heard in noise, by telephone and in MP3?", ABOVE, origin)
    return figure


def metrics_figure(group: Group) -> Figure | None:
    """A panel a main metric; systems sorted by the headline, then the anchors that matter."""
    rows = (*systems(group), *landmarks(group))
    return _of_metrics(group, rows, "How do the systems compare in identity, similarity and quality?")


def ablations_figure(group: Group) -> Figure | None:
    """The main metrics of ablations beside the systems that they lack a part of; None without ablations."""
    rows = ablations(group)
    wholes = [row for row in rows if row.index is not None]
    line = wholes[0] if len(wholes) == 1 else None
    return _of_metrics(group, (*rows, *floors(group)), "What is each part worth?", line) if rows else None


def _of_metrics(group: Group, rows: Sequence[Drawn], title: str, line: Drawn | None = None) -> Figure | None:
    """Panels with scales of their own, of all metrics that a main table shows and whose cards ask for it."""
    columns = metric_columns(group)
    panels = [
        Panel(f"{one.heading}\n{_better(one)} is better", one.metric, one.by, one.card.factor)
        for one in columns
    ]
    rows = _with_numbers(group, rows, panels)
    if not rows:
        return None
    down = -(-len(panels) // MOST_ACROSS)
    figure = _rows_figure(group, rows, panels, -(-len(panels) // down), line=line)
    others = {one.by for one in columns} - {group.protocol.headline_role, group.extractor(columns[0].by)}
    by = f"quality by {', '.join(sorted(others))}" if others else ""
    signs = {text.get_text() for axes in figure.axes for text in axes.texts}
    beyond = "› off the scale" if signs & set(BEYOND) else ""
    lined = f"upright line: {line.name}" if line else ""
    write_title(figure, title, ABOVE, _origin(group, OF_BARS, lined, beyond, by))
    return figure


def metric_columns(group: Group) -> list[Column]:
    """The metrics of the main tables whose cards ask for a place in the pictures."""
    return [one for table in tables(group) if table.is_main for one in table.columns if one.card.plotted]


def _better(column: Column) -> str:
    return "higher" if column.higher_is_better else "lower"


def _origin(group: Group, *more: str) -> str:
    return origin_of(group, *more, width=ORIGIN_WIDTH)


def stratum_in_words(letter: str) -> str:
    """``one gender``, ``all three``."""
    word = STRATA.get(letter, letter)
    return f"one {word}" if len(letter) == 1 else word


def _shared(group: Group, metrics: Mapping[str, str]) -> list[Panel]:
    """Panels on one scale."""
    role = group.protocol.headline_role
    return [Panel(fill(kind, KIND_WIDTH), name, role) for kind, name in metrics.items() if name]


def _everyone(group: Group, panels: Sequence[Panel]) -> list[Drawn]:
    return _with_numbers(group, (*systems(group), *landmarks(group)), panels)


def _with_numbers(group: Group, rows: Sequence[Drawn], panels: Sequence[Panel]) -> list[Drawn]:
    return [row for row in rows if any(row.score(group, panel.metric, panel.by) for panel in panels)]


def _rows_figure(
    group: Group,
    rows: Sequence[Drawn],
    panels: Sequence[Panel],
    across: int,
    is_shared: bool = False,
    line: Drawn | None = None,
) -> Figure:
    """Panels in rows of `across`. is_shared: of one scale, with the first one's numbers as strokes in the others.

    line: whose numbers are upright lines.
    """
    size = (WIDTH / across - GAP, ROW * len(rows) + 0.1)
    figure, places = new_panels(-(-len(panels) // across), across, size, (GAP, BELOW))
    numbers = [_numbers(group, rows, panel) for panel in panels]
    scales = [_scale(found) for found in numbers]
    if is_shared:
        scales = [(0.0, max(high for _, high in scales))] * len(panels)
    for i, (axes, panel) in enumerate(zip_longest(places.ravel(), panels)):
        if panel is None:
            axes.set_axis_off()
            continue
        _draw_panel(axes, rows, numbers[i], scales[i])
        _draw_strokes(axes, rows, numbers[i], numbers[0] if is_shared and i else {})
        if line in numbers[i]:
            axes.axvline(numbers[i][line].value, color=PALETTE[0], lw=0.8, zorder=0)
        axes.set_title(panel.title, loc="left", fontsize="small")
        if i % across == 0:
            name_rows(axes, [row.name for row in rows], [PALE_INK if row.purpose else INK for row in rows])
    return figure


def _numbers(group: Group, rows: Sequence[Drawn], panel: Panel) -> dict[Drawn, Joined]:
    found = {row: row.score(group, panel.metric, panel.by) for row in rows}
    return {row: one.times(panel.factor) for row, one in found.items() if one}


def _scale(numbers: Mapping[Drawn, Joined]) -> tuple[float, float]:
    """From the lowest to the highest bound of the rows whose numbers do not dwarf all others, with margins."""
    ends = [
        end
        for row, one in numbers.items()
        if not any(entry.record.system.off_scale for entry in row.entries)
        for end in (one.low, one.high, *one.seeds)
    ]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    margin = MARGIN * ((high - low) or 1.0)
    return low - margin if low < 0 or low - margin >= 0 else 0.0, high + margin


def _draw_panel(
    axes: Axes, rows: Sequence[Drawn], numbers: Mapping[Drawn, Joined], scale: tuple[float, float]
) -> None:
    """The numbers of one panel, and a line at chance."""
    for place, row in enumerate(rows):
        color = GREY if row.purpose else PALETTE[0]
        if row not in numbers:
            _write(axes, 0.06, place, "–", PALE_INK)
        elif not scale[0] <= numbers[row].value <= scale[1]:
            is_high = numbers[row].value > scale[1]
            _write(axes, 0.96 if is_high else 0.04, place, BEYOND[is_high], color)
        else:
            draw_number(axes, numbers[row], place, color)
    for row in rows:
        if row.purpose == "chance" and row in numbers:
            axes.axvline(numbers[row].value, color=GREY, lw=0.8, ls=(0, (1, 2)), zorder=0)
    first = next((place for place, row in enumerate(rows) if row.purpose), 0)
    if first:
        axes.axhline(first - 0.5, color="0.8", lw=0.8, zorder=0)
    low, high = scale
    ticks = np.asarray(MaxNLocator(3).tick_values(low, high))
    last = high - 0.1 * (high - low)  # further right its number would reach into the next panel
    axes.set(xlim=scale, ylim=(len(rows) - 0.4, -0.6), yticks=[])
    axes.xaxis.set_major_locator(FixedLocator(list(ticks[(ticks >= low) & (ticks <= last)])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(labelsize="small")
    axes.grid(axis="y", visible=False)


def _draw_strokes(
    axes: Axes, rows: Sequence[Drawn], numbers: Mapping[Drawn, Joined], others: Mapping[Drawn, Joined]
) -> None:
    """Upright strokes at the other numbers of the rows that have one here."""
    marked = [
        (place, others[row].value) for place, row in enumerate(rows) if row in others and row in numbers
    ]
    lines = [[(value, place - 0.35), (value, place + 0.35)] for place, value in marked]
    axes.add_collection(LineCollection(lines, colors="0.35", linewidths=0.9, zorder=1.5), autolim=False)


def _write(axes: Axes, x: float, place: int, text: str, color: str | tuple[float, ...]) -> None:
    """A sign in a row; x: of the panel's width."""
    axes.text(x, place, text, transform=axes.get_yaxis_transform(), ha="center", va="center", color=color)


def draw_number(axes: Axes, one: Joined, place: float, color: Any, size: float = 5.0) -> None:
    """The mean as a dot, each of several seeds as a thin one, and the bar from the lowest to the highest bound."""
    if one.high > one.low:
        axes.plot(
            [one.low, one.high], [place, place], color=color, lw=size - 1, alpha=0.3, solid_capstyle="butt"
        )
    if len(one.seeds) > 1:
        axes.plot(one.seeds, [place] * len(one.seeds), ".", color=color, markersize=size - 2)
    axes.plot([one.value], [place], "o", color=color, markersize=size)
