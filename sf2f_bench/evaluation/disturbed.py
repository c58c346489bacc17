"""What systems and anchors hear of disturbed voices: the first 5 s of speech of a gallery of test people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sf2f_bench.audio.disturb import DISTURBANCES, VERSION
from sf2f_bench.data.media import Recording
from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.evaluation.segments import evaluation_segments
from sf2f_bench.files import hash_of, kept, load_tensors, save_tensors, seed_of
from sf2f_bench.protocols.names import DISTURBED_SECONDS
from sf2f_bench.registry.sources import keyed
from sf2f_bench.types import AudioFrontend, Dataset, MediaError

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

    Windows = dict[str, list[FloatArray] | str]


def disturbed_windows(
    dataset: Dataset,
    store: PreparedStore,
    frontend: AudioFrontend,
    count: int,
    folder: Path,
    say: Callable[[str], object],
) -> Windows:
    """Raw windows ``[S_i, filters, frames]`` of the first test people by disturbance, or why there are none.

    Each recording is disturbed as a waveform, by random numbers of its own, and then heard by `frontend`, with which
    `store` is prepared. Kept in `folder`. count: of people; a fixed part of them keeps scoring fast.
    """
    name = hash_of([store.data_hash, keyed(frontend), count, DISTURBED_SECONDS, VERSION])

    def make(path: Path) -> None:
        made = _make(dataset, store, frontend, count)
        windows = {what: found for what, found in made.items() if not isinstance(found, str)}
        tensors = {what: torch.from_numpy(np.concatenate(found)) for what, found in windows.items()}
        tensors |= {f"{what} count": torch.tensor([len(x) for x in found]) for what, found in windows.items()}
        save_tensors(path, tensors, {what: found for what, found in made.items() if isinstance(found, str)})

    def load(path: Path) -> Windows:
        tensors, reasons = load_tensors(path)
        found: Windows = dict(reasons)
        for what in DISTURBANCES:
            if what in tensors:
                ends = np.cumsum(tensors[f"{what} count"].numpy())[:-1]
                found[what] = np.split(tensors[what].numpy(), ends)
        return {what: found[what] for what in DISTURBANCES}

    return kept(folder / f"{name}.safetensors", make, load, say)


def _make(dataset: Dataset, store: PreparedStore, frontend: AudioFrontend, count: int) -> Windows:
    people = [identity.id for identity in store.identities("test")[:count]]
    by_person = [_of_person(dataset, store, frontend, person) for person in people]
    found: Windows = {}
    for what in DISTURBANCES:
        windows = [person[what] for person in by_person]
        deaf = [name for name, one in zip(people, windows, strict=True) if not len(one)]
        found[what] = windows
        if deaf:
            found[what] = (
                f"the front end heard no such recording of {len(deaf)} of {len(people)} people (first: {deaf[0]}): "
                "without waveform, without speech, or at no level of speech"
            )
    return found


def _of_person(
    dataset: Dataset, store: PreparedStore, frontend: AudioFrontend, person: str
) -> dict[str, FloatArray]:
    """Windows of 5 s of a person's usable recordings, in their order, by disturbance; none where nothing is heard."""
    wanted = round(DISTURBED_SECONDS * frontend.frames_per_second)
    usable = set(store.keys(person, "voice"))
    heard: dict[str, list[FloatArray]] = {what: [] for what in DISTURBANCES}
    for utterance in dataset.utterances(person):
        left = [what for what, found in heard.items() if _frames(found, frontend.segment_frames) < wanted]
        if not left:
            break
        if utterance.key not in usable or not isinstance(utterance, Recording):
            continue
        try:
            waveform = utterance.waveform()
        except MediaError:
            continue
        for what in left:
            random = np.random.default_rng(seed_of(what, person, utterance.key))
            try:
                heard[what].append(frontend(DISTURBANCES[what](waveform, random)).T)
            except MediaError:  # it hears no speech in it
                continue
    most = max(1, wanted // frontend.segment_frames)
    return {
        what: evaluation_segments(found, frontend.segment_frames)[:most] if found else np.zeros((0, 1, 1))
        for what, found in heard.items()
    }


def _frames(recordings: Sequence[FloatArray], window: int) -> int:
    """Frames in whole windows."""
    return sum(len(recording) // window * window for recording in recordings)
