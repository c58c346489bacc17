"""HQ-VoxCeleb's folder: the layout, the split rule, what is left out and what is missing."""

from __future__ import annotations

import pickle
import shutil
import unicodedata

import numpy as np
import pytest
import soundfile
from PIL import Image

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.data.hq_voxceleb import HqVoxCeleb, split_of_row
from sf2f_bench.data.mel_pickles import MelFile
from sf2f_bench.data.splits import check_disjoint
from sf2f_bench.types import SAMPLE_RATE, SPLITS, BenchError, Dataset, DatasetSource
from tests import layouts

VOX1 = [(f"id1{row:04d}", f"Person_{row:02d}", "fm"[row % 2], "Atlantis") for row in range(20)]
VOX2 = [(f"id0{row:04d}", f"Star_{row:02d}", "fm"[row % 2]) for row in range(10)]


def add_person(root, part, name, speaker, subset="dev"):
    faces = root / part / "masked_faces" / name
    faces.mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save(faces / "1.png")
    clip = root / "raw_wav" / part / subset / speaker / "clip"
    clip.mkdir(parents=True)
    soundfile.write(clip / "00001.wav", np.ones(100), SAMPLE_RATE)


@pytest.fixture
def root(tmp_path):
    """Made-up people: all 20 rows of vox1, all 10 of vox2."""
    vox1 = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    vox1 += [f"{speaker}\t{name}\t{gender}\t{nation}\tdev" for speaker, name, gender, nation in VOX1]
    vox2 = ["Class_ID,Name,Sample_Num,Flag,Gender_x,VoxCeleb2ID,VGGFace2ID,Gender_y,Set"]
    vox2 += [f"n1,{name},9,1,{gender},{speaker},n1,{gender},dev" for speaker, name, gender in VOX2]
    (tmp_path / "meta_info").mkdir()
    (tmp_path / "meta_info" / "vox1_meta.csv").write_text("\n".join(vox1) + "\n", encoding="utf-8")
    (tmp_path / "meta_info" / "full_vox2_meta.csv").write_text("\n".join(vox2) + "\n", encoding="utf-8")
    for speaker, name, *_ in VOX1:
        add_person(tmp_path, "vox1", name, speaker)
    for speaker, name, _ in VOX2:
        add_person(tmp_path, "vox2", name, speaker, subset="test")
    return tmp_path


def read(root, **source):
    return HqVoxCeleb(DatasetSource(root=root, **source))


def ids(dataset, split):
    return [identity.id for identity in dataset.identities(split)]


class TestSplits:
    def test_rows_decide_and_each_file_counts_from_zero(self, root):
        dataset = read(root)
        assert isinstance(dataset, Dataset)
        assert ids(dataset, "test") == ["Person_08", "Person_18", "Star_08"]
        assert ids(dataset, "val") == ["Person_09", "Person_19", "Star_09"]
        assert len(ids(dataset, "train")) == 24
        check_disjoint({split: ids(dataset, split) for split in SPLITS})

    def test_the_real_vox2_metadata_gives_the_published_counts(self):
        splits = [split_of_row(number) for number in range(6114)]
        assert [splits.count(split) for split in SPLITS] == [4892, 611, 611]

    def test_an_absent_person_does_not_move_the_rows_behind(self, root):
        shutil.rmtree(root / "vox1" / "masked_faces" / "Person_03")
        shutil.rmtree(root / "raw_wav" / "vox1" / "dev" / "id10003")
        dataset = read(root)
        assert ids(dataset, "test") == ["Person_08", "Person_18", "Star_08"]
        assert dataset.left_out() == []

    def test_metadata_says_who_they_are(self, root):
        by_id = {identity.id: identity for identity in read(root).identities("train")}
        assert (by_id["Person_01"].gender, by_id["Person_01"].nationality) == ("m", "Atlantis")
        assert (by_id["Star_00"].gender, by_id["Star_00"].nationality) == ("f", None)

    def test_limits_keep_the_first(self, root):
        dataset = read(root, limits={"train": 3, "test": 1})
        assert ids(dataset, "train") == ["Person_00", "Person_01", "Person_02"]
        assert ids(dataset, "test") == ["Person_08"]
        assert len(ids(dataset, "val")) == 3
        assert dataset.fingerprint() != read(root).fingerprint()

    @pytest.mark.parametrize("limits", [{"dev": 3}, {"test": 0}])
    def test_refuses_limits_that_mean_nothing(self, root, limits):
        with pytest.raises(BenchError, match="a limit names one of train, val, test"):
            read(root, limits=limits)

    def test_an_empty_test_split_is_refused(self, root):
        for name in (
            "vox1/masked_faces/Person_08",
            "vox1/masked_faces/Person_18",
            "vox2/masked_faces/Star_08",
        ):
            shutil.rmtree(root / name)
        with pytest.raises(BenchError, match=r"'test' has no identity \(found: train 24, val 3, test 0\)"):
            read(root).identities("test")

    def test_an_unknown_split_is_refused(self, root):
        with pytest.raises(BenchError, match="train, val, test, got 'dev'"):
            read(root).identities("dev")


