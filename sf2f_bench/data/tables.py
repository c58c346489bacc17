"""Metadata tables (csv, tsv): every row is one line, and a damaged line is named instead of guessed at."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from sf2f_bench.types import BenchError

DELIMITERS = ("\t", ",", ";")
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def read_table(path: Path, columns: Sequence[str], source: str) -> list[dict[str, str]]:
    """The rows of a table with a header line, cells without blanks around them, blank lines skipped.

    UTF-8, or UTF-16 with its mark; tabs, commas or semicolons, whichever the header has. source: where to get the
    table again, for errors. Raises BenchError for another encoding, a missing column, and a line with an open
    quotation mark or a control character, more or fewer cells than the header, or a cell of 128 KiB or more, and for a
    header that stands twice (the rows behind it would change their split): it is named by its number.
    """
    lines = re.split(r"\r\n|\n|\r", _text_of(path, source))
    header, *rows = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()] or [
        (1, "")
    ]
    delimiter = next((mark for mark in DELIMITERS if mark in header[1]), ",")
    names = _cells(path, *header, delimiter)
    if absent := [column for column in columns if column not in names]:
        raise BenchError(
            f"{path}: expected rows with the columns {', '.join(columns)}; not found: {', '.join(absent)}. {source}"
        )
    found = []
    for number, line in rows:
        cells = _cells(path, number, line, delimiter)
        if len(cells) != len(names):
            raise BenchError(
                f"{path}, line {number}: expected {len(names)} cells as the header has, found {len(cells)} "
                f"({line[:80]!r}): mend the line. {source}"
            )
        if cells == names:
            raise BenchError(f"{path}, line {number}: is the header again: remove the line. {source}")
        found.append(dict(zip(names, cells, strict=True)))
    if not found:
        raise BenchError(f"{path}: expected rows below the header, found none. {source}")
    return found


def _text_of(path: Path, source: str) -> str:
    content = path.read_bytes()
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BenchError(
            f"{path}, line {line}: not {encoding.upper()} ({content[error.start : error.end]!r}): save the table as "
            f"UTF-8 (a table of another encoding would change names). {source}"
        ) from error


def _cells(path: Path, number: int, line: str, delimiter: str) -> list[str]:
    """The cells of one line; a quotation mark that is not closed on it is an error, not the start of a longer cell."""
    if control := CONTROL.search(line):
        raise BenchError(f"{path}, line {number}: holds the control character {control[0]!r}: remove it")
    try:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True), [])
    except csv.Error as error:
        raise BenchError(
            f"{path}, line {number}: cannot be read ({error}): {line[:80]!r}. Remove the stray quotation mark, or mend "
            "the line"
        ) from error
    return [cell.strip() for cell in cells]
