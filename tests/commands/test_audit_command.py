"""`sf2f-bench audit` as a user types it: what it says, what it writes, and its exit code."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner
from PIL import Image

from sf2f_bench.commands.audit import audit
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.runs import stages
from sf2f_bench.types import DatasetSource
from tests.layouts import lay_out_hq_voxceleb
from tests.tiny import TinyDataset


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*words):
        done = CliRunner().invoke(audit, [*map(str, words), "--jobs", "1"])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, " ".join(done.stdout.split())

    return invoke


def test_the_embedded_world_is_clean(command, tmp_path, monkeypatch):
    few = {"train": 3, "val": 1, "test": 4}
    monkeypatch.setattr(stages, "dataset_of", lambda *_: SyntheticWorld(DatasetSource(limits=few)))
    code, text = command("--json", tmp_path / "findings.json")
    assert code == 0
    assert "Nobody is in two splits (train 3, val 1, test 4 people)." in text
    assert "4 test people cannot fill a gallery of 100" in text
    assert "0 alarms." in text
    assert "WARNING" not in text
    written = json.loads((tmp_path / "findings.json").read_text())
    assert written["benchmark"] == "synthetic-64"
    assert len(written["data_hash"]) == 16
    assert {finding["check"] for finding in written["findings"]} == {
        "overlap",
        "duplicate-photos",
        "duplicate-recordings",
        "seen-by-networks",
        "balance",
        "gallery",
    }


def test_a_person_in_two_splits_is_reported_though_no_store_can_be_made(command, monkeypatch):
    monkeypatch.setattr(stages, "dataset_of", lambda *_: TinyDataset(shared_identity=True))
    code, text = command()
    assert code == 1
    assert "WARNING overlap: 1 people are in both the train and the test split (train-0)." in text
    assert "Photos and recordings were not compared" in text


def test_a_training_photo_under_a_test_person_is_an_alarm_on_real_photos(command, shared, tmp_path):
    """Voice and face of this layout are different people's; it tests the reading, not the people."""
    root = lay_out_hq_voxceleb(shared, tmp_path / "hq")
    code, text = command("hq-voxceleb", "--root", root)
    assert code == 0
    assert "2 of 2 test people (100.0%) are in the training set of VGGFace1" in text
    faces = root / "vox1" / "masked_faces"
    with Image.open(sorted((faces / "Freida_Pinto").iterdir())[0]) as photo:
        photo.resize((150, 150)).save(faces / "Adam_Beach" / "9.jpg", quality=60)
    code, text = command("hq-voxceleb", "--root", root, "--json", tmp_path / "findings.json")
    assert code == 1
    assert "1 of the test split in the train split (Adam_Beach = Freida_Pinto)" in text
    alarms = [f for f in json.loads((tmp_path / "findings.json").read_text())["findings"] if f["alarm"]]
    recordings = [finding["check"] for finding in alarms]
    assert recordings == ["duplicate-photos"]
    shutil.rmtree(root)
