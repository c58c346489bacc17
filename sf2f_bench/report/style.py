"""What all pictures share: colours that the colour-blind tell apart, titles, labels, error bars, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform
from scipy.optimize import isotonic_regression

from sf2f_bench.files import write_atomically
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.selection import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

DOTS_PER_INCH = 120
PADDING = 0.1  # inches around a picture
LEGEND_LINES = 26  # beside a panel
PANEL = (5.2, 4.4)  # inches
AS_FILE: dict[str, dict[str, Any]] = {
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
    "svg": {"metadata": {"Date": None}},
}
PALETTE = [color for i, color in enumerate(sns.color_palette("colorblind")) if i != 7]  # 7 is grey: anchors
MARKERS = "osD^vP"
ENDS_APART = 14  # names of lines that fit beside a panel
DASHES = ("solid", (0, (5, 2)), (0, (1, 1)), (0, (5, 2, 1, 2)))
STYLE: Any = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("paper", font_scale=1.1),
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
    "svg.hashsalt": "sf2f-bench",
    "grid.color": "0.9",
    "text.parse_math": False,  # a label may hold dollar signs
    "text.hinting": "none",  # at this resolution letters need no fitting to pixels, which takes long
    "axes.titley": 1.0,  # a title's place is not sought among all that is drawn
}


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of one panel of this size, in inches; what stands around it lies outside the figure.

    `save_figure` takes it in: so no layout has to be found, and a long label or legend shrinks no panel.
    """
    figure, panels = new_panels(1, 1, (width, height), (0, 0))
    return figure, panels[0, 0]


def new_panels(
    down: int, across: int, size: tuple[float, float], gaps: tuple[float, float]
) -> tuple[Figure, NDArray[np.object_]]:
    """A figure of panels ``[down, across]`` of this (width, height), this far apart, all in inches."""
    (width, height), (beside, below) = size, gaps
    figure = Figure(figsize=(across * width + (across - 1) * beside, down * height + (down - 1) * below))
    edges = {"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": beside / width, "hspace": below / height}
    return figure, figure.subplots(down, across, squeeze=False, gridspec_kw=edges)


def name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Labels of the places 0, 1, ... left of a panel: texts, because ticks take three times as long."""
    left = shifted(axes, axes.get_yaxis_transform(), -6)
    size = matplotlib.rcParams["ytick.labelsize"]
    for place, label in enumerate(labels):
        axes.text(0, place, label, transform=left, ha="right", va="center", fontsize=size)


def name_ends(axes: Axes, ends: Mapping[str, tuple[float, float, Any]]) -> None:
    """Names right of a panel, each beside the end ``(x, y, colour)`` of its line as far as there is room for all."""
    low, high = axes.get_ylim()
    order = sorted(ends, key=lambda name: ends[name][1])
    places = spread([(ends[name][1] - low) / (high - low) for name in order], 1 / max(len(order), ENDS_APART))
    for name, place in zip(order, places, strict=True):
        x, y, color = ends[name]
        line = {"arrowstyle": "-", "color": paler(color, 0.5), "lw": 0.6}
        axes.annotate(
            name,
            (x, y),
            (1.04, place),
            "data",
            "axes fraction",
            line,
            color=color,
            fontsize="small",
            va="center",
        )


def spread(places: Sequence[float], apart: float) -> NDArray[np.float64]:
    """Rising places, moved as little as possible (least squares) until neighbours are so far `apart`."""
    steps = apart * np.arange(len(places))
    return isotonic_regression(np.asarray(places) - steps).x + steps


def shifted(axes: Axes, places: Transform, points: float) -> Transform:
    """The same places, so many points further to the right."""
    return places + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def write_title(figure: Figure, text: str, above: float) -> None:
    """A title over all panels, so many inches above the first row."""
    figure.text(0, 1 + above / figure.get_figheight(), text, ha="left", va="bottom", fontsize="large")


def save_figure(figure: Figure, stem: Path, endings: Sequence[str] = ("png", "svg")) -> list[Path]:
    """PNG and SVG with all that is drawn, without date and version, so that the same records give the same files."""
    figure.dpi = DOTS_PER_INCH
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if not axis.get_label_text():
            axis.set_label_coords(0, 0)  # else its place is sought among the numbers of the axis
    outline = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()).padded(PADDING)
    paths = []
    for ending in endings:
        save = partial(figure.savefig, dpi=DOTS_PER_INCH, bbox_inches=outline, **AS_FILE[ending])
        paths.append(write_atomically(stem.with_name(f"{stem.name}.{ending}"), save))
    return paths


def title_of(group: Group, subject: str) -> str:
    """Two lines: what is shown, and which network scored it."""
    role = group.protocol.headline_role
    name = "judge" if role == "judge" else "network of the training loss"
    place = group.benchmark if group.protocol.is_default else group.title
    return f"{place}: {subject}\n{name} {group.extractor(role) or 'none'}"


def legend_beside(axes: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Right of a panel, in as many columns as keep it about as tall as the panel."""
    lines = [wrapped(label) for label in labels]
    columns = -(-sum(1 + line.count("\n") for line in lines) // LEGEND_LINES)
    axes.legend(handles, lines, ncols=columns, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)


def paler(color: Any, white: float) -> tuple[float, ...]:
    """The colour with this share of white."""
    return tuple(white + (1 - white) * channel for channel in to_rgb(color))


def wrapped(label: str) -> str:
    """A long label on two lines, broken before its bracket, or after a comma where it has none."""
    if len(label) <= 22:
        return label
    return label.replace(" (", "\n(", 1) if " (" in label else label.replace(", ", ",\n", 1)


def error_bars(scores: Sequence[ScoreRecord | None]) -> np.ndarray:
    """``[2, N]`` distances from value to bounds; NaN (drawn as nothing) where there is no interval."""
    distances = [
        (max(0.0, score.value - score.interval[0]), max(0.0, score.interval[1] - score.value))
        if score is not None and score.interval is not None
        else (np.nan, np.nan)
        for score in scores
    ]
    return np.array(distances).T
