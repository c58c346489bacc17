"""Records: written whole or not at all, read back exactly, refused with a reason."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from record_factory import FACES, benchmark, record, saved, training_curve

from sf2f_bench.results.records import SIDE_FILES, AbsentScore, ScoreRecord, SideFiles, load, load_all, save
from sf2f_bench.results.side_media import write_draws
from sf2f_bench.types import BenchError

VALUES = pd.DataFrame({"identity": ["a", "b"], "cosine|judge": [0.1 + 0.2, 1 / 3]})


def test_round_trip_is_exact_and_unrounded(tmp_path):
    made = record(recall=1 / 3)
    path = save(made, tmp_path, VALUES)
    loaded = load(path)
    assert path.name == f"{made.stem}.json"
    assert loaded.scores == made.scores
    assert loaded.scores[3].value == 1 / 3
    assert loaded.created == made.created
    pd.testing.assert_frame_equal(loaded.per_identity(), VALUES, check_exact=True)
    assert loaded.curve() is None
    assert loaded.faces() is None


def test_stem_says_system_width_seed_and_key():
    made = record("sf2f-64", key="1a2b3c4d5e6f7081", seed=3)
    assert made.stem == "sf2f-64-w0.25-seed3-1a2b3c4d"
    assert record("voice2face", key="00ff00ff00").stem == "voice2face-seed0-00ff00ff"
    assert record("mine/../../x y|%", key="00ff00ff00").stem == "mine-..-..-x-y-seed0-00ff00ff"


def test_side_files_come_back(tmp_path):
    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (4, 3, 8, 6), dtype=np.uint8)
    curve = training_curve(random)
    made = record(files=SideFiles(face_identities=FACES))
    loaded = load(save(made, tmp_path, VALUES, curve, faces, faces[::-1].copy()))
    np.testing.assert_array_equal(loaded.faces(), faces)
    np.testing.assert_array_equal(loaded.faces("true_faces"), faces[::-1])
    pd.testing.assert_frame_equal(loaded.curve(), curve, check_exact=True)
    assert loaded.files.face_identities == FACES


def voices_of_four() -> list[np.ndarray]:
    """Short of 2.5 s, as long, longer, and loud."""
    random = np.random.default_rng(1)
    made = [random.integers(-900, 900, length) for length in (1, 40_000, 56_000)]
    return [(voice / 32768).astype(np.float32) for voice in (*made, np.full(40_000, 32767))]


def test_what_was_read_of_its_side_files_is_no_part_of_a_record(tmp_path):
    made = saved(record("sf2f-64"), tmp_path, curve=True)
    again = load(tmp_path / f"{made.stem}.json")
    made.per_identity(), again.per_identity(), again.curve()
    assert made == again
    assert made.per_identity() is made.per_identity()


def test_voices_come_back_cut_to_their_length_and_exact(tmp_path):
    made, voices = record(files=SideFiles(face_identities=FACES)), voices_of_four()
    loaded = load(save(made, tmp_path, VALUES, voices=voices))
    assert loaded.files.voices == f"{made.stem}.voices.flac"
    for kept, given in zip(loaded.voices(), voices, strict=True):
        assert kept.dtype == np.float32
        assert kept.shape == (40_000,)
        np.testing.assert_array_equal(kept[: len(given)], given[:40_000])
        assert not kept[len(given) :].any()


def test_a_record_from_before_there_were_voices_loads(tmp_path):
    path = save(record(files=SideFiles(face_identities=FACES)), tmp_path, VALUES)
    content = json.loads(path.read_text())
    del content["files"]["voices"]
    path.write_text(json.dumps(content))
    assert load(path).voices() == []


def test_voices_that_do_not_fit_are_refused(tmp_path):
    named, voices = SideFiles(face_identities=FACES), voices_of_four()
    private = record(benchmark=benchmark(media_shareable=False), files=named)
    with pytest.raises(BenchError, match="may not be shared, so no voice"):
        save(private, tmp_path, VALUES, voices=voices)
    for wrong in (voices[:3], [voices[0][None]] * 4):
        with pytest.raises(BenchError, match="expected 4 waveforms"):
            save(record(files=named), tmp_path, VALUES, voices=wrong)
    path = save(record(files=named), tmp_path, VALUES, voices=voices)
    content = json.loads(path.read_text())
    content["files"]["face_identities"] = ["a", "b", "c"]
    path.write_text(json.dumps(content))
    with pytest.raises(BenchError, match="cannot be 3 voices"):
        load(path).voices()
    (tmp_path / content["files"]["voices"]).write_bytes(b"no sound")
    with pytest.raises(BenchError, match="expected a FLAC file"):
        load(path).voices()


def test_comparable_part_leaves_out_what_may_differ(tmp_path):
    one, other = record(hours=0, key="ab" * 8), record(hours=5, key="ab" * 8)
    other = other.model_copy(update={"cost": other.cost.model_copy(update={"wall_seconds": 1.0})})
    assert one != other
    assert one.comparable_part() == other.comparable_part()
    assert one.comparable_part() != record(recall=0.366, key="ab" * 8).comparable_part()
    first, second = load(save(one, tmp_path / "a", VALUES)), load(save(other, tmp_path / "b", VALUES))
    assert first.comparable_part() == second.comparable_part()


def test_load_all_is_recursive_and_passes_over_temporary_files(tmp_path):
    saved(record("sf2f-64"), tmp_path)
    saved(record("chance", 0.1, "own"), tmp_path / "deep" / "er")
    (tmp_path / ".half.json.x1.json").write_text('{"schema_ver')  # what a kill leaves behind
    assert {found.system.name for found in load_all(tmp_path)} == {"sf2f-64", "chance"}


def test_the_json_is_written_last(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("sf2f_bench.results.records.write", fail)
    with pytest.raises(OSError, match="disk full"):
        save(record(), tmp_path, VALUES)
    assert load_all(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{half", "expected the JSON"),
        (b"\xff\xfe", "expected the JSON"),
        ("[1, 2]", "schema version 2, got None"),
        ('{"schema_version": 3}', "schema version 2, got 3"),
        ('{"schema_version": 1}', "run `sf2f-bench migrate"),
        ('{"schema_version": 2}', "key: Field required"),
    ],
)
def test_bad_files_are_named(tmp_path, content, complaint):
    path = tmp_path / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BenchError, match=complaint) as caught:
        load_all(tmp_path)
    assert str(path) in str(caught.value)


def test_unknown_field_missing_side_file_and_missing_folder(tmp_path):
    path = save(record(), tmp_path, VALUES)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"surprise": 1}))
    with pytest.raises(BenchError, match="surprise"):
        load(path)
    path.write_text(json.dumps(content))
    (tmp_path / content["files"]["per_identity"]).unlink()
    with pytest.raises(BenchError, match=r"per-identity\.parquet is missing"):
        load(path)
    with pytest.raises(BenchError, match="no folder"):
        load_all(tmp_path / "nowhere")


PRIVATE = b"root:x:0:0"


def naming(path, side, name):
    """The record with one side file of another name, as a stranger would write it."""
    content = json.loads(path.read_text())
    content["files"][side] = name
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("side", SIDE_FILES)
@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../private.txt",
        "{stem}./../../private.txt",
        "{stem}.\\..\\private.txt",
        "C:private.txt",
        "deep/private.txt",
        ".private.txt",
        "..",
        ".",
        "private\0.txt",
        "\x1b[31mprivate.txt",
        "x" * 256,
    ],
)
def test_a_side_file_is_named_without_a_folder(tmp_path, side, name):
    path = save(record(), tmp_path / "results", VALUES)
    (tmp_path / "private.txt").write_bytes(PRIVATE)
    (path.parent / f"{path.stem}.").mkdir()
    with pytest.raises(BenchError, match=f"expected files.{side} to be the plain name of a file") as caught:
        load(naming(path, side, name.format(stem=path.stem)))
    assert str(caught.value).isprintable()
    with pytest.raises(BenchError, match="beside the record"):
        load_all(path.parent)


@pytest.mark.parametrize("side", SIDE_FILES)
def test_a_side_file_is_no_link(tmp_path, side):
    path = save(record(), tmp_path / "results", VALUES)
    (tmp_path / "private.txt").write_bytes(PRIVATE)
    name = f"{path.stem}.link"
    for target in (tmp_path / "private.txt", path, path.parent / name):  # outside, inside, a loop
        (path.parent / name).symlink_to(target)
        with pytest.raises(BenchError, match=rf"its {side} file {name} is a link; copy the file itself"):
            load(naming(path, side, name))
        (path.parent / name).unlink()
    (path.parent / name).mkdir()
    with pytest.raises(BenchError, match="is no file"):
        load(path)


def test_a_record_in_a_linked_folder_loads(tmp_path):
    save(record(), tmp_path / "results", VALUES)
    (tmp_path / "link").symlink_to(tmp_path / "results")
    assert len(load_all(tmp_path / "link")) == 1


def test_a_key_cannot_lead_out_of_the_folder(tmp_path):
    path = save(record(key="../../ab"), tmp_path / "deep" / "er", VALUES)
    assert path.parent == tmp_path / "deep" / "er"
    assert {found.parent for found in tmp_path.rglob("*.*")} == {path.parent}


def test_what_a_record_refuses():
    score = record().scores[0]
    for change in ({"value": float("nan")}, {"interval": (0.5, 0.4)}, {"n": 0}, {"extractor": None}):
        with pytest.raises(ValidationError):
            ScoreRecord(**score.model_dump() | change)
    with pytest.raises(ValidationError, match="stands twice"):
        record(scores=[score, score])
    assert AbsentScore(metric="cosine", extractor=None, reason="no face").extractor is None


def test_cases_come_back_with_their_people(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (4, 2, 3, 64, 64), dtype=np.uint8)
    made = load(save(record(files=SideFiles(case_identities=FACES)), tmp_path, VALUES, cases=pictures))
    np.testing.assert_array_equal(made.cases(), pictures)
    assert made.files.case_identities == FACES
    plain = save(record("voice2face-64"), tmp_path, VALUES)
    assert load(plain).cases() is None
    assert "case" not in plain.read_text(encoding="utf-8")


@pytest.mark.parametrize("count", [3, 8])
def test_a_file_of_cases_of_other_people_is_a_fault(tmp_path, count):
    pictures = np.zeros((4, 2, 3, 64, 64), np.uint8)
    path = save(record(files=SideFiles(case_identities=FACES)), tmp_path, VALUES, cases=pictures)
    write_draws(load(path).path_of("cases"), np.zeros((count, 2, 3, 64, 64), np.uint8))
    with pytest.raises(BenchError, match="cases"):
        load(path).cases()


def test_what_save_refuses(tmp_path):
    faces = np.zeros((4, 3, 8, 8), np.uint8)
    named = SideFiles(face_identities=FACES)
    private = record(benchmark=benchmark(media_shareable=False), files=named)
    with pytest.raises(BenchError, match="may not be shared"):
        save(private, tmp_path, VALUES, faces=faces)
    with pytest.raises(BenchError, match=r"uint8 \[4, 3, H, W\]"):
        save(record(files=named), tmp_path, VALUES, faces=faces[:3])
    with pytest.raises(BenchError, match="uint8"):
        save(record(files=named), tmp_path, VALUES, faces=faces.astype(np.float32))
    cases = np.zeros((4, 2, 3, 64, 64), np.uint8)
    with pytest.raises(BenchError, match=r"cases uint8 \[4, 2, 3, S, S\]"):
        save(record(files=SideFiles(case_identities=FACES)), tmp_path, VALUES, cases=cases[:3])
    with pytest.raises(BenchError, match="may not be shared"):
        save(private, tmp_path, VALUES, cases=cases)
    with pytest.raises(BenchError, match="'identity'"):
        save(record(), tmp_path, VALUES.drop(columns="identity"))
    with pytest.raises(BenchError, match="'stage' and 'step'"):
        save(record(), tmp_path, VALUES, pd.DataFrame({"step": [1]}))
    assert list(tmp_path.glob("*.json")) == []
