"""Curves of training: every loss against the step, and the similarity on the validation split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from math import inf
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sf2f_bench.report.style import DASHES, PALETTE, new_panels, paler, write_title
from sf2f_bench.results.selection import Entry, Group
from sf2f_bench.types.curve import PLACE, SIMILARITY, VALIDATION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sf2f_bench.types import FloatArray

PANEL = (3.0, 1.8)  # inches
GAPS = (1.5, 0.75)
BESIDE = 0.75  # inches to the legend, for the numbers of the similarity
TITLE_WIDTH = 44  # characters over a panel
MOST_WHITE = 0.5  # of the last seed's lines
MOST_TICKED = 100  # times as high as the lowest: above it ticks at powers of ten are enough
NOT_LOSSES = (*PLACE, *VALIDATION, "learning_rate", "lr", "seconds")


def training_figure(group: Group, entries: Sequence[Entry]) -> Figure | None:
    """Every logged loss against the step, a row a system, a column a stage; None without curves.

    The seeds of a system share its panels, the later ones paler.
    """
    curves = _curves(group, entries)
    if not curves:
        return None
    stages = {label: _stages(found.values()) for label, found in curves.items()}
    names = _names(curves)
    figure, panels = new_panels(len(curves), max(map(len, stages.values())), PANEL, GAPS)
    for (label, found), panels_of_row in zip(curves.items(), panels, strict=True):
        for stage, axes in zip_longest(stages[label], panels_of_row):
            if stage is None:
                axes.set_axis_off()
                continue
            of_stage = {seed: curve[curve["stage"] == stage] for seed, curve in found.items()}
            _draw_panel(axes, [curve for curve in of_stage.values() if len(curve)], names)
            axes.set_title(f"{label}\n{_with_seeds(stage, of_stage)}", loc="left")
    for column in panels.T:
        next(axes for axes in reversed(column) if axes.axison).set_xlabel("step")
    _write_legend(figure, names)
    title = f"{group.benchmark}: training"
    title += "; later seeds are paler" if any(len(found) > 1 for found in curves.values()) else ""
    write_title(figure, title, above=0.5)
    return figure


def _curves(group: Group, entries: Sequence[Entry]) -> dict[str, dict[int, pd.DataFrame]]:
    """Of each system by seed."""
    names = {entry: name for name, members in group.by_system.items() for entry in members}
    curves: dict[str, dict[int, pd.DataFrame]] = {}
    for entry in entries:
        if (curve := entry.record.curve()) is not None and len(curve):
            curves.setdefault(names[entry], {})[entry.record.seed] = curve
    return curves


def _names(curves: Mapping[str, Mapping[int, pd.DataFrame]]) -> list[str]:
    """Every loss; in the order of the fullest curve, so that systems and ablations have the same colours."""
    losses = [_losses(curve) for found in curves.values() for curve in found.values()]
    return list(dict.fromkeys(name for shown in sorted(losses, key=len, reverse=True) for name in shown))


def _stages(curves: Iterable[pd.DataFrame]) -> list[str]:
    return list(dict.fromkeys(stage for curve in curves for stage in curve["stage"].unique()))


def _with_seeds(stage: str, curves: Mapping[int, pd.DataFrame]) -> str:
    """``generator, seeds 0, 1``; the stage alone where there is one seed."""
    seeds = [str(seed) for seed, curve in curves.items() if len(curve)]
    return fill(f"{stage}, seeds {', '.join(seeds)}", TITLE_WIDTH) if len(curves) > 1 else stage


def _write_legend(figure: Figure, names: Sequence[str]) -> None:
    """Right of the panels; a line that is drawn later lies on top and is the darker one."""
    handles = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    order = [name for name in (*names, SIMILARITY) if name in handles]
    place = (1 + BESIDE / figure.get_figwidth(), 1)
    lines = [handles[name] for name in order]
    figure.legend(lines, order, loc="upper left", bbox_to_anchor=place, frameon=False)


def _losses(curve: pd.DataFrame) -> list[str]:
    return [name for name in curve.columns if name not in NOT_LOSSES and curve[name].notna().any()]


def _points(curve: pd.DataFrame, name: str) -> tuple[FloatArray, FloatArray]:
    """Steps and values where there is a value."""
    steps, values = curve["step"].to_numpy(), curve[name].to_numpy()
    here = ~np.isnan(values)
    return steps[here], values[here]


def _draw_panel(axes: Axes, curves: Sequence[pd.DataFrame], names: list[str]) -> None:
    """The losses of one stage by one system, seed by seed, and the similarity on an axis of its own at the right."""
    shares = [MOST_WHITE * i / max(1, len(curves) - 1) for i in range(len(curves))]
    lowest, highest = inf, 0.0
    for curve, white in zip(reversed(curves), reversed(shares), strict=True):  # the first lies on top
        shown = [name for name in _losses(curve) if name in names]
        _draw_losses(axes, curve, shown, names, white)
        lowest = min(lowest, curve[shown].min().min())
        highest = max(highest, curve[shown].max().max())
    if 0 < lowest < inf:
        axes.set_yscale("log")
        few = highest / lowest > MOST_TICKED
        axes.yaxis.set_major_locator(LogLocator(subs=(1,) if few else (1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.locator_params(axis="x", nbins=4)
    axes.set_ylabel("loss")
    if any(SIMILARITY in curve and curve[SIMILARITY].notna().any() for curve in curves):
        _draw_similarity(axes.twinx(), curves, shares)


def _draw_similarity(axes: Axes, curves: Sequence[pd.DataFrame], shares: Sequence[float]) -> None:
    """The mean cosine on the validation split."""
    for curve, white in zip(reversed(curves), reversed(shares), strict=True):
        if SIMILARITY in curve:
            color = paler("0.3", white)
            axes.plot(*_points(curve, SIMILARITY), "o--", color=color, markersize=3, label=SIMILARITY)
    axes.set_ylabel("similarity")
    axes.locator_params(axis="y", nbins=5)
    axes.grid(False)


def _draw_losses(
    axes: Axes, curve: pd.DataFrame, shown: Sequence[str], names: Sequence[str], white: float
) -> None:
    """One line a loss; its place in `names` decides colour and dashes."""
    for name in shown:
        index = names.index(name)
        steps, values = _points(curve, name)
        axes.plot(
            steps,
            values,
            color=paler(PALETTE[index % len(PALETTE)], white),
            ls=DASHES[index // len(PALETTE) % len(DASHES)],
            lw=1.2,
            marker="." if len(steps) < 4 else "",
            label=name,
        )
