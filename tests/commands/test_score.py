"""`sf2f-bench export-voices` and `sf2f-bench score`: another program's faces, from its voices to the table."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from sf2f_bench.commands.main import main
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.results.records import load_all
from sf2f_bench.runs import pipeline, stages
from sf2f_bench.types import DatasetSource

FEW = {"train": 12, "val": 2, "test": 12}
NAMED = ("--benchmark", "synthetic-64", "--name", "true photos")


def command(*words):
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the exported voices of a small world, and two photos of everybody as "drawn" faces."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "run.toml").write_text(
        f"gallery = 10\nks = [1, 2, 5]\ncache = '{folder}/cache'\nresults = '{folder}/results'\njobs = 1\n"
    )
    world = SyntheticWorld(DatasetSource(limits=FEW))
    with pytest.MonkeyPatch.context() as patch:
        for module in (stages, pipeline):
            patch.setattr(module, "dataset_of", lambda *_: world)
        done = command("export-voices", "--config", folder / "run.toml", "--out", folder / "voices")
        assert done.exit_code == 0, done.stderr
        for person in sorted((folder / "voices" / "test" / "voices").iterdir()):
            for number, photo in enumerate(world.photos(person.name)[:2]):
                path = folder / "faces" / person.name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(photo.image(64).transpose(1, 2, 0)).resize((128, 128)).save(path)
        yield folder


def records_of(folder, name="true photos"):
    return [record for record in load_all(folder / "results") if record.system.name == name]


def score_them(folder, *words):
    return command("score", folder / "faces", *NAMED, "--config", folder / "run.toml", *words)


def test_the_voices_of_everybody_are_there(workplace):
    with (workplace / "voices" / "test" / "segments.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["identity"] for row in rows}) == 12
    assert all((workplace / "voices" / "test" / row["recording"]).is_file() for row in rows)


def test_faces_from_elsewhere_stand_beside_the_anchors(workplace):
    done = score_them(workplace, "--description", "photos, not drawn")
    assert done.exit_code == 0, done.stderr
    for name in ("true photos", "chance", "gender-oracle", "mean-face", "real-photo-oracle"):
        assert name in done.stdout
    (mine,) = records_of(workplace)
    assert mine.system.description == "photos, not drawn"
    assert mine.audit
    judged = {item.metric: item.value for item in mine.scores if item.extractor_role == "judge"}
    assert judged["recall@1/g10"] > 0.9  # photos of the same people: the judge knows them
    assert not any("takes" in absent.reason for absent in mine.absent)
    notes = " ".join(mine.notes)
    assert "128x128 pixels resized to 64x64 (bilinear, antialiased): 24 pictures." in notes
    assert "the first two are the takes of the consistency" in notes
    again = score_them(workplace, "--description", "photos, not drawn")
    assert "nothing to do" in again.stderr
    assert len(records_of(workplace)) == 1


def test_other_pixels_are_another_record_and_a_fault_is_none(workplace):
    before = {record.key for record in records_of(workplace)}
    path = workplace / "faces" / "test-0000" / "0.png"
    kept = path.read_bytes()
    path.write_bytes(kept[:500])
    done = score_them(workplace)
    assert done.exit_code == 2
    assert "test-0000/0.png: cannot be read" in done.stderr
    assert {record.key for record in records_of(workplace)} == before
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
    assert score_them(workplace).exit_code == 0
    path.write_bytes(kept)
    assert len({record.key for record in records_of(workplace)} - before) == 1


def test_faces_with_red_and_blue_exchanged_are_named_and_scored_as_they_are(workplace):
    swapped = workplace / "swapped"
    for path in sorted((workplace / "faces").glob("*/0.png")):
        (swapped / path.parent.name).mkdir(parents=True)
        red, green, blue = Image.open(path).split()
        Image.merge("RGB", (blue, green, red)).save(swapped / path.parent.name / "0.png")
    options = ("--benchmark", "synthetic-64", "--name", "bgr", "--config", workplace / "run.toml")
    done = command("score", swapped, *options)
    assert done.exit_code == 0, done.stderr
    assert "Red and blue are most likely exchanged" in " ".join(done.stderr.split())
    (record,) = records_of(workplace, "bgr")
    assert any("Red and blue" in note for note in record.notes)
    (right,) = records_of(workplace)[-1:]
    assert not any("Red and blue" in note for note in right.notes)


def test_a_person_less_is_scored_with_partial_alone(workplace):
    person = workplace / "faces" / "test-0003"
    person.rename(workplace / "apart")
    done = score_them(workplace)
    assert done.exit_code == 2
    assert "1 of 12 test people have no picture (test-0003)" in done.stderr
    done = score_them(workplace, "--partial", "--name", "partial")
    (workplace / "apart").rename(person)
    assert done.exit_code == 0, done.stderr
    (record,) = records_of(workplace, "partial")
    assert {item.n for item in record.scores if item.metric == "recall@1/g10"} == {11}
    assert "Partial: 11 of 12 test people have a face; test-0003 are left out." in " ".join(record.notes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere", "--benchmark", "synthetic-64"), "nowhere is not a folder"),
        (("empty", "--benchmark", "synthetic-64", "--name", "sf2f-64"), "choose another --name"),
        (("empty", "--benchmark", "synthetic-64", "--name", " "), "--name is empty"),
        (("empty", "--benchmark", "sintetic-64"), "did you mean 'synthetic-64'"),
        (("empty",), "Missing option '--benchmark'"),
    ],
)
def test_wrong_input_gets_a_message_and_a_code(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = command("score", *words)
    assert done.exit_code == 2
    assert message in done.stderr
