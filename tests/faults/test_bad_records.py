"""A record that cannot be used, of every kind: named, and every command that reads records goes on with the others."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from sf2f_bench.commands.main import main
from sf2f_bench.commands.score import _row_name
from sf2f_bench.results.records import load, load_all
from sf2f_bench.results.texts import clean, csv_of
from sf2f_bench.runs.migration import migrate
from tests.unit.record_factory import record, saved

NASTY = "\x1b]0;owned\x07\x1b[31m<script>[/nope] a|b `=1+1`\nnew \u202eline\ud800"


def as_json(change):
    """Spoil the JSON by changing its content."""

    def spoil(path):
        content = json.loads(path.read_text())
        content["files"].pop("sha256", None)
        path.write_text(json.dumps(change(content) or content))

    return spoil


def as_text(text):
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode())


def setting(*where, to):
    def change(content):
        for step in where[:-1]:
            content = content[step]
        content[where[-1]] = to

    return as_json(change)


def as_side(side, make):
    """Spoil a side file, the record unsealed so that the file itself is read."""

    def spoil(path):
        as_json(lambda content: None)(path)
        file = load(path).path_of(side)
        file.write_bytes(make(file))

    return spoil


def table_of(**columns):
    def make(_):
        buffer = io.BytesIO()
        pd.DataFrame(columns).to_parquet(buffer)
        return buffer.getvalue()

    return make


def bomb(_):
    """A PNG that states 30,000 x 30,000 pixels."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def wrong_crc(file):
    whole = bytearray(file.read_bytes())
    whole[-6] ^= 1  # of the last chunk
    return bytes(whole)


def other_size(_):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((32, 128, 3), np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def sealed_flip(path):
    file = load(path).path_of("per_identity")
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 4] ^= 1
    file.write_bytes(bytes(whole))


def as_fifo(path):
    path.unlink()
    os.mkfifo(path)


def as_folder(path):
    path.unlink()
    path.mkdir()


