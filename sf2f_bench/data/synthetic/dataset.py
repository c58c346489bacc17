"""The embedded data set: 1,400 synthetic people in identity-disjoint splits, generated when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sf2f_bench.data.splits import limited
from sf2f_bench.data.synthetic import world
from sf2f_bench.data.synthetic.faces import FaceParameters, PhotoNuisance, render, rendered_traits
from sf2f_bench.data.synthetic.voices import VoiceParameters, speak
from sf2f_bench.types import AudioFrontend, BenchError, DatasetCard, DatasetSource, Identity

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

STREAM = "benchmark"
SPLIT_SIZES = {"train": 1000, "val": 100, "test": 300}
SPLIT_STARTS = {"train": 0, "val": 1000, "test": 1100}  # index in the stream
UTTERANCES, PHOTOS = 4, 3  # of one identity
SECONDS = 7.5  # of an utterance: five windows of 1.25 s after voice activity detection
# Of seed 0, the first two identities of every split; a test renders and speaks them again.
CONTENT_HASH = "af31b16d6aa26e3e37df96939181a28a562fe109f9b7a781a8a9afea189e87ae"


@dataclass(frozen=True)
class SyntheticUtterance:
    """One recording, synthesised when it is read."""

    key: str
    voice: VoiceParameters
    seed: int  # of the world
    index: int  # of the identity in the stream

    def waveform(self) -> NDArray[np.float32]:
        """float32 ``[T]`` at 16 kHz; every value is a whole number of 1/32768, as read from a 16-bit file."""
        return speak(self.voice, world.random_of(self.seed, STREAM, self.index, self.key), SECONDS)

    def log_filterbank(self, frontend: AudioFrontend) -> FloatArray:
        """Raw log filter-bank ``[filters, frames]`` float32."""
        return frontend(self.waveform())


@dataclass(frozen=True)
class SyntheticPhoto:
    """One photo, rendered when it is read."""

    key: str
    face: FaceParameters
    nuisance: PhotoNuisance

    def image(self, size: int) -> NDArray[np.uint8]:
        """The photo as uint8 ``[3, size, size]``; raises BenchError for a size that is no multiple of 16."""
        return render(self.face, self.nuisance, size)


class SyntheticWorld:
    """Data set `synthetic/1`; implements `Dataset` and `KnownLaw`.

    source: `seed` chooses the world, `shared` the share of a face trait that the voice shares (.8), `limits` the first
    identities of each split. Raises BenchError where a folder is given, since nothing is read.
    """

    card = DatasetCard(
        name="synthetic",
        version="1",
        licence="Apache-2.0",
        real=False,
        paired=True,
        media_shareable=True,
        description="Procedural faces and source-filter voices that share gender and seven factors.",
        limits="Cartoons and nonsense syllables under a law that we wrote: it ranks systems by how well they"
        " find a known relation and says nothing about people.",
    )

    def __init__(self, source: DatasetSource) -> None:
        given = [name for name in ("root", "voices", "faces") if getattr(source, name) is not None]
        if given:
            raise BenchError(
                f"data set {world.NAME} is generated from a seed and reads no folder, but {', '.join(given)} was"
                " given; leave it out or choose another data set."
            )
        self.seed = source.seed
        self.shared = world.SHARED_SHARE if source.shared is None else source.shared
        everybody = {split: list(range(size)) for split, size in SPLIT_SIZES.items()}
        self._sizes = {split: len(kept) for split, kept in limited(everybody, source.limits).items()}

    def identities(self, split: str) -> Sequence[Identity]:
        """The identities of "train", "val" or "test", in order. Raises BenchError for another split."""
        if split not in self._sizes:
            raise BenchError(f"expected a split of {', '.join(self._sizes)}, got {split!r}.")
        people = ((number, self._person(split, number)) for number in range(self._sizes[split]))
        return [Identity(f"{split}-{number:04d}", person.gender, age=person.age) for number, person in people]

    def utterances(self, identity: str) -> Sequence[SyntheticUtterance]:
        """The four recordings of one identity. Raises BenchError for an unknown identity."""
        person, index = self._find(identity)
        voice = world.voice_of(person)
        return [SyntheticUtterance(f"utterance-{i}", voice, self.seed, index) for i in range(UTTERANCES)]

    def photos(self, identity: str) -> Sequence[SyntheticPhoto]:
        """The three photos of one identity. Raises BenchError for an unknown identity."""
        person, index = self._find(identity)
        return _photos(person, self.seed, STREAM, index, PHOTOS, self.shared)

    def fingerprint(self) -> str:
        """A hash of what determines the content: name, version, seed, share and the number of identities."""
        content = f"{world.NAME}|{CONTENT_HASH}|{self.seed}|{self._sizes}"
        if self.shared != world.SHARED_SHARE:
            content += f"|shared {self.shared:g}"
        return hashlib.sha256(content.encode()).hexdigest()

    def oracle_face(self, identity: str, size: int) -> NDArray[np.uint8]:
        """The neutral photo with the true shared factors, everything else at its mean: uint8 ``[3, size, size]``."""
        person, _ = self._find(identity)
        return render(world.expected_face_of(person, self.shared), PhotoNuisance(), size)

    def traits(self, identity: str) -> dict[str, float]:
        """A person's traits as they are rendered, by the names of `world.TRAITS`, in standard deviations."""
        face = world.face_of(self._find(identity)[0])
        return dict(zip(world.TRAITS, rendered_traits(face, world.TRAITS), strict=True))

    def faces_given_shared(self, identity: str, count: int, seed: int, size: int) -> NDArray[np.uint8]:
        """Photos of others with the same shared factors: uint8 ``[count, 3, size, size]``."""
        person, index = self._find(identity)
        faces = np.empty((count, 3, size, size), np.uint8)
        for number in range(count):
            random = world.random_of(self.seed, STREAM, index, f"given shared/{seed}/{number}")
            other = world.someone_like(person, random)
            faces[number] = render(world.face_of(other, self.shared), world.photo_nuisance(random), size)
        return faces

    def _person(self, split: str, number: int) -> world.SyntheticPerson:
        return world.person_of(self.seed, STREAM, SPLIT_STARTS[split] + number)

    def _find(self, identity: str) -> tuple[world.SyntheticPerson, int]:
        """The person behind an id, and their index in the stream."""
        split, _, digits = identity.partition("-")
        if not digits.isdecimal() or int(digits) >= self._sizes.get(split, 0):
            raise BenchError(f"unknown identity {identity!r} in {world.NAME}: ids look like 'train-0007'.")
        return self._person(split, int(digits)), SPLIT_STARTS[split] + int(digits)


