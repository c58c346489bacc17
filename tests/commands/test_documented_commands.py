"""Every command line of README, CONTRIBUTING and docs is one that this project understands; the cheap ones are run.

A renamed command, option, benchmark, system, tox environment, extra or file makes the page that names it fail here.
"""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from click.testing import CliRunner

from sf2f_bench.benchmarks import ALIASES, BENCHMARKS
from sf2f_bench.commands.main import main
from sf2f_bench.extractors.weights import all_files
from sf2f_bench.protocols.names import BENCH, PROTOCOLS
from sf2f_bench.registry import EXTRACTORS, MODELS
from tests.commands.program import start_from
from tests.documented import PAGES, ROOT, all_commands, anchors, inline_code, links

COMMANDS = all_commands()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini", encoding="utf-8")
ROWS = {(name, BENCH, 0) for name in ("chance", "sf2f-64", "voice2face-64")}
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*|<.*>")  # BENCHMARK, FOLDER, A: a word for the reader to replace


def of_program(*programs):
    found = [command for command in COMMANDS if command.words[0] in programs]
    return pytest.mark.parametrize("command", found, ids=str)


def test_the_pages_hold_commands_of_every_kind():
    programs = {command.words[0] for command in COMMANDS}
    assert {"sf2f-bench", "tox", "pip", "python", "torchrun"} <= programs
    assert len([command for command in COMMANDS if command.words[0] == "sf2f-bench"]) > 30


# ---------------------------------------------------------------- sf2f-bench


def parsed(words, whole=True):
    """click's own reading of the words after `sf2f-bench`: (command, values). Nothing is invoked."""
    command, context = main, None
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        group, name, rest = command, rest[0], rest[1:]
        command = group.commands.get(name)
        if command is None:
            raise click.UsageError(f"no such command {name!r}; known: {', '.join(group.commands)}")
    try:
        context = command.make_context(command.name, rest)
    except click.exceptions.Exit:  # --help, --version
        return command, {}
    except click.exceptions.NoArgsIsHelpError:  # a group alone
        return command, {}
    except (click.MissingParameter, click.BadOptionUsage) as error:
        # A sentence may name a command without its arguments, and its option without the value.
        if whole or (isinstance(error, click.BadOptionUsage) and "requires an argument" not in error.message):
            raise
        return command, {}
    return command, context.params


@of_program("sf2f-bench")
def test_click_reads_every_documented_line(command):
    try:
        _, values = parsed(command.words[1:], command.whole)
    except click.ClickException as error:
        pytest.fail(f"{command}\n{error.format_message()}")
    assert not unknown_names(command.words, values)


def unknown_names(words, values):
    """Benchmarks, systems, networks, protocols and files of weights that nobody knows."""
    known = {
        "benchmark": {*BENCHMARKS, *ALIASES},
        "models": set(MODELS),
        "protocol": set(PROTOCOLS),
        "judge": set(EXTRACTORS),
        "perceptual": set(EXTRACTORS),
        "extractors": set(EXTRACTORS),
    }
    if words[1:3] == ["weights", "import"]:
        known["model"] = set(MODELS)
    if words[1:3] == ["weights", "fetch"]:
        known["name"] = set(all_files())
    missing = []
    for key, names in known.items():
        value = values.get(key)
        for name in value if isinstance(value, tuple) else [value] if value else []:
            bare = name if key == "protocol" else re.split("[@:]", name)[0]
            if not bare.endswith(".py") and not PLACEHOLDER.fullmatch(bare) and bare not in names:
                missing.append(f"{key} {name}")
    return missing


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--seeds", "1"],
        ["runn"],
        ["run", "--budget", "tiny"],
        ["compare", "a"],
        ["weights", "list", "extra"],
        ["export-voices", "synthetic-64"],
    ],
    ids=" ".join,
)
def test_a_line_that_does_not_exist_is_refused(words):
    with pytest.raises(click.ClickException):
        parsed(words)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("run sintetic-64", ["benchmark sintetic-64"]),
        ("run --models sf2f-65@x.safetensors", ["models sf2f-65@x.safetensors"]),
        ("run BENCHMARK --models mine.py:Mine -x deepface:Dlib", []),
        ("run --protocol sf2f-paper/2", ["protocol sf2f-paper/2"]),
        ("weights fetch nothing.pt", ["name nothing.pt"]),
    ],
)
def test_a_name_that_nobody_knows_is_found(line, wrong):
    assert unknown_names(["sf2f-bench", *line.split()], parsed(line.split())[1]) == wrong


