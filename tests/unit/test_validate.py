"""A sound record passes; every way of it being unsound is named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sf2f_bench.metrics.distribution import FrechetDistance
from sf2f_bench.metrics.matching import Matching
from sf2f_bench.metrics.relations import Stated, contradictions
from sf2f_bench.metrics.retrieval import (
    MeanReciprocalRank,
    MedianRank,
    Recall,
    expected_ranks,
    expected_recall,
    reciprocal_ranks,
)
from sf2f_bench.metrics.verification import VerificationAUC, VerificationEqualErrorRate
from sf2f_bench.results.records import ScoreRecord, SideFiles, load, save
from sf2f_bench.results.validation import record_paths, validate
from sf2f_bench.runs.migration import migrate
from sf2f_bench.statistics.intervals import mean_interval
from sf2f_bench.types import BenchError, ExtractorCard, Features, MetricCard
from tests.unit.record_factory import record, training_curve

JUDGE = "embedded-judge/1@1065e875/bilinear-64"
SHA256 = "1065e875" + "0" * 56
N = 30
PEOPLE = tuple(f"id{number:02d}" for number in range(N))


def scored():
    """(scores, per-identity values, replicates) as real metrics give them, each basis once."""
    random = np.random.default_rng(3)
    true = random.normal(size=(N, 8))
    drawn = true + random.normal(size=(N, 8))
    real, fake = (Features(PEOPLE, side, side) for side in (true, drawn))
    people, replicates, scores = pd.DataFrame({"identity": PEOPLE}), pd.DataFrame(), []
    for metric in (MedianRank(), VerificationAUC(), FrechetDistance()):
        result = metric(real, fake, np.random.default_rng(0))
        basis = result.basis if result.per_identity is not None else "replicates"
        table = people if result.per_identity is not None else replicates
        table[f"{metric.name}|{JUDGE}"] = (
            result.replicates if result.per_identity is None else result.per_identity
        )
        if result.own is not None:
            people[f"{metric.name}|{JUDGE}|own"] = result.own
        scores.append(entry(metric.name, result.value, N, result.interval, basis))
    some = np.append(random.random(N - 4), [np.nan] * 4)
    people[f"matching/1:2/G|{JUDGE}"] = some
    interval = mean_interval(some[:-4], np.random.default_rng(0), (0.0, 1.0))
    scores.append(entry("matching/1:2/G", float(np.nanmean(some)), N - 4, interval, "mean"))
    return scores, people, replicates


def entry(metric, value, n, interval, basis):
    return ScoreRecord(
        metric=metric,
        version=1,
        extractor=JUDGE,
        extractor_role="judge",
        value=value,
        n=n,
        interval=interval,
        higher_is_better=True,
        basis=basis,
    )


def saved(folder, people=None, replicates=None, faces=4, **changes):
    scores, own_people, own_replicates = scored()
    known = {
        metric.name: metric.card
        for metric in (MedianRank(), VerificationAUC(), FrechetDistance(), Matching(2, "G"))
    }
    cards = known | changes.pop("metrics", {})
    made = record(
        metrics=cards,
        extractors={JUDGE: ExtractorCard()},
        scores=tuple(scores),
        weights={JUDGE: SHA256},
        key="0123456789abcdef",
        files=SideFiles(face_identities=PEOPLE[:faces]),
        **changes,
    )
    pictures = np.random.default_rng(0).integers(0, 256, (faces, 3, 64, 64)).astype(np.uint8)
    curve = training_curve(np.random.default_rng(0))
    return save(
        made,
        folder,
        own_people if people is None else people(own_people),
        curve,
        pictures,
        pictures,
        own_replicates if replicates is None else replicates(own_replicates),
    )


def edited(path, change):
    """Change the JSON by hand, as a forger would."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_a_sound_record_has_no_fault_and_says_what_was_made_anew(tmp_path):
    found = validate(saved(tmp_path))
    assert found.faults == []
    assert found.summary.endswith("4 scores (1 mean, 1 pseudo-values, 2 replicates)")
    assert "sf2f-64 (width 0.25), seed 0, synthetic-64/1" in found.summary


