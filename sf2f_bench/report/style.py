"""What all pictures share: colours that the colour-blind tell apart, titles, labels, error bars, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise, zip_longest
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform
from scipy.optimize import isotonic_regression

from sf2f_bench.files import write_atomically
from sf2f_bench.report.joined import common_budget, common_width
from sf2f_bench.results.selection import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

DOTS_PER_INCH = 120
PADDING = 0.1  # inches around a picture
PANEL = (4.4, 4.0)  # inches of a picture with names beside it: 6.6 in all, half the width of the page
AS_FILE: dict[str, dict[str, Any]] = {
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
    "svg": {"metadata": {"Date": None}},
}
PALETTE = [color for i, color in enumerate(sns.color_palette("colorblind")) if i != 7]  # 7 is grey: anchors
MARKERS = "osD^vP"
LINE_COLORS = [PALETTE[i] for i in (0, 3, 2, 4, 8, 1, 5)]  # without those that are too pale for a line
GREY = "0.55"  # of anchors
INK, PALE_INK = "0.15", "0.35"
INK_SHARE = 0.42  # of black in letters that have a line's colour
NAMES_BESIDE = 1.05  # of a panel's width: where the names of lines begin
NAME_WIDTH = 26  # characters of a line's name before it is broken
TOP_WIDTH, TOPS_APART = 13, 1.0  # characters of a name above a panel before it is broken; inches between two
LINE_HEIGHT = 11.5  # points, of small letters
ORIGIN_WIDTH = 92  # characters under a title
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


def name_rows(axes: Axes, labels: Sequence[str], colors: Sequence[Any] = ()) -> None:
    """Labels of the places 0, 1, ... left of a panel: texts, because ticks take three times as long."""
    left = shifted(axes, axes.get_yaxis_transform(), -6)
    for place, (label, color) in enumerate(zip_longest(labels, colors, fillvalue=INK)):
        axes.text(0, place, label, transform=left, ha="right", va="center", fontsize="small", color=color)


def name_ends(axes: Axes, ends: Mapping[str, tuple[float, float, Any]], width: int = NAME_WIDTH) -> None:
    """Names right of a panel, each as near the end ``(x, y, colour)`` of its line as leaves room for all.

    width: characters of a name before it is broken. The limits of the panel are set before.
    """
    if not ends:
        return
    order = sorted(ends, key=lambda name: ends[name][1])
    texts = [fill(name, width) for name in order]
    line = LINE_HEIGHT / 72 / size_of(axes)[1]
    heights = [line * (1 + text.count("\n")) for text in texts]
    apart = [(below + above) / 2 for below, above in pairwise(heights)]
    heights_of_ends = axes.transAxes.inverted().transform(
        axes.transData.transform([ends[name][:2] for name in order])
    )
    places = spread(heights_of_ends[:, 1], apart)
    below = np.cumsum([heights[-1] / 2, *apart[::-1]])[::-1]  # of the panel's top, where a title stands
    places = np.minimum(places, 1.0 - below)
    for name, text, place in zip(order, texts, places, strict=True):
        x, y, color = ends[name]
        axes.annotate(
            text,
            (x, y),
            (NAMES_BESIDE, place),
            "data",
            "axes fraction",
            {"arrowstyle": "-", "color": color, "lw": 0.7, "shrinkA": 2, "shrinkB": 0, "relpos": (0, 0.5)},
            color=inked(color),
            fontsize="small",
            va="center",
        )


def name_tops(axes: Axes, tops: Mapping[str, float]) -> None:
    """Names above a panel, each as near its upright line as leaves room for all."""
    low, high = axes.get_xlim()
    order = sorted(tops, key=tops.__getitem__)
    width, height = size_of(axes)
    apart = TOPS_APART / width
    places = spread([(tops[name] - low) / (high - low) for name in order], apart) if order else ()
    for name, place in zip(order, places, strict=True):
        axes.annotate(
            fill(name, TOP_WIDTH),
            (tops[name], 1.0),
            (place, 1 + 0.14 / height),
            ("data", "axes fraction"),
            "axes fraction",
            {"arrowstyle": "-", "color": "0.7", "lw": 0.6},
            ha="center",
            va="bottom",
            fontsize="small",
            color=PALE_INK,
        )


def spread(places: ArrayLike, apart: float | Sequence[float]) -> NDArray[np.float64]:
    """Rising places, moved as little as possible (least squares) until neighbours are so far `apart`.

    apart: of all neighbours, or one number for each two.
    """
    between = np.broadcast_to(np.asarray(apart, dtype=np.float64), (np.size(places) - 1,))
    steps = np.concatenate([[0.0], np.cumsum(between)])
    return isotonic_regression(np.asarray(places) - steps).x + steps


def size_of(axes: Axes) -> tuple[float, float]:
    """Width and height of a panel in inches."""
    figure, box = axes.figure, axes.get_position()
    assert isinstance(figure, Figure)
    width, height = figure.get_size_inches()
    return box.width * width, box.height * height


def shifted(axes: Axes, places: Transform, points: float) -> Transform:
    """The same places, so many points further to the right."""
    return places + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def write_title(figure: Figure, text: str, above: float, below: str = "") -> None:
    """A title over all panels, so many inches above the first row; below: smaller, under it."""
    bottom = above + (LINE_HEIGHT * (1 + below.count("\n")) / 72 if below else 0)
    height = figure.get_figheight()
    figure.text(0, 1 + bottom / height, text, ha="left", va="bottom", fontsize="large")
    figure.text(0, 1 + above / height, below, ha="left", va="bottom", fontsize="small", color=PALE_INK)


def save_figure(
    figure: Figure, stem: Path, endings: Sequence[str] = ("png", "svg"), message: str = ""
) -> list[Path]:
    """PNG and SVG with all that is drawn, without date and version, so that the same records give the same files.

    message: what the picture says, in words, as the files' title.
    """
    figure.dpi = DOTS_PER_INCH
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if not axis.get_label_text():
            axis.set_label_coords(0, 0)  # else its place is sought among the numbers of the axis
    outline = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()).padded(PADDING)
    paths = []
    for ending in endings:
        kind = AS_FILE[ending]
        kind = {**kind, "metadata": {**kind["metadata"], **({"Title": message} if message else {})}}
        save = partial(figure.savefig, dpi=DOTS_PER_INCH, bbox_inches=outline, **kind)
        paths.append(write_atomically(stem.with_name(f"{stem.name}.{ending}"), save))
    return paths


def origin_of(group: Group, *more: str, width: int = ORIGIN_WIDTH, role: str = "") -> str:
    """Below a title: the benchmark, what else there is to say, the width of all systems and the budget of most, and
    which network scored.

    width: characters of a line; lines end between two parts where they can. role: of the network, where it is not that
    of the headline.
    """
    role, channels = role or group.protocol.headline_role, common_width(group)
    network = "judge" if role == "judge" else "network of the training loss"
    parts = [
        group.benchmark if group.protocol.is_default else group.title,
        *more,
        f"systems at width {channels:g}" if channels not in (None, 1.0) else "",
        f"of budget {budget} where no other is named" if (budget := common_budget(group)) else "",
        f"{network} {group.extractor(role) or 'none'}",
    ]
    lines: list[str] = []
    for part in filter(None, parts):
        if lines and len(lines[-1]) + len(part) + 2 <= width:
            lines[-1] += f"; {part}"
        else:
            lines += [fill(part, width, break_long_words=False, break_on_hyphens=False)]
    return "\n".join(lines)


def look_of(index: int) -> dict[str, Any]:
    """Colour, dashes and marker of the system in this place: no two of 28 share colour and dashes."""
    return {
        "color": LINE_COLORS[index % len(LINE_COLORS)],
        "ls": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def inked(color: Any) -> tuple[float, ...]:
    """The colour, dark enough for letters on white."""
    return tuple((1 - INK_SHARE) * channel for channel in to_rgb(color))


def wrapped(label: str) -> str:
    """A long label on two lines, broken before its bracket, or after a comma where it has none."""
    if len(label) <= 22:
        return label
    return label.replace(" (", "\n(", 1) if " (" in label else label.replace(", ", ",\n", 1)
