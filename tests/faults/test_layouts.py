"""Folders as archives unpack and as file systems spoil them: read rightly, or said."""

# ruff: noqa: F811 - fixtures of other files are imported by name

from __future__ import annotations

import os

import pytest

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.audio.decode import stated_seconds
from sf2f_bench.data.media import AudioFile, files_in, has_files, hash_files
from sf2f_bench.data.mel_pickles import MelFile
from sf2f_bench.data.prepared import _left_out_before
from sf2f_bench.data.shards import sha256_of
from sf2f_bench.types import BenchError, MediaError
from tests.unit.test_hq_voxceleb import read, root  # noqa: F401 - root is a fixture
from tests.unit.test_null_pairs import folders, members  # noqa: F401 - folders is a fixture
from tests.unit.test_null_pairs import read as null_pairs


def everything(dataset):
    """The keys of every identity's utterances."""
    return {
        identity.id: [item.key for item in dataset.utterances(identity.id)]
        for split in ("train", "val", "test")
        for identity in dataset.identities(split)
    }


class TestVoxCelebArchives:
    @pytest.mark.parametrize(
        "place",
        [
            "raw_wav/vox1/wav",
            "raw_wav/vox1",
            "raw_wav/vox1/dev/aac",
            "raw_wav/vox1/vox1_dev_wav/wav",
            "raw_wav/wav",
            "vox1/dev/wav",
            "wav",
            "dev/aac",
        ],
    )
    def test_they_are_read_where_they_unpack(self, root, place):
        before = everything(read(root))
        (root / "raw_wav" / "vox1" / "dev").rename(root / "aside")
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        if (root / place).is_dir():  # raw_wav/vox1 itself
            (root / place).rmdir()
        (root / "aside").rename(root / place)
        assert everything(read(root)) == before

    def test_half_in_one_layout_and_half_in_another_is_the_whole(self, root):
        before = everything(read(root))
        for number in range(0, 20, 2):
            target = root / "dev" / "aac" / f"id1{number:04d}"
            target.parent.mkdir(parents=True, exist_ok=True)
            (root / "raw_wav" / "vox1" / "dev" / target.name).rename(target)
        assert everything(read(root)) == before

    def test_what_is_missing_is_said_with_what_was_found(self, root):
        outer = root.parent / "outer"
        outer.mkdir()
        root.rename(outer / "HQ-VoxCeleb")
        with pytest.raises(BenchError, match=r"folders found: HQ-VoxCeleb, .*is .*HQ-VoxCeleb the root\?"):
            read(outer)
        (outer / "HQ-VoxCeleb").rename(root)


class TestNullPairs:
    def test_librispeech_is_read_as_it_unpacks(self, folders):
        before = members(null_pairs(folders))
        for number, path in enumerate(sorted(folders["voices"].iterdir())):
            speaker, chapter, _ = path.name.split("-")
            subset = ("train-clean-100", "test-other")[int(speaker) % 2]
            target = folders["voices"] / ("LibriSpeech" if number % 3 else "") / subset / speaker / chapter
            target.mkdir(parents=True)
            path.rename(target / path.name)
        (folders["voices"] / "LibriSpeech" / "README.TXT").write_text("about")
        dataset = null_pairs(folders)
        found = {
            split: [
                (dataset.utterances(person.id)[0].path.name.split("-")[0], pair[1])
                for person, pair in zip(dataset.identities(split), before[split], strict=True)
            ]
            for split in before
        }
        assert found == before
        assert all(
            len({item.path.name.split("-")[0] for item in dataset.utterances(person.id)}) == 1
            for person in dataset.identities("test")
        )

    @pytest.mark.parametrize("what", ["faces", "voices"])
    def test_people_one_folder_deeper_are_suggested(self, folders, what):
        inner = folders[what] / "inner"
        if what == "voices":
            for path in sorted(folders[what].iterdir()):
                target = folders[what] / f"speaker{path.name.split('-')[0]}"
                target.mkdir(exist_ok=True)
                path.rename(target / path.name)
        people = list(folders[what].iterdir())
        inner.mkdir()
        for path in people:
            path.rename(inner / path.name)
        with pytest.raises(
            BenchError, match=rf"give 1 pairs .*inner counts as one, .*name --{what} .*inner\."
        ):
            null_pairs(folders)
        assert null_pairs({**folders, what: inner}).identities("test")

    def test_media_that_are_not_read_are_listed(self, folders):
        (folders["faces"] / "s1" / "a.gif").write_bytes(b"x")
        (folders["voices"] / "1-1-1.pkl").write_bytes(b"x")
        assert [reason.rpartition("/")[2].split(",")[0] for _, reason in null_pairs(folders).left_out()] == [
            "1-1-1.pkl: .pkl is not read here",
            "a.gif: .gif is not read here",
        ]

    def test_a_folder_of_only_those_says_so(self, folders, tmp_path):
        (tmp_path / "gifs" / "a").mkdir(parents=True)
        (tmp_path / "gifs" / "a" / "1.gif").write_bytes(b"x")
        with pytest.raises(BenchError, match=r"expected files .*found none, but 1\.gif"):
            null_pairs({**folders, "faces": tmp_path / "gifs"})


