"""Metadata tables as people's programs save them: read rightly, or the damaged line is named."""

# ruff: noqa: F811 - fixtures of other files are imported by name

from __future__ import annotations

import pytest

from sf2f_bench.data.hq_voxceleb import SUBSETS, HqVoxCeleb, seen_by
from sf2f_bench.data.splits import check_disjoint
from sf2f_bench.data.tables import read_table
from sf2f_bench.types import BenchError, DatasetSource, Identity
from tests.unit.test_hq_voxceleb import read, root  # noqa: F401 - root is a fixture

ROWS = [{"id": "1", "name": "Zoë"}, {"id": "2", "name": "B b"}]


def write(folder, content, encoding="utf-8"):
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


class TestRead:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize(
        "content",
        [
            "id,name\n1,Zoë\n2,B b\n",
            "id\tname\r\n1\tZoë\r\n2\tB b",
            "id;name\n1;Zoë\n2;B b\n",
            "id, name \n 1, Zoë\n2 ,\tB b \n",
            '"id","name"\n\n"1", "Zoë"\n\n2,B b\n   \n',
        ],
    )
    def test_every_way_to_save_a_table_gives_the_same_rows(self, tmp_path, content, encoding):
        assert read_table(write(tmp_path, content, encoding), ["id", "name"], "") == ROWS

    def test_a_quotation_mark_inside_a_name_is_a_letter(self, tmp_path):
        path = write(tmp_path, 'id,name\n1,Dwayne_"The_Rock"\n')
        assert read_table(path, ["id"], "")[0]["name"] == 'Dwayne_"The_Rock"'

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ('id,name\n1,a\n2,"b\n3,c\n', "line 3: cannot be read"),
            ('id,name\n1,"a"x\n', "line 2: cannot be read"),
            ("id,name\n1,a\n2\n3,c\n", r"line 3: expected 2 cells as the header has, found 1 \('2'\)"),
            ("id,name\n1,a,b\n", "line 2: expected 2 cells"),
            (f"id,name\n1,{'x' * 200_000}\n", "line 2: cannot be read"),
            ("id,name\n1,a\n2,Zoë\n".encode("cp1252"), r"line 3: not UTF-8 .*save the table as UTF-8"),
            ("id,name\n1,a\n".encode("utf-16-le"), r"line 1: holds the control character '\\x00'"),
            ("id,name\n1,a\nid,name\n2,b\n", "line 3: is the header again"),
            ("id,name\n1,a\n2,b\0\n", r"line 3: holds the control character '\\x00'"),
            ("id,name\n1,\x1b[31ma\n", "line 2: holds the control character"),
            ("id,name\n", "expected rows below the header, found none"),
            ("", "not found: id, name"),
            ("id,other\n1,2\n", "not found: name"),
        ],
    )
    def test_a_damaged_table_is_refused_by_its_line(self, tmp_path, content, problem):
        with pytest.raises(BenchError, match=problem):
            read_table(write(tmp_path, content), ["id", "name"], "")


class TestWords:
    @pytest.mark.parametrize(
        ("word", "gender"),
        [
            *((word, "f") for word in ("f", "F", " f ", "Female", "woman")),
            *((word, "m") for word in ("m", "M", "m\t", "MALE", "man")),
            *((word, None) for word in (None, "", " ", "nan", float("nan"), "Unknown", "N/A", "-")),
        ],
    )
    def test_gender_is_f_m_or_unknown_however_it_is_spelt(self, word, gender):
        assert Identity("a", gender=word).gender == gender

    def test_nationality_and_age_lose_their_blanks(self):
        found = Identity("a", nationality=" USA ", age=" 31 ")
        assert (found.nationality, found.age) == ("USA", 31.0)
        blank = Identity("a", nationality="nan", age=" ")
        assert (blank.nationality, blank.age) == (None, None)

    @pytest.mark.parametrize(
        "facts",
        [
            {"gender": "<x>"},
            {"gender": "1"},
            {"age": "old"},
            {"age": -1},
            {"age": 200},
            {"age": float("inf")},
        ],
    )
    def test_any_other_word_is_refused(self, facts):
        with pytest.raises(BenchError, match=r"identity 'a': .*expected .*where it is not known"):
            Identity("a", **facts)

    def test_it_is_named_with_its_row(self, root):
        table = root / "meta_info" / "vox1_meta.csv"
        table.write_text(table.read_text().replace("Person_04\tf", "Person_04\tq"))
        with pytest.raises(BenchError, match=r"vox1_meta\.csv, row 5 .*'Person_04': gender 'q'"):
            read(root)

    @pytest.mark.parametrize(("flag", "found"), [(" 1", "VGGFace2"), ("0 ", ""), (" ", None)])
    def test_flags_may_have_blanks(self, flag, found):
        assert seen_by(SUBSETS[1], {"Flag": flag}) == found

    def test_another_flag_is_refused(self):
        with pytest.raises(BenchError, match="Flag 'yes': expected 1"):
            seen_by(SUBSETS[1], {"Flag": "yes"})


