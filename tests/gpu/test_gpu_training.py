"""Training on a CUDA device: the official step, bf16, batches that live on the device, resumption, determinism."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from reference_model.recipe import SF2F64, FirstStage, Networks, recipe_for
from sf2f_bench import ModelSettings
from sf2f_bench.data.prepared import PreparedStore, prepare
from sf2f_bench.data.training import TrainingData
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.extractors.facenet import FaceNet
from sf2f_bench.extractors.frozen import frozen, full_precision
from sf2f_bench.progress import Reporter
from sf2f_bench.training import Machine, TrainContext
from tests.golden.rebuild import IDENTITIES, STEP_TERMS, facenet, first_stage, log, normal
from tests.tiny import TinyDataset, TinyFrontend

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
HALF_A_STEP = 0.004  # of float16 between 8 and 16, where the tiny features lie


def silent() -> Reporter:
    return Reporter(Console(file=io.StringIO()))


# ---------------------------------------------------------------- the step


def official_step(machine: Machine) -> dict[str, float]:
    """The first of the official code's two golden steps, by its names of the terms."""
    start = first_stage()
    networks, perceptual = start.networks, machine.setup_frozen(frozen(facenet(120_000)))
    networks.setup(machine)
    stage = FirstStage(networks, start.recipe, perceptual, machine)
    voices, real = normal(12, 4, 40, 125).to(CUDA), normal(11, 4, 3, 64, 64).to(CUDA)
    labels = torch.from_numpy(np.random.RandomState(13).randint(0, IDENTITIES, 4)).to(CUDA)
    terms = stage.step(voices, real, labels, start.recipe["lr"])
    return {STEP_TERMS[name]: value.item() for name, value in terms.items()}


def test_the_official_step_in_full_precision() -> None:
    machine = Machine.start("cuda")
    with full_precision(CUDA):
        ours = official_step(machine)
    wanted = {name: log()[1][name] for name in ours}
    assert ours == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("compiled", ["none", "default"])
def test_the_official_step_in_bf16_is_finite_and_near(compiled: str) -> None:
    ours = official_step(Machine.start("cuda", precision="bf16", compile=compiled))
    assert all(np.isfinite(list(ours.values())))
    wanted = {name: log()[1][name] for name in ours}
    assert ours == pytest.approx(wanted, rel=0.05)
    assert ours != pytest.approx(wanted, rel=1e-5)  # it was bf16 indeed


# ---------------------------------------------------------------- the batches


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PreparedStore:
    dataset = TinyDataset(counts={"train": 24, "val": 2, "test": 2})
    return prepare(dataset, TinyFrontend(), 64, tmp_path_factory.mktemp("store") / "s", silent(), jobs=1)


@pytest.mark.parametrize(("resident", "apart"), [(True, HALF_A_STEP), (False, 1e-6)])
def test_batches_on_the_device_are_the_cpus(store: PreparedStore, resident: bool, apart: float) -> None:
    """Resident frames are kept in half precision; faces and labels are exact either way."""
    on_device = TrainingData(store, TinyFrontend(), 3, CUDA, resident=resident)
    on_host = TrainingData(store, TinyFrontend(), 3, CPU)
    for step in range(12):
        one, other = on_device.batch(step, 8), on_host.batch(step, 8)
        assert one.voices.device.type == one.faces.device.type == one.labels.device.type == "cuda"
        assert torch.equal(one.faces.cpu(), other.faces)
        assert torch.equal(one.labels.cpu(), other.labels)
        assert one.identities == other.identities
        torch.testing.assert_close(one.voices.cpu(), other.voices, rtol=0, atol=apart)
    fused, wanted = on_device.segments(0, 8), on_host.segments(0, 8)
    torch.testing.assert_close(fused.voices.cpu(), wanted.voices, rtol=0, atol=apart)


def test_a_set_that_fits_is_kept_on_the_device(store: PreparedStore) -> None:
    assert TrainingData(store, TinyFrontend(), 3, CUDA).resident


# ---------------------------------------------------------------- resumption


class KilledError(Exception):
    """The run ends here."""


class Mortal(TrainContext):
    """Dies in a step instead of logging it, where it is told to."""

    steps_left: int | None = None

    def log(self, identities: tuple[str, ...], **scalars: torch.Tensor) -> None:
        if self.steps_left == 0:
            raise KilledError
        if self.steps_left is not None:
            self.steps_left -= 1
        super().log(identities, **scalars)


def fit(
    store: PreparedStore, folder: Path, steps: int | None = None, total: int = 12
) -> dict[str, torch.Tensor]:
    settings = ModelSettings(image_size=64, budget="smoke", accelerator="cuda", width=0.1, steps=total)
    machine, perceptual = Machine.start("cuda"), EmbeddedExtractor("embedded-perceptual").module
    context = Mortal(
        folder, "mortal", 3, machine, machine.setup_frozen(perceptual), silent(), checkpoint_every=0.0
    )
    context.steps_left = steps
    model = SF2F64(settings)
    data = TrainingData(store, TinyFrontend(), 3, CUDA)
    model.fit(data, context)
    return {name: tensor.cpu() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The distance of two trainings' ends, all tensors together."""
    assert one.keys() == other.keys()
    return float(torch.stack([(one[name] - other[name]).norm() for name in one]).norm())


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(
    store: PreparedStore, tmp_path: Path
) -> None:
    """No farther off than a few times what the order of the device's sums makes of the same training."""
    whole, again = fit(store, tmp_path / "whole"), fit(store, tmp_path / "again")
    with pytest.raises(KilledError):
        fit(store, tmp_path / "parts", steps=7)
    resumed, shorter = fit(store, tmp_path / "parts"), fit(store, tmp_path / "shorter", total=11)
    assert apart(resumed, whole) <= 5 * apart(again, whole) + 1e-4
    assert apart(shorter, whole) > 5 * apart(again, whole) + 1e-4  # one step is more than that


# ---------------------------------------------------------------- determinism


def weights_after_three_steps(size: int, seen: str) -> dict[str, torch.Tensor]:
    """Of all networks, from the same start, in a deterministic machine; for the processes of the next test."""
    machine = Machine.start("cuda", precision="bf16", deterministic=True)
    recipe = recipe_for(ModelSettings(image_size=size, width=0.25), fuses=False)
    networks = Networks.build(recipe, 20, seed=0, fuser=False)
    networks.setup(machine)
    torch.manual_seed(0)
    network = frozen(FaceNet()) if seen == "facenet" else EmbeddedExtractor("embedded-perceptual").module
    stage = FirstStage(networks, recipe, machine.setup_frozen(network), machine)
    voices, real = normal(1, 8, 40, 120).to(CUDA), normal(2, 8, 3, size, size).clamp(-2, 2).to(CUDA)
    for _ in range(3):
        stage.step(voices, real, torch.arange(8, device=CUDA), recipe["lr"])
    return {name: tensor.cpu() for name, tensor in networks.state_dict().items()}


@pytest.mark.parametrize("seen", ["facenet", "embedded"])
@pytest.mark.parametrize("size", [64, 128])
def test_deterministic_training_is_the_same_bit_for_bit(size: int, seen: str) -> None:
    """In a process of its own: cuBLAS reads its setting once, and torch's is global."""
    code = (
        "import torch\n"
        "from tests.gpu.test_gpu_training import weights_after_three_steps\n"
        f"one, two = (weights_after_three_steps({size}, {seen!r}) for _ in range(2))\n"
        "assert all(torch.equal(one[name], two[name]) for name in one | two)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
