"""Checkpoints without pickle: tensors in safetensors, everything else as JSON in the same file's header.

One file, written atomically, so that weights, optimiser state and curve always belong to the same step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sf2f_bench.files import load_tensors, save_tensors

Stateful = nn.Module | torch.optim.Optimizer


def save_checkpoint(path: Path, state: Mapping[str, Stateful], facts: Mapping[str, Any]) -> None:
    """Write modules, optimisers and JSON-able `facts`; floats survive exactly."""
    tensors: dict[str, Tensor] = {}
    groups: dict[str, Any] = {}
    for name, part in state.items():
        if isinstance(part, torch.optim.Optimizer):
            content = part.state_dict()
            groups[name] = content["param_groups"]
            for index, entry in content["state"].items():
                tensors |= {f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in entry.items()}
        else:
            tensors |= {f"{name}/{key}": value for key, value in part.state_dict().items()}
    save_tensors(path, tensors, {"groups": groups, "facts": dict(facts)})


def load_checkpoint(path: Path, state: Mapping[str, Stateful]) -> dict[str, Any]:
    """Restore `state` from the file and return the facts."""
    tensors, header = load_tensors(path)
    for name, part in state.items():
        own = {
            key.removeprefix(f"{name}/"): value
            for key, value in tensors.items()
            if key.startswith(f"{name}/")
        }
        if isinstance(part, torch.optim.Optimizer):
            entries: dict[int, dict[str, Tensor]] = {}
            for key, value in own.items():
                index, _, field = key.partition("/")
                entries.setdefault(int(index), {})[field] = value
            part.load_state_dict({"state": entries, "param_groups": header["groups"][name]})
            _lay_out_as_parameters(part)
        else:
            part.load_state_dict(own)
    return header["facts"]


def _lay_out_as_parameters(optimiser: torch.optim.Optimizer) -> None:
    """Give every running moment its parameter's memory layout, which files do not keep; its device stays.

    torch's fused optimisers walk through the memory of a parameter and of its moments side by side: in unlike layouts
    they pair the wrong numbers without a word.
    """
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            if value.shape == parameter.shape:
                laid_out = torch.empty_like(parameter, dtype=value.dtype, device=value.device)
                state[key] = laid_out.copy_(value)
