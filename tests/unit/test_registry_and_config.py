"""Names and settings: what is wrong is said with what would be right."""

from __future__ import annotations

import pytest

from sf2f_bench.benchmarks import BENCHMARKS, benchmark_named
from sf2f_bench.commands.audit import audit
from sf2f_bench.commands.export_voices import export_voices
from sf2f_bench.commands.main import prepare, run
from sf2f_bench.commands.options import DATA_SETTINGS
from sf2f_bench.commands.score import score
from sf2f_bench.config import FIELDS, OPTIONS, RunConfig, flag_of, load_config
from sf2f_bench.files import hash_of, seed_of, write_atomically, write_json
from sf2f_bench.registry import DATASETS, EXTRACTORS, METRICS, MODELS
from sf2f_bench.types import BenchError
from tests.plugins import install


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
        ({"seed": -1}, r"seed = -1 \(--seed\): expected 0 or more"),
        ({"width": 9.0}, r"width = 9.0 \(--width\): expected more than 0, at most 4"),
        ({"width": 0.0}, r"width = 0.0 \(--width\): expected more than 0, at most 4"),
        ({"steps": 0}, r"steps = 0 \(--steps\): expected 1 or more"),
        ({"gallery": 0}, r"gallery = 0 \(--gallery\): expected 2 or more"),
        ({"jobs": 0}, r"jobs = 0 \(--jobs\): expected 1 or more"),
        ({"checkpoint_every": -1.0}, r"checkpoint_every = -1.0 \(--checkpoint-every\): expected 0 or more"),
        ({"budget": "huge"}, r"budget = 'huge' \(--budget\): expected 'smoke', 'default', 'long' or 'paper'"),
        ({"ks": "1,x"}, r"ks = '1,x' \(--ks\): expected numbers separated by commas"),
    ],
)
def test_a_setting_out_of_range_is_named_with_what_is_allowed(options, message):
    with pytest.raises(BenchError, match=message):
        load_config(None, options)


def test_zero_and_false_are_values(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("seed = 3\ncheckpoint_every = 60.0\nablation = true\ndeterministic = false\n")
    given = {"seed": 0, "checkpoint_every": 0.0, "ablation": False, "deterministic": True}
    config = load_config(file, given)
    assert {name: getattr(config, name) for name in given} == given
    assert load_config(file, {"seed": None}).seed == 3


def test_a_fault_of_a_file_names_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("steps = 0\n")
    with pytest.raises(BenchError, match=r"steps = 0 \(.*run.toml\): expected 1 or more"):
        load_config(file, {})


def test_numbers_are_the_same_in_both_ways_to_write_them(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("ks = [1, 5]\n")
    assert load_config(file, {}).ks == load_config(None, {"ks": "1,5"}).ks == (1, 5)


def test_the_options_of_run_are_the_settings():
    found = {option.name: option for option in run.params}
    assert set(found) == {
        "config",
        "full",
        "json_file",
        *FIELDS,
    }  # all but the settings: what is printed and written
    for name, setting in OPTIONS.items():
        if name != "benchmark":
            assert found[name].opts[0] == flag_of(name)
            assert found[name].help.startswith(setting.help)
    assert "[default: 0]" in found["seed"].help
    assert "[default: the benchmark's]" in found["gallery"].help
    assert found["deterministic"].secondary_opts == ["--no-deterministic"]


@pytest.mark.parametrize("command", [prepare, audit, score, export_voices])
def test_options_that_commands_share_are_defined_once(command):
    shared = {option.name: option for option in command.params if option.name in OPTIONS}
    for name in DATA_SETTINGS:
        assert shared[name].help == next(option.help for option in run.params if option.name == name)


def test_a_models_key_holds_what_decides_a_training():
    assert RunConfig().training_key() == {
        "seed": 0,
        "precision": "fp32",
    }  # as it was before these options came
    other = RunConfig(seed=2, deterministic=True, compile="graphs", checkpoint_every=0)
    assert other.training_key() == {
        "seed": 2,
        "precision": "fp32",
        "deterministic": True,
        "compile": "graphs",
    }


@pytest.mark.parametrize("registry", [MODELS, DATASETS, EXTRACTORS, METRICS])
def test_a_name_that_two_packages_claim_is_refused(registry, tmp_path, monkeypatch):
    for package in ("nearer", "nearest"):
        target = {registry.group: {"mine": f"{package}:Mine", package: f"{package}:Mine"}}
        monkeypatch.syspath_prepend(install(tmp_path / package, package, {}, target))
    with pytest.raises(BenchError, match="is claimed twice") as caught:
        registry.get("mine")
    for words in ("nearer (nearer:Mine)", "nearest (nearest:Mine)", "uninstall one", "another name"):
        assert words in str(caught.value)


def test_one_package_may_be_on_the_path_twice(tmp_path, monkeypatch):
    for folder in ("one", "other"):
        target = {MODELS.group: {"mine": "mine:Mine"}}
        monkeypatch.syspath_prepend(install(tmp_path / folder, "mine", {}, target))
    assert MODELS.targets()["mine"] == "mine:Mine"


def test_an_unknown_setting_and_a_broken_file_are_refused(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("stepz = 7\n")
    with pytest.raises(BenchError, match="unknown setting 'stepz': did you mean 'steps'"):
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
