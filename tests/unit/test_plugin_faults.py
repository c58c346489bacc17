"""A plug-in's own faults end as one line with its file and line; those of the harness stay tracebacks."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from sf2f_bench.data.prepared import prepare
from sf2f_bench.evaluation.test_people import _checked
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.bench.scoring import _measure
from sf2f_bench.protocols.scores import Scores
from sf2f_bench.registry import (
    DATASETS,
    EXTRACTORS,
    MODELS,
    extractor_named,
    fault_of,
    installed_metrics,
    plugin_faults,
)
from sf2f_bench.runs.systems import build
from sf2f_bench.templates.my_extractor import MyExtractor
from sf2f_bench.templates.my_metric import MyMetric
from sf2f_bench.testing.features import generated_features, true_features
from sf2f_bench.types import BenchError, DatasetSource, ModelSettings, Score
from tests.plugins import install
from tests.tiny import TinyFrontend
from tests.unit.test_pipeline import MINE, world  # noqa: F401 - a fixture

SETTINGS = ModelSettings(16, "smoke", "cpu", steps=4)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that installs files of a package `strange` with entry points, importable in this test alone."""

    def make(files, **groups):
        entry_points = {f"sf2f_bench.{group}": entries for group, entries in groups.items()}
        monkeypatch.syspath_prepend(install(tmp_path / "site", "strange", files, entry_points))

    before = set(sys.modules)
    yield make
    for name in set(sys.modules) - before:
        if name.startswith("strange"):
            del sys.modules[name]


@pytest.fixture
def model(tmp_path):
    """A function that writes a model with one thing of a sound one replaced, and gives its name for `--models`."""

    def make(old="", new=""):
        assert old in MINE
        (tmp_path / "theirs.py").write_text(MINE.replace(old, new))
        return f"{tmp_path / 'theirs.py'}:Mine"

    return make


def line_of(tmp_path, text):
    lines = (tmp_path / "theirs.py").read_text().splitlines()
    return f"theirs.py:{next(number for number, line in enumerate(lines, 1) if text in line)}"


# ---------------------------------------------------------------- before anything is prepared or trained


def test_a_sound_model_is_built(model):
    assert build(model(), SETTINGS).card.name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "import torch\n",
            "import torch\nimport no_such_package\n",
            "install the package that brings no_such",
        ),
        ("import torch\n", "import torch\ndef broken(:\n", "SyntaxError"),
        ("import torch\n", "import torch\nlimit = 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("self.line =", "self.line = None.nothing; self.line =", "in Mine.__init__: AttributeError"),
    ],
)
def test_a_file_or_a_class_that_fails_is_named_with_its_line(model, tmp_path, old, new, words):
    name = model(old, new)
    with pytest.raises(BenchError, match=words) as caught:
        build(name, SETTINGS)
    text = new.strip().splitlines()[-1].partition(";")[0]
    assert line_of(tmp_path, text) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "--traceback" in str(caught.value)
    assert caught.value.__cause__ is not None  # what --traceback shows


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def load_state_dict", "def load_dict", "has no load_state_dict: change it, see SpeechToFace"),
        (
            "def generate(self, voices, *, generator)",
            "def generate(self, voices)",
            "cannot be called as generate",
        ),
        ("def fit(self, data, context)", "def fit(self)", "cannot be called as fit"),
        ("def __init__(self, settings)", "def __init__(self)", "cannot be made from ModelSettings"),
        ("self.card = ", "self.card = 'mine' #", "has a card that is str, expected a ModelCard"),
        ("TinyFrontend()", "None", "has a frontend that has no id, filters"),
    ],
)
def test_a_class_that_does_not_keep_the_contract_is_named_when_it_is_built(model, old, new, words):
    name = model(old, new)
    with pytest.raises(BenchError, match=words) as caught:
        build(name, SETTINGS)
    assert "Mine (" in str(caught.value)
    assert "theirs.py:" in str(caught.value)


def test_a_model_of_a_file_may_not_have_the_name_of_an_installed_one(model):
    with pytest.raises(BenchError, match="'chance' is the name of an installed model"):
        build(model('"mine"', '"chance"'), SETTINGS)


