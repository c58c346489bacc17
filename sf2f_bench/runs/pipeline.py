"""A run: every row of a benchmark trained, drawn, scored and recorded. The only orchestrator.

data -> store -> model -> faces -> scores -> record; the artefacts on the way are `sf2f_bench.runs.stages`.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.audit.findings import VERSION as AUDIT_VERSION
from sf2f_bench.audit.findings import audit
from sf2f_bench.benchmarks import ABLATIONS, Benchmark, benchmark_of
from sf2f_bench.config import RunConfig
from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.evaluation.attribute_judges import AttributeProbe
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.exchange.faces_in import read_faces
from sf2f_bench.files import hash_of, seed_of, write_json
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.bench.scoring import score
from sf2f_bench.protocols.names import BENCH, LEFT_OUT, PAPER
from sf2f_bench.protocols.paper.scoring import Predictions, paper_scores
from sf2f_bench.registry import ATTRIBUTE_JUDGES, extractor_named
from sf2f_bench.results.records import Finding, RunRecord, load
from sf2f_bench.runs.recording import Provenance, save_record
from sf2f_bench.runs.stages import Run, dataset_of, drawn, keys_of, predictions, prepared, record_key, trained
from sf2f_bench.runs.systems import build
from sf2f_bench.training import Machine
from sf2f_bench.types import (
    Anchor,
    Answer,
    BenchError,
    Dataset,
    FeatureExtractor,
    ModelCard,
    ModelSettings,
    SpeechToFace,
    Unavailable,
)

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray

SHUFFLED = "shuffled-voices:"  # begins the name of the row of a system's faces handed to other people


def run(config: RunConfig, reporter: Reporter) -> list[RunRecord] | None:
    """Train, draw, score and record every row of a benchmark; returns the records, old and new.

    Under torchrun or SLURM all processes train and the main one does the rest; the others return None.
    Raises BenchError for a wrong input; records that were made before it stay.
    """
    benchmark = benchmark_of(config)
    machine = Machine.start(config.device, config.precision, config.deterministic, config.compile)
    settings = ModelSettings(
        benchmark.image_size, config.budget, machine.device.type, config.width, config.steps
    )
    anchors = benchmark.anchors if machine.is_main else ()
    built = [build(name, settings) for name in (*anchors, *_systems(config, benchmark))]
    opened = _open(config, benchmark, machine, reporter if machine.is_main else Reporter(silent=True))
    rows = _Rows()
    for system in built:
        if system.card.kind == "anchor":
            _anchor_row(opened, system, rows)  # type: ignore[arg-type]
        else:
            _system_row(opened, system, rows)  # type: ignore[arg-type]
    return rows.records(opened) if machine.is_main else None


def score_external(
    config: RunConfig, reporter: Reporter, name: str, description: str, faces: Path, partial: bool
) -> list[RunRecord]:
    """Score a folder of faces that another program drew, beside the benchmark's anchors; returns the records.

    faces: ``FOLDER/<identity>/*.png``, see `exchange.faces_in.read_faces`. Raises BenchError as that does, and
    for `sf2f-paper/1`, which needs ten runs of a system and not its pictures.
    """
    benchmark = benchmark_of(config)
    if benchmark.protocol == PAPER:
        raise BenchError(f"{PAPER} draws ten times from random crops: a folder of faces goes with {BENCH}")
    opened = _open(config, benchmark, Machine.start(config.device), reporter)
    people, size = opened.evaluation.identities, opened.evaluation.image_size
    external = read_faces(faces, people, size, partial, at_least=benchmark.gallery_size)
    settings = ModelSettings(benchmark.image_size, config.budget)
    rows = _Rows()
    for anchor in benchmark.anchors:
        _anchor_row(opened, build(anchor, settings), rows)  # type: ignore[arg-type]
    card = ModelCard(
        name,
        external.sha256[:8],
        "system",
        description,
        licence="not stated",
        trained_on="not trained here",
        limits="faces drawn by another program; not for identifying people",
    )
    key = record_key(opened, hash_of({"external": external.sha256, "name": name}))
    if not rows.has(opened, 0, key):
        provenance = Provenance(key, card, {}, 0, config.budget, "elsewhere", 0.0, notes=external.notes)
        rows.made(_scored(opened, provenance, external.answer, external.answer.faces))
    _shuffled_row(opened, replace(card, version="1"), external.answer, 0, key, rows)
    return rows.records(opened)


class _Rows:
    """The records of this call, and how many of them are new."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.new = 0

    def has(self, run: Run, seed: int, key: str) -> bool:
        """Is a record of this key there? Then it is taken."""
        path = _recorded(run, seed, key)
        if path:
            self.paths.append(path)
        return path is not None

    def made(self, path: Path) -> None:
        """Take a new record."""
        self.paths.append(path)
        self.new += 1

    def records(self, run: Run) -> list[RunRecord]:
        """All of them, read."""
        if not self.new:
            run.reporter.say(f"nothing to do: all {len(self.paths)} records are in {run.folder}")
        return [load(path) for path in self.paths]


def _recorded(run: Run, seed: int, key: str) -> Path | None:
    for path in run.folder.glob(f"*-seed{seed}-{key[:8]}.json"):
        load(path)  # a damaged record is an error, not a result
        return path
    return None


def _open(config: RunConfig, benchmark: Benchmark, machine: Machine, reporter: Reporter) -> Run:
    dataset = dataset_of(config, benchmark)
    extractors, missing = _extractors(benchmark)
    for extractor in extractors.values():
        if network := getattr(extractor, "module", None):
            network.to(machine.device)
    frontend = LogFilterbank()
    store = prepared(config, machine, benchmark, dataset, reporter, frontend)
    if len(store.left_out):
        reporter.say(
            f"{len(store.left_out)} files or identities are left out: {store.folder / 'left_out.csv'}"
        )
    features = config.cache / "features"
    evaluation = Evaluation(benchmark, store, dataset, frontend, extractors, features)
    _add_attribute_judges(evaluation, missing)
    evaluation.missing = {name: error.reason for name, error in missing.items()}
    for name, error in missing.items():
        reporter.say(f"{name}: its numbers will be absent: {error.reason}")
    return Run(
        config,
        reporter,
        machine,
        benchmark,
        dataset,
        store,
        evaluation,
        {frontend.id: store},
        _findings(config, benchmark, dataset, store) if machine.is_main else (),
    )


def _findings(
    config: RunConfig, benchmark: Benchmark, dataset: Dataset, store: PreparedStore
) -> tuple[Finding, ...]:
    """The audit of the data for the benchmark's galleries, made once."""
    key = hash_of([store.data_hash, benchmark.gallery_size, benchmark.ks, AUDIT_VERSION])
    path = config.cache / "audit" / f"{key}.json"
    if not path.exists():
        found = audit(dataset, store, benchmark.gallery_size, benchmark.ks)
        write_json(path, {"findings": [finding.model_dump() for finding in found]})
    return tuple(Finding(**row) for row in json.loads(path.read_text(encoding="utf-8"))["findings"])


def _extractors(benchmark: Benchmark) -> tuple[dict[str, FeatureExtractor], dict[str, Unavailable]]:
    """The networks that score, by key, and those that are not on this machine, by name with the reason.

    Only the network of the training loss is needed to go on: what judges may come later, without a new training.
    """
    names = {"judge": benchmark.judge, "training-loss": benchmark.training_loss}
    if benchmark.protocol == PAPER:
        if benchmark.paper_classifier:
            names["paper-classifier"] = benchmark.paper_classifier
        names["inception-2015"] = "inception-2015"
    else:
        names |= {name: name for name in benchmark.further}
    found: dict[str, FeatureExtractor] = {}
    missing: dict[str, Unavailable] = {}
    for key, name in names.items():
        try:
            found[key] = extractor_named(name)
        except Unavailable as error:
            if key == "training-loss":
                raise
            missing[name] = error
    return found, missing


def _add_attribute_judges(evaluation: Evaluation, missing: dict[str, Unavailable]) -> None:
    """A probe on the judge where the data know what to teach it, and the benchmark's own judge of attributes."""
    if evaluation.benchmark.protocol == PAPER:
        return
    if "judge" in evaluation.extractors:
        with contextlib.suppress(
            Unavailable
        ):  # the data know neither gender nor age: there is nothing to be asked
            evaluation.attribute_judges.append(AttributeProbe(evaluation))
    if name := evaluation.benchmark.attribute_judge:
        try:
            evaluation.attribute_judges.append(ATTRIBUTE_JUDGES.get(name.partition(":")[0])(name))
        except Unavailable as error:
            missing[name] = error


def _systems(config: RunConfig, benchmark: Benchmark) -> tuple[str, ...]:
    if config.ablation and config.models:
        raise BenchError("--ablation names its systems itself: leave --models out, or run them apart")
    return benchmark.ablations if config.ablation else config.models or benchmark.systems


def _anchor_row(run: Run, anchor: Anchor, rows: _Rows) -> None:
    reason = LEFT_OUT[run.benchmark.protocol].get(anchor.card.name) or anchor.applies(run.evaluation)
    if reason:
        run.reporter.say(f"{anchor.card.label}: not in the table ({reason})")
        return
    key = keys_of(run, anchor)["record"]
    if rows.has(run, 0, key):
        return
    provenance = Provenance(key, anchor.card, {}, 0, run.config.budget, run.device.type, 0.0)
    started = time.monotonic()
    answer = anchor.answer(run.evaluation)
    provenance = replace(provenance, wall_seconds=time.monotonic() - started)
    rows.made(_scored(run, provenance, answer, answer.faces))


def _system_row(run: Run, system: SpeechToFace, rows: _Rows) -> None:
    """The system's record, and under `sf2f-bench/1` that of its faces handed to other people."""
    keys = keys_of(run, system)
    if run.machine.agree(run.machine.is_main and _complete(run, system, keys["record"])):
        if run.machine.is_main:
            rows.has(run, run.config.seed, keys["record"])
            rows.has(run, run.config.seed, _shuffled_key(keys["record"]))
        return
    started = time.monotonic()
    facts = trained(run, system)
    if not run.machine.is_main:
        return
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
    if run.benchmark.protocol == PAPER:
        seen = predictions(run, system, keys["faces"])
        rows.made(_scored(run, provenance, seen, seen.faces, facts["curve"]))
        return
    answer = drawn(run, system, keys["faces"]).answer
    if not rows.has(run, run.config.seed, keys["record"]):
        rows.made(_scored(run, provenance, answer, answer.faces, facts["curve"]))
    if _has_shuffled(run, system):
        _shuffled_row(run, system.card, answer, run.config.seed, keys["record"], rows)


def _has_shuffled(run: Run, system: SpeechToFace) -> bool:
    """Ablations are compared with the whole system, which has the row."""
    return run.benchmark.protocol == BENCH and system.card.name not in ABLATIONS[1:]


def _complete(run: Run, system: SpeechToFace, key: str) -> bool:
    keys = [key, _shuffled_key(key)] if _has_shuffled(run, system) else [key]
    return all(_recorded(run, run.config.seed, wanted) for wanted in keys)


def _shuffled_key(key: str) -> str:
    return hash_of({"shuffled voices": key})


def _shuffled_row(run: Run, card: ModelCard, answer: Answer, seed: int, key: str, rows: _Rows) -> None:
    """The system fed with another person's voice: its faces, each handed on to somebody else."""
    if rows.has(run, seed, _shuffled_key(key)):
        return
    assert answer.faces is not None
    count = len(answer.faces)
    circle = np.random.default_rng(seed_of("shuffled voices", count)).permutation(count)
    others = np.empty(count, np.int64)
    others[circle] = np.roll(circle, 1)  # one circle through everybody: nobody keeps their own
    shuffled = replace(
        card,
        name=f"{SHUFFLED}{card.name}",
        kind="anchor",
        place="floor",
        order=3,
        purpose="shuffled",
        title=f"{card.title or card.name}, shuffled voices",
        faces_of=card.name,
        description=f"the faces of {card.name}, each for another person's voice: what it scores without hearing",
    )
    provenance = Provenance(_shuffled_key(key), shuffled, {}, seed, run.config.budget, run.device.type, 0.0)
    rows.made(_scored(run, provenance, Answer(faces=answer.faces[others], rows=answer.rows), None))


def _scored(
    run: Run,
    provenance: Provenance,
    answer: Answer | Predictions,
    faces: ByteArray | None,
    curve: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Score an answer and save its record."""
    started = time.monotonic()
    with run.reporter.bar(f"score {provenance.card.label}", 1) as bar:
        if run.benchmark.protocol == PAPER:
            found = paper_scores(run.evaluation, answer)
        else:
            assert isinstance(answer, Answer)
            found = score(run.evaluation, answer, whole=not provenance.card.name.startswith(SHUFFLED))
        bar.advance()
    provenance = replace(
        provenance,
        wall_seconds=provenance.wall_seconds + time.monotonic() - started,
        findings=run.findings,
    )
    return save_record(run.evaluation, found, provenance, run.folder, faces, curve)
