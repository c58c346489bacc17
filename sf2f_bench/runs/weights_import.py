"""Weights that another code base trained, as tensors that a system of the benchmark takes.

A file of tensors is read without running any code in it. A system whose class is a `ReadsOfficialWeights` renames
the tensors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sf2f_bench.files import save_tensors
from sf2f_bench.registry import MODELS
from sf2f_bench.types import BenchError, ReadsOfficialWeights

if TYPE_CHECKING:
    from torch import Tensor

GENERATOR_ENTRY = "model_state"  # where the official SF2F training puts it: train.py, commit e346b68
# What that training keeps beside the weights, in pickles of old and new NumPy: logs and sample pictures.
DISREGARDED = (
    "__builtin__.list",
    "builtins.list",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
)


class Disregarded:
    """Replaces what is no weight in a file: it takes any arguments and does nothing."""

    def __init__(self, *parts: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def plain_dictionary(*_: object) -> dict:
    """Replaces collections.defaultdict, in which the official training collects its losses."""
    return {}


def import_checkpoint(file: Path, model: str, folder: Path) -> Path:
    """Convert a generator's checkpoint for the system `model`: `folder`/`model`-<sha8>.safetensors.

    file: of torch.save or safetensors, with the generator's state dict itself or with the entry
    "model_state", as the official SF2F training saves it. sha8: of the file's SHA-256. Raises BenchError for
    a file that is missing, damaged, holds anything but tensors and plain values, or does not fit the model,
    and for a model that cannot read such files.
    """
    system = MODELS.get(model)
    if not isinstance(system, ReadsOfficialWeights):
        raise BenchError(f"{model} has no official weights to import: choose a system that was published")
    if not file.is_file():
        raise BenchError(f"there is no file {file}: give the checkpoint to import")
    state = generator_state(_read(file), file)
    with open(file, "rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    metadata = {"model": model, "source": file.name, "sha256": sha256, "width": 1.0}
    tensors = system.from_official(model, state)
    return save_tensors(folder / f"{model}-{sha256[:8]}.safetensors", tensors, metadata)


def generator_state(content: Any, file: Path) -> dict[str, Tensor]:
    """The generator's state dict in what a checkpoint file held; BenchError where there is none."""
    from torch import Tensor

    found = content
    if isinstance(content, Mapping) and isinstance(content.get(GENERATOR_ENTRY), Mapping):
        found = content[GENERATOR_ENTRY]
    parts = found.items() if isinstance(found, Mapping) else ()
    if not parts or not all(isinstance(name, str) and isinstance(part, Tensor) for name, part in parts):
        entries = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else ""
        raise BenchError(
            f"{file.name} holds no generator: expected tensors by name, or these under "
            f"{GENERATOR_ENTRY!r}, found a {type(content).__name__} with {entries or 'no entries'}"
        )
    return dict(parts)


def _read(file: Path) -> Any:
    import torch
    from safetensors.torch import load_file
    from torch.serialization import safe_globals

    disregarded = [(Disregarded, name) for name in DISREGARDED]
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with safe_globals([(plain_dictionary, "collections.defaultdict"), *disregarded]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise BenchError(
                f"{file.name} asks for {named[1]} and was not opened, because such a file can run code: "
                "expected tensors and plain values; save the generator's state dict alone"
            ) from error
        raise BenchError(
            f"{file.name} is damaged, or no file of torch.save or safetensors ({type(error).__name__}): "
            "fetch or write it again"
        ) from error