class TestPeople:
    def test_one_without_photos_or_speech_is_left_out_and_named(self, root):
        shutil.rmtree(root / "vox1" / "masked_faces" / "Person_01")
        (root / "vox1" / "masked_faces" / "Person_02" / "1.png").unlink()
        shutil.rmtree(root / "raw_wav" / "vox1" / "dev" / "id10003")
        (root / "raw_wav" / "vox1" / "dev" / "id10004" / "clip" / "00001.wav").unlink()
        (root / "vox1" / "masked_faces" / "Nobody").mkdir()
        dataset = read(root)
        assert dataset.left_out() == [
            ("Person_01", "has speech but no photo"),
            ("Person_02", "has speech but no photo"),
            ("Person_03", "has photos but no speech"),
            ("Person_04", "has photos but no speech"),
            ("Nobody", "not a person of vox1_meta.csv"),
        ]
        assert len(ids(dataset, "train")) == 20

    def test_a_person_of_both_parts_is_one_identity(self, root):
        table = root / "meta_info" / "full_vox2_meta.csv"
        table.write_text(table.read_text().replace("Star_08", "Person_00"))
        (root / "vox2" / "masked_faces" / "Star_08").rename(root / "vox2" / "masked_faces" / "Person_00")
        dataset = read(root)
        assert "Person_00" in ids(dataset, "train")
        assert "Person_00" not in ids(dataset, "test")
        assert dataset.left_out()[0][0] == "Person_00"

    def test_names_are_found_however_unicode_spells_them(self, root):
        table = root / "meta_info" / "vox1_meta.csv"
        composed = unicodedata.normalize("NFC", "Agnès_05")
        table.write_text(table.read_text().replace("Person_05", composed), encoding="utf-8-sig")
        faces = root / "vox1" / "masked_faces"
        (faces / "Person_05").rename(faces / unicodedata.normalize("NFD", "Agnès_05"))
        dataset = read(root)
        assert composed in ids(dataset, "train")
        assert len(dataset.photos(composed)) == 1

    def test_utterances_are_sorted_and_converted_ones_count_once(self, root):
        clips = root / "raw_wav" / "vox1" / "dev" / "id10000"
        for clip, utterance in (("b", "00002"), ("b", "00001"), ("a", "00009")):
            (clips / clip).mkdir(exist_ok=True)
            for suffix in (".m4a", ".wav", ".flac"):
                (clips / clip / f"{utterance}{suffix}").write_bytes(b"sound")
        (clips / "b" / "._00001.wav").write_bytes(b"left by a Mac")
        (clips / "b" / "notes.txt").write_text("no sound")
        found = read(root).utterances("Person_00")
        assert [item.key for item in found] == [
            "id10000_a_00009",
            "id10000_b_00001",
            "id10000_b_00002",
            "id10000_clip_00001",
        ]
        assert {item.path.suffix for item in found} == {".wav"}

    def test_both_subsets_of_a_speaker_are_read(self, root):
        clip = root / "raw_wav" / "vox1" / "test" / "id10000" / "later"
        clip.mkdir(parents=True)
        (clip / "00001.m4a").write_bytes(b"sound")
        assert [item.key for item in read(root).utterances("Person_00")] == [
            "id10000_clip_00001",
            "id10000_later_00001",
        ]

    def test_an_unknown_identity_is_refused(self, root):
        with pytest.raises(BenchError, match="unknown identity 'Nobody'"):
            read(root).photos("Nobody")


class TestFeatureFiles:
    @pytest.fixture
    def with_features(self, root):
        for speaker, name, *_ in VOX1:
            folder = root / "vox1" / "mel_spectrograms" / name
            folder.mkdir(parents=True)
            content = {"LogMel_Features": np.full((40, 130), 3.0), "spkid": speaker}
            (folder / f"{speaker}_clip_00001.pickle").write_bytes(pickle.dumps(content))
        return root

    def test_recordings_come_first(self, with_features):
        assert not isinstance(read(with_features).utterances("Person_00")[0], MelFile)

    def test_features_stand_in_for_recordings(self, with_features):
        shutil.rmtree(with_features / "raw_wav" / "vox1")
        dataset = read(with_features)
        assert ids(dataset, "test") == ["Person_08", "Person_18", "Star_08"]
        (utterance,) = dataset.utterances("Person_08")
        assert utterance.key == "id10008_clip_00001"  # the same as the recording's
        assert (utterance.log_filterbank(LogFilterbank()) == 3).all()