SPOILT = {
    "deep nesting": as_text("[" * 100_000 + "]" * 100_000),
    "an integer of 5,000 digits": as_text('{"schema_version": 2, "scores": [], "seed": ' + "9" * 5000 + "}"),
    "an integer of 400 digits": setting("seed", to=10**400),
    "infinity": setting("cost", "wall_seconds", to=float("inf")),
    "a number beyond all": as_text('{"schema_version": 2, "scores": [], "x": 1e999}'),
    "foreign JSON": as_text('{"name": "a package"}'),
    "a list": as_text("[1, 2]"),
    "empty": as_text(""),
    "binary": as_text(bytes(range(256))),
    "a FIFO": as_fifo,
    "a folder": as_folder,
    "gallery 0": setting("benchmark", "gallery_size", to=0),
    "no ks": setting("benchmark", "ks", to=[]),
    "k 0": setting("benchmark", "ks", to=[0]),
    "pictures of 0 pixels": setting("benchmark", "image_size", to=0),
    "no identity column": as_side("per_identity", table_of(other=["a"])),
    "struct column": as_side("per_identity", table_of(identity=["a"], x=[{"y": 1}])),
    "list column": as_side("per_identity", table_of(identity=["a"], x=[[1.0, 2.0]])),
    "text column": as_side("per_identity", table_of(identity=["a"], x=["="])),
    "identities as numbers": as_side("per_identity", table_of(identity=[1.0])),
    "empty Parquet": as_side("per_identity", lambda file: b""),
    "cut Parquet": as_side("per_identity", lambda file: file.read_bytes()[:-9]),
    "flipped byte": sealed_flip,
    "empty curve": as_side("curve", lambda file: b""),
    "binary curve": as_side("curve", lambda file: bytes(range(256)) * 9),
    "curve of other columns": as_side("curve", lambda file: b"a,b\n1,2\n"),
    "curve of texts": as_side("curve", lambda file: b"stage,step,loss\nfit,one,two\n"),
    "cut curve": as_side("curve", lambda file: file.read_bytes()[:-3]),
    "curve of an empty name": setting("files", "curve", to=""),
    "empty picture": as_side("faces", lambda file: b""),
    "cut picture": as_side("faces", lambda file: file.read_bytes()[:200]),
    "SVG": as_side("faces", lambda file: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "wrong CRC": as_side("faces", wrong_crc),
    "picture bomb": as_side("faces", bomb),
    "picture of another size": as_side("faces", other_size),
}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """results/ with two honest records."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results"
    saved(record("chance", 0.1, "own"), folder)
    saved(record("voice2face-64", 0.2), folder)
    return folder


@pytest.fixture
def third(results):
    """The path of a third one, to be spoilt."""
    made = saved(record("sf2f-64"), results, faces=True, curve=True)
    return results / f"{made.stem}.json"


def saved_elsewhere(results):
    """Another folder with an honest record."""
    saved(record("chance", 0.1, "own"), results.parent / "others")
    return results.parent / "others"


def said(*words):
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("kind", SPOILT)
def test_it_is_named_and_the_others_are_read(results, third, kind):
    SPOILT[kind](third)
    code, output = said("export", results, "--out", "scores.csv")
    assert code == 0
    assert f"left out: {third}: " in output
    assert set(pd.read_csv("scores.csv")["system"]) == {"chance", "voice2face-64"}
    code, output = said("validate", results)
    assert code == 1
    assert f"FAULTY {third} - " in output
    assert "FAULTY" in output.replace(f"FAULTY {third}", "", 1) or "3 records, " in output
    code, output = said("compare", "voice2face-64", third, results)
    assert code == 2
    assert str(third) in output


@pytest.mark.parametrize("kind", ["deep nesting", "no identity column", "picture bomb", "a FIFO"])
def test_report_and_check_go_on_too(results, third, kind):
    SPOILT[kind](third)
    code, output = said("report", results)
    assert code == 0
    assert f"left out: {third}: " in output
    assert "sf2f-64 (" not in (results / "report" / "table.txt").read_text()
    reference = saved_elsewhere(results)
    code, output = said("check", results, "--against", reference)
    assert code == 2
    assert str(third) in output.replace(" ", "") or third.name in output.replace(" ", "")


def test_a_byte_order_mark_is_read(results, third):
    third.write_bytes(b"\xef\xbb\xbf" + third.read_bytes())
    assert len(load_all(results)) == 3
    assert migrate(third).fault == ""


# ---------------------------------------------------------------- texts


@pytest.fixture
def nasty(results):
    """A record whose every text is a stranger's."""
    made = saved(record("sf2f-64"), results)
    path = results / f"{made.stem}.json"

    def change(content):
        content["system"] |= {"name": NASTY, "label": f"=1+1 {NASTY} {'x' * 300}", "limits": NASTY}
        content["notes"] = [NASTY]
        content["weights"] = {next(iter(content["weights"])): f"<script>[x](y) {NASTY}"}

    as_json(change)(path)
    return path


def test_texts_of_strangers_are_harmless_in_every_output(results, nasty):
    found = load(nasty)
    assert found.system.label.isprintable()
    assert len(found.system.label) == 100
    assert len(found.stem) < 160
    outputs = []
    for words in (["report", results], ["validate", results], ["export", results, "--out", "t.csv"]):
        outputs.append(CliRunner().invoke(main, list(map(str, words))).output)
    written = [
        (results / "report" / name).read_text()
        for name in ("report.md", "report.html", "table.txt", "table.tex")
    ]
    for text in outputs + written:
        assert not {"\x1b", "\x07", "\u202e", "\ud800"} & set(text)
    assert "<script>[x]" not in written[0]
    assert "[x](y)" not in written[0]
    for file in (results / "report" / "scores.csv", results.parent / "t.csv"):
        labels = pd.read_csv(file)["label"]
        assert any(label.startswith("'=1+1") for label in labels)
        assert not labels.str.startswith(("=", "+", "-", "@")).any()


def test_numbers_of_a_table_stay_numbers_and_only_texts_are_quoted():
    table = pd.DataFrame({"value": [-1.5, 2.0], "name": ["-x", "a-b"], "n": [None, 3]})
    assert csv_of(table).splitlines() == ["value,name,n", "-1.5,'-x,", "2.0,a-b,3.0"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë O'Neill-Ó", "Zoë O'Neill-Ó"),
        ("a\nb\tc", "a b c"),
        ("\x1b[31mx", "?[31mx"),
        ("\ud800", "?"),
        ("x" * 9, "xxxxxxx…"),
    ],
)
def test_clean(text, shown):
    assert clean(text, 8 if len(text) == 9 else 100) == shown


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_encoding_that_lacks_a_letter_does_not_end_a_command(results, encoding):
    made = saved(record("Zoë 中文", label="Zoë 中文"), results)
    assert made.system.label == "Zoë 中文"
    for words in (
        ["report", "results"],
        ["validate", "results"],
        ["compare", "chance", "voice2face-64", "results"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "sf2f_bench", *words],
            cwd=results.parent,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()


@pytest.mark.parametrize("ks", ["5,5", "0,5", "-1", ""])
def test_each_k_is_named_once(tmp_path, ks):
    code, output = said("run", "--ks", ks, "--results", tmp_path / "r", "--cache", tmp_path / "c")
    assert code == 2
    assert f"expected {'numbers' if ks else 'a value'}" in output


def test_results_are_not_judged_against_themselves(results):
    code, output = said("check", results, "--against", results.parent / "results")
    assert code == 2
    assert "compared with itself" in output


@pytest.mark.parametrize("words", [("--margin", "cosin=0.1"), ("--rules", "rules.toml")])
def test_a_rule_for_a_metric_that_no_record_has_is_named(results, tmp_path, words):
    (tmp_path / "rules.toml").write_text('decide = ["judge:cosin"]')
    reference = Path(__file__).parents[2] / "results" / "reference" / "smoke-64"
    code, output = said("check", reference.parent, "--against", reference, *words)
    assert code == 2
    assert "unknown metric 'cosin': did you mean 'cosine'" in output


@pytest.mark.parametrize(
    "text", ['decide = ["judge:{x}"]', 'decide = ["{0}"]', '[margins]\n"{x}" = "a{0}"', '"{0}" = 3']
)
def test_braces_in_rules_are_texts(results, tmp_path, text):
    (tmp_path / "rules.toml").write_text(text)
    code, _ = said(
        "check", results, "--against", saved_elsewhere(results), "--rules", tmp_path / "rules.toml"
    )
    assert code == 2


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("[/nope]", "[/nope]"),
        ("[red]x", "[red]x"),
        ("=1+1", "=1+1"),
        ("a\nb\x1b[2J", "a b?[2J"),
        ("\udcff", "?"),
    ],
)
def test_a_name_on_the_command_line_is_one_that_can_be_printed(capsys, name, kept):
    assert _row_name(name) == kept
    assert ("the row is called" in capsys.readouterr().err) == (name != kept)
    assert len(_row_name("x" * 300)) == 100


def test_a_folder_whose_name_is_no_utf_8(results):
    odd = results.rename(os.fsdecode(b"r\xffs"))
    saved(record("sf2f-64"), odd, faces=True, curve=True)
    assert said("export", odd, "--out", "t.csv")[0] == 0
    assert said("report", odd)[0] == 0
    assert len(pd.read_csv("t.csv")["system"].unique()) == 3
