"""Source-filter speech for the synthetic world: nonsense syllables in a voice that parameters describe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VoiceParameters:
    """A speaker's voice; the defaults are a neutral adult man. Factors without a unit are ratios, neutral 1.

    The first seven can be heard in the long-term statistics of a few seconds of speech; the world ties
    them to the face. The rest vary between speakers and say nothing of the face.
    """

    f0: float = 120.0  # Hz, the median of the fundamental frequency
    formant_scale: float = 1.0  # all formants; larger is a shorter vocal tract (adult women: about 1.16)
    rate: float = 1.0  # syllables per second
    breathiness: float = 1.0  # aspiration noise in voiced sounds
    tilt_db_per_octave: float = 0.0  # added to the slope of the glottal spectrum; negative is softer
    upper_formant_scale: float = 1.0  # F3 and F4 beside the other formants
    sibilance: float = 1.0  # amplitude of fricative noise

    jitter: float = 0.01  # standard deviation of a period relative to the period
    shimmer: float = 0.06  # standard deviation of a pulse's amplitude relative to the amplitude
    intonation: float = 2.0  # semitones, standard deviation of the slow movement of F0
    tremor: float = 0.0  # semitones, depth of a 5 Hz vibrato
    vowel_space: float = 1.0  # distance of the vowels from the neutral vowel in F1 and F2
    front_shift: float = 1.0  # F2 of all vowels: larger is a tongue further in front
    nasality: float = 1.0  # depth of the nasal zero near 1 kHz and of the murmur at 250 Hz
    resonance_width: float = 1.0  # bandwidths of all formants
    pauses: float = 1.0  # share of syllables that a pause follows
