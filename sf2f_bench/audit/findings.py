"""Faults of the data, and what to know of them before believing a number; no model is involved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from sf2f_bench.audit import duplicates
from sf2f_bench.data.media import PhotoFile
from sf2f_bench.data.names import plain_name
from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.metrics.retrieval import expected_recall
from sf2f_bench.progress import first_few
from sf2f_bench.results.records import Finding
from sf2f_bench.types import SPLITS, Dataset, Identity

VERSION = 1  # raise it when the same data give other findings: it is in the key under which they are kept
MOST_NATIONALITIES = 5
GENDERS = {"f": "women", "m": "men"}
LEARNED_BY = {  # training set -> networks trained on it
    "VGGFace1": "VGG-Face",
    "VGGFace2": "FaceNet (facenet-vggface2) and the ResNet-50 of the VGGFace Score (vggface2-resnet50)",
}
# Whose photos and recordings are compared; only test files that were trained on falsify a test.
SPLIT_PAIRS = (("test", "train"), ("test", "val"), ("val", "train"))
SEEN_WARNING = (
    "A list of one set says nothing of the others. A network tells people of its training apart better than people it "
    "has never seen: read its numbers as a comparison of systems, not as a measure of likeness, and beside those of a "
    "network of other data."
)
Splits = Mapping[str, Sequence[Identity]]
Pairs = Sequence[tuple[duplicates.Place, duplicates.Place]]


def audit(
    dataset: Dataset,
    store: PreparedStore | None = None,
    gallery_size: int = 100,
    ks: Sequence[int] = (1, 5, 10),
) -> tuple[Finding, ...]:
    """All findings on a data set, good news included; one with `alarm` must be fixed first.

    store: the prepared store of `dataset`; without one (a data set whose splits share people gets none) photos and
    recordings are not compared, and people without a usable file are not excluded. gallery_size, ks: of the benchmark.
    """
    splits = _people(dataset, store)
    test = splits["test"]
    return (
        _shared_people(splits),
        _shared_names(splits),
        *([] if store is None else [*_photos(store), *_photo_shapes(dataset, splits), _recordings(store)]),
        Finding(check="seen-by-networks", text=_seen_by_networks(test, dataset.card.real)),
        Finding(check="balance", text=_genders(test)),
        Finding(check="balance", text=_nationalities(test)),
        Finding(check="gallery", text=_galleries(test, gallery_size)),
        Finding(check="balance", text=_gender_only(test, gallery_size, ks)),
    )


def shares_people(dataset: Dataset) -> bool:
    """Whether two splits hold the same identity, so that no store can be made of the data set."""
    return _shared_people(_people(dataset, None)).alarm


def _people(dataset: Dataset, store: PreparedStore | None) -> dict[str, list[Identity]]:
    """The identities of every split, only the usable ones where a store says which they are."""
    found: dict[str, list[Identity]] = {}
    for split in SPLITS:
        people = list(dataset.identities(split))
        usable = None if store is None else {identity.id for identity in store.identities(split)}
        found[split] = [person for person in people if usable is None or person.id in usable]
    return found


# ---------------------------------------------------------------- overlap of the splits


def _shared_people(splits: Splits) -> Finding:
    parts = []
    for one, other in combinations(SPLITS, 2):
        names = {person.id for person in splits[one]}
        if shared := [person.id for person in splits[other] if person.id in names]:
            parts.append(
                f"{len(shared)} people are in both the {one} and the {other} split ({_examples(shared)})"
            )
    if not parts:
        counts = ", ".join(f"{split} {len(splits[split])}" for split in SPLITS)
        return Finding(check="overlap", text=f"Nobody is in two splits ({counts} people).")
    text = f"{_sentence(parts)} A system is scored on its memory of them: move each to one split."
    return Finding(check="overlap", text=text, alarm=True)


def _shared_names(splits: Splits) -> Finding:
    """People of two splits whose names differ only in case, accents or punctuation."""
    owners = {split: {plain_name(person.id): person.id for person in splits[split]} for split in SPLITS}
    parts, alarm = [], False
    for one, other in combinations(SPLITS, 2):
        alike = [
            f"{owners[one][name]} and {spelt}"
            for name, spelt in owners[other].items()
            if owners[one].get(name, spelt) != spelt
        ]
        if alike:
            alarm |= other == "test"
            parts.append(f"{len(alike)} in the {one} and the {other} split ({_examples(alike)})")
    text = (
        f"Names that differ only in case, accents or punctuation: {_sentence(parts)} Most likely each is one person "
        "spelt in two ways: check, and leave one of the two out."
        if parts
        else "No two splits hold people whose names differ only in case, accents or punctuation."
    )
    return Finding(check="overlap", text=text, alarm=alarm)


def _seen_by_networks(test: Sequence[Identity], real: bool) -> str:
    n, said = len(test), [person.seen_by for person in test]
    unknown = said.count(None)
    if not real:
        return f"The {n} test people are synthetic, so no published network was trained on them."
    if unknown == n:
        return f"Whether published networks were trained on the {n} test people is not known."
    counts = Counter(name for names in said if names for name in names.split(", "))
    parts = [
        f"{count} of {n} test people ({count / n:.1%}) are in the training set of {name}, so "
        f"{LEARNED_BY.get(name, 'a network trained on it')} learned their faces"
        for name, count in counts.most_common()
    ]
    rest = [f"{count} are listed as not trained on"] if (count := said.count("")) else []
    if unknown:
        rest.append(f"of {unknown} of {n} nothing is known")
    return " ".join(filter(None, (_sentence(parts), _sentence(rest), SEEN_WARNING if parts else "")))


# ---------------------------------------------------------------- copies


def _photos(store: PreparedStore) -> list[Finding]:
    """Exact copies, and of real photos near ones: synthetic faces are too much alike for those."""
    near = store.card.real
    photos = {split: duplicates.photos_of(store, split, near) for split in SPLITS}
    compared = f"{sum(len(found.places) for found in photos.values()):,} photos"
    exact = {(a, b): duplicates.exact_pairs(photos[a], photos[b]) for a, b in SPLIT_PAIRS}
    found = [_copies("duplicate-photos", compared, "the same pixels", exact)]
    if near:
        alike = {(a, b): duplicates.near_pairs(photos[a], photos[b]) for a, b in SPLIT_PAIRS}
        bits = f"at most {duplicates.NEAR_BITS} of 256 bits of a perceptual hash apart"
        how = f"the same picture ({bits}; cropped or mirrored copies are not found)"
        found.append(_copies("duplicate-photos", compared, how, alike))
    return [*found, *_shared_photos(photos), *_flat_photos(photos)]


def _shared_photos(photos: Mapping[str, duplicates.Photos]) -> list[Finding]:
    """Two people of a split with the same picture: an alarm in the test split, where nothing tells them apart."""
    found = {split: duplicates.shared_within(photos[split]) for split in SPLITS}
    parts = [
        f"{len(pairs)} of the {split} split ({_examples([f'{a.identity} = {b.identity}' for a, b in pairs])})"
        for split, pairs in found.items()
        if pairs
    ]
    if not parts:
        return []
    text = (
        f"Photos that two people of one split have in common: {_sentence(parts)} Find out whose they are: a person's "
        "templates are made of them."
    )
    return [Finding(check="duplicate-photos", text=text, alarm=bool(found["test"]))]


def _flat_photos(photos: Mapping[str, duplicates.Photos]) -> list[Finding]:
    flat = [place for split in SPLITS for place in photos[split].flat]
    if not flat:
        return []
    people = _examples(list(dict.fromkeys(place.identity for place in flat)))
    text = f"{len(flat)} photos are flat pictures that show nobody ({people}): leave them out."
    return [Finding(check="flat-photos", text=text, alarm=any(place.split == "test" for place in flat))]


def _photo_shapes(dataset: Dataset, splits: Splits) -> list[Finding]:
    """Photo files that are not square: they are squashed to a square, as the paper's code does."""
    files = [
        photo
        for split in SPLITS
        for person in splits[split]
        for photo in dataset.photos(person.id)
        if isinstance(photo, PhotoFile)
    ]
    shapes = [(photo, photo.shape()) for photo in files]
    oblong = [(photo, *shape) for photo, shape in shapes if shape and shape[0] != shape[1]]
    if not oblong:
        return []
    worst, width, height = max(oblong, key=lambda item: max(item[1:]) / min(item[1:]))
    text = (
        f"{len(oblong):,} of {len(files):,} photos are not square and were squashed to a square (most: {worst.key}, "
        f"{width}x{height} pixels). Faces whose proportions differ from the others' are told apart by that: crop them."
    )
    return [Finding(check="photo-shapes", text=text)]


