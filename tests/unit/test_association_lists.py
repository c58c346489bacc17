"""Association lists are read as they are published, and refused where they are damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sf2f_bench.association.lists import (
    MatchingList,
    MediaFolders,
    RetrievalList,
    VerificationList,
    read_lists,
)
from sf2f_bench.types import BenchError
from tests.association_world import PEOPLE, name_media, write_lists

REAL_COUNTS = {
    "matching_f2v_G": 10_000,
    "matching_f2v_GN": 9_120,
    "matching_f2v_N": 9_360,
    "matching_f2v_U": 10_000,
    "matching_v2f_G": 10_000,
    "matching_v2f_GN": 9_120,
    "matching_v2f_N": 9_360,
    "matching_v2f_U": 10_000,
    "veriflist_test_GNA_unseenunheard": 27_280,
    "veriflist_test_random_unseenunheard": 30_496,
    "retrieval_20k": 20_000,
}


@pytest.fixture
def lists(tmp_path) -> Path:
    return write_lists(tmp_path / "lists")


@pytest.fixture
def folders(lists, tmp_path) -> MediaFolders:
    return name_media(lists, tmp_path)


def test_the_published_lists_are_read_whole(shared):
    people, found = read_lists(shared / "protocols" / "pins")
    assert {
        item.name: len(item.photos if isinstance(item, RetrievalList) else item.trials) for item in found
    } == (REAL_COUNTS)
    table = people.table.set_index("id")
    metadata = pd.read_csv(shared / "protocols" / "voxceleb_meta" / "vox1_meta.csv", sep="\t").set_index(
        "VoxCeleb1 ID"
    )
    for item in found:
        assert len(item.sha256) == (2 if isinstance(item, RetrievalList) else 1)
        if isinstance(item, MatchingList):
            right, wrong = (table.loc[people.of(item.trials[column])] for column in ("right", "wrong"))
            assert (right.index == item.trials["person"]).all()
            if "G" in item.stratum:
                assert (right["gender"].to_numpy() == wrong["gender"].to_numpy()).all()
            if "N" in item.stratum:
                nations = (metadata.loc[side.index, "Nationality"].to_numpy() for side in (right, wrong))
                assert np.equal(*nations).all()
        elif isinstance(item, VerificationList):
            assert item.trials["same"].mean() == pytest.approx(0.5, abs=1e-4)
        else:
            assert item.recordings["person"].nunique() == item.photos["person"].nunique() == 250
    heard = people.of(pd.concat([item.voices for item in found])).unique()
    assert len(heard) == 250
    assert table.loc[heard, "split"].value_counts().to_dict() == {"train": 204, "test": 26, "val": 20}


def test_every_format_is_read(lists):
    people, found = read_lists(lists)
    by_name = {item.name: item for item in found}
    assert set(by_name) == {
        "matching_v2f_U",
        "matching_f2v_G",
        "veriflist_test_random_unseenunheard",
        "retrieval_20k",
    }
    matching = by_name["matching_f2v_G"]
    assert (matching.direction, matching.stratum) == ("f2v", "G")
    assert set(matching.faces) == set(matching.trials["probe"])
    assert (people.of(matching.trials["wrong"]) != matching.trials["person"]).all()
    assert by_name["matching_v2f_U"].trials["probe"].str.endswith(".wav").all()
    verification = by_name["veriflist_test_random_unseenunheard"]
    assert verification.trials["same"].sum() == 2 * len(PEOPLE)
    assert len(by_name["retrieval_20k"].photos) == 3 * len(PEOPLE)
    assert dict(zip(people.table["id"], people.table["split"], strict=True))[PEOPLE[2].id] == "test"


def test_a_folder_of_the_repository_is_read_too(lists, tmp_path):
    (tmp_path / "repository").mkdir()
    lists.rename(tmp_path / "repository" / "data")
    assert len(read_lists(tmp_path / "repository")[1]) == 4


@pytest.mark.parametrize(
    ("file", "line", "old", "new", "message"),
    [
        ("vox1_meta.csv", 3, "\tm\t", "\tx\t", "expected gender f or m"),
        ("vox1_meta.csv", 3, "\tUSA", "", "expected 5 fields, got 4"),
        ("vox1_meta.csv", 1, "Gender", "Sex", "not found: Gender"),
        ("vox1_meta.csv", 3, "id10002", "id10001", "this id is listed twice"),
        ("matching/matching_v2f_U.csv", 2, " ", "", "expected 3 fields, got 1"),
        ("matching/matching_v2f_U.csv", 2, PEOPLE[0].id, PEOPLE[1].id, "not the probe's person"),
        ("matching/matching_v2f_U.csv", 4, PEOPLE[2].name, PEOPLE[0].name, "the probe's person too"),
        (
            "matching/matching_v2f_U.csv",
            2,
            PEOPLE[0].name,
            "Nobody",
            "the person of right is not in vox1_meta.csv",
        ),
        ("matching/matching_v2f_U.csv", 2, ".wav", ".mp3", "a path such as id10002/CLIP/00001.wav as probe"),
        ("matching/matching_f2v_G.csv", 1, "/1.6/", "/1.3/", r"a path such as A.R._Rahman/1.6/CLIP"),
        (
            "veriflist/veriflist_test_random_unseenunheard.txt",
            2,
            ",1,Person",
            ",2,Person",
            "expected label 0 or 1",
        ),
        (
            "veriflist/veriflist_test_random_unseenunheard.txt",
            2,
            ",1,Person",
            ",0,Person",
            "contradicts the two names",
        ),
        ("veriflist/veriflist_test_random_unseenunheard.txt", 2, ",2,2,", ",2,3,", "face's speaker number"),
        ("retrieval/wav_20k.csv", 2, "id10002\t", "id10003\t", "another person's than the path's"),
        ("retrieval/jpg_20k.csv", 3, "clip1/0000025", "clip0/0000000", "is listed twice"),
    ],
)
def test_a_damaged_list_is_refused_with_file_and_line(lists, file, line, old, new, message):
    path = lists / file
    lines = path.read_text().split("\n")
    assert old in lines[line - 1], "the test damages nothing"
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_text("\n".join(lines))
    with pytest.raises(BenchError, match=rf"{Path(file).name}, line {line}: .*{message}"):
        read_lists(lists)


def test_what_is_no_list_is_refused(lists, tmp_path):
    with pytest.raises(BenchError, match=r"not a folder of association lists: expected vox1_meta\.csv"):
        read_lists(tmp_path)
    (lists / "matching" / "matching_v2f_U.csv").rename(lists / "matching" / "matching_U.csv")
    with pytest.raises(BenchError, match="a name such as matching_v2f_GN"):
        read_lists(lists)
    (lists / "matching" / "matching_U.csv").unlink()
    (lists / "retrieval" / "jpg_20k.csv").unlink()
    with pytest.raises(BenchError, match=r"jpg_20k\.csv is missing"):
        read_lists(lists)
    (lists / "retrieval" / "wav_20k.csv").write_text("VoxCeleb1 ID\twav\n")
    (lists / "retrieval" / "jpg_20k.csv").write_text("")
    with pytest.raises(BenchError, match="has no line"):
        read_lists(lists)
    for path in lists.glob("*/*"):
        path.unlink()
    with pytest.raises(BenchError, match="holds no list"):
        read_lists(lists)


def test_files_are_found_under_either_naming(folders, tmp_path):
    one = PEOPLE[3]
    assert folders.recording(one.recording(1)) == folders.voices / one.recording(1)
    assert folders.recording(one.old_recording(1)) == folders.voices / one.recording(1)
    assert folders.photo(one.old_photo(2)) == folders.faces / one.photo(2)
    old = tmp_path / "wav" / one.old_recording(1)
    old.parent.mkdir(parents=True)
    old.touch()
    assert folders.recording(one.old_recording(1)) == old
    assert folders.recording(one.recording(1).replace("00002", "00009")) is None
    assert folders.photo("Nobody/clip/0000001.jpg") is None


@pytest.mark.parametrize("old", [PEOPLE[0].name, "x_y0000002", "clip1"])
@pytest.mark.parametrize("new", ["..", ".hidden"])
@pytest.mark.parametrize(
    "file", ["matching_v2f_U.csv", "veriflist_test_random_unseenunheard.txt", "wav_20k.csv"]
)
def test_a_listed_path_cannot_lead_out_of_the_folders_of_media(lists, file, old, new):
    for path in lists.rglob("*.*"):
        if path.parent == lists or path.name in (file, file.replace("wav", "jpg")):
            path.write_text(path.read_text().replace(old, new))
        else:
            path.unlink()
    with pytest.raises(BenchError, match="expected a path"):
        read_lists(lists)


def test_photos_of_a_retrieval_list_without_its_recordings_are_refused(lists):
    (lists / "retrieval" / "wav_20k.csv").unlink()
    with pytest.raises(
        BenchError, match=r"wav_20k\.csv is missing: a retrieval list has one file of recordings"
    ):
        read_lists(lists)


def test_a_list_that_is_a_pipe_is_not_waited_for(lists):
    (lists / "matching" / "matching_v2f_U.csv").unlink()
    os.mkfifo(lists / "matching" / "matching_v2f_U.csv")
    with pytest.raises(BenchError, match="it is no file"):
        read_lists(lists)
