"""A conditional flow that draws faces from noise, shared by `residual_flow` and `identity_flow`.

Flow matching on straight paths (Lipman et al. 2023, arXiv 2210.02747; times from a logit-normal: Esser et al. 2024,
arXiv 2403.03206), classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598), and a U-Net as in DDPM (Ho et al.
2020, arXiv 2006.11239) on pixels that are folded into channels, so that 64 pixels cost what 16 do. It draws the
difference between a photo and the mean training face. Sizes are our proposal.
Shapes: B batch, C numbers of the condition, H = W pixels of a side, R = 16 places of a side after folding.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.speech2face import unit_range
from sf2f_bench import learning_rate, scaled

if TYPE_CHECKING:
    from collections.abc import Callable

    from sf2f_bench import Batch, TrainContext, TrainingData

PLACES = 16  # R
BASE = 128
MULTIPLES = (1, 2, 2, 4)  # of the base's channels at 16, 8, 4 and 2 places
ATTENDED = (16, 8)
LEAST_LEFT = 0.05  # of the time, for dividing by it
BLOCKS = 1  # of each resolution on the way down
GROUPS, HEADS = 4, 1


# ---------------------------------------------------------------- the network


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut; the condition scales and shifts between them: ``[B, c, h, w]``."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(GROUPS, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.told = nn.Linear(condition, 2 * outputs)
        self.norm = nn.GroupNorm(GROUPS, outputs)
        last = nn.Conv2d(outputs, outputs, 3, padding=1)
        nn.init.zeros_(last.weight)  # each block begins as its shortcut
        self.last = nn.Sequential(nn.SiLU(), last)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """``[B, c, h, w]`` and the condition ``[B, 4 * base]`` -> ``[B, d, h, w]``."""
        scale, shift = self.told(told)[:, :, None, None].chunk(2, dim=1)
        found: Tensor = self.last(self.norm(self.first(x)) * (1 + scale) + shift)
        return self.shortcut(x) + found


class Attention(nn.Module):
    """Every place looks at every other, around a shortcut: ``[B, c, h, w]`` to the same (Vaswani et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, c, h, w]`` to the same."""
        asked = self.ask(self.norm(x)).flatten(2).unflatten(1, (3 * HEADS, -1)).transpose(2, 3)
        seen = F.scaled_dot_product_attention(*asked.chunk(3, dim=1))  # [B, heads, h * w, c / heads]
        return x + self.out(seen.transpose(2, 3).reshape(x.shape))


class Level(nn.Module):
    """A residual block, and attention where this many places are attended."""

    def __init__(self, inputs: int, outputs: int, condition: int, places: int) -> None:
        super().__init__()
        self.block = Residual(inputs, outputs, condition)
        self.attention = Attention(outputs) if places in ATTENDED else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """``[B, c, h, w]`` -> ``[B, d, h, w]``."""
        return self.attention(self.block(x, told))


class UNet(nn.Module):
    """Where a folded, noisy picture ``[B, c, R, R]`` at times ``[B]`` will end under conditions ``[B, C]``.

    It says the picture and not the velocity, which holds all the noise: more numbers than its narrow maps can pass
    (Li and He 2025, arXiv 2511.13720).

    A condition that is dropped is a zero in `kept` ``[B]``: then only the time is known.
    """

    def __init__(self, channels: int, condition: int, width: float) -> None:
        super().__init__()
        base = scaled(BASE, width)
        inner = 4 * base
        self.base = base
        self.time = nn.Sequential(nn.Linear(base, inner), nn.SiLU(), nn.Linear(inner, inner))
        self.condition = nn.Sequential(nn.Linear(condition, inner), nn.SiLU(), nn.Linear(inner, inner))
        self.enter = nn.Conv2d(channels, base, 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        widths, places, kept = [base * multiple for multiple in MULTIPLES], PLACES, [base]
        now = base
        for number, outputs in enumerate(widths):
            for _ in range(BLOCKS):
                self.down.append(Level(now, outputs, inner, places))
                now = outputs
                kept.append(now)
            if number + 1 < len(widths):
                self.shrink.append(nn.Conv2d(now, now, 3, stride=2, padding=1))
                kept.append(now)
                places //= 2
        self.middle = nn.ModuleList(Residual(now, now, inner) for _ in range(2))
        for number, outputs in reversed(list(enumerate(widths))):
            for _ in range(BLOCKS + 1):
                self.up.append(Level(now + kept.pop(), outputs, inner, places))
                now = outputs
            if number:
                self.grow.append(nn.Conv2d(now, now, 3, padding=1))
                places *= 2
        leave = nn.Conv2d(now, channels, 3, padding=1)
        nn.init.zeros_(leave.weight)
        self.leave = nn.Sequential(nn.GroupNorm(GROUPS, now), nn.SiLU(), leave)

    def forward(self, x: Tensor, times: Tensor, conditions: Tensor, kept: Tensor) -> Tensor:
        """``[B, c, R, R]``, ``[B]``, ``[B, C]``, ``[B]`` -> ``[B, c, R, R]``."""
        told = F.silu(self.time(waves(times, self.base)) + kept[:, None] * self.condition(conditions))
        x = self.enter(x)
        passed = [x]
        for number, level in enumerate(self.down):
            x = level(x, told)
            passed.append(x)
            if (number + 1) % BLOCKS == 0 and number // BLOCKS < len(self.shrink):
                x = self.shrink[number // BLOCKS](x)
                passed.append(x)
        for block in self.middle:
            x = block(x, told)
        for number, level in enumerate(self.up):
            x = level(torch.cat([x, passed.pop()], dim=1), told)
            if (number + 1) % (BLOCKS + 1) == 0 and number // (BLOCKS + 1) < len(self.grow):
                x = self.grow[number // (BLOCKS + 1)](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.leave(x)


def waves(times: Tensor, count: int) -> Tensor:
    """Times in 0..1 ``[B]`` as sines and cosines of many frequencies ``[B, count]`` (Vaswani et al. 2017)."""
    frequencies = torch.exp(torch.linspace(0, -9.2, count // 2, device=times.device))  # 1 to about 1 / 10,000
    angles = 1000 * times[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Flow(nn.Module):
    """Noise and a condition -> a face in 0..1. It draws the difference to `mean`, in units of `deviation`.

    steps: of Euler's method. guidance: how far beyond the conditional velocity a step goes, away from that without
    condition; 1: not at all.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, image_size: int, condition: int, width: float, steps: int, guidance: float) -> None:
        super().__init__()
        self.fold, self.steps, self.guidance = image_size // PLACES, steps, guidance
        self.picture: nn.Module = UNet(3 * self.fold**2, condition, width)
        self.register_buffer("mean", torch.zeros(3, image_size, image_size))
        self.register_buffer("deviation", torch.ones(()))

    def folded(self, faces: Tensor) -> Tensor:
        """Faces in 0..1 ``[B, 3, H, W]`` -> what the flow ends in ``[B, c, R, R]``."""
        return F.pixel_unshuffle((faces - self.mean) / self.deviation, self.fold)

    def unfolded(self, x: Tensor) -> Tensor:
        """The reverse of `folded`."""
        return F.pixel_shuffle(x, self.fold) * self.deviation + self.mean

    def velocity(self, x: Tensor, times: Tensor, conditions: Tensor, kept: Tensor) -> Tensor:
        """The straight way from here to the picture, in the time that is left: ``[B, c, R, R]``."""
        left = (1 - times).clamp(min=LEAST_LEFT)[:, None, None, None]
        return (self.picture(x, times, conditions, kept).float() - x) / left

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Noise ``[B, 3 * H * W]`` and conditions ``[B, C]`` -> faces in 0..1, not clipped: ``[B, 3, H, W]``.

        Euler steps from time 0 (noise) to 1 (a face).
        """
        count = len(noise)
        x = noise.view(count, -1, PLACES, PLACES)
        both = torch.cat([conditions, conditions])
        kept = torch.cat([torch.ones(count), torch.zeros(count)]).to(noise)
        for step in range(self.steps):
            times = noise.new_full((2 * count,), step / self.steps)
            told, untold = self.velocity(torch.cat([x, x]), times, both, kept).chunk(2)
            x = x + (untold + self.guidance * (told - untold)) / self.steps
        return self.unfolded(x)

    def seen_through(self, noise: Tensor, times: Tensor, faces: Tensor, conditions: Tensor) -> Tensor:
        """The face that is seen in faces in 0..1 mixed with noise at times ``[B]``: ``[B, 3, H, W]``, not clipped."""
        x = mixed(noise.view(len(noise), -1, PLACES, PLACES), self.folded(faces), times)
        return self.unfolded(self.picture(x, times, conditions, torch.ones_like(times)).float())


def mixed(noise: Tensor, target: Tensor, times: Tensor) -> Tensor:
    """The point of the straight path from noise to target at times ``[B]``: ``(1 - t) noise + t target``."""
    t = times[:, None, None, None]
    return (1 - t) * noise + t * target


def flow_matching_loss(flow: Flow, noise: Tensor, target: Tensor, told: Mapping[str, Tensor]) -> Tensor:
    """Mean squared error of the velocity on the path, whose truth is ``target - noise``.

    noise, target ``[B, c, R, R]``; told: `times`, `conditions` and `kept` of `Flow.velocity`. In the last moments,
    where less than `LEAST_LEFT` is left, both count as if so much were.
    """
    x, times = mixed(noise, target, told["times"]), told["times"]
    left = (1 - times).clamp(min=LEAST_LEFT)[:, None, None, None]
    return F.mse_loss(flow.velocity(x, **told), (target - x) / left)


# ---------------------------------------------------------------- training

COMMON: dict[str, Any] = {
    "flow_lr": 1e-3,
    "betas": (0.9, 0.999),
    "decay_from": 0.5,  # share of the steps after which the learning rate falls linearly ...
    "final_lr": 0.01,  # ... to this share of it
    "time_mean": -0.8,  # of the logits of the times: mostly near the noise
    "time_deviation": 0.8,
    "dropped": 0.1,  # share of the conditions that are dropped
    "average": 0.999,  # of the weights, exponentially; less in the first steps
    "euler_steps": 25,
    "guidance": 1.5,
}


@torch.no_grad()
def measure_faces(flow: Flow, data: TrainingData) -> None:
    """Set the flow's mean face, and the standard deviation of all photos' differences to it."""
    sums, squares, count = flow.mean.double().zero_(), 0.0, 0
    for faces, _ in data.every_photo():
        sums += unit_range(faces).double().sum(dim=0)
        count += len(faces)
    flow.mean.copy_(sums / count)
    for faces, _ in data.every_photo():
        squares += float((unit_range(faces) - flow.mean).double().square().mean(dim=(1, 2, 3)).sum())
    flow.deviation.fill_((squares / count) ** 0.5)


def fit_flow(
    flow: Flow,
    condition_of: Callable[[Batch], Tensor],
    recipe: Mapping[str, Any],
    data: TrainingData,
    context: TrainContext,
    system: Any = None,
) -> Flow:
    """Train a flow, and return the average of its weights; a resumed call continues from a checkpoint.

    condition_of: a batch -> ``[B, C]``; recipe: with `flow_steps`, `flow_batch`; system: validated from time to time,
    which must draw with the average: it is handed to `system.average` first.
    """
    measure_faces(flow, data)
    flow = context.setup(flow)
    average = deepcopy(flow).requires_grad_(False).eval()
    if system is not None:
        system.average(average)
    adam = context.adam(flow.parameters(), recipe["flow_lr"], recipe["betas"])
    schedule = {**recipe, "steps": recipe["flow_steps"], "lr": recipe["flow_lr"]}
    threshold = torch.special.ndtri(torch.tensor(recipe["dropped"], dtype=torch.float64)).item()
    pixels = flow.mean.numel()
    state = {"flow": flow, "average": average, "flow_adam": adam}
    for step in context.loop("flow", recipe["flow_steps"], state, system):
        batch = data.batch(step, recipe["flow_batch"], "flow")
        chance = context.noise("flow", step, len(batch.faces), pixels + 2)
        target = flow.folded(unit_range(batch.faces))
        with torch.no_grad(), context.autocast():
            conditions = condition_of(batch)
        told = {
            "times": torch.sigmoid(recipe["time_mean"] + recipe["time_deviation"] * chance[:, pixels]),
            "conditions": conditions,
            "kept": (chance[:, pixels + 1] > threshold).float(),
        }
        with context.autocast():
            loss = flow_matching_loss(flow, chance[:, :pixels].reshape(target.shape), target, told)
        context.update(adam, loss, learning_rate(step, schedule))
        _follow(average, flow, min(recipe["average"], (1 + step) / (10 + step)))
        context.log(batch.identities, flow=loss)
    return average


@torch.no_grad()
def _follow(average: Flow, flow: Flow, share: float) -> None:
    """Move the average towards the weights of now; share: of what it keeps."""
    for kept, now in zip(average.parameters(), flow.parameters(), strict=True):
        kept.lerp_(now, 1 - share)
