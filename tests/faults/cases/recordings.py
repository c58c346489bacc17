"""Recordings: what lies under the name of a sound file, in every data set that reads one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from tests.faults.cases import BYTES, ENTRIES, Case, Spoil, of_file
from tests.faults.cases.worlds import GALLERY


def written(change: Callable[[np.ndarray], np.ndarray], rate: int = 16_000, subtype: str = "FLOAT") -> Spoil:
    """The same recording with other samples, as WAV or FLAC by its name."""

    def damage(path: Path) -> None:
        samples, _ = soundfile.read(path, dtype="float32")
        kind = "FLAC" if path.suffix == ".flac" else "WAV"
        soundfile.write(
            path, change(samples), rate, format=kind, subtype="PCM_16" if kind == "FLAC" else subtype
        )

    return damage


def with_header(place: int, value: int) -> Spoil:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        struct.pack_into("<I", content, place, value)
        path.write_bytes(content)

    return damage


def _once(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(samples: np.ndarray) -> np.ndarray:
        samples[100] = value
        return samples

    return change


PREPARE = ("prepare", "hq-voxceleb-64", "--root", "data", "--jobs", "1")
NULL = ("prepare", "null-pairs", "--voices", "voices", "--faces", "faces", "--jobs", "1")
ANY: dict[str, Spoil] = {  # of WAV and FLAC
    **{name: damage for name, damage in BYTES.items() if name != "flipped byte"},
    **ENTRIES,
    "one sample": written(lambda samples: samples[:1]),
    "a tenth of a second": written(lambda samples: samples[:1600]),
    "no samples": written(lambda samples: samples[:0]),
    "silent": written(np.zeros_like),
    "constant": written(lambda samples: np.full_like(samples, 0.5)),
    "clipped to noise": written(lambda samples: np.sign(samples)),
    "stereo": written(lambda samples: np.stack([samples, samples], 1)),
    "six channels": written(lambda samples: np.stack([samples] * 6, 1)),
    "8 kHz": written(lambda samples: samples[::2], 8_000),
    "pointer of Git LFS": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0"
    ),
    "archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(500)),
    "ID3 tag alone": lambda path: path.write_bytes(b"ID3\x03\x00\x00\x00\x00\x00\x00"),
    "RIFF alone": lambda path: path.write_bytes(b"RIFF\x24\x00\x00\x00WAVE"),
    "fLaC alone": lambda path: path.write_bytes(b"fLaC" + bytes(40)),
}
WAV: dict[str, Spoil] = {
    "float on the int16 scale": written(lambda samples: samples * 32768),
    "not a number": written(_once(np.nan)),
    "infinite": written(_once(np.inf)),
    "all not numbers": written(lambda samples: np.full_like(samples, np.nan)),
    "1e30": written(_once(1e30)),
    "header states more than there is": with_header(40, 100_000_000),
    "header of 0 channels": with_header(22, 0),
    "header of 0 Hz": with_header(24, 0),
    "header of 4 GHz": with_header(24, 2**32 - 1),
    "header of an unknown format": with_header(20, 0x0001FFFF),
}
TAKEN: dict[str, tuple[Spoil, str]] = {
    "header without a length": (
        with_header(40, 0x7FFFF000),
        "a program that writes to a pipe does not know the length; all samples are read",
    ),
    "48 kHz": (
        written(lambda samples: np.repeat(samples, 3), 48_000, "PCM_16"),
        "it is resampled to 16 kHz, as the documents say",
    ),
    "24 bits": (written(lambda samples: samples, 16_000, "PCM_24"), "it is read in full, at its own depth"),
}
LESS = "a recording less is a smaller data set, not a fault"
WHY = {"gone": LESS, "folder instead": f"a folder is searched for files like any other; {LESS}"}
LAST_BYTES = "two samples of 32,000 are missing: less than the 0.2 s by which containers round their length"


def cases() -> Iterator[Case]:
    prepare, null = PREPARE, NULL
    partial = ("--partial",)
    associate = (
        *("associate", "lists", "--voices", "wav", "--faces", "faces"),
        *("--model", "sf2f-64@small.safetensors", "--judge", "embedded-judge", *partial),
    )
    places = {
        "hq-voxceleb wav": (prepare, "hq", "data/raw_wav/vox1/dev/id10003/clip/00001.wav", "00001"),
        "hq-voxceleb flac": (prepare, "hq", "data/raw_wav/vox1/dev/id10003/clip/00002.flac", "00002"),
        "null-pairs": (null, "null_pairs", "voices/speaker3/0.flac", "speaker3"),
        "associate": (associate, "association", "wav/id10002/aB_-c1/00001.wav", "00001.wav"),
    }
    for place, (words, world, file, says) in places.items():
        for name, damage in {**ANY, **(WAV if file.endswith("wav") else {})}.items():
            why = WHY.get(name, "") if place != "associate" else ""
            if file.endswith(".wav") and name == "last bytes lost":
                why = LAST_BYTES
            yield Case(
                "recordings",
                f"{place}: {name}",
                words,
                world,
                of_file(file, damage),
                named=not why,
                says=says,
                justified=why,
            )
        for name, (damage, why) in TAKEN.items() if file.endswith("wav") else ():
            yield Case("recordings", f"{place}: {name}", words, world, of_file(file, damage), justified=why)
    for suffix in (".mp3", ".ogg", ".pkl", ".txt.wav", ".WAV", ".aiff"):
        yield Case(
            "recordings",
            f"hq-voxceleb: named {suffix}",
            prepare,
            "hq",
            _renamed(suffix),
            named=suffix not in (".WAV", ".txt.wav"),
            says=suffix,
            justified=""
            if suffix not in (".WAV", ".txt.wav")
            else "its content is a WAV file, which is read in full",
        )
    yield Case(
        "recordings",
        "hq-voxceleb: all of a test person's",
        prepare,
        "hq",
        _all_of("data/raw_wav/vox1/dev/id10008"),
        named=True,
        says="Person_08",
    )
    yield Case(
        "recordings", "hq-voxceleb: all of everybody's", prepare, "hq", _all_of("data/raw_wav"), says=""
    )
    yield Case("recordings", "null-pairs: all of everybody's", null, "null_pairs", _all_of("voices"), says="")
    yield Case(
        "recordings",
        "audit of null-pairs: all of everybody's",
        ("audit", *null[1:]),
        "null_pairs",
        _all_of("voices"),
        says="",
    )
    yield Case(
        "recordings",
        "run of null-pairs: all of everybody's",
        ("run", *null[1:], *GALLERY),
        "null_pairs",
        _all_of("voices"),
        says="",
    )
    yield Case(
        "recordings",
        "associate without --partial",
        associate[:-1],
        "association",
        of_file("wav/id10002/aB_-c1/00001.wav", BYTES["empty"]),
        says="00001.wav",
    )
    yield Case(
        "recordings", "associate: all of everybody's", associate, "association", _all_of("wav"), says=""
    )


def _renamed(suffix: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "data/raw_wav/vox1/dev/id10003/clip/00001.wav"
        path.rename(path.with_name(f"00001{suffix}"))

    return spoil


def _all_of(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        for path in (folder / name).rglob("*.*"):
            if path.is_file():
                path.write_bytes(b"")

    return spoil
