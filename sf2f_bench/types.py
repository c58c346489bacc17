"""Shared data types and plug-in protocols.

Images cross rooms as uint8 ``[..., 3, H, W]``, sounds as float32 ``[T]`` at 16 kHz in -1..1,
features as float32. Nothing here imports torch: `sf2f-bench --help` must stay fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor, nn

    from sf2f_bench.data.training import TrainingData
    from sf2f_bench.evaluation.test_people import Evaluation
    from sf2f_bench.training import TrainContext

    FloatArray = NDArray[np.floating[Any]]
    ByteArray = NDArray[np.uint8]

SAMPLE_RATE = 16_000  # Hz
SPLITS = ("train", "val", "test")


class BenchError(Exception):
    """A wrong input: the message says what was expected, what came and what to do.

    The command line prints the message alone and exits with `exit_code`.
    """

    exit_code: ClassVar[int] = 2


class MediaError(BenchError):
    """One recording or photo that cannot be used; `prepare` lists it and goes on."""


class Unavailable(BenchError):  # noqa: N818 - a state of this machine, not a fault
    """An optional network's weights or package are not installed.

    What needs them is left out, the table says why, and nothing is used instead. reason: the message as a record
    may keep it, without the folders of this machine.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


# ---------------------------------------------------------------- data sets


@dataclass(frozen=True)
class Identity:
    """One person (or synthetic person) and what is known of them."""

    id: str
    gender: str | None = None  # "f" or "m", as the metadata of VoxCeleb has it
    nationality: str | None = None
    age: float | None = None  # years
    # Training sets of published networks that hold this person: "VGGFace2"; "": listed as in none; None: not known.
    seen_by: str | None = None


@dataclass(frozen=True)
class DatasetCard:
    """What a reader must know of a data set before believing a number made from it."""

    name: str
    version: str
    licence: str
    real: bool  # recordings and photos of people, not a synthetic world
    paired: bool  # False: voice and face of an "identity" belong to different people
    media_shareable: bool  # may faces and voices be shown in a report?
    description: str
    limits: str


@runtime_checkable
class Utterance(Protocol):
    """One recording. `key` is unique within its identity and names the file in error reports."""

    @property
    def key(self) -> str:  # noqa: D102
        ...

    def log_filterbank(self, frontend: AudioFrontend) -> FloatArray:
        """Raw log filter-bank ``[filters, frames]`` float32; raises MediaError for a bad recording."""
        ...


@runtime_checkable
class Photo(Protocol):
    """One photo. `key` is unique within its identity and names the file in error reports."""

    @property
    def key(self) -> str:  # noqa: D102
        ...

    def image(self, size: int) -> ByteArray:
        """The photo as uint8 ``[3, size, size]``; raises MediaError for a bad file."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Voices and faces of identities in three identity-disjoint splits. Reading is lazy and per item."""

    @property
    def card(self) -> DatasetCard:  # noqa: D102
        ...

    def identities(self, split: str) -> Sequence[Identity]:
        """The identities of "train", "val" or "test", in a fixed order."""
        ...

    def utterances(self, identity: str) -> Sequence[Utterance]:
        """Recordings of one identity, sorted by key."""
        ...

    def photos(self, identity: str) -> Sequence[Photo]:
        """Photos of one identity, sorted by key."""
        ...

    def fingerprint(self) -> str:
        """A hash of all that decides the content, cheap enough to compute on every run.

        Names and sizes will do for media that have a `path`: their contents are hashed when they are prepared, and
        looked at again where size or time has changed.
        """
        ...


@runtime_checkable
class KnownLaw(Protocol):
    """A data set whose generating law is known, so that the best possible listener can be built."""

    def oracle_face(self, identity: str, size: int) -> ByteArray:
        """The true shared factors, everything else at its mean: uint8 ``[3, size, size]``."""
        ...

    def faces_given_shared(self, identity: str, count: int, seed: int, size: int) -> ByteArray:
        """Faces with the true shared factors, all else drawn anew: uint8 ``[count, 3, size, size]``."""
        ...


