"""The networks, rebuilt with the recipe's weights, give what the official code gave."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines import voice2face
from reference_model import sf2f
from reference_model.losses import adversarial_loss, discriminator_loss
from reference_model.recipe import FirstStage, Networks, recipe_for
from sf2f_bench import ModelSettings

GOLDEN = Path(__file__).parent
IDENTITIES = 2890
BUILD = {
    "v2f": lambda: voice2face.Generator(),
    "sf2f_1st": lambda: sf2f.Generator(64),
    "sf2f_fuser": lambda: sf2f.Generator(64, fuser=True),
    "sf2f_mid_1st": lambda: sf2f.Generator(128),
    "sf2f_mid_fuser": lambda: sf2f.Generator(128, fuser=True),
}
DISCRIMINATORS = {
    "v2f:ac0": lambda: voice2face.IdentityDiscriminator(IDENTITIES),
    "sf2f_1st:img0": lambda: sf2f.ImageDiscriminator(64),
    "sf2f_1st:ac0": lambda: sf2f.IdentityDiscriminator(IDENTITIES, 64),
    "sf2f_mid_1st:img1": lambda: sf2f.ImageDiscriminator(128),
    "sf2f_mid_1st:ac1": lambda: sf2f.IdentityDiscriminator(IDENTITIES, 128),
}
SEEDS = {"v2f": 1000, "sf2f_1st": 2000, "sf2f_fuser": 3000, "sf2f_mid_1st": 4000}
RULES = {
    "n/sqrt(prod(shape[1:]))": lambda n: n / np.sqrt(np.prod(n.shape[1:])),
    "1+0.1*n": lambda n: 1 + 0.1 * n,
    "0.1*n": lambda n: 0.1 * n,
    "1+0.1*abs(n)": lambda n: 1 + 0.1 * np.abs(n),
}


@cache
def recipes() -> dict[str, list]:
    return json.loads((GOLDEN / "models_recipe.json").read_text())


@cache
def facts() -> dict:
    return json.loads((GOLDEN / "model_facts.json").read_text())["parameters_and_shapes"]


@cache
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "models.npz"))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def rebuild(network: nn.Module, recipe: str, seed: int) -> nn.Module:
    """Fill a network by order: our state dict has the official one's entries in the official order."""
    state = network.state_dict()
    entries = recipes()[recipe]
    assert [list(value.shape) for value in state.values()] == [shape for _, shape, _ in entries]
    for number, (name, (_, shape, rule)) in enumerate(zip(list(state), entries, strict=True)):
        if rule != "skip":
            noise = np.random.RandomState(seed + number).standard_normal(shape)
            state[name] = torch.from_numpy(RULES[rule](noise).astype(np.float32))
    network.load_state_dict(state)
    return network


def close(ours: Tensor, name: str, rtol: float = 1e-4, atol: float = 2e-5) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), golden()[name], rtol=rtol, atol=atol, err_msg=name)


def parameters(network: nn.Module | None) -> int:
    return sum(p.numel() for p in network.parameters()) if network is not None else 0


@pytest.mark.parametrize("name", BUILD)
def test_parameter_counts_and_shapes_are_the_published_ones(name: str) -> None:
    network, want = BUILD[name]().eval(), facts()[name]
    fuser = getattr(network, "fuser", None)
    assert parameters(network) == want["generator"]
    assert parameters(network.decoder) == want["decoder"]
    assert parameters(network.encoder) + parameters(fuser) == want["encoder"]
    assert parameters(fuser) == want["fuser"]
    assert sum(b.numel() for b in network.buffers()) == want["generator_buffers"]
    for frames in (125, 150):
        with torch.no_grad():
            images, conditioning = network(torch.zeros(2, 40, frames))
        images = images if isinstance(images, tuple) else (images,)
        assert [list(i.shape) for i in images] == want["shapes"][str(frames)]["images"]
        assert list(conditioning.shape) == want["shapes"][str(frames)]["cond"][:2]
        layers = getattr(network.encoder, "blocks", None) or network.encoder.layers[:-1]
        x, outputs = torch.zeros(2, 40, frames), []
        for layer in layers:
            x = layer(x)
            if not isinstance(layer, nn.Conv1d | nn.BatchNorm1d):
                outputs.append(list(x.shape[1:]))
        assert outputs == want["shapes"][str(frames)]["encoder_layers"][:-1]


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_have_the_published_size(name: str) -> None:
    model, which = name.split(":")
    kind = "ac_D" if which.startswith("ac") else "img_D"
    assert parameters(DISCRIMINATORS[name]()) == facts()[model][kind][int(which[-1])]


