"""Official weights that anyone can rebuild, and our networks' answers beside the official code's.

Test and table (`python -m tests.golden.equality`) are made of the same comparisons, see `groups`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from baselines import voice2face
from reference_model import official, sf2f
from reference_model.losses import adversarial_loss, discriminator_loss
from reference_model.recipe import FirstStage, Networks, recipe_for
from sf2f_bench import ModelSettings, from_imagenet
from sf2f_bench.extractors.facenet import FaceNet, standardise
from sf2f_bench.extractors.frozen import frozen

GOLDEN = Path(__file__).parent
IDENTITIES = 2890
RULES = {
    "n/sqrt(prod(shape[1:]))": lambda n: n / np.sqrt(np.prod(n.shape[1:])),
    "1+0.1*n": lambda n: 1 + 0.1 * n,
    "0.1*n": lambda n: 0.1 * n,
    "1+0.1*abs(n)": lambda n: 1 + 0.1 * np.abs(n),
}
SEEDS = {"v2f": 1000, "sf2f_1st": 2000, "sf2f_fuser": 3000, "sf2f_mid_1st": 4000}
OURS = {  # the official configuration and our name of it
    "v2f": "voice2face-64",
    "sf2f_1st": "sf2f-64",
    "sf2f_fuser": "sf2f-64-fuser",
    "sf2f_mid_1st": "sf2f-128",
    "sf2f_mid_fuser": "sf2f-128-fuser",
}
OUTPUT_TOLERANCE = 1e-5
STEP_TERMS = {  # our terms of a training step and the official log's
    "pixel": "loss/L1_pixel_loss",
    "adversarial": "loss/g_gan_img_loss_0",
    "identity": "loss/ac_loss_0",
    "identity_adversarial": "loss/g_gan_ac_loss_0",
    "perceptual": "loss/img_perceptual_loss",
    "image_discriminator": "d_loss/d_img_gan_loss_0",
    "identity_discriminator": "d_loss/d_ac_gan_loss_0",
    "identity_discriminator_classes": "d_loss/d_ac_loss_real_0",
}


# ---------------------------------------------------------------- the golden files


@cache
def recipes() -> dict[str, list]:
    """Official entries by network: [name, shape, rule]."""
    return json.loads((GOLDEN / "models_recipe.json").read_text())


@cache
def facts() -> dict[str, dict]:
    """Official parameter counts and shapes by network."""
    return json.loads((GOLDEN / "model_facts.json").read_text())["parameters_and_shapes"]


@cache
def golden() -> dict[str, NDArray]:
    """Official outputs of whole networks."""
    return dict(np.load(GOLDEN / "models.npz"))


@cache
def log() -> dict[int, dict[str, float]]:
    """The official log of two training steps: {step: {name: value}}."""
    steps: dict[int, dict[str, float]] = {1: {}, 2: {}}
    for step, name, value in json.loads((GOLDEN / "golden.json").read_text())["steps"]["sf2f_1st"]:
        steps[step][name] = value
    return steps


def normal(seed: int, *shape: int) -> Tensor:
    """RN of README.md: standard normal float32 of a shape."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def official_state(recipe: str, seed: int) -> dict[str, Tensor]:
    """The official state dict of a network, with the recipe's weights. What it skips counts batches: 0."""
    state = {}
    for number, (name, shape, rule) in enumerate(recipes()[recipe]):
        if rule == "skip":
            state[name] = torch.zeros(shape, dtype=torch.int64)
        else:
            noise = np.random.RandomState(seed + number).standard_normal(shape)
            state[name] = torch.from_numpy(np.asarray(RULES[rule](noise), np.float32))
    return state


# ---------------------------------------------------------------- our networks with official weights


def generator(configuration: str, seed: int | None = None) -> nn.Module:
    """One of the five configurations' generators, through the map of names."""
    state = official_state(configuration, SEEDS[configuration] if seed is None else seed)
    if configuration == "v2f":
        return voice2face.load_official_generator(state)
    return official.load_generator(OURS[configuration], state)


def discriminators(configuration: str, image: int, identity: int) -> dict[str, nn.ModuleList]:
    """SF2F's discriminators; seeds of the lowest resolution, 100 more for each further one."""
    levels = range(2 if "mid" in configuration else 1)
    states = {
        "image": [official_state(f"{configuration}:img{n}", image + 100 * n) for n in levels],
        "identity": [official_state(f"{configuration}:ac{n}", identity + 100 * n) for n in levels],
    }
    return official.load_discriminators(OURS[configuration], states)


def voice2face_discriminator() -> nn.Module:
    """voice2face's identity discriminator at 64 pixels."""
    network = voice2face.IdentityDiscriminator(IDENTITIES)
    names = {f"trunk.{n}": f"cnn.0.{n}" for n in range(0, 10, 2)}
    names |= {"project": "cnn.2", "real": "real_classifier", "identity": "id_classifier"}
    state = official_state("v2f:ac0", SEEDS["v2f"] + 550)
    network.load_state_dict(official.translate(network, names, state, "v2f:ac0"))
    return network


