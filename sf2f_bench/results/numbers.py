"""Numbers as the tables print them, and lists as sentences do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sf2f_bench.results.records import ScoreRecord

Format = Literal["share", "rank", "size"]
Error = Literal["interval", "spread", "none"]
NOTHING = "–"


def number(value: float, format_: Format, digits: int) -> str:
    """One number: a share as ``.365``, a rank as ``14.5`` or ``14``, a size with `digits` figures."""
    if format_ == "share":
        if round(abs(value), digits) >= 1:  # as wide as the others: "1.00" beside ".365"
            return f"{value:.{digits - 1}f}"
        return _without_leading_zero(f"{value:.{digits}f}")
    if format_ == "rank":
        return f"{value:.{max(0, digits - 2)}f}".removesuffix(".0")
    if value == 0:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e5:
        return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e")
    decimals = max(0, digits - 1 - _exponent(value))
    return _without_leading_zero(f"{value:.{decimals}f}")


def cell(score: ScoreRecord | None, format_: Format, error: Error = "interval", factor: float = 1.0) -> str:
    """A score times `factor` as ``.365 [.30, .43]`` or ``3.21 ± .12``, alone where it is exact; a dash for none."""
    if score is None:
        return NOTHING
    value = number(factor * score.value, format_, 3)
    exact = score.interval == (score.value, score.value)
    if error == "interval" and score.interval is not None and not exact:
        low, high = (number(factor * bound, format_, 2) for bound in score.interval)
        return f"{value} [{low}, {high}]"
    if error != "none" and score.spread is not None:
        digits = 3 if format_ == "share" else 2  # a share's digits are decimals, a size's are figures
        return f"{value} ± {number(factor * score.spread, format_, digits)}"
    return value


def _exponent(value: float) -> int:
    """The power of ten of the leading figure."""
    return int(f"{value:e}".split("e")[1])


def _without_leading_zero(text: str) -> str:
    """``-0.365`` -> ``-.365``; a negative zero loses its sign."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    if not digits.strip("0."):
        sign = ""
    return sign + (digits[1:] if digits.startswith("0.") else digits)


def first_few(words: Sequence[str], most: int, separator: str = ", ") -> str:
    """The first of some words, and how many more there are: ``a, b, c and 4 more``."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more
