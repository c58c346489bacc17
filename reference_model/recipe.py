"""How SF2F is trained: the schedules, the two stages, and the class that the harness runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from reference_model.losses import (
    FeatureNetwork,
    generator_losses,
    identity_discriminator_losses,
    image_discriminator_losses,
    pyramid,
    total,
)
from reference_model.sf2f import Generator, IdentityDiscriminator, ImageDiscriminator, resolutions
from sf2f_bench import (
    BenchError,
    LogFilterbank,
    ModelCard,
    ModelSettings,
    to_imagenet,
    to_uint8,
)

if TYPE_CHECKING:
    from sf2f_bench import TrainContext, TrainingData

COMMON: dict[str, Any] = {
    "lr": 5e-4,
    "betas": (0.9, 0.999),
    "weights": {"pixel": 10.0, "adversarial": 1.0, "identity": 0.05, "perceptual": 100.0},
    "decay_from": 0.5,  # share of the steps after which the learning rate falls linearly ...
    "final_lr": 0.001,  # ... to this share of it
    "frozen_norm_from": 1.0,  # share of the steps after which the generator's batch norm stands still
    "fuser_lr": 1e-3,
    "fuser_start": "mean",  # or "random", torch's initial weights
    "segments": 20,
}
SMALL = {**COMMON, "width": 0.25}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {**SMALL, "steps": 30, "batch": 16, "fuser_steps": 5, "fuser_batch": 16},
    "default/cpu": {**SMALL, "steps": 550, "batch": 16, "fuser_steps": 40, "fuser_batch": 16},
    "default/cuda": {
        **COMMON,
        "width": 1.0,
        "steps": 6000,
        "batch": 256,
        "fuser_steps": 360,
        "fuser_batch": 256,
    },
    "paper": {
        **COMMON,
        "width": 1.0,
        "steps": 132_000,
        "batch": 256,
        "decay_from": 5 / 6,  # step 110,000, epoch 10,000 of the official run
        "frozen_norm_from": 5 / 6,
        "fuser_steps": 360,
        "fuser_batch": 256,
        "fuser_lr": 1e-4,
        "fuser_start": "random",
    },
}


def recipe_for(settings: ModelSettings) -> dict[str, Any]:
    """All that decides a training, for one budget; the settings' width and steps override it.

    Fewer steps than the fuser's shorten the fuser's too. Raises BenchError for an unknown budget or a
    width or number of steps that is not positive.
    """
    budget = f"default/{settings.accelerator}" if settings.budget == "default" else settings.budget
    if budget not in SCHEDULES:
        raise BenchError(f"SF2F has no budget {budget!r}: choose one of {', '.join(SCHEDULES)}")
    recipe = {"image_size": settings.image_size, **SCHEDULES[budget]}
    if settings.image_size == 128:
        recipe["weights"] = {**recipe["weights"], "pixel": 100.0}
    for name in ("width", "steps"):
        wish = getattr(settings, name)
        if wish is not None:
            if wish <= 0:
                raise BenchError(f"{name} is {wish}: expected a positive number")
            recipe[name] = wish
    recipe["fuser_steps"] = min(recipe["fuser_steps"], recipe["steps"])
    return recipe


def learning_rate(step: int, recipe: Mapping[str, Any]) -> float:
    """The first stage's learning rate at a step: constant, then falling linearly to the final share."""
    start = recipe["decay_from"] * recipe["steps"]
    progress = max(0.0, step - start) / max(1.0, recipe["steps"] - start)
    return recipe["lr"] * (1 - progress * (1 - recipe["final_lr"]))


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """No gradients for the weights of these modules inside; gradients still pass through them."""
    for module in modules:
        module.requires_grad_(False)
    try:
        yield
    finally:
        for module in modules:
            module.requires_grad_(True)


@dataclass(eq=False)
class Networks:
    """The generator and its discriminators, one of each kind per resolution."""

    generator: Generator
    image: nn.ModuleList
    identity: nn.ModuleList

    @classmethod
    def build(cls, recipe: Mapping[str, Any], identities: int, seed: int) -> Networks:
        """Networks with initial weights that depend on the seed alone, leaving the global state as it was."""
        width, sizes = recipe["width"], resolutions(recipe["image_size"])
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return cls(
                Generator(recipe["image_size"], width, fuser=True),
                nn.ModuleList(ImageDiscriminator(size, width) for size in sizes),
                nn.ModuleList(IdentityDiscriminator(identities, size, width) for size in sizes),
            )

    def parts(self) -> dict[str, nn.Module]:
        """The three by name."""
        return {"generator": self.generator, "image": self.image, "identity": self.identity}