def facenet(seed: int) -> FaceNet:
    """The network of the perceptual loss, in evaluation mode; ours has the official names."""
    network = FaceNet()
    network.load_state_dict(official_state("facenet", seed))
    return network.eval()


def first_stage(perceptual: Any = None) -> FirstStage:
    """The first stage as the official training steps began."""
    judges = discriminators("sf2f_1st", 30000, 50000)
    networks = Networks(generator("sf2f_1st", 20000).train(), judges["image"], judges["identity"])
    return FirstStage(networks, recipe_for(ModelSettings(image_size=64, budget="paper")), perceptual)


def step(stage: FirstStage) -> dict[str, float]:
    """One training step on the official steps' batch: every term by its official name."""
    labels = torch.from_numpy(np.random.RandomState(13).randint(0, IDENTITIES, 4))
    losses = stage.step(normal(12, 4, 40, 125), normal(11, 4, 3, 64, 64), labels, stage.recipe["lr"])
    return {STEP_TERMS[name]: value.item() for name, value in losses.items()}


# ---------------------------------------------------------------- comparisons


@dataclass(frozen=True, eq=False)
class Comparison:
    """One quantity of a network, ours and the official code's, and how far apart they may be.

    relative_tolerance: of the largest official value. key: of models.npz, where the official value is from
    there.
    """

    network: str
    quantity: str
    ours: NDArray
    official: NDArray
    relative_tolerance: float
    key: str = ""

    @classmethod
    def of(
        cls, network: str, quantity: str, ours: ArrayLike | Tensor, wanted: ArrayLike, tolerance: float
    ) -> Comparison:
        """Both sides as float64 arrays of the same shape."""
        values = ours.detach().numpy() if isinstance(ours, Tensor) else ours
        pair = np.asarray(values, np.float64), np.asarray(wanted, np.float64)
        assert pair[0].shape == pair[1].shape, f"{network} {quantity}: {pair[0].shape}, not {pair[1].shape}"
        return cls(network, quantity, *pair, tolerance)

    @classmethod
    def with_golden(cls, key: str, ours: Tensor) -> Comparison:
        """An output of a whole network beside models.npz's; its key says the network first."""
        network, _, quantity = key.partition(":")
        row = cls.of(network, quantity.replace(":", ", "), ours, golden()[key], OUTPUT_TOLERANCE)
        return replace(row, key=key)

    @property
    def absolute(self) -> float:
        """The largest deviation."""
        return float(np.abs(self.ours - self.official).max())

    @property
    def relative(self) -> float:
        """The largest deviation as a share of the largest official value."""
        return self.absolute / float(np.abs(self.official).max())


def parameters(network: nn.Module | None) -> int:
    """How many parameters a network has."""
    return sum(p.numel() for p in network.parameters()) if network is not None else 0


def parameter_counts() -> list[Comparison]:
    """Of every generator's parts and every discriminator, which must be equal."""
    rows = []
    for name, ours in OURS.items():
        network = voice2face.Generator() if name == "v2f" else sf2f.build_generator(ours)
        fuser = getattr(network, "fuser", None)
        counts = {
            "generator": parameters(network),
            "encoder": parameters(network.encoder) + parameters(fuser),
            "decoder": parameters(network.decoder),
            "fuser": parameters(fuser),
        }
        rows += [
            Comparison.of(name, f"parameters, {part}", count, facts()[name][part], 0)
            for part, count in counts.items()
            if facts()[name][part] or count
        ]
        sizes = (64, 128) if "mid" in name else (64,)
        judges = {"ac_D": [sf2f.IdentityDiscriminator(IDENTITIES, size) for size in sizes]}
        judges |= {"img_D": [sf2f.ImageDiscriminator(size) for size in sizes]}
        if name == "v2f":
            judges = {"ac_D": [voice2face.IdentityDiscriminator(IDENTITIES)], "img_D": []}
        for kind, networks in judges.items():
            for level, (judge, wanted) in enumerate(zip(networks, facts()[name][kind], strict=True)):
                rows.append(Comparison.of(name, f"parameters, {kind}{level}", parameters(judge), wanted, 0))
    return rows


@torch.no_grad()
def generator_outputs(name: str, mode: str) -> list[Comparison]:
    """Conditioning, first image (every second pixel) and mean and deviation of the images."""
    network = generator(name).train(mode == "train")
    images, conditioning = network(normal(601, 4, 40, 125))
    outputs = {"cond": conditioning}
    for level, image in enumerate(images):
        outputs[f"img{level}"] = image[:1, :, ::2, ::2]
        outputs[f"img{level}_mean_std"] = torch.stack([image.mean(), image.std()])
    return [Comparison.with_golden(f"{name}:{mode}:125:{key}", value) for key, value in outputs.items()]


