"""What a system trains with: a resumable loop, its own random numbers, curves and a progress bar."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sf2f_bench.files import seed_of
from sf2f_bench.progress import Bar, Reporter
from sf2f_bench.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from sf2f_bench.types import BenchError

SCALARS_SHOWN = 2  # behind the progress bar: more would push bar and time left off the line
CURVE_POINTS = 200  # the curve keeps at most this many means of consecutive steps
WARM_UP = 5  # steps left out of the throughput


@dataclass
class Curve:
    """Means of logged scalars over windows of consecutive steps; part of every checkpoint."""

    points: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add(self, step: int, window: int, values: Mapping[str, float], stage: str) -> None:
        """Count one step; closes a window every `window` steps."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if (step + 1) % window == 0:
            means = {name: total / self.count for name, total in self.sums.items()}
            self.points.append({"stage": stage, "step": step + 1, **means})
            self.sums, self.count = {}, 0


class TrainContext:
    """Handed to `SpeechToFace.fit`.

    folder: where checkpoints live; name: the system's, for the progress bar; perceptual: a frozen network
    with ``features(images in 0..1 [B, 3, H, W]) -> [map1, map2, map3, embedding]``; checkpoint_every: seconds
    between checkpoints (when one is written never changes a result).
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        seed: int,
        device: torch.device,
        perceptual: nn.Module | None,
        reporter: Reporter,
        checkpoint_every: float = 20.0,
    ) -> None:
        self.folder, self.name, self.seed, self.device = folder, name, seed, device
        self.perceptual, self.reporter, self.checkpoint_every = perceptual, reporter, checkpoint_every
        self.curve: list[dict[str, Any]] = []
        self.seconds = 0.0  # of training, over all interrupted runs
        self._logged: dict[str, Tensor | float] = {}

    def generator(self, stage: str, step: int) -> torch.Generator:
        """Random numbers on the device that depend on (seed, stage, step) alone."""
        return torch.Generator(device=self.device).manual_seed(seed_of(self.seed, "noise", stage, step))

    def backward(self, loss: Tensor) -> None:
        """Back-propagate a scalar loss."""
        loss.backward()

    def log(self, **scalars: Tensor | float) -> None:
        """Name scalars of this step: all go into the curve, the first two behind the progress bar."""
        self._logged |= {
            name: value.detach() if isinstance(value, Tensor) else value for name, value in scalars.items()
        }

    def loop(self, stage: str, steps: int, state: Mapping[str, Stateful]) -> Iterator[int]:
        """Yield the steps that are still to do, counted from 0, with `state` as the last checkpoint left it.

        Raises BenchError when a logged value is not finite: the last checkpoint before it is kept.
        """
        path = self.folder / f"{stage}.safetensors"
        curve, done, seconds = Curve(), 0, 0.0
        if path.exists():
            facts = load_checkpoint(path, state)
            done, seconds, curve = facts["done"], facts["seconds"], Curve(**facts["curve"])
        window = max(1, steps // CURVE_POINTS)
        started = saved = time.monotonic()

        def save(step: int) -> None:
            elapsed = seconds + time.monotonic() - started
            save_checkpoint(path, state, {"done": step, "seconds": elapsed, "curve": vars(curve)})

        if done < steps:
            with self.reporter.bar(f"train {self.name}, {stage} (steps)", steps) as bar:
                bar.done = done
                for step in range(done, steps):
                    self._logged = {}
                    yield step
                    curve.add(step, window, self._checked(stage, step, path), stage)
                    self._show(bar, curve)
                    if time.monotonic() - saved > self.checkpoint_every and step + 1 < steps:
                        save(step + 1)
                        saved = time.monotonic()
                seconds += time.monotonic() - started
                started = time.monotonic()
                save(steps)
        self.curve += curve.points
        self.seconds += seconds

    def _checked(self, stage: str, step: int, checkpoint: Path) -> dict[str, float]:
        values = {name: float(value) for name, value in self._logged.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                kept = (
                    f"the last good state is {checkpoint}"
                    if checkpoint.exists()
                    else "no checkpoint was made yet"
                )
                raise BenchError(
                    f"{self.name}: {name} became {value} at step {step} of {stage}; {kept}. "
                    "Lower the learning rate, or look at the data of this step."
                )
        return values

    @staticmethod
    def _show(bar: Bar, curve: Curve) -> None:
        if curve.points:
            scalars = [item for item in curve.points[-1].items() if item[0] not in ("stage", "step")]
            bar.note(" ".join(f"{name} {value:.3g}" for name, value in scalars[:SCALARS_SHOWN]))
        bar.advance()
