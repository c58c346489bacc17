"""Which windows of a person's recordings a system hears in evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.protocols.names import SECONDS, SEGMENT_FRAMES, SEGMENTS
from sf2f_bench.types import AudioFrontend, BenchError

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray


def evaluation_segments(recordings: Sequence[FloatArray], frames: int = SEGMENT_FRAMES) -> FloatArray:
    """Raw recordings ``[frames, filters]`` in file order -> windows ``[S, filters, frames]``.

    S is at most 2500 // frames: 25 s of speech, 20 windows of 1.25 s. Windows do not overlap and do not cross
    recordings; what is left at a recording's end is dropped. Where no recording is as long as a window, each
    is repeated until it fills one. Raises BenchError where there is no recording.
    """
    return cut_segments(
        recordings, segment_places([len(recording) for recording in recordings], frames), frames
    )


def segment_places(lengths: Sequence[int], frames: int) -> list[tuple[int, int]]:
    """(recording, first frame) of every evaluation window of recordings this long, in frames."""
    places = [
        (recording, start)
        for recording, length in enumerate(lengths)
        for start in range(0, length - frames + 1, frames)
    ] or [(recording, 0) for recording, length in enumerate(lengths) if length]
    if not places:
        raise BenchError("an identity has no recording: prepare leaves such people out")
    return places[: max(1, SEGMENTS * SEGMENT_FRAMES // frames)]


def cut_segments(
    recordings: Sequence[FloatArray], places: Sequence[tuple[int, int]], frames: int
) -> FloatArray:
    """The windows at these places, ``[S, filters, frames]``; past its end a recording begins anew."""
    windows = []
    for number, start in places:
        recording = recordings[number]
        whole = start + frames <= len(recording)
        rows = slice(start, start + frames) if whole else np.arange(start, start + frames) % len(recording)
        windows.append(recording[rows].T)
    return np.stack(windows)


def segments_of(store: PreparedStore, frontend: AudioFrontend, split: str = "test") -> list[FloatArray]:
    """Raw evaluation segments of every identity of a split: ``[S_i, filters, frames]``.

    store: prepared with `frontend`, whose `segment_frames` the windows are long.
    """
    names = [identity.id for identity in store.identities(split)]
    return [evaluation_segments(store.voices(name), frontend.segment_frames) for name in names]


def windows_of_seconds(frontend: AudioFrontend) -> dict[float, int]:
    """How many windows the points of the audio-length curve take: ``{1.25: 1, 2.5: 2, 5.0: 4, 10.0: 8}``.

    Points that a front end with longer windows cannot meet are left out.
    """
    seconds = frontend.segment_frames / frontend.frames_per_second
    counts = {point: point / seconds for point in SECONDS}
    return {point: round(count) for point, count in counts.items() if abs(count - round(count)) < 1e-3}


def repeat_segments(
    store: PreparedStore, frontend: AudioFrontend, split: str = "test"
) -> tuple[list[FloatArray], list[FloatArray]] | None:
    """Raw windows ``[S_i, filters, frames]`` of every person's first and of their last recording.

    At most half as many as all segments. None where a person has one recording only.
    """
    voices = [store.voices(identity.id) for identity in store.identities(split)]
    if min(len(recordings) for recordings in voices) < 2:
        return None
    frames = frontend.segment_frames
    most = max(1, SEGMENTS * SEGMENT_FRAMES // frames // 2)
    first, last = (
        [evaluation_segments([recordings[place]], frames)[:most] for recordings in voices]
        for place in (0, -1)
    )
    return first, last
