"""What a row of a run is made from: prepared store, trained model, drawn faces, each an artefact of the cache.

Every artefact is named by the hash of all that decides it. What is there is not made again; what a kill
interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.config import RunConfig
from sf2f_bench.data.prepared import PreparedStore, prepare, store_key
from sf2f_bench.data.training import TrainingData
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.files import hash_of, load_tensors, save_tensors, seed_of
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.bench.generation import DRAWINGS, Drawn, draw
from sf2f_bench.protocols.bench.scoring import metric_versions
from sf2f_bench.protocols.names import PAPER, RUNS
from sf2f_bench.protocols.paper.scoring import PREDICTIONS_VERSION, Predictions, predict
from sf2f_bench.registry import DATASETS, EXTRACTORS
from sf2f_bench.results import records
from sf2f_bench.training import Machine, TrainContext, Validation
from sf2f_bench.types import (
    AudioFrontend,
    BenchError,
    Dataset,
    DatasetSource,
    HasWeights,
    SpeechToFace,
    StartsFromAnother,
)

STAGES = {"train": 2, "generate": 2, "score": 2}  # a change of what a stage computes raises its version


@dataclass
class Run:
    """One call of `sf2f-bench run`, with what all of its rows share."""

    config: RunConfig
    reporter: Reporter
    machine: Machine
    benchmark: Benchmark
    dataset: Dataset
    store: PreparedStore
    evaluation: Evaluation
    stores: dict[str, PreparedStore] = field(default_factory=dict)  # front end's id -> store
    findings: tuple[records.Finding, ...] = ()  # of the audit

    @property
    def folder(self) -> Path:
        """Where the records of this benchmark lie."""
        return self.config.results / self.benchmark.name

    @property
    def device(self) -> torch.device:
        """Where this process trains and draws."""
        return self.machine.device

    def store_for(self, frontend: AudioFrontend) -> PreparedStore:
        """The prepared store of a system's front end; made where it is not there yet."""
        if frontend.id not in self.stores:
            store = prepared(self.config, self.machine, self.benchmark, self.dataset, self.reporter, frontend)
            if store.identities("test") != self.store.identities("test"):
                raise BenchError(
                    f"front end {frontend.id} leaves other test identities than {LogFilterbank().id}: see "
                    f"{store.folder / 'left_out.csv'}; systems can be compared on the same people only"
                )
            self.stores[frontend.id] = store
        return self.stores[frontend.id]


def dataset_of(config: RunConfig, benchmark: Benchmark) -> Dataset:
    """The benchmark's data set, where the user says it lies."""
    limits = benchmark.smoke_limits if config.budget == "smoke" else {}
    source = DatasetSource(
        _absolute(config.root), _absolute(config.voices), _absolute(config.faces), seed=0, limits=limits
    )
    return DATASETS.get(benchmark.dataset)(source)


def _absolute(folder: Path | None) -> Path | None:
    """For the workers of a cluster, who stand in other folders."""
    return folder and folder.absolute()


def prepare_store(
    config: RunConfig,
    benchmark: Benchmark,
    dataset: Dataset,
    reporter: Reporter,
    folder: Path | None = None,
    frontend: AudioFrontend | None = None,
) -> PreparedStore:
    """The prepared store of a data set, in `folder` or in the cache; finished shards are kept."""
    frontend = frontend or LogFilterbank()
    key = store_key(dataset, frontend, benchmark.image_size)
    return prepare(
        dataset,
        frontend,
        benchmark.image_size,
        folder or config.cache / "prepared" / key,
        reporter,
        config.jobs,
        config.scheduler,
    )


def prepared(
    config: RunConfig,
    machine: Machine,
    benchmark: Benchmark,
    dataset: Dataset,
    reporter: Reporter,
    frontend: AudioFrontend,
) -> PreparedStore:
    """The store, prepared by the main process and opened by all."""
    if not machine.is_main:
        machine.agree(None)
    store = prepare_store(config, benchmark, dataset, reporter, frontend=frontend)
    if machine.is_main:
        machine.agree(None)
    return store


def keys_of(run: Run, system: Any) -> dict[str, str]:
    """The name of every artefact of a row: a hash of all that decides it, upstream names included."""
    extractors = {role: extractor.id for role, extractor in run.evaluation.extractors.items()}
    train = _train_key(run, system)
    drawn: dict[str, Any] = {"model": train, "protocol": run.benchmark.protocol, "stage": STAGES["generate"]}
    if run.benchmark.protocol == PAPER:  # there the artefact is what the extractors saw
        drawn["extractors"] = extractors
        drawn["predictions"] = PREDICTIONS_VERSION
    faces = hash_of(drawn)
    return {"train": train, "faces": faces, "record": record_key(run, faces)}


