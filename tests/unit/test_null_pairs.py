"""Voices and faces of strangers: paired by the seed, split by both, never called paired."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import soundfile
from PIL import Image

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.data.null_pairs import NullPairs
from sf2f_bench.data.splits import check_disjoint
from sf2f_bench.types import SAMPLE_RATE, SPLITS, BenchError, Dataset, DatasetSource


def write_voice(path, seconds=3.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(int(seconds * SAMPLE_RATE), 0.1), SAMPLE_RATE)


def write_face(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), 100).save(path)


@pytest.fixture
def folders(tmp_path):
    """24 speakers in flat files of two chapters each, 20 people in folders."""
    for speaker in range(24):
        for chapter in range(2):
            write_voice(tmp_path / "voices" / f"{speaker}-{chapter}-0000.flac")
    for person in range(20):
        for number in range(3):
            write_face(tmp_path / "faces" / f"s{person}" / f"{number}.pgm")
    return {"voices": tmp_path / "voices", "faces": tmp_path / "faces"}


def read(folders, **source):
    return NullPairs(DatasetSource(**folders, **source))


def members(dataset):
    """Speaker and person of every pair, by split."""
    found = {}
    for split in SPLITS:
        people = [identity.id for identity in dataset.identities(split)]
        speakers = {id: dataset.utterances(id)[0].key.split("-")[0] for id in people}
        persons = {id: dataset.photos(id)[0].key.split("/")[0] for id in people}
        found[split] = [(speakers[id], persons[id]) for id in people]
    return found


def test_is_a_data_set_that_says_what_it_is(folders):
    dataset = read(folders)
    assert isinstance(dataset, Dataset)
    assert (dataset.card.real, dataset.card.paired, dataset.card.media_shareable) == (True, False, False)
    assert dataset.identities("train")[0].id == "pair-000"
    assert dataset.identities("train")[0].gender is None
    assert pickle.loads(pickle.dumps(dataset)).fingerprint() == dataset.fingerprint()


def test_half_a_tenth_and_the_rest_and_nobody_twice(folders):
    pairs = members(read(folders))
    assert {split: len(found) for split, found in pairs.items()} == {"train": 10, "val": 2, "test": 8}
    for side in (0, 1):
        check_disjoint({split: [pair[side] for pair in found] for split, found in pairs.items()})
        everybody = [pair[side] for found in pairs.values() for pair in found]
        assert len(set(everybody)) == len(everybody) == 20


def test_a_pair_keeps_all_of_one_speaker_and_one_person(folders):
    dataset = read(folders)
    for identity in dataset.identities("test"):
        voices, faces = dataset.utterances(identity.id), dataset.photos(identity.id)
        assert len(voices) == 2
        assert len(faces) == 3
        assert len({voice.key.split("-")[0] for voice in voices}) == 1
        assert len({face.key.split("/")[0] for face in faces}) == 1
        assert [voice.key for voice in voices] == sorted(voice.key for voice in voices)


def test_the_seed_decides_who_meets_whom(folders):
    assert members(read(folders)) == members(read(folders, seed=0))
    assert members(read(folders)) != members(read(folders, seed=1))
    assert read(folders).fingerprint() == read(folders).fingerprint()
    assert read(folders).fingerprint() != read(folders, seed=1).fingerprint()


def test_the_fingerprint_follows_the_files(folders):
    before = read(folders).fingerprint()
    write_voice(folders["voices"] / "3-0-0000.flac", seconds=4.0)
    write_face(folders["faces"] / "s3" / "9.pgm")
    assert read(folders).fingerprint() != before


def test_speakers_may_have_folders(tmp_path, folders):
    for speaker in range(10):
        write_voice(tmp_path / "others" / f"speaker{speaker}" / "chapter" / "a.wav")
    dataset = read({**folders, "voices": tmp_path / "others"})
    assert dataset.utterances("pair-000")[0].key.startswith("speaker")
    assert [len(dataset.identities(split)) for split in SPLITS] == [5, 1, 4]


def test_a_speaker_without_enough_speech_is_left_out_and_named(folders):
    for chapter in range(2):
        write_voice(folders["voices"] / f"5-{chapter}-0000.flac", seconds=1.0)
        (folders["voices"] / f"7-{chapter}-0000.flac").write_bytes(b"damaged")
    write_voice(folders["voices"] / "6-0-0000.flac", seconds=1.0)  # the other chapter is long enough
    dataset = read(folders)
    assert sorted(name for name, _ in dataset.left_out()) == ["5", "7"]
    assert all("2.5 s" in reason for _, reason in dataset.left_out())


def test_limits_keep_the_first(folders):
    dataset = read(folders, limits={"test": 3})
    assert [identity.id for identity in dataset.identities("test")] == ["pair-012", "pair-013", "pair-014"]
    with pytest.raises(BenchError, match="unknown identity"):
        dataset.photos("pair-019")


@pytest.mark.parametrize("missing", ["voices", "faces"])
def test_a_missing_or_empty_folder_is_named(tmp_path, folders, missing):
    with pytest.raises(BenchError, match=f"expected a folder of {missing} .*nowhere is not a folder"):
        read({**folders, missing: tmp_path / "nowhere"})
    with pytest.raises(BenchError, match=f"expected a folder of {missing} .*none was named"):
        read({**folders, missing: None})
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match=r"empty: expected .* found none"):
        read({**folders, missing: tmp_path / "empty"})


def test_too_few_people_are_refused(tmp_path, folders):
    for person in range(9):
        write_face(tmp_path / "few" / f"s{person}" / "1.pgm")
    with pytest.raises(BenchError, match=r"at least 10 .* give 9 pairs"):
        read({**folders, "faces": tmp_path / "few"})


def test_files_that_say_nobody_s_name_are_refused(folders):
    write_voice(folders["voices"] / "recording.wav")
    with pytest.raises(BenchError, match=r"one folder per speaker, or files named.*whose file"):
        read(folders)
    (folders["voices"] / "recording.wav").unlink()
    write_face(folders["faces"] / "face.pgm")
    with pytest.raises(BenchError, match=r"one folder per person; .*whose file"):
        read(folders)


def test_a_root_is_refused(tmp_path, folders):
    with pytest.raises(BenchError, match="not a root"):
        read(folders, root=tmp_path)


def test_splits_that_share_somebody_are_named():
    check_disjoint({"train": ["a", "b"], "val": [], "test": ["c"]})
    with pytest.raises(
        BenchError, match=r"'train' and 'test' share 7 identities \(p0, p1, p2, p3, p4 and 2 more\)"
    ):
        check_disjoint(
            {"train": [f"p{i}" for i in range(9)], "val": ["x"], "test": [f"p{i}" for i in range(7)]}
        )


def test_librispeech_voices_under_orl_faces(shared):
    real = shared / "real"
    dataset = read({"voices": real / "librispeech", "faces": real / "orl_faces"})
    assert [len(dataset.identities(split)) for split in SPLITS] == [20, 4, 16]
    frontend = LogFilterbank()
    for identity in dataset.identities("val"):
        assert dataset.photos(identity.id)[0].image(64).shape == (3, 64, 64)
        assert max(item.log_filterbank(frontend).shape[1] for item in dataset.utterances(identity.id)) >= 125
