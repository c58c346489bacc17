"""The door for strangers: CONTRIBUTING as it stands, `new`, `list`, `validate` and `export` as a user types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import sf2f_bench.testing
from sf2f_bench import benchmarks, config
from sf2f_bench.commands.export import export
from sf2f_bench.commands.list import list_command
from sf2f_bench.commands.new import KINDS, new
from sf2f_bench.commands.validate import validate
from sf2f_bench.protocols import protocol
from sf2f_bench.results.records import load_all
from sf2f_bench.types import BenchError
from tests.commands.program import call as program_call
from tests.commands.program import environment, start_from

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TEMPLATES = ROOT / "sf2f_bench" / "templates"


def fenced(language: str) -> list[str]:
    """The fenced blocks of CONTRIBUTING in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", CONTRIBUTING, re.DOTALL | re.MULTILINE)


def call(command, *words):
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def followed(anchored, tmp_path_factory) -> tuple[Path, str]:
    """A folder in which every sh block of CONTRIBUTING was run as it stands, and what was printed.

    Empty but for the cache: another run has prepared the data and seen the true faces.
    """
    folder = start_from(anchored, tmp_path_factory.mktemp("stranger"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**environment(folder), "PATH": path, "CUDA_VISIBLE_DEVICES": ""}
    printed = ""
    for block in fenced("sh"):
        command = ["bash", "-euxc", block]
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        printed += done.stdout
    return folder, printed


def test_contributing_as_written_brings_a_model_into_the_table(followed):
    folder, printed = followed
    assert "deep-listener" in printed
    assert "gender-oracle" in printed
    records = {record.system.name: record for record in load_all(folder / "results")}
    record = records["deep-listener"]
    assert record.system.recipe["steps"] == 20
    assert len(record.curve()) >= 20
    assert {score.metric for score in record.scores} >= {"recall@10/g100", "cosine", "kernel-distance"}


def test_contributing_as_written_validates_and_exports(followed):
    folder, printed = followed
    assert "records, none faulty" in printed
    scores = pd.read_csv(folder / "scores.csv")
    records = load_all(folder / "results")
    assert len(scores) == sum(len(record.scores) for record in records)
    one = scores[(scores.system == "deep-listener") & (scores.metric == "recall@10/g100")]
    values = {score.value for record in records for score in record.scores}
    assert set(one.value) <= values
    assert printed.count("passed") == 2


def test_the_excerpt_in_contributing_is_the_template():
    (excerpt,) = fenced("python")
    assert excerpt in (TEMPLATES / "my_model.py").read_text(encoding="utf-8")


def test_the_files_and_checks_that_contributing_names_exist():
    table = CONTRIBUTING[CONTRIBUTING.index("| what you add |") : CONTRIBUTING.index("## Add a model in ten")]
    named = set(re.findall(r"`([^` ]+)`", table))
    files = {name for name in named if "/" in name}
    assert len(files) > 8
    assert [name for name in files if not (ROOT / name).exists()] == []
    checks = {name for name in named if name.startswith("check_")}
    assert checks == {name for name in sf2f_bench.testing.__all__ if name.startswith("check_")}
    cards = {name for name in named if name.endswith("Card")}
    assert cards == {name for name in sf2f_bench.__all__ if name.endswith("Card")}
    classes = {
        "Benchmark": benchmarks,
        "TableSpec": protocol,
        "EvaluationProtocol": protocol,
        "RunConfig": config,
    }
    assert all(name in named and hasattr(module, name) for name, module in classes.items())


def test_a_model_card_comes_with_the_model(followed):
    folder, _ = followed
    card = (folder / "deep_listener.md").read_text()
    assert card.startswith("# Model card: deep-listener")
    assert "Not for identifying people" in card


# ---------------------------------------------------------------- new


def test_new_leaves_no_placeholder_and_overwrites_nothing(tmp_path):
    for kind in KINDS:
        done = call(new, kind, f"quiet-{kind}", "--out", tmp_path / kind)
        assert done.exit_code == 0
        written = sorted((tmp_path / kind).iterdir())
        assert len(written) == (3 if kind == "model" else 2)  # a model has a model card too
        for path in written:
            assert not re.search(
                rf"my[-_]?({'|'.join(KINDS)})\b", path.read_text() + path.name, re.IGNORECASE
            )
        group = "models" if kind == "anchor" else f"{kind}s"
        assert f'[project.entry-points."sf2f_bench.{group}"] quiet-{kind} = "quiet_{kind}:' in done.output
    with pytest.raises(BenchError, match="already exist"):
        call(new, "model", "quiet-model", "--out", tmp_path / "model")


@pytest.mark.parametrize("name", ["Deep", "deep_one", "1-deep", "deep listener", "../deep", "deep-", "numpy"])
def test_new_refuses_names_that_cannot_be_a_module(name, tmp_path):
    with pytest.raises(BenchError, match=r"lower-case letters|installed already"):
        call(new, "model", name, "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- list


def test_list_names_everything_and_says_where_there_is_more():
    shown = call(list_command).output
    for word in (
        "synthetic-64",
        "sf2f-64",
        "chance",
        "first-table",
        "hq-voxceleb",
        "embedded-judge",
        "list models",
    ):
        assert word in shown


def test_list_without_a_kind_imports_nothing_heavy():
    code = (
        "import sys\nfrom sf2f_bench.commands.list import list_command\n"
        "list_command([], standalone_mode=False)\n"
        "print(sorted({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_list_metrics_gives_version_direction_and_needs():
    def lines(width):
        done = CliRunner(env={"COLUMNS": str(width)}).invoke(list_command, ["metrics"])
        assert max(map(len, done.output.splitlines())) <= width
        return {line.split()[0]: " ".join(line.split()) for line in done.output.splitlines() if line.strip()}

    wide, narrow = lines(200), lines(80)
    meaning = "Recall@k, expected over all galleries of one size"
    assert f"recall@1/g100 1 higher 100 ranking {meaning}" in wide["recall@1/g100"]
    assert narrow["recall@1/g100"].startswith("recall@1/g100 higher Recall@k, expected over")
    assert narrow["recall@10/g100"] == "recall@10/g100 higher"
    assert "1 lower 4 samples Frechet distance of" in wide["frechet-distance"]
    assert "an attribute judge" in wide["gender-agreement"]


def test_list_extractors_gives_licence_and_whether_weights_are_here(tmp_path, monkeypatch):
    monkeypatch.setenv("SF2F_BENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    shown = call(list_command, "extractors").output
    facenet = shown[shown.index("facenet-vggface2") :].splitlines()
    assert facenet[0].endswith("version 1, missing: 20180402-114759-vggface2.pt")
    assert facenet[1].strip().startswith("licence: MIT")
    assert re.search(r"embedded-judge +version 1, licence Apache-2.0, shipped", shown)
    assert re.search(r"deepface:ArcFace +version 0\.0\.102, missing: arcface_weights", shown)
    (tmp_path / "20180402-114759-vggface2.pt").write_bytes(b"x")
    assert re.search(r"facenet-vggface2 +version 1, weights found", call(list_command, "extractors").output)


def test_list_models_and_data_sets_give_licences():
    models = call(list_command, "models").output
    assert re.search(r"voice2face-128 +version \d+, system, Apache-2.0", models)
    assert re.search(r"chance +version 1, anchor", models)
    sets = call(list_command, "datasets").output
    assert "licence: photos and recordings belong to third parties" in sets
    assert re.search(r"null-pairs +version 2, real, UNPAIRED, media may not be shown", sets)


# ---------------------------------------------------------------- validate and export


def test_validate_names_every_fault_and_exits_with_one(followed, tmp_path):
    folder, _ = followed
    source = folder / "results" / "synthetic-64-smoke"
    (path,) = source.glob("deep-listener-*.json")
    for file in source.glob(f"{path.stem}.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert call(validate, tmp_path).exit_code == 0
    content = json.loads(path.read_text())
    score = next(score for score in content["scores"] if score["metric"] == "recall@10/g100")
    score["value"] += 0.001
    content["key"] = f"{content['key'][:8]}x"
    (tmp_path / path.name).write_text(json.dumps(content))
    done = call(validate, tmp_path)
    assert done.exit_code == 1
    assert f"FAULTY {tmp_path / path.name}" in done.output
    assert re.search(r"recall@10/g100.*the value is .*, but", " ".join(done.output.split()))
    assert "not 16 hexadecimal digits" in done.output
    assert "1 records, 1 faulty" in done.output


def test_export_per_identity_holds_every_value_unrounded(followed, tmp_path):
    folder, _ = followed
    done = call(export, folder / "results", "--out", tmp_path / "people.parquet", "--per-identity")
    assert done.exit_code == 0
    table = pd.read_parquet(tmp_path / "people.parquet")
    record = next(record for record in load_all(folder / "results") if record.system.name == "deep-listener")
    for score in record.scores:
        if score.basis == "mean":
            rows = table[
                (table.key == record.key)
                & (table.metric == score.metric)
                & (table.extractor == score.extractor)
            ]
            assert len(rows) == score.n
            assert rows.value.mean() == pytest.approx(score.value, rel=1e-12)


def test_export_refuses_other_endings_and_empty_folders(tmp_path):
    with pytest.raises(BenchError, match=r"ends in \.parquet or \.csv"):
        call(export, tmp_path, "--out", tmp_path / "scores.xlsx")
    with pytest.raises(BenchError, match="holds no record"):
        call(export, tmp_path, "--out", tmp_path / "scores.csv")


def test_the_shell_completes_commands_and_options(tmp_path):
    """As docs/commands.md has it: click's own completion, under the name of the installed program."""
    program = Path(sys.executable).with_name("sf2f-bench")
    if not program.exists():
        pytest.skip("the package is not installed as a program here")
    script = program_call(tmp_path, program=(program,), _SF2F_BENCH_COMPLETE="bash_source").stdout
    assert "complete -o nosort -F _sf2f_bench_completion sf2f-bench" in script
    words = {"_SF2F_BENCH_COMPLETE": "bash_complete", "COMP_WORDS": "sf2f-bench run --bud", "COMP_CWORD": "2"}
    assert program_call(tmp_path, program=(program,), **words).stdout == "plain,--budget\n"
