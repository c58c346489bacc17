"""The inputs of a training step as the official figures have them."""

from __future__ import annotations

import torch
from torch import Tensor

IDENTITIES = 2890  # of the training split of HQ-VoxCeleb
FRAMES = 125


def step_inputs(batch: int, size: int, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """Voices ``[B, 40, 125]``, real images ``[B, 3, size, size]``, labels int64 ``[B]``, random."""
    generator = torch.Generator().manual_seed(0)
    voices = torch.randn(batch, 40, FRAMES, generator=generator)
    real = torch.randn(batch, 3, size, size, generator=generator)
    labels = torch.randint(0, IDENTITIES, (batch,), generator=generator)
    return voices.to(device), real.to(device), labels.to(device)
