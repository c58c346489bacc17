"""FaceNet with the recipe's weights gives what the official code gave, alone and as the perceptual loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sf2f_bench import from_imagenet, to_uint8
from sf2f_bench.extractors.facenet import FaceNet, standardise
from sf2f_bench.extractors.frozen import frozen
from tests.golden.rebuild import (
    Comparison,
    facts,
    first_stage,
    golden,
    log,
    normal,
    official_state,
    parameters,
    recipes,
    step,
)


def facenet(seed: int) -> FaceNet:
    network = FaceNet().eval()
    network.load_state_dict(official_state("facenet", seed))
    return network


def faces() -> torch.Tensor:
    """Two images in ImageNet-normalised space, most of their pixels beyond black or white."""
    return normal(605, 2, 3, 64, 64)


def test_every_entry_has_the_official_name_and_shape() -> None:
    network, want = FaceNet(), facts()["facenet"]
    ours = [(name, list(tensor.shape)) for name, tensor in network.state_dict().items()]
    assert ours == [(name, shape) for name, shape, _ in recipes()["facenet"]]
    assert len(ours) == 716
    assert parameters(network) == want["params"]
    assert parameters(network) - parameters(network.logits) == want["params_without_logits"]
    shapes = [list(feature.shape) for feature in network.eval().features(torch.rand(1, 3, 64, 64))]
    assert shapes == want["hidden"]


def test_the_input_agrees_with_the_official_code() -> None:
    np.testing.assert_array_equal(to_uint8(faces()), golden()["deprocess_uint8"])
    np.testing.assert_allclose(standardise(from_imagenet(faces())), golden()["facenet:pre"], atol=1e-6)


@pytest.mark.parametrize("prepare", [lambda network: network, frozen], ids=["as published", "frozen"])
@torch.no_grad()
def test_the_features_agree_with_the_official_code(prepare) -> None:
    features = prepare(facenet(9000)).features(from_imagenet(faces()))
    mean_std = torch.stack([torch.stack([f.mean(), f.std()]) for f in features])
    for key, ours in {"emb": features[-1], "hidden_mean_std": mean_std}.items():
        row = Comparison.with_golden(f"facenet:{key}", ours)
        assert row.relative <= row.relative_tolerance, key


def test_two_training_steps_agree_with_the_official_code() -> None:
    network = frozen(facenet(120_000))
    stage = first_stage(network)
    for number, tolerance in ((1, 1e-5), (2, 5e-3)):
        wanted = dict(log()[number])
        total = wanted.pop("loss/total_loss")
        ours = step(stage)
        assert ours == pytest.approx(wanted, rel=tolerance), number
        assert sum(v for k, v in ours.items() if k.startswith("loss/")) == pytest.approx(total, rel=tolerance)
    assert not network.training
    assert not any(weight.requires_grad or weight.grad is not None for weight in network.parameters())