def _recordings(store: PreparedStore) -> Finding:
    found = duplicates.duplicate_recordings(store)
    pairs = {
        (one, other): [pair for pair in found if {place.split for place in pair} == {one, other}]
        for one, other in SPLIT_PAIRS
    }
    count = sum(len(store.keys(person.id, "voice")) for split in SPLITS for person in store.identities(split))
    return _copies("duplicate-recordings", f"{count:,} recordings", "the same features", pairs)


def _copies(check: str, compared: str, how: str, pairs: Mapping[tuple[str, str], Pairs]) -> Finding:
    """The copies found between splits: an alarm where a test file is a training file too."""
    parts = [
        f"{len(found)} of the {one} split in the {other} split "
        f"({_examples([f'{a.identity} = {b.identity}' for a, b in found])})"
        for (one, other), found in pairs.items()
        if found
    ]
    if not parts:
        return Finding(check=check, text=f"Of {compared} none has {how} in another split.")
    alarm = bool(pairs["test", "train"])
    remedy = " Remove them from one of the splits: training files cannot test." if alarm else ""
    text = f"Of {compared} some have {how} in two splits: {_sentence(parts)}{remedy}"
    return Finding(check=check, text=text, alarm=alarm)


# ---------------------------------------------------------------- balance


def _genders(test: Sequence[Identity]) -> str:
    counts = Counter(person.gender for person in test)
    unknown = counts.pop(None, 0)
    named = [f"{count} {GENDERS.get(str(gender), gender)}" for gender, count in sorted(counts.items())]
    return f"Test people by gender: {', '.join([*named, f'{unknown} not known'])} (of {len(test)})."


