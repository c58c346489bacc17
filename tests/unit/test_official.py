"""Every entry of the official state dicts has one place; what does not fit is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from baselines import voice2face
from reference_model import official, sf2f
from sf2f_bench import BenchError
from tests.golden import rebuild

State = dict[str, Tensor]
LOADS: dict[str, Callable[[State], State]] = {
    "v2f": voice2face.official_tensors,
    "sf2f_1st": lambda state: official.generator_tensors("sf2f-64", state),
    "sf2f_fuser": lambda state: official.generator_tensors("sf2f-64-fuser", state),
    "sf2f_mid_1st": lambda state: official.generator_tensors("sf2f-128", state),
}
DISCRIMINATORS = [
    f"{model}:{which}"
    for model, count in (("sf2f_1st", 1), ("sf2f_fuser", 1), ("sf2f_mid_1st", 2))
    for which in [f"{kind}{level}" for kind in ("img", "ac") for level in range(count)]
]


@cache
def state_of(name: str) -> State:
    """A cheap state dict with the recipe's names and shapes; every entry has another value."""
    return {
        entry: torch.full(shape, number, dtype=torch.int64 if rule == "skip" else torch.float32)
        for number, (entry, shape, rule) in enumerate(rebuild.recipes()[name])
    }


@pytest.mark.parametrize("name", LOADS)
def test_every_official_entry_of_a_generator_has_one_place(name: str) -> None:
    state = state_of(name)
    tensors = LOADS[name](state)
    assert len(tensors) == len(state)
    assert sorted(t.flatten()[0].item() for t in tensors.values()) == list(range(len(state)))


def test_names_decide_and_not_the_order() -> None:
    state = state_of("sf2f_1st")
    turned = dict(reversed(state.items()))
    for ours, tensor in official.generator_tensors("sf2f-64", turned).items():
        assert torch.equal(tensor, official.generator_tensors("sf2f-64", state)[ours])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("encoder.blocks.2.branches.1.0.weight", "encoder.model.2.conv_k3.model.0.weight"),
        ("encoder.blocks.3.branches.3.1.running_var", "encoder.model.3.conv_k7.model.1.running_var"),
        ("encoder.project.bias", "encoder.model.4.bias"),
        ("decoder.start.1.weight", "decoder.fc.1.weight"),
        ("decoder.blocks.1.0.weight", "decoder.up_low_layers.1.1.weight"),
        ("decoder.blocks.4.1.bias", "decoder.up_mid_layer.2.bias"),
        ("decoder.heads.0.2.bias", "decoder.gnet_low.2.bias"),
        ("decoder.heads.1.0.weight", "decoder.gnet_mid.0.weight"),
    ],
)
def test_entries_of_the_128_generator_are_where_they_belong(ours: str, theirs: str) -> None:
    state = state_of("sf2f_mid_1st")
    assert torch.equal(official.generator_tensors("sf2f-128", state)[ours], state[theirs])


def test_the_128_fuser_takes_the_first_stage_and_a_fuser() -> None:
    fuser = {name: t for name, t in state_of("sf2f_fuser").items() if "attn_fuser" in name}
    assert len(fuser) == 2
    network = official.load_generator("sf2f-128-fuser", state_of("sf2f_mid_1st") | fuser)
    assert not network.training
    assert network.fuser is not None
    assert torch.equal(network.fuser.out.weight, fuser["encoder.attn_fuser.attention.linear_out.weight"])


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_official_entry_of_a_discriminator_has_one_place(name: str) -> None:
    state = state_of(name)
    kind, size = ("image" if "img" in name else "identity"), (128 if name.endswith("1") else 64)
    network = sf2f.ImageDiscriminator(size) if kind == "image" else sf2f.IdentityDiscriminator(2890, size)
    tensors = official.translate(network, official.discriminator_modules(kind, size), state, name)
    assert [t.flatten()[0].item() for t in tensors.values()] == list(range(len(state)))


