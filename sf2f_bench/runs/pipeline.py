"""A run: every row of a benchmark trained, generated, scored and recorded. The only orchestrator.

data -> store -> model -> faces -> scores -> record; the artefacts on the way are `sf2f_bench.runs.stages`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.audit.findings import VERSION as AUDIT_VERSION
from sf2f_bench.audit.findings import audit
from sf2f_bench.benchmarks import Benchmark, benchmark_of, check_gallery
from sf2f_bench.config import RunConfig, flag_of
from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.evaluation.attribute_judges import AttributeProbe
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.exchange.channel_order import channel_order_note
from sf2f_bench.exchange.faces_in import check_folder, read_faces
from sf2f_bench.extractors.embedded import TraitReader
from sf2f_bench.extractors.weights import all_files
from sf2f_bench.files import check_writable, hash_of, kept, load_facts, save_facts
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.registry import (
    ATTRIBUTE_JUDGES,
    EXTRACTORS,
    extractor_named,
    family_of,
    is_file,
    place_of,
    unfit,
    unknown,
)
from sf2f_bench.results.records import Finding, RunRecord, load
from sf2f_bench.runs.costs import cost_of_a_face
from sf2f_bench.runs.kept_weights import keep_weights
from sf2f_bench.runs.recording import Provenance, save_record
from sf2f_bench.runs.stages import (
    Run,
    base_of,
    code_of,
    dataset_of,
    draws_of,
    generated,
    is_trained,
    keys_of,
    prepared_stores,
    record_key,
    trained,
    usable_test_people,
)
from sf2f_bench.runs.systems import build
from sf2f_bench.training import Machine
from sf2f_bench.types import (
    Anchor,
    Answer,
    AttributeJudge,
    AudioFrontend,
    BenchError,
    Dataset,
    FeatureExtractor,
    HasWeights,
    ModelCard,
    ModelSettings,
    SpeechToFace,
    TorchExtractor,
    Unavailable,
)

Made = TypeVar("Made")


def run(config: RunConfig, reporter: Reporter) -> list[RunRecord] | None:
    """Train, generate, score and record every row of a benchmark; returns the records, old and new.

    Under torchrun or SLURM all processes train and the main one does the rest; the others return None.
    Raises BenchError for a wrong input; records that were made before it stay.
    """
    benchmark = benchmark_of(config)
    machine = Machine.start(config.device, config.precision, config.deterministic, config.compile)
    size, kind = benchmark.image_size, machine.device.type
    settings = ModelSettings(size, config.budget, kind, config.width, config.steps)
    names = dict.fromkeys((*benchmark.anchors, *_systems(config, benchmark)))  # each once
    rows = [build(name, settings) for name in names]
    systems = [row for row in rows if is_trained(row)]
    opened = open_run(config, benchmark, machine, reporter, systems)
    records = _Records(opened)
    with opened.reporter.follow([system.card.label for system in systems]):
        _add_rows(opened, rows, records)
    return records.read() if machine.is_main else None


def _add_rows(opened: Run, rows: Sequence[Anchor | SpeechToFace], records: _Records) -> None:
    for row in rows:
        if is_trained(row):
            with opened.reporter.system(row.card.label):
                _add_system(opened, row, records)
        elif opened.machine.is_main:
            _add_anchor(opened, cast("Anchor", row), records)


def score_external(
    config: RunConfig, reporter: Reporter, name: str, description: str, faces: Path, partial: bool
) -> list[RunRecord]:
    """Score a folder of faces that another program generated, beside the benchmark's anchors; returns the records.

    faces: ``FOLDER/<identity>/*.png``, see `exchange.faces_in.read_faces`. Raises BenchError as that does, and
    for a protocol that needs the system itself and not its pictures.
    """
    benchmark = benchmark_of(config)
    if reason := protocol_named(benchmark.protocol).why_no_folder:
        raise BenchError(reason)
    _check_before(config, benchmark, dataset_of(config, benchmark), faces, partial)
    opened = open_run(config, benchmark, Machine.start(config.device), reporter)
    people, size = opened.evaluation.identities, opened.evaluation.image_size
    external = read_faces(faces, people, size, partial, at_least=benchmark.gallery_size)
    settings = ModelSettings(benchmark.image_size, config.budget)
    records = _Records(opened)
    for anchor in benchmark.anchors:
        _add_anchor(opened, build(anchor, settings), records)  # type: ignore[arg-type]
    card = ModelCard(
        name,
        external.sha256[:8],
        "system",
        description,
        licence="not stated",
        trained_on="not trained here",
        limits="faces generated by another program; not for identifying people",
    )
    key = record_key(opened, hash_of({"external": external.sha256, "name": name}))
    if not records.add_existing(0, key):
        notes = (*external.notes, *_channel_order(opened, external.answer))
        provenance = Provenance(key, card, {}, 0, config.budget, "elsewhere", 0.0, notes=notes)
        records.add_new(_scored(opened, provenance, external.answer))
    return records.read()


def _channel_order(run: Run, answer: Answer) -> list[str]:
    """A warning, also on the terminal, where the judge finds red and blue of a folder's faces exchanged."""
    evaluation, faces = run.evaluation, answer.faces
    if "judge" not in evaluation.extractors or faces is None:
        return []
    templates = evaluation.real("judge").embeddings
    own = templates if answer.rows is None else templates[answer.rows]
    note = channel_order_note(faces, own, lambda images: evaluation.embed("judge", images)[0])
    if note:
        run.reporter.say(note)
    return [note] if note else []


def _check_before(
    config: RunConfig, benchmark: Benchmark, dataset: Dataset, faces: Path, partial: bool
) -> None:
    """What can be known of a folder of faces before the data are prepared, which takes minutes."""
    _check_data(config, benchmark, dataset)
    people = usable_test_people(config, benchmark, dataset)
    names = [person.id for person in people or dataset.identities("test")]
    check_folder(faces, names, partial, benchmark.gallery_size, is_prepared=people is not None)


def _check_data(config: RunConfig, benchmark: Benchmark, dataset: Dataset) -> None:
    """Raise BenchError for galleries that the data set is too small for, and folders that cannot be written to.

    Where the data are prepared perhaps nothing has to be written: then each row looks at the folders itself.
    """
    check_gallery(benchmark, dataset.card.name, len(dataset.identities("test")))
    if usable_test_people(config, benchmark, dataset) is None:
        _check_folders(config)


def _check_folders(config: RunConfig) -> None:
    check_writable(config.cache, "--cache")
    check_writable(config.results, "--results")


# ---------------------------------------------------------------- what all rows share


def open_run(
    config: RunConfig,
    benchmark: Benchmark,
    machine: Machine,
    reporter: Reporter,
    systems: Sequence[SpeechToFace] = (),
) -> Run:
    """The prepared stores, the networks that score, and the audit of the data; `systems` name the front ends."""
    reporter = reporter if machine.is_main else Reporter(silent=True)
    dataset, protocol = dataset_of(config, benchmark), protocol_named(benchmark.protocol)
    _check_data(config, benchmark, dataset)
    if unused := set(config.extractors) - set(protocol.further_extractors(benchmark).values()):
        raise BenchError(
            f"{protocol.name} asks networks of its own alone: leave out --extractors {', '.join(sorted(unused))}"
        )
    # A metric that cannot be made is named before the data are prepared, which may leave fewer identities.
    protocol.metrics(benchmark, len(dataset.identities("test")))
    missing: dict[str, Unavailable] = {}
    extractors = _extractors(benchmark, missing)
    for extractor in extractors.values():
        if isinstance(extractor, TorchExtractor):
            extractor.module.to(machine.device)
    judges = (
        _attribute_judges(benchmark, dataset, extractors, missing) if protocol.asks_attribute_judges else []
    )
    own = LogFilterbank()
    frontends = [own, *_frontends(systems)]
    stores = prepared_stores(config, machine, benchmark, dataset, reporter, frontends)
    for store in stores.values():
        if len(store.left_out):
            left_out = store.folder / "left_out.csv"
            reporter.say(f"{len(store.left_out)} files or identities are left out: {left_out}")
    for name, error in missing.items():
        reporter.say(f"{name}: its numbers will be absent: {error.reason}")
    store, reasons = stores[own.id], {name: error.reason for name, error in missing.items()}
    cache, say = config.cache / "features", reporter.say
    evaluation = Evaluation(
        benchmark, store, dataset, own, extractors, cache, judges, reasons, say, config.draws
    )
    findings = _findings(config, benchmark, dataset, store, say) if machine.is_main else ()
    return Run(config, reporter, machine, evaluation, stores, findings)


def _frontends(systems: Sequence[SpeechToFace]) -> list[AudioFrontend]:
    """Of the systems, and of those that they start from."""
    found: list[AudioFrontend] = []
    for system in systems:
        base = base_of(system)
        found += [system.frontend, *(_frontends([base]) if base else [])]
    return found


def _extractors(benchmark: Benchmark, missing: dict[str, Unavailable]) -> dict[str, FeatureExtractor]:
    """The networks that score, by key; those that are unavailable are added to `missing`, by name.

    Only the network of the training loss is needed to go on: what judges may come later, without a new training.
    """
    further = protocol_named(benchmark.protocol).further_extractors(benchmark)
    found: dict[str, FeatureExtractor] = {}
    for key, name in {"judge": benchmark.judge, "training-loss": benchmark.training_loss, **further}.items():
        try:
            found[key] = extractor_named(name)
        except Unavailable as error:
            if key == "training-loss":
                raise
            missing[name] = error
        except BenchError as error:
            raise _with_near_names(name, error) from error
    loss = found["training-loss"]
    if not isinstance(loss, TorchExtractor) or not hasattr(loss.module, "features"):
        raise BenchError(
            f"{benchmark.training_loss} cannot be the network of the training loss: its module has no features(). "
            "Choose another --perceptual, such as facenet-vggface2"
        )
    return found


def _with_near_names(name: str, error: BenchError) -> BenchError:
    """The error; for a network that is unknown with the nearest names, those within a family included."""
    if is_file(name) or family_of(name) in EXTRACTORS.targets():
        return error
    known = {*EXTRACTORS, *(user for file in all_files().values() for user in file.used_by)}
    return BenchError(unknown(EXTRACTORS.kind, name, sorted(known)))


def _attribute_judges(
    benchmark: Benchmark,
    dataset: Dataset,
    extractors: Mapping[str, FeatureExtractor],
    missing: dict[str, Unavailable],
) -> list[Callable[[Evaluation], AttributeJudge]]:
    """How to make the attribute judges: a probe on the judge, the benchmark's own network, the reader of traits."""
    found: list[Callable[[Evaluation], AttributeJudge]] = [AttributeProbe] if "judge" in extractors else []
    if name := benchmark.attribute_judge:
        try:
            judge = ATTRIBUTE_JUDGES.by_family(name)
            found.append(lambda _: judge)
        except Unavailable as error:
            missing[name] = error
    if isinstance(dataset, SyntheticWorld):
        found.append(lambda _: TraitReader())
    return found


def _findings(
    config: RunConfig,
    benchmark: Benchmark,
    dataset: Dataset,
    store: PreparedStore,
    say: Callable[[str], object] = print,
) -> tuple[Finding, ...]:
    """The audit of the data for the benchmark's galleries, made once."""
    key = hash_of([store.data_hash, benchmark.gallery_size, benchmark.ks, AUDIT_VERSION])

    def make(path: Path) -> None:
        found = audit(dataset, store, benchmark.gallery_size, benchmark.ks)
        save_facts(path, {"findings": [finding.model_dump() for finding in found]})

    facts = kept(config.cache / "audit" / f"{key}.json", make, load_facts, say)
    return tuple(Finding(**row) for row in facts["findings"])


def _systems(config: RunConfig, benchmark: Benchmark) -> tuple[str, ...]:
    given = [flag_of(name) for name in ("models", "all", "ablation") if getattr(config, name)]
    if len(given) > 1:
        raise BenchError(f"{' and '.join(given)} each say which systems to run: leave all but one out")
    if config.ablation:
        return benchmark.ablations
    return benchmark.all_systems if config.all else config.models or benchmark.systems


# ---------------------------------------------------------------- rows


class _Records:
    """The records of this call, old and new."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.paths: dict[Path, bool] = {}  # in the order of the rows; whether it was made by this call

    def existing(self, seed: int, key: str) -> Path | None:
        """The record of this seed and key, if any. Raises BenchError where it is damaged."""
        path = next(self.run.folder.glob(f"*-seed{seed}-{key[:8]}.json"), None)
        if path:
            load(path)
        return path

    def add_existing(self, seed: int, key: str) -> bool:
        """Add the existing record, if any; return whether there was one. Raises BenchError where none can be made."""
        path = self.existing(seed, key)
        if path:
            self.paths.setdefault(path, False)
        else:
            _check_folders(self.run.config)
        return path is not None

    def add_new(self, path: Path) -> None:
        """Add a record that was just made."""
        self.paths[path] = True

    def read(self) -> list[RunRecord]:
        """All of them."""
        if not any(self.paths.values()):
            self.run.reporter.say(f"nothing to do: all {len(self.paths)} records are in {self.run.folder}")
        return [load(path) for path in self.paths]


def _add_anchor(run: Run, anchor: Anchor, records: _Records) -> None:
    if _why_left_out(run, anchor):
        return
    key = keys_of(run, anchor)["record"]
    if records.add_existing(0, key):
        return
    answer, seconds = _timed(lambda: anchor.answer(run.evaluation))
    _check_answer(run, anchor, answer)
    provenance = Provenance(key, _card(anchor), {}, 0, run.config.budget, run.device.type, seconds)
    records.add_new(_scored(run, provenance, answer))


def _why_left_out(run: Run, anchor: Anchor) -> str | None:
    """Why an anchor has no row, which the user is told; None where it has one."""
    reason = run.protocol.left_out(anchor.card) or anchor.applies(run.evaluation)
    if reason:
        run.reporter.say(f"{anchor.card.label}: not in the table ({reason})")
    return reason


def _check_answer(run: Run, anchor: Anchor, answer: Any) -> None:
    """Raise BenchError unless an anchor gave one row for each of its identities, in a form that is scored."""
    what = f"anchor {anchor.card.name}"
    if not isinstance(answer, Answer):
        raise unfit(what, anchor, answer, "an Answer")
    count = len(run.evaluation.identities) if answer.rows is None else int(answer.rows.sum())
    if answer.faces is not None:
        size = run.evaluation.image_size
        _check_pictures(what, anchor, answer.faces, "faces", (count, 3, size, size))
        _check_draws(run, what, anchor, answer)
        return
    known, given = run.evaluation.extractors, answer.embeddings or {}
    if strangers := sorted(set(given) - set(known)):
        raise BenchError(
            f"{what}: {place_of(anchor)} gave embeddings by {', '.join(map(str, strangers))}, expected keys of "
            f"evaluation.extractors: {', '.join(known)}"
        )
    for key, rows in given.items():
        columns = run.evaluation.embed(key, run.evaluation.true_photos[:1])[0].shape[1]
        _check_rows(what, anchor, rows, (count, columns))
    for rows in answer.ranking or ():
        _check_rows(what, anchor, rows, (count, None))
    if not given and not answer.ranking:
        raise unfit(what, anchor, None, "faces, embeddings or a ranking")


def _check_pictures(what: str, anchor: Anchor, came: Any, name: str, shape: tuple[int, ...]) -> None:
    if getattr(came, "dtype", None) != np.uint8 or came.shape != shape:
        raise unfit(what, anchor, came, f"{name} uint8 {list(shape)}")


def _check_draws(run: Run, what: str, anchor: Anchor, answer: Answer) -> None:
    """As many as are asked of who says that it draws several faces, the first of them its faces; of others none."""
    assert answer.faces is not None
    asked, draws = draws_of(run, anchor), answer.draws
    if asked > 1:
        _check_pictures(what, anchor, draws, "draws", (asked, *answer.faces.shape))
        assert draws is not None
        if not np.array_equal(draws[0], answer.faces):
            raise BenchError(f"{what}: {place_of(anchor)} gave draws of which the first are not its faces")
    elif draws is not None and not getattr(anchor, "one_to_many", False):
        raise BenchError(
            f"{what}: {place_of(anchor)} gave several faces for each voice: say so with one_to_many = True"
        )


def _check_rows(what: str, anchor: Anchor, rows: Any, shape: tuple[int, int | None]) -> None:
    """Finite numbers, one row an identity; as many columns as the second of `shape`, any for None."""
    count, columns = shape
    found = np.shape(rows)
    if len(found) != 2 or found[0] != count or columns not in (None, found[1]):
        raise unfit(what, anchor, rows, f"rows [{count}, {columns or 'D'}]")
    if not np.isfinite(rows).all():
        raise BenchError(f"{what}: {place_of(anchor)} gave rows that hold NaN or infinite values")


def _add_system(run: Run, system: SpeechToFace, records: _Records) -> None:
    """The system's record, trained and generated unless it exists; a trained anchor's, which answers in its place."""
    if isinstance(system, Anchor) and _why_left_out(run, system):
        return
    seed, keys = run.config.seed, keys_of(run, system)
    complete = run.machine.is_main and bool(records.existing(seed, keys["record"]))
    if run.machine.broadcast(complete):  # as the main process finds it, so that all train or none does
        if run.config.keep_weights:
            trained(run, system)
            _keep(run, system, keys["record"])
        if run.machine.is_main:
            records.add_existing(seed, keys["record"])
        return
    if run.machine.is_main:
        _check_folders(run.config)
    training = trained(run, system)
    if not run.machine.is_main:
        return
    costs: dict[str, Any] = {"stage_seconds": training.get("stage_seconds") or None}
    made, seconds = _timed(lambda: _answer_of(run, system, keys["faces"]))
    if not isinstance(system, Anchor):
        costs |= cost_of_a_face(run, system)
    seconds += training["seconds"]
    made_with = _card(system), system.recipe, seed, run.config.budget, run.device.type
    provenance = Provenance(
        keys["record"], *made_with, seconds, train_seconds=training["seconds"], costs=costs
    )
    records.add_new(_scored(run, provenance, made, training["curve"]))
    _keep(run, system, keys["record"])


def _answer_of(run: Run, system: SpeechToFace, key: str) -> Any:
    """What a trained system generates, or a trained anchor answers."""
    if not isinstance(system, Anchor):
        return generated(run, system, key)
    answer = system.answer(run.evaluation)
    _check_answer(run, system, answer)
    return answer


def _keep(run: Run, system: SpeechToFace, record: str) -> None:
    """Its trained weights, where the user asks for them; weights that came from a file are there already."""
    given = isinstance(system, HasWeights) and system.weights is not None
    if run.machine.is_main and run.config.keep_weights and not given:
        run.reporter.say(f"kept {keep_weights(run, system, run.config.keep_weights, record)}")


def _card(row: Anchor | SpeechToFace) -> ModelCard:
    """With the source of its code, where it has one, and whether an anchor was trained first."""
    first = isinstance(row, Anchor) and is_trained(row)
    return replace(row.card, source=code_of(row), trained_first=first)


def _timed(make: Callable[[], Made]) -> tuple[Made, float]:
    """What `make` returns, and the seconds that it took."""
    started = time.monotonic()
    return make(), time.monotonic() - started


def _scored(run: Run, provenance: Provenance, answer: Any, curve: Sequence[Mapping[str, Any]] = ()) -> Path:
    """Score an answer, or what the protocol generated, and save the record."""
    with run.reporter.bar(f"score {provenance.card.label}", 1) as bar:
        found, seconds = _timed(lambda: run.protocol.score(run.evaluation, answer))
        bar.advance()
    provenance = replace(provenance, wall_seconds=provenance.wall_seconds + seconds, findings=run.findings)
    draws = getattr(answer, "draws", None)  # what sf2f-paper keeps has none
    return save_record(run.evaluation, found, provenance, run.folder, answer.faces, curve, draws)
