"""`python -m tests.equality OLD NEW`: do two folders of records hold the same numbers, bit for bit?

Records of schema 1 and 2 are read as JSON, so that the code under test has no part in it. Records are matched by
their file names, which hold the record's key. Compared are keys, recipes, scores, per-identity values, replicates,
training curves, pictures and voices; not compared are words, cards, environment, cost and time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

OF_A_RECORD = ("key", "seed", "budget", "weights")
OF_A_SYSTEM = ("name", "kind", "version", "width", "recipe")
SIDE_FILES = ("per_identity", "replicates", "curve", "faces", "true_faces", "voices")
MOST_SHOWN = 50


class Comparison:
    """What was compared so far: how many numbers, and every difference in words."""

    def __init__(self) -> None:
        self.numbers = 0
        self.differences: list[str] = []

    def expect(self, where: str, old: Any, new: Any) -> None:
        """Compare two values of JSON; numbers bit for bit, and an integer is no float."""
        self.numbers += sum(isinstance(value, int | float) for value in _leaves(old))
        if repr(old) != repr(new):  # the shortest text that gives the same float back
            self.differences.append(f"{where}: {old!r} became {new!r}")

    def expect_keys(self, where: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> list[Any]:
        """The keys of both, in the old order; those of one alone are differences."""
        self.differences += [f"{where}: {key} is missing in NEW" for key in old if key not in new]
        self.differences += [f"{where}: {key} is missing in OLD" for key in new if key not in old]
        return [key for key in old if key in new]

    def expect_columns(self, where: str, old: pd.DataFrame, new: pd.DataFrame) -> None:
        """Compare two tables column by column, NaN equal to NaN."""
        for column in self.expect_keys(where, dict.fromkeys(old), dict.fromkeys(new)):
            left, right = old[column].to_numpy(), new[column].to_numpy()
            self.numbers += left.size if column != "identity" else 0
            if left.dtype != right.dtype or left.shape != right.shape:
                kinds = f"{left.dtype} {list(left.shape)} became {right.dtype} {list(right.shape)}"
                self.differences.append(f"{where}: {column} is {kinds}")
                continue
            equal = (_bits(left) == _bits(right)) | (pd.isna(left) & pd.isna(right))
            if not equal.all():
                row = int(np.flatnonzero(~equal)[0])
                text = f"{(~equal).sum()} of {len(left)} rows, first row {row}: {left[row]!r} became {right[row]!r}"
                self.differences.append(f"{where}: {column} differs in {text}")


def compare(old: Path, new: Path) -> Comparison:
    """Every record below one folder against that of the same path below the other."""
    found = Comparison()
    records = [
        {file.relative_to(folder): file for file in sorted(folder.rglob("*.json"))} for folder in (old, new)
    ]
    for path in found.expect_keys("records", *records):
        contents = [json.loads(files[path].read_text(encoding="utf-8")) for files in records]
        if all("scores" in content for content in contents):
            _compare_records(found, str(path), *contents)
            _compare_files(
                found, str(path), *((files[path], c) for files, c in zip(records, contents, strict=True))
            )
    return found


def _compare_records(found: Comparison, where: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    for field in OF_A_RECORD:
        found.expect(f"{where}: {field}", old[field], new[field])
    for field in OF_A_SYSTEM:
        found.expect(f"{where}: system.{field}", old["system"][field], new["system"][field])
    found.expect(f"{where}: benchmark", old["benchmark"], new["benchmark"])
    scores = [{(score["metric"], score["extractor"]): score for score in one["scores"]} for one in (old, new)]
    for metric in found.expect_keys(f"{where}: scores", *scores):
        found.expect(f"{where}: {metric[0]} by {metric[1]}", scores[0][metric], scores[1][metric])
    absent = [dict.fromkeys((row["metric"], row["extractor"]) for row in one["absent"]) for one in (old, new)]
    found.expect_keys(f"{where}: absent", *absent)


def _compare_files(
    found: Comparison, where: str, old: tuple[Path, dict[str, Any]], new: tuple[Path, dict[str, Any]]
) -> None:
    for field in SIDE_FILES:
        names = [content["files"].get(field) for _, content in (old, new)]
        found.expect(f"{where}: files.{field}", *names)
        paths = [path.parent / name for (path, _), name in zip((old, new), names, strict=True) if name]
        if len(paths) < 2:
            continue
        if paths[0].suffix == ".parquet":
            found.expect_columns(f"{where}: {field}", *map(pd.read_parquet, paths))
        elif paths[0].suffix == ".csv":
            found.expect_columns(f"{where}: {field}", *(pd.read_csv(path, dtype=object) for path in paths))
        elif paths[0].read_bytes() != paths[1].read_bytes():
            found.differences.append(f"{where}: {field} is another file")


def _bits(values: np.ndarray) -> np.ndarray:
    return values.view(f"u{values.dtype.itemsize}") if values.dtype.kind == "f" else values


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    elif not isinstance(value, bool):
        yield value


def main(old: str, new: str) -> int:
    """Print what was compared and every difference; 1 where there is one."""
    for folder in (old, new):
        if not any(Path(folder).rglob("*.json")):
            print(f"{folder}: holds no record")
            return 1
    found = compare(Path(old), Path(new))
    for difference in found.differences[:MOST_SHOWN]:
        print(difference)
    if len(found.differences) > MOST_SHOWN:
        print(f"... and {len(found.differences) - MOST_SHOWN} more")
    print(f"{found.numbers:,} numbers compared, {len(found.differences) or 'no'} differences")
    return 1 if found.differences else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tests.equality OLD NEW   (two folders of records)")
    sys.exit(main(*sys.argv[1:]))
