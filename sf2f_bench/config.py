"""What a run is asked to do: a TOML file, overridden by the command line, checked in one place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sf2f_bench.protocols.names import BENCH
from sf2f_bench.types import BenchError


class RunConfig(BaseModel):
    """All settings of `sf2f-bench run`; every field is an option of the command of the same name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str = "synthetic-64"
    protocol: str = BENCH
    budget: Literal["smoke", "default", "paper"] = "default"
    seed: int = Field(0, ge=0)
    models: tuple[str, ...] = ()  # empty: the benchmark's own
    ablation: bool = False
    judge: str | None = None  # None: the benchmark's own
    extractors: tuple[str, ...] = ()  # further networks beside the benchmark's
    perceptual: str | None = None  # None: the benchmark's own network of the training loss
    root: Path | None = None
    voices: Path | None = None
    faces: Path | None = None
    results: Path = Path("results")
    cache: Path = Path(".sf2f-bench")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = False
    compile: Literal["none", "default", "graphs"] = "none"
    width: float | None = Field(None, gt=0, le=4)
    steps: int | None = Field(None, ge=1)
    jobs: int = Field(2, ge=1)
    scheduler: str | None = None  # address of a Dask cluster that prepares
    checkpoint_every: float = Field(20.0, ge=0)  # seconds
    gallery: int | None = Field(None, ge=2)
    ks: tuple[int, ...] | None = None


def load_config(file: Path | None, options: dict[str, Any]) -> RunConfig:
    """Settings of a TOML file (where given), overridden by the options that are not None or empty.

    Raises BenchError that names the setting, what came and what is allowed.
    """
    settings: dict[str, Any] = {}
    if file is not None:
        try:
            settings = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise BenchError(f"{file} is not a TOML file that can be read: {error}") from None
    settings |= {name: value for name, value in options.items() if value not in (None, (), [], False)}
    try:
        return RunConfig(**settings)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise BenchError("settings that cannot be used: " + "; ".join(faults)) from None
