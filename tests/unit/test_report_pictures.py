"""A report's pictures: the same files whoever draws them, and clear words where a process that draws is lost."""

from __future__ import annotations

import io
import os
import time
from concurrent.futures import wait

import numpy as np
import pytest
from PIL import Image
from record_factory import ANCHORS, record, saved
from rich.console import Console

from sf2f_bench.report import pictures, summary, write_report
from sf2f_bench.report.faces import _grid, face_strips, faces_figure
from sf2f_bench.report.notes import notes
from sf2f_bench.report.pictures import Drawing, PicturePlan, worthwhile
from sf2f_bench.report.tables import tables
from sf2f_bench.results.selection import groups
from sf2f_bench.types import BenchError


@pytest.fixture(scope="module")
def two_groups(tmp_path_factory):
    """A system with faces and curves between two anchors; the second group has another image size."""
    folder = tmp_path_factory.mktemp("records")
    made = [record("sf2f-64"), *(record(name, *ANCHORS[name]) for name in ("chance", "real-photo-oracle"))]
    made = [saved(one, folder, faces=one.system.name != "chance", curve=True) for one in made]
    part = made[0].benchmark.model_copy(update={"name": "synthetic-128", "image_size": 128})
    return groups([*made, saved(record("sf2f-128", benchmark=part), folder, curve=True)])


@pytest.fixture(scope="module")
def alone(two_groups, tmp_path_factory):
    """(folder, what `finish` gives) without another process."""
    folder = tmp_path_factory.mktemp("alone")
    with Drawing(PicturePlan(two_groups, ("first", "second"), folder), processes=0) as drawing:
        return folder, drawing.finish()


def test_another_process_draws_the_same_bytes(two_groups, alone, tmp_path):
    folder, drawn = alone
    with Drawing(PicturePlan(two_groups, ("first", "second"), tmp_path), processes=1) as drawing:
        wait(drawing._futures.values(), 60)  # it has drawn everything
        assert not any(map(drawing._is_left, drawing._pieces))
        found = drawing.finish()
    assert [list(of_group) for of_group in found] == [list(of_group) for of_group in drawn]
    files = sorted(path.name for path in folder.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert {path.name for of_group in found for paths in of_group.values() for path in paths} == set(files)
    for name in files:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_several_processes_share_the_pieces(two_groups, alone, tmp_path):
    with Drawing(PicturePlan(two_groups, ("first", "second"), tmp_path), processes=2) as drawing:
        found = drawing.finish()
    assert [list(of_group) for of_group in found] == [list(of_group) for of_group in alone[1]]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in alone[0].iterdir()}


def finish_after_the_helper(drawing, monkeypatch):
    """With what the helper did or failed to do; this process has nothing to draw."""
    wait(drawing._futures.values(), 60)
    monkeypatch.setattr(PicturePlan, "draw", lambda plan, *piece: [])
    drawing.finish()


def test_a_lost_process_is_said_in_words(two_groups, tmp_path, monkeypatch):
    monkeypatch.setattr(PicturePlan, "draw", lambda plan, *piece: os._exit(1))
    with (
        Drawing(PicturePlan(two_groups, ("first", "second"), tmp_path), processes=1) as drawing,
        pytest.raises(BenchError, match="drew pictures of the report crashed or was ended"),
    ):
        finish_after_the_helper(drawing, monkeypatch)


def test_what_drawing_raises_elsewhere_is_raised_here(two_groups, tmp_path, monkeypatch):
    closed = tmp_path / "a-file-and-no-folder"
    closed.write_text("")
    with (
        Drawing(PicturePlan(two_groups, ("first", "second"), closed), processes=1) as drawing,
        pytest.raises(BenchError, match="a-file-and-no-folder cannot be written to"),
    ):
        finish_after_the_helper(drawing, monkeypatch)


