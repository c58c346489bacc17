"""A system's faces of the test identities: from all segments, from less speech, and from two recordings apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.evaluation.segments import segments_of, takes_of, windows_of_seconds
from sf2f_bench.evaluation.test_people import generate_faces
from sf2f_bench.files import load_tensors, save_tensors
from sf2f_bench.types import Answer, SpeechToFace

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

DRAWINGS = 7  # of an identity: all segments, four shorter lengths, two takes


@dataclass(frozen=True, eq=False)
class Drawn:
    """uint8 faces of all test identities, in their order; see `Answer` for `shorter` and `takes`."""

    faces: ByteArray
    shorter: dict[float, ByteArray]
    takes: ByteArray | None

    @property
    def answer(self) -> Answer:
        """What scoring takes."""
        return Answer(faces=self.faces, shorter=self.shorter, takes=self.takes)

    def save(self, path: Path) -> None:
        """Write everything into one safetensors file, atomically."""
        arrays = {"faces": self.faces, **{f"faces {point:g}": faces for point, faces in self.shorter.items()}}
        if self.takes is not None:
            arrays["takes"] = self.takes
        save_tensors(path, {name: torch.from_numpy(array) for name, array in arrays.items()})

    @classmethod
    def load(cls, path: Path) -> Drawn:
        """Read what `save` wrote."""
        arrays = {name: tensor.numpy() for name, tensor in load_tensors(path)[0].items()}
        points = {
            name.partition(" ")[2]: array for name, array in arrays.items() if name.startswith("faces ")
        }
        shorter = {float(point): faces for point, faces in points.items()}
        return cls(arrays["faces"], dict(sorted(shorter.items())), arrays.get("takes"))


def draw(
    system: SpeechToFace,
    store: PreparedStore,
    device: torch.device,
    generator: torch.Generator,
    advance: Callable[[int], None],
) -> Drawn:
    """Draw everything; `advance` is told the faces done, at most `DRAWINGS` times the test identities in the end."""

    def faces_of(segments: list[FloatArray]) -> ByteArray:
        return generate_faces(
            system.generate, segments, system.frontend.normalise, device, generator, advance
        )

    segments = segments_of(store, system.frontend)
    faces = faces_of(segments)
    shorter = {
        point: faces_of([windows[:count] for windows in segments])
        for point, count in windows_of_seconds(system.frontend).items()
    }
    takes = takes_of(store, system.frontend)
    return Drawn(faces, shorter, None if takes is None else np.stack([faces_of(take) for take in takes]))