def record_key(run: Run, faces: str) -> str:
    """The name of the record of an artefact of faces: with the benchmark, its metrics and who looked."""
    benchmark = {
        "name": run.benchmark.name,
        "version": run.benchmark.version,
        "protocol": run.benchmark.protocol,
        "metrics": metric_versions(run.benchmark, len(run.evaluation.identities)),
    }
    extractors = {key: extractor.id for key, extractor in run.evaluation.extractors.items()}
    extractors |= {judge.id: "attributes" for judge in run.evaluation.attribute_judges}
    return hash_of(
        {"faces": faces, "benchmark": benchmark, "extractors": extractors, "stage": STAGES["score"]}
    )


def _train_key(run: Run, system: Any) -> str:
    facts = {"data": run.store.data_hash, "system": system.card.label, "version": system.card.version}
    if system.card.kind == "anchor":
        return hash_of(facts)
    base = system.starts_from if isinstance(system, StartsFromAnother) else None
    return hash_of(
        {
            **facts,
            "data": run.store_for(system.frontend).data_hash,
            "recipe": dict(system.recipe),
            "starts_from": _train_key(run, base) if base else None,
            "seed": run.config.seed,
            "perceptual": run.evaluation.extractors["training-loss"].id,
            "device": run.device.type,
            "precision": run.config.precision,
            "stage": STAGES["train"],
        }
    )


def trained(run: Run, system: SpeechToFace) -> dict[str, Any]:
    """Train the system, or load what was trained under its key; returns {"curve": [...], "seconds": float}.

    A system that starts from another one has that one trained first; its curve and seconds include it.
    """
    if isinstance(system, HasWeights) and system.weights is not None:
        system.load_state_dict(load_tensors(system.weights)[0])
        return {"curve": [], "seconds": 0.0}
    key = _train_key(run, system)
    done = run.config.cache / "models" / f"{key}.safetensors"
    checkpoints = run.config.cache / "training" / key
    if not run.machine.agree(done.exists()):
        before: dict[str, Any] = {"curve": [], "seconds": 0.0}
        start = None
        if isinstance(system, StartsFromAnother) and (base := system.starts_from):
            before = trained(run, base)
            start, _ = load_tensors(run.config.cache / "models" / f"{_train_key(run, base)}.safetensors")
        context = _context(run, system, key, checkpoints, start)
        store = run.store_for(system.frontend)
        data = TrainingData(store, system.frontend, run.config.seed, run.device, shard=run.machine.shard)
        system.fit(data, context)
        if run.machine.is_main:
            facts = {
                "model": system.card.name,
                "width": system.card.width,
                "curve": [*before["curve"], *context.curve],
                "seconds": before["seconds"] + context.seconds,
            }
            save_tensors(done, system.state_dict(), facts)
            if context.best_file.exists():
                context.best_file.replace(done.with_name(f"{key}-best.safetensors"))
        run.machine.agree(None)
    state, facts = load_tensors(done)
    system.load_state_dict(state)
    if run.machine.is_main:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return facts


def _context(
    run: Run, system: SpeechToFace, key: str, folder: Path, start: dict[str, torch.Tensor] | None
) -> TrainContext:
    name = run.benchmark.training_loss
    perceptual = run.machine.setup_frozen(EXTRACTORS.get(name)(name).module)
    store = run.store_for(system.frontend)
    seen = TrainingData(store, system.frontend, run.config.seed, run.device, "val", resident=False)
    return TrainContext(
        folder,
        system.card.label,
        run.config.seed,
        run.machine,
        perceptual,
        run.reporter,
        run.config.checkpoint_every,
        start,
        Validation(seen, perceptual),
        run.config.cache / "tensorboard" / f"{system.card.name}-{key[:8]}",
    )


def drawn(run: Run, system: SpeechToFace, key: str) -> Drawn:
    """The system's faces of the test identities, drawn once."""
    path = run.config.cache / "faces" / f"{key}.safetensors"
    if not path.exists():
        generator = torch.Generator(device=run.device).manual_seed(seed_of(run.config.seed, "generate"))
        total = DRAWINGS * len(run.evaluation.identities)
        with run.reporter.bar(f"draw {system.card.label} (faces)", total) as bar:
            draw(system, run.store_for(system.frontend), run.device, generator, bar.advance).save(path)
    return Drawn.load(path)


def predictions(run: Run, system: SpeechToFace, key: str) -> Predictions:
    """What the networks saw of the system's faces in the ten runs of `sf2f-paper/1`, drawn once."""
    path = run.config.cache / "faces" / f"{key}.safetensors"
    if not path.exists():
        store = run.store_for(system.frontend)
        people = RUNS * len(run.evaluation.identities)
        with run.reporter.bar(f"draw {system.card.label} (identities, {RUNS} runs)", people) as bar:
            predict(run.evaluation, system, run.device, run.config.seed, bar.advance, store).save(path)
    return Predictions.load(path)
