"""The project's own models, metrics, data sets and extractors pass the checks that strangers are given."""

from __future__ import annotations

import pytest

from sf2f_bench.benchmarks import ABLATIONS
from sf2f_bench.metrics.draws import draw_metrics
from sf2f_bench.registry import DATASETS, EXTRACTORS, METRICS, MODELS, extractor_named
from sf2f_bench.testing import check_dataset, check_extractor, check_metric, check_model
from sf2f_bench.types import DatasetSource, Unavailable
from tests.layouts import lay_out_hq_voxceleb

FEW = {"train": 2, "val": 2, "test": 2}
# These differ from sf2f-64-fuser in the weights of its losses alone.
LOSSES = [name for name in ABLATIONS if "-without-" in name]
GALLERY, KS, PEOPLE = 10, (1, 5), 60


@pytest.mark.parametrize("name", [name for name in MODELS if name not in LOSSES])
def test_models(name):
    check_model(MODELS.get(name), image_size=128 if "128" in name else 64, width=0.0625, steps=2)


@pytest.mark.parametrize(
    "metric",
    [metric for name in METRICS for metric in METRICS.get(name)(GALLERY, KS, PEOPLE)],
    ids=lambda metric: metric.name,
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_metrics(metric):
    check_metric(metric)


@pytest.mark.parametrize(
    "metric",
    [
        metric
        for name in METRICS
        for metric in draw_metrics(METRICS.get(name)(GALLERY, KS, PEOPLE), PEOPLE, 8)
    ],
    ids=lambda metric: metric.name,
)
def test_metrics_of_draws(metric):
    check_metric(metric)


def test_the_synthetic_world():
    check_dataset(DATASETS.get("synthetic")(DatasetSource(limits=FEW)), people=1)


def test_hq_voxceleb(shared, tmp_path):
    root = lay_out_hq_voxceleb(shared, tmp_path)
    check_dataset(DATASETS.get("hq-voxceleb")(DatasetSource(root=root)), people=1)


def test_null_pairs(shared):
    source = DatasetSource(voices=shared / "real" / "librispeech", faces=shared / "real" / "orl_faces")
    check_dataset(DATASETS.get("null-pairs")(source), people=1)


def test_no_data_set_is_forgotten():
    assert set(DATASETS) == {"synthetic", "hq-voxceleb", "null-pairs"}


@pytest.mark.parametrize("name", [name for name in EXTRACTORS if name != "deepface"])
def test_extractors(name):
    try:
        extractor = extractor_named(name)
    except Unavailable as error:
        pytest.skip(error.reason)
    check_extractor(extractor)
