"""The context that the harness hands to a system's `fit`: devices, resumable loops, curves, validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sf2f_bench.files import seed_of
from sf2f_bench.progress import TRAIN, Reporter
from sf2f_bench.registry import place_of
from sf2f_bench.training.checkpoint import Stateful
from sf2f_bench.training.machine import Machine
from sf2f_bench.training.stage import Logged, Stage
from sf2f_bench.training.validation import Validation
from sf2f_bench.types import BenchError, SpeechToFace

M = TypeVar("M", bound=nn.Module)


@dataclass(eq=False)
class TrainContext:
    """Handed to `SpeechToFace.fit`.

    folder: where checkpoints are kept; name: the system's, for messages; perceptual: a frozen network with
    ``features(images in 0..1 [B, 3, H, W]) -> [map1, map2, map3, embedding]``; checkpoint_every: seconds between
    checkpoints (when one is written never changes a result); start: the trained tensors of the system that
    this one starts from, where it names one; board: folder of TensorBoard's files.
    curve: means of what was logged, and validations; seconds: of training, by stage, over all interrupted runs; best:
    step and scores of the best validation.
    """

    folder: Path
    name: str
    seed: int
    machine: Machine
    perceptual: nn.Module | None
    reporter: Reporter
    checkpoint_every: float = 20.0
    start: Mapping[str, Tensor] | None = None
    validation: Validation | None = None
    board: Path | None = None
    curve: list[dict[str, Any]] = field(default_factory=list, init=False)
    seconds: dict[str, float] = field(default_factory=dict, init=False)
    best: dict[str, Any] | None = field(default=None, init=False)
    _logged: Logged | None = field(default=None, init=False)

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        return self.machine.device

    @property
    def best_file(self) -> Path:
        """The system's tensors at its best validation."""
        return self.folder / "best.safetensors"

    def setup(self, module: M) -> M:
        """A network made ready for training here; its state dict keeps its names."""
        return self.machine.setup(module)

    def adam(
        self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float]
    ) -> torch.optim.Adam:
        """An Adam optimiser as it is fastest here."""
        return self.machine.adam(parameters, lr, betas)

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, lr: float | None = None) -> None:
        """One step down a scalar loss (a mean over this process's part of the batch), at `lr` where given."""
        self.machine.update(optimiser, loss, lr)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows ``[B, ...]`` of all processes, for a loss over pairs of a batch; gradients pass through."""
        return self.machine.gather(rows)

    def autocast(self) -> AbstractContextManager[Any]:
        """The run's precision, for the forward passes inside."""
        return self.machine.autocast()

    def noise(self, stage: str, step: int, rows: int, columns: int) -> Tensor:
        """Standard normal ``[rows, columns]``: this process's rows of what (seed, stage, step) alone decide."""
        number, processes = self.machine.shard
        generator = torch.Generator(self.device).manual_seed(seed_of(self.seed, "noise", stage, step))
        shape = (rows * processes, columns)
        noise = torch.randn(shape, generator=generator, device=self.device)
        return noise[number * rows : (number + 1) * rows]

    def log(self, identities: tuple[str, ...], **scalars: Tensor) -> None:
        """The step's scalars by name, and the identities of its batch.

        All scalars enter the curve; the first two are shown behind the progress bar.
        """
        self._logged = Logged(identities, {name: value.detach() for name, value in scalars.items()})

    def loop(
        self, stage: str, steps: int, state: Mapping[str, Stateful], system: SpeechToFace | None = None
    ) -> Iterator[int]:
        """Yield the steps that remain, counted from 0, with `state` as the last checkpoint left it.

        system: validated from time to time; its best state is kept. Raises BenchError when a logged value is not
        finite: the last checkpoint before it is kept.
        """
        if system is not None and not hasattr(system, "generate"):
            raise BenchError(
                f"{place_of(system)} generates no faces, so it cannot be validated: leave it out of context.loop(...)"
            )
        current = Stage(self, stage, steps, state, system)
        progress = current.progress
        if progress.done < steps:
            with self.reporter.bar(f"{TRAIN}{self.name}, {stage} (steps)", steps) as bar:
                bar.resume(progress.done)
                for step in range(progress.done, steps):
                    self._logged = None
                    if self.machine.compile == "graphs":
                        torch.compiler.cudagraph_mark_step_begin()
                    yield step
                    current.after(step, self._logged, bar)
                current.save()
        self.curve += progress.points
        self.seconds[stage] = progress.seconds
        self.best = progress.best or self.best
