"""What systems have learnt after so many samples and minutes: recall on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sf2f_bench.report.style import DASHES, PALETTE, name_ends, new_panels, write_title
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import Group
from sf2f_bench.types.curve import CHANCE, GENDER, RECALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sf2f_bench.types import FloatArray

PANEL = (4.6, 4.2)  # inches
GAP = 2.4  # inches between the panels, for the names at the ends of the lines
LINES = {CHANCE: ("guessing", (0, (1, 2))), GENDER: ("the gender alone", (0, (4, 2)))}
BAND = 0.15  # opacity of the band between the lowest and the highest seed


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
    found = {
        name: learnt
        for name, entries in group.by_system.items()
        if entries[0].zone == "system" and (learnt := _of_seeds([entry.record for entry in entries]))
    }
    if not found:
        return None
    figure, panels = new_panels(1, 2, PANEL, (GAP, 0))
    for axes, quantity, label in zip(
        panels[0], ("samples", "minutes"), ("samples seen", "minutes of training"), strict=True
    ):
        _draw(axes, found, quantity)
        axes.set(xlabel=label, ylabel="recall@10 of validation voices")
    title = f"{group.benchmark}: what is learnt in training, by the network of the training loss"
    write_title(figure, title, above=0.2)
    return figure


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
    floors = {name: float(curve[name].dropna().iloc[-1]) for name in LINES if name in curve}
    if not points:
        return None
    seen, minutes, recall = np.array(points, dtype=np.float64).T
    return Learning(seen, minutes, recall, floors)


def _of_seeds(records: Sequence[RunRecord]) -> list[Learning]:
    """Of the seeds that have as many validations as the first one."""
    found = [learnt for record in records if (learnt := learning_of(record))]
    return [one for one in found if len(one.recall) == len(found[0].recall)]


def _draw(axes: Axes, found: Mapping[str, Sequence[Learning]], quantity: str) -> None:
    ends: dict[str, tuple[float, float, object]] = {}
    for number, (name, seeds) in enumerate(found.items()):
        color, dashes = PALETTE[number % len(PALETTE)], DASHES[number // len(PALETTE) % len(DASHES)]
        recall = np.array([one.recall for one in seeds])
        places = np.mean([getattr(one, quantity) for one in seeds], axis=0)
        if not np.isfinite(places).all():
            continue
        look = {"color": color, "ls": dashes, "lw": 1.6, "marker": ".", "zorder": 3 - number / 100}
        axes.plot(places, recall.mean(axis=0), label=name, **look)  # over one that only goes on from it
        if len(seeds) > 1:
            axes.fill_between(places, recall.min(axis=0), recall.max(axis=0), color=color, alpha=BAND, lw=0)
        ends[name] = (places[-1], recall.mean(axis=0)[-1], color)
    for floor, (words, dashes) in LINES.items():
        values = [one.floors[floor] for seeds in found.values() for one in seeds if floor in one.floors]
        if values:
            axes.axhline(values[0], color="0.45", ls=dashes, lw=1.0)
            axes.annotate(
                words,
                (0, values[0]),
                (3, 2),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                fontsize="small",
                color="0.35",
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    )
    axes.set_ylim(bottom=0)
    name_ends(axes, ends)