def _nationalities(test: Sequence[Identity]) -> str:
    counts = Counter(person.nationality for person in test)
    unknown = counts.pop(None, 0)
    if not counts:
        return f"The nationality of no test person is known ({len(test)} people)."
    common = counts.most_common(MOST_NATIONALITIES)
    named = [f"{name} {count}" for name, count in common]
    if others := len(counts) - len(common):
        named.append(f"{others} others {sum(counts.values()) - sum(count for _, count in common)}")
    return f"Test people by nationality: {', '.join([*named, f'not known {unknown}'])} (of {len(test)})."


def _same_gender(test: Sequence[Identity]) -> np.ndarray | None:
    """How many other test people share each one's gender: ``[N]``; None where a gender is not known."""
    counts = Counter(person.gender for person in test)
    return None if None in counts else np.array([counts[person.gender] - 1 for person in test])


def _galleries(test: Sequence[Identity], size: int) -> str:
    """Expected over all galleries that hold the right person: of size - 1 others drawn from N - 1."""
    n, alike = len(test), _same_gender(test)
    if n < size or n < 2:
        return f"{n} test people cannot fill a gallery of {size}: choose a smaller one."
    if alike is None:
        return f"Galleries of {size} of {n} test people; how many share a gender is not known."
    share = alike.mean() / (n - 1)
    return (
        f"Galleries of {size} of {n} test people: of the other {size - 1}, {share * (size - 1):.1f} share the right "
        f"person's gender on average ({share:.1%})."
    )


def _gender_only(test: Sequence[Identity], size: int, ks: Sequence[int]) -> str:
    n, alike, wanted = len(test), _same_gender(test), [k for k in ks if k <= size]
    if alike is None:
        unknown = sum(person.gender is None for person in test)
        return (
            f"The baseline that knows only the gender is missing: the gender of {unknown} of {n} test people is not "
            "known."
        )
    if n < size or not wanted:
        return f"No recall can be computed in galleries of {size}."
    reached = [(k, expected_recall(np.zeros(n, np.int64), alike, n, size, k).mean()) for k in wanted]
    numbers = ", ".join(f"recall@{k} {value:.3f} (chance {k / size:.3f})" for k, value in reached)
    return f"Knowing only the gender gives, in galleries of {size}: {numbers}; a row below this knows less than that."


def _examples(names: Sequence[str]) -> str:
    return first_few(names, 3)


def _sentence(parts: Sequence[str]) -> str:
    """Parts joined by semicolons to one sentence, or nothing."""
    joined = "; ".join(parts)
    return f"{joined[0].upper()}{joined[1:]}." if joined else ""
