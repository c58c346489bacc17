"""Every picture of a report, drawn by as many processes as it pays to start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import cloudpickle
import matplotlib
from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor

from sf2f_bench.report.faces import faces_figure
from sf2f_bench.report.html_pictures import PICTURES, scatter_figure
from sf2f_bench.report.plots import lengths_figure, metrics_figure, recall_figure, strata_figure
from sf2f_bench.report.selection import Group
from sf2f_bench.report.style import STYLE, save_figure
from sf2f_bench.report.training_plots import training_figure
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
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
RECORDS_A_PROCESS = 25  # a further process takes two seconds to start: it pays from about so many records on
STARTED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


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
        self._plan = plan
        self._pieces = [Piece(i, name) for name in DRAW for i in range(len(plan.groups))]
        if processes is None:
            worth = sum(len(group.rows) for group in plan.groups) // RECORDS_A_PROCESS
            processes = min(cpu_count() - 1, worth)
        self._executor = ProcessPoolExecutor(processes, env=STARTED) if processes else None
        self._begun: dict[Piece, Future[list[Path]]] = {}
        if self._executor:
            pickled = cloudpickle.dumps(plan)
            self._begun = {p: self._executor.submit(_draw_pickled, pickled, p) for p in self._pieces}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor:
            self._executor.shutdown(wait=True, kill_workers=True)  # none has anything left to do

    def finish(self) -> list[dict[str, list[Path]]]:
        """Of each group ``{name: [png, svg]}`` in the order of `PICTURES`; draws here what no other process has begun.

        Raises BenchError where one of them ends on the way, and whatever drawing raises there.
        """
        drawn = {}
        for piece in reversed(self._pieces):  # the others begin at the other end
            waiting = self._begun.get(piece)
            if waiting is None or waiting.cancel():
                drawn[piece] = self._plan.draw(piece)
        try:
            drawn |= {piece: begun.result() for piece, begun in self._begun.items() if piece not in drawn}
        except BrokenProcessPool as error:
            raise BenchError(
                "a process that drew pictures of the report crashed or was ended, most often for want of memory: give "
                "the command again with more memory free"
            ) from error
        return [
            {name: paths for name in PICTURES if (paths := drawn[Piece(i, name)])}
            for i in range(len(self._plan.groups))
        ]


def _draw_pickled(pickled: bytes, piece: Piece) -> list[Path]:
    return _unpickled(pickled).draw(piece)


@lru_cache(maxsize=1)
def _unpickled(pickled: bytes) -> Plan:
    return cloudpickle.loads(pickled)
