"""What all pictures share: colours that the colour-blind tell apart, titles, labels, error bars, files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sf2f_bench.files import write_atomically
from sf2f_bench.protocols import BENCH
from sf2f_bench.records import ScoreRecord
from sf2f_bench.report.selection import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS_PER_INCH = 150
PALETTE = [color for i, color in enumerate(sns.color_palette("colorblind")) if i != 7]  # 7 is grey: anchors
MARKERS = "osD^vP"
DASHES = ("solid", (0, (5, 2)), (0, (1, 1)), (0, (5, 2, 1, 2)))
STYLE: Any = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("paper", font_scale=1.1),
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
    "svg.hashsalt": "sf2f-bench",
    "grid.color": "0.9",
    "text.parse_math": False,  # a label may hold dollar signs
}


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of one panel, in inches, whose layout makes room for what stands beside it."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def save_figure(figure: Figure, stem: Path) -> list[Path]:
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


def title_of(group: Group, subject: str) -> str:
    """Two lines: what is shown, and by whose eyes recall is."""
    name = {"judge": "judge", "training-loss": "network of the training loss"}[group.headline_role]
    place = group.benchmark if group.protocol == BENCH else group.title
    return f"{place}: {subject}\n{name} {group.extractor(group.headline_role) or 'none'}"


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
