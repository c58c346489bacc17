"""TOML files of settings and of the gate's rules."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.cases import BYTES, ENTRIES, Case, both, of_file, writing

NOT_TOML: dict[str, str | bytes] = {
    "latin-1": "root = 'Müller'".encode("latin-1"),
    "UTF-16": "seed = 1".encode("utf-16"),
    "half a string": "root = 'x",
    "JSON": '{"seed": 1}',
    "binary": bytes(range(256)),
    "NUL": "seed = 1\0",
    "escape sequences": "seed = '\x1b[31m'",
    "name twice": "seed = 1\nseed = 2",
    "deep nesting": "a = " + "[" * 20_000 + "]" * 20_000,
    "deep tables": "[" + ".".join(["a"] * 20_000) + "]\nx = 1",
    "integer of 5,000 digits": "seed = " + "9" * 5000,
    "Windows path": 'root = "C:\\data"',
}
WRONG = {
    "unknown": "nosuch = 1",
    "unknown table": "[training]\nsteps = 3",
    "list for a number": "seed = [1]",
    "text for a number": "seed = 'one'",
    "fraction for a number": "seed = 1.5",
    "infinity": "width = inf",
    "not a number": "width = nan",
    "negative": "steps = -1",
    "huge": "seed = 99999999999999999999999",
    "date": "seed = 2020-01-01",
    "table for a path": "root = { a = 1 }",
    "number for a path": "root = 3",
    "text for a list": "models = 'chance'",
    "number for models": "models = [1]",
    "empty ks": "ks = []",
    "ks of texts": "ks = ['a']",
    "ks of zero": "ks = [0]",
    "k beyond the gallery": "ks = [99]",
    "wrong choice": "budget = 'huge'",
    "text for a flag": "ablation = 'perhaps'",
    "line break in a path": 'root = "a\\nb"',
    "benchmark that is none": "benchmark = 'nosuch'",
    "escape sequence": 'judge = "\\u001b[31mred"',
    "negative jobs": "jobs = -3",
    "negative checkpoint": "checkpoint_every = -1.0",
    "protocol that is none": "protocol = 'sf2f-bench/9'",
}
RULES = {
    "unknown key": "nosuch = 1",
    "margins of a list": "margins = [1]",
    "decide of a text": "decide = 'judge:cosine'",
    "decide of numbers": "decide = [1]",
    "decide without a role": "decide = ['cosine']",
    "decide with an unknown role": "decide = ['friend:cosine']",
    "decide with braces": "decide = ['judge:{x}']",
    "decide nothing": "decide = []",
    "negative margin": "[margins]\ncosine = -1",
    "margin of not a number": "[margins]\ncosine = nan",
    "infinite margin": "[margins]\ncosine = inf",
    "margin of a text": "[margins]\ncosine = 'much'",
    "margin of a list": "[margins]\ncosine = [1]",
    "margin of a table": "[margins.cosine]\na = 1",
    "margin of true": "[margins]\ncosine = true",
    "margin without a name": "[margins]\n'' = 1",
    "margin of an unknown metric": "[margins]\nnosuchmetric = 0.1",
    "margin with escape sequences": '[margins]\n"\\u001b[31m" = "x"',
}
PLACES = {  # command line, world, file
    "run": (("run", "--config", "my.toml"), "finished"),
    "check --rules": (("check", "results", "--against", "reference", "--rules", "my.toml"), "records"),
}
BASE = (
    "benchmark = 'tiny-64'",
    "gallery = 6",
    "ks = [1, 2]",
    "jobs = 1",
    "models = ['chance']",
)  # works by itself


def cases() -> Iterator[Case]:
    for place, (words, world) in PLACES.items():
        contents = {**NOT_TOML, **(WRONG if place == "run" else RULES)}
        for name, content in contents.items():
            if place == "run" and content in WRONG.values():
                others = (line for line in BASE if line.partition(" ")[0] != str(content).partition(" ")[0])
                content = "\n".join([*others, str(content)])
            yield Case("settings files", f"{place}: {name}", words, world, writing("my.toml", content))
        for name, damage in {**BYTES, **ENTRIES}.items():
            if name in ("flipped byte", "last bytes lost", "cut", "FIFO"):
                continue  # of a text: see above; a pipe is a way to hand settings over
            if place == "run" and name == "empty":
                continue  # sets nothing
            why = "an empty file of rules sets none" if name == "empty" else ""
            spoil = both(writing("my.toml", "seed = 0\n"), of_file("my.toml", damage))
            yield Case("settings files", f"{place}: {name}", words, world, spoil, justified=why)
