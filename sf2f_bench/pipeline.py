"""The stages of a run, the only orchestrator: data -> store -> model -> faces -> scores -> record.

Every stage's result is an artefact named by the hash of all that decides it. What is there is not made
again; what a kill interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.benchmarks import Benchmark, benchmark_named
from sf2f_bench.config import RunConfig
from sf2f_bench.data.prepared import PreparedStore, prepare, store_key
from sf2f_bench.data.training import TrainingData
from sf2f_bench.evaluation import Evaluation, generate_faces, segments_of
from sf2f_bench.files import hash_of, load_tensors, save_tensors, seed_of
from sf2f_bench.paper_protocol import RUNS, Predictions, paper_scores, predict
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols import LEFT_OUT, PAPER
from sf2f_bench.records import RunRecord, load
from sf2f_bench.registry import DATASETS, EXTRACTORS
from sf2f_bench.scoring import Provenance, metric_versions, save_record, score
from sf2f_bench.systems import build
from sf2f_bench.training import Machine, TrainContext, Validation
from sf2f_bench.types import (
    Anchor,
    Answer,
    AudioFrontend,
    BenchError,
    Dataset,
    DatasetSource,
    ModelSettings,
    SpeechToFace,
)

STAGES = {"train": 2, "generate": 1, "score": 1}  # a change of what a stage computes raises its version


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
            store = _prepared(
                self.config, self.machine, self.benchmark, self.dataset, self.reporter, frontend
            )
            if store.identities("test") != self.store.identities("test"):
                raise BenchError(
                    f"front end {frontend.id} leaves other test identities than {LogFilterbank().id}: see "
                    f"{store.folder / 'left_out.csv'}; systems can be compared on the same people only"
                )
            self.stores[frontend.id] = store
        return self.stores[frontend.id]


def run(config: RunConfig, reporter: Reporter) -> list[RunRecord] | None:
    """Train, draw, score and record every row of a benchmark; returns the records, old and new.

    Under torchrun or SLURM all processes train and the main one does the rest; the others return None.
    Raises BenchError for a wrong input; records that were made before it stay.
    """
    benchmark = _benchmark(config)
    machine = Machine.start(config.device, config.precision, config.deterministic, config.compile)
    anchors = benchmark.anchors if machine.is_main else ()
    settings = ModelSettings(
        benchmark.image_size, config.budget, machine.device.type, config.width, config.steps
    )
    built = [build(name, settings) for name in (*anchors, *_systems(config, benchmark))]
    prepared = _open(config, benchmark, machine, reporter if machine.is_main else Reporter(silent=True))
    paths, made = [], 0
    for system in built:
        path, new = _row(prepared, system)
        made += new
        if path:
            paths.append(path)
    if not machine.is_main:
        return None
    if not made:
        reporter.say(f"nothing to do: all {len(paths)} records are in {prepared.folder}")
    return [load(path) for path in paths]


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


def _prepared(
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


def _benchmark(config: RunConfig) -> Benchmark:
    named = benchmark_named(config.benchmark).for_budget(config.budget)
    benchmark = replace(
        named,
        protocol=config.protocol,
        gallery_size=config.gallery or named.gallery_size,
        ks=config.ks or named.ks,
        training_loss=config.perceptual or named.training_loss,
    )
    benchmark.check()
    return benchmark


def _open(config: RunConfig, benchmark: Benchmark, machine: Machine, reporter: Reporter) -> Run:
    dataset = dataset_of(config, benchmark)
    roles = {"judge": benchmark.judge, "training-loss": benchmark.training_loss}
    extractors = {role: EXTRACTORS.get(name)(name) for role, name in roles.items()}
    for extractor in extractors.values():
        if network := getattr(extractor, "module", None):
            network.to(machine.device)
    frontend = LogFilterbank()
    store = _prepared(config, machine, benchmark, dataset, reporter, frontend)
    if len(store.left_out):
        reporter.say(
            f"{len(store.left_out)} files or identities are left out: {store.folder / 'left_out.csv'}"
        )
    features = config.cache / "features"
    evaluation = Evaluation(benchmark, store, dataset, frontend, extractors, features)
    return Run(config, reporter, machine, benchmark, dataset, store, evaluation, {frontend.id: store})


def _systems(config: RunConfig, benchmark: Benchmark) -> tuple[str, ...]:
    if config.ablation and config.models:
        raise BenchError("--ablation names its systems itself: leave --models out, or run them apart")
    return benchmark.ablations if config.ablation else config.models or benchmark.systems


def _row(run: Run, system: Anchor | SpeechToFace) -> tuple[Path | None, bool]:
    """(path of the row's record, was it made now); (None, False) for an anchor that does not apply."""
    is_anchor = system.card.kind == "anchor"
    if is_anchor:
        reason = LEFT_OUT[run.benchmark.protocol].get(system.card.name) or system.applies(run.evaluation)  # type: ignore[union-attr]
        if reason:
            run.reporter.say(f"{system.card.label}: not in the table ({reason})")
            return None, False
    keys = _keys(run, system)
    found = _recorded(run, 0 if is_anchor else run.config.seed, keys["record"])
    if is_anchor:
        return (found, False) if found else (_anchor_record(run, system, keys), True)  # type: ignore[arg-type]
    found = run.machine.agree(found)
    return (found, False) if found else (_system_record(run, system, keys), True)  # type: ignore[arg-type]


def _recorded(run: Run, seed: int, key: str) -> Path | None:
    for path in run.folder.glob(f"*-seed{seed}-{key[:8]}.json"):
        load(path)  # a damaged record is an error, not a result
        return path
    return None


def _keys(run: Run, system: Any) -> dict[str, str]:
    """The name of every artefact of a row: a hash of all that decides it, upstream names included."""
    extractors = {role: extractor.id for role, extractor in run.evaluation.extractors.items()}
    train = _train_key(run, system)
    drawn: dict[str, Any] = {"model": train, "protocol": run.benchmark.protocol, "stage": STAGES["generate"]}
    if run.benchmark.protocol == PAPER:  # there the artefact is what the extractors saw
        drawn["extractors"] = extractors
    faces = hash_of(drawn)
    benchmark = {
        "name": run.benchmark.name,
        "version": run.benchmark.version,
        "protocol": run.benchmark.protocol,
        "metrics": metric_versions(run.benchmark, len(run.evaluation.identities)),
    }
    record = hash_of(
        {"faces": faces, "benchmark": benchmark, "extractors": extractors, "stage": STAGES["score"]}
    )
    return {"train": train, "faces": faces, "record": record}


def _train_key(run: Run, system: Any) -> str:
    facts = {"data": run.store.data_hash, "system": system.card.label, "version": system.card.version}
    if system.card.kind == "anchor":
        return hash_of(facts)
    base = getattr(system, "starts_from", None)
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


def _anchor_record(run: Run, anchor: Anchor, keys: dict[str, str]) -> Path:
    started = time.monotonic()
    with run.reporter.bar(f"score {anchor.card.label}", 1) as bar:
        answer = anchor.answer(run.evaluation)
        paper = run.benchmark.protocol == PAPER
        found = paper_scores(run.evaluation, answer) if paper else score(run.evaluation, answer)
        bar.advance()
    seconds = time.monotonic() - started
    provenance = Provenance(keys["record"], anchor.card, {}, 0, run.config.budget, run.device.type, seconds)
    return save_record(run.evaluation, found, provenance, run.folder, answer.faces)


def _system_record(run: Run, system: SpeechToFace, keys: dict[str, str]) -> Path | None:
    started = time.monotonic()
    facts = _trained(run, system)
    if not run.machine.is_main:
        return None
    label = system.card.label
    if run.benchmark.protocol == PAPER:
        predictions = _predictions(run, system, keys["faces"])
        found, faces = paper_scores(run.evaluation, predictions), predictions.faces
    else:
        faces = _faces(run, system, keys["faces"])
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


def _trained(run: Run, system: SpeechToFace) -> dict[str, Any]:
    """Train the system, or load what was trained under its key; returns {"curve": [...], "seconds": float}.

    A system that starts from another one has that one trained first; its curve and seconds include it.
    """
    if (given := getattr(system, "weights", None)) is not None:
        system.load_state_dict(load_tensors(given)[0])
        return {"curve": [], "seconds": 0.0}
    key = _train_key(run, system)
    done = run.config.cache / "models" / f"{key}.safetensors"
    checkpoints = run.config.cache / "training" / key
    if not run.machine.agree(done.exists()):
        before: dict[str, Any] = {"curve": [], "seconds": 0.0}
        start = None
        if base := getattr(system, "starts_from", None):
            before = _trained(run, base)
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


def _faces(run: Run, system: SpeechToFace, key: str) -> Any:
    """The system's faces of the test identities, uint8 ``[N, 3, H, W]``, drawn once."""
    path = run.config.cache / "faces" / f"{key}.safetensors"
    if not path.exists():
        segments = _segments(run, system.frontend)
        generator = torch.Generator(device=run.device).manual_seed(seed_of(run.config.seed, "generate"))
        with run.reporter.bar(f"draw {system.card.label} (faces)", len(segments)) as bar:
            faces = generate_faces(
                system.generate, segments, system.frontend.normalise, run.device, generator, bar.advance
            )
        save_tensors(path, {"faces": torch.from_numpy(faces)})
    return load_tensors(path)[0]["faces"].numpy()


def _segments(run: Run, frontend: AudioFrontend) -> Any:
    """The test identities' evaluation segments through a system's own front end."""
    store = run.store_for(frontend)
    return run.evaluation.segments if store is run.store else segments_of(store, frontend)


def _predictions(run: Run, system: SpeechToFace, key: str) -> Predictions:
    """What the networks saw of the system's faces in the ten runs of `sf2f-paper/1`, drawn once."""
    path = run.config.cache / "faces" / f"{key}.safetensors"
    if not path.exists():
        store = run.store_for(system.frontend)
        people = RUNS * len(run.evaluation.identities)
        with run.reporter.bar(f"draw {system.card.label} (identities, {RUNS} runs)", people) as bar:
            predict(run.evaluation, system, run.device, run.config.seed, bar.advance, store).save(path)
    return Predictions.load(path)
