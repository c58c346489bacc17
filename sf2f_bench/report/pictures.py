"""Every picture of a report, drawn by as many processes as it pays to start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from threading import active_count
from typing import TYPE_CHECKING, Self

import matplotlib
from joblib import cpu_count

from sf2f_bench.report import messages
from sf2f_bench.report.answer_plots import answer_figure
from sf2f_bench.report.curve_plots import cmc_figure, det_figure, lengths_figure, recall_figure
from sf2f_bench.report.faces import faces_figure, glance_figure
from sf2f_bench.report.learning_plots import learning_figure
from sf2f_bench.report.row_plots import ablations_figure, disturbances_figure, metrics_figure, strata_figure
from sf2f_bench.report.scatter_plots import scatter_figure
from sf2f_bench.report.style import STYLE, save_figure
from sf2f_bench.report.training_plots import training_figure
from sf2f_bench.results.selection import Group
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = {  # in the order of the report
    "answer": "How often each system finds the right person, all training seeds together, with 95 % intervals",
    "recall": "Recall against k, with 95 % intervals",
    "cmc": "Cumulative match curves: identities found up to each rank",
    "det": "Detection error trade-off: false rejects against false accepts",
    "scatter": "Quality against identity: distance of distributions against recall, with 95 % intervals",
    "strata": "Recall among all, among similar identities, and of subgroups, with 95 % intervals",
    "lengths": "Recall against the seconds of speech that were heard, with 95 % intervals",
    "disturbances": "Recall from voices as they are, with noise, by telephone and as MP3, with 95 % intervals",
    "metrics": "Retrieval, similarity and quality, with 95 % intervals",
    "faces": "True and generated faces, a column for each test identity",
    "glance": "True faces and those of the best systems, for the first test identities",
    "learning": "Recall on the validation split against samples and minutes of training",
    "training": "Losses in training",
    "ablations": "What each part is worth: ablations beside the whole system, with 95 % intervals",
}
SECTIONS = {  # those of each part of the page; in place of the grids of faces stand the strip and the gallery
    "curves": ("answer", "recall", "learning", "training", "ablations", "metrics", "scatter", "cmc", "det"),
    "robustness": ("lengths", "disturbances"),
    "subgroups": ("strata",),
}
FIGURES: dict[str, Callable[[Group], Figure | None]] = {  # what takes longest first
    "faces": faces_figure,
    "glance": glance_figure,
    "metrics": metrics_figure,
    "training": training_figure,
    "strata": strata_figure,
    "ablations": ablations_figure,
    "scatter": scatter_figure,
    "answer": answer_figure,
    "learning": learning_figure,
    "recall": recall_figure,
    "cmc": cmc_figure,
    "det": det_figure,
    "lengths": lengths_figure,
    "disturbances": disturbances_figure,
}
MESSAGES: dict[str, Callable[[Group], str]] = {  # what each says, for those who do not see it
    "answer": messages.answer,
    "recall": messages.recall,
    "cmc": messages.cmc,
    "det": messages.det,
    "scatter": messages.scatter,
    "strata": messages.strata,
    "lengths": messages.lengths,
    "disturbances": messages.disturbances,
    "metrics": messages.metrics,
    "faces": messages.faces,
    "glance": messages.glance,
    "learning": messages.learning,
    "training": messages.training,
    "ablations": messages.ablations,
}
ENDINGS = {
    "faces": ("png",),
    "glance": ("png",),
}  # of pictures that are photos in any format; the others are PNG and SVG
RECORDS_A_PROCESS = 10  # a further process is started for so many
# A copy of this process has everything imported and read, which takes a new one two seconds. Linux alone copies
# safely: elsewhere this process draws everything.
CAN_COPY = sys.platform == "linux"


@dataclass(frozen=True)
class PicturePlan:
    """All pictures of a report: ``FOLDER/STEM-NAME.png``, a stem a group."""

    groups: Sequence[Group]
    stems: Sequence[str]
    folder: Path

    def draw(self, group: int, name: str) -> list[Path]:
        """Save one picture; give its files, none where the group has no data for it."""
        with matplotlib.rc_context(STYLE):
            figure = FIGURES[name](self.groups[group])
            if figure is None:
                return []
            stem = self.folder / f"{self.stems[group]}-{name}"
            endings = ENDINGS.get(name, ("png", "svg"))
            return save_figure(figure, stem, endings, MESSAGES[name](self.groups[group]))


class Drawing:
    """Draws while the caller does something else: ``with Drawing(plan) as drawing: ...; drawing.finish()``.

    The files are the same however many processes draw them. processes: beside this one; None: as many as pay.
    """

    def __init__(self, plan: PicturePlan, processes: int | None = None) -> None:
        self._plan = plan
        self._pieces = [(group, name) for name in FIGURES for group in range(len(plan.groups))]
        self._futures: dict[tuple[int, str], Future[list[Path]]] = {}
        count = worthwhile(plan) if processes is None else processes
        if not count:
            return
        others = set(active_children())
        # What the initializer is given is copied with the process, so records need not be sent.
        self._pool = ProcessPoolExecutor(count, get_context("fork"), _take, (plan,))
        self._futures = {piece: self._pool.submit(_draw, *piece) for piece in self._pieces}
        self._helpers = set(active_children()) - others

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._futures:
            return
        for helper in self._helpers if kind else ():
            helper.terminate()  # nobody is left who wants its pictures
        self._pool.shutdown(cancel_futures=True)

    def finish(self) -> list[dict[str, list[Path]]]:
        """Of each group ``{name: [png, svg]}`` in the order of `PICTURES`; draws with the others what is left.

        Raises BenchError where one of them ends on the way, and whatever drawing raises there.
        """
        drawn = {piece: self._plan.draw(*piece) for piece in self._pieces if self._is_left(piece)}
        try:
            drawn |= {piece: future.result() for piece, future in self._futures.items() if piece not in drawn}
        except BrokenProcessPool as error:
            raise BenchError(
                "a process that drew pictures of the report crashed or was ended, most often because memory ran out: "
                "run the command again with more memory free"
            ) from error
        groups = range(len(self._plan.groups))
        return [{name: paths for name in PICTURES if (paths := drawn[group, name])} for group in groups]

    def _is_left(self, piece: tuple[int, str]) -> bool:
        """Whether no other process has taken it; none takes it after this."""
        return piece not in self._futures or self._futures[piece].cancel()


def worthwhile(plan: PicturePlan) -> int:
    """How many processes to start beside this one; none where a copy of it would be missing its threads."""
    if not CAN_COPY or active_count() > 1:
        return 0
    return min(cpu_count() - 1, sum(len(group.entries) for group in plan.groups) // RECORDS_A_PROCESS)


_plans: list[PicturePlan] = []  # of a helping process


def _take(plan: PicturePlan) -> None:
    """In a helping process: what it draws."""
    _plans[:] = [plan]


def _draw(group: int, name: str) -> list[Path]:
    """In a helping process: one picture."""
    return _plans[0].draw(group, name)
