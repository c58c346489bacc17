"""A user's own model, extractor and metric, each of our templates with one fault."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

from tests.faults.cases import BYTES, ENTRIES, Case, Spoil, both, of_file
from tests.faults.cases.worlds import MODEL as TRAINED
from tests.faults.cases.worlds import RUN
from tests.plugins import install

STEPS = ("--steps", "2", "--width", "0.05")
WHOLE = (*RUN, *TRAINED)
Change = tuple[str, str]


def template(kind: str, name: str, *changes: Change) -> Spoil:
    """The template as mine.py, with texts replaced."""

    def spoil(folder: Path) -> None:
        text = files("sf2f_bench.templates").joinpath(f"my_{kind}.py").read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        (folder / name).write_text(text, encoding="utf-8")

    return spoil


ANY: dict[str, Change] = {
    "syntax error": ("import torch\n", "import torch\ndef (\n"),
    "tabs and blanks": ("import torch\n", "import torch\nif True:\n\tx = 1\n        y = 2\n"),
    "missing package": ("import torch\n", "import torch\nimport nosuchpackage\n"),
    "missing name": ("import torch\n", "import torch\nfrom sf2f_bench import NoSuchThing\n"),
    "raises when it is read": ("import torch\n", "import torch\nraise ValueError('no \\x1b[31m today')\n"),
    "ends the program when it is read": ("import torch\n", "import torch\nimport sys; sys.exit(0)\n"),
    "os._exit is no name": ("import torch\n", "import torch\nnosuchname\n"),
    "endless recursion": ("import torch\n", "import torch\ndef f(): return f()\nf()\n"),
}
MODEL: dict[str, Change] = {
    "__init__ raises": ("self.size = settings.image_size", "raise RuntimeError('no [/red] way')"),
    "__init__ ends the program": ("self.size = settings.image_size", "raise SystemExit(0)"),
    "__init__ of two arguments": ("self, settings: ModelSettings", "self, settings, more"),
    "no card": ("self.card = ", "self.cart = "),
    "card is a text": ("self.card = ModelCard(", "self.card = str(object=dict("),
    "no front end": ("_build(seed=0)", "_build(seed=0); self.frontend = None"),
    "front end is a text": ("_build(seed=0)", "_build(seed=0); self.frontend = 'mel'"),
    "front end is missing": ("_build(seed=0)", "_build(seed=0); del self.frontend"),
    "no recipe": ("self.recipe: dict[str, Any] = ", "self.rezept: dict[str, Any] = "),
    "recipe is a list": ('"hidden": 256}', '"hidden": 256}; self.hidden, self.recipe = 256, [1]'),
    "recipe holds a set": ('"hidden": 256}', '"hidden": 256, "x": {1, 2}}'),
    "recipe holds not a number": ('"hidden": 256}', '"hidden": 256, "x": float("nan")}'),
    "no fit": ("def fit(", "def fits("),
    "no generate": ("def generate(", "def generates("),
    "no state_dict": ("def state_dict(", "def states("),
    "name of a known system": ('name="my-model"', 'name="sf2f-64"'),
    "name of an anchor": ('name="my-model"', 'name="chance"'),
    "empty name": ('name="my-model"', 'name=""'),
    "name is a path": ('name="my-model"', 'name="../../x"'),
    "name of 300 letters": ('name="my-model"', 'name="x" * 300'),
    "name of escape sequences": ('name="my-model"', 'name="\\x1b[31m"'),
    "kind that is none": ('kind="system"', 'kind="thing"'),
    "loss is not a number": ("abs().mean()", "abs().mean() * float('nan')"),
    "loss is infinite": ("abs().mean()", "abs().mean() / 0"),
    "loss is a vector": ("abs().mean()", "abs()"),
    "fit raises": ("batch = data.batch(", "raise KeyError('x'); batch = data.batch("),
    "fit ends the program": ("batch = data.batch(", "raise SystemExit(0); batch = data.batch("),
    "fit runs no loop": ("for step in context.loop(", "for step in () and context.loop("),
    "weights become not numbers": (
        "context.update(adam, loss)",
        "context.update(adam, loss); [p.data.fill_(float('nan')) for p in self.network.parameters()]",
    ),
    "generate raises": ("faces = self.network.to(", "raise IndexError('no'); faces = self.network.to("),
    "faces are floats": ("(faces * 255).round().to(torch.uint8)", "faces"),
    "faces lack an axis": ("(faces * 255).round().to(torch.uint8)", "(faces * 255).to(torch.uint8)[:, 0]"),
    "faces are of another size": (
        "(faces * 255).round().to(torch.uint8)",
        "(faces * 255).to(torch.uint8)[..., :32]",
    ),
    "a face too few": ("(faces * 255).round().to(torch.uint8)", "(faces * 255).to(torch.uint8)[1:]"),
    "faces are None": ("(faces * 255).round().to(torch.uint8)", "None"),
    "faces are a list": ("(faces * 255).round().to(torch.uint8)", "[1, 2]"),
    "state is a list": ("return self.network.state_dict()", "return [1]"),
    "state holds numbers": ("return self.network.state_dict()", "return {'a': 1}"),
    "load_state_dict raises": ("self.network.load_state_dict(state)", "raise ValueError('x')"),
}
EXTRACTOR: dict[str, Change] = {
    "__init__ raises": ("random = torch", "raise RuntimeError('no'); random = torch"),
    "no id": ("self.id = ", "self.it = "),
    "id is None": ("self.id = ", "self.id = None; self.it = "),
    "no card": ("card = ExtractorCard(", "cart = ExtractorCard("),
    "embeddings are not numbers": ("dim=1), None", "dim=1) * float('nan'), None"),
    "embeddings are zero": ("dim=1), None", "dim=1) * 0, None"),
    "embeddings are a list": ("dim=1), None", "dim=1).tolist(), None"),
    "embeddings are a vector": ("dim=1), None", "dim=1)[:, 0], None"),
    "an embedding too few": ("dim=1), None", "dim=1)[1:], None"),
    "nothing comes back": ("return F.normalize(", "F.normalize("),
    "probabilities above 1": ("@ self.matrix, dim=1), None", "@ self.matrix, dim=1), small[:, :4] + 2"),
    "call raises": ("check_faces(images)", "raise KeyError('x')"),
    "not available": (
        "random = torch",
        "from sf2f_bench import Unavailable; raise Unavailable('no weights'); random = torch",
    ),
}
METRIC: dict[str, str] = {  # replaces the body of __call__
    "raises": "raise KeyError('x')",
    "is not a number": "return Score(float('nan'), 8, None, None)",
    "is infinite": "return Score(float('inf'), 8, None, None)",
    "is a text": "return Score('x', 8, None, None)",
    "is None": "return None",
    "of nobody": "return Score(1.0, 0, None, None)",
    "beyond its bounds": "return Score(7.5, 8, None, None)",
    "interval turned": "return Score(0.5, 8, (0.9, 0.1), None)",
    "values of too few": "return Score(0.5, 8, None, np.ones(3))",
}
NO_CARD = "an extractor's card is optional; without it the table names the extractor alone"
ABSENT = "a value that is no number is no score: it is absent from the table with that reason"
NO_TRAINING = "a model that needs no training is a model: its row shows what it is worth"
CHANGES_NOTHING = "a weak system is a result: its row shows it beside chance"
TAKEN_METRICS = dict.fromkeys(("is not a number", "is infinite"), ABSENT)


def cases() -> Iterator[Case]:
    model = (*RUN, "--models", "mine.py:MyModel", *STEPS)
    extractor = (*RUN, "--models", "voice2face-64", "--extractors", "mine.py:MyExtractor", *STEPS)
    judge = (*RUN, "--models", "voice2face-64", "--judge", "mine.py:MyExtractor", *STEPS)
    for name, change in {**ANY, **MODEL}.items():
        yield Case(
            "plug-ins",
            f"model: {name}",
            model,
            "finished",
            template("model", "mine.py", change),
            says=r"mine|Model|name|generate|loss|weights",
            justified=NO_TRAINING if name == "fit runs no loop" else "",
        )
    for name, change in {**ANY, **EXTRACTOR}.items():
        yield Case(
            "plug-ins",
            f"extractor: {name}",
            extractor,
            "finished",
            template("extractor", "mine.py", change),
            says="mine|Extractor",
            named=name == "not available",
            justified=NO_CARD if name == "no card" else "",
        )
        if name in EXTRACTOR:
            yield Case(
                "plug-ins",
                f"judge: {name}",
                judge,
                "finished",
                template("extractor", "mine.py", change),
                says=".",
                named=name == "not available",
                justified=NO_CARD if name == "no card" else "",
            )
    honest = template("model", "mine.py")
    for name, words in {
        "no class": "mine.py",
        "another class": "mine.py:NoSuch",
        "a function": "mine.py:statistics",
        "a module's name": "mine.py:torch",
        "empty class": "mine.py:",
        "class of a path": "mine.py:a/b",
        "two colons": "mine.py:MyModel:x",
        "file is gone": "gone.py:MyModel",
        "file is a folder": "folder.py:MyModel",
        "no file": ":MyModel",
        "package path": "nosuch.module:MyModel",
        "escape sequences": "\x1b[31m.py:MyModel",
        "not UTF-8": f"{os.fsdecode(bytes([255]))}.py:MyModel",
    }.items():
        spoil = both(honest, lambda folder: (folder / "folder.py").mkdir())
        yield Case("plug-ins", f"model by name: {name}", (*RUN, "--models", words, *STEPS), "finished", spoil)
    for name, damage in {**BYTES, **ENTRIES}.items():
        if name in ("flipped byte", "last bytes lost", "cut"):
            continue
        yield Case(
            "plug-ins",
            f"model's file: {name}",
            model,
            "finished",
            both(honest, of_file("mine.py", damage)),
            says="mine",
        )
    yield Case(
        "plug-ins",
        "model: the same twice",
        (*RUN, "--models", "mine.py:MyModel", "--models", "mine.py:MyModel", *STEPS),
        "finished",
        honest,
        justified="the second says nothing new: one row, as if it were named once",
    )
    yield Case(
        "plug-ins",
        "model: faces of one colour",
        model,
        "finished",
        template("model", "mine.py", ("(faces * 255).round()", "(faces * 0 + 9)")),
        justified=CHANGES_NOTHING,
    )
    yield from _installed()


def _installed() -> Iterator[Case]:
    for name, body in METRIC.items():
        yield Case(
            "plug-ins",
            f"installed metric {name}",
            WHOLE,
            "finished",
            _metric(body),
            says="metric|theirs",
            justified=TAKEN_METRICS.get(name, ""),
        )
    groups: dict[str, tuple[dict[str, str], str]] = {
        "of a missing module": ({"sf2f_bench.metrics": "nosuch:metrics"}, "nosuch"),
        "of a missing name": ({"sf2f_bench.metrics": "theirs:nosuch"}, "nosuch"),
        "that is no function": ({"sf2f_bench.metrics": "theirs:NUMBER"}, "theirs|NUMBER"),
        "that gives no list": ({"sf2f_bench.metrics": "theirs:number"}, "theirs|number"),
    }
    for name, (entries, says) in groups.items():
        yield Case(
            "plug-ins",
            f"installed metric {name}",
            WHOLE,
            "finished",
            _site({"theirs.py": "NUMBER = 3\n\n\ndef number(*_):\n    return 3\n"}, entries),
            says=says,
        )
    for name, text in {"dataset": "raise ValueError('x')\n", "model": "import nosuchpackage\n"}.items():
        yield Case(
            "plug-ins",
            f"installed {name} that cannot be read",
            ("run", "theirs-64") if name == "dataset" else (*RUN, "--models", "theirs"),
            "finished",
            _site({"theirs.py": text}, {f"sf2f_bench.{name}s": "theirs:X"}),
            says="theirs",
        )


def _site(texts: dict[str, str], entries: dict[str, str]) -> Spoil:
    def spoil(folder: Path) -> None:
        install(
            folder / "site", "theirs", texts, {group: {"theirs": target} for group, target in entries.items()}
        )

    return spoil


def _metric(body: str) -> Callable[[Path], None]:
    text = files("sf2f_bench.templates").joinpath("my_metric.py").read_text(encoding="utf-8")
    head, call, rest = text.partition("def __call__(")
    signature, colon, _ = rest.partition(":\n")
    tail = rest[rest.index("\n\n\n") :] if "\n\n\n" in rest else ""
    return _site(
        {"theirs.py": f"{head}{call}{signature}{colon}        {body}\n{tail}"},
        {"sf2f_bench.metrics": "theirs:my_metrics"},
    )
