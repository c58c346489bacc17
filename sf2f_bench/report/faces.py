"""The grid of true and generated faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from sf2f_bench.report.selection import Group, Row
from sf2f_bench.report.style import wrapped

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray


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
        axes.text(-0.01, 0.5, wrapped(label), transform=axes.transAxes, ha="right", va="center", fontsize=9)
        axes.set_ylim(height - 0.5, -0.5)
    figure.suptitle(f"{group.benchmark}: what the voice was turned into", x=0.01, ha="left")
    return figure


def face_identities(group: Group) -> tuple[str, ...]:
    """Whose faces the columns of `faces_figure` show, left to right: a system's where one drew any."""
    rows = (*group.systems, *group.rows)
    return next((row.record.files.face_identities for row in rows if row.record.files.face_identities), ())


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
