"""Tables and pictures of the instruments: where there are numbers, and under the right names."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from record_factory import (
    ATTRIBUTE_JUDGE,
    DLIB,
    INCEPTION,
    JUDGE,
    LOSS,
    VGGFACE2,
    full_bench,
    full_record,
    paper_record,
    record,
    scores,
    with_cards,
)
from test_report import NASTY, _line, said, shown

from sf2f_bench.report.curve_plots import lengths_figure
from sf2f_bench.report.joined import landmarks, systems
from sf2f_bench.report.latex import latex, latex_table
from sf2f_bench.report.markdown import markdown, markdown_table
from sf2f_bench.report.row_plots import strata_figure
from sf2f_bench.report.tables import tables
from sf2f_bench.results.selection import groups
from sf2f_bench.results.tidy import tidy


@pytest.fixture(scope="module")
def everything():
    (group,) = groups(full_bench())
    return group


@pytest.fixture(scope="module")
def by_title(everything):
    """Every table by the first words of its title."""
    return {re.split(r"[?:,]", table.title)[0]: table for table in tables(everything)}


# ---------------------------------------------------------------- tables


def test_tables_stand_in_their_order_and_only_where_there_are_numbers(everything):
    titles = [table.title for table in tables(everything)]
    starts = [
        "Who is it?",
        "How alike?",
        "Within strata: among people who share gender (G), age (A), all three (GNA)",
        "Verification: one person or two?",
        "Distribution of faces",
        f"By attribute: does the face have the person's gender, ethnicity and age? By {ATTRIBUTE_JUDGE}",
        "By length of speech",
        f"By Inception, which tells pictures apart and not people: {INCEPTION}",
        f"By VGGFace2's classifier: {VGGFACE2}",
        f"By a further network: {DLIB}",
        "By the network of the training loss, shown beside the judge because it flatters",
    ]
    assert len(titles) == len(starts)
    assert all(title.startswith(start) for title, start in zip(titles, starts, strict=True))
    plain = [table.title for table in tables(groups([record(), record("chance", 0.1, "own")])[0])]
    assert [title.split("?")[0] for title in plain[:2]] == ["Who is it", "How alike"]
    assert len(plain) == 4


def test_strata_hold_chance_and_leave_out_what_nobody_has(by_title):
    table = by_title["Within strata"]
    assert table.headings == (
        "recall@10 g100 within G",
        "recall@10 g100 within A",
        "recall@10 g100 within GNA",
        "matching 1:2 within G",
        "matching 1:2 within A",
        "matching 1:2 within GNA",
        "matching 1:10",
    )
    assert _line(table, "chance")[0] == ".100"
    assert _line(table, "gender-oracle")[0] == ".100"
    assert _line(table, "sf2f-64 (width 0.25), seed 0")[0] == ".259 [.21, .31]"


def test_a_distance_is_never_named_without_its_n(by_title, everything):
    assert by_title["How alike"].headings[3:] == (
        "Frechet n=300",
        "Frechet, n to infinity",
        "kernel distance x1000",
    )
    for table in tables(everything):
        for heading in table.headings:
            assert not re.fullmatch("Frechet|FID|FVFD|effective faces", heading)
    fewer = record("voice2face-64", scores=[s.model_copy(update={"n": 280}) for s in scores(0.2, "faces")])
    assert tables(groups([record(), fewer])[0])[1].headings[3] == "Frechet n=280-300"


def test_the_kernel_distance_is_a_thousandfold_of_the_record_and_csv_keeps_the_record(by_title):
    assert _line(by_title["How alike"], "mean-face")[-1] == "17.2 [16, 18]"
    frame = tidy([record("mean-face", 0.1)])
    row = frame[(frame.metric == "kernel-distance") & (frame.extractor == JUDGE)].iloc[0]
    assert row["value"] == 0.0123 * 1.4


def test_published_names_go_to_published_networks_alone(by_title, everything):
    inception, vggface2 = (
        by_title["By Inception"].headings,
        by_title["By VGGFace2's classifier"].headings,
    )
    assert inception[:4] == ("FID n=300", "FID, n to infinity", "KID x1000", "IS")
    assert vggface2[:4] == ("FVFD n=300", "FVFD, n to infinity", "kernel distance x1000", "VGGFace Score")
    published = re.compile(r"\b(FID|KID|IS|FVFD|VGGFace Score)\b")
    for title, table in by_title.items():
        if title not in ("By Inception", "By VGGFace2's classifier"):
            assert not published.search(" ".join(table.headings)), title
    judged = record(scores=scores(0.3, "faces", judge=VGGFACE2))
    assert "FVFD n=300" in tables(groups([judged])[0])[1].headings


def test_each_further_network_stands_alone_with_the_exact_anchors_where_it_tells_people_apart(by_title):
    inception, dlib = by_title["By Inception"], by_title["By a further network"]
    assert not any(heading.startswith(("recall@", "cosine")) for heading in inception.headings)
    assert "chance" not in [row.label for row in inception.rows]
    assert _line(dlib, "chance")[dlib.headings.index("recall@10 g100")] == ".100"
    assert _line(dlib, "sf2f-64 (width 0.25), seed 0")[3] == ".329 [.28, .38]"
    assert "linear-listener" in [row.label for row in dlib.rows]


def test_two_versions_of_a_further_network_never_share_a_table():
    other = [
        s.model_copy(update={"extractor": s.extractor.replace("@0d0e4a1c", "@ffffffff")})
        if s.extractor == DLIB
        else s
        for s in full_record("voice2face-64", 0.2).scores
    ]
    (group,) = groups([full_record(), record("voice2face-64", scores=other)])
    found = [table for table in tables(group) if "deepface:Dlib" in table.title]
    assert [[row.label for row in table.rows] for table in found] == [
        ["sf2f-64 (width 0.25)"],
        ["voice2face-64"],
    ]


def test_length_of_speech_ends_with_all_of_it_and_asks_only_who_heard_less(by_title):
    table = by_title["By length of speech"]
    assert table.headings[:5] == tuple(f"recall@10 {s} s" for s in ("1.25", "2.5", "5", "10", "25"))
    assert table.headings[5:] == tuple(f"cosine {s} s" for s in ("1.25", "2.5", "5", "10", "25"))
    assert _line(table, "sf2f-64 (width 0.25), seed 0")[4] == ".365 [.30, .43]"
    assert [
        row.short_label for section in table.sections if section.zone != "system" for row in section.rows
    ] == [
        "chance",
        "gender-oracle",
        "without image GAN (width 0.25)",
    ]


def test_attributes_by_their_judge(by_title):
    table = by_title["By attribute"]
    assert table.headings == ("gender agreement", "ethnicity agreement", "age difference (years)")
    assert _line(table, "mean-face")[2] == "11.4 [11, 12]"
    text = said(full_bench())
    assert "real-photo-oracle shows how well the attribute judge reads photos, and is no ceiling" in text
    assert "attribute judge" not in said([full_record()])


@pytest.mark.parametrize("width", [80, 120])
def test_every_table_fits_the_terminal(width):
    text = shown(full_bench(), width)
    assert max(map(len, text.splitlines())) <= width
    likeness = text.split("How alike")[1].split("Within strata")[0]
    assert ("Left out" in likeness) == (width == 80)
    speech = text.split("By length of speech")[1].split("By Inception")[0]
    assert "cosine 1.25 s, cosine 2.5 s, cosine 5 s, cosine 10 s, cosine 25 s" in " ".join(speech.split())
    assert ".365 [.30, .43]" in speech


def test_markdown_shows_all_and_latex_cuts_wide_tables(everything):
    for table in tables(everything):
        rows = [line for line in markdown_table(table).splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(table.headings) + 2}
        parts = table.parts(6)
        assert sum((part.headings for part in parts), ()) == table.headings
        assert max(len(part.headings) for part in parts) <= 6
        assert [part.title for part in parts[1:]] == [f"{table.title}, continued"] * (len(parts) - 1)
        for part in parts:
            assert latex_table(part, "x").count(r"\begin{tabular}") == 1
            assert not re.search(r"(?<!\\)[_#]", latex_table(part, "n_1 #2"))


def test_the_paper_names_who_gives_its_quality_scores():
    quality = {"mutual-information/5-parts": VGGFACE2, "mutual-information/3-parts": INCEPTION}
    template = paper_record().scores[0]
    beside = [
        template.model_copy(
            update={"metric": metric, "extractor": by, "extractor_role": "further", "n": 378, "value": value}
        )
        for metric, by, value in (
            ("mutual-information/5-parts", VGGFACE2, 12.0),
            ("mutual-information/3-parts", INCEPTION, 3.0),
            ("frechet-distance", INCEPTION, 99.0),
            ("recall@10/g100x3/mean-voice", LOSS, 0.4),
        )
    ]
    beside[-1] = beside[-1].model_copy(update={"extractor_role": "training-loss"})
    made = paper_record()
    kept = tuple(s for s in made.scores if not s.metric.startswith("mutual-information"))
    made = with_cards(made.model_copy(update={"scores": (*kept, *beside)}))
    who, alike = tables(groups([made])[0])
    assert who.headings[-1] == "recall@10 mean voice"
    assert alike.headings == ("cosine", "L1", "L2", "VGGFace Score", "FID n=378", "IS")
    assert all(by in alike.title for by in quality.values())
    text = said([made])
    assert "stands for VGGFace2's classifier" not in text
    assert "flatters what was trained with it." in text
    assert "cannot exceed the size of one of 5 parts, 75 here" in text
    assert "cannot exceed the size of one of 3 parts, 126 here" in text


def test_odd_ids_of_networks_survive_markdown_and_latex():
    odd = [
        s.model_copy(update={"extractor": NASTY}) if s.extractor == DLIB else s for s in full_record().scores
    ]
    (table,) = [t for t in tables(groups([record(scores=odd)])[0]) if NASTY in t.title]
    assert markdown(NASTY) in markdown_table(table)
    assert latex(NASTY) in latex_table(table, "x")
    assert not re.search(r"(?<!\\)[_%#]", latex_table(table, "x"))


# ---------------------------------------------------------------- pictures


def test_the_picture_of_lengths_has_a_line_a_system_between_exact_ones(everything):
    (axes,) = lengths_figure(everything).axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert {row.name for row in systems(everything)} <= set(lines)
    np.testing.assert_allclose(lines["sf2f-64"].get_xdata(), [1.25, 2.5, 5, 10, 25])
    seeds = np.array([[0.365], [0.42]])
    shares = np.array([0.6, 0.7, 0.8, 0.9, 1.0])
    np.testing.assert_allclose(lines["sf2f-64"].get_ydata(), (seeds * shares).mean(axis=0))
    assert set(lines["chance"].get_ydata()) == {0.1}
    assert set(lines["knowing only the gender"].get_ydata()) == {0.2}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1.25", "2.5", "5", "10", "25"]
    assert lengths_figure(groups([record()])[0]) is None


def test_the_picture_of_strata_has_a_row_a_system_and_a_panel_a_stratum(everything):
    figure = strata_figure(everything)
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    titles = [" ".join(axes.get_title(loc="left").split()) for axes in figure.axes]
    assert titles == ["everybody", "within one gender", "within one age", "within all three"]
    rows = [row.name for row in (*systems(everything), *landmarks(everything))]
    names = [text for text in figure.axes[0].texts if text.get_text() in rows]
    assert [text.get_text() for text in names] == rows
    boxes = sorted((name.get_window_extent() for name in names), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))
    place = rows.index("sf2f-64")
    (within,) = [
        line.get_xdata()[0]
        for line in figure.axes[1].get_lines()
        if line.get_marker() == "o" and line.get_ydata()[0] == place
    ]
    assert within == pytest.approx((0.259 + 0.292) / 2)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert strata_figure(groups([record()])[0]) is None