class FirstStage:
    """Encoder and decoder against the discriminators, one segment of voice at a time."""

    def __init__(
        self,
        networks: Networks,
        recipe: Mapping[str, Any],
        perceptual: FeatureNetwork | None,
        backward: Any = torch.Tensor.backward,
    ) -> None:
        self.networks, self.recipe, self.perceptual, self.backward = networks, recipe, perceptual, backward
        self.optimisers = {name: self._adam(part) for name, part in networks.parts().items()}

    def _adam(self, network: nn.Module) -> Adam:
        return Adam(network.parameters(), lr=self.recipe["lr"], betas=self.recipe["betas"])

    def freeze_norm(self) -> None:
        """Let the generator's batch normalisation use its running statistics, with a fresh optimiser."""
        self.networks.generator.eval()
        self.optimisers["generator"] = self._adam(self.networks.generator)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return self.networks.parts() | {f"{name}_adam": adam for name, adam in self.optimisers.items()}

    def step(self, voices: Tensor, real: Tensor, labels: Tensor, lr: float) -> dict[str, Tensor]:
        """One update of the generator, then of the image, then of the identity discriminators.

        voices ``[B, 40, T]``, real ``[B, 3, H, W]`` ImageNet-normalised, labels int64 ``[B]``. Returns
        every term of the losses by name, the generator's already weighted.
        """
        networks = self.networks
        fakes, _ = networks.generator(voices)
        reals = pyramid(real, len(fakes))
        with frozen(networks.image, networks.identity):
            terms = generator_losses(
                fakes,
                reals,
                labels,
                networks.image,
                networks.identity,
                self.perceptual,
                self.recipe["weights"],
            )
            self._update("generator", terms, lr)
        fakes = tuple(fake.detach() for fake in fakes)
        image = image_discriminator_losses(networks.image, fakes, reals)
        self._update("image", image, lr)
        identity = identity_discriminator_losses(networks.identity, fakes, reals, labels)
        self._update("identity", identity, lr)
        return terms | image | identity

    def _update(self, name: str, terms: Mapping[str, Tensor], lr: float) -> None:
        optimiser = self.optimisers[name]
        for group in optimiser.param_groups:
            group["lr"] = lr
        optimiser.zero_grad()
        self.backward(total(terms.values()))
        optimiser.step()


class SF2F:
    """Speech Fusion to Face, trained in two stages: generator, then fuser."""

    def __init__(self, settings: ModelSettings) -> None:
        self.recipe = recipe_for(settings)
        resolutions(settings.image_size)
        self.frontend = LogFilterbank()
        self.generator: Generator | None = None
        self.card = ModelCard(
            name=f"sf2f-{settings.image_size}",
            version="1",
            kind="system",
            description="Speech Fusion to Face: 1-D inception encoder, attention over segments, GAN decoder",
            width=self.recipe["width"],
            reference="arXiv 2006.05888",
            limits=self._limits(),
        )

    def _limits(self) -> str:
        recipe = self.recipe
        return (
            f"{recipe['steps']} steps at batch {recipe['batch']} (published: 132000 at 256); fuser "
            f"{recipe['fuser_steps']} steps at learning rate {recipe['fuser_lr']:g} from {recipe['fuser_start']} "
            "weights (published: 360 at 1e-4). Not for identifying people: see MODEL_CARD.md"
        )

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train both stages; a resumed call goes on from the context's checkpoints."""
        networks = Networks.build(self.recipe, data.identities, context.seed)
        for part in networks.parts().values():
            part.to(context.device)
        self._fit_generator(networks, data, context)
        self._fit_fuser(networks, data, context)
        self.generator = networks.generator.eval()

    def _fit_generator(self, networks: Networks, data: TrainingData, context: TrainContext) -> None:
        recipe = self.recipe
        stage = FirstStage(networks, recipe, context.perceptual, context.backward)
        frozen_from = round(recipe["frozen_norm_from"] * recipe["steps"])
        phases = {"generator": (0, frozen_from), "generator_frozen_norm": (frozen_from, recipe["steps"])}
        for phase, (first, last) in phases.items():
            if phase == "generator_frozen_norm" and first < last:
                stage.freeze_norm()
            for number in context.loop(phase, last - first, stage.state()):
                step = first + number
                batch = data.batch(step, recipe["batch"])
                real = to_imagenet(batch.faces)
                context.log(**stage.step(batch.voices, real, batch.labels, learning_rate(step, recipe)))

    def _fit_fuser(self, networks: Networks, data: TrainingData, context: TrainContext) -> None:
        """Everything but the fuser stands still: no gradients, batch normalisation in evaluation mode."""
        recipe, generator = self.recipe, networks.generator
        fuser = generator.fuser
        assert fuser is not None
        if recipe["fuser_start"] == "mean":
            fuser.start_at_mean()
        for part in networks.parts().values():
            part.requires_grad_(False).eval()
        fuser.requires_grad_(True)
        adam = Adam(fuser.parameters(), lr=recipe["fuser_lr"], betas=recipe["betas"])
        for step in context.loop("fuser", recipe["fuser_steps"], {"fuser": fuser, "fuser_adam": adam}):
            batch = data.segments(step, recipe["fuser_batch"], recipe["segments"])
            fakes, _ = generator(batch.voices)
            reals = pyramid(to_imagenet(batch.faces), len(fakes))
            terms = generator_losses(
                fakes,
                reals,
                batch.labels,
                networks.image,
                networks.identity,
                context.perceptual,
                recipe["weights"],
            )
            adam.zero_grad()
            context.backward(total(terms.values()))
            adam.step()
            context.log(**terms)

    @torch.no_grad()
    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """The fused face of normalised segments ``[B, S, 40, T]``: uint8 ``[B, 3, H, W]``.

        SF2F draws no noise, so `generator` is not used. Raises BenchError for another shape of voices or
        before the weights are there.
        """
        if voices.dim() != 4:
            raise BenchError(
                f"expected voices [B, S, 40, T], got {tuple(voices.shape)}: add the missing axis"
            )
        network = self._trained().to(voices.device).eval()
        return torch.cat([to_uint8(network(part)[0][-1]) for part in voices.split(64)])

    def _trained(self) -> Generator:
        if self.generator is None:
            raise BenchError(f"{self.card.label} has no weights yet: call fit or load_state_dict first")
        return self.generator

    def state_dict(self) -> dict[str, Tensor]:
        """The generator's tensors by name."""
        return self._trained().state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""
        self.generator = Generator(self.recipe["image_size"], self.recipe["width"], fuser=True)
        self.generator.load_state_dict(state)
