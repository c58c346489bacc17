"""Metadata tables: as programs and people save them, and what their cells hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.faults.cases import BYTES, ENTRIES, Case, of_file

PREPARE = ("prepare", "hq-voxceleb-64", "--root", "data", "--jobs", "1")
TABLES = {"vox1_meta.csv": ("\t", "Person", "id1"), "full_vox2_meta.csv": (",", "Star", "id0")}
READ = "every program saves tables in this way, and every cell is read as it was meant"


def _text(change: Callable[[str, str], str]) -> Callable[[str], Callable[[Path], None]]:
    """A damage of the text, given its delimiter."""

    def of(delimiter: str) -> Callable[[Path], None]:
        return lambda path: path.write_text(change(path.read_text("utf-8"), delimiter), "utf-8")

    return of


def _line(number: int, change: Callable[[str, str], str]) -> Callable[[str, str], str]:
    def changed(text: str, delimiter: str) -> str:
        lines = text.split("\n")
        lines[number] = change(lines[number], delimiter)
        return "\n".join(lines)

    return changed


def _cell(column: int, value: str, row: int = 1) -> Callable[[str, str], str]:
    def change(line: str, delimiter: str) -> str:
        cells = line.split(delimiter)
        cells[column] = value
        return delimiter.join(cells)

    return _line(row, change)


SHAPES: dict[str, tuple[Callable[[str, str], str], str]] = {  # name -> (damage, why it is taken)
    "stray quotation mark": (
        _line(3, lambda line, mark: mark.join(['"' + line.split(mark)[0], *line.split(mark)[1:]])),
        "",
    ),
    "quotation mark never closed at the end": (_line(9, lambda line, mark: line + mark + '"x'), ""),
    "short row": (_line(2, lambda line, mark: line.rpartition(mark)[0]), ""),
    "long row": (_line(2, lambda line, mark: line + mark + "x"), ""),
    "huge field": (_line(2, lambda line, mark: "x" * 200_000 + line), ""),
    "no header": (_line(0, lambda line, mark: ""), ""),
    "header alone": (lambda text, mark: text.split("\n")[0], ""),
    "column renamed": (lambda text, mark: text.replace("Gender", "Sex"), ""),
    "another delimiter in the rows": (_line(2, lambda line, mark: line.replace(mark, "|")), ""),
    "NUL": (_line(2, lambda line, mark: "\0" + line), ""),
    "escape sequence in a name": (_line(2, lambda line, mark: line.replace("_01", "\x1b[31m")), ""),
    "header twice": (lambda text, mark: text.split("\n")[0] + "\n" + text, ""),
    "every row twice": (lambda text, mark: text + text.split("\n", 1)[1], ""),
    "blanks after the delimiter": (lambda text, mark: text.replace(mark, mark + " "), READ),
    "semicolons": (lambda text, mark: text.replace(mark, ";"), READ),
    "blank lines": (lambda text, mark: text.replace("\n", "\n\n"), READ),
    "Windows lines": (lambda text, mark: text.replace("\n", "\r\n"), READ),
}
ENCODINGS = {
    "latin-1": ("latin-1", ""),
    "cp1252": ("cp1252", ""),
    "UTF-16 without a mark": ("utf-16-le", ""),
    "UTF-16": ("utf-16", READ),
    "byte order mark": ("utf-8-sig", READ),
    "UTF-32": ("utf-32", ""),
}
GENDERS = {
    "<x>": "",
    "1": "",
    "female/male": "",
    "\x1b[31m": "",
    "x" * 300: "",
    "=1+1": "",
    "Female": "the spelling of a word that is known",
    "nan": "a gender that is not known is unknown, not wrong",
    " ": "a gender that is not known is unknown, not wrong",
}


def cases() -> Iterator[Case]:
    for file, (mark, person, prefix) in TABLES.items():
        base = Case("metadata tables", "", PREPARE, "hq", says=file.partition(".")[0])
        columns = {"vox1_meta.csv": (1, 0, 2), "full_vox2_meta.csv": (1, 5, 4)}[file]
        name_at, id_at, gender_at = columns
        for name, (change, why) in SHAPES.items():
            spoil = of_file(f"data/{file}", _text(change)(mark))
            yield replace(base, name=f"{file}: {name}", spoil=spoil, justified=why)
        for name, (encoding, why) in ENCODINGS.items():
            yield replace(
                base, name=f"{file}: {name}", justified=why, spoil=of_file(f"data/{file}", _encoded(encoding))
            )
        for word, why in GENDERS.items():
            spoil = of_file(f"data/{file}", _text(_cell(gender_at, word))(mark))
            yield replace(base, name=f"{file}: gender {word[:20]!r}", spoil=spoil, justified=why)
        for what, column in (("name", name_at), ("id", id_at)):
            for name, value in {
                "of another row": f"{person}_03" if what == "name" else f"{prefix}0003",
                "empty": "",
                "path": "../../etc",
                "absolute path": "/etc",
                "dot": ".",
            }.items():
                spoil = of_file(f"data/{file}", _text(_cell(column, value))(mark))
                gone = name in ("path", "absolute path", "dot")  # a row of somebody who is not there
                yield replace(
                    base, name=f"{file}: {what} {name}", spoil=spoil, named=gone, says=rf"{person}_0|, row \d"
                )
        for name, damage in {**BYTES, **ENTRIES}.items():
            if name not in ("cut", "last bytes lost", "flipped byte"):
                yield replace(base, name=f"{file}: {name}", spoil=of_file(f"data/{file}", damage))
    flags = of_file("data/full_vox2_meta.csv", _text(_cell(3, "yes"))(","))
    yield Case("metadata tables", "flag that is none", PREPARE, "hq", flags, says="Flag")


def _encoded(encoding: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(
            path.read_text("utf-8")
            .replace("\n", "\n", 1)
            .replace("Person_07", "Zoë")
            .replace("Star_07", "Zoë")
            .encode(encoding)
        )

    return damage
