"""The law of `synthetic/1`: a person's factors, how they look and sound, and what changes from photo to photo.

Gender and seven standard normal factors are shared by voice and face; a face trait that follows a shared
factor is ``sqrt(.8) * shared + sqrt(.2) * face-only``, so its correlation with the factor is ``sqrt(.8)``
within a gender. Everything comes from NumPy's legacy `RandomState`, whose stream is frozen by NumPy's policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, sqrt

import numpy as np
from numpy.random import RandomState

from sf2f_bench.data.synthetic.faces import FaceParameters, PhotoNuisance
from sf2f_bench.data.synthetic.voices import VoiceParameters

NAME = "synthetic/1"
SHARED_SHARE = 0.8  # of a face trait's variance within a gender

SHARED_TRAITS = {  # shared factor -> the face trait that follows it
    "age": "age",
    "vocal_tract": "face_height",
    "vocal_folds": "jaw_width",  # long folds speak low
    "breathiness": "skin_tone",
    "speaking_rate": "brow_height",
    "upper_formants": "nose_length",
    "sibilance": "mouth_width",
}
FACE_ONLY_TRAITS = (
    "hair_length",
    "hair_colour",
    "hair_volume",
    "fringe",
    "eye_size",
    "eye_spacing",
    "eye_colour",
    "nose_width",
    "lip_thickness",
    "ear_size",
    "brow_thickness",
    "brow_angle",
    "face_taper",
)
TRAITS = (*SHARED_TRAITS.values(), *FACE_ONLY_TRAITS)
# Men's mean minus women's, in standard deviations of the trait within a gender.
GENDER_SHIFT = {
    "face_height": 0.7,
    "jaw_width": 0.9,
    "brow_height": -0.6,
    "hair_length": -2.2,
    "eye_size": -0.8,
    "lip_thickness": -0.9,
    "brow_thickness": 1.1,
    "face_taper": -0.8,
}
GLASSES_SHARE = 0.25
BEARD_SHARE = 0.4  # of the men

GENDER_F0 = {"f": 205.0, "m": 120.0}  # Hz
GENDER_FORMANTS = {"f": 1.16, "m": 1.0}
# Voice-only parameters: how much one standard deviation multiplies the neutral value, as an exponent.
VOICE_ONLY_SPREAD = {
    "jitter": 0.3,
    "shimmer": 0.3,
    "intonation": 0.2,
    "vowel_space": 0.06,
    "front_shift": 0.03,
    "nasality": 0.3,
    "resonance_width": 0.12,
    "pauses": 0.2,
}


@dataclass(frozen=True)
class SyntheticPerson:
    """The latent vector of one identity; factors and traits are independent and standard normal."""

    gender: str  # "f" or "m"
    shared: Mapping[str, float]  # the keys of SHARED_TRAITS
    face_only: Mapping[str, float]  # the values of SHARED_TRAITS (their own part) and FACE_ONLY_TRAITS
    voice_only: Mapping[str, float]  # the keys of VOICE_ONLY_SPREAD and "tremor"
    glasses: bool
    beard: float  # 0..1, what a man's would be

    @property
    def age(self) -> float:
        """Years, from the age factor."""
        return round(float(np.clip(42 + 12 * self.shared["age"], 18, 80)), 1)


def random_of(seed: int, stream: str, index: int, purpose: str) -> RandomState:
    """The random numbers of one purpose ("person", "photo/2") of one identity of one stream."""
    digest = hashlib.sha256(f"{NAME}|{seed}|{stream}|{index}|{purpose}".encode()).digest()
    return RandomState(np.frombuffer(digest, dtype="<u4").astype(np.uint32))


def _normal(random: RandomState) -> float:
    """A standard normal number, rounded so that the last bit of a logarithm does not matter."""
    return round(float(random.standard_normal()), 6)


@lru_cache(maxsize=4096)  # every utterance and photo asks again
def person_of(seed: int, stream: str, index: int) -> SyntheticPerson:
    """The identity with this index of a stream ("benchmark", "judge", "perceptual")."""
    random = random_of(seed, stream, index, "person")
    gender = "m" if random.random_sample() < 0.5 else "f"
    shared = {factor: _normal(random) for factor in SHARED_TRAITS}
    random = random_of(seed, stream, index, "voice")
    voice_only = {factor: _normal(random) for factor in (*VOICE_ONLY_SPREAD, "tremor")}
    person = SyntheticPerson(gender, shared, {}, voice_only, False, 0.0)
    return someone_like(person, random_of(seed, stream, index, "face"))


def someone_like(person: SyntheticPerson, random: RandomState) -> SyntheticPerson:
    """Somebody with the same gender, shared factors and voice, and a new random face-only part."""
    traits = (*SHARED_TRAITS.values(), *FACE_ONLY_TRAITS)
    face_only = {trait: _normal(random) for trait in traits}
    glasses = bool(random.random_sample() < GLASSES_SHARE)
    has_beard, fullness = random.random_sample() < BEARD_SHARE, round(random.uniform(0.3, 1.0), 6)
    return replace(person, face_only=face_only, glasses=glasses, beard=fullness if has_beard else 0.0)


def face_of(person: SyntheticPerson, share: float = SHARED_SHARE) -> FaceParameters:
    """How a person looks; share: of a face trait's variance within a gender, that which the voice shares."""
    traits = {
        trait: sqrt(share) * person.shared[factor] + sqrt(1 - share) * person.face_only[trait]
        for factor, trait in SHARED_TRAITS.items()
    } | {trait: person.face_only[trait] for trait in FACE_ONLY_TRAITS}
    side = 0.5 if person.gender == "m" else -0.5
    for trait, shift in GENDER_SHIFT.items():
        traits[trait] += side * shift
    beard = person.beard if person.gender == "m" else 0.0
    return FaceParameters(gender=person.gender, glasses=person.glasses, beard=beard, **traits)


