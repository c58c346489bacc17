"""What a row of a run is made from: prepared store, trained model, generated faces, each an artefact of the cache.

Every artefact is named by the hash of all that decides it. An artefact that exists is not made again; an interrupted
training continues from its last checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, cast

import torch

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.config import RunConfig
from sf2f_bench.data.prepared import PreparedStore, prepare, store_key
from sf2f_bench.data.training import TrainingData
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.files import (
    Damaged,
    hash_of,
    kept,
    load_tensors,
    only_one,
    save_tensors,
    say_set_aside,
)
from sf2f_bench.progress import Reporter, first_few
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.protocols.protocol import EvaluationProtocol, TrainedSystem
from sf2f_bench.registry import DATASETS, extractor_named, place_of
from sf2f_bench.registry.sources import keyed, source_of
from sf2f_bench.results import records
from sf2f_bench.runs.systems import load_weights, not_finite
from sf2f_bench.training import Machine, TrainContext, Validation
from sf2f_bench.types import (
    Anchor,
    AudioFrontend,
    BenchError,
    Dataset,
    DatasetSource,
    HasWeights,
    Identity,
    OneToMany,
    SpeechToFace,
    StartsFromAnother,
    TorchExtractor,
    TrainedAnchor,
    with_width,
)

STAGES = {"train": 3, "generate": 2, "score": 3}  # a change of what a stage computes raises its version


@dataclass(frozen=True, eq=False)
class Run:
    """One call of `sf2f-bench run`, with what all of its rows share."""

    config: RunConfig
    reporter: Reporter
    machine: Machine
    evaluation: Evaluation
    stores: Mapping[str, PreparedStore]  # `keyed` front end of a system -> store
    findings: tuple[records.Finding, ...] = ()  # of the audit

    @property
    def benchmark(self) -> Benchmark:
        """What the rows are measured on."""
        return self.evaluation.benchmark

    @property
    def protocol(self) -> EvaluationProtocol[Any]:
        """The benchmark's."""
        return protocol_named(self.benchmark.protocol)

    @property
    def store(self) -> PreparedStore:
        """Of the benchmark's own front end: truth, templates and test identities are always its."""
        return self.evaluation.store

    @property
    def folder(self) -> Path:
        """Where the records of this benchmark lie."""
        return self.config.results / self.benchmark.name

    @property
    def device(self) -> torch.device:
        """Where this process trains and generates."""
        return self.machine.device

    def store_for(self, system: SpeechToFace) -> PreparedStore:
        """The prepared store of the system's front end."""
        return self.stores[keyed(system.frontend)]


# ---------------------------------------------------------------- the prepared stores


def dataset_of(config: RunConfig, benchmark: Benchmark) -> Dataset:
    """The benchmark's data set, where the user says it lies."""
    limits = benchmark.smoke_limits if config.budget == "smoke" else {}
    # Absolute for the workers of a cluster, whose working folders are others.
    folders = (config.root, config.voices, config.faces)
    root, voices, faces = (folder and folder.absolute() for folder in folders)
    source = DatasetSource(root, voices, faces, benchmark.world_seed, benchmark.shared, limits)
    return DATASETS.build(benchmark.dataset, source)


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
    size = benchmark.image_size
    folder = folder or config.cache / "prepared" / store_key(dataset, frontend, size)
    return prepare(dataset, frontend, size, folder, reporter, config.jobs, config.scheduler)


def usable_test_people(
    config: RunConfig, benchmark: Benchmark, dataset: Dataset
) -> tuple[Identity, ...] | None:
    """The test identities of the prepared store in the cache; None where it is not finished."""
    folder = config.cache / "prepared" / store_key(dataset, LogFilterbank(), benchmark.image_size)
    try:
        return PreparedStore(folder).identities("test")
    except BenchError:  # preparing it will say what is wrong
        return None