class TestKinds:
    def test_media_of_other_kinds_are_listed(self, root):
        clip = root / "raw_wav" / "vox1" / "dev" / "id10000" / "clip"
        for name in ("a.mp3", "b.ogg", "c.pkl", "notes.txt"):
            (clip / name).write_bytes(b"x")
        (root / "vox1" / "masked_faces" / "Person_01" / "2.gif").write_bytes(b"x")
        listed = read(root).left_out()
        assert [name for name, _ in listed] == ["Person_00"] * 3 + ["Person_01"]
        for (_, reason), name, kinds in zip(
            listed, ("a.mp3", "b.ogg", "c.pkl", "2.gif"), (".flac, .m4a, .wav",) * 3 + (".jpeg",), strict=True
        ):
            assert name in reason
            assert kinds in reason

    def test_a_person_with_only_those_is_left_out_for_them(self, root):
        clip = root / "raw_wav" / "vox1" / "dev" / "id10004" / "clip"
        (clip / "00001.wav").rename(clip / "00001.mp3")
        assert read(root).left_out() == [
            ("Person_04", "has photos but no speech (expected .flac, .m4a, .wav, found 00001.mp3)")
        ]


class TestLinks:
    def plant(self, folder):
        """a/1.wav, b/2.wav and links to themselves, to their parent, to the other and to nothing."""
        for name, number in (("a", 1), ("b", 2)):
            (folder / name).mkdir()
            (folder / name / f"{number}.wav").write_bytes(b"x")
        for link, target in (
            ("a/itself", "itself"),
            ("a/itself.wav", "itself.wav"),
            ("a/parent", ".."),
            ("a/here", "."),
            ("a/other", "../b"),
            ("b/other", "../a"),
            ("b/gone.wav", "nowhere.wav"),
        ):
            os.symlink(target, folder / link)

    @pytest.mark.parametrize("inner", ["", "a", "b"])
    def test_that_loop_are_not_followed(self, tmp_path, inner):
        self.plant(tmp_path)
        found = files_in(tmp_path / inner, {".wav"})
        assert {path.name for path in found} >= {"1.wav", "2.wav"}
        assert len(found) <= 8  # a and b, and each again within the other
        assert has_files(tmp_path / inner, {".wav"})
        hash_files([("all", tmp_path / inner)])

    def test_to_a_folder_elsewhere_are_followed(self, tmp_path):
        (tmp_path / "disk").mkdir()
        (tmp_path / "disk" / "1.wav").write_bytes(b"x")
        (tmp_path / "data").mkdir()
        os.symlink(tmp_path / "disk", tmp_path / "data" / "person")
        assert [path.name for path in files_in(tmp_path / "data", {".wav"})] == ["1.wav"]

    def test_that_are_broken_are_bad_files_and_not_nothing(self, tmp_path):
        self.plant(tmp_path)
        broken = [path for path in files_in(tmp_path, {".wav"}) if not path.exists()]
        assert {path.name for path in broken} == {"itself.wav", "gone.wav"}
        for path in broken:
            with pytest.raises(MediaError, match=path.name):
                AudioFile("a", path).waveform()

    def test_that_loop_do_not_end_the_reading_of_a_data_set(self, root):
        before = everything(read(root))
        os.symlink("..", root / "raw_wav" / "vox1" / "dev" / "id10000" / "up")
        os.symlink(".", root / "vox1" / "masked_faces" / "Person_00" / "here")
        os.symlink("loop", root / "raw_wav" / "vox1" / "dev" / "loop")
        dataset = read(root)
        assert everything(dataset) == before
        assert dataset.fingerprint()
        assert len(dataset.photos("Person_00")) == 1


class TestSpecialFiles:
    @pytest.mark.parametrize("kind", ["pipe", "device"])
    def test_what_has_no_end_is_no_file(self, tmp_path, kind):
        path = tmp_path / "a.wav"
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
        assert sha256_of(path) == ""
        assert stated_seconds(path) == 0
        for item in (AudioFile("a", path), MelFile("a", path)):
            with pytest.raises(MediaError, match="no such file"):
                item.log_filterbank(LogFilterbank())

    def test_a_name_in_no_encoding_of_ours_is_spelt_out(self, root):
        name = os.fsdecode(b"\xff")
        faces = root / "vox1" / "masked_faces"
        (faces / name).mkdir()
        (faces / "Person_00" / f"{name}.png").write_bytes(b"")
        dataset = read(root)
        assert [photo.key for photo in dataset.photos("Person_00")] == ["1.png", "\\udcff.png"]
        assert ("\\udcff", "not a person of vox1_meta.csv") in _left_out_before(dataset)


def test_a_subset_whose_photos_have_another_name_is_said(root):
    (root / "vox1" / "masked_faces").rename(root / "vox1" / "faces")
    assert ("vox1", "has recordings but no photos: expected vox1/masked_faces/NAME/*.jpg") in read(
        root
    ).left_out()


def test_real_ids_of_both_tables_do_not_meet(shared):
    """So that recordings of both subsets may lie in one folder."""
    from sf2f_bench.data.hq_voxceleb import SUBSETS
    from sf2f_bench.data.tables import read_table

    folder = shared / "protocols" / "voxceleb_meta"
    one, other = (
        {row[subset.speaker] for row in read_table(folder / subset.metadata, [subset.speaker], "")}
        for subset in SUBSETS
    )
    assert not one & other
