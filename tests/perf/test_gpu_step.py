"""The first stage's step on a CUDA device at the published batch; run with ``--benchmark-only -s``.

Every line says the step's time and how much of it the arithmetic alone would take on an H200 (790 TFLOP/s in bf16,
measured): the floor of tests/golden/model_facts.json, which counts what the official code computes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from reference_model.recipe import FirstStage, Networks, recipe_for
from sf2f_bench import ModelSettings
from sf2f_bench.extractors.facenet import FaceNet
from sf2f_bench.extractors.frozen import frozen
from sf2f_bench.training import Machine
from tests.perf.inputs import IDENTITIES, step_inputs

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")

BATCH = 256
STEPS = 20  # between two waits for the device
FACTS = Path(__file__).parents[1] / "golden" / "model_facts.json"
STEP_OF = {64: "step sf2f_1st perceptual=True", 128: "step sf2f_mid_1st perceptual=True"}


def floor(size: int) -> float:
    """Milliseconds of the step's arithmetic on an H200 in bf16."""
    return json.loads(FACTS.read_text())["flops"][STEP_OF[size]]["H200"]["compute_ms"]


@pytest.mark.parametrize("compiled", ["none", "default", "graphs"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("size", [64, 128])
def test_first_stage_step(benchmark, measure, size, precision, compiled):
    torch.compiler.reset()
    machine = Machine.start("cuda", precision=precision, compile=compiled)
    recipe = recipe_for(ModelSettings(image_size=size, budget="paper", accelerator="cuda"), fuses=False)
    networks = Networks.build(recipe, IDENTITIES, seed=0, fuser=False)
    networks.setup(machine)
    stage = FirstStage(networks, recipe, machine.setup_frozen(frozen(FaceNet())), machine)
    inputs = step_inputs(BATCH, size, "cuda")

    def steps():
        for _ in range(STEPS):
            if compiled == "graphs":
                torch.compiler.cudagraph_mark_step_begin()
            stage.step(*inputs, recipe["lr"])
        torch.cuda.synchronize()

    started = time.perf_counter()
    steps()  # kernels are chosen, networks compiled, graphs recorded
    ready = time.perf_counter() - started
    torch.cuda.reset_peak_memory_stats()
    row = f"gpu-step-{size}-{precision}-{compiled}"
    step = measure(row, steps, items=STEPS)
    memory, share = torch.cuda.max_memory_allocated() / 1e9, floor(size) / step
    benchmark.extra_info |= {"memory": memory, "share_of_floor": share, "ready_after_seconds": ready}
    print(
        f"\n{row}: {step:.1f} ms, {share:.0%} of it the H200's floor; {memory:.1f} GB, ready after {ready:.0f} s"
    )
