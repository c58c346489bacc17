"""Schema 1 records become schema 2 records: cards are filled in, all else stays, nothing is lost."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from click.testing import CliRunner
from record_factory import benchmark, paper_record, record, saved, scores

from sf2f_bench.commands.migrate import migrate as command
from sf2f_bench.metrics.attributes import AgeDifference
from sf2f_bench.protocols.bench.protocol import BenchProtocol
from sf2f_bench.registry import extractor_card
from sf2f_bench.results.records import SystemPart, load
from sf2f_bench.runs import migration
from sf2f_bench.runs.migration import migrate
from sf2f_bench.types import BenchError, ExtractorCard, MetricCard

OLD_FIELDS = {"name", "label", "kind", "version", "width", "licence", "reference", "description", "limits"}
JUDGE = "embedded-judge/1@1065e875/bilinear-64"


def as_schema_1(path):
    """Rewrite a new record as the last release wrote it, and give its bytes."""
    content = json.loads(path.read_text())
    content["schema_version"] = 1
    del content["metrics"], content["extractors"], content["files"]["sha256"]
    system, name = content["system"], content["system"]["name"]
    width = system["width"]
    content["system"] = {field: system[field] for field in (*OLD_FIELDS, "recipe")}
    content["system"]["label"] = name if width in (None, 1.0) else f"{name} (width {width:g})"
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    return path.read_bytes()


def old_record(folder, made=None):
    """The path of a schema 1 record of `made`."""
    kept = saved(made or record(), folder)
    path = folder / f"{kept.stem}.json"
    as_schema_1(path)
    return path


def by(extractor, made=None):
    made = made or record()
    judged = [
        score.model_copy(update={"extractor": extractor})
        for score in made.scores
        if score.extractor_role == "judge"
    ]
    return made.model_copy(update={"scores": tuple(judged), "weights": {extractor: "0" * 64}})


def test_numbers_and_words_stay_and_cards_come(tmp_path):
    path = old_record(tmp_path, by(JUDGE))
    before = json.loads(path.read_text())
    outcome = migrate(path)
    after = json.loads(path.read_text())
    assert (outcome.fault, outcome.unknown) == ("", ())
    assert set(after) - set(before) == {"metrics", "extractors"}
    assert set(after["files"].pop("sha256")) == {"per_identity"}
    for field in set(before) - {"schema_version", "system"}:
        assert after[field] == before[field]
    assert {field: after["system"][field] for field in before["system"]} == before["system"]
    made = load(path)
    assert made.metrics["recall@10/g100"].headline
    assert [name for name, card in made.metrics.items() if card.headline] == ["recall@10/g100"]
    assert made.extractors == {JUDGE: extractor_card("embedded-judge")}
    assert made.system.trained_on == "the benchmark's training split"


def test_a_card_takes_one_line(tmp_path):
    path = old_record(tmp_path)
    before = len(path.read_text().splitlines())
    migrate(path)
    cards = len(load(path).metrics)
    assert len(path.read_text().splitlines()) < before + cards + 30


def test_twice_is_once(tmp_path):
    path = old_record(tmp_path)
    migrate(path)
    once = path.read_bytes()
    assert migrate(path).text == "already of schema 2: left alone"
    assert path.read_bytes() == once


def test_ks_and_gallery_are_the_records_own(tmp_path):
    part = benchmark(gallery_size=10, ks=(1, 5))
    some = [score.model_copy(update={"metric": "recall@5/g10"}) for score in scores(0.3, "own")[:1]]
    path = old_record(tmp_path, record("chance", benchmark=part, scores=some))
    assert "metric" not in " ".join(migrate(path).unknown)
    card = load(path).metrics["recall@5/g10"]
    assert card.headline
    assert card.chance == 0.5


def test_the_other_protocols_metrics(tmp_path):
    path = old_record(tmp_path, paper_record())
    migrate(path)
    made = load(path)
    assert made.metrics["recall@10/g100x3"].headline
    assert made.metrics["recall@10/g100x3/one-segment"].parameters["faces"] == "one-segment"
    assert made.metrics["mutual-information/5-parts/deviation"].error == "none"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chance", {"place": "floor", "purpose": "chance", "tolerance": 1e-6, "label": "chance"}),
        ("real-photo-oracle", {"place": "ceiling", "purpose": "true-photo", "off_scale": True}),
        (
            "sf2f-64-without-l1",
            {
                "ablation_of": "sf2f-64-fuser",
                "change": "without L1 loss",
                "label": "sf2f-64 without L1 loss (width 0.25)",
            },
        ),
        ("sf2f-64@0a1b2c3d", {"trained_on": "not trained here", "label": "sf2f-64@0a1b2c3d (width 0.25)"}),
    ],
)
def test_systems_get_the_card_of_their_name(tmp_path, name, expected):
    trained = "sf2f" in name
    path = old_record(tmp_path, record(name, width=0.25 if trained else None))
    assert "system" not in " ".join(migrate(path).unknown)
    system = load(path).system
    assert {field: getattr(system, field) for field in expected} == expected
    assert system.name == name


def test_what_is_not_installed_gets_the_default_card_and_is_named(tmp_path):
    strange = by("their-network/3@00aa11bb")
    odd = strange.scores[0].model_copy(update={"metric": "their-metric"})
    strange = strange.model_copy(update={"scores": (*strange.scores, odd)})
    path = old_record(tmp_path, strange.model_copy(update={"system": record("theirs").system}))
    unknown = migrate(path).unknown
    assert set(unknown) == {"system theirs", "metric their-metric", "extractor their-network/3@00aa11bb"}
    made = load(path)
    assert made.metrics["their-metric"] == MetricCard()
    assert made.extractors == {"their-network/3@00aa11bb": ExtractorCard()}
    plain = SystemPart(name="x", label="x", kind="system", version="1")
    assert made.system.trained_on == plain.trained_on == ""


@dataclass(frozen=True)
class Theirs:
    """A stranger's metric, as far as a record needs it."""

    name: str = "their-metric"
    version: int = 1
    higher_is_better: bool = True


