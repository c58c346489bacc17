"""The report's tables as one LaTeX file that a paper inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sf2f_bench.report.contents import Line, Table, tables
from sf2f_bench.report.published import HEADINGS, NUMBERS, published
from sf2f_bench.report.tables import caption
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
    """Every group's tables, the published rows in a table of their own, and what the numbers must not be used for."""
    parts = ["% Written by sf2f-bench. Needs \\usepackage{booktabs}; \\input this file.", ""]
    for group in found:
        below = " ".join(caption(group))
        parts += [latex_table(part, below) for table in tables(group) for part in table.parts(COLUMNS)]
    parts += [*_published(), r"\paragraph{Limits and ethics.}", *map(latex, ETHICS)]
    return "\n".join(parts) + "\n"


def _published() -> list[str]:
    """What others have printed: under which conditions, then the numbers; each row has its number in both tables."""
    rows = published()
    lines = tuple(
        Line(f"{i}. {row.system}", "system", tuple(row.cells.values())) for i, row in enumerate(rows, start=1)
    )
    table = Table("Published rows, as printed", tuple(HEADINGS.values()), (0,) * len(HEADINGS), lines)
    places = {name: i for i, name in enumerate(HEADINGS)}
    conditions = table.only([i for name, i in places.items() if name not in (*NUMBERS, "note")])
    numbers = table.only([places[name] for name in NUMBERS])
    remarks: dict[str, list[str]] = {}
    for i, row in enumerate(rows, start=1):
        remarks.setdefault(row.cells["note"], []).append(str(i))
    said = "; ".join(f"{', '.join(of)}: {note}" for note, of in remarks.items() if note)
    numbered = replace(numbers, title="Published rows, as printed, continued")
    return [latex_table(conditions, PUBLISHED), latex_table(numbered, f"{PUBLISHED} Notes to rows {said}.")]


def latex_table(table: Table, below: str) -> str:
    """A booktabs table float; `below` goes into the caption. Rules set the anchors apart."""
    rows: list[str] = []
    previous = None
    for line in table.lines:
        if previous not in (None, line.zone):
            rows.append(r"\midrule")
            if line.zone == "ablation":
                heading = rf"\emph{{{latex(table.ablations)}}}"
                rows.append(rf"\multicolumn{{{len(table.headings) + 1}}}{{l}}{{{heading}}} \\")
        previous = line.zone
        # The braces keep a label that begins with "[" from being taken for an argument of the "\\" above it.
        rows.append(
            " & ".join(["{}" + latex(line.label), *map(latex, (cell or NOTHING for cell in line.cells))])
            + r" \\"
        )
    return "\n".join(
        [
            r"\begin{table*}[t]",
            r"\centering\scriptsize\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{latex(f'{table.title}. {below}')}}}",
            rf"\begin{{tabular}}{{l{'l' * len(table.headings)}}}",
            r"\toprule",
            " & ".join(["", *map(latex, table.headings)]) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
            "",
        ]
    )


def latex(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    return "".join(SPECIAL.get(character, character) for character in text)
