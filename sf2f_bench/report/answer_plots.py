"""The answer as one picture: how often each system finds the right person, and what knows less or more than it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sf2f_bench.report.joined import landmarks, systems
from sf2f_bench.report.row_plots import OF_BARS, draw_number
from sf2f_bench.report.style import (
    GREY,
    PALETTE,
    name_rows,
    name_tops,
    new_figure,
    origin_of,
    write_title,
)
from sf2f_bench.report.tables import NOT_CONVERGED
from sf2f_bench.results.convergence import unconverged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sf2f_bench.results.selection import Group

WIDTH, ROW = 4.7, 0.25  # inches of the panel, and of a row in it


def answer_figure(group: Group) -> Figure | None:
    """A row a system with its headline score, all seeds in one; None without systems that have one.

    A dot is the mean over the training seeds, a thin dot a seed; the bar is the interval of `Joined`. Lines are what
    the anchors reach.
    """
    rows = [(drawn, score) for drawn in systems(group) if (score := drawn.headline(group))]
    if not rows:
        return None
    figure, axes = new_figure(WIDTH, ROW * (len(rows) + 1))
    rising = unconverged(group)
    for place, (_, score) in enumerate(rows):
        draw_number(axes, score, place, PALETTE[0], size=7)
    name_rows(axes, [f"{one.name} {NOT_CONVERGED}" if one.label in rising else one.name for one, _ in rows])
    tops = {one.name: score.value for one in landmarks(group) if (score := one.headline(group))}
    for value in tops.values():
        axes.axvline(value, color=GREY, lw=1.0, ls=(0, (4, 2)), zorder=0)
    axes.set(xlim=(0, 1.02), ylim=(len(rows) - 0.3, -0.7), yticks=[])
    axes.set_xlabel(f"{group.headline_card.term or group.headline}, {group.protocol.searched(group.part)}")
    axes.grid(axis="y", visible=False)
    name_tops(axes, tops)
    rest = f"{NOT_CONVERGED} still rose when its training ended" if rising else ""
    write_title(
        figure, "How often is the right person found?", 0.7, origin_of(group, OF_BARS, rest, width=80)
    )
    return figure
