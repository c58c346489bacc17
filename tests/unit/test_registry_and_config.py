"""Names and settings: what is wrong is said with what would be right."""

from __future__ import annotations

import pytest

from sf2f_bench.benchmarks import BENCHMARKS, benchmark_named
from sf2f_bench.config import load_config
from sf2f_bench.files import hash_of, seed_of, write_atomically, write_json
from sf2f_bench.registry import DATASETS, EXTRACTORS, METRICS, MODELS
from sf2f_bench.types import BenchError


@pytest.mark.parametrize("registry", [MODELS, DATASETS, EXTRACTORS, METRICS])
def test_every_registered_name_can_be_loaded(registry):
    names = list(registry)
    assert names
    assert all(callable(registry.get(name)) for name in names)


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(BenchError, match=r"unknown model 'sf2f64': did you mean 'sf2f-64'"):
        MODELS.get("sf2f64")


def test_an_unknown_benchmark_names_the_nearest_or_all():
    with pytest.raises(BenchError, match="did you mean 'synthetic-64'"):
        benchmark_named("syntetic-64")
    with pytest.raises(BenchError, match="known: synthetic-64"):
        benchmark_named("zzz")


def test_an_installed_data_set_is_a_benchmark_at_both_sizes():
    for size in (64, 128):
        benchmark = benchmark_named(f"null-pairs-{size}")
        assert (benchmark.dataset, benchmark.image_size, benchmark.name) == (
            "null-pairs",
            size,
            f"null-pairs-{size}",
        )
    with pytest.raises(BenchError, match="unknown benchmark"):
        benchmark_named("null-pairs-32")


def test_systems_and_anchors_of_every_benchmark_exist():
    for benchmark in BENCHMARKS.values():
        for name in (*benchmark.systems, *benchmark.anchors):
            assert name in MODELS.targets()
        benchmark.check()


def test_the_smoke_budget_has_a_name_of_its_own():
    benchmark = benchmark_named("synthetic-64")
    assert benchmark.for_budget("smoke").name == "synthetic-64-smoke"
    assert benchmark.for_budget("paper") is benchmark


def test_a_gallery_smaller_than_k_is_refused():
    from dataclasses import replace

    with pytest.raises(BenchError, match=r"a gallery of 5 cannot give recall@50"):
        replace(benchmark_named("synthetic-64"), gallery_size=5).check()


def test_options_override_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('benchmark = "null-pairs"\nseed = 3\nsteps = 7\n')
    config = load_config(file, {"seed": 4, "width": None, "models": ()})
    assert (config.benchmark, config.seed, config.steps) == ("null-pairs", 4, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed = -1"),
        ({"width": 9.0}, "width = 9.0"),
        ({"budget": "huge"}, "'smoke', 'default'"),
    ],
)
def test_a_setting_out_of_range_is_named(options, message):
    with pytest.raises(BenchError, match=message):
        load_config(None, options)


def test_an_unknown_setting_and_a_broken_file_are_refused(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("stepz = 7\n")
    with pytest.raises(BenchError, match="stepz"):
        load_config(file, {})
    file.write_text("steps = \n")
    with pytest.raises(BenchError, match="not a TOML file"):
        load_config(file, {})


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = write_json(tmp_path / "a.json", {"kept": 1})
    before = path.read_bytes()

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        write_atomically(path, fail)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_hashes_and_seeds_depend_on_content_alone():
    assert hash_of({"a": 1, "b": [1, 2]}) == hash_of({"b": [1, 2], "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
    assert seed_of(0, "x", 1) != seed_of(0, "x", 11)
    assert 0 <= seed_of("anything") < 2**63