def score_of(content, name):
    return next(score for score in content["scores"] if score["metric"].startswith(name))


@pytest.mark.parametrize(
    ("name", "field", "change", "fault"),
    [
        ("matching", "value", lambda value: value + 1e-6, "but the mean of its per-identity values is"),
        ("median-rank", "value", lambda value: value + 0.5, "but the median of these values is"),
        ("verification-auc", "value", lambda value: value - 0.2, "pseudo-values have the mean"),
        (
            "verification-auc",
            "interval",
            lambda ends: [end * 0.9 + ends[0] * 0.1 for end in ends],
            "narrower",
        ),
        ("frechet", "value", lambda value: value * 1.01, "than the spread of its replicates gives"),
        ("matching", "n", lambda n: n + 1, "n = 27, but 26 identities have a value"),
        ("frechet", "n", lambda n: 31, "n = 31, but there are 30 identities"),
        ("matching", "interval", lambda ends: [0.9, 0.95], "does not hold the value"),
        ("matching", "metric", lambda name: "recall@10/g100", "its per-identity values are missing"),
        ("matching", "metric", lambda name: "recall@10/g100", "but the record has no such score"),
        ("frechet", "metric", lambda name: "fid", "its replicates are missing"),
        ("matching", "basis", lambda basis: None, "no basis, as older versions wrote it"),
    ],
)
def test_a_number_that_does_not_follow_from_its_values_is_named(tmp_path, name, field, change, fault):
    def forge(content):
        score = score_of(content, name)
        score[field] = change(score[field])

    found = validate(edited(saved(tmp_path), forge))
    assert any(fault in line for line in found.faults)


def test_the_bounds_are_those_that_the_metric_states(tmp_path):
    def faults(upper, bounds):
        def cut(content):
            score = score_of(content, "verification-auc")
            score["interval"][1] = upper
            score["version"] = 99  # not one of this package: its card is taken on trust

        cards = {"verification-auc": MetricCard(bounds=bounds)}
        path = edited(saved(tmp_path / f"{upper} {bounds}", metrics=cards), cut)
        return [line.partition(": ")[2] for line in validate(path).faults]

    assert faults(0.9822633055505546, (0.0, 1.0)) == []
    assert "is narrower than the spread" in faults(0.97, (0.0, 1.0))[0]
    assert faults(0.97, (None, 0.97)) == []
    assert faults(1.01, (None, None)) == []
    assert faults(1.01, (0.0, 1.0)) == ["1.01 is outside the metric's bounds, 0.0 to 1.0"]