def test_models_are_built_before_anything_is_prepared_or_scored(world, model):  # noqa: F811
    with pytest.raises(BenchError, match="has no generate"):
        world(models=(model("def generate", "def generates"),))
    assert not (world.folder / "cache").exists()
    assert not (world.folder / "results").exists()


def test_a_file_may_hold_dataclasses_and_is_imported_once(tmp_path):
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
    )
    text += "@dataclass\nclass Mine:\n    made: ClassVar[list] = []\n    name: str\n"
    (tmp_path / "theirs.py").write_text(text)
    name = f"{tmp_path / 'theirs.py'}:Mine"
    assert EXTRACTORS.get(name) is MODELS.get(name)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("strange_gone:Mine", "model 'far' of the package strange: there is no module strange_gone"),
        ("strange_model:Yours", r"the package strange \(strange_model\) has no class Yours"),
        ("strange_broken:Mine", "strange_broken.py:1: ZeroDivisionError"),
    ],
)
def test_a_target_that_cannot_be_imported_is_named_with_its_package(package, target, words):
    package({"strange_model.py": "x = 1\n", "strange_broken.py": "1 / 0\n"}, models={"far": target})
    with pytest.raises(BenchError, match=words):
        MODELS.get("far")


def test_a_metric_without_what_a_metric_needs_is_named_when_the_metrics_are_made(package):
    text = "class Bare:\n    name, version = 'bare', 1\ndef metrics(gallery, ks, n):\n    return [Bare()]\n"
    package({"strange_metric.py": text}, metrics={"bare": "strange_metric:metrics"})
    with pytest.raises(
        BenchError, match=r"Bare \(.*strange_metric.py:1\) has no higher_is_better, needs, min_n"
    ):
        installed_metrics(10, (1, 5), 60)


def test_two_metrics_of_one_name_are_refused(package):
    text = "from sf2f_bench.metrics.retrieval import MedianRank\n"
    text += "def metrics(gallery, ks, n):\n    return [MedianRank()]\n"
    package({"strange_metric.py": text}, metrics={"again": "strange_metric:metrics"})
    with pytest.raises(BenchError, match="two metrics are called median-rank/full"):
        installed_metrics(10, (1, 5), 60)


def test_a_set_that_gives_no_list_is_named(package):
    package(
        {"strange_metric.py": "def metrics(gallery, ks, n): ...\n"},
        metrics={"none": "strange_metric:metrics"},
    )
    with pytest.raises(BenchError, match="gave nothing, expected a list of metrics"):
        installed_metrics(10, (1, 5), 60)


def test_an_extractor_and_a_data_set_are_checked_when_they_are_made(package):
    package(
        {"strange_other.py": "class Mine:\n    def __init__(self, what): ...\n"},
        extractors={"far": "strange_other:Mine"},
        datasets={"far": "strange_other:Mine"},
    )
    with pytest.raises(BenchError, match=r"extractor far: Mine .* has no id, sha256, recognises"):
        extractor_named("far")
    with pytest.raises(BenchError, match=r"data set far: Mine .* has no card, identities, utterances"):
        DATASETS.build("far", DatasetSource())


# ---------------------------------------------------------------- in the run


@pytest.mark.parametrize(
    ("old", "new", "method"),
    [
        (
            "def fit(self, data, context):",
            "def fit(self, data, context):\n        torch.ones(2, 3) @ torch.ones(2, 3)",
            "fit",
        ),
        (
            "context.log(",
            "context.update(context.adam(self.line.parameters(), 1.0, (0.9, 0.9)), torch.ones(3)); context.log(",
            "fit",
        ),
        (
            "def generate(self, voices, *, generator):",
            "def generate(self, voices, *, generator):\n        {}['x']",
            "generate",
        ),
        (
            "def state_dict(self):",
            "def state_dict(self):\n        raise ValueError('two\\nlines')",
            "state_dict",
        ),
        (
            "def load_state_dict(self, state):",
            "def load_state_dict(self, state):\n        state.nothing",
            "load_state_dict",
        ),
    ],
)
def test_an_exception_in_a_method_is_one_line(world, model, tmp_path, old, new, method):  # noqa: F811
    name = model(old, new)
    with pytest.raises(BenchError) as caught, plugin_faults():
        world(models=(name,))
    message = str(caught.value)
    assert f"{line_of(tmp_path, new.splitlines()[-1].strip())}, in Mine.{method}: " in message
    assert "\n" not in message
    assert "correct this line" in message


