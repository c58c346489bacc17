"""Disks and caches that fail: killed, full, read-only, damaged, shared. One line says so, and work goes on."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock
from rich.console import Console

from sf2f_bench import files
from sf2f_bench.commands.main import main
from sf2f_bench.data import shards
from sf2f_bench.data.prepared import prepare
from sf2f_bench.exchange import voices_out
from sf2f_bench.files import check_writable, read_json, write_atomically, write_json
from sf2f_bench.progress import Reporter
from sf2f_bench.training.board import Board
from sf2f_bench.types import BenchError
from tests.commands.program import PROGRAM, environment
from tests.tiny import TinyDataset, TinyFrontend


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__(Console(file=io.StringIO()))
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "FILES_PER_SHARD", 20)


def make(folder, reporter=None):
    return prepare(TinyDataset(), TinyFrontend(), 16, folder, reporter or Told(), jobs=1)


# ---------------------------------------------------------------- killed


KILLED_WRITE = "import os, sys; from pathlib import Path; from sf2f_bench.files import write_atomically; "
KILLED_WRITE += "write_atomically(Path(sys.argv[1]), lambda path: os._exit(9))"


def kill_while_writing(path):
    subprocess.run([sys.executable, "-c", KILLED_WRITE, path], check=False)


@pytest.mark.parametrize("name", ["settings.json", "plan.json", "shards/00000.safetensors", "store.json"])
def test_a_kill_while_preparing_stops_no_later_run_and_leaves_nothing_behind(tmp_path, name):
    expected = make(tmp_path / "whole").data_hash
    folder = tmp_path / "store"
    kill_while_writing(folder / name)
    assert any(path.name.startswith(".") for path in (folder / name).parent.iterdir())
    if name != "settings.json":
        write_json(folder / "settings.json", read_json(tmp_path / "whole" / "settings.json"))
    if name.startswith("shards"):
        write_json(folder / "plan.json", read_json(tmp_path / "whole" / "plan.json"))
    assert make(folder).data_hash == expected
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")} - {".lock"}
    whole = {path.relative_to(tmp_path / "whole").as_posix() for path in (tmp_path / "whole").rglob("*")}
    assert names == whole - {".lock"}


def test_a_kill_while_exporting_stops_no_later_export(tmp_path):
    kill_while_writing(tmp_path / "export.json")
    voices_out._refuse_other_contents(tmp_path)
    voices_out._claim(tmp_path, {"benchmark": "b", "data_hash": "h"}, Told())
    assert {path.name for path in tmp_path.iterdir()} == {"export.json"}


@pytest.mark.parametrize("refuse", [lambda folder: make(folder), voices_out._refuse_other_contents])
def test_a_folder_with_anything_else_is_still_refused(tmp_path, refuse):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BenchError, match="is not empty"):
        refuse(tmp_path)


def test_the_temporary_file_of_a_process_that_runs_is_left_alone(tmp_path):
    path = tmp_path / "a.json"

    def write(temporary):
        write_atomically(path, lambda other: other.write_text("inner"))
        temporary.write_text("outer")

    write_atomically(path, write)
    assert path.read_text() == "outer"
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- shared


@pytest.mark.parametrize(
    "work",
    [
        lambda folder, told: make(folder, told),
        lambda folder, told: files.only_one(folder / ".lock", "working", told.say).__enter__(),
    ],
)
def test_of_two_at_once_one_says_that_it_waits_and_goes_on(tmp_path, work):
    told = Told()
    with FileLock(tmp_path / ".lock"):
        thread = threading.Thread(target=work, args=(tmp_path, told))
        thread.start()
        for _ in range(200):
            if told.lines:
                break
            time.sleep(0.05)
        assert "another" in told.lines[0]
        assert thread.is_alive()
    thread.join(60)
    assert not thread.is_alive()


HOLDER = "import sys, time; from pathlib import Path; from sf2f_bench.files import only_one\n"
HOLDER += "with only_one(Path(sys.argv[1]), '', print): print('held', flush=True); time.sleep(100)"


def test_the_holder_is_named_ctrl_c_ends_the_waiting_and_a_dead_holder_holds_nothing(tmp_path):
    store = tmp_path / "store"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, store / ".lock"], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    command = [*PROGRAM, "prepare", "--budget", "smoke", "--out", str(store)]
    waiting = subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    said = waiting.stderr.readline()
    assert f"another run (process {holder.pid} on " in said
    assert f"is preparing {store}" in said
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(60) == 130
    assert waiting.stderr.read() == "stopped; give the same command again to resume\n"
    holder.kill()
    holder.wait()
    with files.only_one(store / ".lock", "preparing", pytest.fail):
        pass
    assert {path.name for path in store.iterdir()} <= {".lock"}


# ---------------------------------------------------------------- full, read-only


OUTPUTS = [
    (command.name, parameter.opts[0])
    for command in (*main.commands.values(), *main.commands["weights"].commands.values())
    for parameter in command.params
    if parameter.opts[0] in ("--out", "--json", "--csv", "--markdown", "--junit")
    and command.name not in ("prepare", "export-voices")  # whose finished store may lie on a read-only disk
]
NEEDED = {  # of each command, beside the output
    "associate": ("lists", "--voices", "v", "--faces", "f", "--model", "sf2f-64@x"),
    "check": ("--against", "reference"),
    "compare": ("a", "b"),
    "new": ("model", "deep-listener"),
}


@pytest.mark.parametrize(("command", "option"), OUTPUTS)
@pytest.mark.parametrize("place", ["file/below", "no-more/below"])
def test_an_output_that_cannot_be_written_is_known_before_any_work(
    tmp_path, monkeypatch, command, option, place
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "no-more").mkdir()
    made = tempfile.TemporaryFile

    def refused(dir):
        if "no-more" in str(dir):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return made(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    group = ("weights",) if command == "build-embedded" else ()
    done = CliRunner().invoke(
        main, [*group, command, *NEEDED.get(command, ()), option, f"{place}/out.csv"], catch_exceptions=False
    )
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(f"error: {option}: {place.split('/')[0]}")


def test_what_cannot_be_written_below_proc_is_one_line():
    with pytest.raises(BenchError, match="/proc/none cannot be written to"):
        write_json(Path("/proc/none/a.json"), {})


REFUSALS = {
    errno.ENOSPC: "free some space",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EIO: "check the disk",
}


@pytest.mark.parametrize("number", REFUSALS)
@pytest.mark.parametrize("nth", [1, 3, 5])
def test_a_disk_that_refuses_is_named_and_the_same_call_goes_on_afterwards(
    tmp_path, monkeypatch, number, nth
):
    expected = make(tmp_path / "whole").data_hash
    calls = iter(range(1, 1000))

    def refuse(handle):
        if next(calls) >= nth:
            raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", refuse)
        with pytest.raises(BenchError, match=REFUSALS[number]) as raised:
            make(tmp_path / "store")
    assert str(tmp_path / "store") in str(raised.value)
    assert "the same command goes on" in str(raised.value)
    assert make(tmp_path / "store").data_hash == expected


def test_a_library_with_exceptions_of_its_own_is_understood(tmp_path):
    def write(temporary):
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    with pytest.raises(BenchError, match="free some space"):
        write_atomically(tmp_path / "a.safetensors", write)


def test_a_full_disk_in_training_is_no_fault_of_the_system(tmp_path, monkeypatch):
    board = Board(tmp_path / "board", 0)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(board.writer, "add_scalar", full)
    with pytest.raises(BenchError, match=r"board cannot be written to .*free some space"):
        board.scalars(1, {"stage": "fit", "step": 1, "loss": 0.5}, 1.0)


def test_other_errors_stay_what_they_are(tmp_path):
    def write(temporary):
        raise ValueError("a fault of the program")

    with pytest.raises(ValueError, match="a fault of the program"):
        write_atomically(tmp_path / "a.json", write)
    assert list(tmp_path.iterdir()) == []


def in_the_way(folder):
    (folder / "file").write_text("")
    return folder / "file" / "below"


def dangling(folder):
    (folder / "link").symlink_to(folder / "nowhere")
    return folder / "link"


def looping(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


WORDS = {
    "prepare": ("prepare", "--cache"),
    "prepare to a folder": ("prepare", "--out"),
    "run, cache": ("run", "--budget", "smoke", "--cache"),
    "run, results": ("run", "--budget", "smoke", "--results"),
    "export-voices": ("export-voices", "--cache"),
    "new": ("new", "model", "deep-listener", "--out"),
}


@pytest.mark.parametrize("place", [in_the_way, dangling, looping])
@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path, monkeypatch, words, place):
    monkeypatch.chdir(tmp_path)
    path = place(tmp_path)
    further = ("--out", tmp_path / "voices") if words[0] == "export-voices" else ()
    done = CliRunner().invoke(main, [*words, str(path), *map(str, further)])
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1 or "Usage" in done.stderr
    assert str(path) in done.stderr or str(path.parent) in done.stderr


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")


@LINUX
def test_a_device_is_written_to_and_not_replaced(tmp_path):
    for name in ("null", "full"):
        (tmp_path / name).symlink_to(f"/dev/{name}")
    assert write_json(tmp_path / "null", {}) == tmp_path / "null"
    with pytest.raises(BenchError, match="No space left"):
        write_json(tmp_path / "full", {})
    assert all(
        (tmp_path / name).is_char_device() and (tmp_path / name).is_symlink() for name in ("null", "full")
    )
    assert len(list(tmp_path.iterdir())) == 2


@LINUX
@pytest.mark.parametrize(
    "words", [*WORDS.values(), ("weights", "build-embedded", "--out"), ("audit", "--json")]
)
def test_a_folder_of_the_system_is_refused_at_once(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    further = ("--out", "voices") if words[0] == "export-voices" else ()
    done = CliRunner().invoke(main, [*words, "/proc/nowhere/out", *further])
    assert done.exit_code == 2, done.output
    assert "/proc" in done.stderr
    assert "cannot be written to" in done.stderr


def test_a_name_that_is_too_long_is_named(tmp_path):
    with pytest.raises(BenchError, match=f"{'x' * 300}.*choose a shorter name"):
        write_json(tmp_path / ("x" * 300), {})


def test_a_cache_behind_a_link_is_a_cache(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    check_writable(tmp_path / "cache", "--cache")
    check_writable(tmp_path / "cache" / "new" / "folder", "--cache")
    assert make(tmp_path / "cache" / "store").data_hash == make(tmp_path / "cache" / "store").data_hash


# ---------------------------------------------------------------- damaged


DAMAGE = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "noise": lambda content: bytes(200),
}
FINISHED = [
    "store.json",
    "identities.parquet",
    "manifest.parquet",
    "left_out.csv",
    "shards/00001.safetensors",
]
UNFINISHED = ["plan.json", "shards/00001.safetensors", "shards/00001.parquet"]


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", FINISHED)
def test_a_damaged_file_of_a_finished_store_is_named_and_made_anew(tmp_path, name, how):
    expected, told = make(tmp_path), Told()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / name).write_bytes(DAMAGE[how](before[tmp_path / name]))
    assert make(tmp_path, told).data_hash == expected.data_hash
    assert f"{tmp_path / name} is damaged" in told.lines[0]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    make(tmp_path, again := Told())
    assert again.lines == []


@pytest.mark.parametrize("name", [*FINISHED, "settings.json", "plan.json", "shards/00001.parquet"])
@pytest.mark.parametrize("make_other", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_in_a_store_is_set_aside(tmp_path, name, make_other):
    expected, told = make(tmp_path), Told()
    (tmp_path / name).unlink()
    make_other(tmp_path / name)
    if name != "store.json":
        (tmp_path / "store.json").unlink()
    assert make(tmp_path, told).data_hash == expected.data_hash
    assert any(f"{tmp_path / name} is" in line and "no file" in line for line in told.lines)
    assert (tmp_path / f"{name}.damaged").exists()


@pytest.mark.parametrize("name", ["identities.parquet", "manifest.parquet", "left_out.csv"])
def test_one_bit_of_a_store_s_tables_is_not_taken_for_another_truth(tmp_path, name):
    expected, told = make(tmp_path), Told()
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / name).write_bytes(content)
    assert make(tmp_path, told).data_hash == expected.data_hash
    assert f"{tmp_path / name} is damaged" in told.lines[0]


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", UNFINISHED)
def test_a_damaged_file_of_an_interrupted_store_is_made_anew(tmp_path, name, how):
    expected = make(tmp_path).data_hash
    (tmp_path / "store.json").unlink()
    (tmp_path / name).write_bytes(DAMAGE[how]((tmp_path / name).read_bytes()))
    assert make(tmp_path).data_hash == expected


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_settings_are_made_anew_where_the_name_of_the_folder_says_them(tmp_path, how):
    whole = make(tmp_path / "named")
    (whole.folder / "store.json").unlink()
    settings = whole.folder / "settings.json"
    content = settings.read_bytes()
    settings.write_bytes(DAMAGE[how](content))
    with pytest.raises(BenchError, match=r"settings.json is damaged .*: delete .*named to prepare it again"):
        make(tmp_path / "named")
    key = files.hash_of(
        {name: value for name, value in whole.settings.items() if name not in ("data_hash", "sha256")}
    )
    whole.folder.rename(tmp_path / key)
    make(tmp_path / key, told := Told())
    assert "settings.json is damaged" in told.lines[0]
    assert (tmp_path / key / "settings.json").read_bytes() == content


# ---------------------------------------------------------------- ended from outside


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_workers_end_with_the_command_and_the_command_says_so(tmp_path, number, code):
    command = [*PROGRAM, "prepare", "--budget", "smoke", "--out", str(tmp_path / "store")]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    started = time.monotonic()
    while not list((tmp_path / "store" / "shards").glob("*.parquet")):
        assert time.monotonic() - started < 120
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)  # ends when the last worker has closed its stderr
    assert process.returncode == code
    if number != signal.SIGKILL:
        assert said.splitlines()[-1] == "stopped; give the same command again to resume"
        assert "leaked" not in said
        assert "Traceback" not in said
    before = sorted((tmp_path / "store" / "shards").iterdir())
    time.sleep(2)
    assert sorted((tmp_path / "store" / "shards").iterdir()) == before