FORGERIES = {  # how, of which score -> what is said
    "interval removed": ("matching", {"interval": None}, "has no interval, but its values give"),
    "interval of pseudo-values removed": ("verification-auc", {"interval": None}, "has no interval"),
    "interval of replicates removed": ("frechet", {"interval": None}, "has no interval"),
    "interval of a median removed": ("median-rank", {"interval": None}, "has no interval"),
    "interval collapsed": (
        "matching",
        lambda s: {"interval": [s["value"]] * 2},
        "is narrower than the spread",
    ),
    "interval widened": (
        "matching",
        {"interval": [0.0, 1.0]},
        "is another than the spread of its values gives",
    ),
    "interval of pseudo-values widened": (
        "verification-auc",
        {"interval": [0.0, 1.0]},
        "is another than the spread",
    ),
    "moved with its interval": (
        "verification-auc",
        lambda s: {"value": s["value"] - 0.05, "interval": [end - 0.05 for end in s["interval"]]},
        "its pseudo-values have the mean",
    ),
    "scaled with its interval": (
        "frechet",
        lambda s: {"value": s["value"] * 100, "interval": [end * 100 for end in s["interval"]]},
        "its replicates have the mean",
    ),
    "beyond all bounds": (
        "frechet",
        {"value": 1e300, "interval": [1e300, 1e300]},
        "is no number that a metric gives",
    ),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_number_or_interval_is_named(tmp_path, how):
    name, change, fault = FORGERIES[how]

    def forge(content):
        score = score_of(content, name)
        score.update(change if isinstance(change, dict) else change(score))

    faults = validate(edited(saved(tmp_path), forge)).faults
    assert any(line.startswith(name) and fault in line for line in faults), faults


def test_values_beyond_the_bounds_are_named_where_record_and_side_file_agree(tmp_path):
    column = f"matching/1:2/G|{JUDGE}"

    def forge(content):
        score_of(content, "matching").update(value=7.5, interval=[7.5, 7.5])
        content["metrics"]["matching/1:2/G"]["bounds"] = [0.0, 10.0]  # and the card with them

    path = saved(tmp_path, people=lambda table: table.assign(**{column: table[column] * 0 + 7.5}))
    assert any("its card is not that of this metric" in line for line in validate(edited(path, forge)).faults)


def test_metrics_of_the_same_ranks_contradict_an_edit_of_one(tmp_path):
    ranked = rows_of_ranks(np.array([1, 2, 9, 4, 30] * 6))
    assert list(contradictions(ranked.values())) == []
    lifted = np.ones(30)
    for name in ("recall@1/full", "recall@5/full", "matching/1:2", "mrr/full"):
        forged = replace(ranked[name], per_identity=lifted, value=1.0)
        assert any(
            name in line or "does not follow" in line
            for line in contradictions((ranked | {name: forged}).values())
        )
    few = {name: ranked[name] for name in ("recall@1/full", "recall@5/full")}
    forged = replace(few["recall@1/full"], per_identity=lifted)
    (line,) = contradictions((few | {"recall@1/full": forged}).values())
    assert line == "recall@1/full: higher than recall@5/full for some identity, which cannot be"


def test_an_area_and_an_equal_error_rate_of_one_curve_confine_each_other():
    error = Stated("verification-eer", VerificationEqualErrorRate().card, 0.2, 30)
    area = Stated("verification-auc", VerificationAUC().card, 0.88, 30)
    assert list(contradictions([error, area])) == []
    (line,) = contradictions([error, replace(area, value=0.99)])
    assert "does not go with verification-eer = 0.2, which allows 0.64 to 0.96" in line
    (line,) = contradictions([Stated("median-rank/full", MedianRank().card, 31.0, 30)])
    assert "more than 30 identities can give" in line


def test_a_flipped_byte_of_a_side_file_is_named_and_an_unsealed_record_says_so(tmp_path):
    path = saved(tmp_path)
    assert "unsealed" not in validate(path).summary
    for side in ("per_identity", "replicates", "curve", "faces"):
        file = load(path).path_of(side)
        whole = file.read_bytes()
        file.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        faults = validate(path).faults
        assert (
            f"its {side} file is not the one that was written with it: its checksum is not the record's"
            in faults
        )
        file.write_bytes(whole)
    unsealed = edited(path, lambda content: content["files"].pop("sha256"))
    assert validate(unsealed).faults == []
    assert validate(unsealed).summary.endswith("; unsealed")
    assert migrate(unsealed).text.startswith("sealed")
    assert "unsealed" not in validate(unsealed).summary
    assert migrate(unsealed).text.startswith("already")


def rows_of_ranks(ranks):
    """Metrics that follow from ranks of identities, the same person tied with another one where it is even."""
    tied = (ranks % 2 == 0) * 1
    ahead = ranks - 1 - tied
    n = len(ranks)
    values = {
        MedianRank(): expected_ranks(ahead, tied),
        MeanReciprocalRank(): reciprocal_ranks(ahead, tied),
        Recall(1): expected_recall(ahead, tied, n, None, 1),
        Recall(5): expected_recall(ahead, tied, n, None, 5),
        Matching(2): expected_recall(ahead, tied, n, 2, 1),
    }
    return {
        metric.name: Stated(metric.name, metric.card, float(np.mean(each)), n, each)
        for metric, each in values.items()
    }


def set_in(*path, value):
    def change(content):
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (set_in("key", value="0123456789abcdeg"), "not 16 hexadecimal digits"),
        (set_in("benchmark", "data_hash", value="abc"), "the data hash 'abc'"),
        (set_in("weights", JUDGE, value="12"), "not 64 hexadecimal digits"),
        (set_in("weights", JUDGE, value="f" * 64), "names other weights"),
        (set_in("metrics", value={}), "the metric matching/1:2/G has no card"),
        (set_in("extractors", value={}), f"the extractor {JUDGE} has no card"),
        (set_in("weights", value={}), f"the hash of {JUDGE}'s weights is missing"),
        (set_in("benchmark", "identities", "test", value=29), "the test split holds 29"),
        (set_in("benchmark", "media_shareable", value=False), "may not be shared, but faces, true_faces"),
        (set_in("benchmark", "image_size", value=128), "at 128 pixels"),
        (set_in("files", "face_identities", value=["id00", "id01"]), "expected 2 identities at 64 pixels"),
        (set_in("files", "face_identities", value=["id00", "x", "id02", "id03"]), "without values: x"),
        (set_in("seed", value=1), "should be called sf2f-64-w0.25-seed1-01234567.json"),
        (set_in("seed", value=1), "does not belong to it"),
        (set_in("schema_version", value=7), "schema version"),
        (set_in("surprise", value=1), "not a valid result record"),
    ],
)
def test_what_is_not_as_it_should_be_around_the_numbers_is_named(tmp_path, change, fault):
    found = validate(edited(saved(tmp_path), change))
    assert any(fault in line for line in found.faults), found.faults