class TestFolder:
    def test_everything_missing_is_named_at_once(self, tmp_path):
        with pytest.raises(BenchError) as caught:
            read(tmp_path)
        for what in ("vox1/masked_faces", "vox2/masked_faces", "vox1_meta.csv", "full_vox2_meta.csv"):
            assert what in str(caught.value)
        for where in ("raw_wav/vox1", "mel_spectrograms", "HQ-VoxCeleb", "Visual Geometry Group"):
            assert where in str(caught.value)

    def test_only_what_is_missing_is_named(self, root):
        (root / "meta_info" / "full_vox2_meta.csv").unlink()
        shutil.rmtree(root / "raw_wav" / "vox1")
        with pytest.raises(BenchError) as caught:
            read(root)
        lines = str(caught.value).splitlines()[1:]
        assert [line.split(":")[0].strip() for line in lines] == [
            "raw_wav/vox1/dev|test/ID/CLIP/*.wav",
            "full_vox2_meta.csv",
        ]

    def test_one_part_alone_is_a_data_set_and_says_so(self, root):
        shutil.rmtree(root / "vox2")
        (root / "meta_info" / "full_vox2_meta.csv").unlink()
        dataset = read(root)
        assert ids(dataset, "test") == ["Person_08", "Person_18"]
        assert dataset.card.description.endswith("Read: vox1, photos of masked_faces.")

    @pytest.mark.parametrize("place", [".", "metadata", "vox1"])
    def test_metadata_is_found_where_people_put_it(self, root, place):
        (root / place).mkdir(exist_ok=True)
        (root / "meta_info" / "vox1_meta.csv").rename(root / place / "vox1_meta.csv")
        assert ids(read(root), "test")[0] == "Person_08"

    def test_another_table_is_refused_by_its_columns(self, root):
        (root / "meta_info" / "vox1_meta.csv").write_text("id,name\n1,2\n")
        with pytest.raises(BenchError, match=r"vox1_meta\.csv: expected rows with the columns VGGFace1 ID"):
            read(root)

    def test_originals_are_read_where_no_part_is_masked_and_the_card_says_so(self, root):
        for part in ("vox1", "vox2"):
            (root / part / "masked_faces").rename(root / part / "origin_faces")
        assert "origin_faces" in read(root).card.description
        assert "origin_faces" not in HqVoxCeleb.card.description  # the class's own card is left alone

    def test_masked_and_original_photos_are_not_mixed(self, root):
        (root / "vox2" / "masked_faces").rename(root / "vox2" / "origin_faces")
        with pytest.raises(BenchError, match="vox1 has masked_faces; vox2 has origin_faces"):
            read(root)

    def test_the_fingerprint_follows_the_files(self, root):
        before = read(root).fingerprint()
        assert read(root).fingerprint() == before
        (root / "vox1" / "masked_faces" / "Person_00" / "1.png").write_bytes(b"longer or shorter")
        assert read(root).fingerprint() != before

    def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(self, root, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
        shutil.copytree(root, elsewhere)
        assert read(elsewhere).fingerprint() == read(root).fingerprint()

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ({}, r"--root FOLDER\), got none\."),
            ({"root": "nowhere"}, r"--root FOLDER\), got .*nowhere\."),
            ({"voices": "a", "faces": "b"}, "give it as the root"),
        ],
    )
    def test_a_wrong_source_is_refused(self, tmp_path, source, said):
        paths = {name: tmp_path / folder for name, folder in source.items()}
        with pytest.raises(BenchError, match=said):
            HqVoxCeleb(DatasetSource(**paths))


def test_real_photos_and_recordings_in_the_real_layout(shared, tmp_path):
    dataset = HqVoxCeleb(DatasetSource(root=layouts.lay_out_hq_voxceleb(shared, tmp_path)))
    assert {split: ids(dataset, split) for split in SPLITS} == {
        split: sorted(names) for split, names in layouts.SPLITS.items()
    }
    assert dataset.left_out() == []
    frontend = LogFilterbank()
    for split in SPLITS:
        for identity in dataset.identities(split):
            assert identity.gender in ("f", "m")
            assert all(photo.image(64).std() > 10 for photo in dataset.photos(identity.id))
            for utterance in dataset.utterances(identity.id):
                features = utterance.log_filterbank(frontend)
                assert features.shape[0] == 40
                assert features.shape[1] >= 125
                assert abs(frontend.normalise(features).mean()) < 2


class TestSeenByNetworks:
    def test_vox1_was_chosen_from_vggface1_and_vox2s_flag_says_what_vggface2_trained_on(self, root):
        table = root / "meta_info" / "full_vox2_meta.csv"
        table.write_text(
            table.read_text().replace("n1,Star_01,9,1", "n1,Star_01,9,0").replace("Star_02,9,1", "Star_02,9,")
        )
        by_id = {identity.id: identity.seen_by for identity in read(root).identities("train")}
        assert by_id["Person_00"] == "VGGFace1"
        assert by_id["Star_00"] == "VGGFace2"
        assert by_id["Star_01"] == ""  # of VGGFace2, but not of its training split
        assert by_id["Star_02"] is None

    def test_metadata_without_the_flag_leaves_it_open(self, root):
        table = root / "meta_info" / "full_vox2_meta.csv"
        table.write_text(table.read_text().replace("Flag", "Other"))
        assert {p.id: p.seen_by for p in read(root).identities("test")}["Star_08"] is None
