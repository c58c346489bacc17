"""Batch normalisation over the global batch, so that several processes train what one would."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

M = TypeVar("M", bound=nn.Module)


def synchronise_normalisation(module: M) -> M:
    """The module with batch statistics shared by all processes; names of its state dict stay.

    torch's own SyncBatchNorm on a CUDA device; it does not run on a CPU, where `GlobalBatchNorm` replaces it.
    """
    if next(module.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for child in module.modules():
        if isinstance(child, _BatchNorm):
            child.__class__ = GlobalBatchNorm
    return module


class GlobalBatchNorm(_BatchNorm):
    """Batch normalisation (Ioffe and Szegedy 2015) with mean and variance over the batches of all processes.

    ``[B, C, ...] -> [B, C, ...]``; every process must hold equally many values per channel.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [B, C, ...], got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the global batch in training, by the running statistics in evaluation."""
        self._check_input_dim(input)
        if not self.training:
            return super().forward(input)
        shape = [1, -1] + [1] * (input.dim() - 2)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        processes = torch.distributed.get_world_size()
        mean = all_reduce(input.mean(axes)) / processes
        centred = input - mean.view(shape)
        variance = all_reduce(centred.square().mean(axes)) / processes
        self._remember(mean.detach(), variance.detach(), input.numel() // input.shape[1] * processes)
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        return normalised * self.weight.view(shape) + self.bias.view(shape)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, the variance unbiased, as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
