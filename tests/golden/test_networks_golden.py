"""The networks, with the recipe's weights, give what the official code gave."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from baselines import voice2face
from reference_model import sf2f
from sf2f_bench import from_imagenet, to_uint8
from sf2f_bench.extractors.facenet import FaceNet, standardise
from sf2f_bench.extractors.frozen import frozen
from tests.golden.equality import table
from tests.golden.rebuild import (
    GROUPS,
    OURS,
    Comparison,
    comparisons,
    facenet,
    facenet_features,
    facts,
    golden,
    parameters,
    recipes,
    two_faces,
)


@pytest.mark.parametrize("group", GROUPS)
def test_ours_agrees_with_the_official_code(group: str) -> None:
    assert comparisons(group)
    for row in comparisons(group):
        assert row.relative <= row.relative_tolerance, f"{row.network} {row.quantity}: {row.relative:.1e}"


def test_every_golden_output_of_our_networks_is_compared() -> None:
    compared = {row.key for group in GROUPS for row in comparisons(group)} - {""}
    assert compared == set(golden()) - {"deprocess_uint8"}  # which is no network's


def test_the_table_shows_every_comparison_with_its_deviation() -> None:
    rows = [
        Comparison.of("a", "parameters", 12, 12, 0),
        Comparison.of("b", "image", np.array([1.0, 2.5]), np.array([1.0, 2.0]), 1e-5),
    ]
    assert table(rows).splitlines()[2:] == [
        "| a | parameters | 1 | 12 | 12 | 0 | 0 | 0 |",
        "| b | image | 2 |  |  | 5.0e-01 | 2.5e-01 | 1e-05 |",
    ]


@pytest.mark.parametrize("name", OURS)
def test_shapes_are_the_published_ones(name: str) -> None:
    network = voice2face.Generator() if name == "v2f" else sf2f.build_generator(OURS[name])
    network.eval()
    kept = network.state_dict().keys() - dict(network.named_parameters()).keys()
    assert sum(network.state_dict()[name].numel() for name in kept) == facts()[name]["generator_buffers"]
    for frames in (125, 150):
        want = facts()[name]["shapes"][str(frames)]
        with torch.no_grad():
            images, conditioning = network(torch.zeros(2, 40, frames))
        assert [list(i.shape) for i in images] == want["images"]
        assert list(conditioning.shape) == want["cond"][:2]
        layers = getattr(network.encoder, "blocks", None) or network.encoder.layers[:-1]
        x, outputs = torch.zeros(2, 40, frames), []
        for layer in layers:
            x = layer(x)
            if not isinstance(layer, nn.Conv1d | nn.BatchNorm1d):
                outputs.append(list(x.shape[1:]))
        assert outputs == want["encoder_layers"][:-1]


def test_every_entry_of_facenet_has_the_official_name_and_shape() -> None:
    network, want = FaceNet(), facts()["facenet"]
    ours = [(name, list(tensor.shape)) for name, tensor in network.state_dict().items()]
    assert ours == [(name, shape) for name, shape, _ in recipes()["facenet"]]
    assert len(ours) == 716
    assert parameters(network) == want["params"]
    assert parameters(network) - parameters(network.logits) == want["params_without_logits"]
    shapes = [list(feature.shape) for feature in network.eval().features(torch.rand(1, 3, 64, 64))]
    assert shapes == want["hidden"]


def test_facenets_input_agrees_with_the_official_code() -> None:
    np.testing.assert_array_equal(to_uint8(two_faces()), golden()["deprocess_uint8"])
    np.testing.assert_allclose(standardise(from_imagenet(two_faces())), golden()["facenet:pre"], atol=1e-6)


def test_a_frozen_facenet_agrees_with_the_official_code_too() -> None:
    rows = facenet_features(frozen(facenet(9000)))
    assert len(rows) == 2
    for row in rows:
        assert row.relative <= row.relative_tolerance, row.quantity
