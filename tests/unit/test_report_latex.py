"""The LaTeX file: all that a paper has to take along, and nothing that LaTeX would take for a command."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from record_factory import benchmark, full_bench, record
from test_report import NASTY, everyone
from test_report_rows import everyone_on_paper

from sf2f_bench.report.latex import latex, latex_file
from sf2f_bench.report.published import published
from sf2f_bench.report.words import ETHICS, PUBLISHED
from sf2f_bench.results.selection import groups

COMMANDS = {  # that this file may use
    *("begin", "end", "centering", "scriptsize", "setlength", "tabcolsep", "caption", "toprule", "midrule"),
    *("bottomrule", "multicolumn", "emph", "paragraph", "pm"),
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"),
}


@pytest.fixture(scope="module")
def text() -> str:
    """Of every instrument, both protocols, and a name and a benchmark full of special characters."""
    made = [*full_bench(), *everyone_on_paper(), record(NASTY, 0.3)]
    made += [record(NASTY, 0.2, benchmark=benchmark(name=NASTY))]
    return latex_file(groups(made))


def published_rows(text: str) -> list[list[str]]:
    """The cells of every row of the two tables of published rows."""
    tables = [part for part in text.split(r"\begin{table*}") if r"\caption{Published rows" in part]
    assert len(tables) == 2
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]
        for table in tables
        for line in table.splitlines()
        if re.match(r"\{\}\d+\. ", line)
    ]


def test_every_published_row_stands_there_with_its_source_and_all_that_was_printed(text):
    rows, expected = published_rows(text), published().rows
    names = [column.metric for column in published().columns]
    conditions, numbers = rows[: len(expected)], rows[len(expected) :]
    assert len(numbers) == len(expected)
    for i, row in enumerate(expected):
        cells = dict(zip(names, map(str, row.cells), strict=True))
        assert conditions[i][0] == numbers[i][0] == "{}" + latex(f"{i + 1}. {row.label}")
        assert latex(cells["source"]) in conditions[i]
        assert latex(cells["embedding"]) in conditions[i] or not cells["embedding"]
        printed = [latex(cells[k]) or "--" for k in ("cosine", "l1", "l2", "recall@1", "recall@2")]
        printed += [latex(cells[k]) or "--" for k in ("recall@5", "recall@10", "vfs_mean")]
        assert numbers[i][1:] == printed
        assert latex(cells["note"]) in text


def test_it_says_why_published_rows_stand_apart_and_what_the_numbers_are_not_for(text):
    assert text.count(latex(PUBLISHED)) == 2  # in the caption of either table
    for sentence in ETHICS:
        assert latex(sentence) in text


def test_nothing_is_left_that_latex_would_take_for_a_command(text):
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert set(re.findall(r"\\([A-Za-z]+)", body)) <= COMMANDS
    bare = re.sub(r"\\([A-Za-z]+|[&%#_{}$\\])|\$\\pm\$", "", body)  # without commands and escaped characters
    assert not set(re.findall(r"[%#_~^$]", bare))
    assert not set(re.findall(r"[^\x00-\x7f]", bare))
    depth = 0
    for brace in re.findall(r"[{}]", bare):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0


def test_every_row_has_as_many_cells_as_its_table_has_columns(text):
    for table in text.split(r"\begin{table*}")[1:]:
        columns = len(re.search(r"\\begin\{tabular\}\{(l+)\}", table)[1])
        inside = table.split(r"\toprule")[1].split(r"\bottomrule")[0]
        rows = [line for line in inside.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
        assert rows
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {columns}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_whole_file_compiles(text, tmp_path):
    (tmp_path / "table.tex").write_text(text, encoding="utf-8")
    (tmp_path / "x.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
        "\\extrafloats{100}\\begin{document}\\input{table}\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "x.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout[-2000:]


# ---------------------------------------------------------------- order of the benchmarks


def test_benchmarks_stand_in_natural_order_and_the_own_protocol_first():
    names = ("synthetic-128", "null-pairs", "synthetic-64", "hq-voxceleb-64")
    made = [one for name in names for one in everyone(benchmark=benchmark(name=name))]
    found = groups([*everyone_on_paper(), *made])
    assert [(group.benchmark, group.protocol.name) for group in found] == [
        ("hq-voxceleb-64/1", "sf2f-bench/1"),
        ("null-pairs/1", "sf2f-bench/1"),
        ("synthetic-64/1", "sf2f-bench/1"),
        ("synthetic-64/1", "sf2f-paper/1"),
        ("synthetic-128/1", "sf2f-bench/1"),
    ]