@dataclass(frozen=True)
class TheirsWithCard(Theirs):
    """A stranger's metric that says what it is."""

    card: ClassVar[MetricCard] = MetricCard("their-quantity", heading="theirs")


@pytest.mark.parametrize(
    ("metric", "card"), [(Theirs(), MetricCard()), (TheirsWithCard(), TheirsWithCard.card)]
)
def test_a_strangers_metric(tmp_path, monkeypatch, metric, card):
    monkeypatch.setattr(BenchProtocol, "metrics", lambda *_: [metric])
    odd = record().scores[0].model_copy(update={"metric": "their-metric"})
    path = old_record(tmp_path, record(scores=[odd]))
    assert not [name for name in migrate(path).unknown if name.startswith("metric")]
    assert load(path).scores[0].card == card


@pytest.mark.parametrize(
    ("id_", "card"),
    [
        ("inception-2015/1@6726825d/bilinear-299", extractor_card("inception-2015")),
        ("vggface2-resnet50-rgb/1@a77b8fc1/bilinear-224", extractor_card("vggface2-resnet50-rgb")),
        ("deepface-0.0.102:Dlib@0d0e4a1c/bilinear-150x150", extractor_card("deepface:Dlib")),
        ("deepface-0.0.102:Nobody@0d0e4a1c/bilinear-150x150", None),
        ("their-network/3@00aa11bb", None),
    ],
)
def test_ids_lead_to_names(id_, card):
    assert migration._extractor_card(id_) == card


def test_attribute_judges_are_found_too():
    card = migration._extractor_card("deepface-0.0.102:attributes@0d0e4a1c/bilinear-224x224")
    assert card is not None
    assert len(card.files) == 3
    assert migration._extractor_card(f"probe/1 on {JUDGE}") is not None


def test_a_kill_while_writing_loses_nothing(tmp_path, monkeypatch):
    path = old_record(tmp_path)
    before = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        migrate(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert migrate(path).text.startswith("migrated")


def test_an_old_record_says_what_to_do(tmp_path):
    path = old_record(tmp_path)
    with pytest.raises(BenchError, match=rf"schema version 1.*run `sf2f-bench migrate {tmp_path}`"):
        load(path)


def test_the_command_says_what_it_did_and_goes_on_after_a_fault(tmp_path):
    path = old_record(tmp_path)
    (tmp_path / "a-half.json").write_text("{half")
    (tmp_path / "b-other.json").write_text('{"rows": []}')
    newest = tmp_path / "c-newer.json"
    newest.write_text('{"scores": [], "schema_version": 7}')
    done = CliRunner().invoke(command, [str(tmp_path)])
    assert isinstance(done.exception, BenchError)
    assert "2 of 4 records could not be migrated" in str(done.exception)
    found = [line.partition(".json: ") for line in done.output.splitlines()]
    lines = {f"{file.rpartition('/')[2]}.json": text for file, mark, text in found if mark}
    assert lines["a-half.json"].startswith("NOT MIGRATED: ")
    assert lines["b-other.json"] == "not a result record: left alone"
    assert lines["c-newer.json"].startswith("NOT MIGRATED: expected schema version 1, got 7")
    assert lines[path.name].startswith("migrated: ")
    assert "extractor embedded-judge-0123456789ab is not installed here: it got a default card" in done.output
    assert newest.read_text() == '{"scores": [], "schema_version": 7}'


def test_cards_survive_the_way_through_json(tmp_path):
    made = record(scores=[record().scores[0].model_copy(update={"metric": "age-difference"})])
    card = replace(AgeDifference.card, parameters={"k": 10, "seconds": 2.0, "stratum": "G"}, chance=0.5)
    kept = saved(made.model_copy(update={"metrics": {"age-difference": card}}), tmp_path)
    assert kept.scores[0].card == card
    assert type(kept.scores[0].card.parameters["k"]) is int
    assert type(kept.scores[0].card.parameters["seconds"]) is float
