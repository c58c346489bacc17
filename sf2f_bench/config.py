"""The settings of a run, each defined once: type, limits, default, help, and the artefact whose key it changes.

The options of the commands (`commands.options`), the names in a TOML file and the training key are made from the
fields of `RunConfig`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sf2f_bench.protocols.names import BENCH, DRAWS, MOST_DRAWS, PROTOCOLS
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError

Artefact = Literal["none", "data", "model", "faces", "record"]
Keyed = Literal["never", "always", "unless default"]


@dataclass(frozen=True)
class Option:
    """How a setting reads on the command line, and what it changes.

    decided_by: who decides where the user does not: "the benchmark". enters: the first artefact whose key changes with
    the setting; the keys of all later ones follow from it. keyed: whether its own value is in the key of a trained
    model; "unless default": only where it is not the default, because it was added when there were models already.
    of_data: commands that only prepare data have it too.
    """

    help: str
    enters: Artefact = "none"
    keyed: Keyed = "never"
    decided_by: str = ""
    short: str = ""
    of_data: bool = False


def setting(
    default: Any,
    help: str,
    enters: Artefact = "none",
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    **more: Any,
) -> Any:
    """A field of `RunConfig`; ge, gt and le are its limits, `more` is of `Option`."""
    return Field(default, ge=ge, gt=gt, le=le, json_schema_extra={"help": help, "enters": enters, **more})


def _numbers(value: Any) -> Any:
    """``"1,5,10"`` -> ``[1, 5, 10]``."""
    if not isinstance(value, str):
        return value
    try:
        numbers = [int(part) for part in value.split(",")]
    except ValueError:
        raise ValueError("expected numbers separated by commas, like 1,5,10") from None
    return numbers


def _each_once(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if not numbers or min(numbers) < 1 or len(set(numbers)) < len(numbers):
        raise ValueError("expected numbers of 1 or more, each once, like 1,5,10")
    return numbers


Numbers = Annotated[tuple[int, ...], BeforeValidator(_numbers), AfterValidator(_each_once)]
BENCHMARK, BUDGET = "the benchmark", "the budget"


class RunConfig(BaseModel):
    """All settings of `sf2f-bench run`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str = setting(
        "synthetic-64",
        "What to measure on: `sf2f-bench list` names all; or a data set, mine.py:Mine.",
        "data",
    )
    models: tuple[str, ...] = setting(
        (), "A system or anchor by name, or mine.py:Mine. Repeat for more.", short="m", decided_by=BENCHMARK
    )
    all: bool = setting(False, "Every installed system of the benchmark's size, not only the default's.")
    ablation: bool = setting(False, "SF2F beside itself without each of its parts.")
    protocol: str = setting(BENCH, f"{' or '.join(PROTOCOLS)}.", "faces")
    budget: Literal["smoke", "default", "long", "paper"] = setting(
        "default", "How long to train, and on how many people.", "data", of_data=True
    )
    seed: int = setting(0, "Seed of training.", "model", keyed="always", ge=0, le=2**63 - 1)
    width: float | None = setting(
        None, "Share of the published channel counts.", "model", gt=0, le=4, decided_by=BUDGET
    )
    steps: int | None = setting(None, "Training steps.", "model", ge=1, decided_by=BUDGET)
    judge: str | None = setting(
        None, "Network that judges, like deepface:ArcFace.", "record", decided_by=BENCHMARK
    )
    extractors: tuple[str, ...] = setting(
        (), "A further network that scores, by name, or mine.py:Mine. Repeat for more.", "record", short="x"
    )
    metrics: tuple[str, ...] = setting(
        (), "A metric of your own beside the installed ones, mine.py:Mine. Repeat for more.", "record"
    )
    draws: int = setting(
        DRAWS, "Faces for each voice by a system that draws them.", "faces", ge=2, le=MOST_DRAWS
    )
    perceptual: str | None = setting(None, "Network of the training loss.", "model", decided_by=BENCHMARK)
    gallery: int | None = setting(None, "Gallery size.", "record", ge=2, decided_by=BENCHMARK)
    ks: Numbers | None = setting(None, "The k of recall@k, like 1,5,10.", "record", decided_by=BENCHMARK)
    root: Path | None = setting(
        None, "Folder of the data set: HQ-VoxCeleb, or one of your own.", "data", of_data=True
    )
    voices: Path | None = setting(None, "Folder of recordings, for null-pairs.", "data", of_data=True)
    faces: Path | None = setting(None, "Folder of photos, for null-pairs.", "data", of_data=True)
    results: Path = setting(Path("results"), "Where records go.")
    keep_weights: Path | None = setting(
        None, "Folder for the trained weights, which --models NAME@FILE takes."
    )
    cache: Path = setting(Path(".sf2f-bench"), "Where every stage keeps its results.", of_data=True)
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "Where to train and generate; auto: CUDA if there is one.", "model"
    )
    precision: Literal["fp32", "bf16"] = setting("fp32", "Of training.", "model", keyed="always")
    deterministic: bool = setting(
        False, "Bit for bit the same on the same GPU; slower.", "model", keyed="unless default"
    )
    compile: Literal["none", "default", "graphs"] = setting(
        "none", "torch.compile in training; graphs: with CUDA graphs.", "model", keyed="unless default"
    )
    checkpoint_every: float = setting(20.0, "Seconds between checkpoints; 0: after every step.", ge=0)
    jobs: int = setting(2, "Processes that prepare data.", ge=1, of_data=True)
    scheduler: str | None = setting(
        None, "Address of a Dask scheduler whose workers prepare data instead.", of_data=True
    )

    def training_key(self) -> dict[str, Any]:
        """The settings whose own value is in the key of a trained model."""
        return {
            name: getattr(self, name)
            for name, option in OPTIONS.items()
            if option.keyed == "always"
            or (option.keyed == "unless default" and getattr(self, name) != FIELDS[name].default)
        }


