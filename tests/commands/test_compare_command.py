"""`sf2f-bench compare` as a user types it, on the committed records."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from sf2f_bench.commands.compare import compare
from sf2f_bench.types import BenchError

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference" / "synthetic-64"
ONE, TWO = "sf2f-64 (width 0.25), seed 0", "voice2face-64 (width 0.25), seed 0"


def printed(*words: str, width: int = 120) -> str:
    done = CliRunner(env={"COLUMNS": str(width)}).invoke(
        compare, [*words, str(REFERENCE)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_it_begins_with_the_answer_and_says_what_is_missing_for_a_verdict():
    text = printed(ONE, TWO)
    words = " ".join(text.split())
    first = "It cannot be told whether sf2f-64 (width 0.25) or voice2face-64 (width 0.25) is better on the primary "
    assert words.split("sf2f-bench/1 ")[1].lstrip("─ ").startswith(first)
    for expected in (
        "metric, recall@10 g100: ",
        ", for new people alone).",
        "Calling one better needs three training seeds a side; has 1 and 1 (`sf2f-bench run --seed 1`).",
        f"A {ONE}",
        f"B {TWO}",
        "By the judge: embedded-judge/1",
        "few seeds",
        "more metrics: --all prints them",
        "test identities",
        "No verdicts, p and q: better or worse needs three training seeds a side; has 1 and 1.",
    ):
        assert expected in words
    assert "is better than" not in words
    assert "A better" not in words
    assert len(text.splitlines()) < 80  # two protocols


def test_without_the_primary_metric_the_answer_says_so():
    words = " ".join(printed(TWO, ONE, "--metrics", "recall@5/full").split())
    assert "The primary metric, recall@10/g100, was not compared." in words


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("words", [(), ("--all",)])
def test_no_number_no_word_and_no_verdict_is_cut(width, words):
    text = printed(ONE, TWO, *words, width=width)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    headings = next(line for line in text.splitlines() if "A - B" in line).split()
    assert ("detectable" in headings) == (width >= 100)
    assert "kernel distance x1000" in text


def test_files_hold_the_same_numbers(tmp_path):
    files = [
        part for kind in ("json", "csv", "markdown") for part in (f"--{kind}", str(tmp_path / f"out.{kind}"))
    ]
    printed(ONE, TWO, "--metrics", "mrr/full", *files)
    table = pd.read_csv(tmp_path / "out.csv")
    rows = json.loads((tmp_path / "out.json").read_text())["comparisons"]
    assert len(rows) == len(table) == 3
    for row, (_, line) in zip(rows, table.iterrows(), strict=True):
        assert row["metric"] == line["metric"] == "mrr/full"
        assert row["difference"] == pytest.approx(line["difference"])
        assert row["lower"] < row["difference"] < row["upper"]
        assert (row["verdict"], row["p"], row["q"], row["family"]) == (
            "too few seeds",
            None,
            None,
            "identity",
        )
        assert (row["seeds_a"], row["n"]) == ("0", 300)
        assert row["metrics"] > 50  # q would be over all of them
    text = (tmp_path / "out.markdown").read_text()
    assert text.startswith("## synthetic-64/1, protocol sf2f-bench/1")
    assert text.count("| MRR | ") == 3  # by both judges and by the network of the training loss


def test_a_wrong_name_is_refused_with_the_nearest():
    with pytest.raises(BenchError, match="did you mean 'voice2face-64'"):
        printed(ONE, "voice2fase-64")
