"""The stages of a run, the only orchestrator: data -> store -> model -> faces -> scores -> record.

Every stage's result is an artefact named by the hash of all that decides it. What is there is not made
again; what a kill interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.benchmarks import PROTOCOL, Benchmark, benchmark_named
from sf2f_bench.config import RunConfig
from sf2f_bench.data.prepared import PreparedStore, prepare, store_key
from sf2f_bench.data.training import TrainingData
from sf2f_bench.evaluation import Evaluation, generate_faces
from sf2f_bench.files import hash_of, load_tensors, save_tensors, seed_of
from sf2f_bench.progress import Reporter
from sf2f_bench.records import RunRecord, load
from sf2f_bench.registry import DATASETS, EXTRACTORS, MODELS
from sf2f_bench.scoring import Provenance, metrics_for, save_record, score
from sf2f_bench.training import TrainContext
from sf2f_bench.types import Anchor, Answer, BenchError, Dataset, DatasetSource, ModelSettings, SpeechToFace

STAGES = {"train": 1, "generate": 1, "score": 1}  # a change of what a stage computes raises its version


@dataclass
class Run:
    """One call of `sf2f-bench run`, with what all of its rows share."""

    config: RunConfig
    reporter: Reporter
    benchmark: Benchmark
    dataset: Dataset
    store: PreparedStore
    evaluation: Evaluation
    device: torch.device

    @property
    def folder(self) -> Path:
        """Where the records of this benchmark lie."""
        return self.config.results / self.benchmark.name


def run(config: RunConfig, reporter: Reporter) -> list[RunRecord]:
    """Train, draw, score and record every row of a benchmark; returns the records, old and new.

    Raises BenchError for a wrong input; records that were made before it stay.
    """
    prepared = _open(config, reporter)
    built = [
        _build(name, prepared)
        for name in (*prepared.benchmark.anchors, *_systems(config, prepared.benchmark))
    ]
    paths, made = [], 0
    for system in built:
        path, new = _row(prepared, system)
        made += new
        if path:
            paths.append(path)
    if not made:
        reporter.say(f"nothing to do: all {len(paths)} records are in {prepared.folder}")
    return [load(path) for path in paths]


def dataset_of(config: RunConfig, benchmark: Benchmark) -> Dataset:
    """The benchmark's data set, where the user says it lies."""
    limits = benchmark.smoke_limits if config.budget == "smoke" else {}
    source = DatasetSource(config.root, config.voices, config.faces, seed=0, limits=limits)
    return DATASETS.get(benchmark.dataset)(source)


def prepare_store(
    config: RunConfig, benchmark: Benchmark, dataset: Dataset, reporter: Reporter, folder: Path | None = None
) -> PreparedStore:
    """The prepared store of a data set, in `folder` or in the cache; finished shards are kept."""
    frontend = LogFilterbank()
    key = store_key(dataset, frontend, benchmark.image_size)
    return prepare(
        dataset,
        frontend,
        benchmark.image_size,
        folder or config.cache / "prepared" / key,
        reporter,
        config.jobs,
    )


def _open(config: RunConfig, reporter: Reporter) -> Run:
    benchmark = benchmark_named(config.benchmark).for_budget(config.budget)
    benchmark = replace(
        benchmark, gallery_size=config.gallery or benchmark.gallery_size, ks=config.ks or benchmark.ks
    )
    benchmark.check()
    device = _device(config.device)
    dataset = dataset_of(config, benchmark)
    store = prepare_store(config, benchmark, dataset, reporter)
    if len(store.left_out):
        reporter.say(
            f"{len(store.left_out)} files or identities are left out: {store.folder / 'left_out.csv'}"
        )
    roles = {"judge": benchmark.judge, "training-loss": benchmark.training_loss}
    extractors = {role: EXTRACTORS.get(name)(name) for role, name in roles.items()}
    features = config.cache / "features"
    evaluation = Evaluation(benchmark, store, dataset, LogFilterbank(), extractors, features)
    return Run(config, reporter, benchmark, dataset, store, evaluation, device)


def _device(wish: str) -> torch.device:
    available = torch.cuda.is_available()
    if wish == "cuda" and not available:
        raise BenchError(
            "--device cuda: torch sees no CUDA device here; leave the option out to run on the CPU"
        )
    return torch.device("cuda" if available and wish != "cpu" else "cpu")


def _systems(config: RunConfig, benchmark: Benchmark) -> tuple[str, ...]:
    return config.models or benchmark.systems


def _build(name: str, run: Run) -> Anchor | SpeechToFace:
    """A system or an anchor by its registered name, or from a file: ``path/to/mine.py:Mine``."""
    target = _load_from_file(name) if ".py:" in name else MODELS.get(name)
    if getattr(getattr(target, "card", None), "kind", None) == "anchor":
        return target()
    config = run.config
    settings = ModelSettings(
        run.benchmark.image_size, config.budget, run.device.type, config.width, config.steps
    )
    return target(settings)