def test_discriminators_are_loaded_by_resolution_with_the_identities_of_the_weights() -> None:
    states = {
        "image": [state_of("sf2f_mid_1st:img0"), state_of("sf2f_mid_1st:img1")],
        "identity": [state_of("sf2f_mid_1st:ac0"), state_of("sf2f_mid_1st:ac1")],
    }
    loaded = official.load_discriminators("sf2f-128", states)
    image = torch.zeros(2, 3, 128, 128)
    assert loaded["image"][1].eval()(image).shape == (2, 1, 6, 6)
    assert loaded["identity"][1].eval()(image)[1].shape == (2, 2890)
    assert torch.equal(loaded["image"][1].score.bias, states["image"][1]["classifier.bias"])
    with pytest.raises(BenchError, match=r"one a resolution \(64\), got \{'image': 2, 'identity': 2\}"):
        official.load_discriminators("sf2f-64", states)
    with pytest.raises(BenchError, match=r"image discriminator at 64 pixels.*unexpected cnn\.7\.weight"):
        official.load_discriminators("sf2f-128", states | {"image": states["image"][::-1]})
    with pytest.raises(BenchError, match="no generator 'voice2face-64'"):
        official.load_discriminators("voice2face-64", states)
    with pytest.raises(BenchError, match=r"identity discriminator at 64 .*missing cnn\.0\.0"):
        official.load_discriminators("sf2f-64", {"image": [state_of("sf2f_1st:img0")], "identity": [{}]})


@pytest.mark.parametrize("name", LOADS)
def test_the_prefix_of_data_parallel_is_taken_off(name: str) -> None:
    plain = LOADS[name](state_of(name))
    prefixed = LOADS[name]({f"module.{entry}": t for entry, t in state_of(name).items()})
    assert list(plain) == list(prefixed)
    assert all(torch.equal(prefixed[entry], t) for entry, t in plain.items())


@pytest.mark.parametrize("name", LOADS)
def test_what_does_not_fit_is_named(name: str) -> None:
    state = dict(state_of(name))
    weight = next(entry for entry in state if entry.startswith("decoder"))
    with pytest.raises(BenchError, match=f"do not fit: 1 .missing {weight}"):
        LOADS[name]({entry: t for entry, t in state.items() if entry != weight})
    with pytest.raises(BenchError, match=r"unexpected encoder\.more"):
        LOADS[name](state | {"encoder.more": torch.zeros(1)})
    shape = tuple(state[weight].shape)
    with pytest.raises(BenchError, match=f"{weight} has shape \\(7,\\), not \\({shape[0]}, {shape[1]}"):
        LOADS[name](state | {weight: torch.zeros(7)})


def test_a_checkpoint_of_another_model_is_refused() -> None:
    for name, load in LOADS.items():
        for other in LOADS:
            if other != name:
                with pytest.raises(BenchError, match="Choose the model it was trained as"):
                    load(state_of(other))
    with pytest.raises(BenchError, match="no generator 'sf2f-64-without-l1'"):
        official.generator_tensors("sf2f-64-without-l1", state_of("sf2f_1st"))


def test_a_loaded_generator_has_its_own_memory_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    state = state_of("sf2f_1st")
    network = official.load_generator("sf2f-64", state)
    assert torch.equal(before, torch.get_rng_state())
    with torch.no_grad():
        network.encoder.project.bias += 1
    assert torch.equal(state["encoder.model.4.bias"] + 1, network.encoder.project.bias)
    assert all(p.requires_grad for p in network.parameters())


def test_voice2face_at_128_takes_one_stage_more() -> None:
    state = dict(state_of("v2f"))
    for leaf, shape in (("weight", (64, 3, 1, 1)), ("bias", (3,))):
        del state[f"decoder.model.5.model.0.{leaf}"]
        state[f"decoder.model.6.model.0.{leaf}"] = torch.ones(32 if leaf == "weight" else 3, *shape[1:])
    state["decoder.model.5.model.0.weight"] = torch.ones(64, 32, 4, 4)
    state["decoder.model.5.model.0.bias"] = torch.ones(32)
    network = voice2face.load_official_generator(state, image_size=128)
    assert network(torch.randn(1, 40, 125))[0][0].shape == (1, 3, 128, 128)
    with pytest.raises(BenchError, match="voice2face's generator at 64 pixels"):
        voice2face.load_official_generator(state)
