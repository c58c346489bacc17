"""The level of a recording: features that no recording of speech at int16 scale has are refused."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from sf2f_bench.types import MediaError

# Mean log energy of a recording, lowest by 40 filters and highest by 64: LibriSpeech (160 recordings) 7.7 to 13.5,
# VoxCeleb1 (10) 9.9 to 15.4, the synthetic world (700 by 40 filters, 150 by 64) 10.3 to 15.4. Of 40 of LibriSpeech:
# at a tenth of their level 3.6 to 8.8, amplified to a peak of 1 up to 15.0, to a peak of 4 and clipped up to 17.2,
# normalised already -1.0 to 0.5 (VoxCeleb's loudest would have 1.2), at int16 scale clipped to -1..1 15.3 to 21.2,
# median 20 or more: one with long pauses can pass, so `decode` refuses float samples far outside -1..1 by
# themselves.
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