# ---------------------------------------------------------------- sound


@runtime_checkable
class AudioFrontend(Protocol):
    """From a waveform to the raw features that the prepared store keeps."""

    @property
    def id(self) -> str:
        """Decides the store's key: every setting that changes a stored number is in it."""
        ...

    @property
    def filters(self) -> int:
        """Rows of the features."""
        ...

    @property
    def frames_per_second(self) -> float:
        """Columns of the features for a second of speech."""
        ...

    @property
    def crop_frames(self) -> tuple[int, int]:
        """Shortest and longest crop of a training batch, in frames, both included."""
        ...

    @property
    def segment_frames(self) -> int:
        """Frames of one evaluation segment."""
        ...

    def __call__(self, waveform: FloatArray) -> FloatArray:
        """float32 ``[T]`` at 16 kHz -> float32 ``[filters, frames]``, before normalisation."""
        ...

    def normalise(self, features: Any) -> Any:
        """The features as a network wants them (array or tensor, any shape)."""
        ...


# ---------------------------------------------------------------- systems


Place = Literal["floor", "system", "reference", "ceiling"]
# What an anchor stands for, whatever its name: it guesses; it knows an attribute of the person and nothing else; it is
# a straight line from the voice; it knows what voice and face share; it shows another photo of the person; it is a
# system's own faces, each given to another identity.
Purpose = Literal[
    "", "chance", "known-attribute", "straight-line", "shared-factors", "true-photo", "shuffled"
]
FittedTo = Literal["nothing", "training-loss", "judge"]


@dataclass(frozen=True)
class ModelCard:
    """A system or an anchor as tables, verdicts and the gate read it; its name decides nothing.

    place: the block of a table it stands in ("reference": a system that others are compared with); order: within
    its block, lowest first. ablation_of: the name of the system that it is without one part, and `change` says which,
    in words: "without L1 loss". fitted_to: the network whose space its faces or queries were fitted to. tolerance:
    where no training moves its numbers, how far one may lie from the reference's, relatively, before the gate says
    that the instrument changed; None: it is no such check. words: what it knows, for verdicts: "knowing only the
    gender". off_scale: bars of other rows are scaled without it. title: the name in tables, where `name` is a code:
    "sf2f-64 without L1 loss". faces_of: of an anchor of purpose "shuffled", the system whose faces it shows.
    """

    name: str
    version: str
    kind: Literal["system", "anchor"]
    description: str
    licence: str = "Apache-2.0"
    width: float | None = None  # share of the published channel counts; None: not applicable
    reference: str = ""  # citation or URL of what it implements
    trained_on: str = "the benchmark's training split"
    limits: str = ""
    place: Place = "system"
    order: int = 100
    ablation_of: str = ""
    change: str = ""
    fitted_to: FittedTo = "training-loss"
    tolerance: float | None = None
    purpose: Purpose = ""
    words: str = ""
    off_scale: bool = False
    title: str = ""
    faces_of: str = ""

    @property
    def label(self) -> str:
        """The name in every table: ``sf2f-64 (width 0.25)``."""
        return with_width(self.title or self.name, self.width)


def with_width(name: str, width: float | None) -> str:
    """``sf2f-64 (width 0.25)``; the name alone at the published width and for what has none."""
    return name if width in (None, 1.0) else f"{name} (width {width:g})"


@dataclass(frozen=True)
class ModelSettings:
    """What the harness decides for a system before it is built: ``Model(settings)``."""

    image_size: int
    budget: str = "default"  # "smoke", "default" or "paper"
    accelerator: str = "cpu"  # "cpu" or "cuda": the default width and schedule depend on it
    width: float | None = None  # the user's wish; None leaves it to the recipe
    steps: int | None = None  # likewise


