"""A stranger's system that draws its faces, from one file through the main job: generated, scored, shown, known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sf2f_bench.results.records import load_all
from tests.commands.program import SMOKE, call, made_once, start_from
from tests.unit import drawing

RUN = (*SMOKE, "--models", "drawing.py:Drawing", "--models", "drawing.py:Plain", "--steps", "3")
OF_DRAWS = {
    "recall@10/g100/best-of-2",
    "recall@10/g100/best-of-3",
    "recall@10/g100/mean-of-3",
    "verification-auc/mean-of-3",
    "diversity/one-voice",
    "diversity/one-voice/relative",
}


@pytest.fixture(scope="module")
def drawn(anchored, tmp_path_factory):
    """A folder in which the system that draws and the one that does not have been run with three draws."""

    def make(folder: Path) -> None:
        start_from(anchored, folder, with_results=True)
        shutil.copy(drawing.__file__, folder / "drawing.py")
        done = call(folder, *RUN, "--draws", "3", "--full")
        assert done.returncode == 0, done.stderr
        assert "drawn by drawing (3); all other rows have one draw" in " ".join(done.stdout.split())

    return made_once(tmp_path_factory, "drawn", make)


def record_of(folder, name):
    return max(
        (record for record in load_all(folder / "results") if record.system.name == name),
        key=lambda record: record.created,
    )


def test_the_record_of_what_draws_has_its_metrics_and_pictures_and_no_other_has(drawn):
    record, plain = record_of(drawn, "drawing"), record_of(drawn, "plain")
    found = {score.metric for score in record.scores}
    assert found >= OF_DRAWS
    assert found - OF_DRAWS == {score.metric for score in plain.scores}
    assert not OF_DRAWS & {absent.metric for absent in (*record.absent, *plain.absent)}
    assert record.draws().shape == (6, 3, 3, 64, 64)
    np.testing.assert_array_equal(record.draws()[:, 0], record.faces()[:6])
    assert plain.draws() is None
    text = next((drawn / "results").rglob(f"{plain.stem}.json")).read_text(encoding="utf-8")
    assert not {"draws", "best-of", "mean-of"} & set(json.loads(text)["files"])
    assert "best-of" not in text
    for trained in (record, plain):
        assert trained.cost.parameters == 2 * 40 * 8 + 8 + 8 * 3 * 64 * 64 + 3 * 64 * 64
        assert trained.cost.operations_per_face == 2 * (2 * 40 * 8 + 8 * 3 * 64 * 64)
        assert trained.cost.seconds_per_face > 0
    assert record_of(drawn, "chance").cost.parameters is None


def test_every_form_of_the_report_has_the_table_and_the_other_commands_go_on(drawn):
    done = call(drawn, "report", "results")
    assert done.returncode == 0, done.stderr
    (page,) = drawn.rglob("report.html")
    for name in ("report.html", "report.md", "table.tex", "table.txt"):
        assert "One voice, several faces, by the judge" in (page.parent / name).read_text(encoding="utf-8"), (
            name
        )
    text = page.read_text(encoding="utf-8")
    assert text.count("Several faces for this voice by drawing") == 6
    assert 'alt="draw 3 of 3 for the voice of test-0000 by drawing"' in text
    for words in (
        ("validate", "results"),
        ("migrate", "results"),
        ("export", "--out", "scores.csv"),
        ("compare", "drawing", "plain", "results"),
    ):
        done = call(drawn, *words)
        assert done.returncode == 0, (words, done.stderr)
    shutil.copytree(drawn / "results", drawn / "reference", dirs_exist_ok=True)
    done = call(drawn, "check", "results", "--against", "reference")
    assert done.returncode == 2  # one seed says nothing of how far another moves a number
    assert "CANNOT TELL: drawing" in done.stdout
    assert "recall@10/g100/best-of-3" in (drawn / "scores.csv").read_text(encoding="utf-8")


def test_another_number_of_draws_is_another_record_of_the_same_faces(drawn, tmp_path):
    drawn = shutil.copytree(drawn, tmp_path / "again")
    before, plain = record_of(drawn, "drawing"), record_of(drawn, "plain")
    assert "nothing to do" in call(drawn, *RUN, "--draws", "3").stderr
    done = call(drawn, *RUN, "--draws", "4")
    assert done.returncode == 0, done.stderr
    after = record_of(drawn, "drawing")
    assert after.key != before.key
    assert record_of(drawn, "plain").key == plain.key
    np.testing.assert_array_equal(after.draws()[:, :3], before.draws())
    np.testing.assert_array_equal(after.faces(), before.faces())
    one, other = ({score.metric: score.value for score in record.scores} for record in (before, after))
    assert {name: value for name, value in one.items() if name not in OF_DRAWS} == {
        name: value for name, value in other.items() if name in one and name not in OF_DRAWS
    }
    assert one["recall@10/g100/best-of-2"] == other["recall@10/g100/best-of-2"]
