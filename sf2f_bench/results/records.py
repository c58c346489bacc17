"""Result records: one JSON per (benchmark, system, seed), its per-identity values and pictures beside it.

Tables, pictures and the gate read only these files, so a record holds all that decides what its
numbers mean: data, protocol, recipe, extractors and their weights, budget, seed and environment.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

import pandas as pd
from pydantic import (
    AwareDatetime,
    Field,
    PrivateAttr,
    ValidationError,
    field_serializer,
    model_validator,
)

from sf2f_bench.files import is_plain_name, write_atomically
from sf2f_bench.results.cards import stated, text_of
from sf2f_bench.results.parts import (
    NO_CARD,
    AbsentScore,
    BenchmarkPart,
    Cost,
    Environment,
    Finding,
    IdentityCounts,
    Part,
    ScoreRecord,
    SideFiles,
    SystemPart,
    column_of,
)
from sf2f_bench.results.side_media import (
    check_cases,
    check_draws,
    check_faces,
    check_voices,
    read_cases,
    read_draws,
    read_strip,
    read_voices,
    write_draws,
    write_strip,
    write_voices,
)
from sf2f_bench.results.side_tables import read_curve, read_values
from sf2f_bench.results.texts import NAME, clean, cleaned
from sf2f_bench.types import BenchError, ExtractorCard, MetricCard

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

__all__ = [
    "NO_CARD",
    "SCHEMA_VERSION",
    "SIDE_FILES",
    "AbsentScore",
    "BenchmarkPart",
    "Cost",
    "Environment",
    "Finding",
    "IdentityCounts",
    "RunRecord",
    "ScoreRecord",
    "SideFiles",
    "SystemPart",
    "check_side_files",
    "column_of",
    "load",
    "load_all",
    "parse",
    "read_record_json",
    "save",
    "seals_of",
    "write",
]

SCHEMA_VERSION = 2
STRIPS: tuple[Literal["faces", "true_faces"], ...] = ("faces", "true_faces")
SIDE_FILES = (
    "per_identity",
    "replicates",
    "curve",
    "det_cmc",
    "faces",
    "true_faces",
    "voices",
    "draws",
    "cases",
)
INCIDENTAL = ("environment", "cost", "created")  # may differ between two runs of the same thing


Read = TypeVar("Read")  # what a side file holds


class _FilesRead(dict[Path, Any]):
    """What was read of a record's side files so far: no part of what the record is, so all are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _FilesRead)


class RunRecord(Part):
    """The result of one system with one seed on one benchmark."""

    schema_version: Literal[2] = 2
    key: str  # hash of every setting that decides the numbers
    benchmark: BenchmarkPart
    system: SystemPart
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)]
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
    _files_read: _FilesRead = PrivateAttr(default_factory=_FilesRead)

    @model_validator(mode="after")
    def _scores_are_unique(self) -> Self:
        seen: set[tuple[str, str | None]] = set()
        for score in self.scores:
            if (score.metric, score.extractor) in seen:
                raise ValueError(f"{score.metric} by {score.extractor} stands twice in one record")
            seen.add((score.metric, score.extractor))
            score._card = self.metrics.get(score.metric)
        return self

    @field_serializer("metrics", "extractors")
    def _without_defaults(self, cards: dict[str, Any]) -> dict[str, Any]:
        return {name: stated(card) for name, card in cards.items()}

    @property
    def stem(self) -> str:
        """The name that the record's files share: ``sf2f-64-w0.25-seed0-1a2b3c4d``."""
        width = "" if self.system.width in (None, 1.0) else f"-w{self.system.width:g}"
        name = re.sub(r"[^A-Za-z0-9.]+", "-", self.system.name).strip("-.")[:NAME] or "system"
        key = re.sub(r"[^A-Za-z0-9]+", "-", self.key[:8])
        return f"{name}{width}-seed{self.seed}-{key}"

    def comparable_part(self) -> dict[str, Any]:
        """All but environment, cost and time: two runs of the same thing are equal here.

        Without the checksums too, for a training curve may hold times.
        """
        content = self.model_dump(mode="json", exclude=set(INCIDENTAL))
        content["files"].pop("sha256", None)
        return content

    def path_of(self, file: str) -> Path | None:
        """Where one of `SIDE_FILES` lies; None where there is none."""
        name = getattr(self.files, file)
        return self._folder / name if name and self._folder is not None else None

    def _read(self, file: str, reader: Callable[[Path], Read]) -> Read | None:
        """A side file, read once however often it is asked for; None where there is none."""
        path = self.path_of(file)
        if path is not None and path not in self._files_read:
            self._files_read[path] = reader(path)
        return None if path is None else self._files_read[path]

    def per_identity(self) -> pd.DataFrame:
        """Column `identity` and one column per `ScoreRecord.column`, one row a test identity."""
        values = self._read("per_identity", read_values)
        if values is None:
            raise BenchError(f"record {self.stem} was never saved, so it has no per-identity values to read")
        return values

    def replicates(self) -> pd.DataFrame | None:
        """One column per `ScoreRecord.column`, one row a half-sample; None where no metric has them."""
        return self._read("replicates", partial(read_values, identities=False))

    def curve(self) -> pd.DataFrame | None:
        """Columns `stage`, `step` and the training's scalars; None for what was not trained in steps."""
        return self._read("curve", read_curve)

    def det_cmc(self) -> pd.DataFrame | None:
        """Columns `false_accepts`, `false_rejects`, `rank`, `identified`: the judge's curves, NaN past an end."""
        return self._read("det_cmc", partial(read_values, identities=False))

    def faces(self, file: Literal["faces", "true_faces"] = "faces") -> ByteArray | None:
        """The faces of `files.face_identities` as uint8 ``[K, 3, H, W]``; None where none are kept."""
        return self._read(file, partial(read_strip, count=len(self.files.face_identities)))

    def draws(self) -> ByteArray | None:
        """Several faces for each of the first `files.face_identities`, uint8 ``[P, D, 3, H, W]``; None where one is."""
        size, most = self.benchmark.image_size, len(self.files.face_identities)
        return self._read("draws", partial(read_draws, size=size, most=most))

    def cases(self) -> ByteArray | None:
        """True and generated faces of `files.case_identities`, uint8 ``[K, 2, 3, H, W]``; None where none are kept."""
        size, count = self.benchmark.image_size, len(self.files.case_identities)
        return self._read("cases", partial(read_cases, size=size, count=count))

    def voices(self) -> list[FloatArray]:
        """Of each of `files.face_identities` the first 2.5 s of a recording: float32 ``[40000]`` at 16 kHz.

        Shorter recordings end in silence. Empty where no voices are kept.
        """
        return self._read("voices", partial(read_voices, count=len(self.files.face_identities))) or []


