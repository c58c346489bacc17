"""Trained weights that are kept, and rows made of them without a training; those of the reference results."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sf2f_bench.benchmarks import benchmark_named
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.evaluation.segments import evaluation_segments
from sf2f_bench.evaluation.test_people import generate_faces
from sf2f_bench.files import header_of, load_tensors, seed_of
from sf2f_bench.results.records import load_all
from sf2f_bench.runs.kept_weights import FOLDER
from sf2f_bench.runs.systems import build, load_weights
from sf2f_bench.types import DatasetSource, ModelSettings
from tests.commands.program import SMOKE, call, start_from

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT / FOLDER).glob("*.safetensors"))
MOST_BYTES = 3_000_000
SHORT = ("--steps", "4", "--width", "0.06")
KEEP = ("--keep-weights", str(FOLDER))


@pytest.fixture(scope="module")
def trained(anchored, tmp_path_factory):
    folder = start_from(anchored, tmp_path_factory.mktemp("kept"), with_results=True)
    done = call(folder, *SMOKE, *SHORT, "-m", "sf2f-64-fuser", "-m", "contrastive-prototypes", *KEEP)
    assert done.returncode == 0, done.stderr
    assert f"kept {FOLDER / 'sf2f-64-fuser.safetensors'}" in done.stderr + done.stdout
    return folder


def test_kept_weights_are_half_as_large_and_say_where_they_come_from(trained):
    tensors, facts = load_tensors(trained / FOLDER / "sf2f-64-fuser.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}
    assert not any("discriminator" in name or name.startswith(("image.", "identity.")) for name in tensors)
    assert facts["source"] == "sf2f-64-fuser (width 0.06), budget smoke, seed 0, on synthetic-64-smoke"
    assert facts["record"] in {record.key for record in load_all(trained / "results")}
    assert header_of(trained / FOLDER / "sf2f-64-fuser.safetensors") == facts


def test_they_are_listed_and_give_the_row_again_without_training(trained):
    listed = call(trained, "list")
    assert "sf2f-64-fuser@reference" in listed.stdout
    assert "budget smoke, seed 0, on synthetic-64-smoke" in listed.stdout
    done = call(trained, *SMOKE, "-m", "sf2f-64-fuser@reference", "-m", "contrastive-prototypes@reference")
    assert done.returncode == 0, done.stderr
    assert "train " not in done.stderr
    rows = {record.system.name: record for record in load_all(trained / "results")}
    for name in ("sf2f-64-fuser", "contrastive-prototypes"):
        (again,) = [record for found, record in rows.items() if found.startswith(f"{name}@")]
        apart = np.abs(again.faces().astype(int) - rows[name].faces())
        assert apart.max() <= 2  # levels of 255
        assert again.cost.train_seconds == 0


def test_weights_are_kept_of_a_record_that_is_there_already(trained, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(trained, folder)
    shutil.rmtree(folder / FOLDER)
    done = call(folder, *SMOKE, *SHORT, "-m", "sf2f-64-fuser", *KEEP)
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (folder / FOLDER).iterdir()] == ["sf2f-64-fuser.safetensors"]


def test_a_system_without_reference_weights_is_refused_with_those_that_have_some(trained):
    done = call(trained, *SMOKE, "-m", "wav2pix-64@reference")
    assert done.returncode == 2
    assert (
        "no reference weights of wav2pix-64; there are those of contrastive-prototypes, sf2f-64-fuser"
        in " ".join(done.stderr.split())
    )


# ---------------------------------------------------------------- the reference results' own


@pytest.mark.skipif(not KEPT, reason="this clone has no reference weights")
@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_reference_weights_draw_the_faces_of_the_committed_record(file):
    """The first test people's faces, drawn again from the world's voices, are those that the record keeps."""
    facts = header_of(file)
    records = load_all(ROOT / "results" / "reference" / "long-64")
    (record,) = [one for one in records if one.key == facts["record"]]
    assert file.stat().st_size <= MOST_BYTES
    benchmark = benchmark_named("synthetic-64")
    world = SyntheticWorld(DatasetSource(seed=benchmark.world_seed, shared=benchmark.shared))
    system = build(f"{facts['model']}@{file}", ModelSettings(64))
    load_weights(system)
    segments = [
        evaluation_segments(
            [spoken.log_filterbank(system.frontend).T for spoken in world.utterances(name)],
            system.frontend.segment_frames,
        )
        for name in record.files.face_identities
    ]
    noise = torch.Generator().manual_seed(seed_of(record.seed, "generate"))
    faces = generate_faces(system.generate, segments, system.frontend.normalise, torch.device("cpu"), noise)
    assert np.abs(faces.astype(int) - record.faces()).mean() < 1  # level of 255
