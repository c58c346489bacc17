"""Pictures of the reference records at the size at which the page shows them: no text on another, none too small."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import sf2f_bench
from sf2f_bench.report.pictures import FIGURES, MESSAGES
from sf2f_bench.report.style import PADDING, STYLE
from sf2f_bench.results.records import load
from sf2f_bench.results.selection import groups

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
CSS = Path(sf2f_bench.__file__).parent / "report" / "templates" / "page.css"
HALF, WHOLE = 640, 1000  # CSS pixels of a picture in one of two columns, and of one across both
SMALLEST = 8.0  # points
TOUCH = 1.0  # pixels that two boxes may share: boxes are taller than their letters
NAMES = [name for name in FIGURES if name not in ("faces", "glance")]


@pytest.fixture(scope="module")
def reference():
    folders = ("synthetic-64", "synthetic-128")
    paths = [path for name in folders for path in sorted((REFERENCE / name).glob("*.json"))]
    return groups([load(path) for path in paths])


@pytest.fixture(scope="module")
def drawn(reference):
    """``{(group, name): figure}``, each drawn once."""
    figures = {}
    with matplotlib.rc_context(STYLE):
        for i, group in enumerate(reference):
            for name in NAMES:
                if (figure := FIGURES[name](group)) is not None:
                    FigureCanvasAgg(figure)
                    figure.draw_without_rendering()
                    figures[i, name] = figure
    return figures


def texts_of(figure):
    """Every text that is seen: (words, points, box in pixels)."""
    unseen = {label for axes in figure.axes for label in labels_outside(axes)}
    shown = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip()]
    seen = [one for one in shown if one not in unseen and (one.axes is None or one.axes.axison)]
    return [  # boxes of the letters alone, without the line to what they name
        (one.get_text(), one.get_fontsize(), Text.get_window_extent(one)) for one in seen
    ]


def labels_outside(axes):
    """Labels of ticks beyond the limits, which are made and not drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


def overlaps(one, other):
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return width > TOUCH and height > TOUCH


def test_every_picture_is_among_those_of_the_reference(drawn):
    assert {name for _, name in drawn} == set(NAMES) - {"learning"}  # these records were made before it


@pytest.mark.parametrize("name", [name for name in NAMES if name != "learning"])
def test_no_text_lies_on_another(drawn, name):
    for (group, other), figure in drawn.items():
        if other == name:
            found = texts_of(figure)
            on_each_other = [
                (one, another) for (one, _, a), (another, _, b) in combinations(found, 2) if overlaps(a, b)
            ]
            assert not on_each_other, (group, name)


def test_an_overlap_would_be_found(drawn):
    figure = drawn[0, "recall"]
    axes = figure.axes[0]
    first = axes.texts[0]
    planted = axes.annotate("planted", first.xy, first.xyann, "data", first.anncoords)
    figure.draw_without_rendering()
    boxes = {words: box for words, _, box in texts_of(figure)}
    assert any(overlaps(boxes["planted"], box) for words, box in boxes.items() if words != "planted")
    planted.remove()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "learning"])
def test_letters_are_large_enough_where_the_page_shows_them(drawn, name):
    across = re.findall(
        r"\.pictures \.(\w+)", next(line for line in CSS.read_text().splitlines() if "1 / -1" in line)
    )
    shown = WHOLE if name in across else HALF
    for (group, other), figure in drawn.items():
        if other == name:
            outline = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
            scale = min(1.0, shown / (96 * (outline.width + 2 * PADDING)))
            smallest = min(points for _, points, _ in texts_of(figure))
            assert smallest * scale >= SMALLEST, (group, name, smallest, scale)


def test_every_picture_says_its_message(reference, drawn):
    assert set(MESSAGES) == set(FIGURES)
    for group, name in drawn:
        words = MESSAGES[name](reference[group])
        assert words.endswith(".")
        assert words.isprintable()