def test_a_fault_beyond_the_plug_in_names_both_places(world, model):  # noqa: F811
    name = model("context.log(", "context.log(batch.identities, x=3.0); context.log(")
    words = r"theirs.py:\d+, in Mine.fit: .* \(raised at .*sf2f_bench/training"
    with pytest.raises(BenchError, match=words) as caught, plugin_faults():
        world(models=(name,))
    assert isinstance(caught.value.__cause__, AttributeError)


def test_what_the_harness_raises_itself_passes_unchanged(world, model, monkeypatch):  # noqa: F811
    def fail(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("sf2f_bench.runs.pipeline.save_record", fail)
    with pytest.raises(ZeroDivisionError, match="ours"), plugin_faults():
        world(models=(model(),))


def test_errors_that_a_plug_in_words_itself_pass_unchanged(world, model):  # noqa: F811
    name = model(
        "def fit(self, data, context):", "def fit(self, data, context):\n        raise BenchError('mine')"
    )
    (world.folder / "theirs.py").write_text(
        "from sf2f_bench import BenchError\n" + (world.folder / "theirs.py").read_text()
    )
    with pytest.raises(BenchError, match=r"^mine$"), plugin_faults():
        world(models=(name,))


def test_nothing_is_said_of_an_exception_without_a_plug_in():
    assert fault_of(ValueError("anybody's")) is None


# ---------------------------------------------------------------- what a plug-in gives


@dataclass(eq=False)
class Given:
    """A metric that gives what it was made with."""

    result: object
    name: str = "given"
    needs: tuple = ()
    min_n: int = 2

    def __call__(self, real, fake, rng):
        return self.result


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (0.5, "gave float, expected a Score"),
        (None, "gave nothing, expected a Score"),
        (Score(torch.ones(3), 30), "gave tuple of .*, expected numbers as value and n"),
        (Score(0.5, 30, per_identity=np.ones((30, 2))), r"gave float64 \[30, 2\], expected one number"),
        (Score(0.5, 30, per_identity=np.ones(31)), r"gave float64 \[31\], expected per_identity of 30"),
    ],
)
def test_a_metric_that_gives_no_sound_score_is_named(result, words):
    real = true_features(30)
    with pytest.raises(BenchError, match=rf"metric given: Given \(.*test_plugin_faults.py:\d+\) {words}"):
        _measure(Given(result), real, generated_features(real), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Score(0.5, 0), "greater than or equal to 1"),
        (Score(0.5, 30, (0.9, 0.1)), "interval"),
        (Score(0.5, 30, (0.6, 0.7)), "does not hold the value 0.5"),
        (Score(7.5, 30), "7.5 is outside the metric's bounds, -2.0 to 2.0"),
        (Score(0.5, 30, (0.1, 2.5)), "2.5 is outside the metric's bounds"),
        (Score(1.0, 30, per_identity=np.ones(3)), "n = 30, but 3 identities have a value"),
    ],
)
def test_a_score_that_no_record_can_hold_is_named(result, words):
    with pytest.raises(
        BenchError, match=rf"metric my-metric: MyMetric .* that no record can hold: .*{words}"
    ):
        Scores().add(MyMetric(), result, None)


@pytest.mark.parametrize(
    ("embeddings", "shares", "words"),
    [
        (torch.full((2, 3), torch.nan), None, "zero or hold NaN or infinity"),
        (torch.zeros(2, 3), None, "zero or hold NaN or infinity"),
        (torch.ones(2, 3), torch.full((2, 4), 0.5), "do not sum to 1"),
        (torch.ones(2, 3), torch.tensor([[2.0, -1.0]] * 2), "negative"),
    ],
)
def test_an_extractor_that_gives_other_numbers_is_named(embeddings, shares, words):
    extractor = MyExtractor()
    with pytest.raises(BenchError, match=f"extractor my-extractor/1.* gave .*{words}"):
        _checked(extractor, 2, (embeddings, shares))


