"""The lists of the association literature, the paper's own protocol, and scores in one table with neither."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.cases import BYTES, ENTRIES, Case, Spoil, both, of_file, writing
from tests.faults.cases.plugins import MODEL, template
from tests.faults.cases.worlds import MODEL as TRAINED
from tests.faults.cases.worlds import RUN

ASSOCIATE = (
    *("associate", "lists", "--voices", "wav", "--faces", "faces"),
    *("--model", "sf2f-64@small.safetensors", "--judge", "embedded-judge"),
)
FILES = {  # file -> its delimiter
    "vox1_meta.csv": "\t",
    "matching/matching_v2f_U.csv": " ",
    "matching/matching_f2v_G.csv": " ",
    "veriflist/veriflist_test_random_unseenunheard.txt": ",",
    "retrieval/wav_20k.csv": "\t",
    "retrieval/jpg_20k.csv": "\t",
}
LESS = "one line less is a shorter list, whose hash the record states"


def _line(change: Callable[[str, str], str], mark: str) -> Spoil:
    def damage(path: Path) -> None:
        lines = path.read_text(encoding="utf-8").split("\n")
        lines[2] = change(lines[2], mark)
        path.write_text("\n".join(lines), encoding="utf-8")

    return damage


def _fields(change: Callable[[list[str]], list[str]]) -> Callable[[str, str], str]:
    return lambda line, mark: mark.join(change(line.split(mark)))


LINES: dict[str, Callable[[str, str], str]] = {
    "short": _fields(lambda cells: cells[:-1]),
    "long": _fields(lambda cells: [*cells, "x"]),
    "line empty": lambda line, mark: "",
    "turned": _fields(lambda cells: cells[::-1]),
    "path out of the folder": _fields(lambda cells: [*cells[:-1], "../../etc/passwd"]),
    "absolute path": _fields(lambda cells: [*cells[:-1], "/etc/passwd"]),
    "escape sequences": _fields(lambda cells: [*cells[:-1], "\x1b[31mred"]),
    "unknown person": lambda line, mark: line.replace("id1", "id9").replace("Person_", "Nobody_"),
    "NUL": lambda line, mark: line + "\0",
    "huge": lambda line, mark: line + "x" * 10**6,
    "quotation mark": lambda line, mark: '"' + line,
    "another delimiter": lambda line, mark: line.replace(mark, ";"),
}
SET = "the column Set is not read: the row decides the split"
FREE = {
    **{
        ("vox1_meta.csv", name): SET
        for name in ("path out of the folder", "absolute path", "escape sequences", "NUL", "huge")
    },
    (
        "veriflist/veriflist_test_random_unseenunheard.txt",
        "quotation mark",
    ): "the trial's own number is not read",
    **{
        (file, "gone"): "a list less: the result names each list that it has, with its hash"
        for file in FILES
        if file.startswith(("matching", "verif"))
    },
}


def cases() -> Iterator[Case]:
    for file, mark in FILES.items():
        place, says = f"lists/{file}", file.rpartition("/")[2].replace(".", r"\.")
        for name, change in LINES.items():
            why = FREE.get((file, name), "")
            yield Case(
                "associate: lists",
                f"{file} {name}",
                ASSOCIATE,
                "association",
                of_file(place, _line(change, mark)),
                says=says,
                justified=why,
            )
        for name, damage in {**BYTES, **ENTRIES}.items():
            if name != "flipped byte":
                yield Case(
                    "associate: lists",
                    f"{file} {name}",
                    ASSOCIATE,
                    "association",
                    of_file(place, damage),
                    says="lists",
                    justified=FREE.get((file, name), ""),
                )
        for encoding in ("utf-16", "latin-1"):
            yield Case(
                "associate: lists",
                f"{file} in {encoding}",
                ASSOCIATE,
                "association",
                of_file(
                    place,
                    lambda path, encoding=encoding: path.write_bytes(
                        path.read_text("utf-8").replace("_", "é", 1).encode(encoding)
                    ),
                ),
                says=says,
            )
    folders: dict[str, Spoil] = {
        "no list": lambda folder: [
            shutil.rmtree(folder / "lists" / name) for name in ("matching", "veriflist", "retrieval")
        ],
        "name that says nothing": lambda folder: (folder / "lists/matching/matching_v2f_U.csv").rename(
            folder / "lists/matching/mine.csv"
        ),
        "empty folder of lists": lambda folder: (shutil.rmtree(folder / "lists"), (folder / "lists").mkdir()),
        "lists are a file": lambda folder: (
            shutil.rmtree(folder / "lists"),
            (folder / "lists").write_text("x"),
        ),
        "no recordings": lambda folder: shutil.rmtree(folder / "wav"),
        "recordings are a file": lambda folder: (
            shutil.rmtree(folder / "wav"),
            (folder / "wav").write_text("x"),
        ),
        "photos are a file": lambda folder: (
            shutil.rmtree(folder / "faces"),
            (folder / "faces").write_text("x"),
        ),
        "empty folder of recordings": lambda folder: (
            shutil.rmtree(folder / "wav"),
            (folder / "wav").mkdir(),
        ),
        "empty folder of photos": lambda folder: (
            shutil.rmtree(folder / "faces"),
            (folder / "faces").mkdir(),
        ),
        "one person's recordings are gone": lambda folder: shutil.rmtree(folder / "wav/id10002"),
        "folders are changed for each other": lambda folder: (
            (folder / "wav").rename(folder / "x"),
            (folder / "faces").rename(folder / "wav"),
            (folder / "x").rename(folder / "faces"),
        ),
    }
    for name, spoil in folders.items():
        for partial in ((), ("--partial",)):
            if partial and name.startswith("one person"):
                continue
            yield Case(
                "associate: folders", " ".join([name, *partial]), (*ASSOCIATE, *partial), "association", spoil
            )
    for name, damage in {**BYTES, **ENTRIES}.items():
        yield Case(
            "associate: folders",
            f"weights {name}",
            ASSOCIATE,
            "association",
            of_file("small.safetensors", damage),
            says="small",
        )
    yield from _paper()


def _paper() -> Iterator[Case]:
    paper = (*RUN, "--protocol", "sf2f-paper/1")
    kind = "sf2f-paper/1"
    for name in ("sf2f-paper", "sf2f-paper/2", "sf2f-bench/9", "", "\x1b[31m", "SF2F-PAPER/1"):
        yield Case(kind, f"protocol {name!r}", (*RUN, "--protocol", name), "finished", says="protocol")
    for name, more in {
        "gallery beyond the people": ("--gallery", "15"),
        "k beyond the gallery": ("--ks", "1,6"),
        "judge that is none": ("--judge", "nosuch"),
        "network of the loss that is none": ("--perceptual", "nosuch"),
        "network of the loss without its file": ("--perceptual", "facenet-vggface2"),
        "judge without its file": ("--judge", "vggface2-resnet50"),
        "ablation of a size": ("--ablation", "--models", "nosuch"),
    }.items():
        yield Case(
            kind,
            name,
            (*paper, *TRAINED, *more),
            "finished",
            says="absent" if name == "judge without its file" else "",
            named=name == "judge without its file",
        )
    model = (*paper, "--models", "mine.py:MyModel", "--steps", "2")
    for name in (
        "loss is not a number",
        "generate raises",
        "faces are floats",
        "faces are of another size",
        "a face too few",
        "weights become not numbers",
        "faces are None",
        "no generate",
    ):
        yield Case(
            kind,
            f"model: {name}",
            model,
            "finished",
            template("model", "mine.py", MODEL[name]),
            says="mine|Model|generate|loss|weights",
        )
    damages = {**BYTES, **ENTRIES}
    for name in (
        "cut",
        "zeros",
        "folder instead",
        "FIFO",
    ):  # more of them under the other protocol: caches.py
        for file in ("models/????????????????.safetensors", "prepared/*/shards/*.safetensors"):
            yield Case(
                kind,
                f"{file.replace('?' * 16, '*')} {name}",
                (*paper, *TRAINED),
                "finished",
                of_file(f".sf2f-bench/{file}", damages[name]),
                named=True,
                says="(?i)anew|again|damaged",
                remade=("**/*", "*/*/*", "*/*/*/*", "*/*/*/*/*"),
            )
    weights = (*paper, "--models", "voice2face-64@x.safetensors")
    for name, content in {"empty": b"", "text": b"x" * 100, "huge header": b"\xff" * 8 + b"{}"}.items():
        yield Case(
            kind,
            f"weights: {name}",
            weights,
            "finished",
            writing("x.safetensors", content),
            says="x.safetensors",
        )
    yield Case(
        kind,
        "faces of one colour",
        model,
        "finished",
        both(template("model", "mine.py", ("(faces * 255).round()", "(faces * 0 + 9)"))),
        justified="a weak system is a result",
    )
