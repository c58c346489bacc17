"""What commands write for programs with --json: the same as they print, unrounded."""

from __future__ import annotations

import json

import pytest

from sf2f_bench.registry import MODELS
from sf2f_bench.results.records import load_all
from tests.commands.program import SMOKE, call, start_from


def test_run_writes_every_number_of_its_table(anchored, tmp_path):
    folder = start_from(anchored, tmp_path, with_results=True)
    done = call(folder, *SMOKE, "--models", "chance", "--json", "table.json")
    assert done.returncode == 0, done.stderr
    (group,) = json.loads((folder / "table.json").read_text())["groups"]
    rows = {row["system"]: row for row in group["rows"]}
    records = {record.system.name: record for record in load_all(folder / "results")}
    assert set(rows) == set(records)
    for name, record in records.items():
        values = {(score["metric"], score["role"]): score["value"] for score in rows[name]["scores"]}
        assert values == {(score.metric, score.extractor_role): score.value for score in record.scores}
        assert rows[name]["key"] == record.key
    assert group["headline"] == "recall@10/g100"
    assert any("inception-2015" in note for note in group["notes"])


def test_list_writes_every_name(tmp_path):
    done = call(tmp_path, "list", "--json", "names.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "names.json").read_text())
    assert set(found["models (systems and anchors)"]) == set(MODELS)
    for names in found.values():
        assert all(name in done.stdout for name in names)


@pytest.mark.parametrize("command", [["list"], ["doctor"], [*SMOKE]], ids=lambda words: words[0])
def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(command, tmp_path):
    (tmp_path / "taken").write_text("a file, no folder")
    done = call(tmp_path, *command, "--json", "taken/x.json")
    assert done.returncode == 2
    assert "--json" in done.stderr
    assert not (tmp_path / ".sf2f-bench").exists()
