"""What one face costs: parameters that take part, floating-point operations, and time on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sf2f_bench.evaluation.segments import evaluation_segments
from sf2f_bench.protocols.names import SEGMENT_FRAMES, SEGMENTS
from sf2f_bench.types import SpeechToFace

if TYPE_CHECKING:
    from sf2f_bench.runs.stages import Run

BATCH = 16  # voices that are timed together
REPEATS = 5  # of which the median counts
MOST_SECONDS = 20.0  # after which no further repeat begins


class ParametersSeen(TorchDispatchMode):
    """Notes every `nn.Parameter` that an operation is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, nn.Parameter] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation as it is."""
        kwargs = kwargs or {}
        for part in tree_leaves((args, kwargs)):
            if isinstance(part, nn.Parameter):
                self.seen[id(part)] = part
        return func(*args, **kwargs)

    @property
    def count(self) -> int:
        """Numbers in them."""
        return sum(part.numel() for part in self.seen.values())


def cost_of_a_face(run: Run, system: SpeechToFace) -> dict[str, int | float]:
    """The fields of `records.Cost` that are about one face; empty where measuring fails, which is said.

    The voices are those of the first test people, with 20 segments of 1.25 s (as many as fit for longer segments).
    Chance comes from generators of its own, and torch's global state is put back.
    """
    try:
        return measured(system, voices_of(run, system), run.device)
    except Exception as error:  # the faces are there: a system that cannot be observed keeps its record
        run.reporter.say(f"{system.card.label}: what a face costs could not be measured: {error}")
        return {}


def voices_of(run: Run, system: SpeechToFace) -> Tensor:
    """Normalised segments of `BATCH` voices ``[BATCH, S, filters, frames]``, on the run's device."""
    store, frontend = run.store_for(system), system.frontend
    names = [identity.id for identity in store.identities("test")[:BATCH]]
    segments = max(1, SEGMENTS * SEGMENT_FRAMES // frontend.segment_frames)
    heard = [evaluation_segments(store.voices(name), frontend.segment_frames) for name in names]
    filled = [windows[np.arange(segments) % len(windows)] for windows in heard]
    batch = np.stack([filled[number % len(filled)] for number in range(BATCH)])
    voices: Tensor = frontend.normalise(torch.from_numpy(batch).to(run.device))
    return voices


def measured(system: SpeechToFace, voices: Tensor, device: torch.device) -> dict[str, int | float]:
    """Parameters and operations of the first voice's face, and seconds for each face of all of them."""

    def generate(chosen: Tensor) -> None:
        system.generate(chosen.clone(), generator=torch.Generator(device=device).manual_seed(0))

    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        parameters, operations = ParametersSeen(), FlopCounterMode(display=False)
        with torch.compiler.set_stance("force_eager"):
            with parameters:
                generate(voices[:1])
            with operations:
                generate(voices[:1])
        seconds = _seconds(lambda: generate(voices), device)
    return {
        "parameters": parameters.count,
        "operations_per_face": int(operations.get_total_flops()),
        "seconds_per_face": seconds / len(voices),
    }


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """Median of some repeats after a first one that does not count."""

    def once() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    once()
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < MOST_SECONDS:
        taken.append(once())
    return median(taken)
