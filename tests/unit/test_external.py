"""Faces that another program drew: what a folder may hold, and everything that is wrong with one at once."""

from __future__ import annotations

import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from sf2f_bench.exchange.faces_in import read_faces
from sf2f_bench.types import BenchError, Identity

SIZE = 16
PEOPLE = [Identity(f"person-{number}") for number in range(4)]


def pixels(seed, size=SIZE):
    return np.random.RandomState(seed).randint(0, 256, (size, size, 3), dtype=np.uint8)


def draw(folder, identity, name="1.png", seed=0, size=SIZE):
    path = folder / identity / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, size)).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    for number, person in enumerate(PEOPLE):
        draw(tmp_path / "faces", person.id, seed=number)
    return tmp_path / "faces"


def problem_of(folder, **options):
    with pytest.raises(BenchError) as caught:
        read_faces(folder, PEOPLE, SIZE, **options)
    return str(caught.value)


class TestGoodFolders:
    def test_pictures_come_in_the_order_of_the_identities(self, folder):
        found = read_faces(folder, PEOPLE[::-1], SIZE)
        expected = np.stack([pixels(number) for number in (3, 2, 1, 0)]).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(found.answer.faces, expected)
        assert found.answer.faces.dtype == np.uint8
        assert found.answer.rows is None
        assert found.answer.repeat_faces is None
        assert found.notes == ()

    def test_a_jpeg_is_read(self, folder):
        (folder / "person-1" / "1.png").unlink()
        Image.new("RGB", (SIZE, SIZE), (200, 100, 50)).save(folder / "person-1" / "a.JPG")
        face = read_faces(folder, PEOPLE, SIZE).answer.faces[1]
        assert np.abs(face.astype(int) - np.array([200, 100, 50])[:, None, None]).max() <= 3

    def test_two_of_everybody_are_takes_and_the_first_by_name_is_the_face(self, folder):
        for number, person in enumerate(PEOPLE):
            draw(folder, person.id, "0.png", seed=10 + number)
            draw(folder, person.id, "2.png", seed=20 + number)
        found = read_faces(folder, PEOPLE, SIZE)
        assert found.answer.repeat_faces.shape == (2, 4, 3, SIZE, SIZE)
        np.testing.assert_array_equal(found.answer.faces, found.answer.repeat_faces[0])
        np.testing.assert_array_equal(found.answer.faces[2], pixels(12).transpose(2, 0, 1))
        np.testing.assert_array_equal(found.answer.repeat_faces[1, 2], pixels(2).transpose(2, 0, 1))
        assert "Pictures beyond the second (4 people) were not read." in found.notes[0]
        assert "is taken on trust" in found.notes[0]

    def test_a_second_picture_of_some_only_gives_no_takes_and_is_said(self, folder):
        draw(folder, "person-0", "2.png")
        found = read_faces(folder, PEOPLE, SIZE)
        assert found.answer.repeat_faces is None
        assert found.notes == (
            "1 of 4 people have two pictures or more: the first by name is scored; consistency needs two of everybody.",
        )

    def test_names_are_found_however_unicode_spells_them(self, tmp_path):
        draw(tmp_path, unicodedata.normalize("NFD", "Agnès"))
        found = read_faces(tmp_path, [Identity(unicodedata.normalize("NFC", "Agnès"))], SIZE)
        assert len(found.answer.faces) == 1

    def test_strangers_and_other_files_are_ignored_with_a_note_and_hidden_ones_without(self, folder):
        draw(folder, "stranger")
        (folder / "config.yaml").write_text("x")
        (folder / "person-0" / "z.txt").write_text("x")
        (folder / "person-0" / "deep").mkdir()
        (folder / ".DS_Store").write_text("x")
        (folder / "person-0" / "._1.png").write_text("x")
        assert read_faces(folder, PEOPLE, SIZE).notes == (
            "Folders of no test person, ignored: 1 (stranger).",
            "Files that are not pictures, ignored: 3 (config.yaml, person-0/deep, person-0/z.txt).",
        )


