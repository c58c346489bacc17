"""Every picture of a report, drawn by as many processes as it pays to start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import active_count
from typing import TYPE_CHECKING, Any, Self

import matplotlib
from joblib import cpu_count

from sf2f_bench.report.faces import faces_figure
from sf2f_bench.report.html_pictures import PICTURES, scatter_figure
from sf2f_bench.report.plots import lengths_figure, metrics_figure, recall_figure, strata_figure
from sf2f_bench.report.style import STYLE, save_figure
from sf2f_bench.report.training_plots import training_figure
from sf2f_bench.results.selection import Group
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from multiprocessing.sharedctypes import Synchronized

    from matplotlib.figure import Figure

DRAW: Mapping[str, Callable[[Group], Figure | None]] = {  # what takes longest first
    "faces": faces_figure,
    "metrics": metrics_figure,
    "ablations": lambda group: training_figure(group, group.ablations),
    "training": lambda group: training_figure(group, group.systems),
    "strata": strata_figure,
    "scatter": scatter_figure,
    "recall": recall_figure,
    "lengths": lengths_figure,
}
ENDINGS = {"faces": ("png",)}  # of pictures that are photos in any format; the others are PNG and SVG
RECORDS_A_PROCESS = 10  # a further process is started for so many
# A copy of this process has everything imported and read, which takes a new one two seconds. Linux alone copies
# safely: elsewhere this process draws everything.
CAN_COPY = sys.platform == "linux"
CONTEXT: Any = get_context("fork" if CAN_COPY else None)


@dataclass(frozen=True)
class Piece:
    """One picture to draw: which group's, and a name of `DRAW`."""

    group: int
    name: str


@dataclass(frozen=True)
class Plan:
    """All pictures of a report: ``FOLDER/STEM-NAME.png``, a stem a group."""

    groups: Sequence[Group]
    stems: Sequence[str]
    folder: Path

    def draw(self, piece: Piece) -> list[Path]:
        """Save one picture; give its files, none where the group has no data for it."""
        with matplotlib.rc_context(STYLE):
            figure = DRAW[piece.name](self.groups[piece.group])
            if figure is None:
                return []
            stem = self.folder / f"{self.stems[piece.group]}-{piece.name}"
            return save_figure(figure, stem, ENDINGS.get(piece.name, ("png", "svg")))


class Drawing:
    """Draws while the caller does something else: ``with Drawing(plan) as drawing: ...; drawing.finish()``.

    The files are the same however many processes draw them. processes: beside this one; as many as are worth it
    where nobody says.
    """

    def __init__(self, plan: Plan, processes: int | None = None) -> None:
        pieces = [Piece(i, name) for name in DRAW for i in range(len(plan.groups))]
        self._work = Work(plan, pieces, CONTEXT.Value("i", 0))
        self._helpers: list[tuple[BaseProcess, Connection]] = []
        for _ in range(worthwhile(plan) if processes is None else processes):
            here, there = CONTEXT.Pipe(duplex=False)
            helper = CONTEXT.Process(target=_help, args=(self._work, there), daemon=True)
            helper.start()
            there.close()  # so that nothing keeps the pipe open once the helper is gone
            self._helpers.append((helper, here))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for helper, here in self._helpers:
            helper.terminate()  # it has nothing left to do, or nobody is left who wants it
            helper.join()
            here.close()

    def finish(self) -> list[dict[str, list[Path]]]:
        """Of each group ``{name: [png, svg]}`` in the order of `PICTURES`; draws with the others what is left.

        Raises BenchError where one of them ends on the way, and whatever drawing raises there.
        """
        drawn = self._work.do()
        for _, here in self._helpers:
            try:
                found = here.recv()
            except EOFError as error:
                raise BenchError(
                    "a process that drew pictures of the report crashed or was ended, most often for want of memory: "
                    "give the command again with more memory free"
                ) from error
            if isinstance(found, Exception):
                raise found
            drawn |= found
        count = len(self._work.plan.groups)
        return [{name: paths for name in PICTURES if (paths := drawn[Piece(i, name)])} for i in range(count)]


@dataclass(frozen=True)
class Work:
    """Pieces that several processes take one after the other; `taken`: how many are, for all of them."""

    plan: Plan
    pieces: Sequence[Piece]
    taken: Synchronized[int]

    def do(self) -> dict[Piece, list[Path]]:
        """Draw until nothing is left; give what this process drew."""
        drawn: dict[Piece, list[Path]] = {}
        while True:
            with self.taken.get_lock():
                place = self.taken.value
                self.taken.value += 1
            if place >= len(self.pieces):
                return drawn
            drawn[self.pieces[place]] = self.plan.draw(self.pieces[place])


def worthwhile(plan: Plan) -> int:
    """How many processes to start beside this one; none where a copy of it would lack its threads."""
    if not CAN_COPY or active_count() > 1:
        return 0
    return min(cpu_count() - 1, sum(len(group.rows) for group in plan.groups) // RECORDS_A_PROCESS)


def _help(work: Work, there: Connection) -> None:
    """In another process: draw, and send what was drawn or what went wrong."""
    try:
        there.send(work.do())
    except Exception as error:
        there.send(error)
