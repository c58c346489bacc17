"""The machine: who started the run, precision, determinism."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from reference_model.recipe import FirstStage, Networks, recipe_for
from sf2f_bench import ModelSettings
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.training import Machine
from sf2f_bench.training.machine import processes_started
from tests.golden.rebuild import normal

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x",
    "LOCAL_WORLD_SIZE": "4",
    "WORLD_SIZE": "8",
    "RANK": "0",
    "LOCAL_RANK": "0",
}
SLURM = {"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train", "SLURM_NTASKS_PER_NODE": "4"}


@pytest.mark.parametrize(
    ("environment", "found"),
    [({}, (1, 1)), (TORCHRUN, (4, 2)), (SLURM, (4, 2)), ({**SLURM, "SLURM_JOB_NAME": "bash"}, (1, 1))],
)
def test_torchrun_and_slurm_are_recognised(environment, found, monkeypatch):
    for name in {**TORCHRUN, **SLURM}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes_started() == found


def three_steps(precision):
    recipe = recipe_for(ModelSettings(64, width=0.25), fuses=False)
    networks = Networks.build(recipe, 20, seed=0, fuser=False)
    perceptual = EmbeddedExtractor("embedded-perceptual").module
    stage = FirstStage(networks, recipe, perceptual, Machine.start("cpu", precision=precision))
    voices, real = normal(1, 8, 40, 120), normal(2, 8, 3, 64, 64).clamp(-2, 2)
    for _ in range(3):
        terms = stage.step(voices, real, torch.arange(8), recipe["lr"])
    return {name: term.item() for name, term in terms.items()}, networks


def test_bfloat16_keeps_weights_in_float32_and_losses_near():
    full, _ = three_steps("fp32")
    half, networks = three_steps("bf16")
    assert half != full
    assert half == pytest.approx(full, rel=0.03)
    assert {p.dtype for part in networks.parts().values() for p in part.parameters()} == {torch.float32}


def test_a_deterministic_step_needs_no_operation_without_a_deterministic_form():
    code = (
        "import torch\n"
        "from sf2f_bench.training import Machine\n"
        "Machine.start('cpu', deterministic=True)\n"
        "from tests.unit.test_machine import three_steps\n"
        "assert torch.are_deterministic_algorithms_enabled()\n"
        "assert three_steps('fp32')[0] == three_steps('fp32')[0]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_process_alone_gets_its_own_value_and_waits_for_nobody():
    machine = Machine.start("cpu")
    assert machine.broadcast({"done": True}) == {"done": True}
    machine.barrier()
    assert machine.is_main


def test_a_loss_network_is_folded_in_a_copy_and_sees_the_same_features():
    plain = EmbeddedExtractor("embedded-perceptual").module
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    folded = Machine.start("cpu").setup_frozen(plain)
    images = normal(4, 4, 3, 64, 64)
    for ours, theirs in zip(folded.features(images), plain.features(images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())
    after = plain.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_networks_in_training_are_channels_last_on_a_cpu():
    layer = Machine.start("cpu").setup(torch.nn.Conv2d(8, 8, 3))
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
