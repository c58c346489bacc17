"""The parts of a result record: benchmark, system, scores, environment, cost, names of side files."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from sf2f_bench.types import FittedTo, MetricCard, Place, Purpose, Role

NO_CARD = MetricCard()  # of a metric without one


class Part(BaseModel):
    """Strict: an unknown field is a mistake, not something to carry along."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Count = Annotated[int, Field(ge=0, le=10**12)]
Positive = Annotated[int, Field(ge=1, le=10**12)]


class IdentityCounts(Part):
    """How many identities each split holds."""

    train: Count
    val: Count
    test: Count


class BenchmarkPart(Part):
    """The data set and the protocol, which decide what a number may be compared with."""

    name: str
    version: str
    protocol: str  # "sf2f-bench/1"
    dataset: str
    dataset_version: str
    data_hash: str
    image_size: Annotated[int, Field(ge=1, le=4096)]
    paired: bool  # False: voice and face of an "identity" belong to different people
    real: bool  # recordings and photos of people
    media_shareable: bool  # may faces be shown?
    identities: IdentityCounts
    gallery_size: Positive
    ks: Annotated[tuple[Positive, ...], Field(min_length=1)]
    segments: Count  # voice windows a test identity gives
    primary_metric: str = ""  # of `compare`; empty: the headline


class SystemPart(Part):
    """The system as its model card names it, with the recipe it was trained by."""

    name: str
    label: str
    kind: Literal["system", "anchor"]
    version: str
    width: float | None = None
    licence: str = ""
    reference: str = ""
    description: str = ""
    limits: str = ""
    recipe: dict[str, Any] = Field(default_factory=dict)
    # The rest of its `ModelCard`.
    trained_on: str = ""
    place: Place = "system"
    order: int = 100
    ablation_of: str = ""
    change: str = ""
    fitted_to: FittedTo = "training-loss"
    tolerance: float | None = None
    purpose: Purpose = ""
    words: str = ""
    off_scale: bool = False
    trained_first: bool = False
    source: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, content: Any) -> Any:
        """Records that were made when there were rows of shuffled voices."""
        if not isinstance(content, dict) or "faces_of" not in content:
            return content
        purpose = "" if content.get("purpose") == "shuffled" else content.get("purpose", "")
        return {name: value for name, value in content.items() if name != "faces_of"} | {"purpose": purpose}

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(without_empty(serialise(self), "source"), "trained_first")


def without_empty(content: dict[str, Any], field: str) -> dict[str, Any]:
    """A part's JSON without a field that records of older versions do not have, where it is empty."""
    return content if content[field] else {name: value for name, value in content.items() if name != field}


def column_of(metric: str, extractor: str | None) -> str:
    """The column of a record's tables that holds a score's values: ``recall@1/g100|embedded-judge/1@...``."""
    return f"{metric}|{extractor or 'none'}"


def own_column_of(column: str) -> str:
    """Beside pseudo-values or half-samples: the column of the identities' own values; see `Score.own`."""
    return f"{column}|own"


class ScoreRecord(Part):
    """One number by one extractor. `extractor` is None where an anchor ranks in a space of its own."""

    metric: str  # "recall@10/g100"
    version: Positive
    extractor: str | None
    extractor_role: Role
    value: FiniteFloat
    n: Positive
    interval: tuple[FiniteFloat, FiniteFloat] | None = None  # 95 %
    spread: FiniteFloat | None = None
    higher_is_better: bool
    basis: Literal["mean", "median", "pseudo-values", "replicates"] | None = (
        None  # of paired tests; see `Score`
    )
    _card: MetricCard | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.interval and self.interval[0] > self.interval[1]:
            raise ValueError(f"{self.metric}: the interval {list(self.interval)} ends before it begins")
        if (self.extractor is None) != (self.extractor_role == "none"):
            raise ValueError(
                f"{self.metric}: extractor {self.extractor!r} does not go with role {self.extractor_role!r}"
            )
        return self

    @property
    def column(self) -> str:
        """Where the record's tables keep its values; see `column_of`."""
        return column_of(self.metric, self.extractor)

    @property
    def card(self) -> MetricCard:
        """What the metric says of itself, from the record that the score stands in."""
        return self._card or NO_CARD


class AbsentScore(Part):
    """A score that could not be computed, and the reason."""

    metric: str
    extractor: str | None
    reason: str


class Finding(Part):
    """A finding of `sf2f-bench audit`; `alarm`: numbers made from these data must not be believed as they are."""

    check: (
        # "overlap", "seen-by-networks", "duplicate-photos", "flat-photos", "photo-shapes", "duplicate-recordings",
        # "balance", "gallery"
        str
    )
    text: str
    alarm: bool = False


class Environment(Part):
    """The machine and the software of a run."""

    python: str
    platform: str
    torch: str
    numpy: str
    device: str
    threads: int
    processor: str | None = None  # model and instruction set torch used; records of older versions have none
    package: str  # version of sf2f-bench
    commit: str | None = None


class Cost(Part):
    """The time and the memory that a row took, and what one face costs.

    wall_seconds: training, generation and scoring, whenever they were done; a first stage that another row shares
    counts for both. train_seconds: of these the training's. peak_memory_mb: the largest memory of the process until
    then, of what it did before too.
    parameters: that take part in generating a face. operations_per_face: floating-point operations of matrix products
    and convolutions for one face from all segments, a multiplication and an addition being two. seconds_per_face: on
    this machine, of a batch of voices. stage_seconds: of training, by the stages of the curve. None for an anchor,
    where it could not be measured, and in older records.
    """

    wall_seconds: float
    train_seconds: float
    peak_memory_mb: float
    parameters: Annotated[int, Field(ge=0)] | None = None
    operations_per_face: Annotated[int, Field(ge=0)] | None = None
    seconds_per_face: Annotated[FiniteFloat, Field(ge=0)] | None = None
    stage_seconds: dict[str, Annotated[FiniteFloat, Field(ge=0)]] | None = None

    @model_serializer(mode="wrap")
    def _without_what_was_not_measured(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialise(self).items() if value is not None}


class SideFiles(Part):
    """Names of the files beside the record; `save` fills in all but the identities of the faces."""

    per_identity: str = ""
    replicates: str | None = Field(default=None, min_length=1)
    curve: str | None = Field(default=None, min_length=1)
    det_cmc: str | None = Field(default=None, min_length=1)
    faces: str | None = Field(default=None, min_length=1)
    true_faces: str | None = Field(default=None, min_length=1)
    voices: str | None = Field(default=None, min_length=1)
    draws: str | None = Field(
        default=None, min_length=1
    )  # several faces for each of the first of these identities
    face_identities: tuple[str, ...] = ()  # left to right on the strips, one after the other in the voices
    cases: str | None = Field(default=None, min_length=1)  # true above generated faces of these identities:
    case_identities: tuple[
        str, ...
    ] = ()  # those that the judge finds best first, then typical ones, the worst last
    sha256: dict[str, str] = Field(default_factory=dict)  # of each file, by its field here; empty: not sealed

    @model_serializer(mode="wrap")
    def _without_empty_seal(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = serialise(self)
        for field in ("sha256", "det_cmc", "draws", "cases", "case_identities"):
            content = without_empty(content, field)
        return content
