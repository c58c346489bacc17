"""What the systems with one network share: its tensors, and faces in batches from checked voices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from sf2f_bench import BenchError, LogFilterbank, ModelCard, ModelSettings

if TYPE_CHECKING:
    from sf2f_bench import AudioFrontend, TrainContext

Network = TypeVar("Network", bound=nn.Module)
AT_ONCE = 64  # voices in one forward pass


class OneNetwork(Generic[Network]):
    """A system whose `generate` needs one network. A subclass names it, builds it and says how it draws.

    name: in tables; image_size: of its faces; network: None before there are weights.
    """

    name: str
    card: ModelCard
    image_size = 64

    def __init__(self, settings: ModelSettings) -> None:
        if settings.image_size != self.image_size:
            raise BenchError(
                f"{self.name} generates faces of {self.image_size} pixels, the benchmark needs {settings.image_size}: "
                "choose a benchmark of that size, or another system"
            )
        self.frontend: AudioFrontend = LogFilterbank()
        self.network: Network | None = None

    def build(self, shapes: Mapping[str, torch.Size]) -> Network:
        """The network with the tensors' shapes by name: those that the data decide are read from them."""
        raise NotImplementedError

    def draw(self, network: Network, voices: Tensor, generator: torch.Generator) -> Tensor:
        """Faces uint8 ``[B, 3, H, W]`` of normalised segments ``[B, S, filters, T]``."""
        raise NotImplementedError

    @torch.no_grad()
    def generate(self, voices: Tensor, *, generator: torch.Generator) -> Tensor:
        """The faces of normalised segments ``[B, S, filters, T]``: uint8 ``[B, 3, H, W]``.

        generator: of what chance decides, on the voices' device. Raises BenchError for another shape of voices and
        before there are weights.
        """
        if voices.dim() != 4:
            raise BenchError(
                f"expected voices [B, S, filters, T], got {tuple(voices.shape)}: add the missing axis"
            )
        network = self.trained.to(voices.device).eval()
        return torch.cat([self.draw(network, part, generator) for part in voices.split(AT_ONCE)])

    @property
    def trained(self) -> Network:
        """The network. Raises BenchError before there are weights."""
        if self.network is None:
            raise BenchError(f"{self.card.label} has no weights yet: call fit or load_state_dict first")
        return self.network

    def state_dict(self) -> dict[str, Tensor]:
        """The network's tensors by name."""
        return self.trained.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a `state_dict`."""
        network = self.build({name: tensor.shape for name, tensor in state.items()})
        network.load_state_dict(state)
        self.network = network


Stage = TypeVar("Stage", bound=OneNetwork[Any])


def with_start(first: Stage, system: OneNetwork[Any], context: TrainContext) -> Stage:
    """The first stage with the tensors that the context was given. Raises BenchError where it was given none."""
    if context.start is None:
        raise BenchError(f"{system.card.label} starts from {first.card.label}, which was not given")
    first.load_state_dict(dict(context.start))
    return first


def by_segment(network: nn.Module, segments: Tensor) -> Tensor:
    """What a network of one segment ``[B, filters, T] -> [B, D]`` says of several ``[B, S, filters, T]``: the mean."""
    found: Tensor = network(segments.flatten(0, 1))
    return found.unflatten(0, segments.shape[:2]).mean(dim=1)


def to_bytes(images: Tensor) -> Tensor:
    """Faces in 0..1 as uint8, values outside clipped."""
    return (images.float().clamp(0, 1) * 255).round().to(torch.uint8)
