"""One stage of a training: what happens after each of its steps, and how it resumes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from sf2f_bench.files import Damaged, save_tensors, say_set_aside, write_json
from sf2f_bench.progress import Bar, first_few
from sf2f_bench.training.board import Board
from sf2f_bench.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from sf2f_bench.types import BenchError, SpeechToFace
from sf2f_bench.types.curve import CHANCE, PLACE, RECALL, SIMILARITY

if TYPE_CHECKING:
    from sf2f_bench.training.loop import TrainContext

SCALARS_SHOWN = 2  # behind the progress bar: more would push bar and time left off the line
CURVE_POINTS = 200  # the curve keeps at most this many means of consecutive steps
VALIDATIONS = 10  # of a stage
READ_EVERY = 50  # steps between readings of the losses on a CUDA device: each one waits for it
NAMES_SHOWN = 8  # identities named in an error


class Logged(NamedTuple):
    """The scalars that a system logs of one step."""

    identities: tuple[str, ...]  # of this process's part of the batch
    scalars: Mapping[str, Tensor]


@dataclass
class StageProgress:
    """How far a stage is, apart from its tensors; part of every checkpoint.

    points: means of the logged scalars over windows of consecutive steps, with validations in between. samples: of
    all processes, so far.
    """

    done: int = 0
    samples: int = 0
    seconds: float = 0.0
    points: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0
    best: dict[str, Any] | None = None

    def add(self, step: int, window: int, values: Mapping[str, float], stage: str, samples: int) -> bool:
        """Count one step of so many samples; True when it closes a window of `window` steps."""
        self.samples += samples
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if (step + 1) % window:
            return False
        means = {name: total / self.count for name, total in self.sums.items()}
        self.points.append({"stage": stage, "step": step + 1, "samples": self.samples, **means})
        self.sums, self.count = {}, 0
        return True


class Stage:
    """One call of `TrainContext.loop`, with `state` and `progress` as the last checkpoint left them."""

    def __init__(
        self,
        context: TrainContext,
        name: str,
        steps: int,
        state: Mapping[str, Stateful],
        system: SpeechToFace | None,
    ) -> None:
        self.context, self.name, self.steps, self.state, self.system = context, name, steps, state, system
        self.machine = context.machine
        self.path = context.folder / f"{name}.safetensors"
        self.unread: list[tuple[int, Logged, Tensor]] = []  # steps whose scalars are still on the device
        self.progress = StageProgress()
        damage: Damaged | None = None
        if self.path.exists():
            try:
                self.progress = StageProgress(**load_checkpoint(self.path, state))
            except Damaged as error:  # before any of `state` has changed
                damage = error
        self.machine.barrier()  # no process trains, and so overwrites the file, before all have read it
        if damage and self.machine.is_main:
            say_set_aside(self.path, damage, context.reporter.say)
        self.seconds_before, self.samples_before = self.progress.seconds, self.progress.samples
        self.started = self.saved = time.monotonic()
        self.board: Board | None = None
        if context.board is not None and self.machine.is_main and self.progress.done < steps:
            self.board = Board(context.board / name, self.progress.done)

    def after(self, step: int, logged: Logged | None, bar: Bar) -> None:
        """Keep what was logged; read losses, validate and save when it is time."""
        if logged is not None and logged.scalars:
            # Copied now: the next step of a CUDA graph overwrites what this one returned.
            self.unread.append((step, logged, torch.stack(list(logged.scalars.values()))))
        done, is_last = step + 1, step + 1 == self.steps
        validates = self.system is not None and (done % max(1, self.steps // VALIDATIONS) == 0 or is_last)
        read_every = READ_EVERY if self.machine.device.type == "cuda" else 1
        if done % read_every == 0 or validates or is_last:
            self._read_losses()
            self.progress.done = done
            bar.note(self._words())
            if validates:
                self._validate(done, bar)
            if not is_last and time.monotonic() - self.saved > self.context.checkpoint_every:
                self.save()
        bar.advance()

    def save(self) -> None:
        """Write the checkpoint; only the main process does."""
        self.progress.seconds = self.seconds_before + time.monotonic() - self.started
        if self.machine.is_main:
            save_checkpoint(self.path, self.state, asdict(self.progress))
        self.saved = time.monotonic()

    def _read_losses(self) -> None:
        """Take the logged scalars from the device, in one transfer for all steps since the last reading."""
        if not self.unread:
            return
        averages = self.machine.average(torch.stack([row.float() for *_, row in self.unread])).tolist()
        window = max(1, self.steps // CURVE_POINTS)
        for (step, logged, _), row in zip(self.unread, averages, strict=True):
            values = dict(zip(logged.scalars, row, strict=True))
            self._check(step, logged.identities, values)
            samples = len(logged.identities) * self.machine.shard[1]
            if self.progress.add(step, window, values, self.name, samples) and self.board:
                self.board.scalars(step + 1, self.progress.points[-1], self._throughput())
        self.unread = []

    def _check(self, step: int, identities: tuple[str, ...], values: Mapping[str, float]) -> None:
        """Raise BenchError for a value that is not finite, and write down the identities of its batch."""
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if not bad:
            return
        context, name = self.context, bad[0]
        kept = (
            f"the last good state is {self.path}" if self.path.exists() else "there is no earlier checkpoint"
        )
        names = context.folder / f"{self.name}-step-{step}.json"
        write_json(names, {"stage": self.name, "step": step, "identities": identities, "not_finite": bad})
        raise BenchError(
            f"{context.name}: {name} became {values[name]} at step {step} of {self.name}, on the batch of "
            f"{first_few(identities, NAMES_SHOWN)} (all in {names}); {kept}. Look at the data of these identities, or "
            "lower the learning rate."
        )

    def _throughput(self) -> float:
        """Samples a second of this call, all processes together."""
        samples = self.progress.samples - self.samples_before
        return samples / max(time.monotonic() - self.started, 1e-9)

    def _words(self) -> str:
        """The newest means of the first scalars and the throughput, for the progress bar."""
        words = [f"{self._throughput():,.0f} samples/s"] if self.progress.samples else []
        means = [point for point in self.progress.points if SIMILARITY not in point]
        if means:
            scalars = [item for item in means[-1].items() if item[0] not in PLACE]
            words = [*(f"{name} {value:.3g}" for name, value in scalars[:SCALARS_SHOWN]), *words]
        validations = [point for point in self.progress.points if RECALL in point]
        return " ".join([*words, *(f"validation recall@10 {_recall(point)}" for point in validations[-1:])])

    @torch.no_grad()
    def _validate(self, done: int, bar: Bar) -> None:
        """Score the system on the validation split; its best state so far is kept in a file."""
        validation, system = self.context.validation, self.system
        if validation is None or system is None or not self.machine.is_main:
            return
        modules = [part for part in self.state.values() if isinstance(part, nn.Module)]
        modes = [module.training for module in modules]
        validated = validation(system)
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)
        found = {"stage": self.name, "step": done, "samples": self.progress.samples, **validated.scores}
        self.progress.points.append(found)
        bar.score(_recall(found))
        best = self.progress.best or self.context.best
        if best is None or validated.similarity > best[SIMILARITY]:
            self.progress.best = found
            save_tensors(self.context.best_file, system.state_dict(), {**found, "model": system.card.name})
        if self.board:
            self.board.validation(done, validated)


def _recall(point: Mapping[str, Any]) -> str:
    """Of a validation, with the chance of its few people: ``0.45 (chance 0.10)``."""
    return f"{point[RECALL]:.2f} (chance {point[CHANCE]:.2f})"
