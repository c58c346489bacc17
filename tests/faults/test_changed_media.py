"""Files that have changed are other data: the data hash sees contents, and a store holds only what it has read."""

from __future__ import annotations

import io
import os
import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image
from rich.console import Console

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.data import shards
from sf2f_bench.data.null_pairs import NullPairs
from sf2f_bench.data.prepared import prepare
from sf2f_bench.progress import Reporter
from sf2f_bench.types import DatasetSource

PEOPLE = 10


def speak(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    loud = 0.1 * np.sin(np.arange(48_000) * (0.05 + 0.01 * seed)) * (1 + np.sin(np.arange(48_000) / 2000))
    soundfile.write(path, loud + 0.01 * random.standard_normal(48_000), 16_000, subtype="PCM_16")


def draw(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(path.with_suffix(".pgm"), format="PPM")  # of one size whatever it shows


@pytest.fixture
def media(tmp_path):
    for number in range(PEOPLE):
        for take in range(2):
            speak(tmp_path / "media" / "voices" / f"s{number}" / f"{take}.wav", 10 * number + take)
            draw(tmp_path / "media" / "faces" / f"p{number}" / f"{take}", 10 * number + take)
    return tmp_path / "media"


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A function that prepares a folder of media into a store of small shards; gives the store and what was said."""
    monkeypatch.setattr(shards, "FILES_PER_SHARD", 8)

    def make(folder, store="store"):
        log = io.StringIO()
        dataset = NullPairs(DatasetSource(voices=folder / "voices", faces=folder / "faces", seed=0))
        reporter = Reporter(Console(file=log, width=400))
        return prepare(dataset, LogFilterbank(), 16, tmp_path / store, reporter, jobs=1), log.getvalue()

    return make


CHANGES = {
    "a recording": lambda media: speak(media / "voices" / "s3" / "1.wav", 777),
    "a photo": lambda media: draw(media / "faces" / "p4" / "0", 777),
    "a byte": lambda media: flip(media / "voices" / "s2" / "0.wav"),
}


def flip(path):
    content = bytearray(path.read_bytes())
    content[4000] ^= 0x40
    path.write_bytes(content)


@pytest.mark.parametrize("keeps_time", [False, True])
@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_file_is_named_and_its_shard_alone_prepared_anew(media, prepared, what, keeps_time):
    before, _ = prepared(media)
    times = {path: path.stat().st_mtime_ns for path in media.rglob("*.*")}
    sizes = {path: path.stat().st_size for path in times}
    written = {
        path.name: path.stat().st_mtime_ns for path in (before.folder / "shards").glob("*.safetensors")
    }
    CHANGES[what](media)
    if keeps_time:
        for path, time in times.items():
            os.utime(path, ns=(time, time))
    assert {path: path.stat().st_size for path in times} == sizes
    after, log = prepared(media)
    assert "1 file of null-pairs has changed since they were prepared (pair-" in log
    assert "preparing anew the 1 shard that holds it" in log
    assert after.data_hash != before.data_hash
    again = {path.name: path.stat().st_mtime_ns for path in (after.folder / "shards").glob("*.safetensors")}
    assert len([name for name in written if again[name] != written[name]]) == 1
    fresh, _ = prepared(media, "fresh")
    assert fresh.data_hash == after.data_hash
    for person in fresh.identities("test"):
        for one, other in zip(fresh.voices(person.id), after.voices(person.id), strict=True):
            np.testing.assert_array_equal(one, other)
    assert prepared(media)[1] == ""


def test_files_that_were_copied_or_touched_are_the_same_data(media, prepared, tmp_path):
    before, _ = prepared(media)
    written = (before.folder / "store.json").stat().st_mtime_ns
    shutil.copytree(media, tmp_path / "elsewhere")
    after, log = prepared(tmp_path / "elsewhere")
    assert (after.data_hash, log) == (before.data_hash, "")
    assert (after.folder / "store.json").stat().st_mtime_ns == written
    assert prepared(tmp_path / "elsewhere", "fresh")[0].data_hash == before.data_hash


def test_what_changed_while_a_store_was_unfinished_is_prepared_anew(media, prepared):
    before, _ = prepared(media)
    (before.folder / "store.json").unlink()
    CHANGES["a recording"](media)
    after, log = prepared(media)
    assert "has changed since" in log
    assert after.data_hash == prepared(media, "fresh")[0].data_hash != before.data_hash


def test_two_folders_of_unlike_audio_have_two_data_hashes(media, prepared, tmp_path):
    other = tmp_path / "elsewhere"
    shutil.copytree(media, other)
    for number, path in enumerate(sorted(other.rglob("*.wav"))):
        speak(path, 500 + number)
    one, two = (
        NullPairs(DatasetSource(voices=folder / "voices", faces=folder / "faces", seed=0))
        for folder in (media, other)
    )
    assert one.fingerprint() == two.fingerprint()  # of names and sizes
    assert prepared(media)[0].data_hash != prepared(other, "other")[0].data_hash
