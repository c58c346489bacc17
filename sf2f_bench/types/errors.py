"""The errors that a user meets."""

from __future__ import annotations

from typing import ClassVar


class BenchError(Exception):
    """A wrong input: the message says what was expected, what came and what to do.

    The command line prints the message alone and exits with `exit_code`.
    """

    exit_code: ClassVar[int] = 2


class MediaError(BenchError):
    """One recording or photo that cannot be used; `prepare` lists it and goes on."""


class Unavailable(BenchError):  # noqa: N818 - a state of this machine, not a fault
    """An optional network's weights or package are not installed.

    What needs them is left out, the table says why, and nothing is used instead. reason: the message as a record
    may keep it, without the folders of this machine.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message
