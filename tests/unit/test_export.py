"""Voices for another program: the samples that the harness hears, and exactly the windows that count."""

from __future__ import annotations

import csv
import pickle
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import pytest
import soundfile
from PIL import Image

from sf2f_bench.audio import LogFilterbank, decode
from sf2f_bench.data.mel_pickles import MelFile
from sf2f_bench.data.prepared import prepare
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.evaluation.segments import repeat_segments, segments_of
from sf2f_bench.exchange.voices_out import PersonVoices, export, export_person, file_names, window_spans
from sf2f_bench.progress import Reporter
from sf2f_bench.types import BenchError, DatasetSource

FRONTEND = LogFilterbank()
SILENT = Reporter(silent=True)
RATE = 16_000


@pytest.fixture(scope="module")
def world():
    return SyntheticWorld(DatasetSource(limits={"train": 2, "val": 1, "test": 2}))


@pytest.fixture(scope="module")
def store(world, tmp_path_factory):
    return prepare(world, FRONTEND, 64, tmp_path_factory.mktemp("store"), SILENT, jobs=1)


@pytest.fixture(scope="module")
def out(world, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices") / "out"
    export(world, store, FRONTEND, folder, "synthetic-64", ("test", "train"), SILENT, jobs=1)
    return folder


def rows_of(folder, split="test"):
    """Pieces by (identity, use), window by window: (recording, first sample, samples)."""
    with (folder / split / "segments.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = defaultdict(lambda: defaultdict(list))
    for row in rows:
        times = [float(row[name]) * RATE for name in ("start", "seconds")]
        first, count = (round(time) for time in times)
        assert abs(times[0] - first) < 0.01
        found[row["identity"], row["use"]][int(row["window"])].append((row["recording"], first, count))
    return {key: [windows[number] for number in range(len(windows))] for key, windows in found.items()}


def sound_of(folder, pieces):
    parts = []
    for recording, first, count in pieces:
        samples, rate = soundfile.read(folder / recording, dtype="int16")
        assert rate == RATE
        parts.append(samples[first : first + count])
    return np.concatenate(parts)


class TestWindows:
    @pytest.mark.parametrize("use", ["face", "first-take", "second-take"])
    def test_the_rows_give_the_very_windows_that_systems_hear(self, store, out, use):
        """The first frame lacks the sample before it, the last two the 15 ms behind: between them all is equal."""
        takes = repeat_segments(store, FRONTEND)
        expected = {"face": segments_of(store, FRONTEND), "first-take": takes[0], "second-take": takes[1]}[
            use
        ]
        rows = rows_of(out)
        for person, segments in zip(store.identities("test"), expected, strict=True):
            windows = rows[person.id, use]
            assert len(windows) == len(segments)
            for pieces, segment in zip(windows, segments, strict=True):
                sound = sound_of(out / "test", pieces)
                assert len(sound) == 20_000
                features = FRONTEND.of_signal(sound)[:, 1:123]
                np.testing.assert_allclose(features, segment[:, 1:123], rtol=1e-5)

    def test_a_window_over_a_pause_is_in_pieces(self):
        speech = [(480, 960), (4800, 30_000)]
        spans = window_spans(speech, 0, 150, FRONTEND)
        assert spans == [(480, 960), (4800, 4800 + 20_000 - 480)]
        assert window_spans(speech, 125, 300, FRONTEND) == [(4800 + 19_520, 30_000)]

    def test_a_short_recording_begins_anew_until_the_window_is_full(self):
        spans = window_spans([(1000, 12_000)], 0, 60, FRONTEND)
        assert spans == [(1000, 10_600), (1000, 10_600), (1000, 1800)]
        assert sum(last - first for first, last in spans) == 20_000


class TestFiles:
    def test_the_sound_is_sample_for_sample_what_the_harness_hears(self, world, out):
        for identity, split in (("test-0001", "test"), ("train-0000", "train")):
            for utterance in world.utterances(identity):
                path = out / split / "voices" / identity / f"{utterance.key}.flac"
                np.testing.assert_array_equal(decode(path), utterance.waveform())
                assert soundfile.info(path).subtype == "PCM_16"

    def test_faces_of_training_people_and_none_of_test_people(self, store, out):
        assert not list((out / "test").rglob("*.png"))
        names = sorted(path.name for path in (out / "train" / "faces" / "train-0001").iterdir())
        assert names == ["photo-0.png", "photo-1.png", "photo-2.png"]
        with Image.open(out / "train" / "faces" / "train-0001" / "photo-2.png") as picture:
            np.testing.assert_array_equal(
                np.asarray(picture).transpose(2, 0, 1), store.faces("train-0001")[2]
            )

    def test_nothing_is_told_of_test_people_but_their_ids(self, out):
        text = (out / "test" / "segments.csv").read_text() + (out / "README.txt").read_text()
        assert text.splitlines()[0] == "identity,use,window,recording,start,seconds"
        assert not {"gender", "age", ",f,", ",m,"} & set(text.split())
        assert {path.suffix for path in (out / "test").rglob("*.*")} == {".csv", ".flac"}
        assert "sf2f-bench score FOLDER --benchmark synthetic-64" in text

    def test_it_goes_on_where_it_was_and_says_the_same(self, world, store, out):
        before = (out / "test" / "segments.csv").read_bytes()
        files = sorted((out / "test").rglob("*.flac"))
        files[3].unlink()
        kept = {path: path.stat().st_mtime_ns for path in files if path.exists()}
        export(world, store, FRONTEND, out, "synthetic-64", ("test",), SILENT, jobs=1)
        assert files[3].exists()
        assert kept == {path: path.stat().st_mtime_ns for path in kept}
        assert (out / "test" / "segments.csv").read_bytes() == before

    def test_of_a_test_person_only_what_may_be_heard_is_written(self, tmp_path):
        """Twelve recordings of five windows: four hold the twenty of the face, the last one is the second take."""
        world = SyntheticWorld(DatasetSource(limits={"train": 1, "val": 1, "test": 1}))
        utterance = world.utterances("test-0000")[0]
        frames = utterance.log_filterbank(FRONTEND).shape[1]

        @dataclass(frozen=True)
        class Many:
            def utterances(self, identity):
                return [Copy(f"u{number:02d}") for number in range(12)]

        @dataclass(frozen=True)
        class Copy:
            key: str

            def waveform(self):
                return utterance.waveform()

        keys = tuple(f"u{number:02d}" for number in range(12))
        windows = frames // 125
        needed = -(-20 // windows)
        for split, count in (("test", needed + 1), ("train", 12)):
            person = PersonVoices(split, "someone", keys, (frames,) * 12, takes=True)
            export_person(Many(), FRONTEND, tmp_path, person)
            assert len(list((tmp_path / split).rglob("*.flac"))) == count


class TestFaults:
    def test_a_folder_of_something_else_is_refused(self, world, store, out, tmp_path):
        (tmp_path / "mine.txt").write_text("x")
        with pytest.raises(BenchError, match="not empty and holds no exported voices"):
            export(world, store, FRONTEND, tmp_path, "synthetic-64", ("test",), SILENT, jobs=1)
        with pytest.raises(BenchError, match="holds the voices of other data than synthetic-128"):
            export(world, store, FRONTEND, out, "synthetic-128", ("test",), SILENT, jobs=1)

    @pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "..", "a/b", "a\\b", "a\0b"])
    def test_an_identity_that_is_a_path_writes_nothing(self, world, store, tmp_path, monkeypatch, name):
        people = [replace(store.identities("test")[0], id=name)]
        monkeypatch.setattr(store, "identities", lambda split: people)
        with pytest.raises(BenchError, match="identities whose names can be those of folders, got"):
            export(world, store, FRONTEND, tmp_path / "deep" / "out", "x", ("test",), SILENT, jobs=1)
        assert not list(tmp_path.rglob("*.flac"))

    def test_features_without_sound_cannot_be_exported(self, tmp_path):
        (tmp_path / "a.pickle").write_bytes(pickle.dumps({"LogMel_Features": np.zeros((40, 250))}))

        class Features:
            def utterances(self, identity):
                return [MelFile("a", tmp_path / "a.pickle")]

        person = PersonVoices("test", "someone", ("a",), (250,), takes=False)
        with pytest.raises(BenchError, match="a holds features and no sound"):
            export_person(Features(), FRONTEND, tmp_path / "out", person)

    def test_a_recording_that_has_changed_is_refused(self, world, tmp_path):
        keys = tuple(utterance.key for utterance in world.utterances("test-0000"))
        person = PersonVoices("test", "test-0000", keys, (400,) * 4, takes=False)
        with pytest.raises(
            BenchError, match="not the 400 of when it was prepared: the recording has changed"
        ):
            export_person(world, FRONTEND, tmp_path, person)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["utterance-0", "id1_b_2"], ["utterance-0.flac", "id1_b_2.flac"]),
        (["1688/142285/0001.flac", "a.b.WAV"], ["1688_142285_0001.flac", "a.b.flac"]),
        (["a/b.wav", "a_b.wav", "A.B"], ["00000-a_b.flac", "00001-a_b.flac", "00002-A.B.flac"]),
    ],
)
def test_every_key_has_a_file_name_of_its_own(keys, names):
    assert file_names(keys, frozenset({".wav", ".flac"}), ".flac") == names
