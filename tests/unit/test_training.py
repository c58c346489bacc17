"""Training data and loop: pure functions of the step, exact resumption, no pickle."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from sf2f_bench.data.prepared import prepare
from sf2f_bench.data.training import TrainingData
from sf2f_bench.files import load_tensors
from sf2f_bench.progress import Reporter
from sf2f_bench.training import Machine, TrainContext, Validation
from sf2f_bench.training.checkpoint import load_checkpoint, save_checkpoint
from sf2f_bench.training.validation import recall_at_k, recall_floors
from sf2f_bench.types import BenchError, ModelCard
from sf2f_bench.types.curve import CHANCE, GENDER, RECALL, SIMILARITY
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
    """The 140-frame recordings in crops of 141..150 frames; raw 0 is -5 after the tiny normalisation."""
    padded = 0
    for step in range(60):
        voices = data.batch(step, 6).voices
        if voices.shape[-1] > 140:
            short = (voices[:, :, 140:] == -5).all(dim=(1, 2))
            assert not (voices[:, :, :140] == -5).all(dim=1).any()
            padded += int(short.sum())
    assert padded > 10


def test_every_recording_photo_and_start_is_met(data):
    starts, photos, recordings = set(), set(), set()
    for step in range(400):
        choice = data._choose(step, 6, 1, None, "generator")
        starts |= set(choice.starts.ravel().tolist())
        photos |= set(choice.photos.tolist())
        recordings |= set(choice.recordings.ravel().tolist())
    assert recordings == set(range(12))
    assert photos == set(range(18))
    assert min(starts) == 0
    assert 150 <= max(starts) <= 200


@pytest.fixture(scope="module")
def store(data):
    return data.store


def test_the_device_resident_set_gives_the_same_batches(store, data):
    resident = TrainingData(store, TinyFrontend(), 3, CPU, resident=True)
    for step in range(20):
        assert_same(resident.batch(step, 4), data.batch(step, 4))
    assert_same(resident.segments(0, 4), data.segments(0, 4))


def test_reading_ahead_gives_the_same_batches_in_any_order(store, data, monkeypatch):
    monkeypatch.setattr(TrainingData, "_waits", True)
    ahead = TrainingData(store, TinyFrontend(), 3, CPU)
    for step in (0, 1, 2, 7, 3, 4):
        assert_same(ahead.batch(step, 4), data.batch(step, 4))
    assert_same(ahead.segments(2, 4), data.segments(2, 4))


def test_two_processes_share_a_batch(store, data):
    halves = [TrainingData(store, TinyFrontend(), 3, CPU, shard=(number, 2)) for number in range(2)]
    for step in range(5):
        whole, parts = data.batch(step, 4), [half.batch(step, 4) for half in halves]
        assert torch.equal(torch.cat([part.voices for part in parts]), whole.voices)
        assert torch.equal(torch.cat([part.faces for part in parts]), whole.faces)
        assert parts[0].identities + parts[1].identities == whole.identities
    with pytest.raises(BenchError, match="batch of 5 cannot be shared equally by 2"):
        halves[0].batch(0, 5)


def assert_same(one, other):
    assert torch.equal(one.voices, other.voices)
    assert torch.equal(one.faces, other.faces)
    assert torch.equal(one.labels, other.labels)
    assert one.identities == other.identities


def silent():
    return Reporter(Console(file=io.StringIO()))


def train(folder, steps, stop_at=None, **more):
    """A small regression trained in a TrainContext; returns (weights, curve)."""
    torch.manual_seed(0)
    net = torch.nn.Linear(8, 1)
    context = TrainContext(folder, "toy", 1, Machine.start("cpu"), None, silent(), 0.0, **more)
    optimiser = context.adam(net.parameters(), 0.01, (0.9, 0.999))
    for step in context.loop("fit", steps, {"net": net, "optimiser": optimiser}):
        if step == stop_at:
            return None
        x = context.noise("fit", step, 16, 8)
        loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
        context.update(optimiser, loss)
        context.log(("a", "b"), loss=loss)
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


def test_a_loss_that_is_not_a_number_stops_with_step_identities_and_the_last_good_checkpoint(tmp_path):
    train(tmp_path, 2)
    context = TrainContext(tmp_path, "toy", 1, Machine.start("cpu"), None, silent(), 0.0)

    def fit():
        for step in context.loop("other", 10, {}):
            context.log(
                (f"person-{step}", "x"), fine=torch.ones(()), loss=torch.tensor([1.0, torch.nan][step == 3])
            )

    with pytest.raises(
        BenchError, match=r"loss became nan at step 3 of other, on the batch of person-3, x"
    ) as error:
        fit()
    kept = tmp_path / "other.safetensors"
    assert f"the last good state is {kept}" in str(error.value)
    assert load_checkpoint(kept, {})["done"] == 3
    named = json.loads((tmp_path / "other-step-3.json").read_text())
    assert named["identities"] == ["person-3", "x"]
    assert named["not_finite"] == ["loss"]


class Drawer:
    """A system whose faces come nearer to the truth up to its fourth validation, then worse again."""

    card = ModelCard("drawer", "1", "system", "for tests")

    def __init__(self, truth):
        self.truth, self.calls = truth, 0

    def generate(self, voices, *, generator):
        self.calls += 1
        far = abs(self.calls - 4) / 8
        noise = torch.randint(0, 256, self.truth.shape, generator=torch.Generator().manual_seed(5))
        return (self.truth * (1 - far) + noise * far).to(torch.uint8)

    def state_dict(self):
        return {"calls": torch.tensor(self.calls)}


class Eye(torch.nn.Module):
    def features(self, images):
        return [images.flatten(1) - 0.5]


def test_the_best_state_by_the_validation_metric_is_kept_beside_the_last(store, tmp_path):
    validation = Validation(TrainingData(store, TinyFrontend(), 3, CPU, "val"), Eye())
    drawer = Drawer(validation.batch.faces)
    context = TrainContext(tmp_path, "toy", 1, Machine.start("cpu"), None, silent(), validation=validation)
    net = torch.nn.Linear(2, 2)
    for step in context.loop("fit", 20, {"net": net}, drawer):
        assert net.training
        net.train()
        context.log(("a",), loss=torch.tensor(float(step)))
    points = [point for point in context.curve if SIMILARITY in point]
    similarities = [point[SIMILARITY] for point in points]
    assert len(similarities) == 10
    assert np.argmax(similarities) == 3
    assert context.best == points[3]
    assert (points[3]["step"], points[3]["samples"], points[3][SIMILARITY]) == (8, 8, max(similarities))
    assert points[3][RECALL] == 1.0  # in a gallery of fewer than ten
    assert points[3][CHANCE] == 1.0
    tensors, facts = load_tensors(context.best_file)
    assert tensors["calls"] == 4
    assert facts["step"] == 8


def test_recall_on_the_validation_split_is_that_of_ranking_every_true_face():
    random = np.random.default_rng(5)
    true = random.standard_normal((40, 8)).astype(np.float32)
    generated = true + 1.5 * random.standard_normal((40, 8)).astype(np.float32)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (generated, true)]
    order = np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")
    for k in (1, 10, 40):
        wanted = np.mean([i in order[i, :k] for i in range(40)])
        assert recall_at_k(torch.from_numpy(generated), torch.from_numpy(true), [k])[k] == pytest.approx(
            wanted
        )
    constant = torch.from_numpy(true[:1]).expand(40, -1)
    assert recall_at_k(constant, torch.from_numpy(true), [10])[10] == pytest.approx(
        10 / 40
    )  # one face for everybody: chance


def test_the_floors_of_that_recall_are_those_of_guessing():
    assert recall_floors(["f"] * 25 + ["m"] * 75) == pytest.approx({CHANCE: 0.1, GENDER: 0.2})
    assert recall_floors(["f", None]) == {CHANCE: 1.0}
    random = np.random.default_rng(0)
    genders = np.array(["f"] * 25 + ["m"] * 75)
    same = (genders[:, None] == genders) + 0.5 * random.random((500, 100, 100))
    own = same[:, range(100), range(100)]
    found = ((same > own[..., None]).sum(axis=2) < 10).mean()
    assert found == pytest.approx(recall_floors(list(genders))[GENDER], abs=0.005)


def test_tensorboard_gets_scalars_throughput_and_faces(store, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    validation = Validation(TrainingData(store, TinyFrontend(), 3, CPU, "val"), Eye())
    context = TrainContext(
        tmp_path / "c",
        "toy",
        1,
        Machine.start("cpu"),
        None,
        silent(),
        validation=validation,
        board=tmp_path / "board",
    )
    for _ in context.loop("fit", 10, {}, Drawer(validation.batch.faces)):
        context.log(("a",), loss=torch.ones(()))
    events = EventAccumulator(str(tmp_path / "board" / "fit")).Reload()
    assert {"loss/loss", "throughput/samples_per_second", "validation/similarity"} <= set(
        events.Tags()["scalars"]
    )
    assert [event.step for event in events.Scalars("loss/loss")] == list(range(1, 11))
    assert "validation/faces" in events.Tags()["images"]


def test_checkpoints_hold_no_pickle(tmp_path):
    train(tmp_path, 5)
    content = (tmp_path / "fit.safetensors").read_bytes()
    assert not content.startswith(b"PK")
    assert int.from_bytes(content[:8], "little") < len(content)
    assert content[8:9] == b"{"


def test_many_scalars_leave_room_for_the_bar_and_all_enter_the_curve(tmp_path):
    out = io.StringIO()
    reporter = Reporter(Console(file=out, width=400))
    context = TrainContext(tmp_path, "toy", 1, Machine.start("cpu"), None, reporter)
    for _ in context.loop("fit", 3, {}):
        context.log(("a",), **{f"loss_{number}": torch.tensor(float(number)) for number in range(8)})
    assert "loss_0 0 loss_1 1" in out.getvalue()
    assert "samples/s" in out.getvalue()
    assert "loss_2" not in out.getvalue()
    assert {f"loss_{number}" for number in range(8)} <= set(context.curve[-1])


def test_what_a_machine_cannot_do_is_refused():
    with pytest.raises(BenchError, match="excludes --compile"):
        Machine.start("cpu", deterministic=True, compile="default")
    with pytest.raises(BenchError, match="needs a CUDA device"):
        Machine.start("cpu", compile="graphs")
    if not torch.cuda.is_available():
        with pytest.raises(BenchError, match="no CUDA device"):
            Machine.start("cuda")


def test_a_resumed_optimiser_pairs_each_moment_with_its_weight_in_any_memory_layout(tmp_path):
    def train(interrupted):
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
        adam = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
        for step in range(4):
            if step == 2 and interrupted:
                save_checkpoint(tmp_path / "x.safetensors", {"adam": adam}, {})
                adam = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
                load_checkpoint(tmp_path / "x.safetensors", {"adam": adam})
            generator = torch.Generator().manual_seed(step)
            adam.zero_grad()
            layer(torch.randn(2, 4, 6, 6, generator=generator)).square().mean().backward()
            adam.step()
        return layer.weight.detach()

    assert torch.equal(train(interrupted=False), train(interrupted=True))