@pytest.mark.parametrize(
    ("name", "mode"),
    [("v2f", "eval"), ("sf2f_1st", "eval"), ("sf2f_1st", "train"), ("sf2f_mid_1st", "eval")],
)
@torch.no_grad()
def test_generators_agree_with_the_official_code(name: str, mode: str) -> None:
    network = rebuild(BUILD[name](), name, SEEDS[name]).train(mode == "train")
    images, conditioning = network(normal(601, 4, 40, 125))
    close(conditioning, f"{name}:{mode}:125:cond")
    for level, image in enumerate(images if isinstance(images, tuple) else (images,)):
        close(image[:1, :, ::2, ::2], f"{name}:{mode}:125:img{level}")
        mean_std = torch.stack([image.mean(), image.std(correction=0)])
        close(mean_std, f"{name}:{mode}:125:img{level}_mean_std")


@torch.no_grad()
def test_the_fused_face_agrees_with_the_official_code() -> None:
    network = rebuild(BUILD["sf2f_fuser"](), "sf2f_fuser", SEEDS["sf2f_fuser"]).eval()
    images, conditioning = network(normal(603, 2, 20, 40, 125))
    close(conditioning, "sf2f_fuser:eval:segs:cond")
    close(images[0][:1, :, ::2, ::2], "sf2f_fuser:eval:segs:img0")


@torch.no_grad()
def test_the_fuser_agrees_with_the_official_code() -> None:
    arrays = np.load(GOLDEN / "fuser.npz")
    fuser = sf2f.Fuser(embedding=16)
    state = (arrays["sd:attention.linear_in.weight"], arrays["sd:attention.linear_out.weight"])
    fuser.load_state_dict(dict(zip(fuser.state_dict(), map(torch.from_numpy, state), strict=True)))
    segments = torch.from_numpy(arrays["in"])
    out, weights = fuser.attend(segments)
    np.testing.assert_allclose(out, arrays["out"][:, :, 0, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights, arrays["attn"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fuser(segments), arrays["out_normalised"][:, :, 0, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["v2f:ac0", "sf2f_1st:img0", "sf2f_1st:ac0"])
@torch.no_grad()
def test_discriminators_agree_with_the_official_code(name: str) -> None:
    model, which = name.split(":")
    offset = 550 if which.startswith("ac") else 500
    network = rebuild(DISCRIMINATORS[name](), name, SEEDS[model] + offset).train()
    out = network(normal(604, 4, 3, 64, 64))
    if which.startswith("img"):
        close(out, name)
    else:
        close(out[0], f"{name}:score")
        labels = torch.tensor([0, 5, 17, 2889])
        close(torch.nn.functional.cross_entropy(out[1], labels), f"{name}:ce")


def test_the_adversarial_losses_agree_with_the_official_code() -> None:
    want = json.loads((GOLDEN / "golden.json").read_text())["gan_losses"]["gan"]
    real, fake = normal(701, 6, 1, 6, 6), normal(702, 6, 1, 6, 6)
    assert adversarial_loss(fake).item() == pytest.approx(want["g"], rel=1e-6)
    assert discriminator_loss(real, fake).item() == pytest.approx(want["d"], rel=1e-6)


def test_the_first_training_step_agrees_with_the_official_code() -> None:
    """All of the step but the perceptual term, which no other term of the first step depends on."""
    networks = Networks(
        rebuild(sf2f.Generator(64), "sf2f_1st", 20000),
        nn.ModuleList([rebuild(sf2f.ImageDiscriminator(64), "sf2f_1st:img0", 30000)]),
        nn.ModuleList([rebuild(sf2f.IdentityDiscriminator(IDENTITIES, 64), "sf2f_1st:ac0", 50000)]),
    )
    recipe = recipe_for(ModelSettings(image_size=64, budget="paper"))
    labels = torch.from_numpy(np.random.RandomState(13).randint(0, IDENTITIES, 4))
    stage = FirstStage(networks, recipe, perceptual=None)
    losses = stage.step(normal(12, 4, 40, 125), normal(11, 4, 3, 64, 64), labels, recipe["lr"])
    names = {
        "pixel": "loss/L1_pixel_loss",
        "adversarial": "loss/g_gan_img_loss_0",
        "identity": "loss/ac_loss_0",
        "identity_adversarial": "loss/g_gan_ac_loss_0",
        "image_discriminator": "d_loss/d_img_gan_loss_0",
        "identity_discriminator": "d_loss/d_ac_gan_loss_0",
        "identity_discriminator_classes": "d_loss/d_ac_loss_real_0",
    }
    log = json.loads((GOLDEN / "golden.json").read_text())["steps"]["sf2f_1st"]
    want = {name: value for step, name, value in log if step == 1}
    assert set(losses) == set(names)
    for ours, theirs in names.items():
        assert losses[ours].item() == pytest.approx(want[theirs], rel=2e-5), ours
    perceptual = want["loss/img_perceptual_loss"]
    assert sum(want[t] for t in list(names.values())[:4]) + perceptual == pytest.approx(
        want["loss/total_loss"]
    )
