"""What a user is told on the way: bars on a terminal, a line from time to time in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

WIDE = 118  # columns of a terminal that has room for words behind the time left
LINE_EVERY = 20.0  # seconds between lines where there is no terminal


def first_few(words: Sequence[str], most: int = 5, separator: str = ", ") -> str:
    """The first of some words, and how many more there are: ``a, b, c and 4 more``."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more


class Bar:
    """One task's progress. `advance` counts; `note` shows a few words behind the bar."""

    def __init__(self, console: Console, name: str, total: int, progress: Progress | None) -> None:
        self.console, self.name, self.total, self.progress = console, name, total, progress
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
        elif time.monotonic() - self.last_line > LINE_EVERY and self.done < self.total:
            self.last_line = time.monotonic()
            self._line(f"{self.done}/{self.total} {self.words}".rstrip() + f", {self._left()} left")

    def note(self, words: str) -> None:
        """Show `words` behind the bar from the next `advance` on."""
        self.words = words

    def _left(self) -> str:
        taken = (self.last_line - self.started) / max(self.done - self.first, 1)
        seconds = taken * (self.total - self.done)
        return f"{seconds / 60:.1f} min" if seconds > 90 else f"{seconds:.0f} s"

    def _line(self, text: str) -> None:
        self.console.print(f"{self.name}: {text}", highlight=False, markup=False, soft_wrap=True)


class Reporter:
    """Reports what stages do; silent on every rank but the main one."""

    def __init__(self, console: Console | None = None, silent: bool = False) -> None:
        self.console = console or Console(stderr=True, quiet=silent)

    def say(self, text: str) -> None:
        """Plain text, on a terminal in lines of its width, in a file in one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Bar]:
        """A progress bar over `total` steps; ends with a line of the time it took."""
        columns = (TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn())
        times = (TimeRemainingColumn(), TextColumn("left"))
        words = (TextColumn("{task.fields[words]}", markup=False),) if self.console.width >= WIDE else ()
        shown = Progress(*columns, *times, *words, console=self.console, transient=True)
        with shown if self.console.is_terminal else nullcontext() as progress:
            bar = Bar(self.console, name, total, progress)
            yield bar
        bar._line(f"{bar.done} done in {time.monotonic() - bar.started:.1f} s {bar.words}".rstrip())
