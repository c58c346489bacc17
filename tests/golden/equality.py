"""`python -m tests.golden.equality` prints how equal our networks are to the official code's, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from tests.golden.rebuild import GROUPS, Comparison, comparisons

HEADER = (
    "| network | quantity | values | ours | official | largest deviation | relative | allowed |",
    "|---|---|--:|--:|--:|--:|--:|--:|",
)


def table(rows: Iterable[Comparison]) -> str:
    """One line a comparison; the values themselves where there is only one."""
    lines = [*HEADER]
    for row in rows:
        single = row.ours.size == 1
        shown = [f"{value.item():.9g}" if single else "" for value in (row.ours, row.official)]
        numbers = [f"{row.absolute:.1e}", f"{row.relative:.1e}", f"{row.relative_tolerance:.0e}"]
        if row.relative_tolerance == 0:
            numbers = [f"{row.absolute:g}", f"{row.relative:g}", "0"]
        cells = [row.network, row.quantity, f"{row.ours.size:,}", *shown, *numbers]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(row for group in GROUPS for row in comparisons(group)))
