"""An artefact of the cache that is not as it was written is named, set aside and made anew, with the same numbers."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from sf2f_bench.files import Damaged, load_facts, load_tensors, save_facts, save_tensors
from sf2f_bench.progress import Reporter
from sf2f_bench.training import Machine, TrainContext
from tests.unit.test_pipeline import world  # noqa: F401


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x84  # no letter of JSON, whatever it was
    path.write_bytes(content)


DAMAGE = {
    "a flipped byte in the tensors": lambda path: flip(path, -3),
    "a flipped byte in the header": lambda path: flip(path, 30),
    "a flipped byte in its length": lambda path: flip(path, 1),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "another file": lambda path: path.write_text("<html>not found</html>"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_of_tensors_is_named(tmp_path, damage):
    path = tmp_path / "x.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0), "c": torch.tensor(3)}
    save_tensors(path, tensors, {"width": 0.25})
    DAMAGE[damage](path)
    with pytest.raises(Damaged, match=r"x\.safetensors is damaged"):
        load_tensors(path)


def test_every_flipped_bit_of_a_file_is_noticed(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.arange(3.0)}, {"n": 1, "curve": [{"step": 1, "loss": 0.5}]})
    whole = path.read_bytes()
    tensors, facts = load_tensors(path)
    for number in range(8 * len(whole)):
        content = bytearray(whole)
        content[number // 8] ^= 1 << number % 8
        path.write_bytes(content)
        try:
            found, said = load_tensors(path)
        except Damaged:
            continue
        # The bit means nothing, or is in the word "checksum" itself: what is read is whole.
        assert {name: said[name] for name in facts} == facts
        assert found.keys() == tensors.keys()
        assert torch.equal(found["a"], tensors["a"])


def test_a_file_is_the_same_whenever_it_is_written_and_one_without_a_checksum_is_read(tmp_path):
    tensors = {"a": torch.arange(4.0).bfloat16(), "b": torch.tensor([True, False])}
    for name in ("x", "y"):
        save_tensors(tmp_path / name, tensors, {"model": "mine", "steps": (1, 2)})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert load_tensors(tmp_path / "x")[1] == {"model": "mine", "steps": [1, 2]}
    save_file(tensors, tmp_path / "old", metadata={"json": json.dumps({"model": "mine"})})
    assert load_tensors(tmp_path / "old")[1] == {"model": "mine"}


def test_facts_of_the_cache_have_a_checksum_and_those_of_older_versions_are_read(tmp_path):
    path = tmp_path / "x.json"
    save_facts(path, {"age": {"a": 41.5}})
    assert load_facts(path) == {"age": {"a": 41.5}}
    path.write_text(path.read_text().replace("41.5", "61.5"))
    with pytest.raises(Damaged, match=r"x\.json is damaged"):
        load_facts(path)
    path.write_text('{"age": {"a": 41.5}}')
    assert load_facts(path) == {"age": {"a": 41.5}}


@pytest.mark.parametrize("damage", ["a flipped byte in the tensors", "cut"])
@pytest.mark.parametrize("stage", ["models", "faces", "features", "audit"])
def test_a_damaged_artefact_is_set_aside_and_made_anew(world, stage, damage):  # noqa: F811
    whole, _ = world()
    tables = {name: record.per_identity() for name, record in whole.items()}
    paths = sorted((world.folder / "cache" / stage).iterdir())
    for path in paths:
        DAMAGE[damage](path)
    shutil.rmtree(world.folder / "results")
    if stage == "models":  # else the faces are there, and nothing has to be generated
        shutil.rmtree(world.folder / "cache" / "faces")
    again, log = world()
    for path in paths:
        assert f"{path.name}.damaged and made anew" in log
        assert path.with_name(f"{path.name}.damaged").exists()
        assert path.exists()
    for name, record in again.items():
        assert record.comparable_part() == whole[name].comparable_part()
        pd.testing.assert_frame_equal(record.per_identity(), tables[name], check_exact=True)


def test_a_stage_whose_checkpoint_is_damaged_begins_anew(tmp_path):
    def fit(stop=None):
        said = []
        reporter = Reporter(silent=True)
        reporter.say = said.append
        context = TrainContext(tmp_path, "mine", 0, Machine.start("cpu"), None, reporter, 0.0)
        torch.manual_seed(0)
        line = torch.nn.Linear(2, 1)
        adam = torch.optim.Adam(line.parameters())
        for step in context.loop("line", 6, {"line": line, "adam": adam}):
            if step == stop:
                return said, line.weight.detach()
            loss = line(torch.full((1, 2), step + 1.0)).square().mean()
            context.update(adam, loss)
            context.log((), loss=loss)
        return said, line.weight.detach()

    _, whole = fit()
    (tmp_path / "line.safetensors").unlink()
    fit(stop=4)
    flip(tmp_path / "line.safetensors", -3)
    said, again = fit()
    assert torch.equal(again, whole)
    assert ["line.safetensors.damaged and made anew" in line for line in said] == [True]
