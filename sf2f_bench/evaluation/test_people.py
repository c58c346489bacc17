"""Everything that scoring knows about the test identities, shared by all systems and anchors.

Protocol `sf2f-bench/1`: the first 20 windows of 125 frames of an identity's recordings in file order; one photo
of an identity (its first) is held out where it has two or more: it is the real-photo oracle's answer. The
identity's template is the mean of the L2-normalised embeddings of its other photos, not normalised again; the
distribution metrics compare with one of these other photos. So no row, the oracle's included, meets its own picture.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sf2f_bench.benchmarks import Benchmark, check_gallery
from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.evaluation.copying import TrainingPictures
from sf2f_bench.evaluation.disturbed import disturbed_windows
from sf2f_bench.evaluation.segments import segments_of
from sf2f_bench.files import hash_of, kept, load_tensors, save_tensors
from sf2f_bench.metrics.subgroups import labels_of
from sf2f_bench.protocols.names import DRAWS
from sf2f_bench.registry import described, place_of, unfit
from sf2f_bench.registry.sources import keyed
from sf2f_bench.types import (
    AttributeJudge,
    AudioFrontend,
    BenchError,
    Dataset,
    FeatureExtractor,
    Features,
    Identity,
    Unavailable,
)

if TYPE_CHECKING:
    from sf2f_bench.evaluation.disturbed import Windows
    from sf2f_bench.types import ByteArray, FloatArray

BATCH = 64  # pictures or voices at once
REMEMBERED = 32  # sets of pictures whose embeddings are kept in memory
FEATURES_VERSION = 2  # of what `_photos` keeps
SUM_TOLERANCE = 0.01  # of class probabilities in half precision
Extracted = tuple["FloatArray", "FloatArray | None"]


class Evaluation:
    """The test identities' voices and true faces, the extractors, and the training split for anchors that fit.

    attribute_judges: functions that make them from this evaluation, since a probe is fitted on its training photos;
    one that raises Unavailable, because the data hold no attribute for it, is left out. missing: the name of a network
    that is not installed -> the reason. say: tells the user a line. draws: how many faces are asked for where several
    are drawn for each voice.

    Public to anchors: `store`, `identities`, `genders`, `image_size`, `dataset`, `extractors`, `recognisers`,
    `held_out_photos`, `has_held_out`, `voice_statistics`, `train_voice_statistics`, `train_faces`,
    `train_templates`, `disturbed_voice_statistics`,
    `draws`, `embed`. An extractor goes by its key: "judge", "training-loss", or its own name.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        store: PreparedStore,
        dataset: Dataset,
        frontend: AudioFrontend,
        extractors: Mapping[str, FeatureExtractor],
        cache: Path,
        attribute_judges: Sequence[Callable[[Evaluation], AttributeJudge]] = (),
        missing: Mapping[str, str] | None = None,
        say: Callable[[str], object] = print,
        draws: int = DRAWS,
    ) -> None:
        self.draws = draws
        self.benchmark, self.store, self.dataset, self.frontend = benchmark, store, dataset, frontend
        self.extractors, self.missing, self.say = dict(extractors), dict(missing or {}), say
        self._extracted: OrderedDict[tuple[str, str], Extracted] = OrderedDict()
        self.cache, self.image_size = cache, store.image_size
        self.identities = store.identities("test")
        self.genders = [identity.gender for identity in self.identities]
        check_gallery(benchmark, store.card.name, len(self.identities))
        judges: list[AttributeJudge] = []
        for make in attribute_judges:
            with suppress(Unavailable):
                judges.append(make(self))
        self.attribute_judges = tuple(judges)

    @property
    def recognisers(self) -> list[str]:
        """The keys of the extractors that tell people apart."""
        return [key for key, extractor in self.extractors.items() if extractor.recognises]

    # -------------------------------------------------------------- voices

    @cached_property
    def segments(self) -> list[FloatArray]:
        """Raw evaluation segments of every test identity: ``[S_i, filters, 125]``."""
        return segments_of(self.store, self.frontend)

    @cached_property
    def voice_statistics(self) -> FloatArray:
        """Mean and deviation over time of every band of the test identities: ``[N, 2 * filters]``."""
        return _statistics(self.segments)

    @cached_property
    def train_voice_statistics(self) -> FloatArray:
        """The same of the training identities, from the same number of segments."""
        return _statistics(segments_of(self.store, self.frontend, "train"))

    @cached_property
    def disturbed_voice_statistics(self) -> dict[str, FloatArray | str]:
        """`voice_statistics` of a gallery of disturbed voices by disturbance, or why there are none."""
        found = self.disturbed_windows(self.store, self.frontend)
        return {
            what: windows if isinstance(windows, str) else _statistics(windows)
            for what, windows in found.items()
        }

    def disturbed_windows(self, store: PreparedStore, frontend: AudioFrontend) -> Windows:
        """See `disturbed.disturbed_windows`."""
        count, folder = self.benchmark.gallery_size, self.cache.parent / "disturbed"
        return disturbed_windows(self.dataset, store, frontend, count, folder, self.say)

    # --------------------------------------------------------------- faces

    @cached_property
    def test_faces(self) -> list[ByteArray]:
        """Every photo of every test identity: uint8 ``[n, 3, H, W]`` each."""
        return [self.store.faces(identity.id) for identity in self.identities]

    @cached_property
    def has_held_out(self) -> np.ndarray:
        """Which test identities have a photo to hold out: bool ``[N]``."""
        return np.array([len(faces) > 1 for faces in self.test_faces])

    @cached_property
    def held_out_photos(self) -> ByteArray:
        """The held-out photo (the first) of every identity that has two or more: uint8 ``[M, 3, H, W]``."""
        return np.stack([faces[0] for faces in self.test_faces if len(faces) > 1])

    @cached_property
    def true_photos(self) -> ByteArray:
        """One photo of every test identity that its template holds: uint8 ``[N, 3, H, W]``."""
        return np.stack([faces[min(1, len(faces) - 1)] for faces in self.test_faces])

    @cached_property
    def train_faces(self) -> list[ByteArray]:
        """Every photo of every training identity: uint8 ``[n, 3, H, W]`` each."""
        return [self.store.faces(identity.id) for identity in self.store.identities("train")]

    @cached_property
    def training_pictures(self) -> TrainingPictures:
        """The training photos, for finding copies of them."""
        return TrainingPictures(np.concatenate(self.train_faces))

    # ------------------------------------------------------------ features

    def embed(self, key: str, images: ByteArray) -> Extracted:
        """Embeddings ``[N, D]`` and class probabilities ``[N, C]`` (or None) of uint8 ``[N, 3, H, W]``."""
        what = (key, hashlib.sha256(images.tobytes()).hexdigest())
        if what not in self._extracted:
            self._extracted[what] = self._extract(key, images)
            if len(self._extracted) > REMEMBERED:
                self._extracted.popitem(last=False)
        return self._extracted[what]

    def _extract(self, key: str, images: ByteArray) -> Extracted:
        extractor = self.extractors[key]
        batches = [torch.from_numpy(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
        found = [_checked(extractor, len(batch), extractor(batch)) for batch in batches]
        embeddings = np.concatenate([embedding.cpu().numpy() for embedding, _ in found])
        parts = [probability.cpu().numpy() for _, probability in found if probability is not None]
        return embeddings, np.concatenate(parts) if parts else None

    def real(self, key: str) -> Features:
        """The true side as an extractor sees it; the judge's has photos, training photos and strata too."""
        others = [faces[1:] if len(faces) > 1 else faces for faces in self.test_faces]
        tensors = self._remember(("test-photos", key), lambda: self._photos(key, others))
        names = tuple(identity.id for identity in self.identities)
        starts = np.flatnonzero(np.diff(tensors["owners"], prepend=-1))
        recognises, probabilities = self.extractors[key].recognises, tensors.get("probabilities")
        pictures = tensors["photos"][starts]
        features = Features(names, tensors["templates"], pictures, probabilities, recognises=recognises)
        if key != "judge":
            return features
        return replace(
            features,
            photos=tensors["photos"],
            owners=tensors["owners"],
            training_photos=self._remembered_training(key)["photos"],
            training_likeness=self._remember(
                ("training-likeness", key),
                lambda: {"photos": self.training_pictures.likeness(np.concatenate(others))},
            )["photos"],
            strata=strata_of(self.identities),
            subgroups=labels_of(
                *zip(*((one.gender, one.age, one.nationality) for one in self.identities), strict=True)
            ),
        )

    def templates_of_all_photos(self, key: str) -> FloatArray:
        """Templates of the test identities over all their photos, none held out: ``[N, D]``."""
        what = ("test-templates-of-all-photos", key)
        return self._remember(what, lambda: self._photos(key, self.test_faces))["templates"]

    def train_templates(self, key: str) -> FloatArray:
        """Templates of the training identities over all their photos: ``[N_train, D]``."""
        return self._remembered_training(key)["templates"]

    def _remembered_training(self, key: str) -> dict[str, Any]:
        return self._remember(("training-photos", key), lambda: self._photos(key, self.train_faces))

    def _photos(self, key: str, faces: Sequence[ByteArray]) -> dict[str, Any]:
        """Photos ``[M, D]`` at length 1 where the extractor recognises, their owners ``[M]``, and templates."""
        embeddings, probabilities = self._extract(key, np.concatenate(faces))
        counts = np.array([len(images) for images in faces])
        owners, starts = np.repeat(np.arange(len(faces)), counts), np.cumsum(counts) - counts
        if self.extractors[key].recognises:
            embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        templates = np.add.reduceat(embeddings, starts) / counts[:, None].astype(embeddings.dtype)
        found: dict[str, Any] = {"templates": templates, "photos": embeddings, "owners": owners}
        return found if probabilities is None else {**found, "probabilities": probabilities[starts]}

    def _remember(self, what: tuple[str, str], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """An artefact of the cache, keyed by the data, the extractor's id (its weights) and what it holds."""
        purpose, key = what
        name = hash_of([self.store.data_hash, keyed(self.extractors[key]), purpose, FEATURES_VERSION])
        path = self.cache / f"{name}.safetensors"

        def make(path: Path) -> None:
            save_tensors(path, {name: torch.from_numpy(array) for name, array in compute().items()})

        tensors, _ = kept(path, make, load_tensors, self.say)
        return {name: tensor.numpy() for name, tensor in tensors.items()}


def _checked(extractor: FeatureExtractor, count: int, found: Any) -> tuple[Tensor, Tensor | None]:
    """What an extractor gave for so many faces; BenchError for anything but its contract's two parts."""
    parts: tuple[Any, Any] = found if isinstance(found, tuple) and len(found) == 2 else (None, None)
    if not _is_rows(parts[0], count) or not (parts[1] is None or _is_rows(parts[1], count)):
        wanted = f"(embeddings float32 [{count}, D], probabilities float32 [{count}, C] or None)"
        raise unfit(f"extractor {extractor.id}", extractor, found, wanted)
    embeddings, shares = parts
    if not embeddings.isfinite().all() or (extractor.recognises and not embeddings.any(dim=1).all()):
        raise BenchError(
            f"extractor {extractor.id}: {place_of(extractor)} gave embeddings that are zero or hold NaN or infinity"
        )
    if shares is not None and not (shares.min() >= 0 and (shares.sum(dim=1) - 1).abs().max() < SUM_TOLERANCE):
        raise BenchError(
            f"extractor {extractor.id}: {place_of(extractor)} gave class probabilities that are negative, or do not "
            "sum to 1 for each face"
        )
    return parts


def _is_rows(part: Any, count: int) -> bool:
    floats = (torch.float32, torch.float64)
    return isinstance(part, Tensor) and part.dtype in floats and part.ndim == 2 and len(part) == count


def strata_of(identities: Sequence[Identity]) -> dict[str, tuple[str | None, ...]]:
    """What is known of people, by the letters of the association literature.

    "G" gender, "N" nationality, "A" decade of age, "GNA" all three; None for whom it is not known. A letter that
    is known of nobody is left out.
    """
    known: dict[str, tuple[str | None, ...]] = {
        "G": tuple(person.gender for person in identities),
        "N": tuple(person.nationality for person in identities),
        "A": tuple(None if person.age is None else f"{int(person.age // 10)}0s" for person in identities),
    }
    together = zip(*known.values(), strict=True)
    known["GNA"] = tuple(None if None in parts else " ".join(map(str, parts)) for parts in together)
    return {letter: labels for letter, labels in known.items() if any(label is not None for label in labels)}


def take(features: Features, rows: np.ndarray) -> Features:
    """The features of some identities; rows: bool ``[N]``, or their numbers in the order wanted, repeats allowed."""
    numbers = np.arange(len(features.identities))[rows]

    def cut(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else values[numbers]

    def labelled(
        known: Mapping[str, tuple[str | None, ...]],
    ) -> dict[str, tuple[str | None, ...]]:
        return {name: tuple(labels[number] for number in numbers) for name, labels in known.items()}

    photos, owners, likeness = features.photos, features.owners, features.training_likeness
    if photos is None or owners is None:
        likeness = cut(likeness)
    else:
        places = [np.flatnonzero(owners == number) for number in numbers]
        photos = photos[np.concatenate(places)]
        likeness = None if likeness is None else likeness[np.concatenate(places)]
        owners = np.repeat(np.arange(len(numbers)), [len(place) for place in places])
    return replace(
        features,
        identities=tuple(features.identities[number] for number in numbers),
        embeddings=features.embeddings[numbers],
        samples=cut(features.samples),
        probabilities=cut(features.probabilities),
        repeat_faces=None if features.repeat_faces is None else features.repeat_faces[:, numbers],
        draws=None if features.draws is None else features.draws[:, numbers],
        photos=photos,
        owners=owners,
        training_likeness=likeness,
        strata=labelled(features.strata),
        subgroups=labelled(features.subgroups),
    )


def generate_faces(
    generate: Callable[..., Tensor],
    segments: Sequence[FloatArray],
    normalise: Callable[[Tensor], Tensor],
    device: torch.device,
    generator: torch.Generator,
    advance: Callable[[int], None] = lambda count: None,
    size: int | None = None,
) -> ByteArray:
    """A system's faces for raw segments ``[S_i, filters, frames]``: uint8 ``[N, 3, size, size]``; size: None for any.

    Identities with equally many segments go through the network together; the order is fixed.
    Raises BenchError when the system gives something else than one uint8 picture a voice.
    """
    faces: list[ByteArray | None] = [None] * len(segments)
    counts = np.array([len(item) for item in segments])
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH]
            voices = torch.from_numpy(np.stack([segments[row] for row in chosen])).to(device)
            made = generate(normalise(voices), generator=generator)
            right = isinstance(made, Tensor) and made.dtype == torch.uint8 and made.ndim == 4
            if not right or made.shape[:2] != (len(chosen), 3) or (size and made.shape[2:] != (size, size)):
                came = f"uint8 [{len(chosen)}, 3, {size or 'H'}, {size or 'W'}], it gave {described(made)}"
                raise BenchError(f"generate() must return {came}: {place_of(generate)}")
            for row, face in zip(chosen, made.cpu().numpy(), strict=True):
                faces[row] = face
            advance(len(chosen))
    return np.stack([face for face in faces if face is not None])


def _statistics(segments: Sequence[FloatArray]) -> FloatArray:
    """[S, filters, frames] each -> [N, 2 * filters]."""
    return np.stack([np.concatenate([item.mean(axis=(0, 2)), item.std(axis=(0, 2))]) for item in segments])
