"""Files of weights for tests: random networks as .pt, and as the pickles that Python 2 wrote."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import nn

from sf2f_bench.extractors import weights
from sf2f_bench.extractors.facenet import FaceNetExtractor
from sf2f_bench.extractors.inception import InceptionExtractor
from sf2f_bench.extractors.weights import FILES, sha256_of

Extractor = TypeVar("Extractor", FaceNetExtractor, InceptionExtractor)


def randomise(network: nn.Module, seed: int, gain: float = 1.0) -> nn.Module:
    """Batch norms with statistics and factors of their own: the initial ones would hide a wrong folding.

    gain: of the convolutions, so that a deep network still tells its inputs apart.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data *= gain
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                values.copy_(0.5 + torch.rand(values.shape, generator=generator))
            for values in (module.bias.data, module.running_mean):
                values.copy_(0.2 * torch.randn(values.shape, generator=generator))
    return network.eval()


def publish(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file the published one of its name, and its folder the place where weights are looked for."""
    file = replace(FILES[path.name], size=path.stat().st_size, sha256=sha256_of(path))
    monkeypatch.setitem(FILES, path.name, file)
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(path.parent))


def write_random(network: type[nn.Module], path: Path) -> Path:
    """A file of random weights that tell faces apart."""
    torch.manual_seed(0)
    torch.save(randomise(network(), 1, gain=2.4).state_dict(), path)
    return path


def loaded(extractor: type[Extractor], path: Path) -> Extractor:
    """An extractor with a file's weights, as if the file were the published one."""
    with pytest.MonkeyPatch.context() as patch:
        publish(path, patch)
        return extractor()


def write_python_2_pickle(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """What Python 2's `pickle.dump(arrays, file, 2)` writes: names and raw data as byte strings.

    Python 3 cannot write byte strings of this kind, so the opcodes are spelled out (see `pickletools`).
    """
    with path.open("wb") as stream:
        stream.write(b"\x80\x02}(")
        for name, array in arrays.items():
            stream.write(_text(name.encode()) + _array(array))
        stream.write(b"u.")
    return path


def _text(data: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(data)) + data


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _array(array: np.ndarray) -> bytes:
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    kind = _text(array.dtype.str[1:].encode())
    dtype = (
        b"cnumpy\ndtype\n(" + kind + b"K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    shape = b"(" + b"".join(map(_integer, array.shape)) + b"t"
    return empty + b"(K\x01" + shape + dtype + b"\x89" + _text(array.tobytes()) + b"tb"