def expected_face_of(person: SyntheticPerson, share: float = SHARED_SHARE) -> FaceParameters:
    """The face with the true shared factors and the face-only part at its mean (no glasses, no beard)."""
    nothing = dict.fromkeys((*SHARED_TRAITS.values(), *FACE_ONLY_TRAITS), 0.0)
    return face_of(replace(person, face_only=nothing, glasses=False, beard=0.0), share)


def voice_of(person: SyntheticPerson) -> VoiceParameters:
    """How a person sounds; one standard deviation of the vocal folds divides F0 by ``e^.15``, and so on."""
    shared, own, neutral = person.shared, person.voice_only, VoiceParameters()
    only_heard = {
        name: round(getattr(neutral, name) * exp(spread * own[name]), 6)
        for name, spread in VOICE_ONLY_SPREAD.items()
    }
    return VoiceParameters(
        f0=round(GENDER_F0[person.gender] * exp(-0.15 * shared["vocal_folds"]), 6),
        formant_scale=round(GENDER_FORMANTS[person.gender] * exp(-0.06 * shared["vocal_tract"]), 6),
        rate=round(exp(0.28 * shared["speaking_rate"]), 6),
        breathiness=round(exp(0.75 * shared["breathiness"]), 6),
        tilt_db_per_octave=round(-2.6 * shared["age"], 6),
        upper_formant_scale=round(exp(0.055 * shared["upper_formants"]), 6),
        sibilance=round(exp(0.35 * shared["sibilance"]), 6),
        tremor=round(0.1 * abs(own["tremor"]), 6),
        **only_heard,
    )


def photo_nuisance(random: RandomState) -> PhotoNuisance:
    """What varies between photos: pose, light, expression, clothing, noise."""

    def within(width: float, centre: float = 0.0) -> float:
        return round(
            float(np.clip(centre + width * random.standard_normal(), centre - 2 * width, centre + 2 * width)),
            6,
        )

    grey = within(26, 128)
    return PhotoNuisance(
        shift=(within(0.022), within(0.022)),
        roll=within(2.2),
        yaw=within(0.45),
        gain=within(0.045, 1.0),
        gradient=(within(0.06), within(0.03)),
        cast=(within(0.015, 1.0), within(0.01, 1.0), within(0.02, 1.0)),
        smile=within(0.45),
        brow_raise=within(0.45),
        eye_opening=within(0.10, 1.0),
        clothing=(grey + within(10), grey + within(10), grey + within(10)),
        noise_seed=int(random.randint(2**31)),
    )
