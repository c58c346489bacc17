"""People, systems and a network of pictures for tests of protocol sf2f-paper/1 that can be worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.protocols.names import PAPER, RUNS
from sf2f_bench.protocols.paper.runs import predict
from sf2f_bench.types import ModelCard
from tests.tiny import TinyDataset, TinyFrontend

BENCHMARK = Benchmark("tiny", "tiny", 16, protocol=PAPER, gallery_size=4, ks=(1, 2))
PEOPLE = TinyDataset(counts={"train": 6, "val": 2, "test": 14})  # three galleries of 4, two people past them
CPU = torch.device("cpu")
CARD = ModelCard("painter", "1", "system", "a test")


@dataclass
class Painter:
    """Paints every face from the mean of its voices; remembers what it was given."""

    fuses: bool = True
    noise: float = 0.0
    frontend: TinyFrontend = field(default_factory=TinyFrontend)
    card: ModelCard = CARD

    def __post_init__(self):
        self.shapes = []
        self.heard = []

    def generate(self, voices, *, generator):
        self.shapes.append(tuple(voices.shape))
        self.heard.append(voices)
        ramp = torch.linspace(0, 1, 3 * 16 * 16).view(1, 3, 16, 16)
        tone = 20 * voices.mean(dim=(1, 3))[:, :3, None, None]  # [B, 3, 1, 1]
        grain = self.noise * torch.rand(len(voices), 1, 16, 16, generator=generator)
        return ((torch.sin(7 * ramp * (2 + tone)) + 1.2 + grain) * 90).clamp(0, 255).to(torch.uint8)


def draw(evaluation, system, seed=0, store=None):
    counted = []
    predictions = predict(evaluation, system, CPU, seed, counted.append, store)
    assert sum(counted) == RUNS * len(evaluation.identities)
    return predictions


def values(found, what="value"):
    return {score.metric: getattr(score, what) for score in found.scores}


class Pictures:
    """Stands where Inception would: features of any length, classes, and no recognising."""

    id, sha256, recognises = "pictures/1", "1" * 64, False

    def __call__(self, images):
        pooled = torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)
        return pooled, torch.softmax(pooled[:, :7] / 20, dim=1)
