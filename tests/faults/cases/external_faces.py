"""Faces that another program generated: the folder of `score`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.cases import BYTES, ENTRIES, Case, Spoil, of_file
from tests.faults.cases.photos import bomb, noise, pixels, saved, stating, wrong_crc
from tests.faults.cases.worlds import GALLERY

WORDS = ("score", "drawn", "--benchmark", "tiny-64", "--name", "mine", "--jobs", "1", *GALLERY)
ONE = "drawn/test-0003/1.png"
PICTURES: dict[str, Spoil] = {
    **{name: damage for name, damage in BYTES.items() if name != "last bytes lost"},
    **ENTRIES,
    "wrong CRC": wrong_crc,
    "bomb": bomb,
    "30,000 x 30,000": stating(30_000, 30_000),
    "128 x 64": pixels(noise(64, 128, 3)),
    "1x1": pixels(noise(1, 1)),
    "black": saved(Image.new("RGB", (64, 64))),
    "16 bits": pixels(np.linspace(0, 65_535, 4096).astype(np.uint16).reshape(64, 64)),
    "CMYK": saved(Image.fromarray(noise(64, 64, 4), "CMYK"), "JPEG"),
    "TIFF under the name of a PNG": pixels(noise(64, 64, 3), "TIFF"),
    "GIF under the name of a PNG": saved(Image.fromarray(noise(64, 64)), "GIF"),
    "float TIFF of not a number": pixels(np.full((64, 64), np.nan, np.float32), "TIFF"),
    "animation": lambda path: Image.fromarray(noise(64, 64, 3)).save(
        path, "PNG", save_all=True, append_images=[Image.new("RGB", (64, 64))]
    ),
    "wholly transparent": saved(Image.new("RGBA", (64, 64), (200, 100, 50, 0))),
    "SVG": lambda path: path.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "link out of the folder": lambda path: (
        path.rename(path.parents[2] / "private.png"),
        path.symlink_to(path.parents[2] / "private.png"),
    ),
    "device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
}


def _everybody(change: Spoil) -> Spoil:
    def spoil(folder: Path) -> None:
        for path in sorted((folder / "drawn").glob("*/1.png")):
            change(path)

    return spoil


def _bgr(path: Path) -> None:
    Image.fromarray(np.asarray(Image.open(path))[..., ::-1].copy()).save(path)


FOLDERS: dict[str, tuple[Spoil, str]] = {
    "one person is missing": (lambda folder: shutil.rmtree(folder / "drawn/test-0003"), "test-0003"),
    "one person has nothing": (lambda folder: (folder / ONE).unlink(), "test-0003"),
    "nobody": (lambda folder: [shutil.rmtree(path) for path in (folder / "drawn").iterdir()], "test-0000"),
    "folder is a file": (
        lambda folder: (shutil.rmtree(folder / "drawn"), (folder / "drawn").write_text("x")),
        "drawn",
    ),
    "folder is gone": (lambda folder: shutil.rmtree(folder / "drawn"), "drawn"),
    "folder is a loop": (
        lambda folder: (shutil.rmtree(folder / "drawn"), (folder / "drawn").symlink_to("drawn")),
        "drawn",
    ),
    "one folder deeper": (
        lambda folder: (
            (folder / "drawn").rename(folder / "x"),
            (folder / "drawn").mkdir(),
            (folder / "x").rename(folder / "drawn/inner"),
        ),
        "inner",
    ),
    "names in capitals": (
        lambda folder: [
            path.rename(path.with_name(path.name.upper())) for path in (folder / "drawn").iterdir()
        ],
        "test-0000",
    ),
    "other suffix": (_everybody(lambda path: path.rename(path.with_suffix(".webp"))), "test-0000"),
    "everybody's empty": (_everybody(lambda path: path.write_bytes(b"")), r"test-0000/1\.png"),
    "a person's folder is a file": (
        lambda folder: (
            shutil.rmtree(folder / "drawn/test-0003"),
            (folder / "drawn/test-0003").write_text("x"),
        ),
        "test-0003",
    ),
    "a person's folder is a loop": (
        lambda folder: (
            shutil.rmtree(folder / "drawn/test-0003"),
            (folder / "drawn/test-0003").symlink_to("test-0003"),
        ),
        "test-0003",
    ),
    "a person's folder links out": (
        lambda folder: (
            (folder / "drawn/test-0003").rename(folder / "private"),
            (folder / "drawn/test-0003").symlink_to("../private"),
        ),
        "link out",
    ),
}
COLLAPSED, SWAPPED = "WARNING: mine: .* it has collapsed", "Red and blue are most likely exchanged"
ALIKE: dict[str, tuple[Spoil, str]] = {
    "everybody flat": (_everybody(saved(Image.new("RGB", (64, 64), (9, 99, 200)))), COLLAPSED),
    "everybody black": (_everybody(saved(Image.new("RGB", (64, 64)))), COLLAPSED),
    "one face for everybody": (_everybody(pixels(noise(64, 64, 3))), COLLAPSED),
    "red for blue": (_everybody(_bgr), SWAPPED),
}
EXTRA = "what belongs to no test person is not scored; the row's notes count and name it"


def cases() -> Iterator[Case]:
    for name, damage in PICTURES.items():
        why = ""
        if name == "black":
            why = "one black face of a system is a bad face and is scored as one; the same from everybody is an alarm"
        if name == "wholly transparent":
            why = "transparency is laid on white, and the row's notes say so: one white face is a bad face"
        yield Case(
            "faces to score", name, WORDS, "finished", of_file(ONE, damage), says="test-0003", justified=why
        )
    for name, (spoil, says) in FOLDERS.items():
        yield Case("faces to score", name, WORDS, "finished", spoil, says=says)
    for name, (spoil, says) in ALIKE.items():
        yield Case("faces to score", name, WORDS, "finished", spoil, named=True, says=says)
    for name, spoil in {
        "a folder of nobody": lambda folder: (folder / "drawn/stranger").mkdir(),
        "a file beside": lambda folder: (folder / "drawn/notes.txt").write_text("x"),
        "a FIFO beside": lambda folder: os.mkfifo(folder / "drawn/pipe"),
        "a FIFO in a person's folder": lambda folder: os.mkfifo(folder / "drawn/test-0003/2.png"),
        "a name that is no UTF-8": lambda folder: (folder / "drawn" / os.fsdecode(b"\xff")).mkdir(),
        "a name of escape sequences": lambda folder: (folder / "drawn" / "\x1b[31m").mkdir(),
    }.items():
        yield Case("faces to score", f"beside: {name}", WORDS, "finished", spoil, justified=EXTRA)
    for name, value in {
        "escape sequences": "\x1b[31mx",
        "markup": "[/nope]",
        "formula": "=1+1",
        "not UTF-8": os.fsdecode(b"\xff"),
        "line break": "a\nb",
        "300 letters": "x" * 300,
        "path": "../../x",
        "HTML": "<script>",
    }.items():
        words = tuple(value if word == "mine" else word for word in WORDS)
        yield Case(
            "faces to score",
            f"--name {name}",
            words,
            "finished",
            justified="a name is free: it is cleaned once, for all outputs, and the command says what it kept",
        )
    for name in ("sf2f-64", "chance", "", " "):
        words = tuple(name if word == "mine" else word for word in WORDS)
        yield Case("faces to score", f"--name {name!r}", words, "finished", says="--name")
    few = (*WORDS, "--partial")
    yield Case(
        "faces to score",
        "--partial with too few",
        few,
        "finished",
        lambda folder: [shutil.rmtree(folder / f"drawn/test-000{n}") for n in range(9)],
        says="gallery",
    )
