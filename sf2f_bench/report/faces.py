"""The grid of true and generated faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.artist import Artist

from sf2f_bench.report.joined import systems
from sf2f_bench.report.style import DOTS_PER_INCH, new_figure, shifted, wrapped, write_title
from sf2f_bench.results.selection import Entry, Group, cached_per_group

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure

    from sf2f_bench.types import ByteArray

FACE = 128  # pixels of a face, about
PEOPLE, BEST = 8, 4  # people and systems at a glance


def faces_figure(group: Group) -> Figure | None:
    """True and generated faces, a column an identity; None where the media may not be shown or none is kept."""
    return _drawn(group, face_strips(group), "What was the voice turned into?")


def glance_figure(group: Group) -> Figure | None:
    """The first people's true faces and those of the best systems; None as for `faces_figure`, or without a system."""
    strips = [(label, faces[:PEOPLE]) for label, faces in glance_strips(group)]
    return _drawn(group, strips, "What do the best systems generate?") if len(strips) > 1 else None


def _drawn(group: Group, strips: list[tuple[str, ByteArray]], title: str) -> Figure | None:
    if not strips or not group.part.media_shareable:
        return None
    grid = _grid([faces for _, faces in strips])
    height, width, _ = grid.shape
    figure, axes = new_figure(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    axes.add_artist(Pixels(grid))
    left = shifted(axes, axes.transAxes, -4)
    for place, (label, _) in enumerate(strips):
        middle = 1 - (place + 0.5) / len(strips)
        axes.text(0, middle, wrapped(label), transform=left, ha="right", va="center", fontsize=9)
    axes.set_axis_off()
    people = "" if group.part.real else ", synthetic people"
    write_title(
        figure,
        title,
        0.1,
        f"{group.benchmark}{people}: a column each, the same voice for every row below the first",
    )
    return figure


class Pixels(Artist):
    """uint8 ``[H, W, 3]`` on a panel as it is: matplotlib's own images take long to sample it anew."""

    def __init__(self, pixels: ByteArray) -> None:
        super().__init__()
        self.pixels = pixels

    def draw(self, renderer: RendererBase) -> None:
        """From the panel's lower left corner on."""
        assert self.axes is not None
        corner = self.axes.get_window_extent(renderer)
        opaque = np.full_like(self.pixels[..., :1], 255)
        upwards = np.concatenate([self.pixels, opaque], axis=2)[::-1]
        renderer.draw_image(renderer.new_gc(), corner.x0, corner.y0, upwards)


def _grid(strips: list[ByteArray]) -> ByteArray:
    """``[H, W, 3]``: the strips ``[K, 3, h, w]`` below each other, small faces larger, with white between them."""
    every = np.stack(strips).transpose(0, 3, 1, 4, 2)  # [strips, h, K, w, 3]
    times = max(1, round(FACE / every.shape[3]))
    every = every.repeat(times, axis=1).repeat(times, axis=3)
    gap = max(1, every.shape[3] // 24)
    padded = np.pad(every, ((0, 0), (0, gap), (0, 0), (0, gap), (0, 0)), constant_values=255)
    rows, height, count, width, _ = padded.shape
    return padded.reshape(rows * height, count * width, 3)


def face_identities(group: Group) -> tuple[str, ...]:
    """Whose faces the columns of `faces_figure` show, left to right: those of a system where one keeps any."""
    shown = (entry.record.files.face_identities for entry in (*group.systems, *group.entries))
    return next(filter(None, shown), ())


@cached_per_group
def face_strips(group: Group) -> list[tuple[str, ByteArray]]:
    """(label, uint8 ``[K, 3, H, W]``) of the same identities: the truth, the systems, the anchors that draw faces.

    A system's faces are those of its first seed, the best system first. Every record that keeps faces keeps the true
    ones of the same people beside them.
    """
    wanted = face_identities(group)
    rows = [(drawn.name, drawn.entries[0]) for drawn in systems(group)]
    rows += [(entry.label, entry) for entry in group.entries if not entry.is_trained]
    generated: list[tuple[str, ByteArray]] = []
    truth: list[tuple[str, ByteArray]] = []
    for label, entry in rows:
        true_faces, faces = entry.record.faces("true_faces"), entry.record.faces()
        if true_faces is not None:
            truth = [("true face", _in_order(true_faces, entry, wanted))]
        if faces is not None:
            generated.append((label, _in_order(faces, entry, wanted)))
    return [*truth, *generated]


def glance_strips(group: Group) -> list[tuple[str, ByteArray]]:
    """The first rows of `face_strips`: the truth and the best systems."""
    names = {drawn.name for drawn in systems(group)}
    strips = face_strips(group)
    return strips[:1] + [strip for strip in strips[1:] if strip[0] in names][:BEST]


def _in_order(faces: ByteArray, entry: Entry, wanted: tuple[str, ...]) -> ByteArray:
    """uint8 ``[K, 3, H, W]``: the entry's faces of the wanted identities, white where it has none."""
    here = entry.record.files.face_identities
    blank = np.full_like(faces[0], 255)
    return np.stack([faces[here.index(name)] if name in here else blank for name in wanted])
