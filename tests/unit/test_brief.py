"""What a run ends with: one table of 80 columns that says who is best, against what, and what not to believe."""

from __future__ import annotations

import io

import pytest
from record_factory import benchmark, full_bench, full_record, record, with_scores
from rich.console import Console

from sf2f_bench.report import brief
from sf2f_bench.report.brief import LABEL
from sf2f_bench.report.notes import notes
from sf2f_bench.report.tables import tables
from sf2f_bench.results.selection import groups


def printed(records, width=80):
    buffer = io.StringIO()
    brief(records, Console(file=buffer, width=width, color_system=None))
    return buffer.getvalue()


def line_of(text, name):
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return line


def test_it_fits_80_columns_with_every_number():
    text = printed(full_bench())
    assert max(map(len, text.splitlines())) <= 80
    table = text.partition("\n\n")[0]
    assert "…" not in table
    for row in ("sf2f-64", "voice2face-64", "gender-oracle", "real-photo-oracle"):
        assert row in table


def test_systems_stand_first_and_each_number_is_that_of_the_tables():
    made = full_bench()
    text, (group,) = printed(made), groups(made)
    assert text.index("voice2face-64") < text.index("floors") < text.index("chance") < text.index("ceilings")
    for entry in group.systems:
        (row,) = [row for row in tables(group)[0].rows if row.entry is entry]
        column = tables(group)[0].headings.index("recall@10 g100")
        label = entry.label.replace(" (width 0.25)", "")
        assert str(row.cells[column]) in line_of(text, label)


def test_a_warning_marks_its_row_and_is_said_in_full():
    photos = full_record("real-photo-oracle", 1.0)
    collapsed = with_scores(full_record("sf2f-64", 0.3), {"effective-faces": (7.0, 6.4, 7.6)})
    text = printed([collapsed, full_record("voice2face-64", 0.2, width=0.25), photos])
    assert " !" in line_of(text, "sf2f-64")
    assert " ok" in line_of(text, "voice2face-64")
    assert "WARNING: sf2f-64" in text
    assert "! see the warning" in text
    assert "! see the warning" not in printed([full_record("sf2f-64", 0.3), photos])


def test_the_rest_is_counted_and_where_it_is_said():
    made = full_bench()
    (group,) = groups(made)
    assert (
        f"All {len(tables(group))} tables and {len(notes(group))} notes: --full, or the report."
        in printed(made)
    )


def test_of_unpaired_data_it_says_whether_every_row_is_at_chance():
    part = benchmark(paired=False)
    text = " ".join(printed([full_record("sf2f-64", 0.1, benchmark=part)]).split())
    assert "at chance, as it must be" in text


@pytest.mark.parametrize("name", ["a" * 60, "sf2f-64"])
def test_a_long_name_is_cut_and_takes_no_number_away(name):
    text = printed([record(name, 0.365)])
    assert ".365 [.30, .43]" in text
    assert max(map(len, text.splitlines())) <= 80
    assert (f"{'a' * (LABEL - 1)}…" in text) == (len(name) > LABEL)


def test_records_without_the_headline_have_a_table_all_the_same():
    made = record("sf2f-64")
    kept = tuple(score for score in made.scores if not score.metric.startswith("recall@10/g100"))
    assert "sf2f-64" in printed([made.model_copy(update={"scores": kept})])
