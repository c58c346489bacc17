"""The comparison of two folders of records sees a change of a single bit, and nothing where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from record_factory import record, saved

from tests.equality import compare

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folders(tmp_path):
    for name in ("old", "new"):
        saved(record(), tmp_path / name, faces=True, curve=True)
    return tmp_path / "old", tmp_path / "new"


def only(folder, ending):
    (path,) = folder.glob(f"*{ending}")
    return path


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_nothing_differs_between_twins(folders):
    found = compare(*folders)
    assert found.differences == []
    values = pd.read_parquet(only(folders[0], ".per-identity.parquet"))
    assert found.numbers > values.drop(columns="identity").size


def test_cards_and_words_may_differ(folders):
    def change(content):
        content["schema_version"] = 3
        content["system"]["description"] = "other words"
        content["notes"] = ["more words"]
        content["cost"]["wall_seconds"] = 1.0

    change_json(only(folders[1], ".json"), change)
    assert compare(*folders).differences == []


def set_score(field, value):
    def change(content):
        content["scores"][0][field] = value(content["scores"][0][field])

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (set_score("value", lambda value: float(np.nextafter(value, 1))), "recall@1/g100"),
        (set_score("interval", lambda value: [value[0], float(np.nextafter(value[1], 1))]), "recall@1/g100"),
        (set_score("n", lambda n: n + 1), "recall@1/g100"),
        (set_score("metric", lambda _: "other"), "recall@1/g100"),
        (lambda content: content.update(key="0" * 16), "key"),
        (lambda content: content["system"]["recipe"].update(steps=2), "recipe"),
        (lambda content: content["weights"].clear(), "weights"),
    ],
)
def test_one_bit_of_the_json_is_seen(folders, change, named):
    change_json(only(folders[1], ".json"), change)
    (first, *_) = compare(*folders).differences
    assert named in first


def test_one_bit_of_the_identities_values_is_seen(folders):
    path = only(folders[1], ".per-identity.parquet")
    frame = pd.read_parquet(path)
    column = frame.columns[1]
    frame.loc[3, column] = np.nextafter(frame.loc[3, column], 9)
    frame.to_parquet(path)
    (difference,) = compare(*folders).differences
    assert "first row 3" in difference


def test_curves_pictures_and_missing_records_are_seen(folders):
    curve = only(folders[1], ".curve.csv")
    curve.write_text(curve.read_text().replace("1", "2", 1))
    assert len(compare(*folders).differences) == 1
    only(folders[1], ".faces.png").write_bytes(b"other")
    assert len(compare(*folders).differences) == 2
    only(folders[1], ".json").unlink()
    (difference,) = compare(*folders).differences
    assert "missing in NEW" in difference


def test_the_command_says_how_many_and_exits_with_1(folders):
    def call():
        command = [sys.executable, "-m", "tests.equality", *map(str, folders)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    done = call()
    assert (done.returncode, done.stderr) == (0, "")
    assert "numbers compared, no differences" in done.stdout
    change_json(only(folders[1], ".json"), set_score("n", lambda n: n + 1))
    done = call()
    assert done.returncode == 1
    assert "recall@1/g100" in done.stdout
