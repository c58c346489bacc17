"""Photos and recordings that a prepared store holds twice: exact copies and near ones."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.faces.images import is_flat
from sf2f_bench.types import SPLITS

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray

HASH_SIDE = 16  # the hash is the signs of 16 x 16 low frequencies of the picture, 256 bits
# Bits that may differ. Of 422 real photos (ORL, HQ-VoxCeleb's samples) stored at 64 and 128 pixels, copies at 60 % of
# the size, 10 % brighter, JPEG quality 60, differ in 18 at most (all found), at quality 40 and 20 % brighter in 28
# (99 % found); different people's photos in 60 at least (78,209 pairs, mean 120, deviation 10: none flagged). A copy
# with 3 % cut off its edges (52 to 76) or mirrored is not found. Synthetic faces are too much alike: 22 between
# people, up to 32 for a copy; 21 of the synthetic world's 900 test photos would be flagged.
NEAR_BITS = 24
PAIRS_AT_ONCE = 1 << 20


class Place(NamedTuple):
    """One photo or recording in the store: the split, its identity, and the number within that identity."""

    split: str
    identity: str
    number: int


@dataclass(frozen=True, eq=False)
class Photos:
    """The photos of one split: places ``[M]``, SHA-256 of the pixels ``[M]``, perceptual hashes ``[M, 4]``.

    flat: those that show nothing, which would all be copies of each other; they are not among the others.
    """

    places: list[Place]
    digests: list[bytes]
    hashes: NDArray[np.uint64] | None
    flat: list[Place]


def photos_of(store: PreparedStore, split: str, near: bool) -> Photos:
    """Hash every photo of a split, one identity in memory at a time; near: also with a perceptual hash."""
    places: list[Place] = []
    digests: list[bytes] = []
    hashes: list[NDArray[np.uint64]] = []
    flat: list[Place] = []
    for identity in store.identities(split):
        for number, image in enumerate(store.faces(identity.id)):
            if is_flat(image):
                flat.append(Place(split, identity.id, number))
                continue
            places.append(Place(split, identity.id, number))
            digests.append(hashlib.sha256(image.tobytes()).digest())
            if near:
                hashes.append(perceptual_hash(image))
    packed = np.array(hashes, np.uint64).reshape(len(hashes), HASH_SIDE**2 // 64)
    return Photos(places, digests, packed if near else None, flat)


def perceptual_hash(image: ByteArray) -> NDArray[np.uint64]:
    """256 bits in ``[4]`` that tell what uint8 ``[3, H, W]`` shows: ImageHash's pHash of the grey picture."""
    import imagehash  # half a second, and synthetic faces need none
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    return np.packbits(imagehash.phash(picture, hash_size=HASH_SIDE).hash).view(np.uint64)


def exact_pairs(one: Photos, other: Photos) -> list[tuple[Place, Place]]:
    """Photos of `one` whose exact pixels `other` has too, each with the first such photo."""
    first = dict(zip(reversed(other.digests), reversed(other.places), strict=True))
    return [
        (place, first[digest])
        for place, digest in zip(one.places, one.digests, strict=True)
        if digest in first
    ]


def shared_within(photos: Photos) -> list[tuple[Place, Place]]:
    """Photos of one split whose exact pixels another person of it has too, each with the first such photo."""
    first: dict[bytes, Place] = {}
    pairs = []
    for place, digest in zip(photos.places, photos.digests, strict=True):
        known = first.setdefault(digest, place)
        if known.identity != place.identity:
            pairs.append((known, place))
    return pairs


def near_pairs(one: Photos, other: Photos) -> list[tuple[Place, Place]]:
    """Photos of `one` that nearly equal a photo of `other`, each with the nearest; exact copies are left out."""
    assert one.hashes is not None, "hash the photos with near=True"
    assert other.hashes is not None, "hash the photos with near=True"
    if not other.places:
        return []
    exact = {place for place, _ in exact_pairs(one, other)}
    nearest, bits = nearest_hashes(one.hashes, other.hashes)
    return [
        (place, other.places[column])
        for place, column, apart in zip(one.places, nearest, bits, strict=True)
        if apart <= NEAR_BITS and place not in exact
    ]


def nearest_hashes(
    one: NDArray[np.uint64], other: NDArray[np.uint64]
) -> tuple[NDArray[np.intp], NDArray[np.uint16]]:
    """For each of ``[M, W]`` packed bits the nearest row of ``[N, W]``, and in how many bits they differ."""
    nearest, bits = np.empty(len(one), np.intp), np.empty(len(one), np.uint16)
    step = max(1, PAIRS_AT_ONCE // max(1, len(other)))
    columns = np.ascontiguousarray(other.T)
    for start in range(0, len(one), step):
        rows = slice(start, start + step)
        apart = np.zeros((len(one[rows]), len(other)), np.uint16)
        for word, column in zip(one[rows].T, columns, strict=True):
            apart += np.bitwise_count(word[:, None] ^ column)
        nearest[rows] = apart.argmin(axis=1)
        bits[rows] = np.take_along_axis(apart, nearest[rows, None], axis=1)[:, 0]
    return nearest, bits


def duplicate_recordings(store: PreparedStore) -> list[tuple[Place, Place]]:
    """Recordings with the same features in two splits, as (earlier split, later split) of train, val, test.

    Only the length and two frames of each are read, and the rest where these agree.
    """
    alike: dict[int, list[Place]] = defaultdict(list)
    for place, frames in _recordings(store):
        middle = len(frames) // 2
        alike[hash((len(frames), frames[middle : middle + 2].tobytes()))].append(place)
    candidates = [places for places in alike.values() if len({place.split for place in places}) > 1]
    return [pair for places in candidates for pair in _same_across_splits(store, places)]


def _recordings(store: PreparedStore) -> Iterator[tuple[Place, np.ndarray]]:
    for split in SPLITS:
        for identity in store.identities(split):
            for number, frames in enumerate(store.voices(identity.id)):
                yield Place(split, identity.id, number), frames


def _same_across_splits(store: PreparedStore, places: list[Place]) -> list[tuple[Place, Place]]:
    """Recordings that equal one of an earlier split, each with the first of those."""
    first: dict[bytes, Place] = {}
    pairs = []
    voices = lru_cache(maxsize=1)(store.voices)  # one person's recordings stand together
    for place in places:  # in the order of SPLITS
        digest = hashlib.sha256(voices(place.identity)[place.number].tobytes()).digest()
        known = first.setdefault(digest, place)
        if known.split != place.split:
            pairs.append((known, place))
    return pairs