def test_values_that_were_changed_in_the_side_files_are_found(tmp_path):
    column = f"matching/1:2/G|{JUDGE}"
    lifted = saved(tmp_path / "a", people=lambda table: table.assign(**{column: table[column] + 0.01}))
    assert any("but the mean of its per-identity values" in line for line in validate(lifted).faults)
    twice = saved(tmp_path / "b", people=lambda table: table.assign(identity="id00"))
    assert any("is in its per-identity file twice" in line for line in validate(twice).faults)
    cut = saved(tmp_path / "c", replicates=lambda table: table[:99])
    assert any("expected 100 finite replicates, found 99" in line for line in validate(cut).faults)
    endless = saved(tmp_path / "d", people=lambda table: table.assign(**{column: np.inf}))
    assert any("not finite" in line for line in validate(endless).faults)


def test_side_files_that_are_missing_or_damaged_are_faults_and_no_crash(tmp_path):
    path = saved(tmp_path)
    strip = load(path).path_of("faces")
    Image.fromarray(np.zeros((64, 99, 3), np.uint8)).save(strip)
    curve = load(path).path_of("curve")
    curve.write_text("stage,step\nfit,2\nfit,1\n")
    found = validate(path)
    assert any("cannot be 4 faces" in line for line in found.faults)
    assert any("steps of fit" in line for line in found.faults)
    load(path).path_of("per_identity").write_bytes(b"not parquet")
    assert any("cannot be read" in line for line in validate(path).faults)
    load(path).path_of("per_identity").unlink()
    assert validate(path).faults == [
        f"its per_identity file {path.stem}.per-identity.parquet is missing; copy it beside the record, or "
        "delete the record and run again"
    ]


@pytest.mark.parametrize("side", ["faces", "true_faces", "curve", "voices"])
def test_a_side_file_elsewhere_is_a_fault_though_its_name_begins_as_it_should(tmp_path, side):
    path = saved(tmp_path / "results")
    (tmp_path / "private.png").write_bytes(load(path).path_of("faces").read_bytes())
    (path.parent / f"{path.stem}.").mkdir()
    name = f"{path.stem}./../../private.png"
    assert (path.parent / name).is_file()
    (fault,) = validate(edited(path, set_in("files", side, value=name))).faults
    assert fault.startswith(f"expected files.{side} to be the plain name of a file beside the record")


def test_records_are_found_in_folders_and_what_is_not_there_is_said(tmp_path):
    path = saved(tmp_path / "deep" / "er")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.json").write_text("{}")
    assert record_paths([tmp_path]) == [path]
    assert record_paths([path]) == [path]
    with pytest.raises(BenchError, match="there is no"):
        record_paths([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="no record"):
        record_paths([tmp_path / "empty"])
