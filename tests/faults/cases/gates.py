"""The gate: margins, references and results that nothing can be judged with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.cases import Case, Spoil, nothing

WORDS = ("check", "results", "--against", "reference")
MARGINS = {
    "no number": "cosine",
    "empty": "",
    "no metric": "=1",
    "no value": "cosine=",
    "a word": "cosine=much",
    "negative": "cosine=-1",
    "not a number": "cosine=nan",
    "infinite": "cosine=inf",
    "negative share": "cosine=-5%",
    "two signs": "cosine=5%%",
    "escape sequences": "\x1b[31m=x",
    "markup": "[/nope]=x",
    "huge": f"cosine={'9' * 400}",
    "unknown metric": "nosuch=0.1",
}


def _each(folder: str, change: Any) -> Spoil:
    """Change every record of a folder; its side files and seals stay."""

    def spoil(place: Path) -> None:
        for path in sorted((place / folder).rglob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            change(content)
            path.write_text(json.dumps(content), encoding="utf-8")

    return spoil


def _emptied(name: str) -> Spoil:
    def spoil(place: Path) -> None:
        shutil.rmtree(place / name)
        (place / name).mkdir()

    return spoil


CHANGES: dict[str, Any] = {
    "values of 1e300": lambda content: [s.update(value=1e300) for s in content["scores"]],
    "edited values": lambda content: [s.update(value=s["value"] * 0.5) for s in content["scores"]],
    "empty ks": lambda content: content["benchmark"].update(ks=[]),
    "another benchmark": lambda content: content["benchmark"].update(name="other"),
    "another version": lambda content: content["benchmark"].update(version="9"),
    "other data": lambda content: content["benchmark"].update(data_hash="0" * 16),
    "another protocol": lambda content: content["benchmark"].update(protocol="nosuch/1"),
    "other sizes": lambda content: content["benchmark"].update(image_size=128),
    "another budget": lambda content: content.update(budget="paper"),
    "another system": lambda content: content["system"].update(name="other"),
    "another judge": lambda content: [
        s.update(extractor="other") for s in content["scores"] if s["extractor"]
    ],
    "no scores": lambda content: content.update(scores=[]),
    "no seals": lambda content: content["files"].pop("sha256", None),
    "schema 1": lambda content: content.update(schema_version=1),
}
UNSEALED = "records of older versions have no checksums; their numbers are recomputed all the same"


def cases() -> Iterator[Case]:
    for name, word in MARGINS.items():
        yield Case(
            "gate",
            f"--margin {name}",
            (*WORDS, "--margin", word),
            "records",
            nothing,
            says="margin|nosuch|METRIC=VALUE",
        )
    for side in ("results", "reference"):
        for name, change in CHANGES.items():
            yield Case(
                "gate",
                f"{side}: {name}",
                WORDS,
                "records",
                _each(side, change),
                justified=UNSEALED if name == "no seals" else "",
            )
        yield Case("gate", f"{side} is empty", WORDS, "records", _emptied(side))
        yield Case(
            "gate", f"{side} is gone", WORDS, "records", lambda place, side=side: shutil.rmtree(place / side)
        )
    yield Case(
        "gate", "results are the reference", ("check", "reference", "--against", "reference"), "records"
    )
    for seeds, gone in {"one seed": "1-5", "two seeds": "2-5"}.items():
        spoil = _without_seeds(gone)
        yield Case("gate", f"reference of {seeds}", WORDS, "records", spoil, says="at least 3 are needed")
    yield Case("gate", "results within the reference", ("check", ".", "--against", "."), "records")


def _without_seeds(gone: str) -> Spoil:
    def spoil(place: Path) -> None:
        for path in sorted((place / "reference").rglob(f"sf2f-64-*seed[{gone}]*")):
            path.unlink()

    return spoil
