"""Quality against identity: a mark a system with its name beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sf2f_bench.report.joined import Drawn, Joined, floors, landmarks, systems
from sf2f_bench.report.style import (
    GREY,
    MARKERS,
    inked,
    look_of,
    name_tops,
    new_figure,
    origin_of,
    write_title,
)
from sf2f_bench.report.tables import Column, tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sf2f_bench.results.selection import Group
    from sf2f_bench.types import FloatArray

SIZE = (8.4, 4.6)  # inches of the panel
ROOM = 0.12  # of the scores' range, right of the best system
AROUND = [  # places of a name around its mark: steps to the right and up, in widths and heights of the name
    *((side, up) for up in (0.0, 0.75, -0.75, 1.7, -1.7) for side in (1.0, -1.0)),
    *((0.0, up) for up in (1.4, -1.4, 2.5, -2.5, 3.6, -3.6)),
    *((side, up) for up in (2.8, -2.8, 3.9, -3.9, 5.0, -5.0) for side in (1.0, -1.0)),
]
MARK = 5.0  # pixels, half a mark
NEVER = 100.0  # how much worse it is to cover a name, or to leave the panel, than a mark
FURTHER = 4.0  # square pixels of a mark that may be covered rather than take the next place
FAR = 2.0  # heights of a name: further up or down a line leads to it
OF_MARKS = (
    "large marks: means over training seeds; dots: seeds; "
    "bars: 95 % intervals (of three seeds: for new seeds too)"
)
BESIDE = 8.0  # points between a mark and its name


class Point(NamedTuple):
    """One mark: the headline score and the distance of distributions."""

    drawn: Drawn
    score: Joined
    distance: Joined


def scatter_figure(group: Group) -> Figure | None:
    """The headline score against the distance of distributions, a mark a system with both; None without one.

    The distance is the main tables' metric of highest priority among those of distributions.
    """
    column, points = points_of(group)
    of_systems = [point for point in points if point.drawn.index is not None]
    if column is None or not of_systems:
        return None
    figure, axes = new_figure(*SIZE)
    lines = {one.name: score.value for one in floors(group) if (score := one.headline(group))}
    last = max([*lines.values(), *(point.score.high for point in of_systems)]) * (1 + ROOM)
    top = max(point.distance.high for point in of_systems) * 1.06
    axes.set(xlim=(0, last), ylim=(-0.04 * top, top))
    for line in lines.values():
        axes.axvline(line, color=GREY, ls=(0, (4, 2)), lw=1, zorder=1)
    marks = [_draw(axes, point, last) for point in points]
    axes.set(
        xlabel=f"{group.headline_card.term} (right is better)",
        ylabel=f"{column.heading} ({'up' if column.higher_is_better else 'down'} is better)",
    )
    _name(axes, marks, _drawn(axes, points, list(lines.values())))
    name_tops(axes, lines)
    origin = origin_of(group, group.protocol.searched(group.part), OF_MARKS, width=120)
    write_title(figure, "Do faces that look real also belong to the right person?", 0.65, origin)
    return figure


def points_of(group: Group) -> tuple[Column | None, list[Point]]:
    """The distance's column, and every system and anchor with both numbers."""
    columns = [one for table in tables(group) if table.is_main for one in table.columns]
    column = max(
        (one for one in columns if one.card.family == "distribution"),
        key=lambda one: one.priority,
        default=None,
    )
    if column is None:
        return None, []
    rows = [
        (row, row.headline(group), row.score(group, column.metric, column.by))
        for row in (*systems(group), *landmarks(group))
    ]
    return column, [
        Point(row, score, distance.times(column.card.factor))
        for row, score, distance in rows
        if score and distance
    ]


def _draw(axes: Axes, point: Point, last: float) -> tuple[str, float, float, Any]:
    """A mark with its seeds and bars, or an arrow at the edge; gives the name with its place and colour."""
    drawn, score, distance = point
    if score.value > last:
        axes.plot(
            [0.995], [distance.value], ">", transform=axes.get_yaxis_transform(), color=GREY, clip_on=False
        )
        return f"{drawn.name} {score.value:.2f}", last, distance.value, GREY
    look = look_of(drawn.index) if drawn.index is not None else {"color": GREY, "marker": MARKERS[0]}
    color = look["color"]
    axes.plot([score.low, score.high], [distance.value] * 2, color=color, lw=1.2, alpha=0.6)
    axes.plot([score.value] * 2, [distance.low, distance.high], color=color, lw=1.2, alpha=0.6)
    if len(score.seeds) > 1:
        axes.plot(score.seeds, distance.seeds, ".", color=color, markersize=4)
    axes.plot(
        [score.value], [distance.value], look["marker"], color=color, markersize=7, label=drawn.name, zorder=3
    )
    return drawn.name, score.value, distance.value, color


def _drawn(axes: Axes, points: Sequence[Point], lines: Sequence[float]) -> FloatArray:
    """Where marks, bars and lines lie: left, lower, right and upper edges in pixels, ``[N, 4]``."""
    (_, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    spans = [(line, bottom, line, top) for line in lines]
    for _, score, distance in points:
        x, y = min(score.value, right), distance.value
        spans += [(score.low, y, score.high, y), (x, distance.low, x, distance.high), (x, y, x, y)]
        spans += [(*seed, *seed) for seed in zip(score.seeds, distance.seeds, strict=False)]
    edges = np.array(spans)
    lower, upper = (axes.transData.transform(edges[:, side]) for side in (slice(0, 2), slice(2, 4)))
    around = np.where((lower == upper).all(axis=1), MARK, 1.0)[:, None]
    return np.hstack([lower - around, upper + around])


def _name(axes: Axes, marks: Sequence[tuple[str, float, float, Any]], taken: FloatArray) -> None:
    """Each name beside its mark, at the first place of `AROUND` where it covers nothing, else where it covers least."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    spots = axes.transData.transform([(x, y) for _, x, y, _ in marks])
    points = figure.dpi / 72
    panel = np.array([axes.get_window_extent().extents])
    costs = np.ones(len(taken))
    for (name, x, y, color), spot in zip(marks, spots, strict=True):
        look: dict[str, Any] = {"color": inked(color), "fontsize": "small", "ha": "center", "va": "center"}
        text = axes.annotate(name, (x, y), (0, 0), "data", "offset points", **look)
        box = text.get_window_extent(renderer)
        size = np.array([box.width, box.height])
        steps = np.array([(side * (size[0] / 2 + BESIDE * points), up * size[1]) for side, up in AROUND])
        places = np.hstack([spot + steps - size / 2, spot + steps + size / 2])
        inside = _shared(places, panel)[:, 0]
        best = int(
            np.argmin(_shared(places, taken) @ costs - NEVER * inside + FURTHER * np.arange(len(places)))
        )
        text.set_position(tuple(steps[best] / points))
        taken, costs = np.vstack([taken, places[best]]), np.append(costs, NEVER)
        if abs(AROUND[best][1]) > FAR:
            edge = (steps[best] - (0, np.sign(steps[best][1]) * size[1] / 2)) / points
            line = {"arrowstyle": "-", "color": color, "lw": 0.6}
            axes.annotate("", (x, y), tuple(edge), "data", "offset points", line)


def _shared(places: FloatArray, others: FloatArray) -> FloatArray:
    """How many square pixels ``[P, N]`` of each place ``[P, 4]`` each other one ``[N, 4]`` covers."""
    lower = np.maximum(places[:, None, :2], others[None, :, :2])
    upper = np.minimum(places[:, None, 2:], others[None, :, 2:])
    area: FloatArray = np.clip(upper - lower, 0, None).prod(axis=2)
    return area
