"""Layouts of folders: links, levels, halves, names and special files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.faults.cases import Case, Spoil, both

VOICES = "data/raw_wav/vox1/dev"
FACES = "data/vox1/masked_faces"


def moved(old: str, new: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / old).rename(folder / "aside")
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (folder / "aside").rename(folder / new)

    return spoil


def link(name: str, target: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, folder / name)

    return spoil


def replaced(name: str, by: Spoil) -> Spoil:
    def spoil(folder: Path) -> None:
        shutil.rmtree(folder / name)
        by(folder / name)

    return spoil


def removed(name: str) -> Spoil:
    return lambda folder: shutil.rmtree(folder / name)


def fifo(name: str) -> Spoil:
    return lambda folder: os.mkfifo(folder / name)


def loop(path: Path) -> None:
    path.symlink_to(path)


UNUSED = "what lies beside the data takes no part, and all data are read"
REFUSED: dict[str, tuple[Spoil, str]] = {  # what the message must say
    "root is a file": (replaced("data", lambda path: path.write_text("x")), "--root"),
    "root is a loop": (replaced("data", loop), "--root"),
    "root is gone": (removed("data"), "--root"),
    "one subset's recordings are gone": (removed("data/raw_wav/vox1/dev"), "raw_wav/vox1"),
    "root is empty": (replaced("data", lambda path: path.mkdir()), "masked_faces"),
    "root one folder higher": (moved("data", "data/HQ-VoxCeleb"), "is .*HQ-VoxCeleb the root"),
    "no recordings": (removed("data/raw_wav"), "raw_wav"),
    "people of one split": (
        lambda folder: (
            [shutil.rmtree(folder / FACES / f"Person_0{n}") for n in (8,)]
            + [shutil.rmtree(folder / "data/vox2/masked_faces/Star_08")]
        ),
        "'test' has no identity",
    ),
}
NAMED: dict[str, tuple[Spoil, str]] = {
    "a subset's photos under another name": (moved(FACES, "data/vox1/faces"), "left out: vox1"),
    "a subset's photos are a file": (replaced(FACES, lambda path: path.write_text("x")), "left out: vox1"),
    "a subset without photos": (removed(FACES), "left out: vox1"),
    "photo whose name is no UTF-8": (
        both(
            moved(f"{FACES}/Person_03/0.png", f"{FACES}/Person_03/{os.fsdecode(bytes([255]))}.png"),
            lambda folder: (folder / FACES / "Person_03/1.png").write_bytes(b""),
        ),
        "left out",
    ),
    "a person without photos": (removed(f"{FACES}/Person_03"), "Person_03"),
    "a person without recordings": (removed(f"{VOICES}/id10003"), "Person_03"),
    "a person's folder is a file": (
        replaced(f"{FACES}/Person_03", lambda path: path.write_text("x")),
        "Person_03",
    ),
    "a person's folder is a loop": (replaced(f"{FACES}/Person_03", loop), "Person_03"),
    "a speaker's folder is a loop": (replaced(f"{VOICES}/id10003", loop), "Person_03"),
    "a speaker's folder is a file": (
        replaced(f"{VOICES}/id10003", lambda path: path.write_text("x")),
        "Person_03",
    ),
    "lost capital": (moved(f"{FACES}/Person_03", f"{FACES}/person_03"), "rename"),
    "lost dot": (moved(f"{FACES}/Person_03", f"{FACES}/Person_03."), "rename"),
    "blank for underscore": (moved(f"{FACES}/Person_03", f"{FACES}/Person 03"), "rename"),
    "stranger": (moved(f"{FACES}/Person_03", f"{FACES}/Nobody"), "Nobody"),
    "name that is no UTF-8": (
        moved(f"{FACES}/Person_03", f"{FACES}/{os.fsdecode(bytes([255]))}"),
        "left out",
    ),
    "name of escape sequences": (moved(f"{FACES}/Person_03", f"{FACES}/\x1b[31mred"), "left out"),
    "name of markup": (moved(f"{FACES}/Person_03", f"{FACES}/[red]x"), "left out"),
    "name with a line break": (moved(f"{FACES}/Person_03", f"{FACES}/a\nb"), "left out"),
    "file that is no UTF-8": (
        moved(f"{FACES}/Person_03/0.png", f"{FACES}/Person_03/{os.fsdecode(bytes([255]))}.gif"),
        "left out",
    ),
    "broken link to a photo": (link(f"{FACES}/Person_03/9.png", "nowhere.png"), r"9\.png"),
    "broken link to a recording": (link(f"{VOICES}/id10003/clip/9.wav", "nowhere.wav"), r"9"),
    "photo that is a FIFO": (fifo(f"{FACES}/Person_03/9.png"), r"9\.png"),
    "recording that is a FIFO": (fifo(f"{VOICES}/id10003/clip/9.wav"), "9"),
    "photo that is a device": (link(f"{FACES}/Person_03/9.png", "/dev/zero"), r"9\.png"),
    "recording that is a device": (link(f"{VOICES}/id10003/clip/9.wav", "/dev/zero"), "9"),
    "recording that is /dev/null": (link(f"{VOICES}/id10003/clip/9.wav", "/dev/null"), "9"),
    "half of the speakers": (
        lambda folder: [shutil.rmtree(folder / VOICES / f"id1000{n}") for n in range(5)],
        "Person_04",
    ),
}
TAKEN: dict[str, tuple[Spoil, str]] = {
    "photo that is a folder": (lambda folder: (folder / FACES / "Person_03/9.png").mkdir(), UNUSED),
    "link to its own folder": (link(f"{FACES}/Person_03/here", "."), UNUSED),
    "link to the parent": (link(f"{VOICES}/id10003/up", ".."), UNUSED),
    "loop beside the speakers": (link(f"{VOICES}/loop", "loop"), UNUSED),
    "broken link beside the data": (link("data/broken", "nowhere"), UNUSED),
    "FIFO beside the data": (fifo("data/pipe"), UNUSED),
    "archives' own folders": (
        moved(VOICES, "data/vox1_dev_wav/wav"),
        "VoxCeleb's archives unpack in this way; all is read",
    ),
    "half moved to another layout": (moved(f"{VOICES}/id10003", "data/wav/id10003"), "both halves are read"),
    "data behind a link": (
        lambda folder: [(folder / "data").rename(folder / "disk"), (folder / "data").symlink_to("disk")],
        "a link to the data is the data",
    ),
    "hidden files of macOS": (
        lambda folder: (folder / FACES / "Person_03/._0.png").write_bytes(b"\0\5\x16\7"),
        UNUSED,
    ),
    "a store that is empty": (lambda folder: (folder / ".sf2f-bench").mkdir(), UNUSED),
}


def cases() -> Iterator[Case]:
    for command in ("prepare", "audit"):
        words = (command, "hq-voxceleb-64", "--root", "data", "--jobs", "1")
        for name, (spoil, says) in REFUSED.items():
            yield Case("layouts", f"{command}: {name}", words, "hq", spoil, says)
    words = ("prepare", "hq-voxceleb-64", "--root", "data", "--jobs", "1")
    for name, (spoil, says) in NAMED.items():
        yield Case("layouts", name, words, "hq", spoil, says, named=True)
    for name, (spoil, why) in TAKEN.items():
        yield Case("layouts", name, words, "hq", spoil, justified=why)
    null = ("prepare", "null-pairs", "--voices", "voices", "--faces", "faces", "--jobs", "1")
    for option in ("voices", "faces"):
        for name, spoil in {
            "is a file": replaced(option, lambda path: path.write_text("x")),
            "is empty": replaced(option, lambda path: path.mkdir()),
            "is a loop": replaced(option, loop),
            "is gone": removed(option),
            "holds a loop alone": replaced(option, lambda path: (path.mkdir(), loop(path / "x"))),
            "holds texts alone": replaced(
                option, lambda path: (path.mkdir(), (path / "a.txt").write_text("x"))
            ),
            "holds a FIFO alone": replaced(option, lambda path: (path.mkdir(), os.mkfifo(path / "x.png"))),
            "one folder deeper": moved(option, f"{option}/inner"),
        }.items():
            yield Case("layouts", f"null-pairs: {option} {name}", null, "null_pairs", spoil)
    same = ("prepare", "null-pairs", "--voices", "voices", "--faces", "voices", "--jobs", "1")
    yield Case("layouts", "null-pairs: one folder for both", same, "null_pairs")