class SpeechToFace(Protocol):
    """What a stranger implements, in one file, to have a model in the table.

    The harness builds it as ``Model(settings)`` with `ModelSettings`. `recipe` holds all that decides
    the training (steps, batch, width, loss weights): it is hashed into the key of the trained model.
    """

    card: ModelCard
    frontend: AudioFrontend
    recipe: Mapping[str, Any]

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Learn from the training split; the context gives device, seed, checkpoints and progress."""
        ...

    def generate(self, voices: Tensor, *, generator: Generator) -> Tensor:
        """Normalised segments ``[B, S, filters, frames]`` -> faces uint8 ``[B, 3, H, W]``."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors that `generate` needs."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""
        ...


# What a system may have besides; the harness asks with isinstance.


@runtime_checkable
class StartsFromAnother(Protocol):
    """A system whose training goes on from another system's; `TrainContext.start` holds that one's tensors."""

    starts_from: SpeechToFace | None


@runtime_checkable
class HasWeights(Protocol):
    """A system that is not trained here: its tensors are in this file."""

    weights: Path | None


@runtime_checkable
class FusesSegments(Protocol):
    """A system that says whether it makes one face from all segments of a voice, or one from each."""

    fuses: bool


@runtime_checkable
class ReadsOfficialWeights(Protocol):
    """A system's class that takes what the published code of its paper saved."""

    @staticmethod
    def from_official(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors for `load_state_dict` of the system `name`, from the published generator's state dict."""
        ...


@dataclass(frozen=True, eq=False)
class Answer:
    """What an anchor answers for the test identities, in one of three forms.

    faces: uint8 ``[N, 3, H, W]``, scored like any system's.
    embeddings: ``{extractor's role: [N, D]}``, queries in the extractors' own spaces; no face is drawn.
    ranking: ``(probes [N, D], gallery [N, D])`` in a space of the anchor's own, for retrieval alone;
    equal similarities are ties, and ties count by their expectation, so chance is exact.
    rows: bool ``[identities]`` where the anchor answers for some identities only; None: for all.

    Beside `faces`, all of the same identities in the same order:
    shorter: ``{seconds of speech: faces}``, drawn from so much of the voice and no more;
    takes: uint8 ``[2, N, 3, H, W]``, drawn from two disjoint sets of a person's recordings each.
    """

    faces: ByteArray | None = None
    embeddings: dict[str, FloatArray] | None = None
    ranking: tuple[FloatArray, FloatArray] | None = None
    rows: NDArray[np.bool_] | None = None
    shorter: dict[float, ByteArray] = field(default_factory=dict)
    takes: ByteArray | None = None


@runtime_checkable
class Anchor(Protocol):
    """A row that needs no training of a generator: chance, oracles, mean face."""

    card: ModelCard

    def applies(self, evaluation: Evaluation) -> str | None:
        """None where the anchor can be computed, else the reason why it cannot."""
        ...

    def answer(self, evaluation: Evaluation) -> Answer:
        """The anchor's answer for `evaluation.identities`."""
        ...


# ---------------------------------------------------------------- measuring

Role = Literal["judge", "training-loss", "further", "none"]
Family = Literal["identity", "verification", "quality", "distribution", "diversity", "attribute", "other"]
Format = Literal["share", "rank", "size"]  # ".365", "14.5", three figures
Error = Literal[
    "interval", "spread", "none"
]  # beside a value: "[.30, .43]" (its spread where it has none), "± .02"


@dataclass(frozen=True)
class Margin:
    """Drop tolerated before a metric counts as a regression.

    amount: in the metric's own unit, or where `relative` as a share of the reference's value. reason: why so much.
    """

    amount: float
    reason: str = "stated by the user"
    relative: bool = False

    def of(self, reference: float) -> float:
        """In the metric's own unit, where the reference has this value."""
        return self.amount * abs(reference) if self.relative else self.amount


@dataclass(frozen=True)
class Alarm:
    """A reason not to trust a row: its whole interval lies above or below a limit.

    of_true_photos: the limit is this share of the value that true photos have. text: what has happened then, as the
    end of a sentence: "it has collapsed to a few faces that it generates for everybody". beside: quantities whose
    values the sentence gives too. expected: what is said instead of an anchor, which nobody has to distrust for it:
    "expected here: this baseline shows training photos by design"; empty: nothing is.
    """

    limit: float
    above: bool
    text: str
    of_true_photos: bool = False
    beside: tuple[str, ...] = ()
    expected: str = ""


@dataclass(frozen=True)
class MetricCard:
    """All that is needed to show, order, bound and judge a metric's numbers; every record keeps it.

    quantity: the field's term without parameters, "recall"; parameters: what tells metrics of one quantity apart, by
    the words "k", "gallery" (a size, or "full"), "galleries" (so many fixed ones), "similarity" (where it is not the
    cosine), "stratum", "distractors", "seconds", "parts", "neighbours", "faces", "deviation".
    heading: of its column (empty: its name); headings: what the numbers of published networks are called instead, by
    `ExtractorCard.convention`: ``{"inception": "FID"}``. factor: what tables multiply by. bounds: smallest and largest
    value, None where there is none. chance: the value of guessing. margin, decides, shown: for the gate; by which
    roles of extractor a fall fails it, and by which it is listed. headline: what verdicts and pictures are about.
    tables: ``{table of the protocol: priority}``, the highest leaves last where room is short; None: the table of
    further metrics; empty: none, only files. order: ``{table: place of its column}``, lowest first; metrics of one
    place stand as in the record. "length" holds metrics of the first "seconds" of speech; the same metric of all
    speech is its last column. smooth: rounding moves it a little, where a count jumps. error: what stands beside the
    value. heading_with_n: the heading ends in ``n=300``, because n decides the value. plotted: has bars of its own.
    caveat: what to know before comparing its numbers, one sentence in which ``{n}`` and ``{part}`` stand for the number
    of identities and the size of one of its "parts".
    """

    quantity: str = ""
    family: Family = "other"
    parameters: Mapping[str, str | int | float] = field(default_factory=dict)
    heading: str = ""
    headings: Mapping[str, str] = field(default_factory=dict)
    format: Format = "share"
    factor: float = 1.0
    bounds: tuple[float | None, float | None] = (None, None)
    chance: float | None = None
    margin: Margin = Margin(0.05, "of a share")
    decides: tuple[Role, ...] = ()
    shown: tuple[Role, ...] = ()
    headline: bool = False
    tables: Mapping[str, int] | None = None
    order: Mapping[str, int] = field(default_factory=dict)
    alarm: Alarm | None = None
    smooth: bool = True
    error: Error = "interval"
    heading_with_n: bool = False
    plotted: bool = False
    caveat: str = ""

    @property
    def term(self) -> str:
        """The quantity with its k: ``recall@10``."""
        return f"{self.quantity}@{self.parameters['k']}" if "k" in self.parameters else self.quantity


@dataclass(frozen=True)
class ExtractorCard:
    """A network that looks at faces, as tables and notes read it; every record keeps it.

    title: how its table begins, "By Inception, which tells pictures apart and not people"; order: among the tables
    of further networks, lowest first. trained_on, licence: of its weights. convention: whose names its numbers have,
    see `MetricCard.headings`. synthetic: trained on synthetic faces, so its numbers on real photos are no result.
    files: its files of weights, for `sf2f-bench weights`: names, or addresses that may end in their checksum,
    ``https://example.org/net.safetensors#sha256=...``. source: of the code of a plug-in, which the harness fills in;
    rows by one id of unlike sources share no table.
    """

    title: str = "By a further network"
    order: int = 100
    trained_on: str = "not stated"
    licence: str = "not stated"
    convention: str = ""
    synthetic: bool = False
    files: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, eq=False)
