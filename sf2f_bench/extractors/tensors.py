"""Reading files of weights as tensors, without running any code that a file might carry."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sf2f_bench.data.array_pickles import PickledArray, load_arrays
from sf2f_bench.progress import first_few
from sf2f_bench.types import BenchError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pt, .pth, .bin, .pkl or .safetensors file by name, on the CPU; no code of the file is run.

    Raises BenchError for another kind of file, a damaged one, and one that holds anything but arrays by name.
    """
    readers: dict[str, Callable[[Path], Any]] = {
        ".pt": _read_torch,
        ".pth": _read_torch,
        ".bin": _read_torch,
        ".pkl": _read_arrays,
        ".safetensors": load_file,
    }
    if path.suffix not in readers:
        raise BenchError(
            f"{path}: expected weights as {', '.join(readers)}, found {path.suffix or 'no suffix'}."
        )
    try:
        content = readers[path.suffix](path)
    # Damaged bytes make the readers raise nearly anything; none of it is our fault.
    except Exception as error:
        raise BenchError(f"{path}: cannot be read as weights ({error}); fetch it again.") from error
    good = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )
    if not good:
        raise BenchError(f"{path}: expected tensors by name, found other things; fetch it again.")
    return dict(content)


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message advises to run what the file carries
        raise ValueError("it holds more than tensors, or is damaged") from error


def _read_arrays(path: Path) -> Any:
    """A pickled dict of NumPy arrays; byte strings of Python 2 are read as Latin-1."""
    content = path.read_bytes()
    found = load_arrays(content)
    tensors, left = {}, len(content)
    for name, value in found.items():
        if not isinstance(value, PickledArray):
            raise ValueError("it holds more than arrays")
        array = value.build()
        left -= array.nbytes
        if left < 0:  # one array under many names takes memory under each
            raise ValueError("its arrays hold more bytes than it has")
        # Copied in this machine's byte order; torch refuses types that it has no tensor for.
        tensors[name] = torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
    return tensors


def load_checked(network: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Fill a network; every name and shape must be the network's own.

    Counters of batch normalisation (`num_batches_tracked`) may be absent: evaluation does not read them, and
    files older than torch 0.4.1 have none. Raises BenchError naming the entries that do not fit.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors and not name.endswith(".num_batches_tracked")]
    misfits = {
        "are missing": missing,
        "are not known": [name for name in tensors if name not in wanted],
        "have another shape": [
            f"{name} {list(tensor.shape)} instead of {list(wanted[name].shape)}"
            for name, tensor in tensors.items()
            if name in wanted and tensor.shape != wanted[name].shape
        ],
    }
    found = [f"{len(names)} entries {how} ({first_few(names, 3)})" for how, names in misfits.items() if names]
    if found:
        raise BenchError(
            f"{source}: not the weights of {type(network).__name__}: {'; '.join(found)}. Fetch the file again."
        )
    network.load_state_dict(tensors, strict=False)
