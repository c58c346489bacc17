"""What the pictures show, the picture of quality against identity, and pictures as data in a page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from sf2f_bench.report.columns import family_of
from sf2f_bench.report.plots import ANCHOR_GREY
from sf2f_bench.report.style import (
    MARKERS,
    PALETTE,
    PANEL,
    error_bars,
    legend_beside,
    new_figure,
    title_of,
)
from sf2f_bench.report.verdicts import chance, headline
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.selection import Group, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURES = {
    "recall": "Recall against k, with 95 % intervals",
    "scatter": "Quality against identity: Frechet distance against recall, with 95 % intervals",
    "strata": "Recall overall and among people who are alike, with 95 % intervals",
    "lengths": "Recall against the seconds of speech that were heard, with 95 % intervals",
    "metrics": "Retrieval, similarity and quality, with 95 % intervals",
    "faces": "True and generated faces, a column a test identity",
    "training": "Losses in training",
    "ablations": "Losses in training of the ablations",
}
DISTANCE = "frechet-distance"
MARGIN = 0.04  # below a distance of zero, so that the mark of the true photos is whole


def as_data(paths: Sequence[Path]) -> str:
    """The smaller of a picture's files as a data URI."""
    kinds = {".png": "image/png", ".svg": "image/svg+xml"}
    smallest = min(paths, key=lambda path: path.stat().st_size)
    return data_uri(kinds[smallest.suffix], smallest.read_bytes())


def data_uri(kind: str, content: bytes) -> str:
    """``data:image/png;base64,...``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def scatter_figure(group: Group) -> Figure | None:
    """The headline recall against the Frechet distance, a mark a row that draws faces; None without a system.

    By the judge, or where it has no distance (a protocol without one) by the network that has.
    """
    by = group.asked(DISTANCE) if group.headline_role != "judge" else "judge"
    points = [
        (row, recall, distance)
        for row in group.rows
        if (recall := headline(group, row)) and (distance := row.score(DISTANCE, by or "judge"))
    ]
    if not any(row.zone == "system" for row, _, _ in points):
        return None
    figure, axes = new_figure(*PANEL)
    drawn: dict[bool, int] = {True: 0, False: 0}
    for row, recall, distance in points:
        trained = row.zone in ("system", "ablation")
        _draw_point(axes, row, recall, distance, drawn[trained])
        drawn[trained] += 1
    axes.axvline(chance(group), color="0.4", ls=(0, (1, 1)), lw=1, label="chance", zorder=1)
    gender = headline(group, group.anchor("gender-oracle"))
    if gender is not None:
        axes.axvline(gender.value, color="0.4", ls=(0, (4, 2)), lw=1, label="gender-oracle", zorder=1)
    name = family_of(group.extractor(by or "judge") or by or "").frechet
    axes.set(
        xlabel=f"recall@{group.headline_k} (right is better)",
        ylabel=f"{name} distance (down is better)" if name == "Frechet" else f"{name} (down is better)",
    )
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=-MARGIN * max(distance.value for _, _, distance in points))
    axes.set_title(title_of(group, "quality against identity"), loc="left")
    legend_beside(axes, *axes.get_legend_handles_labels())
    return figure


def _draw_point(axes: Axes, row: Row, recall: ScoreRecord, distance: ScoreRecord, index: int) -> None:
    """Colour and shape tell the systems apart, shape alone the anchors."""
    trained = row.zone in ("system", "ablation")
    axes.errorbar(
        [recall.value],
        [distance.value],
        xerr=error_bars([recall]),
        yerr=error_bars([distance]),
        color=PALETTE[index % len(PALETTE)] if trained else ANCHOR_GREY,
        marker=MARKERS[(index + (0 if trained else 3)) % len(MARKERS)],
        markerfacecolor=None if row.zone != "ablation" else "white",
        ls="none",
        markersize=7,
        label=row.label,
        zorder=3 if trained else 2,
    )
