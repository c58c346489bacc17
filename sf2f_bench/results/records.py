"""Result records: one JSON per (benchmark, system, seed), its per-identity values and pictures beside it.

Tables, pictures and the gate read only these files, so a record holds all that decides what its
numbers mean: data, protocol, recipe, extractors and their weights, budget, seed and environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import pandas as pd
from pyarrow.parquet import ParquetFile
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PrivateAttr,
    ValidationError,
    field_serializer,
    model_validator,
)

from sf2f_bench.files import is_plain_name, write_atomically
from sf2f_bench.results.cards import stated, text_of
from sf2f_bench.results.side_media import (
    check_faces,
    check_voices,
    read_strip,
    read_voices,
    write_strip,
    write_voices,
)
from sf2f_bench.types import BenchError, ExtractorCard, FittedTo, MetricCard, Place, Purpose, Role

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

SCHEMA_VERSION = 2
SIDE_FILES = ("per_identity", "replicates", "curve", "faces", "true_faces", "voices")
INCIDENTAL = ("environment", "cost", "created")  # may differ between two runs of the same thing


class _Part(BaseModel):
    """Strict: an unknown field is a mistake, not something to carry along."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IdentityCounts(_Part):
    """How many identities each split holds."""

    train: int
    val: int
    test: int


class BenchmarkPart(_Part):
    """The data set and the protocol, which decide what a number may be compared with."""

    name: str
    version: str
    protocol: str  # "sf2f-bench/1"
    dataset: str
    dataset_version: str
    data_hash: str
    image_size: int
    paired: bool  # False: voice and face of an "identity" belong to different people
    real: bool  # recordings and photos of people
    media_shareable: bool  # may faces be shown?
    identities: IdentityCounts
    gallery_size: int
    ks: tuple[int, ...]
    segments: int  # voice windows a test identity gives


class SystemPart(_Part):
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
    faces_of: str = ""


def column_of(metric: str, extractor: str | None) -> str:
    """The column of a record's tables that holds a score's values: ``recall@1/g100|embedded-judge/1@...``."""
    return f"{metric}|{extractor or 'none'}"


class ScoreRecord(_Part):
    """One number by one extractor. `extractor` is None where an anchor ranks in a space of its own."""

    metric: str  # "recall@10/g100"
    version: int
    extractor: str | None
    extractor_role: Role
    value: FiniteFloat
    n: Annotated[int, Field(ge=1)]
    interval: tuple[FiniteFloat, FiniteFloat] | None = None  # 95 %
    spread: FiniteFloat | None = None
    higher_is_better: bool
    basis: Literal["mean", "median", "pseudo-values", "replicates"] | None = (
        None  # of paired tests; see `Score`
    )
    _card: MetricCard = PrivateAttr(default_factory=MetricCard)

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
        return self._card


class AbsentScore(_Part):
    """A score that could not be computed, and the reason."""

    metric: str
    extractor: str | None
    reason: str


class Finding(_Part):
    """A finding of `sf2f-bench audit`; `alarm`: numbers made from these data must not be believed as they are."""

    check: (
        str  # "overlap", "seen-by-networks", "duplicate-photos", "duplicate-recordings", "balance", "gallery"
    )
    text: str
    alarm: bool = False


class Environment(_Part):
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


class Cost(_Part):
    """The time and the memory of a run."""

    wall_seconds: float
    train_seconds: float
    peak_memory_mb: float


class SideFiles(_Part):
    """Names of the files beside the record; `save` fills in all but the identities of the faces."""

    per_identity: str = ""
    replicates: str | None = None
    curve: str | None = None
    faces: str | None = None
    true_faces: str | None = None
    voices: str | None = None
    face_identities: tuple[str, ...] = ()  # left to right on the strips, one after the other in the voices


