"""Numbers as the tables print them, and lists as sentences do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.types import Format

NOTHING = "–"
ROUNDING = 1e-9  # relative to 1 or to the larger number: numbers that are closer are one number


def exceeds(value: float, bar: float) -> bool:
    """Whether a number is above another one by more than rounding, so that .1 is not above .09999999999999998."""
    return value - bar > ROUNDING * max(1.0, abs(value), abs(bar))


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


def digits_of_errors(format_: Format) -> int:
    """Of what stands beside a value: a share's digits are decimals, a size's are figures."""
    return 3 if format_ == "share" else 2


def value_and_error(score: ScoreRecord) -> tuple[str, str]:
    """A score as its card formats it, and its error: ``[.30, .43]`` or ``± .12``; empty where it is exact."""
    card = score.card
    value = number(card.factor * score.value, card.format, 3)
    is_exact = score.interval == (score.value, score.value)
    if card.error == "interval" and score.interval is not None and not is_exact:
        bounds = _outwards(score.interval, card.factor, card.format)
        low, high = (number(bound, card.format, 2) for bound in bounds)
        return value, f"[{low}, {high}]"
    if card.error != "none" and score.spread is not None:
        return value, f"± {number(card.factor * score.spread, card.format, digits_of_errors(card.format))}"
    return value, ""


def _outwards(interval: tuple[float, float], factor: float, format_: Format) -> tuple[float, float]:
    """An interval's bounds as they are rounded; halves of ranks outwards, so that 26.5 is not outside [24, 26.5]."""
    low, high = (factor * bound for bound in interval)
    if format_ == "rank":  # n - .5 is rounded to an even number
        low, high = low - 0.01, high + 0.01
    return low, high


def with_interval(score: ScoreRecord) -> str:
    """``.365 (.300 to .430)``; the value alone where there is no interval."""
    card = score.card
    numbers = [
        number(card.factor * value, card.format, 3) for value in (score.value, *(score.interval or ()))
    ]
    return f"{numbers[0]} ({numbers[1]} to {numbers[2]})" if score.interval else numbers[0]


def listed(labels: Sequence[str]) -> str:
    """Labels in one line, told apart also where one of them holds a comma."""
    return ("; " if any("," in label for label in labels) else ", ").join(labels)


def and_list(words: Iterable[str], last: str = " and ") -> str:
    """``a, b and c``."""
    *first, end = list(words) or [""]
    return f"{', '.join(first)}{last}{end}" if first else end


def _exponent(value: float) -> int:
    """The power of ten of the leading figure."""
    return int(f"{value:e}".split("e")[1])


def _without_leading_zero(text: str) -> str:
    """``-0.365`` -> ``-.365``; a negative zero loses its sign."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    if not digits.strip("0."):
        sign = ""
    return sign + (digits[1:] if digits.startswith("0.") else digits)