class TestChanges:
    def test_another_square_size_is_resized_with_antialiasing_and_said(self, folder):
        checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
        Image.fromarray(np.repeat(checks[..., None], 3, axis=2)).save(folder / "person-2" / "1.png")
        found = read_faces(folder, PEOPLE, SIZE)
        assert np.abs(found.answer.faces[2][:, 2:-2, 2:-2].astype(int) - 127).max() <= 2
        assert found.notes == ("64x64 pixels resized to 16x16 (bilinear, antialiased): 1 pictures.",)

    @pytest.mark.parametrize("mode", ["L", "1", "LA"])
    def test_grey_becomes_three_equal_channels(self, folder, mode):
        Image.fromarray(pixels(5)).convert(mode).save(folder / "person-2" / "1.png")
        found = read_faces(folder, PEOPLE, SIZE)
        face = found.answer.faces[2]
        np.testing.assert_array_equal(face[0], face[2])
        assert face.std() > 10
        assert found.notes == ("Greyscale made RGB: 1 pictures.",)

    def test_transparency_is_laid_on_white(self, folder):
        layer = Image.new("RGBA", (SIZE, SIZE), (10, 10, 10, 0))
        layer.paste((10, 20, 30, 255), (0, 0, 8, SIZE))
        layer.save(folder / "person-2" / "1.png")
        found = read_faces(folder, PEOPLE, SIZE)
        face = found.answer.faces[2]
        assert (face[:, :, :8] == np.array([10, 20, 30])[:, None, None]).all()
        assert (face[:, :, 8:] == 255).all()
        assert found.notes == ("Transparency laid on white: 1 pictures.",)

    def test_an_alpha_channel_that_hides_nothing_is_no_change(self, folder):
        Image.fromarray(pixels(2)).convert("RGBA").save(folder / "person-2" / "1.png")
        found = read_faces(folder, PEOPLE, SIZE)
        np.testing.assert_array_equal(found.answer.faces[2], pixels(2).transpose(2, 0, 1))
        assert found.notes == ()


def write_16_bit_grey(path):
    Image.fromarray(pixels(0)[..., 0].astype(np.uint16) * 257).save(path)