def save(
    record: RunRecord,
    folder: Path,
    per_identity: pd.DataFrame,
    curve: pd.DataFrame | None = None,
    faces: ByteArray | None = None,
    true_faces: ByteArray | None = None,
    replicates: pd.DataFrame | None = None,
    voices: Sequence[FloatArray] | None = None,
    det_cmc: pd.DataFrame | None = None,
    draws: ByteArray | None = None,
    cases: ByteArray | None = None,
) -> Path:
    """Write a record and its side files, each atomically and the JSON last; give the JSON's path.

    per_identity: column `identity` and one per ``metric|extractor``; curve: `stage`, `step` and scalars;
    faces, true_faces: uint8 ``[K, 3, H, W]`` of `record.files.face_identities`; replicates: one column per
    ``metric|extractor``; voices: float32 ``[T]`` at 16 kHz of the same identities, of which 2.5 s are kept;
    det_cmc: the columns of `RunRecord.det_cmc`; draws: uint8 ``[P, D, 3, H, W]``, several faces for each of the first
    of these identities; cases: uint8 ``[K, 2, 3, H, W]``, true and generated, of `record.files.case_identities`.

    Raises BenchError for pictures and voices of a data set that forbids them, or of another count than identities.
    """
    folder = Path(folder)
    _check_frames(record, per_identity, curve)
    _check_media(
        record, [images for images in (faces, true_faces) if images is not None], voices, draws, cases
    )
    kept: dict[str, tuple[str, Any, Callable[[Path, Any], object]]] = {
        "per_identity": ("per-identity.parquet", per_identity, _write_parquet),
        "replicates": ("replicates.parquet", replicates, _write_parquet),
        "curve": ("curve.csv", curve, _write_csv),
        "det_cmc": ("det-cmc.parquet", det_cmc, _write_parquet),
        "faces": ("faces.png", faces, write_strip),
        "true_faces": ("true-faces.png", true_faces, write_strip),
        "voices": ("voices.flac", voices, write_voices),
        "draws": ("draws.png", draws, write_draws),
        "cases": ("cases.png", cases, write_draws),
    }
    names: dict[str, Any] = dict.fromkeys(kept)
    for field, (ending, content, write_file) in kept.items():
        if content is not None:
            names[field] = f"{record.stem}.{ending}"
            write_file(folder / f"{record.stem}.{ending}", content)
    names |= {"sha256": seals_of(folder, names)}
    written = record.model_copy(update={"files": record.files.model_copy(update=names)})
    return write(folder / f"{record.stem}.json", written.model_dump(mode="json"))