class RunRecord(_Part):
    """The result of one system with one seed on one benchmark."""

    schema_version: Literal[2] = 2
    key: str  # hash of every setting that decides the numbers
    benchmark: BenchmarkPart
    system: SystemPart
    seed: int
    budget: str
    scores: tuple[ScoreRecord, ...]
    absent: tuple[AbsentScore, ...] = ()
    environment: Environment
    weights: dict[str, str] = Field(default_factory=dict)  # extractor id -> sha256
    metrics: dict[str, MetricCard] = Field(
        default_factory=dict
    )  # name -> card, of all scores and absent ones
    extractors: dict[str, ExtractorCard] = Field(default_factory=dict)  # id -> card
    cost: Cost
    files: SideFiles = SideFiles()
    created: AwareDatetime
    notes: tuple[str, ...] = ()
    audit: tuple[Finding, ...] = ()
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _scores_are_unique(self) -> Self:
        seen: set[tuple[str, str | None]] = set()
        for score in self.scores:
            if (score.metric, score.extractor) in seen:
                raise ValueError(f"{score.metric} by {score.extractor} stands twice in one record")
            seen.add((score.metric, score.extractor))
            score._card = self.metrics.get(score.metric, MetricCard())
        return self

    @field_serializer("metrics", "extractors")
    def _without_defaults(self, cards: dict[str, Any]) -> dict[str, Any]:
        return {name: stated(card) for name, card in cards.items()}

    @property
    def stem(self) -> str:
        """The name that the record's files share: ``sf2f-64-w0.25-seed0-1a2b3c4d``."""
        width = "" if self.system.width in (None, 1.0) else f"-w{self.system.width:g}"
        name = re.sub(r"[^A-Za-z0-9.]+", "-", self.system.name).strip("-.") or "system"
        key = re.sub(r"[^A-Za-z0-9]+", "-", self.key[:8])
        return f"{name}{width}-seed{self.seed}-{key}"

    def comparable_part(self) -> dict[str, Any]:
        """All but environment, cost and time: two runs of the same thing are equal here."""
        return self.model_dump(mode="json", exclude=set(INCIDENTAL))

    def path_of(self, file: str) -> Path | None:
        """Where one of `SIDE_FILES` lies; None where there is none."""
        name = getattr(self.files, file)
        return self._folder / name if name and self._folder is not None else None

    def per_identity(self) -> pd.DataFrame:
        """Column `identity` and one column per `ScoreRecord.column`, one row a test identity."""
        path = self.path_of("per_identity")
        if path is None:
            raise BenchError(f"record {self.stem} was never saved, so it has no per-identity values to read")
        return _parquet(path)

    def replicates(self) -> pd.DataFrame | None:
        """One column per `ScoreRecord.column`, one row a half-sample; None where no metric has them."""
        path = self.path_of("replicates")
        return None if path is None else _parquet(path)

    def curve(self) -> pd.DataFrame | None:
        """Columns `stage`, `step` and the training's scalars; None for what was not trained in steps."""
        path = self.path_of("curve")
        return None if path is None else pd.read_csv(path, float_precision="round_trip")

    def faces(self, file: Literal["faces", "true_faces"] = "faces") -> ByteArray | None:
        """The faces of `files.face_identities` as uint8 ``[K, 3, H, W]``; None where none are kept."""
        path = self.path_of(file)
        return None if path is None else read_strip(path, len(self.files.face_identities))

    def voices(self) -> list[FloatArray]:
        """Of each of `files.face_identities` the first 2.5 s of a recording: float32 ``[40000]`` at 16 kHz.

        Shorter recordings end in silence. Empty where no voices are kept.
        """
        path = self.path_of("voices")
        return [] if path is None else read_voices(path, len(self.files.face_identities))


def _parquet(path: Path) -> pd.DataFrame:
    """A small file, in half the time of `pd.read_parquet`: a report reads hundreds."""
    with ParquetFile(path) as file:
        return file.read(use_threads=False).to_pandas()


def save(
    record: RunRecord,
    folder: Path,
    per_identity: pd.DataFrame,
    curve: pd.DataFrame | None = None,
    faces: ByteArray | None = None,
    true_faces: ByteArray | None = None,
    replicates: pd.DataFrame | None = None,
    voices: Sequence[FloatArray] | None = None,
) -> Path:
    """Write a record and its side files, each atomically and the JSON last; give the JSON's path.

    per_identity: column `identity` and one per ``metric|extractor``; curve: `stage`, `step` and scalars;
    faces, true_faces: uint8 ``[K, 3, H, W]`` of `record.files.face_identities`; replicates: one column per
    ``metric|extractor``; voices: float32 ``[T]`` at 16 kHz of the same identities, of which 2.5 s are kept.

    Raises BenchError for pictures and voices of a data set that forbids them, or of another count than identities.
    """
    folder = Path(folder)
    _check_frames(record, per_identity, curve)
    _check_media(record, [images for images in (faces, true_faces) if images is not None], voices)
    kept: dict[str, tuple[str, Any, Callable[[Path, Any], object]]] = {
        "per_identity": ("per-identity.parquet", per_identity, _write_parquet),
        "replicates": ("replicates.parquet", replicates, _write_parquet),
        "curve": ("curve.csv", curve, _write_csv),
        "faces": ("faces.png", faces, write_strip),
        "true_faces": ("true-faces.png", true_faces, write_strip),
        "voices": ("voices.flac", voices, write_voices),
    }
    names: dict[str, str | None] = dict.fromkeys(kept)
    for field, (ending, content, write_file) in kept.items():
        if content is not None:
            names[field] = f"{record.stem}.{ending}"
            write_file(folder / f"{record.stem}.{ending}", content)
    written = record.model_copy(update={"files": record.files.model_copy(update=names)})
    return write(folder / f"{record.stem}.json", written.model_dump(mode="json"))


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    write_atomically(path, lambda temporary: frame.to_parquet(temporary, index=False))


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    write_atomically(path, lambda temporary: frame.to_csv(temporary, index=False))


