"""A system's faces of the test identities: from all segments, from less speech, and from two recordings apart.

A system that draws its faces gives several from all segments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.evaluation.segments import repeat_segments, segments_of, windows_of_seconds
from sf2f_bench.evaluation.test_people import generate_faces
from sf2f_bench.files import kept, load_tensors, save_tensors
from sf2f_bench.types import Answer, SpeechToFace

if TYPE_CHECKING:
    from sf2f_bench.evaluation.disturbed import Windows
    from sf2f_bench.progress import Reporter
    from sf2f_bench.types import ByteArray, FloatArray

FACES_PER_IDENTITY = 7  # at most: from all segments, from four shorter lengths, from two recordings


def generate(
    system: SpeechToFace,
    store: PreparedStore,
    device: torch.device,
    noise: torch.Generator,
    advance: Callable[[int], None],
    draws: Sequence[torch.Generator] = (),
) -> Answer:
    """Faces of all test identities, in their order; `advance` is told how many were added.

    store: prepared with the system's front end. noise: the system's source of chance, on `device`. draws: a source
    of chance for each further face of everybody, from all segments.
    """

    def faces_of(segments: list[FloatArray], chance: torch.Generator = noise) -> ByteArray:
        normalise = system.frontend.normalise
        return generate_faces(system.generate, segments, normalise, device, chance, advance, store.image_size)

    segments = segments_of(store, system.frontend)
    faces = faces_of(segments)
    shorter = {
        seconds: faces_of([windows[:count] for windows in segments])
        for seconds, count in windows_of_seconds(system.frontend).items()
    }
    repeats = repeat_segments(store, system.frontend)
    repeat_faces = None if repeats is None else np.stack([faces_of(part) for part in repeats])
    drawn = np.stack([faces, *(faces_of(segments, chance) for chance in draws)]) if draws else None
    return Answer(faces, shorter=shorter, repeat_faces=repeat_faces, draws=drawn)


def with_disturbed(
    made: Answer,
    windows: Windows,
    system: SpeechToFace,
    size: int,
    noise: Callable[[str], torch.Generator],
    reporter: Reporter,
    path: Path,
) -> Answer:
    """The answer with the faces that the system generates from disturbed voices; they are kept in `path`.

    windows: of `evaluation.disturbed.disturbed_windows` with its own front end; size: of the faces; noise: its source
    of chance for each disturbance.
    """
    heard = {what: found for what, found in windows.items() if not isinstance(found, str)}

    def make(path: Path) -> None:
        label, count = system.card.label, sum(map(len, heard.values()))
        tensors = {}
        with reporter.bar(f"generate {label}, disturbed voices (faces)", count) as bar:
            for what, segments in heard.items():
                chance, normalise = noise(what), system.frontend.normalise
                faces = generate_faces(
                    system.generate, segments, normalise, chance.device, chance, bar.advance, size
                )
                tensors[what] = torch.from_numpy(faces)
        save_tensors(path, tensors)

    faces, _ = kept(path, make, load_tensors, reporter.say)
    reasons = {what: found for what, found in windows.items() if isinstance(found, str)}
    made_of = {what: Answer(faces[what].numpy()) for what in heard}
    return replace(made, disturbed={**reasons, **made_of})


def save(answer: Answer, path: Path) -> None:
    """Write the faces into one safetensors file, atomically."""
    drawn = None if answer.draws is None else answer.draws[1:]  # the first are the faces
    arrays = {"faces": answer.faces, "takes": answer.repeat_faces, "draws": drawn}
    arrays |= {f"faces {seconds:g}": faces for seconds, faces in answer.shorter.items()}
    save_tensors(path, {name: torch.from_numpy(a) for name, a in arrays.items() if a is not None})


def load(path: Path) -> Answer:
    """Read what `save` wrote."""
    arrays = {name: tensor.numpy() for name, tensor in load_tensors(path)[0].items()}
    shorter = {float(name.split()[1]): faces for name, faces in arrays.items() if " " in name}
    faces, drawn = arrays["faces"], arrays.get("draws")
    return Answer(
        faces,
        shorter=dict(sorted(shorter.items())),
        repeat_faces=arrays.get("takes"),
        draws=None if drawn is None else np.concatenate([faces[None], drawn]),
    )
