"""What rooms hand to each other: people, settings, answers, features and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sf2f_bench.types.errors import BenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.floating[Any]]
    ByteArray = NDArray[np.uint8]

SAMPLE_RATE = 16_000  # Hz
SPLITS = ("train", "val", "test")


GENDER_WORDS = {
    "f": ("f", "female", "woman", "girl"),
    "m": ("m", "male", "man", "boy"),
    None: ("", "-", "?", "u", "na", "n/a", "nan", "none", "null", "unknown"),
}
NOT_KNOWN = ("", "-", "?", "n/a", "nan", "none", "null", "unknown")  # of nationality and age; "NA" is Namibia
OLDEST = 125  # years


@dataclass(frozen=True)
class Identity:
    """One person (or synthetic person) and what is known of them.

    Spellings that tables use are made one: "Female " is "f", "nan" is None. Raises BenchError for any other word.
    """

    id: str
    gender: str | None = None  # "f" or "m", as the metadata of VoxCeleb has it
    nationality: str | None = None
    age: float | None = None  # years
    # Training sets of published networks that hold this person: "VGGFace2"; "": listed as in none; None: not known.
    seen_by: str | None = None

    def __post_init__(self) -> None:
        for name, read in (("gender", _gender_of), ("nationality", _word_of), ("age", _age_of)):
            try:
                object.__setattr__(self, name, read(getattr(self, name)))
            except ValueError as error:
                raise BenchError(
                    f"identity {self.id!r}: {name} {getattr(self, name)!r}: expected {error}, or nothing where it is "
                    "not known"
                ) from None


def _gender_of(word: object) -> str | None:
    plain = str(word).strip().casefold()
    for gender, words in GENDER_WORDS.items():
        if plain in words:
            return gender
    raise ValueError("f (female) or m (male)")


def _word_of(word: object) -> str | None:
    plain = str(word).strip()
    return None if plain.casefold() in NOT_KNOWN else plain


def _age_of(word: object) -> float | None:
    if isinstance(word, float) and 0 < word <= OLDEST:
        return word
    if (plain := _word_of(word)) is None:
        return None
    try:
        age = float(plain)
    except ValueError:
        age = 0.0
    if not 0 < age <= OLDEST:
        raise ValueError(f"years, 0 to {OLDEST}")
    return age


@dataclass(frozen=True)
class DatasetSource:
    """Where a user says a data set lies; each data set takes what it needs and refuses the rest."""

    root: Path | None = None
    voices: Path | None = None
    faces: Path | None = None
    seed: int = 0
    # Of a synthetic world: the share of a face trait that the voice shares; None: the world's own.
    shared: float | None = None
    limits: dict[str, int] = field(default_factory=dict)  # split -> at most this many identities


@dataclass(frozen=True)
class ModelSettings:
    """What the harness decides for a system before it is built: ``Model(settings)``."""

    image_size: int
    budget: str = "default"  # "smoke", "default", "long" or "paper"
    accelerator: str = "cpu"  # "cpu" or "cuda": the default width and schedule depend on it
    width: float | None = None  # the user's wish; None leaves it to the recipe
    steps: int | None = None  # likewise


@dataclass(frozen=True, eq=False)
class Answer:
    """What an anchor answers for the test identities, in one of three forms.

    faces: uint8 ``[N, 3, H, W]``, scored like any system's.
    embeddings: ``{extractor's role: [N, D]}``, queries in the extractors' own spaces; no face is generated.
    ranking: ``(probes [N, D], gallery [N, D])`` in a space of the anchor's own, for retrieval alone;
    equal similarities are ties, and ties count by their expectation, so chance is exact.
    rows: bool ``[identities]`` where the anchor answers for some identities only; None: for all.

    Beside `faces`, all of the same identities in the same order:
    shorter: ``{seconds of speech: faces}``, generated from so much of the voice and no more;
    repeat_faces: uint8 ``[2, N, 3, H, W]``, generated from two disjoint sets of each person's recordings;
    draws: uint8 ``[K, N, 3, H, W]``, K faces for each voice by a system that draws them (`OneToMany`), the first of
    which is `faces`; None where there is one face for a voice.

    disturbed: by the names of `protocols.names.DISTURBANCES` the answer to the voices of the first identities (a
    gallery of them) disturbed, or the reason why there is none; empty for what hears no voice.
    """

    faces: ByteArray | None = None
    embeddings: dict[str, FloatArray] | None = None
    ranking: tuple[FloatArray, FloatArray] | None = None
    rows: NDArray[np.bool_] | None = None
    shorter: dict[float, ByteArray] = field(default_factory=dict)
    repeat_faces: ByteArray | None = None
    draws: ByteArray | None = None
    disturbed: Mapping[str, Answer | str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Features:
    """What one extractor saw of one set of faces, one row an identity, rows of both sides aligned.

    embeddings ``[N, D]``: of the generated face, or the identity's template on the true side.
    samples ``[N, D]``: one picture an identity, for distributions; None where no picture exists.
    probabilities ``[N, C]``: the extractor's class probabilities of `samples`; None where it has none.
    own_space: the embeddings live in a space of the anchor's own and mean nothing but an order.
    recognises: False for a network that tells pictures apart and not people (Inception): distributions alone.

    On the generated side only: repeat_faces ``[2, N, D]``: embeddings of faces from two disjoint sets of recordings;
    needs, records and stored files call them "takes"; draws ``[K, N, D]``: embeddings of several faces for each voice,
    of which the first is that of `embeddings`.

    On the true side only: photos ``[M, D]`` with owners ``[M]``: every photo of the gallery and the row it
    belongs to; training_photos ``[T, D]``: of the training split; strata: what is known of the identities,
    ``{"G": (...), "N": (...), "A": (...), "GNA": (...)}`` (gender, nationality, age group, all three), None where
    it is not known; subgroups: the same by the words of `metrics.subgroups`, ``{"gender": ("women", ...)}``.

    training_likeness: how like a training photo a picture is, by pixels alone (`evaluation.copying`): of the generated
    faces ``[N]``, and on the true side of `photos` ``[M]``.
    """

    identities: tuple[str, ...]
    embeddings: FloatArray
    samples: FloatArray | None = None
    probabilities: FloatArray | None = None
    own_space: bool = False
    recognises: bool = True
    repeat_faces: FloatArray | None = None
    draws: FloatArray | None = None
    photos: FloatArray | None = None
    owners: NDArray[np.int64] | None = None
    training_photos: FloatArray | None = None
    training_likeness: FloatArray | None = None
    strata: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    subgroups: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    @property
    def offers(self) -> frozenset[str]:
        """Which of the metrics' needs these features meet."""
        have = {"ranking"} if self.recognises else set()
        if self.recognises and not self.own_space:
            have.add("embeddings")
        optional = {"takes": self.repeat_faces, "draws": self.draws}
        names = ("samples", "probabilities", "photos", "training_photos", "training_likeness")
        optional |= {name: getattr(self, name) for name in names}
        have |= {name for name, array in optional.items() if array is not None}
        return frozenset(have | set(self.strata))


@dataclass(frozen=True, eq=False)
class Score:
    """A number with what it takes to believe it.

    per_identity ``[N]`` with `basis`: "mean" or "median" (the value is that of these numbers), or
    "pseudo-values" (jackknife: N value - (N - 1) value without the identity; their mean is the value less its
    bias, their spread its standard error). NaN where an identity does not take part.
    replicates ``[R]``: the value on the half-samples of `statistics.intervals.half_samples`, the same halves for
    every system; for what no identity contributes to on its own (a Frechet distance). Where the statistic grows with
    n they are brought back to the value: times value / their mean.
    own ``[N]``: the identities' values that the value is the mean or median of, beside pseudo-values or replicates.
    """

    value: float
    n: int  # identities it rests on
    interval: tuple[float, float] | None = None  # 95 %; None where none is sound
    per_identity: FloatArray | None = None  # [N], for intervals and paired tests
    basis: Literal["mean", "median", "pseudo-values"] = "mean"
    replicates: FloatArray | None = None  # [R]
    own: FloatArray | None = None  # [N]
    spread: float | None = None  # e.g. standard deviation over the parts of a mutual-information score