def seals_of(folder: Path, names: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of each side file in `folder`, by its field. Raises BenchError for one that is missing or elsewhere."""
    found = {}
    for field in SIDE_FILES:
        if name := names.get(field):
            _check_side_file(folder, field, name)
            with open(folder / name, "rb") as file:
                found[field] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(frame.to_parquet(index=False)))


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
    content = read_record_json(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version == 1:
        raise BenchError(
            f"{path}: is a record of schema version 1, this version of sf2f-bench reads {SCHEMA_VERSION}; run "
            f"`sf2f-bench migrate {path.parent}`"
        )
    if not isinstance(content, dict) or not {"schema_version", "scores"} & content.keys():
        raise BenchError(
            f"{path}: expected a result record of schema version {SCHEMA_VERSION}, got {version!r}: it is no result "
            "record; keep other files elsewhere"
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
            _check_side_file(path.parent, field, name, path)
    if not record.files.per_identity:
        raise BenchError(f"{path}: names no per-identity file; run again")
    return record


def read_record_json(path: Path) -> Any:
    """What the JSON file of a record holds, its texts cleaned; raises BenchError where it is none."""
    if not path.is_file():
        raise BenchError(
            f"{path}: expected the JSON of a result record, but it is no file; move it elsewhere"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")  # an editor may have put a byte order mark before it
        content = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        return _with_file_names(cleaned(content), content)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        reason = "too many levels" if isinstance(error, RecursionError) else clean(str(error), 200)
        raise BenchError(
            f"{path}: expected the JSON of a result record, got {reason}; get it again from whoever made it, or "
            "delete it and run again"
        ) from error


def _with_file_names(found: Any, content: Any) -> Any:
    """Names of side files stay as they are: what is not a plain name is refused, not made one."""
    if isinstance(content, dict) and isinstance(files := content.get("files"), dict):
        found["files"] |= {field: files[field] for field in SIDE_FILES if field in files}
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text}, which is no number")


def _finite(text: str) -> float:
    return float(text) if abs(float(text)) < inf else _no_number(text)


def parse(path: Path, content: object) -> RunRecord:
    """The record that a JSON file holds; path: for messages. Raises BenchError for an invalid one."""
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        raise BenchError(f"{path}: not a valid result record: {_first_problem(error)}; run again") from error


def _check_side_file(folder: Path, field: str, name: str, path: Path | None = None) -> None:
    """Raise unless the file lies in the record's own folder: a stranger's record could name any file it likes.

    path: of the record, for the message.
    """
    path = path or folder
    if not is_plain_name(name):
        raise BenchError(
            f"{path}: expected files.{field} to be the plain name of a file beside the record, got {name!a}; do not "
            "trust this record: get it again from whoever made it, or delete it"
        )
    side = folder / name
    if side.is_symlink():
        raise BenchError(f"{path}: its {field} file {name} is a link; copy the file itself beside the record")
    if not side.is_file():
        state = "is no file" if side.exists() else "is missing"
        raise BenchError(
            f"{path}: its {field} file {name} {state}; copy it beside the record, or delete the record and run again"
        )


def load_all(
    folder: Path, without: tuple[str, ...] = (), left_out: dict[Path, str] | None = None
) -> list[RunRecord]:
    """Every record in a folder and the folders below, sorted by path; hidden files are passed over.

    without: names of folders below that are passed over too; left_out: takes each file that cannot be used as a record,
    side files included, with the reason, instead of an exception.

    Raises BenchError where there is no such folder, or as `load` and `check_side_files` do.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BenchError(f"expected a folder of result records, but there is no folder {folder}; run first")
    found = []
    for path in sorted(folder.rglob("*.json")):
        if any(part.startswith(".") or part in without for part in path.relative_to(folder).parts):
            continue
        try:
            record = load(path)
            check_side_files(record)
        except BenchError as error:
            if left_out is None:
                raise
            left_out[path] = str(error).removeprefix(f"{path}: ")
        else:
            found.append(record)
    return found


def check_side_files(record: RunRecord) -> None:
    """Raise BenchError unless each side file is the one that was written, as far as can be known, and can be read."""
    names = record.files
    home = record.path_of("per_identity")
    assert home is not None
    where = home.parent / f"{record.stem}.json"
    found = seals_of(home.parent, names.model_dump()) if names.sha256 else {}
    if other := [
        field for field in sorted({*found, *names.sha256}) if found.get(field) != names.sha256.get(field)
    ]:
        raise BenchError(
            f"{where}: its {other[0]} file is not the one that was written with it; copy that beside the record, or "
            "run again"
        )
    record.per_identity()
    record.replicates()
    record.curve()
    record.det_cmc()
    record.voices()
    record.draws()
    record.cases()
    size = record.benchmark.image_size
    for side in STRIPS:
        faces = record.faces(side)
        if faces is not None and faces.shape[2:] != (size, size):
            raise BenchError(
                f"{where}: its {side} are {list(faces.shape[2:])} pixels, expected {size}; run again"
            )


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "record"
    return clean(f"{where}: {first['msg']}", 300)


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


def _check_media(
    record: RunRecord,
    strips: Sequence[ByteArray],
    voices: Sequence[FloatArray] | None,
    draws: ByteArray | None,
    cases: ByteArray | None,
) -> None:
    """Raise unless the data set allows pictures and voices, and there is one for each named identity."""
    has_faces = bool(strips) or draws is not None or cases is not None
    for what, is_there in (("face", has_faces), ("voice", voices is not None)):
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
    if draws is not None:
        check_draws(record.stem, draws, expected)
    if cases is not None:
        check_cases(record.stem, cases, len(record.files.case_identities))