def _photos(
    person: world.SyntheticPerson,
    seed: int,
    stream: str,
    index: int,
    count: int,
    shared: float = world.SHARED_SHARE,
) -> list[SyntheticPhoto]:
    """The first photos of one identity of any stream."""
    face = world.face_of(person, shared)
    randoms = [world.random_of(seed, stream, index, f"photo/{number}") for number in range(count)]
    return [
        SyntheticPhoto(f"photo-{number}", face, world.photo_nuisance(random))
        for number, random in enumerate(randoms)
    ]


def stream_traits(stream: str, people: range) -> NDArray[np.float32]:
    """The traits of identities outside the benchmark as they are rendered: ``[len(people), len(world.TRAITS)]``."""
    faces = (world.face_of(world.person_of(0, stream, index)) for index in people)
    return np.array([rendered_traits(face, world.TRAITS) for face in faces], np.float32)


def stream_photos(stream: str, index: int, count: int, size: int) -> NDArray[np.uint8]:
    """Photos of an identity outside the benchmark ("judge", "perceptual"): uint8 ``[count, 3, size, size]``.

    For building the embedded networks; the seed is always 0.
    """
    photos = _photos(world.person_of(0, stream, index), 0, stream, index, count)
    return np.stack([photo.image(size) for photo in photos])
