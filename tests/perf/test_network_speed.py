"""Drawing, training and scoring at the published width; run with ``--benchmark-only``.

What is timed beside them does the same work as the official code does it: see as_official.py.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import pytest
import torch

from baselines import voice2face
from reference_model import sf2f
from reference_model.recipe import FirstStage, Networks, recipe_for
from sf2f_bench import ModelSettings
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.extractors.facenet import FaceNet
from sf2f_bench.extractors.frozen import extract, frozen
from sf2f_bench.extractors.vggface2 import VggFace2
from sf2f_bench.training import Machine
from tests.perf import as_official
from tests.perf.inputs import IDENTITIES, step_inputs

DRAWN, TRAINED, SCORED = 64, 32, 32  # images in a batch
ROUNDS = 5  # in which both ways are timed alternately


def test_matrix_product(measure):
    left, right = torch.randn(2, 1024, 1024)
    measure("matrix-product", lambda: left @ right, items=2 * 1024**3 / 1e9, rounds=20)


@pytest.mark.parametrize("size", [64, 128])
def test_drawing(measure, size):
    draw(measure, f"generate-sf2f-{size}", sf2f.Generator(size), as_official.long_way(sf2f.Generator(size)))


def test_drawing_by_voice2face(measure):
    draw(measure, "generate-voice2face-64", voice2face.Generator())


def draw(measure, row, generator, official=None):
    voices, *_ = step_inputs(DRAWN, 64)
    theirs = partial(official.eval(), voices) if official else None
    with torch.inference_mode():
        measure(row, partial(generator.eval(), voices), theirs, items=DRAWN, rounds=ROUNDS)


@pytest.mark.parametrize("seen", ["", "-facenet"])
@pytest.mark.parametrize("size", [64, 128])
def test_training(measure, size, seen):
    ours = step_of(FirstStage, size, frozen(FaceNet()) if seen else None)
    theirs = step_of(as_official.FirstStage, size, as_official.facenet() if seen else None)
    measure(f"train-{size}{seen}", ours, theirs, items=TRAINED, rounds=ROUNDS)


@pytest.mark.parametrize(("size", "batch"), [(64, 16), (64, 32), (64, 64), (128, 16)])
def test_training_at_a_quarter_of_the_width(measure, size, batch):
    """The step of the default and the long budget, with ours against the official way in what both have."""
    perceptual = EmbeddedExtractor("embedded-perceptual").module
    ours = step_of(FirstStage, size, frozen(deepcopy(perceptual)), budget="long", batch=batch)
    theirs = step_of(as_official.FirstStage, size, perceptual, budget="long", batch=batch)
    measure(f"train-quarter-{size}-{batch}", ours, theirs, items=batch, rounds=10)


def test_training_in_bf16(measure):
    step = step_of(FirstStage, 64, frozen(FaceNet()), Machine.start("cpu", precision="bf16"))
    measure("train-64-facenet-bf16", step, items=TRAINED, rounds=3)


def step_of(kind, size, perceptual, machine=None, budget="paper", batch=TRAINED):
    """A training step: by our first stage, as a run sets it up, or by the official way's."""
    recipe = recipe_for(ModelSettings(image_size=size, budget=budget), fuses=False)
    networks = Networks.build(recipe, IDENTITIES, seed=0, fuser=False)
    machine = machine or Machine.start("cpu")
    if kind is as_official.FirstStage:
        as_official.long_way(networks.generator)
    else:
        networks.setup(machine)
    stage = kind(networks, recipe, perceptual, machine)
    return partial(stage.step, *step_inputs(batch, size), recipe["lr"])


def test_scoring(measure):
    network, plain = frozen(VggFace2()), VggFace2().eval()
    generator = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (SCORED, 3, 64, 64), generator=generator, dtype=torch.uint8)

    @torch.no_grad()
    def the_long_way():
        return plain(faces.float() / 255)[1].softmax(dim=1)

    measure("scoring", lambda: extract(network, faces), the_long_way, items=SCORED, rounds=ROUNDS)
