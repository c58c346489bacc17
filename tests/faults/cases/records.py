"""Records of strangers: every field of the JSON, forged scores, and every side file."""

from __future__ import annotations

import copy
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.faults.cases import BYTES, ENTRIES, Case, Spoil
from tests.faults.cases.photos import bomb, stating, wrong_crc

KIND = "records: "
VALIDATE = ("validate", "results")
READERS = {
    "report": ("report", "results"),
    "export": ("export", "results", "--out", "t.csv"),
    "check": ("check", "results", "--against", "reference"),
    "migrate": ("migrate", "results"),
}
COMPARE = ("compare", "sf2f-64", "mean-face", "results")  # in "records", which has people enough for it
DEEP: Any = []
for _ in range(900):
    DEEP = [DEEP]
WRONG = {
    "removed": ...,
    "null": None,
    "a list": [1, "x"],
    "nested": DEEP,
    "huge": 10**400,
    "escape sequences": "\x1b[31m" + "x" * 300,
}
ALIKE = (
    "metrics",
    "extractors",
    "weights",
    "sha256",
    "recipe",
    "order",
    "tables",
)  # tables of many alike: the first stands for all


def the_record(folder: Path) -> Path:
    """The path of the record of the trained system, of which there is one."""
    (path,) = (folder / "results").glob("*2f*-64*.json")
    return path


def edited(change: Any) -> Spoil:
    """Spoil the JSON; the side files stay as they were."""

    def spoil(folder: Path) -> None:
        path = the_record(folder)
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(change(content) or content), encoding="utf-8")

    return spoil


def _at(content: Any, steps: tuple[Any, ...], value: Any) -> None:
    """Set a field; where names differ from record to record, the first of them."""
    *way, last = steps
    for step in way:
        content = content[_name_in(content, step)]
    last = _name_in(content, last)
    if value is ...:
        del content[last]
    else:
        content[last] = copy.copy(value)


def _name_in(content: Any, step: Any) -> Any:
    if isinstance(content, list):
        return step if isinstance(step, int) else 0
    return step if step in content else next(iter(content))


def _template() -> dict[str, Any]:
    """A record as JSON, to know its fields: one of this repository with the same side files."""
    folder = Path(__file__).parents[3] / "results" / "reference" / "synthetic-64"
    path = next(folder.glob("voice2face-64-w*-seed0-*.json"))
    return json.loads(path.read_text(encoding="utf-8"))


