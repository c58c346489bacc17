"""TensorBoard: scalars, throughput and sample faces of a training; `tensorboard --logdir` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sf2f_bench.files import refusals_named
from sf2f_bench.training.validation import Validated
from sf2f_bench.types.curve import PLACE

FACES = 16


class Board:
    """Writes one stage's events; those of an interrupted run from step `done` on are hidden."""

    def __init__(self, folder: Path, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        with refusals_named(folder):
            self.writer = SummaryWriter(str(folder), purge_step=done)

    def scalars(self, step: int, point: Mapping[str, Any], throughput: float) -> None:
        """A window's means, and samples a second."""
        with refusals_named(self.folder):
            for name, value in point.items():
                if name not in PLACE:
                    self.writer.add_scalar(f"loss/{name}", value, step)
            self.writer.add_scalar("throughput/samples_per_second", throughput, step)
            self.writer.flush()

    def validation(self, step: int, found: Validated) -> None:
        """The scores of a validation and its first faces."""
        with refusals_named(self.folder):
            for name, value in found.scores.items():
                self.writer.add_scalar(name.replace("_", "/", 1), value, step)
            self.writer.add_images("validation/faces", found.faces[:FACES].cpu(), step)
            self.writer.flush()
