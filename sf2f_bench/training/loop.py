"""The context that the harness hands to a system's `fit`: devices, resumable loops, curves, validation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sf2f_bench.files import save_tensors, seed_of, write_json
from sf2f_bench.progress import Bar, Reporter
from sf2f_bench.training.board import Board
from sf2f_bench.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from sf2f_bench.training.machine import Machine
from sf2f_bench.training.validation import Validation
from sf2f_bench.types import BenchError, SpeechToFace

SCALARS_SHOWN = 2  # behind the progress bar: more would push bar and time left off the line
CURVE_POINTS = 200  # the curve keeps at most this many means of consecutive steps
VALIDATIONS = 10  # of a stage
READ_EVERY = 50  # steps between readings of the losses on a CUDA device: each one waits for it
NAMES_SHOWN = 8  # identities named in an error

M = TypeVar("M", bound=nn.Module)


@dataclass
class Progress:
    """How far a stage is, apart from its tensors; part of every checkpoint.

    points: means of the logged scalars over windows of consecutive steps, with validations in between.
    """

    done: int = 0
    seconds: float = 0.0
    points: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0
    best: dict[str, Any] | None = None

    def add(self, step: int, window: int, values: Mapping[str, float], stage: str) -> bool:
        """Count one step; True when it closes a window of `window` steps."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if (step + 1) % window:
            return False
        means = {name: total / self.count for name, total in self.sums.items()}
        self.points.append({"stage": stage, "step": step + 1, **means})
        self.sums, self.count = {}, 0
        return True


class TrainContext:
    """Handed to `SpeechToFace.fit`.

    folder: where checkpoints live; name: the system's, for messages; perceptual: a frozen network with
    ``features(images in 0..1 [B, 3, H, W]) -> [map1, map2, map3, embedding]``; checkpoint_every: seconds between
    checkpoints (when one is written never changes a result); start: the trained tensors of the system that
    this one starts from, where it names one; board: folder of TensorBoard's files.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        seed: int,
        machine: Machine,
        perceptual: nn.Module | None,
        reporter: Reporter,
        checkpoint_every: float = 20.0,
        start: Mapping[str, Tensor] | None = None,
        validation: Validation | None = None,
        board: Path | None = None,
    ) -> None:
        self.folder, self.name, self.seed, self.machine = folder, name, seed, machine
        self.perceptual, self.reporter, self.checkpoint_every = perceptual, reporter, checkpoint_every
        self.start, self.validation, self.board = start, validation, board
        self.curve: list[dict[str, Any]] = []
        self.seconds = 0.0  # of training, over all interrupted runs
        self.best: dict[str, Any] | None = None  # step and validation similarity of the best state
        self._logged: tuple[tuple[str, ...], dict[str, Tensor]] | None = None

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

    def autocast(self) -> AbstractContextManager[Any]:
        """The run's precision, for the forward passes inside."""
        return self.machine.autocast()

    def noise(self, stage: str, step: int, rows: int, columns: int) -> Tensor:
        """Standard normal ``[rows, columns]``, this process's rows of what (seed, stage, step) alone decide."""
        number, processes = self.machine.shard
        generator = torch.Generator(self.device).manual_seed(seed_of(self.seed, "noise", stage, step))
        shape = (rows * processes, columns)
        noise = torch.randn(shape, generator=generator, device=self.device)
        return noise[number * rows : (number + 1) * rows]

    def log(self, identities: tuple[str, ...], **scalars: Tensor) -> None:
        """Name the step's scalars and whom it saw: all go into the curve, the first two behind the bar."""
        self._logged = identities, {name: value.detach() for name, value in scalars.items()}

    def loop(
        self, stage: str, steps: int, state: Mapping[str, Stateful], system: SpeechToFace | None = None
    ) -> Iterator[int]:
        """Yield the steps that are still to do, counted from 0, with `state` as the last checkpoint left it.

        system: drawn from and validated now and then; its best state is kept. Raises BenchError when a
        logged value is not finite: the last checkpoint before it is kept.
        """
        course = _Stage(self, stage, steps, state, system)
        progress = course.resume()
        if progress.done < steps:
            with self.reporter.bar(f"train {self.name}, {stage} (steps)", steps) as bar:
                bar.done = progress.done
                for step in range(progress.done, steps):
                    self._logged = None
                    if self.machine.compile == "graphs":
                        torch.compiler.cudagraph_mark_step_begin()
                    yield step
                    course.record(step, self._logged, bar)
                course.save()
        self.curve += progress.points
        self.seconds += progress.seconds
        self.best = progress.best or self.best