def every_option(command=main):
    """All option strings of a command and of its subcommands."""
    found = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return found.union(*(every_option(part) for part in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("page", PAGES)
def test_options_in_sentences_exist(page):
    known = {name for name in every_option() if name.startswith("-")} | {"--help", "--version"}
    named = [
        match[1]
        for code in inline_code(page)
        if (match := re.match(r"(--[a-z][\w-]*|-[a-z])(?=[ =]|$)", code))
    ]
    assert not set(named) - known, "no command has such an option"


@pytest.mark.parametrize("page", PAGES)
def test_shortened_commands_in_sentences_exist(page):
    """`run --seed 1`: a line without its program."""
    for code in inline_code(page):
        words = code.split()
        if (
            words[0] in main.commands
            and len(words) > 1
            and (words[1].startswith("-") or words[0] == "weights")
        ):
            parsed([re.sub(r"^\[(.*)\]$", r"\1", word) for word in words], whole=False)


# ---------------------------------------------------------------- other programs


@of_program("tox")
def test_tox_environments_exist(command):
    words = command.words[1:]
    names = [words[i + 1] for i, word in enumerate(words) if word == "-e"]
    known = {name.removeprefix("testenv:") for name in TOX.sections()}
    assert {name for part in names for name in part.split(",")} <= known


@of_program("pip")
def test_pip_installs_extras_that_exist(command):
    assert command.words[1] in ("install", "wheel")
    for extras in re.findall(r"\.\[([^\]]+)\]", command.text):
        assert set(extras.split(",")) <= set(PYPROJECT["project"]["optional-dependencies"])


@of_program("python", "python3")
def test_modules_and_scripts_exist(command):
    words = command.words[1:]
    if words[:1] == ["-m"]:
        assert importlib.util.find_spec(words[1]) is not None
        if words[1] == "sf2f_bench":
            parsed(words[2:])
    elif words and words[0].endswith(".py"):
        assert (ROOT / words[0]).is_file()


@of_program("torchrun")
def test_torchrun_starts_a_line_that_click_reads(command):
    from torch.distributed.run import get_args_parser

    if len(command.words) == 1:
        return
    options = get_args_parser().parse_args(command.words[1:])
    assert options.module
    assert options.training_script == "sf2f_bench"
    _, values = parsed(options.training_script_args)
    assert not unknown_names(["sf2f-bench", *options.training_script_args], values)


@of_program("bash", "pytest")
def test_files_that_are_run_exist(command):
    for word in command.words[1:]:
        if "/" in word and not word.startswith("-"):
            assert (ROOT / word.partition("::")[0]).exists()


# ---------------------------------------------------------------- links and paths


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / unquote(path)).resolve() if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert not broken, f"{page} links to what is not there"


def test_anchors_are_githubs():
    text = "# The `a/b` of *it*: 100 %\n```\n# no heading\n```\n## How sure\n## How sure\n### Paper's [own](x.md)\n"
    assert anchors(text) == {"the-ab-of-it-100-", "how-sure", "how-sure-1", "papers-own"}


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_sentences_exist(page):
    """Code such as `sf2f_bench/files.py`: a path that begins with a folder of the repository."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    for code in inline_code(page):
        first, slash, rest = code.partition("/")
        is_path = slash and first in folders and re.fullmatch(r"[\w./-]*", rest)
        assert not is_path or (ROOT / code).exists(), f"{page} names {code}, which is not there"


# ---------------------------------------------------------------- the cheap ones, for real


@pytest.fixture(scope="module")
def workplace(anchored, tmp_path_factory):
    """A folder as a user has it after a run: its cache, three of the committed records, the files beside them."""
    folder = start_from(anchored, tmp_path_factory.mktemp("workplace"))
    copied = folder / "results/synthetic-64"
    copied.mkdir(parents=True)
    for path in (ROOT / "results/reference/synthetic-64").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if (record["system"]["name"], record["benchmark"]["protocol"], record["seed"]) in ROWS:
            for file in path.parent.glob(f"{path.stem}.*"):
                shutil.copy(file, copied)
    assert len(list(copied.glob("*.json"))) == len(ROWS)
    return folder


def say(line, folder, monkeypatch):
    """Run a line in a folder, in this process; returns its output."""
    monkeypatch.chdir(folder)
    for name in ("XDG_CACHE_HOME", "SF2F_BENCH_WEIGHTS", "HOME"):
        monkeypatch.setenv(name, str(folder / "empty"))
    done = CliRunner().invoke(main, line.split()[1:])
    assert done.exit_code == 0, f"{line}: {done.output}\n{done.exception!r}"
    return done.output


def documented(start):
    """The line, if a page has it: what is run here must be what is written there."""
    assert any(command.text.startswith(start) for command in COMMANDS), f"no page says {start}"
    return start


def test_help_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "sf2f_bench", "--help"], capture_output=True, text=True, check=True
    )
    assert set(main.commands) <= set(done.stdout.split())


def test_list_names_what_the_pages_run(workplace, monkeypatch):
    output = say(documented("sf2f-bench list"), workplace, monkeypatch)
    assert set(BENCHMARKS) <= set(output.split())


def test_weights_without_any(workplace, monkeypatch):
    assert "inception-2015" in say(documented("sf2f-bench weights list"), workplace, monkeypatch)
    say("sf2f-bench weights verify", workplace, monkeypatch)


def test_compare_two_committed_systems(workplace, monkeypatch):
    documented("sf2f-bench compare")
    output = say("sf2f-bench compare sf2f-64 voice2face-64 --metrics recall@10*", workplace, monkeypatch)
    assert "recall@10" in output


def test_validate_committed_records(workplace, monkeypatch):
    documented("sf2f-bench validate")
    assert "none faulty" in say("sf2f-bench validate results/synthetic-64", workplace, monkeypatch)


def test_report_of_committed_records(workplace, monkeypatch):
    say(documented("sf2f-bench report"), workplace, monkeypatch)
    assert (Path("results/report/report.md")).is_file()


def test_audit_of_the_small_world(workplace, monkeypatch):
    documented("sf2f-bench audit")
    assert "0 alarms" in say("sf2f-bench audit synthetic-64 --budget smoke", workplace, monkeypatch)
