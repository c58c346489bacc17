"""Source-filter speech for the synthetic world: nonsense syllables in a voice given by parameters.

A glottal pulse train and noise (the sources) pass moving resonances (the filter), frame by frame in the
short-time Fourier domain. G. Fant, Acoustic Theory of Speech Production, 1960.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter

from sf2f_bench.types import SAMPLE_RATE, BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]
    Spectrum = NDArray[np.complexfloating[Any, Any]]

FRAME, HOP = 512, 256  # samples
BLOCK = 64  # frames
HOP_SECONDS = HOP / SAMPLE_RATE
LEVEL_DB = -18.0  # root mean square of an utterance, relative to full scale
FLOOR_DB = -62.0  # root mean square of the recording's noise
FREQUENCIES = np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE)  # Hz, [257]
WINDOW = np.sqrt(np.hanning(FRAME + 1)[:-1] * 2 * HOP / FRAME)  # analysis times synthesis adds up to 1

# F1, F2, F3 in Hz of ten vowels, men (Peterson and Barney 1952, table II)
VOWELS = np.array(
    [
        (270, 2290, 3010),
        (390, 1990, 2550),
        (530, 1840, 2480),
        (660, 1720, 2410),
        (730, 1090, 2440),
        (570, 840, 2410),
        (440, 1020, 2240),
        (300, 870, 2240),
        (640, 1190, 2390),
        (490, 1350, 1690),
    ],
    dtype=float,
)
NEUTRAL_VOWEL = np.array([500.0, 1500.0, 2500.0])  # of a uniform tube of 17.5 cm
HIGH_FORMANTS = np.array([3500.0, 4500.0, 5500.0, 6500.0])  # F4..F7
BANDWIDTHS = np.array([70.0, 90.0, 130.0, 200.0, 260.0, 320.0, 400.0])  # Hz, F1..F7

# The sound of a segment: amplitudes of voice, aspiration, three noises ("s", "sh", "f") and nasality
LEVELS = ("voice", "aspiration", "s", "sh", "f", "nasal")
FRICTION_CENTRES = np.array([6200.0, 3400.0, 5000.0])  # Hz
FRICTION_WIDTHS = np.array([1500.0, 1000.0, 4000.0])  # Hz
# hold and release in seconds; levels in the hold; levels in the release; locus F1, F2, F3 in Hz
CONSONANTS = np.array(
    [
        # hold rel   voi  asp  s   sh   f   nas   voi  asp  s    sh   f  nas   F1   F2    F3
        (0.000, 0.000, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 500, 1500, 2500),  # none
        (0.060, 0.040, 0, 0, 0, 0, 0, 0, 0.0, 0.7, 0, 0, 0.8, 0, 250, 900, 2300),  # p
        (0.055, 0.045, 0, 0, 0, 0, 0, 0, 0.0, 0.6, 0.8, 0.2, 0, 0, 250, 1750, 2650),  # t
        (0.055, 0.045, 0, 0, 0, 0, 0, 0, 0.0, 0.7, 0, 0.7, 0, 0, 250, 2100, 2400),  # k
        (0.060, 0.010, 0.15, 0, 0, 0, 0, 0, 0.6, 0.2, 0, 0, 0.4, 0, 250, 900, 2300),  # b
        (0.050, 0.012, 0.15, 0, 0, 0, 0, 0, 0.6, 0.2, 0.4, 0.1, 0, 0, 250, 1750, 2650),  # d
        (0.100, 0.000, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 300, 1700, 2600),  # s
        (0.100, 0.000, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 300, 1900, 2500),  # sh
        (0.080, 0.000, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0, 0, 0, 300, 1000, 2300),  # f
        (0.070, 0.000, 0.35, 0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 300, 1700, 2600),  # z
        (0.065, 0.000, 0.50, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 300, 1000, 2300),  # m
        (0.060, 0.000, 0.50, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 300, 1600, 2600),  # n
        (0.060, 0.000, 0.60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 350, 1150, 2500),  # l
        (0.055, 0.000, 0.10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 500, 1500, 2500),  # h
    ]
)
HOLD, RELEASE, HOLD_LEVELS, RELEASE_LEVELS, LOCUS = 0, 1, slice(2, 8), slice(8, 14), slice(14, 17)
GLOTTAL_FORMANT, GLOTTAL_QUALITY = 1.1, 1.0  # the glottal spectrum's peak relative to F0, its sharpness
RETURN_PHASE = 2500.0  # Hz, where a pulse's finite closing makes its spectrum steeper
HIGHER_POLES = 1.43e-7  # per square Hz, what the formants above F7 add below them: the sum of 1/F^2
PULSE_SECONDS = 0.004  # how far the phase spreads a pulse, so that it needs little headroom
DB_PER_OCTAVE = 20 * np.log10(2)  # of a spectrum that is proportional to frequency
# amplitudes of noise beside a pulse train's: in voiced sounds, in "h" and after "p", in fricatives
BREATH, WHISPER, FRICTION = 0.04, 0.1, 0.25
VOWEL_SECONDS = 0.13
VOWEL_LEVELS = np.array([1.0, 0, 0, 0, 0, 0])
STRESS_DB = 2.0  # standard deviation of the syllables' loudness
PAUSE_SHARE = 0.11  # of the syllables
PAUSE_SECONDS = (0.12, 0.35)


@dataclass(frozen=True)
class VoiceParameters:
    """A speaker's voice; the defaults are a neutral adult man. Factors without a unit are ratios, neutral 1.

    The first seven can be heard in the long-term statistics of a few seconds of speech; the world ties
    them to the face. The rest vary between speakers and are independent of the face.
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
    intonation: float = 1.6  # semitones, standard deviation of the slow movement of F0
    tremor: float = 0.0  # semitones, depth of a 5 Hz vibrato
    vowel_space: float = 1.0  # distance of the vowels from the neutral vowel in F1 and F2
    front_shift: float = 1.0  # F2 of all vowels: larger is a tongue further in front
    nasality: float = 1.0  # depth of the nasal zero near 1 kHz and of the murmur at 250 Hz
    resonance_width: float = 1.0  # bandwidths of all formants
    pauses: float = 1.0  # share of syllables that a pause follows


