"""What systems have learnt after so many samples and minutes: recall on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sf2f_bench.report.curve_plots import OF_SEEDS, Curve, draw_line
from sf2f_bench.report.joined import Drawn, systems
from sf2f_bench.report.style import GREY, name_ends, new_panels, origin_of, write_title
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import Group, cached_per_group
from sf2f_bench.types.curve import CHANCE, GENDER, RECALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sf2f_bench.types import FloatArray

PANEL = (3.1, 3.4)  # inches
GAP = 1.8  # inches between the panels, for the names at the ends of the lines
ORIGIN_WIDTH = 115
NAME_WIDTH = 18  # characters of a name before it is broken
FLOORS = {CHANCE: "chance", GENDER: "knowing only the gender"}


@dataclass(frozen=True)
class Learning:
    """One training: a point for each validation. samples, minutes, recall ``[V]``; minutes is NaN where not known."""

    samples: FloatArray
    minutes: FloatArray
    recall: FloatArray
    floors: Mapping[str, float]


def learning_figure(group: Group) -> Figure | None:
    """Recall@10 on the validation split against samples and against minutes; None where no record has it.

    A line a system, the mean over its seeds, with a band from the lowest to the highest. Systems with several stages
    stand at what all of them together have taken.
    """
    found = learnt(group)
    if not found:
        return None
    figure, panels = new_panels(1, 2, PANEL, (GAP, 0))
    for axes, quantity in zip(panels[0], ("samples", "minutes"), strict=True):
        _draw(axes, found, quantity)
    panels[0, 0].set(xlabel="samples seen", ylabel="recall@10 of validation voices")
    panels[0, 1].set(xlabel="minutes of training")
    origin = origin_of(group, OF_SEEDS, width=ORIGIN_WIDTH, role="training-loss")
    write_title(figure, "What is learnt in training, and how fast?", 0.08, origin)
    return figure


@cached_per_group
def learnt(group: Group) -> dict[Drawn, list[Learning]]:
    """What each system has learnt, a training seed each; of the seeds that have as many validations as the first."""
    found: dict[Drawn, list[Learning]] = {}
    for drawn in systems(group):
        seeds = [one for entry in drawn.entries if (one := learning_of(entry.record))]
        if seeds:
            found[drawn] = [one for one in seeds if len(one.recall) == len(seeds[0].recall)]
    return found


def floors_of(found: Mapping[Drawn, Sequence[Learning]]) -> dict[str, float]:
    """What guessing, and knowing the gender alone, reach on the validation split, in words."""
    return {
        words: one.floors[floor]
        for floor, words in FLOORS.items()
        for seeds in found.values()
        for one in seeds
        if floor in one.floors
    }


def learning_of(record: RunRecord) -> Learning | None:
    """The validations of a record's training curve; None where it has none with a recall."""
    curve = record.curve()
    if curve is None or RECALL not in curve or "samples" not in curve:
        return None
    samples, seconds = 0.0, 0.0
    taken = record.cost.stage_seconds or {}
    points: list[tuple[float, float, float]] = []
    for stage, part in curve.groupby("stage", sort=False):
        last, of_stage = part.iloc[-1], taken.get(str(stage), np.nan)
        for step, here, recall in part[["step", "samples", RECALL]].dropna().to_numpy(np.float64):
            points.append((samples + here, (seconds + of_stage * step / last["step"]) / 60, recall))
        samples, seconds = samples + last["samples"], seconds + of_stage
    floors = {name: float(curve[name].dropna().iloc[-1]) for name in FLOORS if name in curve}
    if not points:
        return None
    seen, minutes, recall = np.array(points, dtype=np.float64).T
    return Learning(seen, minutes, recall, floors)


def _draw(axes: Axes, found: Mapping[Drawn, Sequence[Learning]], quantity: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    ends: dict[str, tuple[float, float, object]] = {}
    for drawn, seeds in found.items():
        places = np.mean([getattr(one, quantity) for one in seeds], axis=0)
        recall = np.array([one.recall for one in seeds])
        if np.isfinite(places).all():
            curve = Curve(places, recall.mean(axis=0), recall.min(axis=0), recall.max(axis=0))
            ends[drawn.name] = (places[-1], curve.middle[-1], draw_line(axes, drawn, curve))
    last = max((x for x, _, _ in ends.values()), default=1.0)
    for words, value in floors_of(found).items():
        axes.axhline(value, color=GREY, ls=(0, (4, 2)), lw=1.0)
        ends[words] = (last, value, GREY)
    axes.set_ylim(bottom=0)
    axes.set_xlim(right=last)
    name_ends(axes, ends, NAME_WIDTH)


def _plain(value: float, _: object) -> str:
    """``3 k``, ``300``, ``0.3``."""
    return f"{value / 1000:g} k" if value >= 1000 else f"{value:g}"
