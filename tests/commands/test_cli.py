"""The commands as a user types them: help, lists, and wrong input with a message and an exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.commands.program import call


def test_help_names_the_commands_and_what_it_is_not_for(tmp_path):
    done = call(tmp_path, "--help")
    assert done.returncode == 0
    commands = "run report prepare list weights score export export-voices audit associate compare check new validate"
    for word in (*commands.split(), "not a tool to identify people"):
        assert word in " ".join(done.stdout.split())


def test_list_shows_every_kind_without_heavy_imports():
    code = "import sys; sys.argv = ['sf2f-bench', 'list']\nfrom sf2f_bench.commands.main import main\n"
    code += (
        "try: main()\nexcept SystemExit: pass\nprint(sorted({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    for word in (
        "synthetic-64",
        "null-pairs",
        "hq-voxceleb",
        "sf2f-64",
        "voice2face-64",
        "chance",
        "embedded-judge",
    ):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "sintetic-64"], "did you mean 'synthetic-64'"),
        (["run", "hq-voxceleb", "--root", "nowhere"], "nowhere"),
        (["run", "null-pairs"], "expected a folder of voices"),
        (["run", "--gallery", "5"], "a gallery of 5 cannot give recall@50"),
        (["run", "--ks", "1,x"], "expected numbers"),
        (["run", "--config", "no.toml"], "no.toml"),
        (["run", "--protocol", "sf2f-papers/1"], "did you mean 'sf2f-paper/1'"),
        (["run", "synthetic-128", "--ablation"], "the ablations are defined at 64 pixels"),
        (["run", "synthetic-128", "--models", "sf2f-64"], "of the other size"),
        (["run", "--models", "sf2f-64@nowhere.safetensors"], "nowhere.safetensors"),
        (["weights", "import", "no.pt", "--model", "sf2f-64"], "there is no file no.pt"),
        (["report", "nothing-here"], "nothing-here"),
    ],
)
def test_wrong_input_gets_a_message_and_a_code(words, message, tmp_path):
    done = call(tmp_path, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["run", "--models", "mine.py:Mine"], {}),
        (["--traceback", "run", "--models", "mine.py:Mine"], {}),
        (["run", "--models", "mine.py:Mine", "--traceback"], {}),
        (["run", "--models", "mine.py:Mine"], {"SF2F_BENCH_TRACEBACK": "1"}),
    ],
)
def test_a_plug_ins_fault_is_one_line_and_the_whole_on_request(words, variables, tmp_path):
    (tmp_path / "mine.py").write_text("limits = {}\nlimit = limits['faces']\n")
    done = call(tmp_path, *words, **variables)
    assert done.returncode == 2
    *trace, message = done.stderr.strip().splitlines()
    assert message.startswith("error: mine.py:2: KeyError: 'faces'; correct this line of the plug-in")
    whole = "--traceback" in words or bool(variables)
    assert bool(trace) == whole
    assert any("limits['faces']" in line for line in trace) == whole


def test_the_files_of_published_networks_are_listed_with_size_licence_and_checksum(tmp_path):
    done = call(tmp_path, "weights", "list", "--all", SF2F_BENCH_WEIGHTS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "20180402-114759-vggface2.pt  not here" in done.stdout
    for word in ("resnet50_ft_weight.pkl", "111,898,327 bytes", "licence", "281cebca", str(tmp_path)):
        assert word in done.stdout
