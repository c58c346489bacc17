"""Curves of training: every loss against the step, and the similarity on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sf2f_bench.report.selection import Group, Row
from sf2f_bench.report.style import DASHES, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIMILARITY = "validation_similarity"
NOT_LOSSES = ("stage", "step", "learning_rate", "lr", "seconds", SIMILARITY)


def training_figure(group: Group, rows: Sequence[Row]) -> Figure | None:
    """Every logged loss against the step, a row a system, a column a stage; None without curves."""
    curves = [(row, curve) for row in rows if (curve := row.record.curve()) is not None and len(curve)]
    if not curves:
        return None
    stages = {row.label: list(dict.fromkeys(curve["stage"])) for row, curve in curves}
    across = max(len(names) for names in stages.values())
    names = list(dict.fromkeys(name for _, curve in curves for name in _losses(curve)))
    figure = Figure(figsize=(2.6 + 4.0 * across, 0.5 + 2.7 * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), across, squeeze=False)
    for (row, curve), panels_of_row in zip(curves, panels, strict=True):
        for axes in panels_of_row[len(stages[row.label]) :]:
            axes.set_axis_off()
        for stage, axes in zip(stages[row.label], panels_of_row, strict=False):
            of_stage = curve[curve["stage"] == stage]
            _draw_losses(axes, of_stage, names)
            if SIMILARITY in of_stage and of_stage[SIMILARITY].notna().any():
                _draw_similarity(axes.twinx(), of_stage[["step", SIMILARITY]].dropna())
            axes.set_title(f"{row.label}\n{stage}", loc="left")
    handles = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    order = [name for name in (*names, SIMILARITY) if name in handles]
    figure.legend([handles[name] for name in order], order, loc="outside right upper", frameon=False)
    figure.suptitle(f"{group.benchmark}: training", x=0.01, ha="left")
    return figure


def _losses(curve: pd.DataFrame) -> list[str]:
    return [name for name in curve.columns if name not in NOT_LOSSES and curve[name].notna().any()]


def _draw_similarity(axes: Axes, points: pd.DataFrame) -> None:
    """The mean cosine on the validation split, on an axis of its own at the right."""
    axes.plot(points["step"], points[SIMILARITY], "o--", color="0.35", markersize=3, label=SIMILARITY)
    axes.set_ylabel("similarity")
    axes.grid(False)


def _draw_losses(axes: Axes, curve: pd.DataFrame, names: list[str]) -> None:
    """One line a loss; logarithmic where every value allows it."""
    shown = [name for name in names if name in curve and curve[name].notna().any()]
    for name in shown:
        index = names.index(name)
        points = curve[["step", name]].dropna()
        axes.plot(
            points["step"],
            points[name],
            color=PALETTE[index % len(PALETTE)],
            ls=DASHES[index // len(PALETTE) % len(DASHES)],
            lw=1.4,
            marker="." if len(points) < 4 else "",
            label=name,
        )
    if shown and (curve[shown].min().min() > 0):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set(xlabel="step", ylabel="loss")