def prepared_stores(
    config: RunConfig,
    machine: Machine,
    benchmark: Benchmark,
    dataset: Dataset,
    reporter: Reporter,
    frontends: Sequence[AudioFrontend],
) -> dict[str, PreparedStore]:
    """The store of each front end, by its id as keys have it; prepared by the main process and opened by all.

    Raises BenchError for a front end that leaves other test identities than the first one.
    """
    stores: dict[str, PreparedStore] = {}
    for frontend in frontends:
        if keyed(frontend) in stores:
            continue
        if not machine.is_main:
            machine.barrier()
        store = prepare_store(config, benchmark, dataset, reporter, frontend=frontend)
        if machine.is_main:
            machine.barrier()
        first = next(iter(stores.values()), store)
        if store.identities("test") != first.identities("test"):
            raise BenchError(
                f"front end {frontend.id} leaves other test identities than {frontends[0].id}: see "
                f"{store.folder / 'left_out.csv'}; systems can be compared on the same people only"
            )
        stores[keyed(frontend)] = store
    return stores


# ---------------------------------------------------------------- the names of artefacts


def keys_of(run: Run, row: Anchor | SpeechToFace) -> dict[str, str]:
    """The name of every artefact of a row: a hash of all that decides it, upstream names included."""
    extractors = {key: keyed(extractor) for key, extractor in run.evaluation.extractors.items()}
    train = _train_key(run, row)
    parts = {"model": train, "protocol": run.protocol.name, "stage": STAGES["generate"]}
    draws = draws_of(run, row)
    if draws > 1:
        parts["draws"] = draws
    faces = hash_of({**parts, **run.protocol.key_parts(extractors)})
    return {"train": train, "faces": faces, "record": record_key(run, faces, draws)}


def draws_of(run: Run, row: Anchor | SpeechToFace) -> int:
    """How many faces a row generates for each voice: several where it says that it draws them."""
    drawn = isinstance(row, OneToMany) and row.one_to_many and run.protocol.asks_draws
    return run.config.draws if drawn else 1


def record_key(run: Run, faces: str, draws: int = 1) -> str:
    """The name of the record of an artefact of faces: with the benchmark, its metrics and extractors."""
    people = len(run.evaluation.identities)
    metrics = [*run.protocol.metrics(run.benchmark, people)]
    if draws > 1:
        metrics += run.protocol.metrics_of_draws(run.benchmark, people, draws)
    benchmark = {
        "name": run.benchmark.name,
        "version": run.benchmark.version,
        "protocol": run.protocol.name,
        "metrics": [(metric.name, metric.version, *_source(metric)) for metric in metrics],
    }
    extractors = {key: keyed(extractor) for key, extractor in run.evaluation.extractors.items()}
    extractors |= {keyed(judge): "attributes" for judge in run.evaluation.attribute_judges}
    parts = {"faces": faces, "benchmark": benchmark, "extractors": extractors, "stage": STAGES["score"]}
    return hash_of(parts)


def _train_key(run: Run, row: Anchor | SpeechToFace) -> str:
    card = row.card  # its name, not its label: another title in tables is no other training
    name = with_width(card.name, card.width)
    facts = {"data": run.store.data_hash, "system": name, "version": card.version}
    if code := code_of(row):
        facts["source"] = code
    if not is_trained(row):
        return hash_of(facts)
    base = base_of(row)
    processes = run.machine.shard[1]
    return hash_of(
        {
            **facts,
            "data": run.store_for(row).data_hash,
            "recipe": dict(row.recipe),
            "starts_from": _train_key(run, base) if base else None,
            "perceptual": keyed(run.evaluation.extractors["training-loss"]),
            "device": run.device.type,
            "stage": STAGES["train"],
            **run.config.training_key(),
            **({"processes": processes} if processes > 1 else {}),  # they add up a batch in another order
        }
    )


def is_trained(row: Anchor | SpeechToFace) -> TypeGuard[SpeechToFace]:
    """Whether a row has something to learn: every system, and a `TrainedAnchor`."""
    return not isinstance(row, Anchor) or isinstance(row, TrainedAnchor)


def code_of(row: Anchor | SpeechToFace) -> str:
    """The class of a plug-in's row and its source; empty for what this distribution brings."""
    source = source_of(row)
    return f"{type(row).__qualname__} of {source}" if source else ""


def _source(metric: object) -> list[str]:
    return [source] if (source := source_of(metric)) else []


# ---------------------------------------------------------------- the trained model


