"""The networks on a CUDA device give what the official code gave on a CPU, in full precision without TF32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sf2f_bench import from_imagenet
from sf2f_bench.extractors.frozen import frozen, full_precision
from tests.golden.rebuild import Comparison, discriminators, facenet, generator, normal

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")

CUDA = torch.device("cuda")
TOLERANCE = 1e-4  # of the largest value: another order of sums than on the CPU


def check(key: str, ours: Tensor) -> None:
    row = Comparison.with_golden(key, ours.float().cpu())
    assert row.relative < TOLERANCE, f"{key}: {row.relative:.1e} off"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize(
    ("name", "mode"),
    [("v2f", "eval"), ("sf2f_1st", "eval"), ("sf2f_1st", "train"), ("sf2f_mid_1st", "eval")],
)
@torch.no_grad()
def test_generators(name: str, mode: str, layout: torch.memory_format) -> None:
    network = generator(name).train(mode == "train").to(CUDA, memory_format=layout)
    with full_precision(CUDA):
        images, conditioning = network(normal(601, 4, 40, 125).to(CUDA))
    check(f"{name}:{mode}:125:cond", conditioning)
    for level, image in enumerate(images):
        check(f"{name}:{mode}:125:img{level}", image[:1, :, ::2, ::2])
        check(f"{name}:{mode}:125:img{level}_mean_std", torch.stack([image.mean(), image.std()]))


@torch.no_grad()
def test_the_fused_face() -> None:
    network = generator("sf2f_fuser").to(CUDA)
    with full_precision(CUDA):
        images, conditioning = network(normal(603, 2, 20, 40, 125).to(CUDA))
    check("sf2f_fuser:eval:segs:cond", conditioning)
    check("sf2f_fuser:eval:segs:img0", images[0][:1, :, ::2, ::2])


@torch.no_grad()
def test_the_discriminators() -> None:
    judges = discriminators("sf2f_1st", 2500, 2550)
    images = normal(604, 4, 3, 64, 64).to(CUDA)
    with full_precision(CUDA):
        patches = judges["image"][0].train().to(CUDA)(images)
        score, logits = judges["identity"][0].train().to(CUDA)(images)
    check("sf2f_1st:img0", patches)
    check("sf2f_1st:ac0:score", score)
    labels = torch.tensor([0, 5, 17, 2889], device=CUDA)
    check("sf2f_1st:ac0:ce", nn.functional.cross_entropy(logits, labels))


@pytest.mark.parametrize("prepare", [lambda network: network, frozen], ids=["as published", "frozen"])
@torch.no_grad()
def test_facenet(prepare) -> None:
    network = prepare(facenet(9000)).to(CUDA)
    with full_precision(CUDA):
        features = network.features(from_imagenet(normal(605, 2, 3, 64, 64).to(CUDA)))
    check("facenet:emb", features[-1])
    mean_std = torch.stack([torch.stack([feature.mean(), feature.std()]) for feature in features])
    check("facenet:hidden_mean_std", mean_std)
