"""Mel files of the SF2F code: pickles by strangers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.cases import BYTES, ENTRIES, Case, Spoil, of_file

FILE = "data/vox1/mel_spectrograms/Person_03/id10003_clip_00001.pickle"


def features_of(path: Path) -> np.ndarray:
    return pickle.loads(path.read_bytes())["LogMel_Features"]


def dumped(change: Any, protocol: int = 4) -> Spoil:
    """The same file with another content, a function of its features."""
    return lambda path: path.write_bytes(pickle.dumps(change(features_of(path)), protocol))


def features(change: Any) -> Spoil:
    return dumped(lambda array: {"LogMel_Features": change(array)})


def _once(value: float) -> Any:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float64)
        array[3, 5] = value
        return array

    return change


class Call:
    """Calls a function when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.state = function, arguments

    def __reduce__(self) -> Any:
        return self.state


def _codes() -> dict[str, Any]:
    import builtins
    import os
    import subprocess

    return {
        "os.system": Call(os.system, "echo ran > ran"),
        "eval": Call(builtins.eval, "1"),
        "open": Call(builtins.open, "ran", "w"),
        "subprocess": Call(subprocess.call, ["touch", "ran"]),
        "getattr": Call(builtins.getattr, "x", "upper"),
        "numpy.load": Call(np.load, "x.npy"),
        "numpy.memmap": Call(np.memmap, "ran"),
        "numpy.fromfile": Call(np.fromfile, "/etc/passwd"),
    }


RAW = {
    "dtype with an object field": b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR(I3\nS'|'\nN(S'a'\ntp0\n}S'a'\n(cnumpy\n"
    b"dtype\n(S'O8'\nI0\nI1\ntRI0\ntsI8\nI1\nI63\ntb.",
    "runstring": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
    "endless memo": b"\x80\x04" + b"]\x94" * 200_000 + b".",
    "deep lists": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "string of 2 GiB": b"\x80\x04B\xff\xff\xff\x7f" + bytes(50) + b".",
    "tuple from nothing": b"\x80\x04\x85.",
    "unknown operation": b"\x80\x04\xff.",
    "protocol 99": b"\x80\x63N.",
    "persistent id": b"P1\n.",
    "extension code": b"\x80\x02\x82\x01.",
}
REFUSED: dict[str, Spoil] = {
    **{name: damage for name, damage in BYTES.items() if name != "flipped byte"},
    **{name: damage for name, damage in ENTRIES.items() if name not in ("gone", "folder instead")},
    **{
        f"raw: {name}": (lambda path, content=content: path.write_bytes(content))
        for name, content in RAW.items()
    },
    "a list": dumped(list),
    "the array alone": dumped(lambda array: array),
    "no features": dumped(lambda array: {"spkid": "x"}),
    "objects": features(lambda array: array.astype(object)),
    "texts": features(lambda array: array.astype("U8")),
    "complex": features(lambda array: array.astype(complex)),
    "integers": features(lambda array: array.astype(int)),
    "booleans": features(lambda array: array > 0),
    "dates": features(lambda array: array.astype("datetime64[s]")),
    "fields": features(lambda array: np.zeros(array.shape, [("a", "f4"), ("b", "f4")])),
    "sub-arrays": features(lambda array: np.zeros(4, np.dtype(("f4", (40,))))),
    "nested lists": features(lambda array: array.tolist()),
    "64 filters": features(lambda array: np.resize(array, (64, array.shape[1]))),
    "turned": features(lambda array: array.T.copy()),
    "one axis": features(lambda array: array.ravel()),
    "three axes": features(lambda array: array[None]),
    "no frames": features(lambda array: array[:, :0]),
    "not a number": features(_once(np.nan)),
    "infinite": features(_once(np.inf)),
    "1e300": features(_once(1e300)),
    "zeros": features(np.zeros_like),
    "normalised already": features(lambda array: (array - array.mean()) / array.std()),
    "doubled": features(lambda array: array * 2),
    "negative": features(lambda array: -array),
    "100 million frames": features(lambda array: np.zeros((40, 10**6), np.float16)),
    "masked": features(lambda array: np.ma.masked_array(array)),
    "matrix": features(lambda array: np.asmatrix(array)),
}
READ = "the same numbers in another form that NumPy writes; they are read as they are"
TAKEN: dict[str, Spoil] = {
    **{f"protocol {number}": dumped(lambda array: {"LogMel_Features": array}, number) for number in range(6)},
    "float16": features(lambda array: array.astype(np.float16)),
    "float64": features(lambda array: array.astype(np.float64)),
    "big endian": features(lambda array: array.astype(">f4")),
    "by columns": features(np.asfortranarray),
    "further entries": dumped(
        lambda array: {"LogMel_Features": array, "spkid": "x", "more": [1, (2.5, None)]}
    ),
}


def cases() -> Iterator[Case]:
    words = ("prepare", "hq-voxceleb-64", "--root", "data", "--jobs", "1")
    for name, damage in REFUSED.items():
        yield Case(
            "mel pickles", name, words, "mel", of_file(FILE, damage), named=True, says="id10003_clip_00001"
        )
    for name, code in _codes().items():
        for place, content in {
            "alone": code,
            "beside": {"LogMel_Features": np.ones((40, 200)), "x": code},
        }.items():
            damage = dumped(lambda array, content=content: content)
            yield Case(
                "mel pickles",
                f"{name} {place}",
                words,
                "mel",
                of_file(FILE, damage),
                named=True,
                says="id10003_clip_00001.*could run code",
            )
    for name, damage in TAKEN.items():
        yield Case("mel pickles", name, words, "mel", of_file(FILE, damage), justified=READ)
    yield Case("mel pickles", "everybody's wrong", words, "mel", _all, says="")


def _all(folder: Path) -> None:
    for path in folder.rglob("*.pickle"):
        path.write_bytes(b"")