def write(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a record's JSON, atomically."""
    return write_atomically(path, lambda temporary: temporary.write_text(text_of(content), encoding="utf-8"))


def load(path: Path) -> RunRecord:
    """Read one record.

    Raises BenchError for bad JSON, another schema version, and a side file that is missing or lies elsewhere.
    """
    path = Path(path)
    content = read_json(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version == 1:
        raise BenchError(
            f"{path}: is a record of schema version 1, this version of sf2f-bench reads {SCHEMA_VERSION}; run "
            f"`sf2f-bench migrate {path.parent}`"
        )
    if version != SCHEMA_VERSION:
        raise BenchError(
            f"{path}: expected a result record of schema version {SCHEMA_VERSION}, got {version!r}; "
            "keep only records in this folder and make them with this version of sf2f-bench"
        )
    record = parse(path, content)
    record._folder = path.parent
    for field in SIDE_FILES:
        if name := getattr(record.files, field):
            _check_side_file(path, field, name)
    if not record.files.per_identity:
        raise BenchError(f"{path}: names no per-identity file; run again")
    return record


def read_json(path: Path) -> Any:
    """What the JSON file of a record holds; raises BenchError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BenchError(
            f"{path}: expected the JSON of a result record, got {error}; delete it and run again"
        ) from error


def parse(path: Path, content: object) -> RunRecord:
    """The record that a JSON file holds; path: for messages. Raises BenchError for an invalid one."""
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        raise BenchError(f"{path}: not a valid result record: {_first_problem(error)}; run again") from error


def _check_side_file(path: Path, field: str, name: str) -> None:
    """Raise unless the file lies in the record's own folder: a stranger's record could name any file it likes."""
    if not is_plain_name(name):
        raise BenchError(
            f"{path}: expected files.{field} to be the plain name of a file beside the record, got {name!a}; do not "
            "trust this record: get it again from whoever made it, or delete it"
        )
    side = path.parent / name
    if side.is_symlink():
        raise BenchError(f"{path}: its {field} file {name} is a link; copy the file itself beside the record")
    if not side.is_file():
        state = "is no file" if side.exists() else "is missing"
        raise BenchError(f"{path}: its {field} file {name} {state}; copy it beside the record")


def load_all(folder: Path, without: tuple[str, ...] = ()) -> list[RunRecord]:
    """Every record in a folder and the folders below, sorted by path; hidden files are passed over.

    without: names of folders below that are passed over too.

    Raises BenchError where there is no such folder, or as `load` does.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BenchError(f"expected a folder of result records, but there is no folder {folder}; run first")
    paths = [
        path
        for path in sorted(folder.rglob("*.json"))
        if not any(part.startswith(".") or part in without for part in path.relative_to(folder).parts)
    ]
    return [load(path) for path in paths]


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "record"
    return f"{where}: {first['msg']}"


def _check_frames(record: RunRecord, per_identity: pd.DataFrame, curve: pd.DataFrame | None) -> None:
    if "identity" not in per_identity.columns:
        raise BenchError(
            f"{record.stem}: expected a column 'identity' beside the per-identity values, "
            f"got {list(per_identity.columns)[:5]}"
        )
    if curve is not None and not {"stage", "step"} <= set(curve.columns):
        raise BenchError(
            f"{record.stem}: a training curve needs columns 'stage' and 'step', got {list(curve.columns)}"
        )


def _check_media(record: RunRecord, strips: Sequence[ByteArray], voices: Sequence[FloatArray] | None) -> None:
    """Raise unless the data set allows pictures and voices, and there is one for each named identity."""
    for what, is_there in (("face", bool(strips)), ("voice", voices is not None)):
        if is_there and not record.benchmark.media_shareable:
            raise BenchError(
                f"the media of {record.benchmark.dataset} may not be shared, so no {what} goes beside a record; "
                f"save it without {what}s"
            )
    expected = len(record.files.face_identities)
    for images in strips:
        check_faces(record.stem, images, expected)
    if voices is not None:
        check_voices(record.stem, voices, expected)