def test_nobody_goes_on_drawing_when_the_caller_fails(two_groups, tmp_path, monkeypatch):
    monkeypatch.setattr(PicturePlan, "draw", lambda plan, *piece: time.sleep(60))
    with (
        pytest.raises(ZeroDivisionError),
        Drawing(PicturePlan(two_groups, ("first", "second"), tmp_path), processes=1) as drawing,
    ):
        raise ZeroDivisionError
    assert len(drawing._helpers) == 1
    assert not any(helper.is_alive() for helper in drawing._helpers)


@pytest.mark.parametrize(
    ("cores", "records", "expected"), [(2, 9, 0), (2, 100, 1), (1, 100, 0), (64, 100, 10)]
)
def test_as_many_processes_as_are_worth_it(cores, records, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "cpu_count", lambda: cores)
    monkeypatch.setattr(pictures, "active_count", lambda: 1)
    (group,) = groups([record(seed=seed, key=f"{seed}") for seed in range(records)])
    plan = PicturePlan([group], ["a"], tmp_path)
    assert worthwhile(plan) == (expected if pictures.CAN_COPY else 0)
    monkeypatch.setattr(
        pictures, "active_count", lambda: 2
    )  # a copy would have this thread's locks without it
    assert worthwhile(plan) == 0


@pytest.mark.parametrize(("size", "times"), [(48, 3), (128, 1), (224, 1)])
def test_the_grid_of_faces_keeps_every_pixel(size, times):
    faces = np.random.default_rng(0).integers(0, 255, (3, 4, 3, size, size), dtype=np.uint8)
    grid = _grid(list(faces))
    gap = size * times // 24
    step = size * times + gap
    assert grid.shape == (3 * step, 4 * step, 3)
    for i, strip in enumerate(faces):
        for j, face in enumerate(strip):
            shown = grid[step * i : step * (i + 1) - gap, step * j : step * (j + 1) - gap]
            np.testing.assert_array_equal(
                shown, face.transpose(1, 2, 0).repeat(times, axis=0).repeat(times, axis=1)
            )
    for place in range(1, 4):
        assert (grid[step * place - gap : step * place] == 255).all()
        assert (grid[:, step * place - gap : step * place] == 255).all()


def test_the_faces_stand_in_the_picture_pixel_by_pixel(two_groups, alone):
    with Image.open(alone[0] / "first-faces.png") as image:
        picture = np.asarray(image.convert("RGB"))
    grid = _grid([faces for _, faces in face_strips(two_groups[0])])
    height, width, _ = grid.shape
    first = np.argwhere((picture[:, :, None] == grid[None, None, 0, 0]).all(axis=-1).squeeze(-1))
    assert any(np.array_equal(picture[y : y + height, x : x + width], grid) for y, x in first)


def test_labels_of_faces_stand_beside_their_strips(two_groups):
    axes = faces_figure(two_groups[0]).axes[0]
    places = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert places == pytest.approx({"true face": 5 / 6, "sf2f-64": 3 / 6, "real-photo-oracle": 1 / 6})


def test_faces_are_drawn_as_png_alone_and_all_else_as_both(alone):
    _, (first, second) = alone
    for drawn in (first, second):
        for name, paths in drawn.items():
            assert [path.suffix for path in paths] == (
                [".png"] if name in ("faces", "glance") else [".png", ".svg"]
            )
            with Image.open(paths[0]) as image:
                assert min(image.size) > 200
    assert "faces" in first
    assert "faces" not in second


# ---------------------------------------------------------------- what is made once


def test_tables_and_notes_of_a_group_are_made_once(two_groups):
    for make in (tables, notes):
        assert make(two_groups[0]) is make(two_groups[0])
        assert make(two_groups[0]) is not make(two_groups[1])


def test_the_console_shows_the_summary_beside_the_files(two_groups, tmp_path):
    records = [row.record for group in two_groups for row in group.entries]
    printed, beside = io.StringIO(), io.StringIO()
    summary(records, Console(file=printed, width=100))
    write_report(records, tmp_path, Console(file=beside, width=100))
    assert beside.getvalue() == printed.getvalue()
