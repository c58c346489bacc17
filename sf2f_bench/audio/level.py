"""The level of a recording: features that no recording of speech at int16 scale has are refused."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from sf2f_bench.types import MediaError

# Mean log energy of a recording, measured with both front ends (40 and 64 filters): LibriSpeech (160 recordings) 7.7 to
# 13.5, VoxCeleb1 (10) 9.9 to 15.4, the synthetic world (700) 10.3 to 15.4. LibriSpeech at a tenth of its level has 3.6
# to 8.8, amplified to a peak of 1 up to 15.0, to a peak of 4 and clipped up to 17.2; at a hundredth 2.7 to 5.2 where
# speech is still found. Features that are normalised already have -1.0 to 1.2; samples at int16 scale clipped to -1..1
# have 15.3 to 21.2, half of them 20 or more.
QUIETEST, LOUDEST = 3.0, 18.0


def check_level(energies: NDArray[Any]) -> None:
    """Raise MediaError where the mean of a recording's log energies is not one of speech at int16 scale."""
    mean = float(energies.mean())
    if QUIETEST <= mean <= LOUDEST:
        return
    why = (
        "clipped nearly everywhere; a float recording must have samples in -1..1"
        if mean > LOUDEST
        else "far too quiet, or features that are normalised already, which would be normalised twice"
    )
    raise MediaError(
        f"the mean log energy is {mean:.1f}, expected {QUIETEST:g} to {LOUDEST:g} of speech: {why}. Fetch the original."
    )