FIELDS = RunConfig.model_fields
OPTIONS = {name: Option(**cast("dict[str, Any]", field.json_schema_extra)) for name, field in FIELDS.items()}


def flag_of(name: str) -> str:
    """The option of a setting: ``--checkpoint-every``."""
    return f"--{name.replace('_', '-')}"


LIMITS = {"ge": "{} or more", "gt": "more than {}", "le": "at most {}"}
LIMIT_FAULTS = {"greater_than_equal", "greater_than", "less_than_equal"}


def load_config(file: Path | None, options: Mapping[str, Any]) -> RunConfig:
    """Settings of a TOML file (where given), overridden by the options; None and () mean that one was not given.

    Raises BenchError that names the setting, its origin, what came and what is allowed.
    """
    if empty := [flag_of(name) for name, value in options.items() if "" in (value, *_words(value))]:
        raise BenchError(f"{', '.join(empty)}: expected a value, got nothing; leave it out for the default")
    settings: dict[str, Any] = {}
    if file is not None:
        settings = read_toml(file)
    given = {name: value for name, value in options.items() if value is not None and value != ()}
    try:
        return RunConfig(**settings | given)
    except ValidationError as error:
        faults = [_fault(fault, given, file) for fault in error.errors()]
        raise BenchError(f"these settings cannot be used: {'; '.join(faults)}") from None


def _words(value: Any) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


WINDOWS_PATHS = r"write a Windows path in single quotes: root = 'C:\data\mine'"


def read_toml(file: Path) -> dict[str, Any]:
    """Raises BenchError for what is no TOML; a byte order mark is passed over."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchError(
            f"{file} is not in UTF-8 (byte {error.start}), as TOML must be: save it as UTF-8 in your editor"
        ) from None
    except OSError as error:
        raise BenchError(f"{file} is not a TOML file that can be read: {error.strerror}") from None
    try:
        settings = tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or deep nesting
        advice = f"; {WINDOWS_PATHS}" if "\\" in text else ""
        raise BenchError(f"{file} is not a TOML file that can be read: {error}{advice}") from None
    for name, value in settings.items():
        if isinstance(value, str) and not value.isprintable():  # "C:\new" holds a line break
            raise BenchError(f"{file}: {name} = {value!r} holds a control character: {WINDOWS_PATHS}")
    return settings


def _fault(fault: Mapping[str, Any], given: Mapping[str, Any], file: Path | None) -> str:
    """``steps = 0 (--steps): expected 1 or more``."""
    name = str(fault["loc"][0])
    origin = flag_of(name) if name in given else file
    if name not in FIELDS:
        return f"{unknown('setting', name, list(FIELDS))} ({origin})"
    if fault["type"] in LIMIT_FAULTS:
        limits = [
            text.format(getattr(part, limit))
            for part in FIELDS[name].metadata
            for limit, text in LIMITS.items()
            if hasattr(part, limit)
        ]
        allowed = f"expected {', '.join(limits)}"
    elif fault["type"] == "path_type":
        allowed = "expected a path"
    else:
        allowed = fault["msg"].removeprefix("Value error, ").replace("Input should be ", "expected ")
    return f"{'.'.join(map(str, fault['loc']))} = {fault['input']!r} ({origin}): {allowed}"