class _Tracks(NamedTuple):
    """The parameters that change from frame to frame."""

    levels: Array  # [frames, 6], amplitudes in the order of LEVELS
    formants: Array  # [frames, 3], F1 to F3 in Hz before the speaker's scale
    stress: Array  # [frames], mean 0


class _Curves(NamedTuple):
    """The parts that are constant within an utterance, as amplitudes over frequency."""

    glottis: Spectrum  # [257], complex
    nose: Array  # [257], added to 1 in proportion to nasality
    tract: Array  # [257], the high formants and the channel
    fricatives: Array  # [3, 257], with the channel


def speak(voice: VoiceParameters, random: np.random.RandomState, seconds: float) -> NDArray[np.float32]:
    """One utterance of random syllables: float32 ``[T]`` at 16 kHz, ``T = round(16000 seconds)``.

    Every value is an int16 divided by 32768, so that rounding hides differences between machines in the last bit.
    The level is about -18 dB relative to full scale; `random` decides words, melody, channel and gain.
    Raises BenchError for less than half a second.
    """
    if seconds < 0.5:
        raise BenchError(f"expected at least 0.5 s of speech to synthesise, got {seconds} s; ask for more.")
    samples = round(seconds * SAMPLE_RATE)
    frames = -(-samples // HOP) + FRAME // HOP
    tracks = _articulate(voice, random, frames)
    pulses = _pulses(voice, random, tracks.stress, tracks.levels[:, 0])
    noise = random.uniform(-1, 1, pulses.size)
    speech = _filtered(voice, _curves(voice, random), pulses, noise, tracks)[FRAME - HOP :][:samples]
    gain_db = LEVEL_DB + np.clip(random.normal(0, 1.5), -3, 3)
    speech *= 10 ** (gain_db / 20) / np.sqrt(np.mean(speech**2))
    floor_db = FLOOR_DB + np.clip(random.normal(0, 2), -4, 4)
    hum = lfilter([1.0], [1.0, -0.9], noise[::-1][:samples])
    speech += hum * (10 ** (floor_db / 20) / np.sqrt(np.mean(hum**2)))
    return (np.rint(np.clip(speech, -1, 1) * 32767) / 32768).astype(np.float32)


def _articulate(voice: VoiceParameters, random: np.random.RandomState, frames: int) -> _Tracks:
    """Random syllables of consonant, vowel, consonant and perhaps a pause, as tracks."""
    count = int(frames * HOP_SECONDS / 0.08 * max(voice.rate, 1)) + 2  # more syllables than fit
    onset, coda = _dealt(random, len(CONSONANTS), count), _dealt(random, len(CONSONANTS), count)
    coda[_dealt(random, 9, count) < 5] = 0
    vowel = _vowels(voice)[_dealt(random, len(VOWELS), count)]
    due = np.cumsum(PAUSE_SHARE * voice.pauses * random.uniform(0.5, 1.5, count))
    pausing = np.diff(np.floor(due), prepend=0) > 0
    shortest, longest = PAUSE_SECONDS
    pause = np.where(pausing, shortest + (longest - shortest) * random.uniform(size=count) ** voice.rate, 0)
    stretch = np.exp(random.normal(0, 0.22, count)) * np.where(pausing, 1.3, 1)
    clipped = voice.rate**-0.4  # consonants give way less than vowels when speech is fast
    first, last = CONSONANTS[onset], CONSONANTS[coda]
    spoken = VOWEL_SECONDS * voice.rate**-1.3 * stretch
    parts = [first[:, HOLD] * clipped, first[:, RELEASE] * clipped, spoken, last[:, HOLD] * clipped, pause]
    durations = np.stack(parts, 1)  # [syllables, 5], as the levels and targets below
    stress = random.normal(0, 1, count)
    voiced = np.zeros((count, len(LEVELS))) + VOWEL_LEVELS
    level = np.stack(
        [first[:, HOLD_LEVELS], first[:, RELEASE_LEVELS], voiced, last[:, HOLD_LEVELS], 0 * voiced], 1
    )
    level = (level * 10 ** (STRESS_DB * stress / 20)[:, None, None]).reshape(-1, len(LEVELS))
    start, end = 0.5 * (first[:, LOCUS] + vowel), 0.5 * (last[:, LOCUS] + vowel)
    target = np.stack([start, start, vowel, end, end], 1).reshape(-1, 3)
    ends = np.cumsum(durations.ravel())
    segment = np.minimum(np.searchsorted(ends, np.arange(frames) * HOP_SECONDS, side="right"), ends.size - 1)
    return _Tracks(level[segment], _smooth(target[segment], 5), _smooth(stress[segment // 5, None], 13)[:, 0])


def _dealt(random: np.random.RandomState, kinds: int, count: int) -> NDArray[np.intp]:
    """`count` numbers below `kinds` dealt from shuffled decks, so that even a short text is balanced."""
    decks = random.uniform(size=(-(-count // kinds), kinds))
    return np.argsort(decks, axis=1, kind="stable").ravel()[:count]


def _vowels(voice: VoiceParameters) -> Array:
    """The speaker's vowels before the tract's scale: ``[10, 3]`` in Hz."""
    spread = np.array([voice.vowel_space, voice.vowel_space, 1])
    return NEUTRAL_VOWEL * (VOWELS / NEUTRAL_VOWEL) ** spread * np.array([1, voice.front_shift, 1])


def _smooth(track: Array, width: int) -> Array:
    """A track ``[frames, channels]`` under a Hann window of `width` frames, the ends held."""
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(track, ((width // 2, width // 2), (0, 0)), mode="edge")
    return sliding_window_view(padded, width, axis=0) @ (window / window.sum())


def _pulses(voice: VoiceParameters, random: np.random.RandomState, stress: Array, level: Array) -> Array:
    """Glottal pulses of equal energy per second ``[frames * HOP + FRAME]``, with jitter and shimmer."""
    frames = stress.size
    seconds = np.arange(frames) * HOP_SECONDS
    melody = stress * (voice.intonation / max(stress.std(), 1e-3))
    melody += voice.tremor * np.sin(2 * np.pi * (5 * seconds + random.uniform()))
    melody += np.clip(random.normal(0, 0.3), -0.6, 0.6) - np.median(melody)
    f0 = voice.f0 * 2 ** (melody / 12)
    periods = np.append(0, np.cumsum(f0) * HOP_SECONDS)
    instants = np.interp(np.arange(1, int(periods[-1])), periods, np.arange(frames + 1) * HOP_SECONDS)
    count = instants.size
    # a period is the difference of two instants, hence the root of two
    instants += random.normal(0, voice.jitter / np.sqrt(2), count) / voice.f0
    amplitude = np.interp(instants, seconds, level / np.sqrt(f0))
    amplitude *= np.maximum(1 + random.normal(0, voice.shimmer, count), 0)
    position = np.clip(instants * SAMPLE_RATE, 0, frames * HOP) + FRAME // 2
    whole = position.astype(int)
    share = position - whole
    train = np.bincount(whole, amplitude * (1 - share), frames * HOP + FRAME)
    train += np.bincount(whole + 1, amplitude * share, frames * HOP + FRAME)
    return train * np.sqrt(SAMPLE_RATE)


def _filtered(voice: VoiceParameters, curves: _Curves, pulses: Array, noise: Array, tracks: _Tracks) -> Array:
    """Both sources ``[frames * HOP + FRAME]`` through the filters: speech, whole from FRAME - HOP on.

    Works block by block, because a block's spectra fit into the processor's cache.
    """
    frames = len(tracks.stress)
    pulse_windows = sliding_window_view(pulses, FRAME)[::HOP]
    noise_windows = sliding_window_view(noise, FRAME)[::HOP]
    result = np.zeros((frames + FRAME // HOP, HOP))
    for start in range(0, frames, BLOCK):
        rows = slice(start, min(start + BLOCK, frames))
        voiced, hissed = _gains(voice, curves, tracks.levels[rows], tracks.formants[rows])
        spectrum = np.fft.rfft(pulse_windows[rows] * WINDOW) * curves.glottis
        spectrum *= voiced
        spectrum += np.fft.rfft(noise_windows[rows] * WINDOW) * hissed
        pieces = (np.fft.irfft(spectrum, FRAME) * WINDOW).reshape(len(spectrum), -1, HOP)
        for part in range(FRAME // HOP):
            result[start + part : start + part + len(pieces)] += pieces[:, part]
    return result.ravel()


def _gains(voice: VoiceParameters, curves: _Curves, levels: Array, formants: Array) -> tuple[Array, Array]:
    """The factors of the spectra of pulses and of noise, ``[frames, 257]`` each."""
    breath = BREATH * voice.breathiness * levels[:, :1] + WHISPER * levels[:, 1:2]
    nasal = 0.7 * levels[:, 5:] + 0.2 * voice.nasality * levels[:, :1]
    tract = np.minimum(nasal, 0.95) * curves.nose
    tract += 1
    tract *= curves.tract
    upper = np.array([1, 1, voice.upper_formant_scale])
    tract /= _resonances(formants * (voice.formant_scale * upper), BANDWIDTHS[:3] * voice.resonance_width)
    friction = breath * tract
    for level, curve in zip(levels[:, 2:5].T, curves.fricatives, strict=True):
        friction += level[:, None] * curve
    return tract, friction


def _resonances(formants: Array, bandwidths: Array) -> Array:
    """Magnitude of the denominator of resonances in cascade, one at 0 Hz: ``[n, k]`` Hz -> ``[n, 257]``."""
    squares = (FREQUENCIES / SAMPLE_RATE) ** 2
    widths = (bandwidths / SAMPLE_RATE) ** 2
    result, factor = np.ones((2, len(formants), FREQUENCIES.size))
    for centre, width in zip((formants.T[..., None] / SAMPLE_RATE) ** 2, widths, strict=True):
        np.add(squares, width - 2 * centre, out=factor)  # to |1 - f^2/F^2 + j f B/F^2|^2
        factor *= squares
        factor *= centre**-2
        factor += 1
        result *= factor
    return np.sqrt(result, out=result)


def _curves(voice: VoiceParameters, random: np.random.RandomState) -> _Curves:
    """The constant filters of one utterance; the channel (microphone and room) is random."""
    hz = FREQUENCIES.clip(20)
    ratio = hz / (GLOTTAL_FORMANT * voice.f0)
    glottis = 1 / np.hypot(ratio - 1 / ratio, 1 / GLOTTAL_QUALITY) / np.hypot(1, hz / RETURN_PHASE)
    glottis *= (hz.clip(250) / 1000) ** (voice.tilt_db_per_octave / DB_PER_OCTAVE)
    delay = PULSE_SECONDS * (FREQUENCIES - 1000 * (1 - np.exp(-FREQUENCIES / 1000)))
    zero = np.exp(-(((hz / voice.formant_scale - 950) / 350) ** 2))
    nose = 2 * np.exp(-(((hz - 250) / 120) ** 2)) - zero
    distance = (hz - FRICTION_CENTRES[:, None]) / FRICTION_WIDTHS[:, None]
    fricatives = FRICTION * voice.sibilance / (1 + distance**2)
    high = HIGH_FORMANTS * voice.formant_scale * np.array([voice.upper_formant_scale, 1, 1, 1])
    tract = np.exp(HIGHER_POLES * (hz / voice.formant_scale) ** 2)
    tract /= _resonances(high[None], BANDWIDTHS[3:] * voice.resonance_width)[0]
    channel = 1 / (1 + (random.uniform(40, 70) / hz) ** 2)
    channel *= (hz / 1000) ** (np.clip(random.normal(0, 0.4), -1, 1) / DB_PER_OCTAVE)
    octaves = np.log2(hz / 100)
    ripple_db = 1.2 * np.sin(octaves * random.uniform(1, 2.5) + 2 * np.pi * random.uniform())
    channel *= 10 ** (ripple_db / 20)
    return _Curves(glottis * np.exp(-2j * np.pi * delay), nose, tract * channel, fricatives * channel)
