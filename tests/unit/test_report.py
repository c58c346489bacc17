"""The report: only like rows in one table, true verdicts, and files that other programs can read."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from record_factory import ANCHORS, JUDGE, benchmark, full_bench, record, saved, scores
from rich.console import Console
from rich.measure import Measurement

from sf2f_bench.report import summary, write_report
from sf2f_bench.report.faces import face_strips, faces_figure
from sf2f_bench.report.latex import latex, latex_table
from sf2f_bench.report.markdown import markdown, markdown_table
from sf2f_bench.report.notes import notes
from sf2f_bench.report.tables import Cell, tables
from sf2f_bench.report.terminal import print_groups, rich_table, width_of
from sf2f_bench.results.numbers import number, value_and_error
from sf2f_bench.results.selection import groups
from sf2f_bench.results.tidy import tidy
from sf2f_bench.types import BenchError, MetricCard

NASTY = "a|b_c 50% & <d> [x] $1 #~^\\{}"


def everyone(**changes):
    made = [record(name, recall, how, **changes) for name, (recall, how) in ANCHORS.items()]
    return [*made, record("sf2f-64", 0.365, **changes), record("voice2face", 0.16, **changes)]


def shown(records, width=120) -> str:
    buffer = io.StringIO()
    print_groups(groups(records), Console(file=buffer, width=width, color_system=None))
    return buffer.getvalue()


def said(records) -> str:
    return "\n".join(note.text for group in groups(records) for note in notes(group))


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "format_", "digits", "expected"),
    [
        (0.365, "share", 3, ".365"),
        (-0.0312, "share", 3, "-.031"),
        (-0.0001, "share", 2, ".00"),
        (1.0, "share", 3, "1.00"),
        (0.9996, "share", 3, "1.00"),
        (0.999, "share", 2, "1.0"),
        (14.5, "rank", 3, "14.5"),
        (14.0, "rank", 3, "14"),
        (126.5, "rank", 2, "126"),
        (12.84, "size", 3, "12.8"),
        (128.4, "size", 2, "128"),
        (0.01234, "size", 3, ".0123"),
        (0.000123, "size", 3, "1.23e-4"),
        (0.0, "size", 3, "0"),
        (-2.5, "size", 2, "-2.5"),
    ],
)
def test_numbers_are_compact(value, format_, digits, expected):
    assert number(value, format_, digits) == expected


def test_the_interval_of_a_median_rank_holds_it():
    card = MetricCard(format="rank", error="interval")
    score = SimpleNamespace(value=26.5, interval=(24.5, 26.5), spread=None, card=card)
    assert value_and_error(score) == ("26.5", "[24, 27]")


def test_cells_carry_interval_or_spread():
    def texts(value, interval, spread, **card):
        score = SimpleNamespace(value=value, interval=interval, spread=spread, card=MetricCard(**card))
        return value_and_error(score)

    assert texts(0.365, (0.3, 0.43), None) == (".365", "[.30, .43]")
    assert texts(0.00365, (0.003, 0.0043), None, factor=1000, format="size") == ("3.65", "[3.0, 4.3]")
    assert texts(3.21, None, 0.12, format="size") == ("3.21", "± .12")
    assert texts(3.21, (3.0, 3.4), 0.12, format="size", error="spread") == ("3.21", "± .12")
    assert texts(3.21, None, 0.12, format="size", error="none") == ("3.21", "")
    assert texts(0.1, (0.1, 0.1), None) == (".100", "")
    assert str(Cell()) == "–"


# ---------------------------------------------------------------- which rows share a table


def test_order_is_floor_systems_ceiling():
    (group,) = groups(everyone()[::-1])
    names = [row.record.system.name for row in group.entries]
    assert names[:4] == ["chance", "gender-oracle", "mean-face", "nearest-training-face"]
    assert names[4:6] == ["sf2f-64", "voice2face"]
    assert names[6] == "linear-listener"
    assert names[-1] == "real-photo-oracle"
    assert [row.zone for row in group.entries] == ["floor"] * 4 + ["system"] * 2 + ["ceiling"] * 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "2"}, "benchmark differs (synthetic-64/2 here, synthetic-64/1 there)"),
        ({"protocol": "sf2f-bench/2"}, "protocol differs (sf2f-bench/2 here, sf2f-bench/1 there)"),
        ({"data_hash": "ffff"}, "data_hash differs (ffff here, 1a2b3c4d5e6f7081 there)"),
        ({"image_size": 32}, "image_size differs ("),
        ({"gallery_size": 50}, "gallery_size differs"),
    ],
)
def test_unlike_records_get_tables_of_their_own(change, reason):
    made = [record("sf2f-64"), record("voice2face", benchmark=benchmark(**change))]
    first, second = groups(made)
    assert len(first.entries) == len(second.entries) == 1
    assert first.why is None
    assert second.why is not None
    assert reason in second.why
    assert second.why in shown(made, width=200)


def test_another_judge_or_metric_version_never_shares_a_column():
    other_judge = record("voice2face", scores=scores(0.2, "faces", judge="embedded-judge-other"))
    chance = record("chance", 0.1, "own")
    found = groups([record("sf2f-64"), other_judge, chance])
    assert [len(group.entries) for group in found] == [2, 2]  # chance is at home in both
    assert "judge extractor differs" in found[1].why
    newer = [score.model_copy(update={"version": 2}) for score in scores(0.2, "faces")]
    found = groups([record("sf2f-64"), record("voice2face", scores=newer)])
    assert len(found) == 2
    assert "version of recall@1/g100 differs" in found[1].why


def test_rows_by_unlike_code_of_one_extractor_share_no_table():
    made = [record(), record("voice2face", 0.2)]
    cards = {id_: replace(card, source="source 1") for id_, card in made[1].extractors.items()}
    made[1] = made[1].model_copy(update={"extractors": cards})
    assert "the code of" in groups(made)[1].why
    assert len(groups([made[0], record("voice2face", 0.2)])) == 1


def test_newest_duplicate_wins_and_is_counted():
    made = [record(recall=r, key=f"{r}", hours=h) for r, h in ((0.30, 0), (0.36, 2), (0.20, 1))]
    (group,) = groups(made)
    assert [row.record.scores[3].value for row in group.entries] == [0.36]
    assert group.set_aside == 2
    assert "2 older records were set aside" in said(made)


UNLIKE = [
    ({"torch": "2.16"}, "torch 2.16 on Linux: sf2f-64 (width 0.25); torch 2.15 on Linux: voice2face"),
    (
        {"platform": "Darwin arm64"},
        "torch 2.15 on Darwin arm64: sf2f-64 (width 0.25); torch 2.15 on Linux: voice2face",
    ),
    ({"processor": "A, AVX2"}, ""),  # the other one is not known
    ({"threads": 64}, ""),
]


def on_machine(made, facts):
    return made.model_copy(update={"environment": made.environment.model_copy(update=facts)})


@pytest.mark.parametrize(("unlike", "words"), UNLIKE)
def test_rows_of_unlike_machines_are_told(unlike, words):
    made = [record("voice2face", 0.2), on_machine(record(), unlike)]
    assert ("unlike torch versions or processors" in said(made)) == bool(words)
    assert words in said(made)


def test_unlike_processors_are_told_where_both_are_known():
    made = [
        on_machine(one, {"processor": processor})
        for one, processor in ((record("voice2face", 0.2), "A, AVX2"), (record(), "B, AVX512"))
    ]
    assert "torch 2.15 on B, AVX512: sf2f-64 (width 0.25); torch 2.15 on A, AVX2: voice2face" in said(made)


def test_seed_and_budget_stand_in_labels_only_where_needed():
    made = [record(), record(seed=1), record("voice2face", 0.2)]
    assert [row.label for row in groups(made)[0].entries] == [
        "sf2f-64 (width 0.25), seed 0",
        "sf2f-64 (width 0.25), seed 1",
        "voice2face",
    ]
    made = [record(), record(budget="smoke"), record("chance", 0.1, "own", budget="smoke")]
    assert [row.label for row in groups(made)[0].entries] == [
        "chance",
        "sf2f-64 (width 0.25), budget default",
        "sf2f-64 (width 0.25), budget smoke",
    ]


def test_no_records_says_run_first(tmp_path):
    with pytest.raises(BenchError, match="sf2f-bench run"):
        write_report([], tmp_path)


# ---------------------------------------------------------------- verdicts


def test_verdicts_against_chance_gender_and_the_straight_line():
    text = said(everyone())
    assert (
        "sf2f-64 (width 0.25): recall@10 .365 (.300 to .430) is above chance (.100) and knowing only the"
        in text
    )
    assert "voice2face: recall@10 .160 (.095 to .225) is NOT above chance (.100) and knowing" in text
    assert "voice statistics: recall@10 .660 against .365 of sf2f-64 (width 0.25)." in text
    assert "cannot exceed the size of one part, 60 here" in text
    assert "Frechet distance is biased upwards at n = 300" in text
    assert (
        "chance, gender-oracle: no cosine, frechet-distance, mutual-information (parts 5): the anchor draws no face"
        in text
    )


def test_the_straight_line_stands_beside_every_system_and_nobody_is_said_to_beat_another():
    made = [record("linear-listener", 0.3, "embeddings"), record("sf2f-64", 0.5), record("voice2face", 0.28)]
    text = said(made)
    line = "linear-listener, a straight line from voice statistics: recall@10 .300 against"
    assert f"{line} .500 of sf2f-64 (width 0.25)." in text
    assert f"{line} .280 of voice2face; their intervals overlap." in text
    assert "beat" not in text


def test_unpaired_benchmark_must_be_at_chance():
    null = benchmark(name="null-pairs", paired=False, media_shareable=False)
    made = [
        record("chance", 0.1, "own", benchmark=null),
        record("sf2f-64", 0.12, benchmark=null),
        record("voice2face", 0.3, benchmark=null),
    ]
    (group,) = groups(made)
    verdicts = {note.text.split(":")[0]: note for note in notes(group)}
    fine, leak = verdicts["sf2f-64 (width 0.25)"], verdicts["voice2face"]
    assert "at chance, as it must be; with n = " in fine.text
    score = group.anchor("chance").score(group.headline)
    smallest = float(fine.text.split("less than about ")[1].split(" ")[0])
    low = (
        next(entry for entry in group.systems if entry.label.startswith("sf2f-64"))
        .score(group.headline)
        .interval[0]
    )
    assert smallest == pytest.approx(score.value + 0.12 - low, abs=5e-4)
    assert not fine.alarm
    assert leak.text.endswith("NOT at chance: something leaks.")
    assert leak.alarm
    assert "UNPAIRED" in shown(made)
    assert "knowing only the gender" not in said(made)


def test_small_gallery_uses_the_k_it_has():
    small = benchmark(name="null-pairs", gallery_size=8, ks=(1, 2, 5), paired=False)
    fewer = [
        score.model_copy(update={"metric": score.metric.replace("g100", "g8")})
        for score in scores(0.6, "faces")
        if re.match(r"recall@[125]/g100", score.metric)
    ]
    text = shown([record("sf2f-64", benchmark=small, scores=fewer)])
    assert "recall@5" in text
    assert "chance .625" in text  # 5 / 8, though no chance row is there


# ---------------------------------------------------------------- terminal, Markdown, LaTeX, CSV


def test_on_a_narrow_terminal_the_width_is_said_once_and_systems_stand_first():
    made = [
        record("chance", 0.1, kind="anchor", place="floor"),
        record("sf2f-64", 0.3, width=0.25),
        record("mine", 0.2),
    ]
    text = shown(made, 80)
    table, _, notes = text.partition("Benchmark")
    assert re.search(r"^sf2f-64 +\.300", table, re.MULTILINE)
    assert re.search(r"^mine +\.200", table, re.MULTILINE)
    assert table.index("sf2f-64") < table.index("chance")
    assert "At width 0.25, a share of the published channels: sf2f-64." in table
    assert "sf2f-64 (width 0.25): recall@10" in notes
    assert "sf2f-64 (width 0.25)" in shown(made, 120).partition("Benchmark")[0]


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_table_fits(width):
    made = [
        *everyone(),
        record(NASTY, 0.3),
        record("a-system-with-quite-a-long-name-indeed (width 0.125)", 0.3),
    ]
    lines = shown(made, width).splitlines()
    assert max(map(len, lines)) <= width
    assert any(".365 [.30, .43]" in line for line in lines)
    assert ("recall@1 " in shown(made, width).split("Left out")[0]) == (width == 120)


@pytest.mark.parametrize(("label_width", "gap"), [(32, 2), (21, 2), (21, 1), (5, 3)])
def test_a_table_s_width_is_what_rich_measures(label_width, gap):
    made = [*full_bench(), record(NASTY, 0.3), record("声の顔 (width 0.125)", 0.3)]
    (group,) = groups(made)
    options = Console(width=10_000).options
    for table in tables(group):
        for part in (table, table.only([0])):
            made = rich_table(part, label_width, gap)
            measured = Measurement.get(Console(width=10_000), options, made).maximum
            assert width_of(part, label_width, gap) == measured


def test_nothing_is_lost_at_120_columns():
    assert "Left out" not in shown(everyone(), 120)
    assert "Left out at this width: recall@1 g100" in shown(everyone(), 80)


def test_a_summary_has_the_main_tables_the_verdicts_and_counts_what_it_leaves_out():
    made = full_bench()
    buffer = io.StringIO()
    summary(made, Console(file=buffer, width=4000, color_system=None))  # so wide that no line is broken
    (group,) = groups(made)
    short, titles = buffer.getvalue(), [table.title for table in tables(group)]
    assert [title for title in titles if title in short] == titles[:2]
    left = [note for note in notes(group) if note.text not in short]
    assert "is above chance" in short
    assert left
    assert not any(note.alarm for note in left)
    assert f"In the report: {len(titles) - 2} more tables and {len(left)} more notes" in short


def test_each_network_has_its_own_table():
    judge, likeness, _, training = tables(groups(everyone())[0])
    sf2f = {table.title: dict(zip(table.headings, _line(table, "sf2f-64 (width 0.25)"), strict=True))
            for table in (judge, training)}  # fmt: skip
    assert sf2f[judge.title]["recall@10 g100"] == ".365 [.30, .43]"
    assert sf2f[training.title]["recall@10 g100"] == ".456 [.39, .52]"
    assert "flatters" in training.title
    assert likeness.headings == (
        "cosine",
        "verification AUC",
        "MI score",
        "Frechet n=300",
        "kernel distance x1000",
    )
    assert _line(judge, "chance")[2] == ".100"
    assert "chance" not in [row.label for row in likeness.rows]


def _line(table, label):
    """The texts of the row that is printed under this label."""
    return next(tuple(map(str, row.cells)) for row in table.rows if row.short_label == label)


def test_odd_names_survive_markdown_and_latex():
    table = tables(groups([record(NASTY, 0.3), record("chance", 0.1, "own")])[0])[0]
    rows = [line for line in markdown_table(table).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(table.headings) + 2}
    assert markdown("<b> & _x_") == r"&lt;b&gt; &amp; \_x\_"
    assert latex("50%_&#$~^\\{}<>") == (
        r"50\%\_\&\#\$\textasciitilde{}\textasciicircum{}\textbackslash{}\{\}\textless{}\textgreater{}"
    )
    rows = [line for line in latex_table(table, "x").splitlines() if line.endswith(r" \\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(table.headings)}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    made = [*full_bench(), record(NASTY, 0.3)]
    body = "\n".join(latex_table(part, NASTY) for table in tables(groups(made)[0]) for part in table.parts(6))
    (tmp_path / "x.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}\n"
        + body
        + "\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "x.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout[-2000:]


def test_tidy_keeps_every_digit():
    made = everyone(benchmark=benchmark(name=NASTY))
    frame = pd.read_csv(io.StringIO(tidy(made).to_csv(index=False)), float_precision="round_trip")
    assert len(frame) == sum(len(one.scores) for one in made)
    row = frame[(frame.system == "sf2f-64") & (frame.metric == "mrr/full") & (frame.extractor == JUDGE)].iloc[
        0
    ]
    assert row["value"] == 0.365 / 3
    assert row["benchmark"] == NASTY
    assert frame[frame.system == "chance"].extractor.isna().all()


# ---------------------------------------------------------------- the whole report


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report over two benchmarks, with faces and curves: (records, folder, paths)."""
    folder = tmp_path_factory.mktemp("report")
    made = [
        saved(record("chance", 0.1, "own"), folder / "records"),
        saved(record("real-photo-oracle", 1.0), folder / "records", faces=True),
        saved(record("sf2f-64"), folder / "records", faces=True, curve=True),
        saved(record(NASTY, 0.3, benchmark=benchmark(name="null pairs", paired=False)), folder / "records"),
    ]
    return made, folder / "out", write_report(made, folder / "out")


