"""Weights of another code's networks in ours, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from sf2f_bench.progress import first_few
from sf2f_bench.types import BenchError

Network = TypeVar("Network", bound=nn.Module)
SHOWN = 6  # entries named in an error


def renamed_tensors(
    network: nn.Module, names: Mapping[str, str], state: Mapping[str, Tensor], what: str
) -> dict[str, Tensor]:
    """Another code's state dict as one of `network` (which may be on the device "meta").

    names: for every entry of the network's state dict the other code's name. A prefix "module." of all of the state's
    names (torch's DataParallel) is removed. Raises BenchError that names the entries which are missing, unexpected or
    of another shape; what: the network in words, for it.
    """
    wanted = {names[ours]: (ours, tensor) for ours, tensor in network.state_dict().items()}
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    faults = [f"missing {name}" for name in wanted if name not in state]
    faults += [f"unexpected {name}" for name in state if name not in wanted]
    faults += [
        f"{name} has shape {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, (_, tensor) in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if faults:
        raise BenchError(
            f"this is no official state dict of {what}; entries that do not fit: {len(faults)} "
            f"({first_few(faults, SHOWN, '; ')}). Choose the model it was trained as"
        )
    return {ours: state[name].to(tensor.dtype) for name, (ours, tensor) in wanted.items()}


def filled(network: Network, tensors: Mapping[str, Tensor]) -> Network:
    """A network without memory (device "meta") on the CPU, with a copy of all its tensors.

    What its state dict does not hold must have been made on the CPU: to fill it is nobody's task. Raises BenchError for
    a buffer that is left without memory.
    """
    network.load_state_dict(
        {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, assign=True
    )
    if left := [name for name, buffer in network.named_buffers() if buffer.is_meta]:
        raise BenchError(f"no memory for {first_few(left)}: make what no state dict holds with device='cpu'")
    return network
