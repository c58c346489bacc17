"""What a face costs: parameters that take part, operations counted by hand, time; and nothing else is changed by it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from record_factory import record
from torch import nn

from baselines.voice2face import Voice2Face
from reference_model.recipe import generator_of
from reference_model.sf2f import Generator
from sf2f_bench.audio import LogFilterbank
from sf2f_bench.report.html import html_page
from sf2f_bench.report.markdown import costs_of_a_face, markdown_file
from sf2f_bench.results.records import Cost
from sf2f_bench.results.selection import groups
from sf2f_bench.runs.costs import BATCH, cost_of_a_face, measured, voices_of
from sf2f_bench.runs.systems import build
from sf2f_bench.testing.world import tiny_store
from sf2f_bench.types import ModelSettings

CPU = torch.device("cpu")
VOICES = torch.zeros(3, 20, 40, 125)
SMALL = ModelSettings(64, "smoke", "cpu", 0.25, 2)


class Handmade:
    """A line, a convolution, and a discriminator that generates nothing."""

    def __init__(self) -> None:
        self.line, self.blend = nn.Linear(40, 48), nn.Conv2d(3, 3, 3, padding=1)
        self.discriminator = nn.Linear(48, 1000)

    def generate(self, voices, *, generator):
        faces = self.blend(self.line(voices.mean(dim=(1, 3))).view(-1, 3, 4, 4))
        return faces.detach().clamp(0, 255).to(torch.uint8)


class Numpy:
    """It uses torch for its faces alone, and torch's global chance, which it should not."""

    card = SimpleNamespace(label="numpy")
    frontend = LogFilterbank()

    def generate(self, voices, *, generator):
        torch.rand(3)
        faces = np.tile(voices.numpy().mean(axis=(1, 2, 3))[:, None, None, None], (1, 3, 8, 8))
        return torch.from_numpy(faces.clip(0, 255).astype(np.uint8))


def test_parameters_and_operations_of_a_small_network_are_those_counted_by_hand():
    found = measured(Handmade(), VOICES, CPU)
    assert found["parameters"] == 40 * 48 + 48 + 3 * 3 * 9 + 3
    assert found["operations_per_face"] == 2 * 40 * 48 + 2 * 16 * 3 * 3 * 9
    assert 0 < found["seconds_per_face"] < 1


def test_parameters_are_those_of_the_generator_alone():
    sf2f = build("sf2f-64", SMALL)
    sf2f.generator = generator_of(sf2f.recipe, sf2f.fuses)
    assert isinstance(sf2f.generator, Generator)
    voice2face = Voice2Face(SMALL)
    voice2face.generator = voice2face._build()
    for system in (sf2f, voice2face):
        found = measured(system, VOICES, CPU)
        assert found["parameters"] == sum(part.numel() for part in system.generator.parameters())
        assert found["operations_per_face"] > found["parameters"]


def test_operations_of_a_convolution_are_those_of_its_formula_at_each_segment():
    class OneLayer:
        layer = nn.Conv1d(40, 16, 3)

        def generate(self, voices, *, generator):
            level = self.layer(voices.flatten(0, 1)).unflatten(0, voices.shape[:2]).mean(dim=(1, 2, 3))
            return level.detach()[:, None, None, None].expand(-1, 3, 8, 8).to(torch.uint8)

    assert measured(OneLayer(), VOICES, CPU)["operations_per_face"] == 20 * 2 * 40 * 16 * 3 * 123


def test_what_uses_no_modules_costs_nothing_that_can_be_counted():
    found = measured(Numpy(), VOICES, CPU)
    assert (found["parameters"], found["operations_per_face"]) == (0, 0)
    assert found["seconds_per_face"] > 0


def test_neither_the_global_random_state_nor_the_voices_are_touched():
    torch.manual_seed(7)
    before, voices = torch.get_rng_state(), VOICES.clone()
    measured(Numpy(), voices, CPU)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(voices, VOICES)


def test_the_voices_are_sixteen_of_twenty_segments(tmp_path):
    store = tiny_store(LogFilterbank(), 64, tmp_path)
    said = []
    run = SimpleNamespace(
        store_for=lambda system: store, device=CPU, reporter=SimpleNamespace(say=said.append)
    )
    assert voices_of(run, Numpy()).shape == (BATCH, 20, 40, 125)
    assert cost_of_a_face(run, Numpy())["parameters"] == 0

    class Broken(Numpy):
        def generate(self, voices, *, generator):
            raise RuntimeError("no batches of sixteen")

    assert cost_of_a_face(run, Broken()) == {}
    assert said == ["numpy: what a face costs could not be measured: no batches of sixteen"]


# ---------------------------------------------------------------- records and tables


def test_records_keep_what_was_measured_and_nothing_where_nothing_was():
    old = Cost(wall_seconds=1, train_seconds=2, peak_memory_mb=3)
    assert set(old.model_dump(mode="json")) == {"wall_seconds", "train_seconds", "peak_memory_mb"}
    new = Cost(**old.model_dump(), parameters=5, operations_per_face=7, seconds_per_face=0.25)
    assert Cost(**new.model_dump(mode="json")) == new
    for wrong in ({"parameters": -1}, {"seconds_per_face": float("inf")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Cost(**old.model_dump(), **wrong)


@pytest.mark.parametrize(
    ("parameters", "operations", "seconds", "words"),
    [
        (0, 0, 0.00012, ("0", "0 FLOP", "0.12 ms")),
        (845, 9_996, 0.0123, ("845", "10 kFLOP", "12.3 ms")),
        (4_123_456, 1_234_567_890, 0.5, ("4.12 M", "1.23 GFLOP", "500 ms")),
        (999_600, 3.2e12, 1.5, ("1 M", "3.2 TFLOP", "1.5 s")),
        (None, None, None, ("", "", "")),
    ],
)
def test_costs_are_shown_in_readable_units(parameters, operations, seconds, words):
    cost = Cost(
        wall_seconds=1,
        train_seconds=1,
        peak_memory_mb=1,
        parameters=parameters,
        operations_per_face=None if operations is None else int(operations),
        seconds_per_face=seconds,
    )
    assert costs_of_a_face(cost) == words


def test_the_tables_of_provenance_show_them_beside_the_cost_of_training():
    made = record()
    cost = made.cost.model_copy(
        update={"parameters": 4_123_456, "operations_per_face": 1_234_567_890, "seconds_per_face": 0.0123}
    )
    found = groups([made.model_copy(update={"cost": cost}), record("chance", 0.1, "own")])
    text = markdown_file(found, [{}])
    assert "| peak MB so far | parameters | operations a face | time a face |" in text
    assert "| 4.12 M | 1.23 GFLOP | 12.3 ms |" in text
    assert "| – | – | – |" in text
    page = html_page(found, [{}])
    assert "4.12 M parameters; a face: 1.23 GFLOP, 12.3 ms" in page
    assert page.count("a face: ") == 1
