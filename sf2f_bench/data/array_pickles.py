"""NumPy arrays from a stranger's pickle, read without importing, calling or filling anything that it names.

The instructions are carried out here, on plain values. Where a pickle rebuilds an array, what it says of the array
is noted in a `PickledArray`, which does nothing; `PickledArray.build` checks it and makes the array from its bytes.
Memory and time follow the size of the file, whatever lengths and numbers it announces.
"""

from __future__ import annotations

import codecs
import io
import math
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

MOST_INSTRUCTIONS = 100_000  # a feature file has about 60, the published ResNet-50 of VGGFace2 about 10,000
MOST_DIMENSIONS = 32
LONGEST_SIDE = 2**31
SHOWN = 80  # characters of a stranger's name in a message
NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"})
PLAIN_STATE = (None, None, None, -1, -1, 0)  # of a dtype: no sub-array, names, fields, size, alignment, flags

# ---------------------------------------------------------------- stand-ins


@dataclass(eq=False)
class PickledDtype:
    """What a pickle says of a `numpy.dtype`; nothing is believed before `build`."""

    code: object  # "f8"
    state: object = None

    def build(self) -> np.dtype[Any]:
        """The dtype of a plain number in its byte order. Raises UnpicklingError for any other."""
        if not isinstance(self.code, str) or self.code not in NUMBERS:
            raise UnpicklingError(f"it holds an array of {_shown(self.code)}, expected plain numbers")
        match self.state:
            case (3, "<" | ">" as order, *rest) if tuple(rest) == PLAIN_STATE:
                return np.dtype(order + self.code)
            case (3, "|", *rest) if tuple(rest) == PLAIN_STATE and self.code.endswith("1"):
                return np.dtype(self.code)
        raise UnpicklingError(f"its array of {self.code} has a type that is not of plain numbers")


@dataclass(eq=False)
class PickledArray:
    """What a pickle says of an array or a NumPy scalar; nothing is believed before `build`."""

    shape: object = None
    dtype: object = None
    fortran: object = False  # is the first index the fastest?
    raw: object = None  # bytes, or the text of the same code points, as Python 2 and protocol 2 have them

    @property
    def kind(self) -> str:
        """The first letter of the dtype: "f" for floats; "" where it has none."""
        code = self.dtype.code if isinstance(self.dtype, PickledDtype) else None
        return code[:1] if isinstance(code, str) else ""

    def build(self) -> NDArray[Any]:
        """The array, on the pickle's own bytes. Raises UnpicklingError unless they are exactly its numbers."""
        if not isinstance(self.dtype, PickledDtype):
            raise UnpicklingError("it holds an array without a type")
        dtype, shape = self.dtype.build(), _checked_shape(self.shape)
        raw = self.raw.encode("latin-1") if isinstance(self.raw, str) else self.raw
        if not isinstance(raw, bytes | bytearray) or not isinstance(self.fortran, bool | int):
            raise UnpicklingError("it holds an array without the bytes of its numbers")
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise UnpicklingError(f"it holds {len(raw)} bytes for an array {list(shape)} of {dtype}")
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if self.fortran else "C")

    def fill(self, state: object) -> None:
        """Note what a pickle hands to `ndarray.__setstate__`."""
        match state:
            case (1, shape, dtype, fortran, raw):
                self.shape, self.dtype, self.fortran, self.raw = shape, dtype, fortran, raw
            case _:
                raise UnpicklingError("it holds an array that is not described as NumPy does it")