def _load_from_file(name: str) -> Any:
    file, _, attribute = name.rpartition(":")
    if not Path(file).is_file():
        raise BenchError(f"--models {name}: there is no file {file}; expected path/to/file.py:ClassName")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise BenchError(f"--models {name}: {file} has no class {attribute}")
    return getattr(module, attribute)


def _row(run: Run, system: Anchor | SpeechToFace) -> tuple[Path | None, bool]:
    """(path of the row's record, was it made now); (None, False) for an anchor that does not apply."""
    is_anchor = system.card.kind == "anchor"
    if is_anchor:
        reason = system.applies(run.evaluation)  # type: ignore[union-attr]
        if reason:
            run.reporter.say(f"{system.card.label}: not in the table ({reason})")
            return None, False
    keys = _keys(run, system)
    seed = 0 if is_anchor else run.config.seed
    for path in run.folder.glob(f"*-seed{seed}-{keys['record'][:8]}.json"):
        load(path)  # a damaged record is an error, not a result
        return path, False
    if is_anchor:
        return _anchor_record(run, system, keys), True  # type: ignore[arg-type]
    return _system_record(run, system, keys), True  # type: ignore[arg-type]


def _keys(run: Run, system: Any) -> dict[str, str]:
    """The name of every artefact of a row: a hash of all that decides it, upstream names included."""
    extractors = {role: extractor.id for role, extractor in run.evaluation.extractors.items()}
    facts = {"data": run.store.data_hash, "system": system.card.label, "version": system.card.version}
    train = hash_of(
        {
            **facts,
            "recipe": dict(getattr(system, "recipe", {})),
            "seed": run.config.seed,
            "perceptual": extractors["training-loss"],
            "device": run.device.type,
            "stage": STAGES["train"],
        }
        if system.card.kind == "system"
        else facts
    )
    faces = hash_of({"model": train, "protocol": PROTOCOL, "stage": STAGES["generate"]})
    metrics = metrics_for(run.benchmark, len(run.evaluation.identities))
    benchmark = {
        "name": run.benchmark.name,
        "version": run.benchmark.version,
        "metrics": [(metric.name, metric.version) for metric in metrics],
    }
    record = hash_of(
        {"faces": faces, "benchmark": benchmark, "extractors": extractors, "stage": STAGES["score"]}
    )
    return {"train": train, "faces": faces, "record": record}


def _anchor_record(run: Run, anchor: Anchor, keys: dict[str, str]) -> Path:
    started = time.monotonic()
    with run.reporter.bar(f"score {anchor.card.label}", 1) as bar:
        answer = anchor.answer(run.evaluation)
        found = score(run.evaluation, answer)
        bar.advance()
    seconds = time.monotonic() - started
    provenance = Provenance(keys["record"], anchor.card, {}, 0, run.config.budget, run.device.type, seconds)
    return save_record(run.evaluation, found, provenance, run.folder, answer.faces)


def _system_record(run: Run, system: SpeechToFace, keys: dict[str, str]) -> Path:
    started = time.monotonic()
    facts = _trained(run, system, keys["train"])
    faces = _faces(run, system, keys["faces"])
    label = system.card.label
    with run.reporter.bar(f"score {label}", 1) as bar:
        found = score(run.evaluation, Answer(faces=faces))
        bar.advance()
    provenance = Provenance(
        keys["record"],
        system.card,
        system.recipe,
        run.config.seed,
        run.config.budget,
        run.device.type,
        wall_seconds=time.monotonic() - started,
        train_seconds=facts["seconds"],
    )
    return save_record(run.evaluation, found, provenance, run.folder, faces, facts["curve"])


def _trained(run: Run, system: SpeechToFace, key: str) -> dict[str, Any]:
    """Train the system, or load what was trained under this key; returns {"curve": [...], "seconds": float}."""
    done = run.config.cache / "models" / f"{key}.safetensors"
    checkpoints = run.config.cache / "training" / key
    if not done.exists():
        perceptual = EXTRACTORS.get(run.benchmark.training_loss)(run.benchmark.training_loss).module.to(
            run.device
        )
        context = TrainContext(
            checkpoints,
            system.card.label,
            run.config.seed,
            run.device,
            perceptual,
            run.reporter,
            run.config.checkpoint_every,
        )
        system.fit(TrainingData(run.store, system.frontend, run.config.seed, run.device), context)
        save_tensors(done, system.state_dict(), {"curve": context.curve, "seconds": context.seconds})
    state, facts = load_tensors(done)
    system.load_state_dict(state)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return facts


def _faces(run: Run, system: SpeechToFace, key: str) -> Any:
    """The system's faces of the test identities, uint8 ``[N, 3, H, W]``, drawn once."""
    path = run.config.cache / "faces" / f"{key}.safetensors"
    if not path.exists():
        segments = run.evaluation.segments
        generator = torch.Generator(device=run.device).manual_seed(seed_of(run.config.seed, "generate"))
        with run.reporter.bar(f"draw {system.card.label} (faces)", len(segments)) as bar:
            faces = generate_faces(
                system.generate, segments, system.frontend.normalise, run.device, generator, bar.advance
            )
        save_tensors(path, {"faces": torch.from_numpy(faces)})
    return load_tensors(path)[0]["faces"].numpy()
