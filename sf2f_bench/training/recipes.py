"""What systems share in planning a training: channel counts, budgets and the fall of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sf2f_bench.types import BenchError, ModelSettings


def scaled(channels: int, width: float) -> int:
    """A published channel count times the width factor, as a positive multiple of 4."""
    return max(4, 4 * round(channels * width / 4))


def scheduled(
    system: str, settings: ModelSettings, schedules: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The schedule of the settings' budget with their image size; their width and steps override it.

    schedules: by budget, "smoke", "default/cpu", "default/cuda", "long", "paper". Raises BenchError, naming the system,
    for an unknown budget and for a width or number of steps that is not positive.
    """
    budget = f"default/{settings.accelerator}" if settings.budget == "default" else settings.budget
    if budget not in schedules:
        raise BenchError(f"{system} has no budget {budget!r}: choose one of {', '.join(schedules)}")
    recipe = {"image_size": settings.image_size, **schedules[budget]}
    for name in ("width", "steps"):
        chosen = getattr(settings, name)
        if chosen is not None:
            if chosen <= 0:
                raise BenchError(f"{name} is {chosen}: expected a positive number")
            recipe[name] = chosen
    return recipe


def learning_rate(step: int, recipe: Mapping[str, Any]) -> float:
    """The rate at a step: `lr`, from the share `decay_from` of `steps` on falling linearly to `final_lr` of it."""
    start = recipe["decay_from"] * recipe["steps"]
    progress = max(0.0, step - start) / max(1.0, recipe["steps"] - start)
    return recipe["lr"] * (1 - progress * (1 - recipe["final_lr"]))