def test_a_score_that_is_no_number_is_absent_with_its_reason():
    real = true_features(30)
    found = _measure(Given(Score(float("nan"), 30)), real, generated_features(real), np.random.default_rng(0))
    assert found == "came out as nan on these 30 identities"


@pytest.mark.parametrize(
    ("given", "came"),
    [
        (lambda n: torch.ones(n, 4), "torch.float32"),
        (lambda n: (torch.ones(n, 4).int(), None), "tuple of torch.int32"),
        (lambda n: (torch.ones(n + 1, 4), None), "tuple of torch.float32"),
        (lambda n: (torch.ones(n, 4, 1), None), "tuple of torch.float32"),
        (lambda n: (np.ones((n, 4)), None), "tuple of float64"),
    ],
)
def test_an_extractor_that_gives_no_rows_is_named(tmp_path, given, came):
    from tests.unit.test_evaluation import make_evaluation

    evaluation = make_evaluation(tmp_path)
    evaluation.extractors["judge"] = Odd(given)
    with pytest.raises(BenchError, match=f"extractor odd/1: Odd .* gave {came}"):
        evaluation.embed("judge", np.zeros((3, 3, 16, 16), np.uint8))


class Odd:
    """An extractor that gives what it was told."""

    id, sha256, recognises = "odd/1", "0" * 64, True

    def __init__(self, given):
        self.given = given

    def __call__(self, images):
        return self.given(len(images))


WORLD = """
from tests.tiny import TinyDataset
class Mine(TinyDataset):
    def __init__(self, source): super().__init__()
    def identities(self, split):
        found = super().identities(split)
        return found
    def utterances(self, identity): return [Recording(item) for item in super().utterances(identity)]
class Recording:
    def __init__(self, item): self.item, self.key = item, item.key
    def log_filterbank(self, frontend): return self.item.log_filterbank(frontend)
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "return found",
            "return [person.id for person in found]",
            "gave str, expected a sf2f_bench.Identity",
        ),
        ("return found", "return found['x']", r"strange_\w+.py:7, in Mine.identities: TypeError"),
        ("[Recording(item) for", "['x' for", "gave str, expected a sf2f_bench.Utterance"),
        ("return self.item.log", "return self.no_item.log", "in Recording.log_filterbank: AttributeError"),
        ("log_filterbank(frontend)\n", "log_filterbank(frontend)[0]\n", "Recording .* expected float32"),
    ],
)
def test_a_data_set_that_fails_is_named_from_the_workers_too(package, tmp_path, old, new, words):
    module = f"strange_{tmp_path.name}"  # workers live on, and remember a module
    package({f"{module}.py": WORLD.replace(old, new)}, datasets={"far": f"{module}:Mine"})
    with pytest.raises(BenchError, match=words), plugin_faults():
        prepare(
            DATASETS.build("far", DatasetSource()),
            TinyFrontend(),
            16,
            tmp_path / "store",
            Reporter(silent=True),
            1,
        )


def test_an_anchor_that_answers_for_others_is_named(world, tmp_path):  # noqa: F811
    text = "import numpy as np\nfrom sf2f_bench import Answer, ModelCard\nclass Mine:\n"
    text += (
        "    card = ModelCard('odd', '1', 'anchor', 'odd')\n    def applies(self, evaluation): return None\n"
    )
    text += "    def answer(self, evaluation): return Answer(ranking=(np.ones((2, 1)), np.ones((2, 1))))\n"
    (tmp_path / "theirs.py").write_text(text)
    with pytest.raises(BenchError, match=r"anchor odd: Mine \(.*theirs.py:3\) gave float64 \[2, 1\]"):
        world(models=(f"{tmp_path / 'theirs.py'}:Mine",))