class TestTwice:
    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("Person_03", "Person_01", r"row 4 .*the same VGGFace1 ID 'Person_01' as row 2"),
            ("id10008", "id10001", r"row 9 .*the same VoxCeleb1 ID 'id10001' as row 2"),
            ("Person_03", " ", r"row 4 .*has no VGGFace1 ID"),
        ],
    )
    def test_one_name_or_id_in_two_rows_is_refused(self, root, old, new, problem):
        table = root / "meta_info" / "vox1_meta.csv"
        table.write_text(table.read_text().replace(old, new))
        with pytest.raises(BenchError, match=problem):
            read(root)

    def test_one_id_twice_in_a_split_of_any_data_set_is_refused(self):
        with pytest.raises(BenchError, match=r"'train' has 1 identities twice \(a\)"):
            check_disjoint({"train": ["a", "b", "a"], "test": ["c"]})


class TestNames:
    def test_a_lost_dot_or_case_in_a_folder_s_name_suggests_the_pair(self, root):
        table = root / "meta_info" / "vox1_meta.csv"
        table.write_text(table.read_text().replace("Person_04", "Person_04_Jr."))
        faces = root / "vox1" / "masked_faces"
        (faces / "Person_04").rename(faces / "Person_04_Jr")
        (faces / "Person_05").rename(faces / "person_05")
        assert read(root).left_out() == [
            (
                "Person_04_Jr.",
                "has speech but no photo under this name, but a folder Person_04_Jr: rename it",
            ),
            ("Person_05", "has speech but no photo under this name, but a folder person_05: rename it"),
            *(
                (
                    name,
                    f"not a person of vox1_meta.csv: most likely {likely}, whose name must be spelt as in the table; "
                    "rename the folder",
                )
                for name, likely in (("Person_04_Jr", "Person_04_Jr."), ("person_05", "Person_05"))
            ),
        ]

    def test_an_id_in_capitals_suggests_the_pair(self, root):
        folder = root / "raw_wav" / "vox1" / "dev"
        (folder / "id10001").rename(folder / "ID10001")
        reasons = dict(read(root).left_out())
        assert "most likely id10001" in reasons["ID10001"]

    def test_an_empty_split_says_who_was_left_out(self, root):
        for folder, name in (("vox1", "Person_08"), ("vox1", "Person_18"), ("vox2", "Star_08")):
            faces = root / folder / "masked_faces"
            (faces / name).rename(faces / f"{name}.")
        with pytest.raises(BenchError, match=r"'test' has no identity .*Left out: 6 \(Person_08: has speech"):
            read(root).identities("test")


def test_the_published_tables_are_read_as_they_are(shared):
    folder = shared / "protocols" / "voxceleb_meta"
    counts = []
    for subset in SUBSETS:
        rows = read_table(folder / subset.metadata, [subset.person, subset.speaker, subset.gender], "")
        counts.append(len(rows))
        assert all(Identity("a", gender=row[subset.gender]).gender for row in rows)
        assert all(seen_by(subset, row) is not None for row in rows)
    assert counts == [1251, 6114]


def test_metadata_is_checked_before_anything_else(tmp_path):
    (tmp_path / "vox1" / "masked_faces").mkdir(parents=True)
    (tmp_path / "vox1_meta.csv").write_bytes("VoxCeleb1 ID\tVGGFace1 ID\nid1\tZoë\n".encode("latin-1"))
    with pytest.raises(BenchError, match="not UTF-8"):
        HqVoxCeleb(DatasetSource(root=tmp_path))
