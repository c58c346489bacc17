"""How a list of checks is run, what a failed one says, and the expectations that several checks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from sf2f_bench.types import BenchError, Unavailable

Subject = TypeVar("Subject")
# Of a field: whether a value is right, what is expected, the remedy.
Rule = tuple[Callable[[Any], bool], str, str]


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


def expect(holds: bool, expected: str, came: object, remedy: str) -> None:
    """Raise BenchError with the other three unless `holds`."""
    if not holds:
        raise BenchError(f"expected {expected}, got {came}; {remedy}.")


def expect_array(array: object, what: str, dtype: str, shape: Sequence[int | str], remedy: str) -> None:
    """Expect an array or a tensor of this type and shape; a word in `shape`, such as "frames", allows any length."""
    kind = str(getattr(array, "dtype", type(array).__name__)).removeprefix("torch.")
    sizes = [*getattr(array, "shape", ())]
    right = len(sizes) == len(shape) and all(
        isinstance(wanted, str) or size == wanted for size, wanted in zip(sizes, shape, strict=True)
    )
    expected = f"{what} {dtype} [{', '.join(map(str, shape))}]"
    expect(right and kind == dtype, expected, f"{kind} {sizes}", remedy)


def expect_finite(array: Any, what: str, remedy: str) -> None:
    """Expect an array or a tensor without NaN and infinity."""
    expect(bool(np.isfinite(np.asarray(array)).all()), f"finite {what}", "NaN or infinity", remedy)


def expect_error(call: Callable[[], object], what: str, remedy: str) -> None:
    """Expect BenchError from a call with a wrong argument, `what`."""
    try:
        result = call()
    except BenchError:
        return
    expect(False, f"BenchError for {what}", type(result).__name__, remedy)


def expect_fields(owner: Any, prefix: str, rules: Mapping[str, Rule]) -> None:
    """Expect of each field of `owner` what its rule says; messages name it by prefix and field, "card.version"."""
    for field, (is_right, expected, remedy) in rules.items():
        value = getattr(owner, field, None)
        expect(is_right(value), f"{prefix}{field} {expected}", repr(value), remedy)


def expect_card(card: object, kind: type, rules: Mapping[str, Rule]) -> None:
    """Expect a card of this class whose fields keep these rules, and the others what their types ask."""
    remedy = f"see sf2f_bench.types.{kind.__name__}"
    expect(isinstance(card, kind), f"card to be of class {kind.__name__}", type(card).__name__, remedy)
    expect_fields(card, "card.", {**rules_by_type(kind), **rules})


def rules_by_type(kind: type) -> dict[str, Rule]:
    """Of the fields of a class that are strings, whole numbers, flags, or one of a few words."""
    found: dict[str, Rule] = {}
    for name, hint in get_type_hints(kind).items():
        if get_origin(hint) is Literal:
            found[name] = one_of(get_args(hint))
        elif hint in (str, int, bool):
            found[name] = {str: TEXT, int: WHOLE, bool: FLAG}[hint]
    return found


# ---------------------------------------------------------------- rules of fields


def is_word(text: object) -> bool:
    """Whether this is a string that is not blank."""
    return isinstance(text, str) and bool(text.strip())


def is_whole(value: object) -> bool:
    """Whether this is a whole number; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def one_of(values: Sequence[object]) -> Rule:
    """The rule of a field that has one of a few values."""
    return values.__contains__, f"to be one of {', '.join(map(repr, values))}", "choose one"


WORDS: Rule = (is_word, "to say something", "fill it in")
TEXT: Rule = (lambda value: isinstance(value, str), "to be a string", "leave it out or put words there")
FLAG: Rule = (lambda value: type(value) is bool, "to be True or False", "decide which")
WHOLE: Rule = (is_whole, "to be a whole number", "use a plain int")
