"""The machine a run trains on: Lightning Fabric handles devices, precision, and several GPUs or hosts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from torch import Tensor, nn

from sf2f_bench.extractors.frozen import frozen
from sf2f_bench.training.normalisation import synchronise_normalisation
from sf2f_bench.types import BenchError

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}
COMPILE_MODES = {"default": "default", "graphs": "reduce-overhead"}

M = TypeVar("M", bound=nn.Module)


def processes_started() -> tuple[int, int]:
    """(processes on this host, hosts) as torchrun or SLURM started them; (1, 1) without either."""
    if TorchElasticEnvironment.detect():
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return local, int(os.environ["WORLD_SIZE"]) // local
    if SLURMEnvironment.detect():
        hosts = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // hosts, hosts
    return 1, 1


@dataclass(frozen=True, eq=False)
class Machine:
    """One process of a run, its device, and its communication with the others.

    deterministic: bit for bit the same on the same machine, at the cost of speed. compile: "none", "default"
    (torch.compile) or "graphs" (torch.compile with CUDA graphs).
    """

    fabric: Fabric
    deterministic: bool = False
    compile: str = "none"

    @classmethod
    def start(
        cls, device: str = "auto", precision: str = "fp32", deterministic: bool = False, compile: str = "none"
    ) -> Machine:
        """Join the processes of this run; the same command alone, under torchrun or under SLURM.

        Raises BenchError for a CUDA device that is not there and for options that exclude each other.
        """
        cuda = torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise BenchError(
                "--device cuda: torch sees no CUDA device here; leave the option out to run on the CPU"
            )
        if deterministic and compile != "none":
            raise BenchError(f"--deterministic excludes --compile {compile}: leave one of them out")
        kind = "cuda" if cuda and device != "cpu" else "cpu"
        if compile == "graphs" and kind == "cpu":
            raise BenchError("--compile graphs needs a CUDA device: use --compile default on the CPU")
        local, hosts = processes_started()
        fabric = Fabric(
            accelerator=kind,
            devices=local,
            num_nodes=hosts,
            strategy="ddp" if local * hosts > 1 else "auto",
            precision=PRECISIONS[precision],  # type: ignore[arg-type]
        )
        fabric.launch()
        _set_arithmetic(kind, deterministic)
        return cls(fabric, deterministic, compile)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.fabric.device

    @property
    def shard(self) -> tuple[int, int]:
        """(number of this process, number of processes)."""
        return self.fabric.global_rank, self.fabric.world_size

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and reports to the user."""
        return self.fabric.global_rank == 0

    def broadcast(self, value: Any) -> Any:
        """The main process's value, in every process; the others wait for it."""
        return self.fabric.broadcast(value)

    def barrier(self) -> None:
        """Wait until every process has arrived here."""
        self.fabric.barrier()

    def average(self, values: Tensor) -> Tensor:
        """The mean over processes of a tensor."""
        return self.fabric.all_reduce(values, reduce_op="mean") if self.fabric.world_size > 1 else values  # type: ignore[return-value]

    def gather(self, rows: Tensor) -> Tensor:
        """The rows ``[B, ...]`` of all processes, in their order: ``[processes * B, ...]``; gradients pass through."""
        if self.fabric.world_size == 1:
            return rows
        gathered = self.fabric.all_gather(rows, sync_grads=True)
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the forward passes inside."""
        return self.fabric.autocast()

    @property
    def _takes_faster_forms(self) -> bool:
        """Whether faster forms may be used: on a CPU they are deterministic too, on CUDA they are not."""
        return self.device.type == "cpu" or not self.deterministic

    def setup(self, module: M) -> M:
        """A network made ready for training here: device, memory layout, shared batch statistics, compiled.

        Its state dict keeps its names.
        """
        module.to(self.device)
        if self._takes_faster_forms:
            module.to(memory_format=torch.channels_last)
        if self.fabric.world_size > 1:
            module = synchronise_normalisation(module)
        if self.compile != "none":
            module.compile(mode=COMPILE_MODES[self.compile])
        return module

    def setup_frozen(self, network: M) -> M:
        """A copy of a frozen network with a method `features`, folded and made ready for a training loss."""
        network = frozen(deepcopy(network)).to(self.device)
        if self.compile != "none":
            network.features = torch.compile(network.features, mode=COMPILE_MODES[self.compile])  # type: ignore
        return network

    def adam(
        self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float]
    ) -> torch.optim.Adam:
        """Adam (Kingma and Ba 2015), in one fused kernel where that pays."""
        return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=self._takes_faster_forms)

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, lr: float | None = None) -> None:
        """One step down a scalar loss that is a mean over this process's part of the batch."""
        if lr is not None:
            for group in optimiser.param_groups:
                group["lr"] = lr
        optimiser.zero_grad()
        self.fabric.backward(loss)
        if self.fabric.world_size > 1:
            self._average_gradients(optimiser)
        optimiser.step()

    def _average_gradients(self, optimiser: torch.optim.Optimizer) -> None:
        """Averaged in one message for all gradients of the optimiser's parameters."""
        groups = optimiser.param_groups
        gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        flat = self.average(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def _set_arithmetic(kind: str, deterministic: bool) -> None:
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if kind == "cuda":
        torch.backends.cudnn.benchmark = not deterministic
        torch.set_float32_matmul_precision("highest" if deterministic else "high")
