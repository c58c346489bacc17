"""The report of two protocols, of ablations and of many systems: apart where they must be, readable together."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from record_factory import ANCHORS, JUDGE, KS, LOSS, SYSTEMS, benchmark, paper_record, record, saved
from test_report import _line, everyone, said, shown

from sf2f_bench.report import write_report
from sf2f_bench.report.curve_plots import recall_figure
from sf2f_bench.report.joined import ablations, landmarks, systems
from sf2f_bench.report.latex import latex_table
from sf2f_bench.report.markdown import markdown_table
from sf2f_bench.report.pictures import MESSAGES
from sf2f_bench.report.row_plots import ablations_figure, metrics_figure
from sf2f_bench.report.style import GREY, LINE_COLORS, PANEL, inked
from sf2f_bench.report.tables import tables
from sf2f_bench.report.training_plots import stages, training_figure, validation_curves
from sf2f_bench.results.selection import groups

# ---------------------------------------------------------------- two protocols


def everyone_on_paper():
    made = [
        paper_record(name, recall, how)
        for name, (recall, how) in ANCHORS.items()
        if name != "real-photo-oracle"
    ]
    made.append(paper_record("sf2f-64", 0.365, "average"))
    return [*made, paper_record("sf2f-64-fuser", 0.4), paper_record("voice2face-64", 0.22, "average")]


def test_two_protocols_never_share_a_table():
    made = everyone() + everyone_on_paper()
    for records in (made, made[::-1]):
        bench, paper = groups(records)
        assert (bench.protocol.name, paper.protocol.name) == ("sf2f-bench/1", "sf2f-paper/1")
        assert {row.record.benchmark.protocol for row in bench.entries} == {"sf2f-bench/1"}
        assert {row.record.benchmark.protocol for row in paper.entries} == {"sf2f-paper/1"}
        assert len(bench.entries) == len(everyone())
        assert len(paper.entries) == len(everyone_on_paper())
        assert "protocol differs" in paper.why
        assert bench.set_aside == paper.set_aside == 0
    text = shown(made)
    assert text.index("protocol sf2f-bench/1 ─") < text.index("protocol sf2f-paper/1 ─")


def test_the_paper_tables_hold_its_metrics_by_its_networks():
    who, alike = tables(groups(everyone_on_paper())[0])
    assert who.headings == (
        "recall@1 g100x3",
        "recall@5 g100x3",
        "recall@10 g100x3",
        "recall@10 one segment",
    )
    assert alike.headings == ("cosine", "L1", "L2", "MI score", "MI ± over parts", "MI score fused")
    assert "network of the training loss" in who.title
    assert _line(who, "sf2f-64 (width 0.25)")[2:] == (".365 ± .010", ".292 ± .010")
    assert _line(who, "chance")[2:] == (".100", "–")
    assert _line(who, "linear-listener")[2] == ".660"  # an anchor answers once: no spread over runs
    assert _line(alike, "sf2f-64-fuser") == (
        ".267 ± .004",
        "22.0 ± .080",
        "1.00 ± .0060",
        "6.00 ± .070",
        ".310",
        "6.00 ± .070",
    )
    assert _line(alike, "voice2face-64")[-1] == "–"
    assert "Left out" not in shown(everyone_on_paper(), 120)


def test_the_paper_notes_name_the_quirks():
    text = said(everyone_on_paper())
    assert f"network of the training loss ({LOSS}) scores recall and distances here" in text
    assert "flatters" in text
    assert f"judge ({JUDGE}) stands for VGGFace2's classifier" in text
    assert (
        "The anchor of another true photo has no row: the published truth is the mean over ALL photos" in text
    )
    assert "their ± is no confidence interval" in text
    assert "Recall rests on the first 300 identities of the test list, the distances on all 378." in text
    assert "sf2f-64-fuser: recall@10 .400 (.350 to .450) is above chance (.100) and knowing" in text
    assert "voice2face-64: recall@10 .220 (.170 to .270) is above chance (.100), and NOT above" in text
    assert "cannot exceed the size of one of 5 parts, 75 here" in text
    below = shown(everyone_on_paper(), width=300)
    assert "3 fixed galleries of 100" in below
    assert "Means of 10 runs with random crops" in below
    one = paper_record("chance", 0.1, "own").model_copy(
        update={"benchmark": benchmark(protocol="sf2f-paper/1", gallery_size=200)}
    )
    assert "1 fixed gallery of 200," in shown([one], width=300)


def test_a_report_of_both_protocols_has_a_section_and_pictures_each(tmp_path):
    made = [saved(one, tmp_path / "r") for one in (*everyone()[:2], *everyone_on_paper()[:2])]
    names = {path.name for path in write_report(made, tmp_path / "out")}
    assert {"synthetic-64-recall.png", "synthetic-64-sf2f-paper-1-recall.png"} <= names
    page = (tmp_path / "out" / "report.md").read_text()
    assert "## synthetic-64/1, protocol sf2f-bench/1\n" in page
    assert "## synthetic-64/1, protocol sf2f-paper/1\n" in page
    frame = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert set(frame.protocol) == {"sf2f-bench/1", "sf2f-paper/1"}
    latex_file = (tmp_path / "out" / "table.tex").read_text()
    assert latex_file.count(r"\begin{table*}") == 4  # these two anchors have retrieval alone; 2 published


# ---------------------------------------------------------------- ablations


def many(make=record):
    return [make(name, recall, width=0.25) for name, recall in SYSTEMS.items()]


def test_ablations_stand_in_their_own_block_under_the_systems():
    (group,) = groups([*everyone(), *many()])
    zones = [row.zone for row in group.entries]
    assert zones == sorted(zones, key=["floor", "system", "ablation", "ceiling"].index)
    assert zones.count("ablation") == 6
    assert [row.label for row in group.ablations] == [
        "sf2f-64 without L1 loss (width 0.25)",
        "sf2f-64 without image GAN (width 0.25)",
        "sf2f-64 without identity loss (width 0.25)",
        "sf2f-64 without perceptual loss (width 0.25)",
        "sf2f-64 with plain encoder (width 0.25)",
        "sf2f-64 with plain decoder (width 0.25)",
    ]
    assert "sf2f-64-fuser" in {row.record.system.name for row in group.systems}
    table = tables(group)[0]
    assert headings(table) == ["ablations of sf2f-64-fuser"]
    assert _line(table, "without image GAN (width 0.25)")[2] == ".370 [.30, .43]"
    text = shown([*everyone(), *many()])
    assert text.index("voice2face-wen") < text.index("ablations of") < text.index("without L1 loss")
    assert text.index("with plain") < text.index("linear-listener")


def test_ablations_are_compared_with_the_system_they_lack_a_part_of():
    text = said([*everyone(), *many()])
    assert (
        "Ablations, recall@10: sf2f-64-fuser (width 0.25) .400; without L1 loss (width 0.25) .360, " in text
    )
    assert "without perceptual loss (width 0.25) .280," in text  # .280 + .065 reaches into .400 - .065
    assert "(apart)," not in text
    apart = [record("sf2f-64-fuser", 0.4), record("sf2f-64-without-perceptual", 0.2)]
    assert "sf2f-64-fuser .400; without perceptual loss .200 (apart)." in said(apart)
    assert "Ablations" not in said([record("mine", ablation_of="another", change="without a part")])


def headings(table):
    """Of its sections, as far as they have one."""
    return [section.heading for section in table.sections if section.heading]


def test_a_strangers_ablation_is_one_too():
    changed = record("mine-2", 0.3, ablation_of="mine", change="without heads", label="mine without heads")
    (group,) = groups([record("mine"), changed, record("sf2f-64"), record("foo-without-bar")])
    assert [entry.label for entry in group.ablations] == ["mine without heads"]
    assert group.whole(group.ablations[0]).label == "mine"
    table = tables(groups([changed, record("sf2f-64-plain-encoder")])[0])[0]
    assert {row.short_label for row in table.rows} == {"mine without heads", "sf2f-64 with plain encoder"}
    assert headings(table) == ["ablations"]


def test_the_block_has_a_heading_in_markdown_and_latex():
    table = tables(groups(many())[0])[0]
    rows = [line for line in markdown_table(table).splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {len(table.headings) + 2}
    assert sum("*ablations of sf2f-64-fuser*" in row for row in rows) == 1
    text = latex_table(table, "x")
    assert (
        rf"\multicolumn{{{len(table.headings) + 1}}}{{l}}{{\emph{{ablations of sf2f-64-fuser}}}} \\" in text
    )
    assert text.count("multicolumn") == 1


def test_ablations_of_unpaired_data_must_be_at_chance_too():
    null = benchmark(name="null-pairs", paired=False, media_shareable=False)
    made = [record("chance", 0.1, "own", benchmark=null), record("sf2f-64-without-l1", 0.3, benchmark=null)]
    assert "sf2f-64 without L1 loss: recall@10 .300 (.235 to .365), chance .100: NOT at chance" in said(made)


# ---------------------------------------------------------------- pictures of many rows


@pytest.mark.parametrize("make", [record, paper_record])
def test_the_names_of_many_rows_do_not_touch(make):
    (group,) = groups([*(everyone() if make is record else everyone_on_paper())[:4], *many(make)])
    figure = metrics_figure(group)
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    names = {row.name for row in (*systems(group), *landmarks(group))}
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in names]
    assert len(boxes) == len(names)
    boxes.sort(key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))


@pytest.mark.parametrize("count", [12, 28])
def test_many_systems_are_told_apart_in_the_recall_picture(count):
    (group,) = groups([record(f"system-{i}", 0.1 + 0.02 * i) for i in range(count)])
    axes = recall_figure(group).axes[0]
    lines = [line for line in axes.get_lines() if line.get_label().startswith("system-")]
    looks = {(line.get_color(), line.get_linestyle(), str(line._unscaled_dash_pattern)) for line in lines}
    assert len(lines) == len(looks) == count
    for line in lines:
        assert list(line.get_xdata()) == list(KS)


@pytest.mark.parametrize("count", [2, 30])
def test_names_beside_lines_take_nothing_from_their_panel(count):
    (group,) = groups(
        [record(f"a-system-with-a-long-name-{i} (variant)", 0.1 + i / 50) for i in range(count)]
    )
    (axes,) = recall_figure(group).axes
    axes.figure.draw_without_rendering()
    panel = axes.get_window_extent()
    assert (panel.width / axes.figure.dpi, panel.height / axes.figure.dpi) == pytest.approx(PANEL)
    boxes = sorted((Text.get_window_extent(text) for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == count + 1  # chance
    assert all(box.x0 > panel.x1 for box in boxes)
    assert boxes[-1].y1 <= panel.y1 + 2  # the title stands above
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))


def test_names_in_colour_are_dark_enough_to_read():
    def luminance(color):
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for color in (*LINE_COLORS, GREY):
        assert 1.05 / (luminance(inked(color)) + 0.05) >= 4.5, color  # WCAG AA on white


def test_ablations_have_a_picture_of_their_own_after_the_whole():
    (group,) = groups([*everyone(), *many()])
    names = [row.name.removesuffix(" (width 0.25)") for row in ablations(group)]
    assert names[:3] == ["sf2f-64-fuser", "sf2f-64 with plain encoder", "sf2f-64 without identity loss"]
    axes = ablations_figure(group).axes[0]
    assert [text.get_text() for text in axes.texts][:7] == [row.name for row in ablations(group)]
    upright = [line.get_xdata()[0] for line in axes.get_lines() if list(line.get_ydata()) == [0, 1]]
    assert sorted(upright) == [0.1, 0.4]  # chance and the whole
    shown = {text.get_text() for text in metrics_figure(group).axes[0].texts}
    assert not shown & {row.name for row in ablations(group)[1:]}
    assert ablations_figure(groups(everyone())[0]) is None


def test_a_true_photo_is_an_arrow_and_squeezes_no_scale():
    (group,) = groups([*everyone(), record("sf2f-64", 0.365)])
    axes = metrics_figure(group).axes[0]
    best = max(
        row.headline(group).high
        for row in (*systems(group), *landmarks(group))
        if row.purpose != "true-photo"
    )
    assert best < axes.get_xlim()[1] < 1.0
    assert "›" in {text.get_text() for text in axes.texts}
    assert 1.0 not in {line.get_xdata()[0] for line in axes.get_lines()}


# ---------------------------------------------------------------- training


def test_the_seeds_of_a_system_are_one_line_with_a_band(tmp_path):
    made = [saved(record(seed=seed, key=f"{seed}"), tmp_path, curve=True) for seed in (0, 1, 2)]
    (group,) = groups(made)
    shown, repeated = stages(group)
    assert [(stage.drawn.name, stage.name) for stage in shown] == [
        ("sf2f-64", "generator"),
        ("sf2f-64", "fuser"),
    ]
    assert not repeated
    assert set(shown[0].losses) == {
        "pixels",
        "perceptual",
        "identity",
    }  # in words, none of an adversarial game
    curves = [one.curve() for one in made]
    pixel = np.stack([curve[curve.stage == "generator"]["pixel"].to_numpy() for curve in curves])
    shares = pixel / pixel[:, :1]
    np.testing.assert_allclose(shown[0].losses["pixels"].middle, shares.mean(axis=0))
    np.testing.assert_allclose(shown[0].losses["pixels"].low, shares.min(axis=0))
    np.testing.assert_allclose(shown[0].losses["pixels"].high, shares.max(axis=0))
    figure = training_figure(group)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["sf2f-64\ngenerator", "sf2f-64\nfuser"]
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_label() == "pixels"]
    np.testing.assert_allclose(line.get_ydata(), shares.mean(axis=0))


def test_a_stage_that_two_systems_share_is_shown_once(tmp_path):
    """A fuser is trained on a generator that has a row of its own."""
    made = [saved(record(name), tmp_path, curve=True) for name in ("sf2f-64", "sf2f-64-fuser")]
    whole = made[1].curve()
    whole[whole.stage == "generator"].to_csv(made[0].path_of("curve"), index=False)
    (group,) = groups(made)
    shown, repeated = stages(group)
    names = {(stage.drawn.name, stage.name) for stage in shown}
    assert names == {("sf2f-64", "generator"), ("sf2f-64-fuser", "fuser")}
    assert repeated == ["the generator of sf2f-64-fuser is that of sf2f-64"]


def test_the_validation_similarity_has_a_panel_of_its_own(tmp_path):
    made = saved(record("sf2f-64"), tmp_path, curve=True)
    curve = pd.read_csv(made.path_of("curve"))
    similar = pd.DataFrame({"stage": "generator", "step": [100, 200], "validation_similarity": [-0.1, 0.2]})
    pd.concat([curve, similar]).to_csv(made.path_of("curve"), index=False)
    (group,) = groups([made])
    (found,) = validation_curves(group).values()
    np.testing.assert_allclose(found.places, np.array([100, 200]) / (1000 + 990))  # of both stages' steps
    figure = training_figure(group)
    (own,) = [axes for axes in figure.axes if "similarity" in axes.get_ylabel()]
    assert [list(line.get_ydata()) for line in own.get_lines()] == [[-0.1, 0.2]]
    for axes in figure.axes:
        assert axes is own or "validation_similarity" not in {line.get_label() for line in axes.get_lines()}
    assert "sf2f-64 .20" in MESSAGES["training"](group)
