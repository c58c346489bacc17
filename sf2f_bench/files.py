"""Writing so that a kill at any moment leaves either the old file or the new one, never half."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO

from sf2f_bench.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


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


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write tensors and a JSON-able dictionary into one safetensors file, atomically."""
    from safetensors.torch import save_file

    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"json": json.dumps(metadata or {})}
    return write_atomically(path, lambda temporary: save_file(flat, temporary, metadata=header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: (tensors on the CPU, dictionary)."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return tensors, json.loads((file.metadata() or {}).get("json", "{}"))
