"""The report of two protocols, of ablations and of many systems: apart where they must be, readable together."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from record_factory import ANCHORS, JUDGE, LOSS, SYSTEMS, benchmark, paper_record, record, saved
from test_report import _line, everyone, said, shown

from sf2f_bench.report import write_report
from sf2f_bench.report.latex import latex_table
from sf2f_bench.report.markdown import markdown_table
from sf2f_bench.report.plots import metrics_figure, recall_figure, scatter_figure
from sf2f_bench.report.style import PANEL
from sf2f_bench.report.tables import tables
from sf2f_bench.report.training_plots import training_figure
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
def test_ten_systems_keep_their_labels_apart(make):
    (group,) = groups([*(everyone() if make is record else everyone_on_paper())[:4], *many(make)])
    figure = metrics_figure(group)
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    labels = [text for text in axes.texts]
    assert len(labels) == len(group.entries)
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))


def test_ten_systems_are_told_apart_in_the_recall_picture():
    (group,) = groups([record(f"system-{i}", 0.1 + 0.05 * i) for i in range(12)])
    axes = recall_figure(group).axes[0]
    lines = [container[0] for container in axes.containers]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(lines) == len(looks) == 12
    first = [float(line.get_xdata()[0]) for line in lines]
    assert max(first) / min(first) < 1.2  # recall@1 still stands at k = 1


def test_ablations_have_pale_bars_and_training_curves_of_their_own(tmp_path):
    names = ("sf2f-64-fuser", "sf2f-64-without-l1", "voice2face-64")
    (group,) = groups([saved(record(name), tmp_path, curve=True) for name in names])
    (bars,) = [one for one in metrics_figure(group).axes[0].collections if isinstance(one, PolyCollection)]
    whole, other, ablation = bars.get_facecolor()[:, :3]
    np.testing.assert_allclose(ablation, 0.55 + 0.45 * whole)
    assert not np.allclose(other, whole)
    titles = [axes.get_title(loc="left") for axes in training_figure(group, group.ablations).axes]
    assert {title.split("\n")[0] for title in titles} == {"sf2f-64 without L1 loss"}
    assert len(training_figure(group, group.systems).axes) == 4


def test_bars_end_at_the_values_and_stand_in_the_order_of_the_rows():
    (group,) = groups(everyone())
    axes = metrics_figure(group).axes[0]
    (bars,) = [one for one in axes.collections if isinstance(one, PolyCollection)]
    ends = [path.get_extents() for path in bars.get_paths()]
    recalls = [row.score("recall@10/g100").value for row in group.entries]
    np.testing.assert_allclose([end.x1 for end in ends], recalls)
    np.testing.assert_allclose([(end.y0 + end.y1) / 2 for end in ends], range(len(recalls)))
    labels = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert labels == {row.label: place for place, row in enumerate(group.entries)}


def test_the_seeds_of_a_system_share_its_panels_and_the_first_is_the_darkest(tmp_path):
    made = [saved(record(seed=seed, key=f"{seed}"), tmp_path, curve=True) for seed in (0, 1, 2)]
    (group,) = groups([*made, saved(record("voice2face"), tmp_path, curve=True)])
    figure = training_figure(group, group.systems)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == [
        "sf2f-64 (width 0.25)\ngenerator, seeds 0, 1, 2",
        "sf2f-64 (width 0.25)\nfuser, seeds 0, 1, 2",
        "voice2face\ngenerator",
        "voice2face\nfuser",
    ]
    lines = [line for line in figure.axes[0].get_lines() if line.get_label() == "pixel"]
    for line, one in zip(reversed(lines), made, strict=True):  # the first seed lies on top
        curve = one.curve()
        np.testing.assert_array_equal(line.get_ydata(), curve[curve.stage == "generator"]["pixel"])
    whiteness = [sum(to_rgb(line.get_color())) for line in reversed(lines)]
    assert whiteness == sorted(whiteness)
    assert whiteness[0] < whiteness[1] < whiteness[2]
    entries = dict(
        zip([t.get_text() for t in figure.legends[0].get_texts()], figure.legends[0].get_lines(), strict=True)
    )
    assert to_rgb(entries["pixel"].get_color()) == to_rgb(lines[-1].get_color())


def test_systems_and_ablations_have_the_same_colours_for_the_same_losses(tmp_path):
    made = [saved(record(name), tmp_path, curve=True) for name in ("sf2f-64", "sf2f-64-without-l1")]
    made += [saved(record("sf2f-64-without-gan"), tmp_path, curve=True)]
    curve = made[1].curve().drop(columns="pixel")
    curve.to_csv(made[1].path_of("curve"), index=False)
    (group,) = groups(made)
    legends = [training_figure(group, rows).legends[0] for rows in (group.systems, group.ablations)]
    systems, ablations = (
        {
            text.get_text(): line.get_color()
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        for legend in legends
    )
    assert systems == ablations


@pytest.mark.parametrize("count", [2, 30])
def test_a_legend_takes_nothing_from_its_panel(count):
    (group,) = groups(
        [record(f"a-system-with-a-long-name-{i} (variant)", 0.1 + i / 50) for i in range(count)]
    )
    for figure in (recall_figure(group), scatter_figure(group)):
        axes = figure.axes[0]
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        panel, legend = axes.get_window_extent(), axes.get_legend().get_window_extent()
        assert (panel.width / figure.dpi, panel.height / figure.dpi) == pytest.approx(PANEL)
        assert legend.x0 > panel.x1
        assert legend.height < 1.2 * panel.height


def test_the_validation_similarity_has_an_axis_of_its_own(tmp_path):
    made = saved(record("sf2f-64"), tmp_path, curve=True)
    curve = pd.read_csv(made.path_of("curve"))
    similar = pd.DataFrame({"stage": "generator", "step": [100, 200], "validation_similarity": [-0.1, 0.2]})
    pd.concat([curve, similar]).to_csv(made.path_of("curve"), index=False)
    (group,) = groups([made])
    figure = training_figure(group, group.systems)
    (own,) = [axes for axes in figure.axes if axes.get_ylabel() == "similarity"]
    (line,) = own.get_lines()
    assert list(line.get_ydata()) == [-0.1, 0.2]
    losses = figure.axes[0]
    assert losses.get_yscale() == "log"
    assert "validation_similarity" not in {line.get_label() for line in losses.get_lines()}
    assert "validation_similarity" in {text.get_text() for text in figure.legends[0].get_texts()}