def test_report_files_are_whole_and_readable(written):
    _, folder, paths = written
    kinds = ("answer", "recall", "metrics", "scatter", "faces", "glance", "training")
    pictures = {f"synthetic-64-{kind}.{ending}" for kind in kinds for ending in ("png", "svg")}
    pictures -= {"synthetic-64-faces.svg", "synthetic-64-glance.svg"}  # photos in any format
    other = {f"null-pairs-{kind}.{ending}" for kind in kinds[:4] for ending in ("png", "svg")}
    names = {path.name for path in paths}
    assert names == pictures | other | {
        *("report.html", "report.md", "claims.md", "table.txt", "table.tex", "scores.csv")
    }
    assert names == {path.name for path in folder.iterdir()}
    page = (folder / "report.md").read_text()
    linked = re.findall(r"!\[(?:\\.|[^\]\\])*\]\(([^)]+)\)", page)  # a name may hold brackets
    assert set(linked) == {name for name in names if name.endswith(".png")}
    for name in linked:
        with Image.open(folder / name) as image:
            assert min(image.size) > 200
    assert "left to right: id00, id01, id02, id03" in page
    assert "sha256 0000" in page
    assert "Not in one table with" in page


def test_report_is_the_same_every_time(written, tmp_path):
    made, folder, _ = written
    again = write_report(made[::-1], tmp_path)
    for path in again:
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_grid_puts_the_truth_first_and_keeps_identities_aligned(tmp_path):
    sf2f = saved(record("sf2f-64"), tmp_path, faces=True)
    oracle = saved(record("real-photo-oracle", 1.0), tmp_path, faces=True)
    mean = saved(record("mean-face", 0.1), tmp_path, faces=True)
    fewer = mean.files.model_copy(update={"face_identities": ("other", "id00", "id02", "id01")})
    mean = mean.model_copy(update={"files": fewer})
    mean._folder = tmp_path
    (group,) = groups([mean, sf2f, oracle])
    strips = face_strips(group)
    assert [label for label, _ in strips] == [
        "true face",
        "sf2f-64",
        "mean-face",
        "real-photo-oracle",
    ]
    np.testing.assert_array_equal(strips[1][1], sf2f.faces())
    np.testing.assert_array_equal(strips[0][1], oracle.faces("true_faces"))
    np.testing.assert_array_equal(strips[2][1][[0, 1, 2]], mean.faces()[[1, 3, 2]])
    assert (strips[2][1][3] == 255).all()


def test_faces_that_may_not_be_shown_are_not_drawn(tmp_path):
    made = saved(record("sf2f-64"), tmp_path, faces=True)
    (group,) = groups([made])
    assert faces_figure(group) is not None
    private = made.model_copy(update={"benchmark": benchmark(media_shareable=False)})
    (group,) = groups([private])
    assert faces_figure(group) is None
