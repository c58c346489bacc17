"""Writing so that a kill at any moment leaves either the old file or the new one, never half."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from sf2f_bench.types import SAMPLE_RATE, BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

T = TypeVar("T")
CHECKSUM = "checksum"  # in the dictionary of a file of tensors


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, then fsync and rename it over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: object) -> Path:
    """Write `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_flac(target: Path | BinaryIO, samples: NDArray[Any]) -> None:
    """Write mono samples ``[T]`` at 16 kHz, int16 or float in -1..1, as FLAC of 16 bits; not atomically."""
    import soundfile

    soundfile.write(target, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")


def is_plain_name(name: str) -> bool:
    """Whether a name from a stranger's data names one entry of a folder on any system: no path, not hidden, printable.

    Only such a name may be joined to a folder: ``../x``, ``/x`` and ``C:x`` lie elsewhere.
    """
    is_entry = name != "" and name == PurePosixPath(name).name == PureWindowsPath(name).name
    return is_entry and not name.startswith(".") and name.isprintable() and len(name.encode()) <= 255


def hash_of(value: object) -> str:
    """16 hexadecimal digits of the SHA-256 of `value` as canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on every part and on nothing else."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


class Damaged(BenchError):  # noqa: N818 - a state of a file
    """A file of the cache that is not as it was written."""


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write tensors and a JSON-able dictionary, with their checksum, into one safetensors file, atomically."""
    from safetensors.torch import save_file

    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    facts = {**(metadata or {}), CHECKSUM: _checksum(flat, metadata or {})}
    # One entry alone: safetensors writes several in an order of chance.
    header = {"json": json.dumps(facts)}
    return write_atomically(path, lambda temporary: save_file(flat, temporary, metadata=header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: (tensors on the CPU, dictionary).

    Raises Damaged where the file is cut or a byte of it has changed; files of older versions have no checksum.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            header = file.metadata()
        # Others write no header, or the format alone.
        facts = json.loads(header["json"]) if header and header.keys() != {"format"} else {}
        checksum = facts.pop(CHECKSUM, None)
    except (SafetensorError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error
    if checksum not in (None, _checksum(tensors, facts)):
        raise Damaged(f"{path} is damaged: its content does not have the checksum that was written with it")
    return tensors, facts


def _checksum(tensors: Mapping[str, Tensor], facts: Any) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, and the dictionary as JSON."""
    import torch

    digest = hashlib.sha256(json.dumps(json.loads(json.dumps(facts)), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_facts(path: Path, value: Any) -> Path:
    """Write a JSON-able value of the cache with its checksum, atomically."""
    return write_json(path, {"value": value, CHECKSUM: _checksum({}, value)})


def load_facts(path: Path) -> Any:
    """Read what `save_facts` wrote, or plain JSON of an older version. Raises Damaged as `load_tensors` does."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Damaged(f"{path} is damaged ({error})") from error
    if not isinstance(found, dict) or found.keys() != {"value", CHECKSUM}:
        return found
    if found[CHECKSUM] != _checksum({}, found["value"]):
        raise Damaged(f"{path} is damaged: its content does not have the checksum that was written with it")
    return found["value"]


def set_aside(path: Path) -> Path:
    """Rename a damaged file of the cache, so that it is made anew; returns where it lies now."""
    return path.replace(path.with_name(f"{path.name}.damaged"))


def kept(
    path: Path, make: Callable[[Path], object], load: Callable[[Path], T], say: Callable[[str], object]
) -> T:
    """What `load` reads of a file of the cache, which `make` writes where it is missing or damaged."""
    if path.exists():
        try:
            return load(path)
        except Damaged as error:
            say_set_aside(path, error, say)
    make(path)
    return load(path)


def say_set_aside(path: Path, error: Damaged, say: Callable[[str], object]) -> None:
    """Set a damaged file aside, and say so."""
    say(f"{error}; it is kept as {set_aside(path).name} and made anew")
