"""Training data and loop: pure functions of the step, exact resumption, no pickle."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from rich.console import Console

from sf2f_bench.data.prepared import prepare
from sf2f_bench.data.training import TrainingData
from sf2f_bench.progress import Reporter
from sf2f_bench.training import TrainContext
from sf2f_bench.types import BenchError
from tests.tiny import TinyDataset, TinyFrontend

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    reporter = Reporter(Console(file=io.StringIO()))
    store = prepare(
        TinyDataset(), TinyFrontend(), 16, tmp_path_factory.mktemp("store") / "s", reporter, jobs=1
    )
    return TrainingData(store, TinyFrontend(), 3, CPU)


def test_a_batch_depends_on_seed_stage_and_step_alone(data):
    one, two = data.batch(5, 4), data.batch(5, 4)
    assert torch.equal(one.voices, two.voices)
    assert torch.equal(one.faces, two.faces)
    assert (
        not torch.equal(one.labels, data.batch(6, 4).labels)
        or one.voices.shape != data.batch(6, 4).voices.shape
    )


def test_shapes_types_and_crop_lengths(data):
    lengths = {data.batch(step, 4).voices.shape[-1] for step in range(300)}
    assert min(lengths) == 100
    assert max(lengths) == 150
    batch = data.batch(0, 4)
    assert batch.voices.shape[:2] == (4, 40)
    assert (batch.voices.dtype, batch.faces.dtype, batch.labels.dtype) == (
        torch.float32,
        torch.uint8,
        torch.int64,
    )
    assert data.segments(0, 4).voices.shape == (4, 20, 40, 125)


def test_an_epoch_meets_everybody_once(data):
    labels = torch.cat([data.batch(step, 2).labels for step in range(3)])
    assert sorted(labels.tolist()) == list(range(6))


def test_a_batch_larger_than_the_split_is_the_split(data):
    assert len(data.batch(0, 64).labels) == 6


def test_a_short_recording_is_padded_with_raw_zero(data):
    crop = data._crop(0, 150, np.random.default_rng(0))
    while len(np.unique(crop[-1])) > 1:  # until the 140-frame recording is drawn
        crop = data._crop(0, 150, np.random.default_rng(int(crop.sum())))
    assert (crop[140:] == 0).all()
    assert (crop[:140] != 0).any()


def train(folder, steps, stop_at=None):
    """A small regression trained in a TrainContext; returns (weights, curve)."""
    torch.manual_seed(0)
    net = torch.nn.Linear(8, 1)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    context = TrainContext(folder, "toy", 1, CPU, None, Reporter(Console(file=io.StringIO())), 0.0)
    for step in context.loop("fit", steps, {"net": net, "optimiser": optimiser}):
        if step == stop_at:
            return None
        x = torch.randn(16, 8, generator=context.generator("fit", step))
        loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
        optimiser.zero_grad()
        context.backward(loss)
        optimiser.step()
        context.log(loss=loss)
    return net.weight.detach().clone(), context.curve


def test_a_resumed_loop_equals_an_uninterrupted_one(tmp_path):
    whole = train(tmp_path / "a", 40)
    assert train(tmp_path / "b", 40, stop_at=23) is None
    resumed = train(tmp_path / "b", 40)
    assert torch.equal(whole[0], resumed[0])
    assert whole[1] == resumed[1]
    assert whole[1][0]["loss"] > whole[1][-1]["loss"]


def test_a_finished_loop_has_nothing_to_do_and_keeps_its_state(tmp_path):
    whole = train(tmp_path, 20)
    again = train(tmp_path, 20)
    assert torch.equal(whole[0], again[0])
    assert whole[1] == again[1]


def test_a_loss_that_is_not_a_number_stops_with_step_and_remedy(tmp_path):
    context = TrainContext(tmp_path, "toy", 1, CPU, None, Reporter(Console(file=io.StringIO())))

    def fit():
        for step in context.loop("fit", 10, {}):
            context.log(loss=float("nan") if step == 3 else 1.0)

    with pytest.raises(BenchError, match=r"loss became nan at step 3 of fit.*learning rate"):
        fit()


def test_checkpoints_hold_no_pickle(tmp_path):
    train(tmp_path, 5)
    content = (tmp_path / "fit.safetensors").read_bytes()
    assert not content.startswith(b"PK")
    assert int.from_bytes(content[:8], "little") < len(content)
    assert content[8:9] == b"{"


def test_many_scalars_leave_room_for_the_bar_and_all_enter_the_curve(tmp_path):
    out = io.StringIO()
    context = TrainContext(tmp_path, "toy", 1, CPU, None, Reporter(Console(file=out, width=400)))
    for _ in context.loop("fit", 3, {}):
        context.log(**{f"loss_{number}": float(number) for number in range(8)})
    assert "loss_0 0 loss_1 1" in out.getvalue()
    assert "loss_2" not in out.getvalue()
    assert {f"loss_{number}" for number in range(8)} <= set(context.curve[-1])
