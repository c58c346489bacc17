"""The report's tables as one LaTeX file that a paper inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sf2f_bench.report.notes import caption
from sf2f_bench.report.published import NUMBERS, published
from sf2f_bench.report.tables import Table, tables
from sf2f_bench.report.words import ETHICS, PUBLISHED
from sf2f_bench.results.numbers import NOTHING
from sf2f_bench.results.selection import Group

COLUMNS = 6  # with their intervals, across a page of two columns
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "–": "--",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex_file(found: Sequence[Group]) -> str:
    """Every group's tables, the published rows in tables of their own, and what the numbers must not be used for."""
    parts = ["% Written by sf2f-bench. Needs \\usepackage{booktabs}; \\input this file.", ""]
    for group in found:
        below = " ".join(caption(group))
        parts += [latex_table(part, below) for table in tables(group) for part in table.parts(COLUMNS)]
    parts += [*_published(), r"\paragraph{Limits and ethics.}", *map(latex, ETHICS)]
    return "\n".join(parts) + "\n"


def _published() -> list[str]:
    """What others have printed: under which conditions, then the numbers; each row has its number in both tables."""
    table, places = published(), {column.metric: i for i, column in enumerate(published().columns)}
    notes: dict[str, list[str]] = {}
    for i, row in enumerate(table.rows, start=1):
        notes.setdefault(row.cells[places["note"]].text, []).append(str(i))
    said = "; ".join(f"{', '.join(of)}: {note}" for note, of in notes.items() if note)
    numbered = [replace(row, label=f"{i}. {row.label}") for i, row in enumerate(table.rows, start=1)]
    table = table.with_rows(numbered)
    conditions = table.only([i for name, i in places.items() if name not in (*NUMBERS, "note")])
    numbers = replace(table.only([places[name] for name in NUMBERS]), title=f"{table.title}, continued")
    return [latex_table(conditions, PUBLISHED), latex_table(numbers, f"{PUBLISHED} Notes to rows {said}.")]


def latex_table(table: Table, below: str) -> str:
    """A booktabs table float; `below` goes into the caption. Rules set the sections apart."""
    sections: list[str] = []
    for section in table.sections:
        lines = []
        if section.heading:
            heading = rf"\emph{{{latex(section.heading)}}}"
            lines.append(rf"\multicolumn{{{len(table.columns) + 1}}}{{l}}{{{heading}}} \\")
        for row in section.rows:
            # The braces keep a label that begins with "[" from being taken for an argument of the "\\" above it.
            label = "{}" + latex(row.short_label or row.label)
            lines.append(" & ".join([label, *(latex(str(cell) or NOTHING) for cell in row.cells)]) + r" \\")
        sections.append("\n".join(lines))
    return "\n".join(
        [
            r"\begin{table*}[t]",
            r"\centering\scriptsize\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{latex(f'{table.title}. {below}')}}}",
            rf"\begin{{tabular}}{{l{'l' * len(table.columns)}}}",
            r"\toprule",
            " & ".join(["", *map(latex, table.headings)]) + r" \\",
            r"\midrule",
            "\n\\midrule\n".join(sections),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
            "",
        ]
    )


def latex(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    return "".join(SPECIAL.get(character, character) for character in text)
