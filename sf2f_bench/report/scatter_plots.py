"""Quality against identity: a mark a system with its name beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from sf2f_bench.report.joined import Drawn, Joined, landmarks, systems
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
    from matplotlib.figure import Figure

    from sf2f_bench.results.selection import Group

SIZE = (8.4, 4.6)  # inches of the panel
ROOM = 0.12  # of the scores' range, right of the best system
AROUND = [  # places of a name around its mark: steps to the right and up, in widths and heights of the name
    *((side, up) for up in (0.0, 0.75, -0.75, 1.7, -1.7) for side in (1.0, -1.0)),
    *((0.0, up) for up in (1.4, -1.4, 2.5, -2.5, 3.6, -3.6)),
    *((side, up) for up in (2.8, -2.8, 3.9, -3.9, 5.0, -5.0) for side in (1.0, -1.0)),
]
MARK = 5.0  # pixels, half a mark
FAR = 2.0  # heights of a name: further up or down a line leads to it
OF_MARKS = "large marks: means over training seeds; dots: seeds; bars: their common 95 % interval"
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
    floors = [one for one in landmarks(group) if one.purpose in ("chance", "known-attribute")]
    lines = {one.name: score.value for one in floors if (score := one.headline(group))}
    last = max([*lines.values(), *(point.score.high for point in of_systems)]) * (1 + ROOM)
    top = max(point.distance.high for point in of_systems) * 1.06
    axes.set(xlim=(0, last), ylim=(-0.04 * top, top))
    for name, value in lines.items():
        axes.axvline(value, color=GREY, ls=(0, (4, 2)), lw=1, zorder=1)
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


def _drawn(axes: Axes, points: Sequence[Point], lines: Sequence[float]) -> list[Bbox]:
    """Where marks, bars and lines lie, in pixels."""
    (_, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    spans = [(line, bottom, line, top) for line in lines]
    for _, score, distance in points:
        x, y = min(score.value, right), distance.value
        spans += [(score.low, y, score.high, y), (x, distance.low, x, distance.high), (x, y, x, y)]
        spans += [(*seed, *seed) for seed in zip(score.seeds, distance.seeds, strict=False)]
    boxes = (Bbox(axes.transData.transform([(x0, y0), (x1, y1)])) for x0, y0, x1, y1 in spans)
    return [box.padded(MARK if box.width == box.height else 1.0) for box in boxes]


def _name(axes: Axes, marks: Sequence[tuple[str, float, float, Any]], taken: list[Bbox]) -> None:
    """Each name beside its mark, at the first place of `AROUND` where it covers nothing, else where it covers least."""
    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    spots = axes.transData.transform([(x, y) for _, x, y, _ in marks])
    points = axes.figure.dpi / 72
    panel = axes.get_window_extent()
    for (name, x, y, color), spot in zip(marks, spots, strict=True):
        text = axes.annotate(
            name,
            (x, y),
            (0, 0),
            "data",
            "offset points",
            color=inked(color),
            fontsize="small",
            ha="center",
            va="center",
        )
        box = text.get_window_extent(renderer)
        steps = [_step(side, up, box, points) for side, up in AROUND]
        places = [
            Bbox.from_bounds(*(spot + step - (box.width / 2, box.height / 2)), box.width, box.height)
            for step in steps
        ]
        covered = [_covered(place, taken, panel) for place in places]
        best = int(np.argmin(covered))
        text.set_position(tuple(steps[best] / points))
        taken.append(places[best])
        if abs(AROUND[best][1]) > FAR:
            edge = steps[best] / points - (0, np.sign(steps[best][1]) * box.height / points / 2)
            axes.annotate(
                "",
                (x, y),
                tuple(edge),
                "data",
                "offset points",
                {"arrowstyle": "-", "color": color, "lw": 0.6},
            )


def _step(side: float, up: float, box: Bbox, points: float) -> np.ndarray:
    """From a mark to the middle of its name, in pixels."""
    return np.array([side * (box.width / 2 + BESIDE * points), up * box.height])


def _covered(place: Bbox, taken: Sequence[Bbox], panel: Bbox) -> float:
    """How many square pixels of a place are taken or lie outside the panel."""
    inside = Bbox.intersection(place, panel)
    outside = place.width * place.height - (inside.width * inside.height if inside else 0.0)
    shared = (Bbox.intersection(place, other) for other in taken)
    return outside + sum(one.width * one.height for one in shared if one)
