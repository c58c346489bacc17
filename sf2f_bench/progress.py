"""What a user is told on the way: one live view on a terminal, a line from time to time in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

WIDE = 118  # columns of a terminal that has room for words behind the time left
TRAIN = "train "  # the first word of what trains a system
LINE_EVERY = 20.0  # seconds between lines where there is no terminal


def first_few(words: Sequence[str], most: int = 5, separator: str = ", ") -> str:
    """The first of some words, and how many more there are: ``a, b, c and 4 more``."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more


@dataclass
class Followed:
    """One system in the live view. steps: of the stage that is trained; recall: of the newest validation."""

    steps: str = ""
    recall: str = ""
    left: str = "waiting"


class View:
    """All systems of a run and how far each is, with the bar of what is done just now below."""

    def __init__(self, names: Sequence[str]) -> None:
        self.systems = {name: Followed() for name in names}
        self.current: Followed | None = None
        self.progress: Progress | None = None

    def __rich__(self) -> Group:
        """The table and the bar, as they are now."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for heading in ("system", "steps", "validation\nrecall@10", "time left"):
            table.add_column(heading, no_wrap=True)
        for name, row in self.systems.items():
            style = "bold" if row is self.current else "" if row.left != "waiting" else "dim"
            table.add_row(*(Text(text, style) for text in (name, row.steps, row.recall, row.left)))
        return Group(table, self.progress or Text())

    @contextmanager
    def system(self, name: str) -> Iterator[None]:
        """While a system is trained, generates its faces and is scored."""
        row, started = self.systems.setdefault(name, Followed()), time.monotonic()
        self.current, row.left = row, ""
        try:
            yield
        finally:
            row.left, self.current = f"took {duration(time.monotonic() - started)}", None


def duration(seconds: float) -> str:
    """``3.2 min``, or ``45 s`` for what is short."""
    return f"{seconds / 60:.1f} min" if seconds > 90 else f"{seconds:.0f} s"


class Bar:
    """One task's progress. `advance` counts; `note` shows a few words behind the bar, `score` a validation's recall."""

    def __init__(
        self, console: Console, name: str, total: int, progress: Progress | None, view: View | None = None
    ) -> None:
        self.console, self.name, self.total, self.progress = console, name, total, progress
        self.row = view.current if view else None
        self.done, self.first, self.words, self.started = 0, 0, "", time.monotonic()
        self.last_line = self.started
        self.task = progress.add_task(name, total=total, words="") if progress else None

    def resume(self, done: int) -> None:
        """Begin where an interrupted task ended: what was done before says nothing about the time that is left."""
        self.done = self.first = done
        if self.progress and self.task is not None:
            self.progress.reset(self.task, completed=done)

    def advance(self, count: int = 1) -> None:
        """Count `count` more steps as done."""
        self.done += count
        if self.progress and self.task is not None:
            self.progress.update(self.task, completed=self.done, words=self.words)
            self._follow()
        elif time.monotonic() - self.last_line > LINE_EVERY and self.done < self.total:
            self.last_line = time.monotonic()
            self._line(f"{self.done}/{self.total} {self.words}".rstrip() + f", {self._left()} left")

    def score(self, recall: str) -> None:
        """Show the recall@10 of a validation, ``0.45 (chance 0.10)``."""
        if self.row:
            self.row.recall = recall

    def _follow(self) -> None:
        """Take the steps of a training, and the time that is left of them, into the live view."""
        if self.row and self.name.startswith(TRAIN):
            self.row.steps, self.row.left = f"{self.done}/{self.total}", self._left()

    def note(self, words: str) -> None:
        """Show `words` behind the bar from the next `advance` on."""
        self.words = words

    def _left(self) -> str:
        taken = (time.monotonic() - self.started) / max(self.done - self.first, 1)
        return duration(taken * (self.total - self.done))

    def _line(self, text: str) -> None:
        self.console.print(f"{self.name}: {text}", highlight=False, markup=False, soft_wrap=True)


class Reporter:
    """Reports what stages do; silent on every rank but the main one."""

    def __init__(self, console: Console | None = None, silent: bool = False) -> None:
        self.console = console or Console(stderr=True, quiet=silent)
        self.view: View | None = None

    def say(self, text: str) -> None:
        """Plain text, on a terminal in lines of its width, in a file in one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

    @contextmanager
    def follow(self, systems: Sequence[str]) -> Iterator[None]:
        """On a terminal a live view of these systems, until the end; in a log nothing."""
        if not self.console.is_terminal or not systems:
            yield
            return
        self.view = View(systems)
        try:
            with Live(self.view, console=self.console, transient=True):
                yield
        finally:
            self.view = None

    @contextmanager
    def system(self, name: str) -> Iterator[None]:
        """While one of the systems that `follow` names is trained and scored."""
        with self.view.system(name) if self.view else nullcontext():
            yield

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Bar]:
        """A progress bar over `total` steps; ends with a line of the time it took."""
        columns = (TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn())
        times = (TimeRemainingColumn(), TextColumn("left"))
        words = (TextColumn("{task.fields[words]}", markup=False),) if self.console.width >= WIDE else ()
        shown = Progress(*columns, *times, *words, console=self.console, transient=True)
        if self.view:
            self.view.progress = shown
            bar = Bar(self.console, name, total, shown, self.view)
            try:
                yield bar
            finally:
                self.view.progress = None
        else:
            with shown if self.console.is_terminal else nullcontext() as progress:
                bar = Bar(self.console, name, total, progress)
                yield bar
        bar._line(f"{bar.done} done in {time.monotonic() - bar.started:.1f} s {bar.words}".rstrip())