def _checked_shape(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or len(shape) > MOST_DIMENSIONS:
        raise UnpicklingError("it holds an array without a shape")
    if not all(isinstance(side, int) and 0 <= side < LONGEST_SIDE for side in shape):
        raise UnpicklingError("it holds an array with an impossible shape")
    return shape


def _from_buffer(raw: object, dtype: object, shape: object, order: object) -> PickledArray:
    if order not in ("C", "F"):
        raise UnpicklingError("it holds an array in an order that is neither C nor F")
    return PickledArray(shape, dtype, order == "F", raw)


def _latin1(text: object, encoding: object) -> object:
    """The text stands for its bytes, which are made when an array is: a pickle may ask for them many times."""
    if encoding != "latin1":
        raise UnpicklingError(f"it asks for the encoding {_shown(encoding)}, which an array does not need")
    return text


def _ordered(pairs: object = None) -> dict[str, Any]:
    """OrderedDict(), or that of Python 2's list of pairs, which is emptied: a memo may hand it over many times."""
    if pairs is None:
        return {}
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise UnpicklingError("it makes an OrderedDict of what are no pairs")
    items = [item for pair in pairs for item in pair]
    pairs.clear()
    return _filled({}, items)


NUMPY_MODULES = (
    "numpy",
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "numpy.core.numeric",
    "numpy._core.numeric",
)
NUMPY: dict[str, object] = {
    "ndarray": None,  # the argument of _reconstruct
    "dtype": lambda code, align, copy: PickledDtype(code),
    "scalar": lambda dtype, raw: PickledArray((), dtype, False, raw),
    "_reconstruct": lambda kind, shape, code: PickledArray(),
    "_frombuffer": _from_buffer,
}
NAMES: dict[tuple[str, str], object] = {
    **{(module, name): stand_in for module in NUMPY_MODULES for name, stand_in in NUMPY.items()},
    ("_codecs", "encode"): _latin1,
    ("codecs", "encode"): _latin1,
    ("collections", "OrderedDict"): _ordered,
}

# ---------------------------------------------------------------- instructions

OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def load_arrays(content: bytes) -> Any:
    """What a pickle of any protocol holds, with a `PickledArray` for each array and NumPy scalar.

    Strings of Python 2 are read as Latin-1. Raises UnpicklingError for a pickle that is damaged, and for one that
    names or does anything that dicts, lists, tuples, plain values and arrays do not need.
    """
    machine = _Machine()
    try:
        for name, argument in _instructions(io.BytesIO(content)):
            if name == "STOP":
                (value,) = machine.last(1)
                return value
            machine.carry_out(name, argument)
    except UnpicklingError:
        raise
    except Exception as error:  # what damaged bytes can raise in `pickletools` and here has no end
        raise UnpicklingError(f"it is damaged: {_shown(str(error))}") from error
    raise UnpicklingError(f"it has more than {MOST_INSTRUCTIONS:,} instructions")


def _instructions(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """(name, argument) of each instruction, as `pickletools` knows them. Reading past the end raises ValueError."""
    for _ in range(MOST_INSTRUCTIONS):
        code = stream.read(1)
        if not code:
            raise UnpicklingError("it is cut short")
        opcode = OPCODES.get(code.decode("latin-1"))
        if opcode is None:
            raise UnpicklingError("it is no pickle")
        read: Callable[[BinaryIO], Any] | None = opcode.arg.reader if opcode.arg else None
        if opcode.name == "STRING":
            read = _quoted
        yield opcode.name, read(stream) if read else None


def _quoted(stream: BinaryIO) -> str:
    """The argument of STRING, Python 2's bytes: `pickletools` reads ASCII alone."""
    line = stream.readline()
    if len(line) < 3 or line[-1:] != b"\n" or line[:1] not in (b"'", b'"') or line[:1] != line[-2:-1]:
        raise UnpicklingError("it holds a string without its quotes")
    return codecs.escape_decode(line[1:-2])[0].decode("latin-1")


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.under: list[list[Any]] = []  # the stack below each mark
        self.memo: dict[int, Any] = {}

    def carry_out(self, name: str, argument: Any) -> None:
        """One instruction. Raises UnpicklingError for one that arrays do not need."""
        match name:
            case "PROTO" | "FRAME":
                pass
            case "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1" | "LONG4" | "FLOAT" | "BINFLOAT":
                self.stack.append(argument)
            case "STRING" | "BINSTRING" | "SHORT_BINSTRING":
                self.stack.append(argument)
            case "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                self.stack.append(argument)
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                self.stack.append(argument)
            case _ if name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            case "EMPTY_LIST":
                self.stack.append([])
            case "EMPTY_DICT":
                self.stack.append({})
            case "MARK":
                self.under.append(self.stack)
                self.stack = []
            case "LIST":
                self._push_marked(list)
            case "TUPLE":
                self._push_marked(tuple)
            case "DICT":
                self._push_marked(lambda items: _filled({}, items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple(self.last(int(name[-1]))))
            case "APPEND":
                self._extend(self.last(1))
            case "APPENDS":
                self._extend(self._marked())
            case "SETITEM":
                self._set(self.last(2))
            case "SETITEMS":
                self._set(self._marked())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "GLOBAL":
                self.stack.append(_named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                self.stack.append(_named(*self.last(2)))
            case "REDUCE":
                function, arguments = self.last(2)
                self.stack.append(_called(function, arguments))
            case "BUILD":
                (state,) = self.last(1)
                _fill(self.stack[-1], state)
            case _:
                raise UnpicklingError(f"it uses the instruction {name}, which arrays do not need")

    def last(self, count: int) -> list[Any]:
        """Take so many values off the stack."""
        if len(self.stack) < count:
            raise UnpicklingError("it is damaged: a value is missing")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _marked(self) -> list[Any]:
        """The values since the last mark."""
        items, self.stack = self.stack, self.under.pop()
        return items

    def _push_marked(self, make: Callable[[list[Any]], Any]) -> None:
        items = self._marked()
        self.stack.append(make(items))

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise UnpicklingError("it is damaged: it adds to what is no list")
        target.extend(items)

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise UnpicklingError("it is damaged: it sets an entry of what is no dict")
        _filled(target, items)


def _filled(target: dict[str, Any], items: list[Any]) -> dict[str, Any]:
    """The dict with items, key and value in turn. Keys are names: hashing a deep tuple overflows the C stack."""
    keys = items[::2]
    if not all(isinstance(key, str) for key in keys):
        raise UnpicklingError("it holds a dict with keys that are no names")
    target.update(zip(keys, items[1::2], strict=True))
    return target


def _named(module: object, name: object) -> object:
    """The stand-in for what a pickle names: the only place where a name means anything."""
    if isinstance(module, str) and isinstance(name, str) and (module, name) in NAMES:
        return NAMES[module, name]
    raise UnpicklingError(
        f"it names {_shown(module)}.{_shown(name)}, which arrays do not need and which could run code"
    )


def _called(function: object, arguments: object) -> object:
    if not callable(function) or not isinstance(arguments, tuple):
        raise UnpicklingError("it is damaged: it calls what cannot be called")
    return function(*arguments)


def _fill(target: object, state: object) -> None:
    if isinstance(target, PickledArray):
        target.fill(state)
    elif isinstance(target, PickledDtype):
        target.state = state
    else:
        raise UnpicklingError("it gives a state to what is neither an array nor a type of numbers")


def _shown(name: object) -> str:
    """A stranger's text, short and without what a terminal would obey."""
    return ascii(name[:SHOWN])[1:-1] if isinstance(name, str) else f"a {type(name).__name__}"