class Features:
    """What one extractor saw of one set of faces, one row an identity, rows of both sides aligned.

    embeddings ``[N, D]``: of the drawn face, or the identity's template on the true side.
    samples ``[N, D]``: one picture an identity, for distributions; None where no picture exists.
    probabilities ``[N, C]``: the extractor's class probabilities of `samples`; None where it has none.
    own_space: the embeddings live in a space of the anchor's own and mean nothing but an order.
    recognises: False for a network that tells pictures apart and not people (Inception): distributions alone.

    On the drawn side only: takes ``[2, N, D]``: embeddings of faces from two disjoint sets of recordings.

    On the true side only: photos ``[M, D]`` with owners ``[M]``: every photo of the gallery and the row it
    belongs to; training_photos ``[T, D]``: of the training split; strata: what is known of the identities,
    ``{"G": (...), "N": (...), "A": (...), "GNA": (...)}`` (gender, nationality, age group, all three), None where
    it is not known.
    """

    identities: tuple[str, ...]
    embeddings: FloatArray
    samples: FloatArray | None = None
    probabilities: FloatArray | None = None
    own_space: bool = False
    recognises: bool = True
    takes: FloatArray | None = None
    photos: FloatArray | None = None
    owners: NDArray[np.int64] | None = None
    training_photos: FloatArray | None = None
    strata: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    @property
    def offers(self) -> frozenset[str]:
        """Which of the metrics' needs these features meet."""
        have = {"ranking"} if self.recognises else set()
        if self.recognises and not self.own_space:
            have.add("embeddings")
        for name in ("samples", "probabilities", "takes", "photos", "training_photos"):
            if getattr(self, name) is not None:
                have.add(name)
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
    """

    value: float
    n: int  # identities it rests on
    interval: tuple[float, float] | None = None  # 95 %; None where none is sound
    per_identity: FloatArray | None = None  # [N], for intervals and paired tests
    basis: Literal["mean", "median", "pseudo-values"] = "mean"
    replicates: FloatArray | None = None  # [R]
    spread: float | None = None  # e.g. standard deviation over the parts of a mutual-information score


class Metric(Protocol):
    """One number from the true and the drawn faces' features."""

    name: str  # the field's term with what decides comparability: "recall@10/g100"
    version: int
    higher_is_better: bool
    # Of the drawn side: "ranking", "embeddings", "samples", "probabilities", "takes"; of the true side: "photos",
    # "training_photos", and strata by letter: "G", "N", "A", "GNA".
    needs: tuple[str, ...]
    min_n: int
    # `card`, a MetricCard, is optional: a metric without one has a column of its own in the table of further metrics.

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Compare row by row; rows are the same identities in the same order."""
        ...


class FeatureExtractor(Protocol):
    """A frozen network that looks at faces; made by name, ``Extractor("vggface2-resnet50")``.

    Making one raises Unavailable where its weights or its package are not installed. One that may serve as a
    training loss is a `TorchExtractor`.
    """

    id: str  # includes the weights' hash, the crop and the resize rule
    sha256: str  # of the weights
    recognises: bool  # tells people apart; False: pictures only
    # `card`, an ExtractorCard, is optional. It is read from the class, so that it is known where weights are missing;
    # a class that makes several extractors has a class method ``card_of(name)`` beside the made one's `card`.

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """uint8 ``[B, 3, H, W]`` -> (embeddings ``[B, D]``, class probabilities ``[B, C]`` or None), float32."""
        ...


@runtime_checkable
class TorchExtractor(Protocol):
    """An extractor of torch: the harness moves its frozen `module` to the run's device.

    One that may serve as a training loss has ``module.features(images in 0..1 [B, 3, H, W]) -> [map1, map2, map3,
    embedding]``.
    """

    module: nn.Module


class AttributeJudge(Protocol):
    """A frozen network that names gender, age or ethnicity; made by name, like an extractor."""

    id: str

    @property
    def sha256(self) -> str:
        """Of its weights; of two judges with one id and different weights, verdicts are kept apart by it."""
        ...

    def __call__(self, images: Tensor) -> Mapping[str, Sequence[str] | FloatArray]:
        """uint8 ``[B, 3, H, W]`` -> by attribute: "gender" and "ethnicity" as words ``[B]``, "age" in years ``[B]``.

        Genders are "f" and "m", as in `Identity`.
        """
        ...


@dataclass(frozen=True)
class DatasetSource:
    """Where a user says a data set lies; each data set takes what it needs and refuses the rest."""

    root: Path | None = None
    voices: Path | None = None
    faces: Path | None = None
    seed: int = 0
    limits: dict[str, int] = field(default_factory=dict)  # split -> at most this many identities
