"""Feature files by a stranger: whatever their bytes, the reader gives the right array or refuses the file by name."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf2f_bench.data.mel_pickles import MOST_BYTES, read_mel_pickle
from sf2f_bench.types import MediaError

if sys.platform != "linux":
    pytest.skip("the reader's memory is limited through /proc", allow_module_level=True)

from pickle_reader import Reader

FEATURES = np.random.RandomState(0).randn(40, 6)
CONTENT = {"LogMel_Features": FEATURES, "spkid": "id00001", "clipid": "clip", "wavid": "00001"}
RECONSTRUCT = ("numpy.core.multiarray", "_reconstruct")
ARRAY, DTYPE, SCALAR = ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy._core.multiarray", "scalar")


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    made = Reader(tmp_path_factory.mktemp("reader"))
    yield made
    made.close()


class Python2(pickle._Pickler):
    """Writes what Python 2's pickle.dump writes: str and bytes are both its byte strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        raw = value.encode("latin-1") if isinstance(value, str) else value
        if not self.bin:
            self.write(b"S" + repr(raw)[1:].encode() + b"\n")
        elif len(raw) < 256:
            self.write(b"U" + struct.pack("<B", len(raw)) + raw)
        else:
            self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def python_2(content, protocol):
    stream = io.BytesIO()
    Python2(stream, protocol).dump(content)
    return stream.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


VALID = {
    **{f"protocol {number}": pickle.dumps(CONTENT, number) for number in range(6)},
    **{f"Python 2, protocol {number}": python_2(CONTENT, number) for number in range(3)},
}


@pytest.mark.parametrize("name", VALID)
def test_every_protocol_of_both_pythons_is_read(reader, name):
    np.testing.assert_array_equal(reader.read(VALID[name]), FEATURES.astype(np.float32))


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_every_float_byte_order_and_layout_is_read(reader, dtype, order, protocol):
    features = np.asarray(FEATURES, dtype, order=order)
    expected = features.astype(np.float32)
    for content in (features, np.asarray(features)):
        found = reader.read(pickle.dumps({"LogMel_Features": content}, protocol))
        np.testing.assert_array_equal(found, expected)
    features.setflags(write=False)
    np.testing.assert_array_equal(
        reader.read(pickle.dumps({"LogMel_Features": features}, protocol)), expected
    )


def test_numpy_scalars_and_other_entries_do_not_matter(reader):
    content = CONTENT | {"frames": np.int64(6), "name": np.str_("x"), "more": [1, {"a": (2.5, None, True)}]}
    np.testing.assert_array_equal(reader.read(pickle.dumps(content)), FEATURES.astype(np.float32))


# ---------------------------------------------------------------- crafted by hand


class Code(bytes):
    """Instructions, where other bytes are a value."""


def spelled(value):
    """The instructions that push a value."""
    match value:
        case Code():
            return value
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"L%dL\n" % value
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            raw = value.encode("utf-8", "surrogatepass")
            return b"X" + struct.pack("<I", len(raw)) + raw
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case tuple():
            return b"(" + b"".join(map(spelled, value)) + b"t"
        case list():
            return b"](" + b"".join(map(spelled, value)) + b"e"
        case dict():
            return b"}(" + b"".join(spelled(part) for item in value.items() for part in item) + b"u"
    raise TypeError(value)


def named(module, name):
    return Code(f"c{module}\n{name}\n".encode())


def called(function, *arguments):
    return Code(named(*function) + spelled(arguments) + b"R")


def built(made, state):
    return Code(made + spelled(state) + b"b")


def dtype_of(code, *state):
    return built(called(DTYPE, code, 0, 1), state)


def double():
    return dtype_of("f8", 3, "<", None, None, None, -1, -1, 0)


def array_of(dtype, shape=(40, 1), raw=bytes(320), fortran=False):
    return built(called(RECONSTRUCT, named(*ARRAY), (0,), b"b"), (1, shape, dtype, fortran, raw))


def file_with(value):
    return spelled({"LogMel_Features": value}) + b"."


def objects_in_bytes():
    """The finding: raw bytes taken for pointers to Python objects, which NumPy counts and frees."""
    objects = dtype_of("O8", 3, "|", None, None, None, -1, -1, 63)
    fields = dtype_of("V8", 3, "|", None, ("a",), {"a": (objects, 0)}, 8, 1, 1)
    return array_of(fields, (40, 1), b"\x41" * 320)


