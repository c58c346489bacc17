"""Drawing, training and scoring at the published width; run with ``--benchmark-only``.

"As official" rows do the same work the long way on the same machine: see as_official.py.
"""

from __future__ import annotations

import pytest
import torch

from baselines import voice2face
from reference_model import sf2f
from reference_model.recipe import FirstStage, Networks, recipe_for
from sf2f_bench import ModelSettings
from sf2f_bench.extractors.facenet import FaceNet
from sf2f_bench.extractors.frozen import extract, frozen
from sf2f_bench.extractors.vggface2 import VggFace2
from sf2f_bench.training import Machine
from tests.perf import as_official
from tests.perf.inputs import IDENTITIES, step_inputs

WAYS = pytest.mark.parametrize("way", ["ours", "official"])
DRAWN, TRAINED, SCORED = 64, 32, 32  # images in a batch


def test_matrix_product(measure):
    left, right = torch.randn(2, 1024, 1024)
    measure("matrix-product", lambda: left @ right, items=2 * 1024**3 / 1e9, rounds=20, way="ours")


@WAYS
@pytest.mark.parametrize("size", [64, 128])
def test_drawing(measure, size, way):
    generator = sf2f.Generator(size).eval()
    if way == "official":
        as_official.long_way(generator)
    draw(measure, f"generate-sf2f-{size}", generator, way)


def test_drawing_by_voice2face(measure):
    draw(measure, "generate-voice2face-64", voice2face.Generator().eval(), "ours")


def draw(measure, row, generator, way):
    voices, *_ = step_inputs(DRAWN, 64)
    with torch.inference_mode():
        measure(row, lambda: generator(voices), items=DRAWN, rounds=5, way=way)


@WAYS
@pytest.mark.parametrize("seen", ["", "-facenet"])
@pytest.mark.parametrize("size", [64, 128])
def test_training(measure, monkeypatch, size, seen, way):
    perceptual = None
    if seen:
        perceptual = frozen(FaceNet()) if way == "ours" else as_official.facenet()
    train(measure, f"train-{size}{seen}", size, perceptual, Machine.start("cpu"), way, monkeypatch)


def test_training_in_bf16(measure, monkeypatch):
    machine = Machine.start("cpu", precision="bf16")
    train(measure, "train-64-facenet-bf16", 64, frozen(FaceNet()), machine, "ours", monkeypatch)


def train(measure, row, size, perceptual, machine, way, monkeypatch):
    recipe = recipe_for(ModelSettings(image_size=size, budget="paper"), fuses=False)
    networks = Networks.build(recipe, IDENTITIES, seed=0, fuser=False)
    if way == "official":
        as_official.long_way(networks.generator)
        as_official.freeze_nothing(monkeypatch)
    stage = FirstStage(networks, recipe, perceptual, machine)
    voices, real, labels = step_inputs(TRAINED, size)
    step = lambda: stage.step(voices, real, labels, recipe["lr"])  # noqa: E731
    measure(row, step, items=TRAINED, rounds=3 if size == 64 else 2, way=way)


@WAYS
def test_scoring(measure, way):
    network = VggFace2()
    network = frozen(network) if way == "ours" else network.eval()
    generator = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (SCORED, 3, 64, 64), generator=generator, dtype=torch.uint8)

    @torch.no_grad()
    def the_long_way():
        return network(faces.float() / 255)[1].softmax(dim=1)

    work = the_long_way if way == "official" else lambda: extract(network, faces)
    measure("scoring", work, items=SCORED, rounds=3, way=way)
