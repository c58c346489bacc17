"""What plug-ins may answer and say of themselves: each wrong form is refused, by name, before anything is recorded."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.files import save_tensors
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.protocols.names import BENCH
from sf2f_bench.registry import place_of
from sf2f_bench.runs.pipeline import _check_answer
from sf2f_bench.runs.systems import build
from sf2f_bench.testing.anchors import AnchorTrial
from sf2f_bench.training import Machine, TrainContext
from sf2f_bench.types import Answer, BenchError, ModelCard, ModelSettings

N, SIZE, DRAWS = 5, 64, 3


class Mine:
    card = ModelCard("mine", "1", "anchor", "for tests")


class MineDraws(Mine):
    one_to_many = True


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> SimpleNamespace:
    evaluation = AnchorTrial(Mine(), tmp_path_factory.mktemp("tiny")).evaluation
    assert isinstance(evaluation, Evaluation)
    config = SimpleNamespace(draws=DRAWS)
    return SimpleNamespace(evaluation=evaluation, config=config, protocol=protocol_named(BENCH))


def faces(*shape):
    return np.random.default_rng(0).integers(0, 256, shape or (N, 3, SIZE, SIZE), dtype=np.uint8)


def rows(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


SEVERAL = faces(DRAWS, N, 3, SIZE, SIZE)
WRONG = {
    "faces of another size": (Mine, Answer(faces(N, 3, 16, 20)), r"faces uint8 \[5, 3, 64, 64\]"),
    "grey faces": (Mine, Answer(faces(N, 1, SIZE, SIZE)), r"faces uint8 \[5, 3, 64, 64\]"),
    "faces of somebody else": (Mine, Answer(faces(N - 1, 3, SIZE, SIZE)), r"faces uint8 \[5, 3, 64, 64\]"),
    "faces as floats": (Mine, Answer(faces() / 255), r"faces uint8"),
    "draws that nobody was told of": (Mine, Answer(SEVERAL[0], draws=SEVERAL), "one_to_many = True"),
    "no draws where they are told": (MineDraws, Answer(SEVERAL[0]), r"draws uint8 \[3, 5, 3, 64, 64\]"),
    "too few draws": (MineDraws, Answer(SEVERAL[0], draws=SEVERAL[:2]), r"draws uint8 \[3, 5, 3, 64, 64\]"),
    "draws as floats": (MineDraws, Answer(SEVERAL[0], draws=SEVERAL / 255), r"draws uint8"),
    "draws of other faces": (MineDraws, Answer(SEVERAL[1], draws=SEVERAL), "the first are not its faces"),
    "rows of no extractor": (Mine, Answer(embeddings={"a": rows(N, 112)}), "extractors: judge, training-loss"),
    "rows of another network": (Mine, Answer(embeddings={"judge": rows(N, 7)}), r"rows \[5, 112\]"),
    "too many rows": (Mine, Answer(embeddings={"judge": rows(N + 1, 112)}), r"rows \[5, 112\]"),
    "rows of NaN": (Mine, Answer(embeddings={"judge": rows(N, 112) * np.nan}), "NaN or infinite"),
    "a ranking of infinity": (Mine, Answer(ranking=(rows(N, 4), rows(N, 4) / 0)), "NaN or infinite"),
    "nothing": (Mine, Answer(), "faces, embeddings or a ranking"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_answer_is_refused_under_the_anchors_name(run, what):
    kind, answer, message = WRONG[what]
    with pytest.raises(BenchError, match=message) as error:
        _check_answer(run, kind(), answer)
    assert "anchor mine: " in str(error.value)
    assert "test_plugin_answers.py" in str(error.value)


def test_right_answers_are_taken(run):
    _check_answer(run, Mine(), Answer(faces()))
    _check_answer(run, MineDraws(), Answer(SEVERAL[0], draws=SEVERAL))
    _check_answer(run, Mine(), Answer(embeddings={"judge": rows(N, 112), "training-loss": rows(N, 64)}))
    _check_answer(run, Mine(), Answer(ranking=(rows(N, 9), rows(N, 9))))


def test_a_place_is_the_code_under_a_decorator():
    import torch

    class Other:
        @torch.no_grad()
        def generate(self):
            """Of a plug-in, as the template has it."""

    assert "test_plugin_answers.py" in place_of(Other.generate)
    assert "test_plugin_answers.py" in place_of(Other().generate)


MINE = """
from dataclasses import replace
from baselines.voice2face import Voice2Face

class Mine(Voice2Face):
    {flag} = "no"

    def __init__(self, settings):
        super().__init__(settings)
        self.card = replace(self.card, name="mine", title="")
"""


@pytest.mark.parametrize("flag", ["one_to_many", "fuses"])
def test_what_a_system_says_of_itself_is_true_or_false(flag, tmp_path):
    (tmp_path / "mine.py").write_text(MINE.format(flag=flag))
    with pytest.raises(BenchError, match=f"{flag} in .*mine.py.* is 'no': expected True or False"):
        build(f"{tmp_path / 'mine.py'}:Mine", ModelSettings(64, "smoke"))


def test_a_width_that_weights_do_not_have_is_refused(tmp_path):
    system = build("voice2face-64", ModelSettings(64, "smoke", width=0.06))
    system.generator = system._build()
    file = save_tensors(
        tmp_path / "v.safetensors", system.state_dict(), {"model": "voice2face-64", "width": 0.06}
    )
    assert build(f"voice2face-64@{file}", ModelSettings(64)).card.width == 0.06
    assert build(f"voice2face-64@{file}", ModelSettings(64, width=0.06)).card.width == 0.06
    with pytest.raises(
        BenchError, match=r"weights of width 0\.06, not of --width 0\.5: leave the option out"
    ):
        build(f"voice2face-64@{file}", ModelSettings(64, width=0.5))


def test_what_generates_nothing_cannot_be_validated(tmp_path):
    context = TrainContext(tmp_path, "mine", 0, Machine.start("cpu"), None, Reporter(silent=True))
    with pytest.raises(
        BenchError, match=r"Mine .* generates no faces, so it cannot be validated: leave it out"
    ):
        next(context.loop("fit", 2, {}, Mine()))
