"""How SF2F is trained: the schedules, the two stages, and the class that the harness runs."""

from __future__ import annotations

from collections.abc import Mapping
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
from reference_model.official import generator_tensors
from reference_model.sf2f import Generator, IdentityDiscriminator, ImageDiscriminator, resolutions
from sf2f_bench import (
    BenchError,
    LogFilterbank,
    Machine,
    ModelCard,
    ModelSettings,
    learning_rate,
    scheduled,
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
    "frozen_norm_from": 1.0,  # share of the steps after which the generator's batch norm is frozen
    "fuser_lr": 1e-3,
    "fuser_start": "mean",  # or "random", torch's initial weights
    "segments": 20,
}
SMALL = {**COMMON, "width": 0.25}
SCHEDULES: dict[str, dict[str, Any]] = {
    "smoke": {**SMALL, "steps": 30, "batch": 16, "fuser_steps": 5, "fuser_batch": 16},
    "default/cpu": {**SMALL, "steps": 1600, "batch": 16, "fuser_steps": 40, "fuser_batch": 16},
    "default/cuda": {
        **COMMON,
        "width": 1.0,
        "steps": 6000,
        "batch": 256,
        "fuser_steps": 360,
        "fuser_batch": 256,
    },
    "long": {**SMALL, "steps": 6000, "batch": 16, "fuser_steps": 200, "fuser_batch": 16},
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


def recipe_for(settings: ModelSettings, fuses: bool = True) -> dict[str, Any]:
    """Everything that determines a training, for one budget; the settings' width and steps override it.

    fuses: with the second stage's entries. Fewer steps than the fuser's shorten the fuser's too. Raises
    BenchError for an unknown budget and for a width or number of steps that is not positive.
    """
    recipe = {"encoder": "inception", "decoder": "gated", **scheduled("SF2F", settings, SCHEDULES)}
    if settings.image_size == 128:
        recipe["weights"] = {**recipe["weights"], "pixel": 100.0}
    recipe["fuser_steps"] = min(recipe["fuser_steps"], recipe["steps"])
    return {name: value for name, value in recipe.items() if fuses or not name.startswith("fuser")}


class Networks(nn.Module):
    """The generator and its discriminators, one of each kind per resolution; tensors are named by the three parts."""

    def __init__(self, generator: Generator, image: nn.ModuleList, identity: nn.ModuleList) -> None:
        super().__init__()
        self.generator, self.image, self.identity = generator, image, identity

    @classmethod
    def build(cls, recipe: Mapping[str, Any], identities: int, seed: int, fuser: bool) -> Networks:
        """Networks with initial weights that depend on the seed alone; the global random state is left as it was."""
        sizes = resolutions(recipe["image_size"])
        if recipe["decoder"] == "plain":
            sizes = sizes[-1:]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return cls(
                generator_of(recipe, fuser),
                nn.ModuleList(ImageDiscriminator(size, recipe["width"]) for size in sizes),
                nn.ModuleList(IdentityDiscriminator(identities, size, recipe["width"]) for size in sizes),
            )

    def parts(self) -> dict[str, nn.Module]:
        """The three by name."""
        return dict(self.named_children())

    def setup(self, context: TrainContext) -> None:
        """Make all of them ready for training."""
        self.generator = context.setup(self.generator)
        self.image = nn.ModuleList(map(context.setup, self.image))
        self.identity = nn.ModuleList(map(context.setup, self.identity))

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the tensors of a first stage; a fuser keeps its own. Raises BenchError where they do not fit."""
        found = self.load_state_dict(tensors, strict=False)
        wrong = [name for name in found.missing_keys if not name.startswith("generator.fuser.")]
        if wrong := [*wrong, *found.unexpected_keys]:
            raise BenchError(f"the first stage does not fit ({wrong[:4]}): train it again with this version")


def generator_of(recipe: Mapping[str, Any], fuser: bool) -> Generator:
    """An untrained generator by its recipe."""
    return Generator(recipe["image_size"], recipe["width"], fuser, recipe["encoder"], recipe["decoder"])


def part_of(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors under ``part.``, without it."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


class FirstStage:
    """Encoder and decoder against the discriminators, one segment of voice at a time.

    context: of the training; None: this process alone, in full precision.
    """

    def __init__(
        self,
        networks: Networks,
        recipe: Mapping[str, Any],
        perceptual: FeatureNetwork | None,
        context: TrainContext | Machine | None = None,
    ) -> None:
        self.networks, self.recipe, self.perceptual = networks, recipe, perceptual
        self.context = context or Machine.start("cpu")
        self.optimisers = {name: self._adam(part) for name, part in networks.parts().items()}

    def _adam(self, network: nn.Module) -> Adam:
        return self.context.adam(network.parameters(), self.recipe["lr"], self.recipe["betas"])

    def freeze_norm(self) -> None:
        """Switch the generator's batch normalisation to its running statistics, with a new optimiser."""
        self.networks.generator.eval()
        self.optimisers["generator"] = self._adam(self.networks.generator)

    def state(self) -> dict[str, Any]:
        """The contents of a checkpoint."""
        return self.networks.parts() | {f"{name}_adam": adam for name, adam in self.optimisers.items()}

    def step(self, voices: Tensor, real: Tensor, labels: Tensor, lr: float) -> dict[str, Tensor]:
        """One update of the generator, then of the image, then of the identity discriminators.

        voices ``[B, 40, T]``, real ``[B, 3, H, W]`` ImageNet-normalised, labels int64 ``[B]``. Returns
        every term of the losses by name, the generator's already weighted. A discriminator whose term has no
        weight is not trained. `lr` is for generator and image discriminators; the identity discriminators keep
        the recipe's to the end, as in the official run.
        """
        networks, weights = self.networks, self.recipe["weights"]
        self._train_discriminators(False)
        with self.context.autocast():
            fakes, _ = networks.generator(voices)
            reals = pyramid(real, len(fakes))
            terms = generator_losses(
                fakes, reals, labels, networks.image, networks.identity, self.perceptual, weights
            )
        self._update("generator", terms, lr)
        self._train_discriminators(True)
        fakes = tuple(fake.detach() for fake in fakes)
        if weights["adversarial"]:
            with self.context.autocast():
                image = image_discriminator_losses(networks.image, fakes, reals)
            terms |= self._update("image", image, lr)
        if weights["identity"]:
            with self.context.autocast():
                identity = identity_discriminator_losses(networks.identity, fakes, reals, labels)
            terms |= self._update("identity", identity, self.recipe["lr"])
        return terms

    def _train_discriminators(self, wanted: bool) -> None:
        """Whether their weights get gradients; these pass through them either way."""
        for network in (self.networks.image, self.networks.identity):
            network.requires_grad_(wanted)

    def _update(self, name: str, terms: Mapping[str, Tensor], lr: float) -> dict[str, Tensor]:
        self.context.update(self.optimisers[name], total(terms.values()), lr)
        return dict(terms)


class SF2F:
    """SF2F as a system of the benchmark; its subclasses name the variants.

    first_stage: the name of the system without fuser. Of an ablation, changes: its differences in the recipe;
    change: these in words; order: its place among the ablations of a table.
    A variant with a fuser starts from the trained first stage, which it shares with the variant without.
    """

    name = "sf2f-64-fuser"
    first_stage = "sf2f-64"
    image_size = 64
    fuses = True
    changes: Mapping[str, Any] = {}
    change = ""
    order = 100

    def __init__(self, settings: ModelSettings, fuses: bool | None = None) -> None:
        if settings.image_size != self.image_size:
            raise BenchError(
                f"{self.name} generates faces of {self.image_size} pixels, the benchmark needs {settings.image_size}: "
                "choose the system or the benchmark of the other size"
            )
        self.fuses = type(self).fuses if fuses is None else fuses
        recipe = recipe_for(settings, self.fuses)
        weights = {**recipe["weights"], **self.changes.get("weights", {})}
        self.recipe = {**recipe, **self.changes, "weights": weights}
        self.starts_from = type(self)(settings, fuses=False) if self.fuses else None
        self.frontend = LogFilterbank()
        self.networks: Networks | None = None
        self.generator: Generator | None = None
        self.card = ModelCard(
            name=self.name if self.fuses else self.first_stage,
            version="2",
            kind="system",
            description=self._description(),
            width=self.recipe["width"],
            reference="arXiv 2006.05888",
            limits=self._limits(),
            ablation_of=(SF2F.name if self.fuses else SF2F.first_stage) if self.changes else "",
            change=self.change,
            place="system" if self.fuses or self.changes else "reference",
            order=self.order,
            title=f"{SF2F.first_stage} {self.change}" if self.changes else "",
        )

    def _description(self) -> str:
        text = "Speech Fusion to Face: 1-D inception voice encoder, gated decoder, image and identity GAN"
        text += (
            ", attention over 20 voice segments" if self.fuses else ", mean embedding of 20 voice segments"
        )
        return f"{text}; {self.change}" if self.change else text

    def _limits(self) -> str:
        recipe = self.recipe
        text = f"{recipe['steps']} steps at batch {recipe['batch']} (published: 132000 at 256)"
        if self.fuses:
            text += (
                f"; fuser {recipe['fuser_steps']} steps at learning rate {recipe['fuser_lr']:g} from "
                f"{recipe['fuser_start']} weights (published: 360 at 1e-4)"
            )
        return f"{text}. Not for identifying people: see MODEL_CARD.md"

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Train this stage; a resumed call continues from the context's checkpoints.

        Raises BenchError when a fuser is to be trained and the context has no first stage.
        """
        networks = Networks.build(self.recipe, data.identities, context.seed, self.fuses)
        if self.fuses:
            if context.start is None:
                raise BenchError(f"{self.card.label} starts from {self.first_stage}, which was not given")
            networks.load(context.start)
        networks.setup(context)
        self.networks, self.generator = networks, networks.generator
        if self.fuses:
            self._fit_fuser(networks, data, context)
        else:
            self._fit_generator(networks, data, context)
        networks.generator.eval()

    def _fit_generator(self, networks: Networks, data: TrainingData, context: TrainContext) -> None:
        recipe = self.recipe
        stage = FirstStage(networks, recipe, context.perceptual, context)
        frozen_from = round(recipe["frozen_norm_from"] * recipe["steps"])
        phases = {"generator": (0, frozen_from), "generator_frozen_norm": (frozen_from, recipe["steps"])}
        for phase, (first, last) in phases.items():
            if first == last:
                continue
            if phase == "generator_frozen_norm":
                stage.freeze_norm()
            for number in context.loop(phase, last - first, stage.state(), self):
                step = first + number
                batch = data.batch(step, recipe["batch"])
                real = to_imagenet(batch.faces)
                terms = stage.step(batch.voices, real, batch.labels, learning_rate(step, recipe))
                context.log(batch.identities, **terms)

    def _fit_fuser(self, networks: Networks, data: TrainingData, context: TrainContext) -> None:
        """Everything but the fuser is frozen: no gradients, batch normalisation in evaluation mode."""
        recipe, generator = self.recipe, networks.generator
        fuser = generator.fuser
        assert fuser is not None
        if recipe["fuser_start"] == "mean" and context.start is not None:
            fuser.start_at_mean()
        for part in networks.parts().values():
            part.requires_grad_(False).eval()
        fuser.requires_grad_(True)
        adam = context.adam(fuser.parameters(), recipe["fuser_lr"], recipe["betas"])
        for step in context.loop("fuser", recipe["fuser_steps"], {"fuser": fuser, "fuser_adam": adam}, self):
            batch = data.segments(step, recipe["fuser_batch"], recipe["segments"])
            with context.autocast():
                fakes, _ = generator(batch.voices)
                terms = generator_losses(
                    fakes,
                    pyramid(to_imagenet(batch.faces), len(fakes)),
                    batch.labels,
                    networks.image,
                    networks.identity,
                    context.perceptual,
                    recipe["weights"],
                )
            context.update(adam, total(terms.values()))
            context.log(batch.identities, **terms)

    @torch.no_grad()
    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """The face of normalised segments ``[B, S, 40, T]``: uint8 ``[B, 3, H, W]``.

        With a fuser the segments' embeddings are fused; without, the conditioning is their mean. SF2F uses no
        noise, so `generator` is ignored. Raises BenchError for another shape of voices and before there are weights.
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
        """The generator's tensors, ``generator.*``; a trained first stage's discriminators beside them."""
        if self.networks is not None and not self.fuses:
            return self.networks.state_dict()
        return {f"generator.{name}": tensor for name, tensor in self._trained().state_dict().items()}

    @staticmethod
    def from_official(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The argument of `load_state_dict` from the official generator's state dict; see `official.load_generator`."""
        return {f"generator.{ours}": tensor for ours, tensor in generator_tensors(name, state).items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load the generator of a `state_dict`."""
        self.generator = generator_of(self.recipe, self.fuses)
        self.generator.load_state_dict(part_of(state, "generator"))


class SF2F64(SF2F):
    """SF2F at 64 pixels without fuser."""

    name = first_stage = "sf2f-64"
    fuses = False


class SF2F64Fuser(SF2F):
    """SF2F at 64 pixels, the paper's headline."""


class SF2F128(SF2F):
    """SF2F at 128 pixels without fuser."""

    name = first_stage = "sf2f-128"
    image_size = 128
    fuses = False


class SF2F128Fuser(SF2F):
    """SF2F at 128 pixels."""

    name, first_stage = "sf2f-128-fuser", "sf2f-128"
    image_size = 128
