"""How a list of checks is run, and what a failed one says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sf2f_bench.types import BenchError, Unavailable

Subject = TypeVar("Subject")


def expect(holds: bool, expected: str, came: object, remedy: str) -> None:
    """Raise BenchError with all three unless it holds."""
    if not holds:
        raise BenchError(f"expected {expected}, got {came}; {remedy}.")


def run_checks(name: str, checks: Sequence[Callable[[Subject], None]], subject: Subject) -> None:
    """Run them in order. Raises BenchError that names the first failed check; Unavailable passes as it is."""
    for check in checks:
        title = check.__name__.replace("_", " ")
        try:
            check(subject)
        except Unavailable:
            raise
        except BenchError as error:
            raise BenchError(f"{name}, check '{title}': {error}") from error
        except Exception as error:
            rule = (check.__doc__ or "").partition("\n")[0]
            raise BenchError(
                f"{name}, check '{title}': expected that it passes ({rule}), got {type(error).__name__}: {error}; "
                "the traceback above shows the line."
            ) from error


def is_word(text: object) -> bool:
    """Is it a string with something in it?"""
    return isinstance(text, str) and bool(text.strip())