def base_of(system: SpeechToFace) -> SpeechToFace | None:
    """The system whose trained tensors this one's training starts from."""
    return system.starts_from if isinstance(system, StartsFromAnother) else None


def trained(run: Run, system: SpeechToFace) -> dict[str, Any]:
    """Train the system, or load what was trained under its key; returns the facts that `_train` keeps with it.

    A system that starts from another one has that one trained first; its curve and seconds include it.
    """
    if isinstance(system, HasWeights) and system.weights is not None:
        load_weights(system)
        return {"curve": [], "seconds": 0.0, "stage_seconds": {}}
    key = _train_key(run, system)
    checkpoints = run.config.cache / "training" / key
    doing = f"training {system.card.label} in {run.config.cache}"
    lock = only_one(run.config.cache / "locks" / key, doing, run.reporter.say)
    with lock if run.machine.is_main else nullcontext():
        if not run.machine.broadcast(run.machine.is_main and _is_sound(run, _model(run, key))):
            _train(run, system, key, checkpoints)
            run.machine.barrier()  # the file is complete before anybody reads it
    state, facts = load_tensors(_model(run, key))
    system.load_state_dict(state)
    if run.machine.is_main:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return facts


def _is_sound(run: Run, model: Path) -> bool:
    """Whether there is a trained model; one that is damaged is set aside."""
    if not model.exists():
        return False
    try:
        load_tensors(model)
    except Damaged as error:
        say_set_aside(model, error, run.reporter.say)
        return False
    return True


def _model(run: Run, key: str) -> Path:
    return run.config.cache / "models" / f"{key}.safetensors"


def _train(run: Run, system: SpeechToFace, key: str, checkpoints: Path) -> None:
    before: dict[str, Any] = {"curve": [], "seconds": 0.0}
    start = None
    if base := base_of(system):
        before = trained(run, base)
        start, _ = load_tensors(_model(run, _train_key(run, base)))
    context = _context(run, system, key, checkpoints, start)
    system.fit(_training_data(run, system, shard=run.machine.shard), context)
    if not run.machine.is_main:
        return
    facts = {
        "model": system.card.name,
        "width": system.card.width,
        "curve": [*before["curve"], *context.curve],
        "seconds": before["seconds"] + sum(context.seconds.values()),
        "stage_seconds": {**before.get("stage_seconds", {}), **context.seconds},  # older models have none
    }
    state = system.state_dict()
    if bad := not_finite(state):
        raise BenchError(
            f"{system.card.label}: {first_few(bad)} of the trained state hold NaN or infinite values, so it is not "
            f"kept: look at the loss, or lower the learning rate ({place_of(system)})"
        )
    save_tensors(_model(run, key), state, facts)
    if context.best_file.exists():
        context.best_file.replace(_model(run, f"{key}-best"))


def _training_data(run: Run, system: SpeechToFace, split: str = "train", **more: Any) -> TrainingData:
    return TrainingData(run.store_for(system), system.frontend, run.config.seed, run.device, split, **more)


def _context(
    run: Run, system: SpeechToFace, key: str, folder: Path, start: dict[str, torch.Tensor] | None
) -> TrainContext:
    name = run.benchmark.training_loss
    perceptual = run.machine.setup_frozen(cast("TorchExtractor", extractor_named(name)).module)
    return TrainContext(
        folder,
        system.card.label,
        run.config.seed,
        run.machine,
        perceptual,
        run.reporter,
        run.config.checkpoint_every,
        start,
        Validation(_training_data(run, system, "val", resident=False), perceptual),
        run.config.cache / "tensorboard" / f"{system.card.name}-{key[:8]}",
    )


# ---------------------------------------------------------------- the generated faces


def generated(run: Run, system: SpeechToFace, key: str) -> Any:
    """What the protocol keeps of a trained system's faces of the test identities, generated once."""

    ready = TrainedSystem(system, run.store_for(system), run.device, run.config.seed, draws_of(run, system))

    def make(path: Path) -> None:
        run.protocol.generate(run.evaluation, ready, run.reporter, path)

    path = run.config.cache / "faces" / f"{key}.safetensors"
    made = kept(path, make, run.protocol.load, run.reporter.say)
    return run.protocol.with_disturbed(run.evaluation, ready, run.reporter, made, path.parent, key)
