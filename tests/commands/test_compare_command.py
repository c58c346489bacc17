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


def test_it_prints_what_is_compared_how_sure_it_is_and_what_it_does_not_say():
    text = printed(ONE, TWO, "--metrics", "recall@10/g100")
    words = " ".join(text.split())
    for expected in (
        "synthetic-64/1, protocol sf2f-bench/1",
        f"A {ONE}",
        f"B {TWO}",
        "By the judge: embedded-judge/1",
        "By the network of the training loss: embedded-perceptual/1",
        "recall@10/g100 .245 .125 +.120 [",
        "better",
        "n = 300 test identities",
        "2 metrics.",
        "No difference shown does not mean equal",
        "One training seed each",
    ):
        assert expected in words


def test_two_seeds_can_show_little_and_it_says_so():
    words = " ".join(printed("sf2f-64", "voice2face-64", "--metrics", "recall@10/g100").split())
    assert "seeds 0, 1" in words
    assert "2 seeds, in pairs" in words
    judge = words[words.index("By the judge") : words.index("By the network of the training loss")]
    assert "no difference shown" in judge  # one seed each shows one: the test above


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_number_and_no_verdict_is_cut(width):
    text = printed(ONE, TWO, "--metrics", "recall@1*/full", width=width)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    assert "better" in text


def test_files_hold_the_same_numbers(tmp_path):
    files = ["--json", str(tmp_path / "out.json"), "--csv", str(tmp_path / "out.csv")]
    printed(ONE, TWO, "--metrics", "mrr/full", *files)
    table = pd.read_csv(tmp_path / "out.csv")
    rows = json.loads((tmp_path / "out.json").read_text())["comparisons"]
    assert len(rows) == len(table) == 2
    for row, (_, line) in zip(rows, table.iterrows(), strict=True):
        assert row["metric"] == line["metric"] == "mrr/full"
        assert row["difference"] == pytest.approx(line["difference"])
        assert row["lower"] < row["difference"] < row["upper"]
        assert row["verdict"] in ("better", "worse", "no difference shown")
        assert (row["seeds_a"], row["n"], row["metrics"]) == ("0", 300, 2)


def test_a_wrong_name_is_refused_with_the_nearest():
    with pytest.raises(BenchError, match="did you mean 'voice2face-64'"):
        printed(ONE, "voice2fase-64")