@torch.no_grad()
def fused_outputs() -> list[Comparison]:
    """The fused face of twenty segments, and the fuser alone at width 16."""
    images, conditioning = generator("sf2f_fuser")(normal(603, 2, 20, 40, 125))
    outputs = {"cond": conditioning, "img0": images[0][:1, :, ::2, ::2]}
    rows = [Comparison.with_golden(f"sf2f_fuser:eval:segs:{key}", value) for key, value in outputs.items()]
    arrays = np.load(GOLDEN / "fuser.npz")
    fuser = sf2f.Fuser(embedding=16)
    weights = {
        "query.weight": "sd:attention.linear_in.weight",
        "out.weight": "sd:attention.linear_out.weight",
    }
    fuser.load_state_dict({ours: torch.from_numpy(arrays[theirs]) for ours, theirs in weights.items()})
    segments = torch.from_numpy(arrays["in"])
    out, attention = fuser.attend(segments)
    pairs = {
        "out": (out, arrays["out"][:, :, 0, 0]),
        "attn": (attention, arrays["attn"]),
        "out_normalised": (fuser(segments), arrays["out_normalised"][:, :, 0, 0]),
    }
    return rows + [Comparison.of("fuser", key, *pair, OUTPUT_TOLERANCE) for key, pair in pairs.items()]


@torch.no_grad()
def discriminator_outputs() -> list[Comparison]:
    """Patch scores, scores and cross-entropy of the discriminators at 64 pixels, in training mode."""
    images, labels = normal(604, 4, 3, 64, 64), torch.tensor([0, 5, 17, 2889])
    judges = discriminators("sf2f_1st", SEEDS["sf2f_1st"] + 500, SEEDS["sf2f_1st"] + 550)
    patches = judges["image"][0].train()(images)
    rows = [Comparison.with_golden("sf2f_1st:img0", patches)]
    for name, judge in (("sf2f_1st", judges["identity"][0]), ("v2f", voice2face_discriminator())):
        score, logits = judge.train()(images)
        rows.append(Comparison.with_golden(f"{name}:ac0:score", score))
        rows.append(Comparison.with_golden(f"{name}:ac0:ce", F.cross_entropy(logits, labels)))
    return rows


def adversarial_losses() -> list[Comparison]:
    """Both sides of the logistic GAN loss."""
    wanted = json.loads((GOLDEN / "golden.json").read_text())["gan_losses"]["gan"]
    real, fake = normal(701, 6, 1, 6, 6), normal(702, 6, 1, 6, 6)
    return [
        Comparison.of("losses", "generator, GAN", adversarial_loss(fake), wanted["g"], 1e-6),
        Comparison.of("losses", "discriminator, GAN", discriminator_loss(real, fake), wanted["d"], 1e-6),
    ]


def two_faces() -> Tensor:
    """Two images in ImageNet-normalised space, most of their pixels beyond black or white."""
    return normal(605, 2, 3, 64, 64)


@torch.no_grad()
def facenet_features(network: Any) -> list[Comparison]:
    """What FaceNet, as published or frozen, sees in the two images."""
    features = network.features(from_imagenet(two_faces()))
    mean_std = torch.stack([torch.stack([feature.mean(), feature.std()]) for feature in features])
    outputs = {"emb": features[-1], "hidden_mean_std": mean_std}
    return [Comparison.with_golden(f"facenet:{key}", value) for key, value in outputs.items()]


def facenet_outputs() -> list[Comparison]:
    """FaceNet's parameters, its input and what it sees."""
    network = facenet(9000)
    return [
        Comparison.of("facenet", "parameters", parameters(network), facts()["facenet"]["params"], 0),
        Comparison.with_golden("facenet:pre", standardise(from_imagenet(two_faces()))),
        *facenet_features(network),
    ]


def training_steps() -> list[Comparison]:
    """Every term of two training steps; the second follows updates, which no two machines round alike.

    The network of the perceptual loss is frozen, as in every training; the steps leave it as it is.
    """
    perceptual = frozen(facenet(120_000))
    stage = first_stage(perceptual)
    rows = []
    for number, tolerance in ((1, 1e-5), (2, 5e-3)):
        ours = step(stage)
        ours["loss/total_loss"] = sum(value for name, value in ours.items() if name.startswith("loss/"))
        assert set(ours) == set(log()[number])
        rows += [Comparison.of(f"step {number}", n, v, log()[number][n], tolerance) for n, v in ours.items()]
    assert not perceptual.training
    assert not any(weight.requires_grad or weight.grad is not None for weight in perceptual.parameters())
    return rows


GROUPS: dict[str, Callable[[], list[Comparison]]] = {
    "parameters": parameter_counts,
    "v2f": lambda: generator_outputs("v2f", "eval"),
    "sf2f_1st": lambda: generator_outputs("sf2f_1st", "eval"),
    "sf2f_1st in training": lambda: generator_outputs("sf2f_1st", "train"),
    "sf2f_mid_1st": lambda: generator_outputs("sf2f_mid_1st", "eval"),
    "fuser": fused_outputs,
    "discriminators": discriminator_outputs,
    "adversarial losses": adversarial_losses,
    "facenet": facenet_outputs,
    "training steps": training_steps,
}


@cache
def comparisons(group: str) -> list[Comparison]:
    """The comparisons of one of `GROUPS`, made once."""
    return GROUPS[group]()
