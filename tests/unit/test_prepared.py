"""The prepared store: what goes in comes out, faults are listed, a restart keeps what is done."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from sf2f_bench.data import prepared
from sf2f_bench.data.prepared import PreparedStore, prepare
from sf2f_bench.progress import Reporter
from sf2f_bench.types import BenchError
from tests.tiny import TinyDataset, TinyFrontend


@pytest.fixture
def reporter():
    return Reporter(Console(file=io.StringIO()))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(prepared, "IDENTITIES_PER_SHARD", 4)


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
    assert isinstance(store.voices("train-0")[0], np.memmap)


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
    make(folder, reporter)
    (folder / "store.json").unlink()  # as if killed between a shard's tensors and its "done"
    (folder / "shards" / "00001.parquet").unlink()
    made = []
    original = prepared._write_shard
    monkeypatch.setattr(prepared, "_write_shard", lambda *a: made.append(a[-1].number) or original(*a))
    again = make(folder, reporter)
    assert made == [1]
    assert len(again.identities("train")) == 6


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
