"""Photos: what lies under the name of a picture, in every data set that reads one."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.cases import BYTES, ENTRIES, Case, Spoil, of_file


def saved(image: Image.Image, kind: str = "PNG") -> Spoil:
    return lambda path: image.save(path, format=kind)


def pixels(values: np.ndarray, kind: str = "PNG") -> Spoil:
    return saved(Image.fromarray(values), kind)


def noise(height: int, width: int, *more: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (height, width, *more)).astype(np.uint8)


def stating(width: int, height: int) -> Spoil:
    """A PNG whose header states a size, with almost nothing behind it."""

    def damage(path: Path) -> None:
        chunks = b"\x89PNG\r\n\x1a\n"
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")):
            crc = struct.pack(">I", zlib.crc32(name + content))
            chunks += struct.pack(">I", len(content)) + name + content + crc
        path.write_bytes(chunks)

    return damage


def wrong_crc(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[45] ^= 0xFF
    path.write_bytes(whole)


def bomb(path: Path) -> None:
    """20,000 x 20,000 black pixels in a small file."""
    with io.BytesIO() as buffer:
        Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())


REFUSED: dict[str, Spoil] = {
    **{name: damage for name, damage in BYTES.items() if name not in ("last bytes lost",)},
    **ENTRIES,
    "wrong CRC": wrong_crc,
    "1x1": pixels(noise(1, 1)),
    "4x4": pixels(noise(4, 4, 3)),
    "64x1": pixels(noise(64, 1, 3)),
    "black": saved(Image.new("RGB", (64, 64))),
    "white": saved(Image.new("RGB", (64, 64), "white")),
    "flat colour": saved(Image.new("RGB", (64, 64), (255, 0, 90))),
    "SVG": lambda path: path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>'),
    "12 bits in 16": pixels(np.linspace(0, 4095, 4096).astype(np.uint16).reshape(64, 64)),
    "float TIFF 0..1": pixels(np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64), "TIFF"),
    "float TIFF 0..255": pixels(np.linspace(0, 255, 4096, dtype=np.float32).reshape(64, 64), "TIFF"),
    "float TIFF not a number": pixels(np.full((64, 64), np.nan, np.float32), "TIFF"),
    "integers below 0": pixels(np.linspace(-10, 70_000, 4096).astype(np.int32).reshape(64, 64), "TIFF"),
    "states 30,000 x 30,000": stating(30_000, 30_000),
    "states 0 x 0": stating(0, 0),
    "states 2**31 x 1": stating(2**31 - 1, 1),
    "bomb": bomb,
    "wholly transparent": saved(Image.new("RGBA", (64, 64), (200, 100, 50, 0))),
    "PDF": lambda path: path.write_bytes(b"%PDF-1.4\n" + bytes(100)),
    "pointer of Git LFS": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0"
    ),
    "MPO without a picture": lambda path: path.write_bytes(b"\xff\xd8\xff\xe2" + bytes(300)),
}
READ = "the picture is read in full; what was done to it is what the documents say"
TAKEN: dict[str, Spoil] = {
    "grey": pixels(noise(64, 64)),
    "palette": saved(Image.fromarray(noise(64, 64, 3)).quantize(16)),
    "CMYK": saved(Image.fromarray(noise(64, 64, 4), "CMYK"), "JPEG"),
    "16 bits": pixels(np.linspace(0, 65_535, 4096).astype(np.uint16).reshape(64, 64)),
    "JPEG under the name of a PNG": pixels(noise(64, 64, 3), "JPEG"),
    "animation": lambda path: Image.fromarray(noise(64, 64, 3)).save(
        path, "PNG", save_all=True, append_images=[Image.new("RGB", (64, 64))]
    ),
    "1000 x 1000": pixels(noise(1000, 1000, 3)),
}
LESS = "a photo less is a smaller data set, not a fault"
WHY = {"gone": LESS, "folder instead": f"a folder is searched for files like any other; {LESS}"}


def cases() -> Iterator[Case]:
    prepare = ("prepare", "hq-voxceleb-64", "--root", "data", "--jobs", "1")
    null = ("prepare", "null-pairs", "--voices", "voices", "--faces", "faces", "--jobs", "1")
    associate = (
        *("associate", "lists", "--voices", "wav", "--faces", "faces"),
        *("--model", "sf2f-64@small.safetensors", "--judge", "embedded-judge", "--partial"),
    )
    places = {
        "hq-voxceleb": (prepare, "hq", "data/vox1/masked_faces/Person_03/0.png", r"0\.png"),
        "null-pairs": (null, "null_pairs", "faces/s3/0.png", r"0\.png"),
        "associate": (associate, "association", "faces/Person_B.-1/1.6/clip0/0000000.jpg", r"0000000\.jpg"),
    }
    for place, (words, world, file, says) in places.items():
        for name, damage in REFUSED.items():
            if file.endswith("jpg") and name in ("wrong CRC", "flipped byte"):
                continue
            why = WHY.get(name, "") if place != "associate" else ""
            yield Case(
                "photos",
                f"{place}: {name}",
                words,
                world,
                of_file(file, damage),
                named=not why,
                says=says,
                justified=why,
            )
        for name, damage in TAKEN.items():
            yield Case("photos", f"{place}: {name}", words, world, of_file(file, damage), justified=READ)
    for suffix in (".gif", ".svg", ".txt", ".heic"):
        yield Case(
            "photos",
            f"hq-voxceleb: named {suffix}",
            prepare,
            "hq",
            _renamed(suffix),
            named=suffix != ".txt",
            says=suffix,
            justified="a text is no photo, and nobody takes it for one" if suffix == ".txt" else "",
        )
    yield Case("photos", "hq-voxceleb: all of everybody's", prepare, "hq", _all_of("data"))
    yield Case("photos", "null-pairs: all of everybody's", null, "null_pairs", _all_of("faces"))
    yield Case("photos", "associate: all of everybody's", associate, "association", _all_of("faces"))
    yield Case(
        "photos",
        "audit: one picture for two test people",
        ("audit", *prepare[1:]),
        "hq",
        _twice,
        says="Person_08",
    )


def _renamed(suffix: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "data/vox1/masked_faces/Person_03/0.png"
        path.rename(path.with_suffix(suffix))

    return spoil


def _all_of(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        for path in (folder / name).rglob("*"):
            if path.suffix in (".png", ".jpg"):
                path.write_bytes(b"")

    return spoil


def _twice(folder: Path) -> None:
    faces = folder / "data"
    photo = faces / "vox1/masked_faces/Person_08/0.png"
    (faces / "vox2/masked_faces/Star_08/0.png").write_bytes(photo.read_bytes())
