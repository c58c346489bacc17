"""Values of every option and argument of every command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import click

from sf2f_bench.commands.main import main
from tests.faults.cases import Case, writing
from tests.faults.cases.worlds import GALLERY, MODEL, RUN

NOT_UTF_8 = os.fsdecode(b"\xff\xfe")
WORDS = {
    "empty": "",
    "a blank": " ",
    "wrong word": "nosuchthing",
    "escape sequences": "\x1b]0;owned\x07\x1b[31mred",
    "markup": "[/nope][red]x",
    "formula": "=1+1",
    "not UTF-8": NOT_UTF_8,
    "300 letters": "x" * 300,
    "line break": "a\nb",
    "right to left": "a\u202eb",
}
NUMBERS = {
    "zero": "0",
    "negative": "-1",
    "not a number": "nan",
    "infinite": "inf",
    "huge": "9" * 400,
    "huge power": "1e999",
    "empty": "",
    "wrong word": "ten",
    "not UTF-8": NOT_UTF_8,
    "list": "1,2",
}
LISTS = {
    "zero": "0",
    "negative": "-1",
    "twice": "5,5",
    "empty": "",
    "comma": ",",
    "words": "one,two",
    "fractions": "1.5",
    "huge": "9" * 400,
    "gallery's size": "6",
    "not UTF-8": NOT_UTF_8,
}
TAKEN_TEXTS = (
    "a text of the user's own: it is shown without control characters, shortened, and computes nothing"
)
# Options whose value is free: (command, option) -> (values that are taken, why).
FREE = {
    "--seed": (("zero",), "zero is a seed like any other"),
    "--checkpoint-every": (
        ("zero", "infinite", "huge", "huge power"),
        "any time of 0 or more is a time; the help says what 0 asks for",
    ),
    "--jobs": (("huge",), "no more processes are started than there are shards"),
    "--name": (tuple(name for name in WORDS if name not in ("empty", "a blank")), TAKEN_TEXTS),
    "--description": (tuple(WORDS), TAKEN_TEXTS),
}
COMMANDS: dict[str, tuple[str, ...]] = {  # a command line that works in the world, without the option
    "run": (*RUN, *MODEL),
    "prepare": ("prepare", "tiny-64", "--jobs", "1"),
    "audit": ("audit", "tiny-64", "--jobs", "1"),
    "export-voices": ("export-voices", "tiny-64", "--jobs", "1", "--out", "voices"),
    "score": ("score", "drawn", "--benchmark", "tiny-64", "--jobs", "1", *GALLERY),
    "report": ("report",),
    "check": ("check", "results", "--against", "reference"),
    "compare": ("compare", "sf2f-64", "real-photo-oracle"),
    "export": ("export", "--out", "t.csv"),
    "validate": ("validate", "results"),
    "migrate": ("migrate", "results"),
    "new": ("new", "model", "deep-listener"),
    "list": ("list",),
    "associate": (
        *("associate", "lists", "--voices", "wav", "--faces", "faces"),
        *("--model", "sf2f-64@small.safetensors", "--judge", "embedded-judge"),
    ),
}
WORLD_OF = {
    **dict.fromkeys(("run", "prepare", "audit", "export-voices", "score"), "finished"),
    **dict.fromkeys(("report", "check", "compare", "export", "validate", "migrate"), "records"),
    "associate": "association",
}
OUTPUTS = {"--out", "--json", "--csv", "--markdown", "--junit", "--results", "--cache"}  # see outputs.py
SHARED = {
    "--budget",
    "--root",
    "--voices",
    "--faces",
    "--scheduler",
    "--config",
    "--jobs",
    "--gallery",
    "--ks",
}


def cases() -> Iterator[Case]:
    for command, words in COMMANDS.items():
        for parameter in main.commands[command].params:
            yield from _of_option(command, words, parameter)
        yield from _of_arguments(command, words)
    yield from _others()


def _of_option(command: str, words: tuple[str, ...], parameter: click.Parameter) -> Iterator[Case]:
    option = parameter.opts[0]
    if option in OUTPUTS or not option.startswith("--") or (option in SHARED and command != "run"):
        return
    kind = "options: values"
    if isinstance(parameter, click.Option) and parameter.is_flag:
        yield Case(
            kind,
            f"{command} {option}=value",
            (*words, f"{option}=yes"),
            WORLD_OF.get(command, "empty"),
            says="does not take a value|option",
        )
        return
    values = NUMBERS if parameter.type in (click.INT, click.FLOAT) else LISTS if option == "--ks" else WORDS
    for name, value in values.items():
        case = Case(
            kind, f"{command} {option} {name}", (*words, f"{option}={value}"), WORLD_OF.get(command, "empty")
        )
        if option == "--scheduler" and value:
            case = replace(case, named=True, says="prepared already: the Dask scheduler is not asked")
        taken, why = FREE.get(option, ((), ""))
        yield replace(case, justified=why) if name in taken else case


def _of_arguments(command: str, words: tuple[str, ...]) -> Iterator[Case]:
    world = WORLD_OF.get(command, "empty")
    arguments = [p for p in main.commands[command].params if isinstance(p, click.Argument)]
    kind = "options: arguments"
    if arguments and command not in ("report", "export", "list"):
        for name, value in WORDS.items():
            changed = tuple(value if i == 1 else word for i, word in enumerate(words))
            yield Case(kind, f"{command} {name}", changed, world)
    elif arguments:
        for name, value in WORDS.items():
            yield Case(kind, f"{command} {name}", (words[0], value, *words[1:]), world)
    yield Case(kind, f"{command} one too many", (*words, "more", "and more", "and more"), world)
    yield Case(kind, f"{command} unknown option", (*words, "--nosuch=1"), world, says="--nosuch")


def _others() -> Iterator[Case]:
    kind = "options: together"
    yield Case(kind, "no command", (), says="Usage")
    yield Case(kind, "unknown command", ("rnu",), says="No such command")
    yield Case(kind, "command in escape sequences", ("\x1b[31mrun",), says="No such command")
    yield Case(kind, "required option missing", ("score", "drawn"), "finished", says="--benchmark")
    yield Case(kind, "k of the gallery's size", (*RUN, "--ks", "6"), "finished", says="recall@6")
    yield Case(
        kind, "gallery larger than the people", (*RUN, "--gallery", "15"), "finished", says="--gallery 14"
    )
    yield Case(kind, "gallery of one", (*RUN, "--gallery", "1"), "finished", says="2 or more")
    yield Case(kind, "ablation at 128 pixels", ("run", "tiny-128", "--ablation"), says="64 pixels")
    yield Case(
        kind,
        "deterministic and compiled",
        (
            *RUN,
            "--deterministic",
            "--compile",
            "default",
            "--models",
            "voice2face-64",
            "--steps",
            "3",
            "--width",
            "0.05",
        ),
        "finished",
        says="deterministic",
    )
    yield Case(
        kind,
        "CUDA without a GPU",
        (*RUN, "--device", "cuda", "--models", "voice2face-64", "--steps", "3"),
        "finished",
        says="(?i)cuda",
    )
    yield Case(kind, "root for a data set that has none", (*RUN, "--root", "."), "finished", says="root")
    yield Case(
        kind, "voices for a data set that has none", (*RUN, "--voices", "."), "finished", says="voices"
    )
    yield Case(kind, "hq-voxceleb without its root", ("prepare", "hq-voxceleb-64"), says="--root")
    yield Case(kind, "null-pairs without its folders", ("prepare", "null-pairs"), says="--voices")
    yield Case(
        kind, "weights for a system without", (*RUN, "--models", "chance@x"), "finished", says="chance"
    )
    yield Case(
        kind,
        "weights that do not exist",
        (*RUN, "--models", "sf2f-64@gone.safetensors"),
        "finished",
        says="gone",
    )
    yield Case(
        kind,
        "weights of another system",
        (*RUN, "--models", "sf2f-64@small.safetensors"),
        "association",
        justified="not another system's: they are weights of sf2f-64, which it scores as they are",
    )
    yield Case(
        kind,
        "weights of sf2f for voice2face",
        (*RUN, "--models", "voice2face-64@small.safetensors"),
        "association",
        says="small.safetensors",
    )
    for command in (("weights", "fetch"), ("weights", "import")):
        for name, value in WORDS.items():
            yield Case("options: weights", f"{' '.join(command)} {name}", (*command, value))
    pickled = b"\x80\x04cposix\nsystem\n\x8c\x02ls\x85R."
    contents = {
        "pickle that runs code": pickled,
        "empty": b"",
        "text": b"hello",
        "zip": b"PK\x03\x04" + bytes(90),
    }
    for name, content in contents.items():
        for suffix in ("pt", "pkl", "safetensors"):
            file = f"best_model.{suffix}"
            yield Case(
                "options: weights",
                f"import --model {name} as {suffix}",
                ("weights", "import", file, "--model", "sf2f-64"),
                spoil=writing(file, content),
                says="best_model",
            )
    for name in ("20180402-114759-vggface2.pt", "arcface_weights.pth", "resnet50_ft_weight.pkl"):
        yield Case(
            "options: weights",
            f"import {name} of a wrong content",
            ("weights", "import", name),
            spoil=writing(name, "no weights"),
            says=name.split(".")[0],
        )
        yield Case(
            "options: weights",
            f"verify {name} of a wrong content",
            ("weights", "verify"),
            spoil=writing(f"w/{name}", "no weights"),
            env={"SF2F_BENCH_WEIGHTS": "w"},
            says="wrong",
        )
    for mirror in ("http://127.0.0.1:9/", "nosuch://x", "", "\x1b[31m", "file:///etc", "http://[::1"):
        yield Case(
            "options: weights",
            f"fetch --mirror {mirror!r}",
            ("weights", "fetch", "20180402-114759-vggface2.pt", "--mirror", mirror),
        )
    yield Case(
        "options: together", "as a shell: unknown benchmark", ("run", "nosuch"), apart=True, says="nosuch"
    )
    yield Case("options: together", "as a shell: name that is no UTF-8", ("report", NOT_UTF_8), apart=True)
    yield Case(
        "options: together",
        "as a shell: ASCII terminal",
        ("run", "Zoë"),
        apart=True,
        env={"PYTHONIOENCODING": "ascii"},
        says="unknown benchmark",
    )