def test_a_plain_file_made_by_hand_is_read(reader):
    assert reader.read(file_with(array_of(double()))).shape == (40, 1)


CRAFTED = {
    "objects in a field": objects_in_bytes(),
    "objects": array_of(dtype_of("O8", 3, "|", None, None, None, -1, -1, 63)),
    "a field of objects called f8": array_of(
        dtype_of("f8", 3, "<", None, ("a",), {"a": (double(), 0)}, 8, 1, 1)
    ),
    "a size of its own": array_of(dtype_of("f8", 3, "<", None, None, None, 4096, -1, 0)),
    "flags": array_of(dtype_of("f8", 3, "<", None, None, None, -1, -1, 1)),
    "a sub-array": array_of(dtype_of("f8", 3, "<", (double(), (2**40,)), None, None, -1, -1, 0)),
    "no state": array_of(called(DTYPE, "f8", 0, 1)),
    "metadata": array_of(dtype_of("f8", 4, "<", None, None, None, -1, -1, 0, {})),
    "a byte order of nowhere": array_of(dtype_of("f8", 3, "x", None, None, None, -1, -1, 0)),
    "long double": array_of(dtype_of("f16", 3, "<", None, None, None, -1, -1, 0), (20, 1)),
    "a dtype by its letters": array_of(called(DTYPE, "f8,O", 0, 1)),
    "a dtype that is a text": array_of("f8"),
    "too many numbers": array_of(double(), (40, 2)),
    "too few numbers": array_of(double(), (40, 1), bytes(328)),
    "far too many numbers": array_of(double(), (2**40, 2**40)),
    "a negative side": array_of(double(), (-40, -1)),
    "a product that wraps": array_of(double(), (2**32, 2**32, 40)),
    "sides of a thousand digits": array_of(double(), (10**1000, 10**1000, 0)),
    "a shape of text": array_of(double(), "40"),
    "a thousand sides": array_of(double(), (1,) * 1000),
    "a list of numbers": array_of(double(), (40, 1), [0.0] * 40),
    "text beyond Latin-1": array_of(double(), (40, 1), "\u0141" * 320),
    "an order of text": array_of(double(), fortran="F"),
    "a state of another length": built(called(RECONSTRUCT, named(*ARRAY), (0,), b"b"), (1, (40, 1))),
    "a scalar": called(SCALAR, double(), bytes(8)),
    "an array without state": called(RECONSTRUCT, named(*ARRAY), (0,), b"b"),
    "the class of arrays, called": called(ARRAY, (40, 1)),
    "a class as features": named(*ARRAY),
    "a state for a class": built(named(*DTYPE), {"x": 1}),
    "a state for a function": built(named(*RECONSTRUCT), (None, {"__defaults__": (1,)})),
    "a buffer in no order": called(("numpy", "_frombuffer"), bytes(320), double(), (40, 1), "K"),
    "a buffer of more": called(("numpy", "_frombuffer"), bytes(320), double(), (2**60, 2**60), "C"),
    "another encoding": called(("_codecs", "encode"), "x", "unicode_escape"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_what_is_no_plain_array_is_refused_and_nothing_dies(reader, name):
    assert isinstance(reader.read(file_with(CRAFTED[name])), str)
    reader.read(VALID["protocol 4"])  # what was freed late would kill it here


def test_the_finding_kills_a_plain_unpickler(tmp_path):
    """Otherwise the test above would show nothing."""
    path = tmp_path / "crafted.pickle"
    path.write_bytes(file_with(objects_in_bytes()))
    code = f"import pickle, gc; a = pickle.load(open({str(path)!r}, 'rb')); del a; gc.collect()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode < 0


@pytest.mark.parametrize(
    "name", ["builtins.eval", "numpy.load", "numpy.core.multiarray.fromfile", "os.system"]
)
def test_other_names_are_refused_and_shown(reader, name):
    refused = reader.read(file_with(called(name.rsplit(".", 1), "1")))
    assert f"names {name}, which arrays do not need and which could run code" in refused


def test_a_name_cannot_write_to_the_terminal_or_fill_it(reader):
    refused = reader.read(file_with(Code(spelled("\x1b[31mos") + spelled("x" * 100_000) + b"\x93")))
    assert "\x1b" not in refused
    assert r"\x1b[31mos" in refused


# ---------------------------------------------------------------- more than the file holds


def memoised(value):
    return spelled(value) + b"q\0"


def laughs():
    """A tuple whose elements are twice the one before, two thousand times over."""
    return Code(b")q\0" + b"h\0h\0\x86q\0" * 2000)


BOMBS = {
    "bytes": b"\x8e" + struct.pack("<Q", 2**62),
    "some more bytes": b"\x8e" + struct.pack("<Q", 2**33) + bytes(100),
    "a bytearray": b"\x96" + struct.pack("<Q", 2**34),
    "text": b"\x8d" + struct.pack("<Q", 2**40),
    "old text": b"T" + struct.pack("<i", 2**31 - 1),
    "a text of negative length": b"T" + struct.pack("<i", -5),
    "a number of announced length": b"\x8b" + struct.pack("<i", 2**31 - 1),
    "a number of a million digits": b"L" + b"9" * 10**6 + b"L\n.",
    "a number of a million bytes": b"\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b".",
    "a float of a million digits": b"F" + b"1" * 10**6 + b"x\n.",
    "a frame": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "a far place in the memo": b"Nr" + struct.pack("<I", 2**32 - 1) + b".",
    "a farther place in the memo": b"Np99999999999999999999\n.",
    "nested tuples": b")" + b"\x85" * 10**6 + b".",
    "nested tuples, few": b")" + b"\x85" * 90_000 + b".",
    "nested lists": b"]" * 90_000 + b"a" * 89_999 + b".",
    "nested dicts": (b"}" + spelled("a")) * 40_000 + b"N" + b"s" * 40_000 + b".",
    "a nested key": b"})" + b"\x85" * 90_000 + b"Ns.",
    "a doubled key": b"}" + laughs() + b"Ns.",
    "marks": b"(" * 10**6 + b".",
    "dicts": b"}" * 4 * 10**6 + b".",
    "a doubled shape": file_with(array_of(double(), laughs())),
    "a doubled state": file_with(array_of(built(called(DTYPE, "f8", 0, 1), laughs()))),
    "a doubled raw": file_with(array_of(double(), (40, 1), laughs())),
    "one text encoded again and again": memoised("\xff" * 2**20)
    + (named("_codecs", "encode") + b"h\0" + spelled("latin1") + b"\x86R") * 9000
    + b".",
    "one dict made again and again": memoised([[str(i), None] for i in range(9000)])
    + (named("collections", "OrderedDict") + b"h\0\x85R") * 9000
    + b".",
    "one text as many pairs": memoised("x" * 2**20)
    + named("collections", "OrderedDict")
    + b"]("
    + b"h\0" * 9000
    + b"e\x85R.",
    "a list that holds itself": b"]q\0h\0a.",
    "an array that is its own shape": b"}"
    + spelled("LogMel_Features")
    + spelled(called(RECONSTRUCT, named(*ARRAY), (0,), b"b"))
    + b"q\0(K\x01h\0h\0h\0h\0tbs.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_announced_is_not_made(reader, name):
    assert isinstance(reader.read(BOMBS[name]), str)
    reader.read(VALID["protocol 4"])


def test_a_file_larger_than_features_can_be_is_not_opened(tmp_path):
    path = tmp_path / "large.pickle"
    with path.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(MediaError, match=r"large\.pickle: has 67,108,865 bytes"):
        read_mel_pickle(path)


def test_numbers_too_large_for_float32_are_refused(reader):
    features = FEATURES.copy()
    features[3, 4] = 1e300
    assert "too large for float32" in reader.read(pickle.dumps({"LogMel_Features": features}))


# ---------------------------------------------------------------- at random

INSTRUCTIONS = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]


@st.composite
def damaged(draw):
    """A valid file with a few bytes or instructions changed, taken out, put in, moved or cut off."""
    content = bytearray(draw(st.sampled_from(list(VALID.values()))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        match draw(st.sampled_from(["change", "flip", "insert", "delete", "cut", "copy"])):
            case "change":
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "flip":
                content[at : at + 1] = bytes([b ^ 1 << draw(st.integers(0, 7)) for b in content[at : at + 1]])
            case "insert":
                content[at:at] = draw(st.sampled_from(INSTRUCTIONS)) + draw(st.binary(max_size=9))
            case "delete":
                del content[at : at + draw(st.integers(1, 9))]
            case "cut":
                del content[at:]
            case "copy":
                start = draw(st.integers(0, len(content)))
                content[at:at] = content[start : start + draw(st.integers(1, 40))]
    return bytes(content)


@settings(max_examples=1000)
@given(damaged())
def test_a_damaged_file_gives_an_array_or_is_refused(reader, content):
    reader.read(content)


@settings(max_examples=200)
@given(st.sampled_from([4, 5]), st.data())
def test_changed_numbers_are_read_as_they_are(reader, protocol, data):
    """Where only the numbers' own bytes change, the array is that of the new bytes."""
    content = bytearray(pickle.dumps({"LogMel_Features": FEATURES}, protocol))
    start = bytes(content).index(FEATURES.tobytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[start + data.draw(st.integers(0, FEATURES.nbytes - 1))] = data.draw(st.integers(0, 255))
    numbers = np.frombuffer(bytes(content[start : start + FEATURES.nbytes]), "<f8").reshape(40, 6)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = numbers.astype(np.float32)
    found = reader.read(bytes(content))
    if np.isfinite(expected).all():
        np.testing.assert_array_equal(found, expected)
    else:
        assert isinstance(found, str)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=4) | st.binary(max_size=16),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.lists(inner, max_size=3),
    max_leaves=8,
)
PLAIN = (None, None, None, -1, -1, 0)
CODES = st.sampled_from(["i8", "u1", "O8", "V8", "S8", "M8", "f16", "c16", "b1", "f8,O", ""])
SHAPES = st.sampled_from([(20, 4), (1, 40), (40,), (40, 0), (), (2**62, 2)])


@st.composite
def descriptions(draw):
    """(code, state, shape, fortran, raw) of a plain array, of which one may be another or anything at all."""
    code, order = draw(st.sampled_from(["f2", "f4", "f8"])), draw(st.sampled_from("<>"))
    columns = draw(st.integers(1, 3))
    numbers = np.random.RandomState(draw(st.integers(0, 2**32 - 1))).randn(40 * columns)
    raw = numbers.astype(order + code).tobytes()
    parts = [code, (3, order, *PLAIN), (40, columns), draw(st.booleans()), raw]
    wrong = draw(st.sampled_from(["nothing", "code", "state", "field", "shape", "raw"]))
    if wrong == "code":
        parts[0] = draw(CODES | ANYTHING)
    if wrong == "state":
        parts[1] = draw(ANYTHING)
    if wrong == "field":
        place = draw(st.integers(0, 7))
        parts[1] = (*parts[1][:place], draw(ANYTHING), *parts[1][place + 1 :])
    if wrong == "shape":
        parts[2] = draw(SHAPES | ANYTHING)
    if wrong == "raw":
        parts[4] = draw(ANYTHING | st.just(parts[4][1:]))
    return tuple(parts)


def described(code, state, shape, fortran, raw):
    """The float32 array of a description; None where it is none of plain floats."""
    if code not in ("f2", "f4", "f8") or state not in [(3, order, *PLAIN) for order in "<>"]:
        return None
    dtype = np.dtype(state[1] + code)
    if shape not in [(40, columns) for columns in (1, 2, 3)] or not isinstance(raw, bytes):
        return None
    if len(raw) != 40 * shape[1] * dtype.itemsize:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.ndarray(shape, dtype, raw, order="F" if fortran else "C").astype(np.float32)
    return found if np.isfinite(found).all() else None


@settings(max_examples=500)
@given(descriptions())
def test_an_array_is_made_from_its_description_or_refused(reader, description):
    code, state, shape, fortran, raw = description
    dtype = built(called(DTYPE, code, 0, 1), state)
    found, expected = reader.read(file_with(array_of(dtype, shape, raw, fortran))), described(*description)
    if expected is None:
        assert isinstance(found, str)
    else:
        np.testing.assert_array_equal(found, expected)
