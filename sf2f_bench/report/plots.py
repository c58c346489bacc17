"""Pictures of a group of records, as PNG and as SVG that is the same on every run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from sf2f_bench.files import write_atomically
from sf2f_bench.protocols import BENCH
from sf2f_bench.records import ScoreRecord
from sf2f_bench.report.numbers import NOTHING, Column, likeness_columns, retrieval_columns
from sf2f_bench.report.selection import Group, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sf2f_bench.types import ByteArray

DOTS_PER_INCH = 150
PALETTE = [color for i, color in enumerate(sns.color_palette("colorblind")) if i != 7]  # 7 is grey: anchors
MARKERS = "osD^vP"
DASHES = ("solid", (0, (5, 2)), (0, (1, 1)), (0, (5, 2, 1, 2)))
ANCHOR_GREY = "0.62"
MOST_ASIDE = 1.17  # the last system's markers stand at this multiple of the first one's k
PALENESS = 0.55  # of an ablation's bar: share of white
REFERENCE_LINES = {  # anchor -> colour, dashes
    "chance": ("0.55", (0, (1, 2))),
    "gender-oracle": ("0.45", (0, (4, 2))),
    "linear-listener": ("0.35", (0, (6, 2, 1, 2))),
    "shared-factor-oracle": ("0.15", (0, (8, 3))),
    "real-photo-oracle": ("0.0", "solid"),
}
SIMILARITY = "validation_similarity"
NOT_LOSSES = ("stage", "step", "learning_rate", "lr", "seconds", SIMILARITY)
STYLE: Any = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("paper", font_scale=1.1),
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
    "svg.hashsalt": "sf2f-bench",
    "grid.color": "0.9",
    "text.parse_math": False,  # a label may hold dollar signs
}


def save_pictures(group: Group, folder: Path, stem: str) -> dict[str, list[Path]]:
    """Draw what the group has data for: ``{"recall" | "metrics" | "faces" | ...: [png, svg]}``."""
    saved = {}
    for name, draw in (
        ("recall", recall_figure),
        ("metrics", metrics_figure),
        ("faces", faces_figure),
        ("training", lambda group: training_figure(group, group.systems)),
        ("ablations", lambda group: training_figure(group, group.ablations)),
    ):
        with matplotlib.rc_context(STYLE):
            figure = draw(group)
            if figure is not None:
                saved[name] = _save(figure, folder / f"{stem}-{name}")
    return saved


def recall_figure(group: Group) -> Figure | None:
    """recall@k against k with 95 % intervals, between chance, the gender oracle and the ceilings."""
    curves = [(row, curve) for row in group.rows if (curve := _recall_curve(group, row))]
    if not curves:
        return None
    lines = sum(1 + _wrapped(row.label).count("\n") for row, _ in curves)
    figure, axes = _figure(7.6, max(4.4, 0.7 + 0.26 * lines))  # as high as the legend beside it
    systems = [row for row in group.systems if any(row is other for other, _ in curves)]
    for row, curve in curves:
        name = row.record.system.name
        reference = next((style for key, style in REFERENCE_LINES.items() if name.startswith(key)), None)
        if row.zone == "system":
            _draw_system(axes, curve, row.label, systems.index(row), len(systems))
        elif reference is not None:
            _draw_reference(axes, curve, row.label, reference)
    ks = sorted({k for _, curve in curves for k in curve})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:g}"))
    axes.set(ylim=(0, 1.02), xlabel="k", ylabel="recall@k")
    axes.set_title(_title(group, f"recall@k in {group.searched}"), loc="left")
    handles, labels = axes.get_legend_handles_labels()
    best_first = sorted(range(len(handles)), key=lambda i: -_last_height(handles[i]))
    axes.legend(
        [handles[i] for i in best_first],
        [_wrapped(labels[i]) for i in best_first],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
    )
    return figure


def metrics_figure(group: Group) -> Figure | None:
    """A panel of bars a metric with 95 % intervals; anchors in grey, ablations in their system's colour, paler."""
    columns = [column for column in (*retrieval_columns(group), *likeness_columns(group)) if column.plotted]
    columns = [
        column for column in columns if any(row.score(column.pattern, column.role) for row in group.rows)
    ]
    if not columns:
        return None
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    row_height = 0.36 if any("\n" in _wrapped(row.label) for row in group.rows) else 0.27  # inches
    height = down * (0.9 + row_height * len(group.rows))
    figure = Figure(figsize=(3.3 + 2.9 * across, height), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    colors = _bar_colors(group)
    for column, axes in zip(columns, panels, strict=False):
        _draw_bars(axes, group, column, colors)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    title = _title(group, "all metrics")
    if group.headline_role != "judge":
        title += f"; MI score: judge {group.extractor('judge') or 'none'}"
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def faces_figure(group: Group) -> Figure | None:
    """True and generated faces, a column an identity; None where the media may not be shown or none is kept."""
    if not group.rows[0].record.benchmark.media_shareable:
        return None
    strips = _strips(group)
    if not strips:
        return None
    count = len(strips[0][1])
    figure = Figure(figsize=(2.4 + 0.85 * count, 0.35 + 0.88 * len(strips)), layout="constrained")
    for axes, (label, faces) in zip(
        figure.subplots(len(strips), 1, squeeze=False).ravel(), strips, strict=True
    ):
        height, gap = faces.shape[2], max(1, faces.shape[3] // 24)
        padded = np.pad(faces, ((0, 0), (0, 0), (0, 0), (0, gap)), constant_values=255)
        axes.imshow(np.concatenate(list(padded.transpose(0, 2, 3, 1)), axis=1), interpolation="none")
        axes.set_axis_off()
        axes.text(-0.01, 0.5, _wrapped(label), transform=axes.transAxes, ha="right", va="center", fontsize=9)
        axes.set_ylim(height - 0.5, -0.5)
    figure.suptitle(f"{group.benchmark}: what the voice was turned into", x=0.01, ha="left")
    return figure


def face_identities(group: Group) -> tuple[str, ...]:
    """Whose faces the columns of `faces_figure` show, left to right: a system's where one drew any."""
    rows = (*group.systems, *group.rows)
    return next((row.record.files.face_identities for row in rows if row.record.files.face_identities), ())


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


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Figure, stem: Path) -> list[Path]:
    """PNG and SVG, without date and version, so that the same records give the same files."""
    FigureCanvasAgg(figure)
    figure.dpi = DOTS_PER_INCH
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is found by now: finding it again for each file is slow
    paths = []
    for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        save = partial(
            figure.savefig, dpi=DOTS_PER_INCH, metadata=metadata, bbox_inches="tight", pad_inches=0.1
        )
        paths.append(write_atomically(stem.with_name(f"{stem.name}.{ending}"), save))
    return paths


def _title(group: Group, subject: str) -> str:
    """Two lines: what is shown, and by whose eyes recall is."""
    name = {"judge": "judge", "training-loss": "network of the training loss"}[group.headline_role]
    place = group.benchmark if group.protocol == BENCH else group.title
    return f"{place}: {subject}\n{name} {group.extractor(group.headline_role) or 'none'}"


def _wrapped(label: str) -> str:
    """A long label on two lines, broken before its bracket or after a comma."""
    return (
        re.sub(r" \(|, ", lambda gap: "\n" + gap.group().strip(" ,"), label, count=1)
        if len(label) > 22
        else label
    )


def _recall_curve(group: Group, row: Row) -> dict[int, ScoreRecord]:
    """``{k: score}`` of the row's recall in galleries, by rising k."""
    found = {}
    for k in sorted(group.rows[0].record.benchmark.ks):
        score = row.score(f"recall@{k}/{group.gallery}", group.headline_role)
        if score is not None:
            found[k] = score
    return found


def _draw_system(axes: Axes, curve: dict[int, ScoreRecord], label: str, index: int, count: int) -> None:
    """A line with error bars, moved a little aside so that bars of several systems do not cover each other."""
    step = min(1.035, MOST_ASIDE ** (1 / max(1, count - 1)))
    aside = step ** (index - (count - 1) / 2)
    values = [score.value for score in curve.values()]
    axes.errorbar(
        [k * aside for k in curve],
        values,
        yerr=_error_bars(list(curve.values())),
        color=PALETTE[index % len(PALETTE)],
        ls=DASHES[index // len(PALETTE) % len(DASHES)],
        marker=MARKERS[index % len(MARKERS)],
        markersize=4.5,
        linewidth=1.8,
        capsize=2.5,
        label=label,
        zorder=3,
    )


def _draw_reference(axes: Axes, curve: dict[int, ScoreRecord], label: str, style: tuple[str, Any]) -> None:
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


def _error_bars(scores: Sequence[ScoreRecord | None]) -> np.ndarray:
    """``[2, N]`` distances from value to bounds; NaN (drawn as nothing) where there is no interval."""
    distances = [
        (max(0.0, score.value - score.interval[0]), max(0.0, score.interval[1] - score.value))
        if score is not None and score.interval is not None
        else (np.nan, np.nan)
        for score in scores
    ]
    return np.array(distances).T


def _last_height(handle: Any) -> float:
    """Where a legend's line starts, for the legend's order."""
    line = handle[0] if isinstance(handle, tuple) else handle
    return float(np.asarray(line.get_ydata())[0])


def _bar_colors(group: Group) -> list[Any]:
    systems = [id(row) for row in group.systems]

    def color(row: Row | None) -> Any:
        if row is None or row.zone not in ("system", "ablation"):
            return ANCHOR_GREY
        if row.zone == "ablation":
            whole = to_rgb(color(group.whole(row)))
            return tuple(PALENESS + (1 - PALENESS) * channel for channel in whole)
        return PALETTE[systems.index(id(row)) % len(PALETTE)]

    return [color(row) for row in group.rows]


def _draw_bars(axes: Axes, group: Group, column: Column, colors: list[Any]) -> None:
    scores = [row.score(column.pattern, column.role) for row in group.rows]
    labels = [_wrapped(row.label) for row in group.rows]
    values = [np.nan if score is None else score.value for score in scores]
    places = np.arange(len(scores))
    axes.barh(places, values, color=colors, height=0.72)
    axes.errorbar(
        values, places, xerr=_error_bars(scores), fmt="none", ecolor="0.15", elinewidth=1.0, capsize=2
    )
    for place, score in zip(places, scores, strict=True):
        if score is None:
            axes.annotate(NOTHING, (0, place), (3, 0), textcoords="offset points", va="center", color="0.5")
    higher = next(score.higher_is_better for score in scores if score is not None)
    axes.set_title(f"{column.heading} ({'higher' if higher else 'lower'} is better)", loc="left", fontsize=10)
    axes.set_yticks(places, labels)
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.locator_params(axis="x", nbins=5)


def _strips(group: Group) -> list[tuple[str, ByteArray]]:
    """(label, uint8 ``[K, 3, H, W]``) of the same identities: the truth first, then every row that drew faces.

    Every record that keeps faces keeps the true ones of the same people beside them.
    """
    wanted = face_identities(group)
    drawn: list[tuple[str, ByteArray]] = []
    truth: list[tuple[str, ByteArray]] = []
    for row in group.rows:
        true_faces, faces = row.record.faces("true_faces"), row.record.faces()
        if true_faces is not None:
            truth = [("true face", _in_order(true_faces, row, wanted))]
        if faces is not None:
            drawn.append((row.label, _in_order(faces, row, wanted)))
    return [*truth, *drawn]


def _in_order(faces: ByteArray, row: Row, wanted: tuple[str, ...]) -> ByteArray:
    """uint8 ``[K, 3, H, W]``: the row's faces of the wanted identities, white where it has none."""
    here = row.record.files.face_identities
    blank = np.full_like(faces[0], 255)
    return np.stack([faces[here.index(name)] if name in here else blank for name in wanted])


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
