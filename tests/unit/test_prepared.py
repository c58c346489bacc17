"""The prepared store: what goes in comes out, faults are listed, a restart keeps what is done."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.data import prepared, shards
from sf2f_bench.data.mel_pickles import MelFile
from sf2f_bench.data.prepared import PreparedStore, prepare
from sf2f_bench.data.shards import write_shard
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.data.workers import on_this_machine
from sf2f_bench.progress import Reporter
from sf2f_bench.types import BenchError, DatasetSource
from tests.tiny import TinyDataset, TinyFrontend


@pytest.fixture
def reporter():
    return Reporter(Console(file=io.StringIO()))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "FILES_PER_SHARD", 7)  # of five an identity: cuts fall within identities


def open_files():
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.is_dir() else 0


def make(folder, reporter, dataset=None):
    return prepare(dataset or TinyDataset(), TinyFrontend(), 16, folder, reporter, jobs=1)


def test_what_goes_in_comes_out(tmp_path, reporter):
    dataset = TinyDataset()
    store = make(tmp_path / "store", reporter, dataset)
    for split in ("train", "val", "test"):
        assert store.identities(split) == tuple(dataset.identities(split))
        for identity in store.identities(split):
            voices = [item.log_filterbank(TinyFrontend()).T for item in dataset.utterances(identity.id)]
            for stored, expected in zip(store.voices(identity.id), voices, strict=True):
                np.testing.assert_array_equal(stored, expected)
            faces = np.stack([photo.image(16) for photo in dataset.photos(identity.id)])
            np.testing.assert_array_equal(store.faces(identity.id), faces)


def test_voices_are_memory_mapped(tmp_path, reporter):
    store = make(tmp_path / "store", reporter)
    before, files = store.voices("train-0")[0].copy(), open_files()
    voices = [store.voices(person.id)[0] for person in store.identities("train")]
    assert open_files() == files, "a large data set has more shards than a process may open files"
    np.testing.assert_array_equal(voices[0], before)
    with pytest.raises(ValueError, match="read-only"):
        voices[0][0, 0] = 0
    with open(store.folder / "shards" / "00000.safetensors", "r+b") as file:
        content = file.read()
        file.seek(content.index(before.tobytes()))
        file.write(bytes(before.nbytes))
    assert not make(tmp_path / "store", reporter).voices("train-0")[0].any()


def test_a_bad_file_is_listed_and_does_not_stop(tmp_path, reporter):
    broken = frozenset({("train-1", "u0"), ("train-2", "p0")})
    store = make(tmp_path / "store", reporter, TinyDataset(broken=broken))
    left_out = store.left_out
    assert set(zip(left_out["identity"], left_out["key"], strict=True)) == broken
    assert left_out["reason"].str.contains("planted fault").all()
    assert len(store.voices("train-1")) == 1
    assert len(store.faces("train-2")) == 2


def test_an_identity_without_faces_or_speech_is_left_out_by_name(tmp_path, reporter):
    faceless = {("train-1", f"p{i}") for i in range(3)}
    silent = {("test-0", "u0"), ("test-0", "u1")}
    store = make(tmp_path / "store", reporter, TinyDataset(broken=frozenset(faceless | silent)))
    assert "train-1" not in {identity.id for identity in store.identities("train")}
    assert "test-0" not in {identity.id for identity in store.identities("test")}
    reasons = store.left_out[store.left_out["key"] == ""].set_index("identity")["reason"]
    assert reasons["train-1"] == "no usable photo"
    assert reasons["test-0"].startswith("no recording with 125 frames")


def test_finished_shards_are_not_made_again(tmp_path, reporter, monkeypatch):
    folder = tmp_path / "store"
    before = make(folder, reporter)
    (folder / "store.json").unlink()  # as if killed between a shard's tensors and its "done"
    (folder / "shards" / "00001.parquet").unlink()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    monkeypatch.setattr(shards, "FILES_PER_SHARD", 3)  # a restart keeps the plan of the start
    again = make(folder, reporter)
    changed = {path.name for path in kept if path.stat().st_mtime_ns != kept[path]}
    assert changed == {"00001.safetensors"}
    assert len(list((folder / "shards").iterdir())) == len(kept) + 1 == 20
    assert again.data_hash == before.data_hash
    assert len(again.identities("train")) == 6


def test_the_layout_of_the_shards_changes_nothing_that_is_read(tmp_path, reporter, monkeypatch):
    broken = TinyDataset(broken=frozenset({("train-1", "u0"), ("test-3", "p2")}))
    one = make(tmp_path / "one", reporter, broken)
    monkeypatch.setattr(shards, "FILES_PER_SHARD", 1000)
    other = make(tmp_path / "other", reporter, broken)
    count = [len(list((store.folder / "shards").glob("*.parquet"))) for store in (one, other)]
    assert count == [10, 1]
    assert one.data_hash == other.data_hash
    pd.testing.assert_frame_equal(one.left_out, other.left_out)
    for identity in one.identities("train"):
        for mine, theirs in zip(one.voices(identity.id), other.voices(identity.id), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(one.faces(identity.id), other.faces(identity.id))


def test_processes_write_what_one_process_writes(tmp_path, reporter):
    alone = make(tmp_path / "one", reporter)
    together = prepare(TinyDataset(), TinyFrontend(), 16, tmp_path / "two", reporter, jobs=2)
    for name in ("manifest.parquet", "store.json", "shards/00004.safetensors"):
        assert (alone.folder / name).read_bytes() == (together.folder / name).read_bytes(), name


def test_shards_without_a_plan_are_not_mixed_with_new_ones(tmp_path, reporter):
    make(tmp_path, reporter)
    for name in ("plan.json", "store.json"):
        (tmp_path / name).unlink()
    with pytest.raises(BenchError, match=r"older version .* delete the folder"):
        make(tmp_path, reporter)


def test_a_worker_that_sees_other_files_than_planned_writes_nothing(tmp_path):
    [shard, *_] = shards.plan_shards(TinyDataset(), ["train-0", "train-1"], tmp_path)
    fewer = TinyDataset(photos_each=2)
    with pytest.raises(BenchError, match=r"2 recordings and 3 photos, .* finds 2 and 2: .* the same folder"):
        write_shard(fewer, TinyFrontend(), 16, shard)
    assert not shard.manifest.exists()


def test_shards_that_land_elsewhere_are_missed(tmp_path, reporter, monkeypatch):
    elsewhere = shards.plan_shards(TinyDataset(), ["train-0"], tmp_path / "elsewhere")[0]
    original = prepared.write_shard
    monkeypatch.setattr(prepared, "write_shard", lambda *a: original(*a[:-1], elsewhere))
    with pytest.raises(BenchError, match=r"10 of 10 shards were written but are not in .* all workers share"):
        make(tmp_path / "store", reporter)


def test_a_data_set_without_a_file_is_refused(tmp_path, reporter):
    class Empty(TinyDataset):
        def utterances(self, identity):
            return []

        photos = utterances

    with pytest.raises(BenchError, match="tiny has no recordings and no photos"):
        make(tmp_path, reporter, Empty())


def test_the_throughput_is_seconds_of_sound_not_of_speech(tmp_path):
    text = io.StringIO()
    dataset = SyntheticWorld(DatasetSource(limits={"train": 1, "val": 1, "test": 1}))
    prepare(dataset, LogFilterbank(), 64, tmp_path, Reporter(Console(file=text, width=200)), jobs=1)
    sound = sum(len(item.waveform()) for item in dataset.utterances("train-0000")) / 16_000
    assert sound == 30
    assert f" {3 * sound:.0f} s of audio, " in text.getvalue()
    assert re.search(r"21 done in .* [1-9]\d* s of audio per s, 0 bad files", text.getvalue())


def test_feature_files_count_as_the_speech_in_them(tmp_path):
    features = np.full((40, 250), 11, np.float32)
    (tmp_path / "a.pickle").write_bytes(pickle.dumps({"LogMel_Features": features}))
    meter = shards._Meter(LogFilterbank())
    assert meter.frames_of(MelFile("a", tmp_path / "a.pickle")).shape == (250, 40)
    assert meter.seconds == 2.5


def test_a_process_that_is_ended_from_outside_is_an_error_that_says_how_to_go_on():
    with pytest.raises(BenchError, match=r"one of 2 worker processes .* give the same command again"):
        list(on_this_machine(os._exit, [1, 1], jobs=2))


def test_the_same_content_has_the_same_hash_and_a_fault_changes_it(tmp_path, reporter):
    one, two = (make(tmp_path / name, reporter) for name in "ab")
    broken = make(tmp_path / "c", reporter, TinyDataset(broken=frozenset({("val-0", "p1")})))
    assert one.data_hash == two.data_hash != broken.data_hash


def test_splits_that_share_an_identity_are_refused(tmp_path, reporter):
    with pytest.raises(BenchError, match="train-0"):
        make(tmp_path / "store", reporter, TinyDataset(shared_identity=True))


def test_a_store_with_overlapping_splits_is_refused_on_load(tmp_path, reporter):
    store = make(tmp_path / "store", reporter)
    table = pd.read_parquet(store.folder / "identities.parquet")
    table.loc[table["id"] == "test-0", "id"] = "train-0"
    table.to_parquet(store.folder / "identities.parquet")
    with pytest.raises(BenchError, match="does not have the checksum"):
        PreparedStore(store.folder)
    older = {name: value for name, value in store.settings.items() if name != "sha256"}
    (store.folder / "store.json").write_text(json.dumps(older))
    with pytest.raises(BenchError, match="train-0"):
        PreparedStore(store.folder)


def test_an_empty_test_split_is_an_error_that_names_the_report(tmp_path, reporter):
    everything = {(f"test-{n}", f"p{i}") for n in range(5) for i in range(3)}
    with pytest.raises(BenchError, match=r"the test split .*left_out\.csv"):
        make(tmp_path / "store", reporter, TinyDataset(broken=frozenset(everything)))


def test_another_store_in_the_folder_is_kept(tmp_path, reporter):
    folder = tmp_path / "store"
    make(folder, reporter)
    with pytest.raises(BenchError, match="image_size differ"):
        prepare(TinyDataset(), TinyFrontend(), 32, folder, reporter, jobs=1)
    with pytest.raises(BenchError, match="not empty"):
        prepare(TinyDataset(), TinyFrontend(), 16, tmp_path, reporter, jobs=1)


def test_an_unfinished_folder_is_no_store(tmp_path):
    with pytest.raises(BenchError, match="sf2f-bench prepare"):
        PreparedStore(tmp_path)


def test_a_cluster_without_dask_says_what_to_install(tmp_path, reporter, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BenchError, match=r"pip install 'sf2f-bench\[cluster\]'"):
        prepare(TinyDataset(), TinyFrontend(), 16, tmp_path, reporter, scheduler="tcp://127.0.0.1:8786")


def test_a_scheduler_for_data_that_are_prepared_already_is_said_not_to_be_asked(
    tmp_path, reporter, monkeypatch
):
    make(tmp_path / "store", reporter)
    said = []
    monkeypatch.setattr(reporter, "say", said.append)
    prepare(TinyDataset(), TinyFrontend(), 16, tmp_path / "store", reporter, scheduler="tcp://nosuch")
    assert said == ["tiny is prepared already: the Dask scheduler is not asked"]
