"""A metric and a data set of a user's own, each in one file: used, recorded, and known again after an edit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from sf2f_bench import registry
from sf2f_bench.commands.main import main
from sf2f_bench.results.records import load_all
from sf2f_bench.testing import one_waveform

PEOPLE = {"train": 6, "val": 2, "test": 4}
RUN = ("run", "my_recordings.py:MyRecordings", "--root", "root", "--gallery", "4", "--ks", "1,2")
ROWS = ("--models", "chance", "--budget", "smoke", "--device", "cpu", "--metrics", "nearer.py:Nearer")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the files of `new`, and recordings and photos of a few made-up people."""
    monkeypatch.chdir(tmp_path)
    for words in (("dataset", "my-recordings"), ("metric", "nearer")):
        assert called("new", *words).exit_code == 0
    random = np.random.default_rng(0)
    for split, count in PEOPLE.items():
        for number in range(count):
            person = tmp_path / "root" / split / f"{split}-{number}"
            person.mkdir(parents=True)
            soundfile.write(person / "voice.flac", one_waveform() * random.uniform(0.5, 1), 16_000)
            pixels = random.integers(0, 256, (80, 80, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(person / "photo.png")
    return tmp_path


def called(*words):
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, words, catch_exceptions=False)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    sys.modules.pop(registry._module_name(file), None)


def found(folder):
    """Each record of the mean face, oldest first."""
    records = [one for one in load_all(folder / "results") if one.system.name == "mean-face"]
    return sorted(records, key=lambda record: record.created)


def value(record):
    return next(score.value for score in record.scores if score.metric == "nearer")


def test_a_metric_and_a_data_set_from_files_are_in_the_record_and_an_edit_makes_it_anew(folder):
    done = called(*RUN, *ROWS)
    assert done.exit_code == 0, done.output
    assert "- nearer" in done.output
    assert "my-recordings-64/1" in done.output
    (record,) = found(folder)
    assert (record.benchmark.name, record.benchmark.dataset) == ("my-recordings-64", "my-recordings")
    assert record.metrics["nearer"].source.startswith("source ")
    assert record.metrics["cosine"].source == record.system.source == ""

    assert "nothing to do" in called(*RUN, *ROWS).output
    edit(folder / "nearer.py", "values = own - others", "values = 2 * (own - others)")
    assert "nothing to do" not in called(*RUN, *ROWS).output
    first, second = found(folder)
    assert first.key != second.key
    assert value(second) == pytest.approx(2 * value(first))
    assert first.benchmark.data_hash == second.benchmark.data_hash

    edit(folder / "nearer.py", "values = 2 * (own - others)", "values = own - others")
    assert "nothing to do" in called(*RUN, *ROWS).output
    report = called("report")
    assert "the code of nearer differs" in report.output  # each in a table of its own


def test_an_edited_data_set_prepares_its_data_anew(folder):
    hashes = []
    for words in ((), ("train", "val")):
        if words:
            edit(folder / "my_recordings.py", '"""The people of a split,', '"""People of a split,')
        done = called("prepare", *RUN[1:4], "--jobs", "1")
        assert done.exit_code == 0, done.output
        hashes.append(done.stdout.split("data hash ")[1].split()[0])
    assert len(set(hashes)) == 2


@pytest.mark.parametrize(
    ("target", "old", "new", "message"),
    [
        ("my_recordings.py:Mine", "", "", "has no class Mine"),
        ("gone.py:Mine", "", "", "there is no file gone.py"),
        ("my_recordings.py:files_in", "", "", "has no class attribute `card`"),
        ("my_recordings.py:MyRecordings", 'name="my-recordings"', 'name="Synthetic"', "installed data set"),
        ("my_recordings.py:MyRecordings", 'name="my-recordings"', 'name="a/b"', "cannot name a folder"),
    ],
)
def test_a_data_set_that_cannot_be_used_is_named(folder, target, old, new, message):
    edit(folder / "my_recordings.py", old, new)
    done = called("prepare", target, "--root", "root")
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (folder / ".sf2f-bench").exists()


def test_a_size_may_follow_the_class(folder):
    done = called("prepare", "my_recordings.py:MyRecordings-128", "--root", "root", "--jobs", "1")
    assert "4 test identities" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metrics", "nearer.py:nearers"), "two metrics are called nearer"),
        (("--metrics", "nearer.py:unit"), "unit (nearer.py:"),
        (("--metrics", "nearer"), "unknown set of metrics 'nearer'"),
        (("--protocol", "sf2f-paper/1"), "sf2f-paper/1 has the published metrics alone"),
        (("--protocol", "sf2f-paper/1", "-x", "dinov2-vits14"), "leave out --extractors dinov2-vits14"),
    ],
)
def test_a_metric_that_cannot_be_used_is_named_before_anything_is_prepared(folder, words, message):
    done = called(*RUN, *ROWS, *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (folder / ".sf2f-bench").exists()
