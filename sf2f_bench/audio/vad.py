"""Voice activity detection as the SF2F code does it: WebRTC's detector and a ring of padding.

Source: facts read from the official code (commit e346b68); only webrtcvad's classifier is used
unchanged. Three quirks are kept because every published number has them: a last frame that fits
exactly is dropped, so is a tail that never triggers, and the padding after a run stays in it.
"""

from __future__ import annotations

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from sf2f_bench.types import SAMPLE_RATE

PADDING_MS = 300
SHARE_TO_SWITCH = 0.9  # more than this share of the ring has to agree


def keep_speech(samples: NDArray[np.int16], mode: int, frame_ms: int) -> NDArray[np.int16]:
    """The speech of int16 ``[T]`` at 16 kHz, its runs joined: int16 ``[K]``, K <= T.

    mode: WebRTC's aggressiveness, 0..3. frame_ms: 10, 20 or 30.
    """
    length = SAMPLE_RATE * frame_ms // 1000
    voiced = voiced_frames(samples, mode, length)
    runs = [samples[a * length : b * length] for a, b in speech_runs(voiced, PADDING_MS // frame_ms)]
    return np.concatenate(runs) if runs else samples[:0]


def speech_runs(voiced: list[bool], ring: int) -> list[tuple[int, int]]:
    """Half-open runs of frames that count as speech, given each frame's verdict.

    A run begins `ring` frames back once more than 90 % of the last `ring` frames are voiced, and ends
    once more than 90 % of the last `ring` frames since then are not.
    """
    needed = int(SHARE_TO_SWITCH * ring) + 1
    runs: list[tuple[int, int]] = []
    start: int | None = None
    since = 0  # the ring was emptied here
    agreeing = 0  # verdicts in the ring that speak for a switch
    for end, verdict in enumerate(voiced, 1):
        agreeing += verdict == (start is None)
        if end - since > ring:
            agreeing -= voiced[end - ring - 1] == (start is None)
        if agreeing < needed:
            continue
        if start is None:
            start = max(since, end - ring)
        else:
            runs.append((start, end))
            start = None
        since, agreeing = end, 0
    if start is not None:
        runs.append((start, len(voiced)))
    return runs


def voiced_frames(samples: NDArray[np.int16], mode: int, length: int) -> list[bool]:
    """WebRTC's verdict on each frame of `length` samples; the detector carries state between them."""
    detector = webrtcvad.Vad(mode)
    sound = samples.tobytes()
    # Strictly less: a last frame that fits exactly is ignored.
    starts = range(0, max(len(sound) - 2 * length, 0), 2 * length)
    return [detector.is_speech(sound[at : at + 2 * length], SAMPLE_RATE, length) for at in starts]