def fields(content: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every field; of a list, or of a table of many alike, to its first entry alone."""
    if isinstance(content, dict):
        alike = steps and steps[-1] in ALIKE
        for name in list(content)[: 1 if alike else None]:
            yield (*steps, name)
            yield from fields(content[name], (*steps, name))
    elif isinstance(content, list) and content and isinstance(content[0], dict):
        yield (*steps, 0)
        yield from fields(content[0], (*steps, 0))


def cases() -> Iterator[Case]:
    template = _template()
    for steps in fields(template):
        for name, value in WRONG.items():
            if name in _needless(_value(template, steps), steps):
                continue
            spoil = edited(lambda content, steps=steps, value=value: _at(content, steps, value))
            yield Case(
                KIND + "fields",
                f"{'.'.join(map(str, steps))} {name}",
                VALIDATE,
                "recorded",
                spoil,
                says="FAULTY",
                justified=_why(template, steps, name),
            )
    yield from _forged()
    yield from _sides(template)
    yield from _files()


def _needless(value: Any, steps: tuple[Any, ...]) -> tuple[str, ...]:
    """Damages that say no more of such a field than the others do."""
    if isinstance(value, dict | list):
        return ("huge",) if isinstance(value, list) else ("a list", "huge")
    return ("null",) * (value is None) + ("nested",) * ("recipe" not in steps)


def _value(content: Any, steps: tuple[Any, ...]) -> Any:
    for step in steps:
        content = content[step]
    return content


TEXT = "a text that computes nothing: it is shown without control characters, and shortened"
APART = "a name that decides which records share a table: this record now shares one with none"
LACKS = "what may be left out has its default, as a card of a plug-in has: nothing is said in its place"
UNSEALED = "records of older versions have no checksums; that nothing is proven of such an edit, validate says itself"
OWN = "a recipe is a system's own: it may hold anything"
HUGE = "a whole number that only puts rows or columns in an order, or tells versions apart"
NAMES = ("dataset", "dataset_version", "name", "protocol", "version", "budget", "label")
REFUSED_TEXTS = (
    re.compile(  # these must be a word of a few, a hash, a date, or what the record says elsewhere
        r"benchmark\.data_hash|created|files\..*|key|metrics\.\*\.(family|format|margin\..*|quantity)"
        r"|scores\.0\.(basis|extractor|extractor_role|metric)|system\.(fitted_to|kind|name|place|purpose)"
        r"|weights\.\*"
    )
)
MAY_LACK = re.compile(
    r"absent(\.0)?|audit(\.0(\.alarm)?)?|environment\.commit|extractors\.\*\.(licence|synthetic|trained_on)|files\.voices"
    r"|metrics\.\*\.(family|heading|order(\..*)?|smooth|tables(\..*)?)|notes|scores\.0\.spread"
    r"|system\.(ablation_of|change|description|fitted_to|licence|limits|off_scale|order|place|purpose|recipe"
    r"|reference|tolerance|trained_on|words)"
)
MAY_BE_HUGE = re.compile(r"environment\.threads|metrics\.\*\.(order|tables)\.\*|system\.order")
MAY_BE_NULL = re.compile(r"absent\.0\.extractor|metrics\.\*\.tables")


def _why(template: Any, steps: tuple[Any, ...], damage: str) -> str:
    """Why validate takes such a field; nothing where it must not."""
    way = ".".join(
        "*" if before in ALIKE else str(step) for before, step in zip(("", *steps), steps, strict=False)
    )
    if way.startswith("system.recipe."):
        return "" if damage == "nested" else OWN
    if damage == "removed":
        return UNSEALED if way == "files.sha256" else LACKS if MAY_LACK.fullmatch(way) else ""
    is_text = isinstance(_value(template, steps), str) or way == "environment.commit"
    if damage == "escape sequences" and is_text and not REFUSED_TEXTS.fullmatch(way):
        return APART if steps[-1] in NAMES else TEXT
    if damage == "huge":
        return HUGE if MAY_BE_HUGE.fullmatch(way) else ""
    return LACKS if damage == "null" and MAY_BE_NULL.fullmatch(way) else ""


FORGED: dict[str, Any] = {
    "recall of 7.5": lambda score: score.update(value=7.5),
    "recall below 0": lambda score: score.update(value=-0.5),
    "value of 1e300": lambda score: score.update(value=1e300),
    "value a little higher": lambda score: score.update(value=score["value"] + 0.01),
    "interval removed": lambda score: score.update(interval=None),
    "interval widened": lambda score: score.update(interval=[0.0, 1.0]),
    "interval collapsed": lambda score: score.update(interval=[score["value"]] * 2),
    "interval turned": lambda score: score.update(interval=score["interval"][::-1]),
    "n of 0": lambda score: score.update(n=0),
    "n of a million": lambda score: score.update(n=10**6),
    "n negative": lambda score: score.update(n=-1),
    "direction turned": lambda score: score.update(higher_is_better=not score["higher_is_better"]),
    "another extractor": lambda score: score.update(extractor="nosuch"),
    "role that is none": lambda score: score.update(extractor_role="friend"),
    "metric without a card": lambda score: score.update(metric="nosuch"),
    "basis that is none": lambda score: score.update(basis="trust"),
    "version 0": lambda score: score.update(version=0),
}


def _score(content: Any, role: str) -> Any:
    """A recall with an interval by the extractor of this role, the same metric for each."""
    return next(
        score
        for score in content["scores"]
        if score["metric"] == "recall@1/g6" and score["extractor_role"] == role
    )


def _forged() -> Iterator[Case]:
    for place, role in {"judge's": "judge", "other": "training-loss"}.items():
        for name, change in FORGED.items():
            spoil = edited(lambda content, change=change, role=role: change(_score(content, role)))
            yield Case(KIND + "forged", f"{place} score: {name}", VALIDATE, "recorded", spoil, says="FAULTY")
    whole = {
        "a score twice": lambda content: content["scores"].append(content["scores"][0]),
        "no scores": lambda content: content.update(scores=[]),
        "everything x 100": lambda content: (
            [s.update(value=s["value"] * 100) for s in content["scores"]] and None
        ),
        "gallery 0": lambda content: content["benchmark"].update(gallery_size=0),
        "no ks": lambda content: content["benchmark"].update(ks=[]),
        "k 0": lambda content: content["benchmark"].update(ks=[0]),
        "nobody": lambda content: content["benchmark"]["identities"].update(test=0),
        "pictures of 0 pixels": lambda content: content["benchmark"].update(image_size=0),
        "another schema": lambda content: content.update(schema_version=99),
        "schema of a text": lambda content: content.update(schema_version="2"),
        "further field": lambda content: content.update(nosuch=1),
    }
    for name, change in whole.items():
        yield Case(KIND + "forged", f"record: {name}", VALIDATE, "recorded", edited(change), says="FAULTY")


INFINITE = (
    "a scalar that a training logs may diverge: no score rests on a curve, which is drawn without such points"
)
TABLES = {
    "no identity column": {"other": ["a"]},
    "structs": {"identity": ["a"], "x": [{"y": 1}]},
    "lists": {"identity": ["a"], "x": [[1.0, 2.0]]},
    "texts": {"identity": ["a"], "x": ["="]},
    "identities as numbers": {"identity": [1.0]},
    "one identity twice": {"identity": ["a", "a"]},
    "nobody": {"identity": []},
    "infinite": {"identity": ["a"], "cosine|x": [float("inf")]},
}


def _parquet(columns: dict[str, Any]) -> Spoil:
    def damage(path: Path) -> None:
        buffer = io.BytesIO()
        pd.DataFrame(columns).to_parquet(buffer)
        path.write_bytes(buffer.getvalue())

    return damage


def _of_side(side: str, damage: Spoil, sealed: bool) -> Spoil:
    def spoil(folder: Path) -> None:
        path = the_record(folder)
        content = json.loads(path.read_text(encoding="utf-8"))
        damage(path.parent / content["files"][side])
        if not sealed:
            content["files"].pop("sha256", None)
            path.write_text(json.dumps(content), encoding="utf-8")

    return spoil


def _sides(template: dict[str, Any]) -> Iterator[Case]:
    sides = [side for side, name in template["files"].items() if isinstance(name, str)]
    for side in sides:
        own: dict[str, Spoil] = {}
        if template["files"][side].endswith(".parquet"):
            own = {name: _parquet(columns) for name, columns in TABLES.items()}
        if template["files"][side].endswith(".png"):
            own = {"bomb": bomb, "30,000 x 30,000": stating(30_000, 30_000), "wrong CRC": wrong_crc}
        if template["files"][side].endswith(".csv"):
            own = {
                "other columns": lambda path: path.write_text("a,b\n1,2\n"),
                "texts": lambda path: path.write_text("stage,step,loss\nfit,one,two\n"),
                "infinite": lambda path: path.write_text("stage,step,loss\nfit,1,inf\n"),
                "huge step": lambda path: path.write_text(f"stage,step,loss\nfit,{'9' * 400},1\n"),
            }
        for name, damage in {**BYTES, **ENTRIES, **own}.items():
            for sealed in (True, False):
                spoil = _of_side(side, damage, sealed)
                seal = "sealed" if sealed else "unsealed"
                why = INFINITE if (side, name, sealed) == ("curve", "infinite", False) else ""
                for words in (VALIDATE, READERS["report"]) if why else (VALIDATE,):
                    yield Case(
                        KIND + "side files",
                        f"{side} {name}, {seal}: {words[0]}",
                        words,
                        "recorded",
                        spoil,
                        says="FAULTY",
                        justified=why,
                    )
        for name, target in {
            "absolute": "/etc/passwd",
            "in another folder": "../../secret.png",
            "in a folder below": "below/x.png",
            "hidden": ".x.png",
            "empty": "",
            "a dot": ".",
            "NUL": "a\0b",
            "300 letters": "x" * 300 + ".png",
            "escape sequences": "\x1b[31m.png",
            "the record itself": "RECORD",
            "a link out": "LINK",
        }.items():
            for command, words in {"validate": VALIDATE, "report": READERS["report"]}.items():
                yield Case(
                    KIND + "side files",
                    f"{side} is {name}: {command}",
                    words,
                    "recorded",
                    _named(side, target),
                    named=command == "report",
                    says="FAULTY" if command == "validate" else "left out: ",
                )


def _named(side: str, target: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = the_record(folder)
        (folder / "secret.png").write_bytes(np.random.RandomState(0).bytes(99))
        content = json.loads(path.read_text(encoding="utf-8"))
        name = content["files"][side]
        if target == "LINK":
            (path.parent / name).unlink()
            os.symlink(folder / "secret.png", path.parent / name)
        content["files"][side] = {"RECORD": path.name, "LINK": name}.get(target, target)
        content["files"].pop("sha256", None)
        path.write_text(json.dumps(content), encoding="utf-8")

    return spoil


TEXTS: dict[str, bytes] = {
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "an integer of 5,000 digits": b'{"schema_version": 2, "scores": [], "seed": ' + b"9" * 5000 + b"}",
    "infinity": b'{"schema_version": 2, "scores": [], "x": Infinity}',
    "1e999": b'{"schema_version": 2, "scores": [], "x": 1e999}',
    "foreign": b'{"name": "a package"}',
    "a list": b"[1, 2]",
    "null": b"null",
    "text": b'"x"',
    "empty": b"",
    "binary": bytes(range(256)),
    "UTF-16": '{"schema_version": 2}'.encode("utf-16"),
    "latin-1": '{"schema_version": 2, "scores": [], "x": "é"}'.encode("latin-1"),
    "surrogates": b'{"schema_version": 2, "scores": [], "x": "\\ud800"}',
    "trailing comma": b'{"schema_version": 2,}',
    "name twice": b'{"schema_version": 2, "schema_version": 2, "scores": []}',
    "schema 1 and nothing else": b'{"schema_version": 1}',
}
OF_OTHERS = ("foreign", "a list", "null", "text", "schema 1 and nothing else")  # JSON that is no record


def _files() -> Iterator[Case]:
    """A whole record that cannot be used: every command that reads records names it and goes on."""
    damages: dict[str, Spoil] = {
        **{name: (lambda path, text=text: path.write_bytes(text)) for name, text in TEXTS.items()},
        **{name: damage for name, damage in BYTES.items() if name not in ("flipped byte",)},
        **{name: damage for name, damage in ENTRIES.items() if name != "gone"},
    }
    for name, damage in damages.items():
        spoil = _third(damage)
        yield Case(KIND + "files", f"validate: {name}", VALIDATE, "recorded", spoil, says="FAULTY")
        for command, words in {**READERS, "compare": COMPARE}.items():
            foreign = command == "migrate" and name in OF_OTHERS
            goes_on = foreign or command in ("report", "export", "compare")
            yield Case(
                KIND + "files",
                f"{command}: {name}",
                words,
                "records" if words == COMPARE else "recorded",
                spoil,
                named=goes_on,
                says=r"third\.json: not a result record: left alone" if foreign else r"third\. ?json",
                remade=("results/*",) if command == "migrate" else (),
            )


def _third(damage: Spoil) -> Spoil:
    """A further record, spoilt; those that are there stay good."""

    def spoil(folder: Path) -> None:
        path = the_record(folder).with_name("third.json")
        path.write_bytes(the_record(folder).read_bytes())
        damage(path)

    return spoil
