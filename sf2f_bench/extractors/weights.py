"""Published weights: which files there are, where they are kept, and whether a file is the published one.

The package ships none of them: each has its own licence and publisher. `sf2f_bench.extractors.fetch` downloads
them. Importing this module does not import torch, so that commands start quickly.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from sf2f_bench.registry import ATTRIBUTE_JUDGES, EXTRACTORS, extractor_card, unknown
from sf2f_bench.types import BenchError, Unavailable

FOLDER_VARIABLE = "SF2F_BENCH_WEIGHTS"
TABLE = Path(__file__).with_name("weight_files.csv")


def torch_hub() -> Path:
    """Where torch.hub keeps repositories and, in `checkpoints`, files; torch itself takes a second to import."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("TORCH_HOME") or cache_home / "torch").expanduser() / "hub"


def deepface_home() -> Path:
    """Where deepface keeps its weights."""
    return Path(os.environ.get("DEEPFACE_HOME") or Path.home()) / ".deepface" / "weights"


def dlib_home() -> Path:
    """Where the package that ships Dlib's weights is installed, else deepface's folder."""
    spec = find_spec("face_recognition_models")  # not imported: it needs an old setuptools
    return Path(str(spec.origin)).parent / "models" if spec else deepface_home()


HOMES: dict[str, Callable[[], Path]] = {  # by the word in the table's column "home"
    "torch hub": lambda: torch_hub() / "checkpoints",
    "deepface": deepface_home,
    "deepface/buffalo_l": lambda: deepface_home() / "buffalo_l",
    "dlib": dlib_home,
}


@dataclass(frozen=True)
class WeightFile:
    """One published file of weights.

    home: the folder in which another package keeps this file; it is searched after our own folders.
    """

    name: str
    description: str
    url: str  # empty: not known
    licence: str
    size: int | None = None  # bytes
    sha256: str | None = None  # None: never published; the hash found goes into the extractor's id
    used_by: tuple[str, ...] = ()  # extractors and attribute judges
    home: Callable[[], Path] | None = None

    @property
    def wants_browser(self) -> bool:
        """Whether the address is a page that only a browser gets past."""
        return "drive.google.com" in self.url

    @property
    def packed(self) -> bool:
        """Whether the publisher packs the file with bzip2."""
        return self.url.endswith(".bz2") and not self.name.endswith(".bz2")

    @property
    def converted(self) -> str:
        """The name of a safetensors file of the same tensors, which is accepted in its place."""
        return f"{Path(self.name).stem}.safetensors"


def _read_table() -> dict[str, WeightFile]:
    with TABLE.open(encoding="utf-8", newline="") as stream:
        return {
            row["name"]: WeightFile(
                row["name"],
                row["description"],
                row["url"],
                row["licence"],
                int(row["size"]) if row["size"] else None,
                row["sha256"] or None,
                tuple(row["used_by"].split()),
                HOMES.get(row["home"]),
            )
            for row in csv.DictReader(stream)
        }


# Of the networks that ship with the package. Sizes and checksums are those that several public projects state
# independently for the file at this address; deepface's names and addresses are those of its pinned version.
FILES = _read_table()


def all_files() -> dict[str, WeightFile]:
    """`FILES` and the files that the cards of other packages' extractors and attribute judges name."""
    found: dict[str, WeightFile] = {}
    for registry in (EXTRACTORS, ATTRIBUTE_JUDGES):
        others = (
            name for name, target in registry.targets().items() if not target.startswith(f"{__package__}.")
        )
        for user in others:
            card = extractor_card(user, registry)
            for entry in card.files:
                file = _plug_in_file(entry, user, card.licence)
                users = found[file.name].used_by if file.name in found else ()
                found[file.name] = replace(file, used_by=(*users, user))
    return found | FILES


def _plug_in_file(entry: str, user: str, licence: str) -> WeightFile:
    """From a card's entry: a file name, or an address whose fragment may state the checksum, as pip's do."""
    url, _, sha256 = entry.partition("#sha256=")
    name = Path(urlsplit(url).path).name
    return WeightFile(name, f"weights of {user}", url if "://" in url else "", licence, None, sha256 or None)


def folders() -> list[Path]:
    """Where weights are searched for, in this order; new ones go to the first."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    common = Path.home() / ".cache" / "sf2f-bench" / "weights"
    return [Path(chosen).expanduser(), common] if chosen else [common]


def places(file: WeightFile) -> list[Path]:
    """The folders that are searched for a file, in this order."""
    return list(dict.fromkeys([*folders(), *([file.home()] if file.home else [])]))


def copies(file: WeightFile, conversions: bool = True) -> list[Path]:
    """Every file of that name, or (where allowed) its conversion to safetensors, unchecked, in search order."""
    names = (file.name, file.converted) if conversions else (file.name,)
    candidates = dict.fromkeys(folder / name for folder in places(file) for name in names)
    return [path for path in candidates if path.is_file()]


def find(file: WeightFile) -> Path | None:
    """The first of `copies`; None where there is none."""
    return next(iter(copies(file)), None)


def file_named(name: str) -> WeightFile:
    """The entry of a file; raises BenchError with the nearest names for an unknown one."""
    files = FILES if name in FILES else all_files()
    if name not in files:
        raise BenchError(unknown("file of weights", name, list(files)))
    return files[name]


def weights_file(name: str) -> Path:
    """The checked file of published weights, or its conversion to safetensors where that is found instead.

    Raises BenchError for an unknown name and for a file that is truncated or a different one, Unavailable for a
    missing file. A conversion has no published checksum: it is accepted as it is, and its own hash goes into the id.
    """
    file = file_named(name)
    path = find(file)
    if path is None:
        raise Unavailable(
            f"{file.description}: the file {name} is not there. {remedy(file)} "
            f"Or set {FOLDER_VARIABLE} to the folder that holds it; "
            "`sf2f-bench weights list --all` shows all files and their licences.",
            f"the file {name} is not on this machine (`sf2f-bench weights list`)",
        )
    if path.name == name:
        check_file(path, file)
    return path


def remedy(file: WeightFile) -> str:
    """How to get the file, in one or two sentences."""
    command = f"`sf2f-bench weights fetch {file.name}` fetches it. "
    return by_hand(file) if file.wants_browser or not file.url else command + by_hand(file)


def by_hand(file: WeightFile) -> str:
    """How to get the file without this program."""
    source = f" from {file.url}" if file.url else f" (see the package of {', '.join(file.used_by)})"
    packed = ", unpack it" if file.packed else ""
    return f"By hand: get {file.name}{source}{packed} and put it into {folders()[0]}."


def check_file(path: Path, file: WeightFile) -> None:
    """Raise BenchError unless the file has the published size and checksum, as far as these are known."""
    if wrong := difference(path, file):
        raise BenchError(f"{path} {wrong}; fetch it again from {file.url}.")


def difference(path: Path, file: WeightFile) -> str | None:
    """How a file differs from the published one; None where it does not."""
    found = path.stat().st_size
    if file.size is not None and found != file.size:
        state = "is truncated" if found < file.size else "is a different file"
        return f"{state}: {found} bytes, expected {file.size}"
    digest = sha256_of(path)
    if file.sha256 is not None and digest != file.sha256:
        return f"is a different file: sha256 {digest}, expected {file.sha256}"
    return None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, computed once as long as size and modification time stay the same."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