def write_16_bit_colour(path):
    """Pillow writes none, so the header, the data and the checksums are made here."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIZE, SIZE, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels(0).astype(np.uint16) * 257)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with Image.open(path) as picture:  # the trap: it looks like 8 bits
        assert picture.mode == "RGB"


def write_animated(path):
    frames = [Image.fromarray(pixels(number)) for number in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def write_truncated(path):
    Image.fromarray(pixels(0, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-3000])


FAULTS = {
    "16-bit grey": (write_16_bit_grey, "16 bits a channel, expected 8"),
    "16-bit colour": (write_16_bit_colour, "16 bits a channel, expected 8"),
    "animated": (write_animated, "3 pictures (animated), expected one"),
    "truncated": (write_truncated, "cannot be read"),
    "text": (lambda path: path.write_text("no picture"), "not a PNG or JPEG picture"),
    "empty": (lambda path: path.write_bytes(b""), "not a PNG or JPEG picture"),
    "gif": (lambda path: Image.fromarray(pixels(0)).save(path, format="GIF"), "not a PNG or JPEG picture"),
    "cmyk": (
        lambda path: Image.fromarray(pixels(0)).convert("CMYK").save(path, format="JPEG"),
        "colours of the kind CMYK",
    ),
    "not square": (
        lambda path: Image.fromarray(pixels(0)[:8]).save(path),
        "16x8 pixels, expected a square",
    ),
}


class TestFaults:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_picture_that_cannot_be_used_is_named_with_the_reason(self, folder, fault):
        write, message = FAULTS[fault]
        write(folder / "person-2" / "1.png")
        problem = problem_of(folder)
        assert "person-2/1.png: " in problem
        assert message in problem

    def test_a_link_out_of_the_folder_is_refused_and_one_within_is_read(self, folder, tmp_path):
        private = draw(tmp_path, "private")
        (folder / "person-2" / "1.png").unlink()
        (folder / "person-2" / "1.png").symlink_to(folder / "person-1" / "1.png")
        assert len(read_faces(folder, PEOPLE, SIZE).answer.faces) == 4
        shutil.rmtree(folder / "person-1")
        (folder / "person-1").symlink_to(private.parent)
        (folder / "person-2" / "1.png").unlink()
        (folder / "person-2" / "1.png").symlink_to(private)
        problem = problem_of(folder)
        for person in ("person-1", "person-2"):
            assert f"{person}/1.png: is a link out of the folder: copy the picture itself" in problem
        (tmp_path / "link").symlink_to(folder)  # the folder itself may be one
        assert len(read_faces(tmp_path / "link", PEOPLE[:1], SIZE).answer.faces) == 1

    def test_a_truncated_jpeg_is_refused(self, folder):
        path = folder / "person-2" / "1.jpg"
        Image.fromarray(pixels(0, 64)).save(path, quality=95)
        (folder / "person-2" / "1.png").unlink()
        path.write_bytes(path.read_bytes()[:2000])
        assert "person-2/1.jpg: cannot be read" in problem_of(folder)

    def test_all_problems_come_together_ten_of_them(self, tmp_path):
        people = [Identity(f"p{number:02d}") for number in range(14)]
        for person in people[:12]:
            draw(tmp_path, person.id).write_text("no picture")
        with pytest.raises(BenchError) as caught:
            read_faces(tmp_path, people, SIZE)
        lines = str(caught.value).splitlines()
        assert "2 of 14 test people have no picture (p12, p13)" in lines[1]
        assert lines[2].strip().startswith("p00/1.png: not a PNG")
        assert lines[-1].strip() == "and 3 more"
        assert len(lines) == 1 + 10 + 1

    def test_missing_people_are_counted_and_the_first_are_named(self, tmp_path):
        people = [Identity(f"p{number:02d}") for number in range(10)]
        draw(tmp_path, "p00")
        (tmp_path / "p01").mkdir()
        with pytest.raises(
            BenchError, match=r"9 of 10 test people .* \(p01, p02, p03, p04, p05 and 4 more\)"
        ):
            read_faces(tmp_path, people, SIZE)

    def test_partial_says_which_rows_are_there(self, folder):
        shutil.rmtree(folder / "person-1")
        found = read_faces(folder, PEOPLE, SIZE, partial=True, at_least=3)
        assert found.answer.rows.tolist() == [True, False, True, True]
        expected = np.stack([pixels(number) for number in (0, 2, 3)]).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(found.answer.faces, expected)
        assert found.notes[0].startswith("Partial: 3 of 4 test people have a face; person-1 are left out.")

    def test_partial_refuses_fewer_than_the_gallery_needs(self, folder):
        shutil.rmtree(folder / "person-1")
        assert "3 people have a picture, a gallery needs 4" in problem_of(folder, partial=True, at_least=4)

    def test_a_wrong_folder_is_told_by_what_lies_in_it(self, folder, tmp_path):
        message = problem_of(folder.parent)
        assert "expected folders named person-0, person-1, person-2, person-3" in message
        assert "holds faces" in message
        assert "is not a folder" in problem_of(tmp_path / "nowhere")
        (tmp_path / "empty").mkdir()
        assert "empty holds nothing" in problem_of(tmp_path / "empty", partial=True)


class TestHash:
    def test_it_follows_the_pixels_and_not_the_files(self, folder):
        before = read_faces(folder, PEOPLE, SIZE).sha256
        (folder / "person-0" / "1.png").rename(folder / "person-0" / "other.png")
        (folder / "notes.txt").write_text("x")
        assert read_faces(folder, PEOPLE, SIZE).sha256 == before
        changed = pixels(0)
        changed[0, 0, 0] ^= 1
        Image.fromarray(changed).save(folder / "person-0" / "other.png")
        assert read_faces(folder, PEOPLE, SIZE).sha256 != before

    def test_it_knows_who_answers_and_the_second_take(self, folder):
        hashes = {read_faces(folder, PEOPLE, SIZE).sha256}
        for person in PEOPLE:
            draw(folder, person.id, "2.png", seed=7)
        hashes.add(read_faces(folder, PEOPLE, SIZE).sha256)
        draw(folder, "person-3", "2.png", seed=8)
        hashes.add(read_faces(folder, PEOPLE, SIZE).sha256)
        (folder / "person-3").rename(folder / "person-4")
        hashes.add(read_faces(folder, PEOPLE, SIZE, partial=True).sha256)
        others = [*PEOPLE[:3], Identity("person-4")]
        hashes.add(read_faces(folder, others, SIZE).sha256)
        assert len(hashes) == 5
