"""`sf2f-bench associate` end to end: lists, recordings and photos on disk, a small generator, a table and a file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from reference_model.recipe import SF2F64, generator_of, recipe_for
from sf2f_bench import LogFilterbank, ModelSettings
from sf2f_bench.association.lists import read_people
from sf2f_bench.audio import decode
from sf2f_bench.commands.associate import associate
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.faces import read_photo
from sf2f_bench.files import load_tensors, save_tensors
from tests.association_world import PEOPLE, write_lists, write_media

SETTINGS = ModelSettings(64, width=0.06)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict[str, Path]:
    """Lists, media and the weights of a small generator that was never trained: its faces differ by voice."""
    folder = tmp_path_factory.mktemp("association")
    voices, faces = write_media(folder)
    return {
        "lists": write_lists(folder / "lists"),
        "voices": voices,
        "faces": faces,
        "weights": _weights(folder / "small.safetensors", voices),
    }


def _weights(file: Path, voices: Path) -> Path:
    """Initial weights whose batch normalisation has seen voices: without that all faces are one."""
    frontend = LogFilterbank()
    heard = [frontend(decode(path))[:, :125] for path in sorted(voices.rglob("*.wav"))]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        generator = generator_of(recipe_for(SETTINGS, fuses=False), fuser=False)
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        generator.train()(frontend.normalise(torch.from_numpy(np.stack(heard)))[:, None])
    state = {f"generator.{name}": tensor for name, tensor in generator.state_dict().items()}
    return save_tensors(file, state, {"model": "sf2f-64", "width": SETTINGS.width, "source": "a test"})


def run(world, *words: str, model: str | None = None, **folders: Path):
    places = {**world, **folders}
    options = [f"--{name}={places[name]}" for name in ("voices", "faces")]
    model = model or f"sf2f-64@{world['weights']}"
    command = [str(places["lists"]), *options, "--model", model, "--judge", "embedded-judge", *words]
    return CliRunner().invoke(associate, command, env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "result.json"
    done = run(world, "--out", str(out))
    assert done.exit_code == 0, done.output
    return done.output, out


def test_it_ends_with_a_table_and_a_file(world, finished):
    output, out = finished
    for word in (
        "matching_v2f_U",
        "verification-eer",
        "map/face-to-voice",
        "association-pins/1",
        "embedded-judge",
    ):
        assert word in output
    record = json.loads(out.read_text())
    assert record["protocol"] == "association-pins/1"
    assert record["system"].startswith("sf2f-64@")
    assert record["system_weights_sha256"] == hashlib.sha256(world["weights"].read_bytes()).hexdigest()
    assert record["judge"].startswith("embedded-judge/1@")
    assert record["frontend"] == LogFilterbank().id
    for item in record["lists"]:
        for name, sha256 in item["sha256"].items():
            (file,) = world["lists"].glob(f"*/{name}")
            assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256
        for score in item["scores"]:
            low, high = score["overall"]["interval"]
            assert 0 <= low <= score["overall"]["value"] <= high <= 1
            assert score["overall"]["identities"] == len(PEOPLE)
            assert score["test_people"]["identities"] == 3
            assert score["left_out"] == 0
            assert {"chance", "gender_only"} < set(score["test_people"])


def test_it_says_whose_training_people_these_are(finished):
    output, _ = finished
    assert "3 of the 6 people of these lists are in hq-voxceleb's training rows" in " ".join(output.split())
    assert "on real photos its numbers are no result" in " ".join(output.split())


def test_it_names_nobody(finished):
    output, out = finished
    for text in (output, out.read_text()):
        for one in PEOPLE:
            assert one.name not in text
            assert one.id not in text


def test_its_matching_accuracy_is_that_of_the_faces_drawn_one_by_one(world, finished):
    """Straight from the files, without the harness: decode, filter-bank, windows, generator, judge."""
    system, judge, frontend = SF2F64(SETTINGS), EmbeddedExtractor("embedded-judge"), LogFilterbank()
    system.load_state_dict(load_tensors(world["weights"])[0])

    def draw(path: Path) -> np.ndarray:
        features = torch.from_numpy(frontend(decode(path)))
        windows = features.unfold(1, 125, 125)[:, :20].permute(1, 0, 2)[None]
        faces = system.generate(frontend.normalise(windows), generator=torch.Generator())
        return judge(faces)[0][0].numpy()

    def look(path: Path) -> np.ndarray:
        return judge(torch.from_numpy(read_photo(path, 64))[None])[0][0].numpy()

    drawn = {path: draw(world["voices"] / path) for one in PEOPLE for path in map(one.recording, (0, 1))}
    seen = {path: look(world["faces"] / path) for one in PEOPLE for path in map(one.photo, range(3))}
    assert np.ptp(np.stack(list(drawn.values())), axis=0).max() > 1e-3  # the faces differ
    trials = [
        line.split() for line in (world["lists"] / "matching" / "matching_v2f_U.csv").read_text().splitlines()
    ]
    hits = [drawn[probe] @ seen[right] > drawn[probe] @ seen[wrong] for probe, right, wrong in trials]
    (result,) = (
        item for item in json.loads(finished[1].read_text())["lists"] if item["name"] == "matching_v2f_U"
    )
    assert result["scores"][0]["overall"]["value"] == pytest.approx(np.mean(hits))
    assert 0 < np.mean(hits) < 1


def test_the_same_command_gives_the_same_numbers(world, finished, tmp_path):
    assert run(world, "--out", str(tmp_path / "again.json")).exit_code == 0
    first, again = (json.loads(path.read_text()) for path in (finished[1], tmp_path / "again.json"))
    assert {**first, "created": ""} == {**again, "created": ""}


def test_missing_and_damaged_files_need_partial(world, tmp_path):
    voices, _ = write_media(tmp_path)
    (voices / PEOPLE[0].recording(0)).unlink()
    done = run(world, voices=voices)
    assert "listed files are missing, first" in str(done.exception)
    assert PEOPLE[0].recording(0) in str(done.exception)
    (voices / PEOPLE[1].recording(0)).write_bytes(b"no sound")
    done = run(world, "--partial", "--out", str(tmp_path / "partial.json"), voices=voices)
    assert done.exit_code == 0, done.exception
    scores = {
        (item["name"], score["metric"]): score
        for item in json.loads((tmp_path / "partial.json").read_text())["lists"]
        for score in item["scores"]
    }
    assert scores["matching_v2f_U", "matching-accuracy"]["left_out"] == 10
    assert scores["retrieval_20k", "map/face-to-voice"]["gallery"] == 10


@pytest.mark.parametrize(
    ("words", "changes", "message"),
    [
        ([], {"model": "sf2f-64"}, "no weights to generate faces with"),
        ([], {"model": "chance"}, "no weights to generate faces with"),
        ([], {"model": "sf2f-64@nowhere"}, "there is no such file"),
        ([], {"lists": Path("nowhere")}, "not a folder of association lists"),
        ([], {"faces": Path("nowhere")}, "--faces nowhere: there is no such folder"),
        (["--judge", "embedded-jugde"], {}, "did you mean"),
        (["--benchmark", "hq"], {}, "unknown benchmark"),
        (["--benchmark", "synthetic-128"], {}, "128"),
    ],
)
def test_wrong_input_is_named(world, words, changes, message):
    done = run(world, *words, **changes)
    assert done.exit_code != 0
    assert message in str(done.exception)


def a_changed_copy(world, folder, change):
    state, facts = load_tensors(world["weights"])
    change(state)
    return f"sf2f-64@{save_tensors(folder / 'other.safetensors', state, facts)}"


WEIGHTS = {
    "cut": (
        lambda state, name: state.update({name: state[name][:1]}),
        "does not hold the tensors of sf2f-64",
    ),
    "missing": (lambda state, name: state.pop(name), "does not hold the tensors of sf2f-64"),
    "not finite": (lambda state, name: state[name].fill_(float("nan")), "hold NaN or infinite values"),
}


@pytest.mark.parametrize(("change", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_cannot_be_used_are_named(world, tmp_path, change, message):
    done = run(world, model=a_changed_copy(world, tmp_path, lambda state: change(state, min(state))))
    assert message in str(done.exception)
    assert "plug-in" not in str(done.exception)


def test_with_partial_and_an_empty_folder_the_folder_is_named(world, tmp_path):
    done = run(world, "--partial", voices=tmp_path)
    assert f"not one listed recording is in {tmp_path}" in str(done.exception)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    file = write_lists(tmp_path) / "vox1_meta.csv"
    file.write_text(f"\ufeff{file.read_text()}")
    assert len(read_people(file).table) == 30
