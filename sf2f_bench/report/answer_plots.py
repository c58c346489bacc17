"""The answer as one picture: how often each system finds the right person, and what knows less or more than it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.report.style import PALETTE, name_rows, new_figure, spread, write_title
from sf2f_bench.report.verdicts import chance, headline
from sf2f_bench.results.convergence import unconverged
from sf2f_bench.results.selection import Entry, Group
from sf2f_bench.types import Purpose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, ROW = 6.4, 0.3  # inches of the panel, and of a row in it
LINES: dict[Purpose, str] = {  # the anchors that have a line, and what they stand for
    "chance": "guessing",
    "known-attribute": "",  # its own words
    "straight-line": "a straight line\nfrom the voice",
    "true-photo": "another photo",
}
APART = 0.19  # of the panel's width, between the words of two lines


def answer_figure(group: Group) -> Figure | None:
    """A row a system with its headline score, all seeds in one; None without systems that have one.

    A dot is the mean over the training seeds, a thin dot a seed; the bar is the seeds' common 95 % interval for other
    people (from the lowest lower bound to the highest upper bound). Lines are what the anchors reach.
    """
    rows = {
        name: scores
        for name, entries in group.by_system.items()
        if entries[0].zone == "system"
        and (scores := [one for entry in entries if (one := headline(group, entry))])
    }
    if not rows:
        return None
    order = sorted(rows, key=lambda name: float(np.mean([score.value for score in rows[name]])))
    figure, axes = new_figure(WIDTH, ROW * (len(order) + 1))
    rising = unconverged(group)
    for place, name in enumerate(order):
        values = [score.value for score in rows[name]]
        bounds = [score.interval for score in rows[name] if score.interval]
        if bounds:
            low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
            axes.plot([low, high], [place, place], color=PALETTE[0], lw=5, alpha=0.3, solid_capstyle="butt")
        if len(values) > 1:
            axes.plot(values, [place] * len(values), ".", color=PALETTE[0], markersize=4)
        axes.plot([float(np.mean(values))], [place], "o", color=PALETTE[0], markersize=7)
    name_rows(axes, [f"{name} †" if name in rising else name for name in order])
    _draw_lines(axes, group)
    quantity = group.headline_card.term or group.headline
    where = group.protocol.searched(group.part)
    what = f"{quantity}, {where}; dots: training seeds and their mean; bars: their 95 % intervals"
    axes.set(xlim=(0, 1.02), ylim=(-0.7, len(order) - 0.3), yticks=[], xlabel=what)
    axes.grid(axis="y", visible=False)
    write_title(figure, f"{group.benchmark}: how often is the right person found?", above=0.65)
    return figure


def _draw_lines(axes: Axes, group: Group) -> None:
    """What anchors reach, with words above the panel, each beside its line as far as there is room."""
    found: list[tuple[float, str]] = []
    for purpose, words in LINES.items():
        best = _best(group, group.anchors(purpose)) if purpose != "known-attribute" else None
        if purpose == "known-attribute":
            known = ((headline(group, anchor), anchor) for anchor in group.anchors(purpose))
            found += [
                (score.value, anchor.record.system.words or anchor.label) for score, anchor in known if score
            ]
        elif purpose == "chance" and (guess := chance(group)) is not None:
            found.append((guess, words))
        elif best is not None:
            found.append((best, words))
    found.sort()
    places = spread([value for value, _ in found], APART)
    for (value, words), place in zip(found, places, strict=True):
        axes.axvline(value, color="0.5", lw=1.0, ls=(0, (4, 2)), zorder=0)
        wrapped = words if "\n" in words else "\n".join(_halves(words))
        axes.annotate(
            wrapped,
            (value, 1.0),
            (place, 1.08),
            ("data", "axes fraction"),
            ("data", "axes fraction"),
            {"arrowstyle": "-", "color": "0.7", "lw": 0.6},
            ha="center",
            va="bottom",
            fontsize="x-small",
            color="0.3",
        )


def _best(group: Group, anchors: Sequence[Entry]) -> float | None:
    scores = [score.value for anchor in anchors if (score := headline(group, anchor))]
    return max(scores, default=None)


def _halves(words: str) -> tuple[str, ...]:
    """A phrase of several words on two lines."""
    parts = words.split()
    if len(parts) < 3:
        return (words,)
    half = (len(parts) + 1) // 2
    return " ".join(parts[:half]), " ".join(parts[half:])