class _Stage:
    """One call of `TrainContext.loop`."""

    def __init__(
        self,
        context: TrainContext,
        stage: str,
        steps: int,
        state: Mapping[str, Stateful],
        system: SpeechToFace | None,
    ) -> None:
        self.context, self.stage, self.steps, self.state, self.system = context, stage, steps, state, system
        self.machine = context.machine
        self.path = context.folder / f"{stage}.safetensors"
        self.window = max(1, steps // CURVE_POINTS)
        self.validate_every = max(1, steps // VALIDATIONS)
        self.read_every = READ_EVERY if self.machine.device.type == "cuda" else 1
        self.unread: list[tuple[int, tuple[str, ...], list[str], Tensor]] = []
        self.samples = 0
        self.board: Board | None = None

    def resume(self) -> Progress:
        """Take the last checkpoint's state, where there is one."""
        self.progress = Progress()
        if self.path.exists():
            self.progress = Progress(**load_checkpoint(self.path, self.state))
        self.machine.agree(None)  # nobody trains, and so overwrites the file, before all have read it
        self.before = self.progress.seconds
        self.started = self.saved = time.monotonic()
        if self.context.board is not None and self.machine.is_main and self.progress.done < self.steps:
            self.board = Board(self.context.board / self.stage, self.progress.done)
        return self.progress

    def record(self, step: int, logged: tuple[tuple[str, ...], dict[str, Tensor]] | None, bar: Bar) -> None:
        """Keep what was logged; read, validate and save when it is time."""
        if logged is not None and logged[1]:
            identities, scalars = logged
            self.unread.append((step, identities, list(scalars), torch.stack(list(scalars.values()))))
            self.samples += len(identities) * self.machine.shard[1]
        done, last = step + 1, step + 1 == self.steps
        valid = self.system is not None and (done % self.validate_every == 0 or last)
        if done % self.read_every == 0 or valid or last:
            self._read()
            self.progress.done = done
            self._show(bar)
            if valid:
                self._validate(done)
            if not last and time.monotonic() - self.saved > self.context.checkpoint_every:
                self.save()
        bar.advance()

    def save(self) -> None:
        """Write the checkpoint; only the main process does."""
        self.progress.seconds = self.before + time.monotonic() - self.started
        if self.machine.is_main:
            save_checkpoint(self.path, self.state, asdict(self.progress))
        self.saved = time.monotonic()

    def _read(self) -> None:
        """Bring the logged scalars from the device, one transfer for all steps since the last reading."""
        if not self.unread:
            return
        together = self.machine.average(torch.stack([row.float() for *_, row in self.unread])).tolist()
        for (step, identities, names, _), row in zip(self.unread, together, strict=True):
            values = dict(zip(names, row, strict=True))
            self._check(step, identities, values)
            if self.progress.add(step, self.window, values, self.stage) and self.board:
                self.board.scalars(step + 1, self.progress.points[-1], self._throughput())
        self.unread = []

    def _check(self, step: int, identities: tuple[str, ...], values: Mapping[str, float]) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if not bad:
            return
        context, name = self.context, bad[0]
        kept = (
            f"the last good state is {self.path}" if self.path.exists() else "no checkpoint was made before"
        )
        names = context.folder / f"{self.stage}-step-{step}.json"
        write_json(names, {"stage": self.stage, "step": step, "identities": identities, "not_finite": bad})
        shown = ", ".join(identities[:NAMES_SHOWN]) + (", ..." if len(identities) > NAMES_SHOWN else "")
        raise BenchError(
            f"{context.name}: {name} became {values[name]} at step {step} of {self.stage}, on the batch of "
            f"{shown} (all in {names}); {kept}. Look at the data of these identities, or lower the learning rate."
        )

    def _throughput(self) -> float:
        """Samples a second of this call, all processes together."""
        return self.samples / max(time.monotonic() - self.started, 1e-9)

    def _show(self, bar: Bar) -> None:
        words = [f"{self._throughput():,.0f} samples/s"] if self.samples else []
        means = [point for point in self.progress.points if "validation_similarity" not in point]
        if means:
            scalars = [item for item in means[-1].items() if item[0] not in ("stage", "step")]
            words = [*(f"{name} {value:.3g}" for name, value in scalars[:SCALARS_SHOWN]), *words]
        bar.note(" ".join(words))

    @torch.no_grad()
    def _validate(self, done: int) -> None:
        """Score the system on the validation split; the best state so far is kept in a file."""
        validation, system = self.context.validation, self.system
        if validation is None or system is None or not self.machine.is_main:
            return
        modules = [part for part in self.state.values() if isinstance(part, nn.Module)]
        training = [module.training for module in modules]
        similarity, faces = validation(system)
        for module, mode in zip(modules, training, strict=True):
            module.train(mode)
        found = {"stage": self.stage, "step": done, "validation_similarity": similarity}
        self.progress.points.append(found)
        best = self.progress.best or self.context.best
        if best is None or similarity > best["validation_similarity"]:
            self.progress.best = found
            save_tensors(self.context.best_file, system.state_dict(), {**found, "model": system.card.name})
        if self.board:
            self.board.validation(done, similarity, faces)
