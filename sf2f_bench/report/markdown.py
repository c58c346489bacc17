"""The report as Markdown: tables, notes, pictures, rows and where each number comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sf2f_bench.report.claims import Finding, answered_claims
from sf2f_bench.report.faces import face_identities
from sf2f_bench.report.notes import caption, notes
from sf2f_bench.report.pictures import MESSAGES
from sf2f_bench.report.published import published
from sf2f_bench.report.tables import Table, tables
from sf2f_bench.report.words import (
    CLAIMS_ELSEWHERE,
    CLAIMS_HEADINGS,
    CLAIMS_READING,
    ETHICS,
    PUBLISHED,
    SYNTHETIC,
)
from sf2f_bench.results.numbers import NOTHING
from sf2f_bench.results.records import Cost, RunRecord
from sf2f_bench.results.selection import Group, Zone
from sf2f_bench.results.texts import markdown

EMPHASIS: dict[Zone, str] = {"system": "**", "ablation": "", "floor": "*", "ceiling": "*"}
OF_A_FACE = ("parameters", "operations a face", "time a face")
PROVENANCE = (
    *("row", "key", "created", "device", "torch", "package", "wall s", "of it training s", "peak MB so far"),
    *OF_A_FACE,
)


def markdown_file(found: Sequence[Group], pictures: Sequence[Mapping[str, Sequence[Path]]]) -> str:
    """The whole file. pictures: of each group, ``{name: [png, svg]}`` as they were drawn."""
    lines = ["# Speech-to-face benchmark report", ""]
    for group, drawn in zip(found, pictures, strict=True):
        lines += _section(group, drawn)
    lines += ["## Published rows", "", markdown(PUBLISHED), ""]
    table = published()
    lines += [*_table_lines(table, "system, as printed", dict.fromkeys(EMPHASIS, "")), ""]
    return "\n".join([*lines, "## Limits and ethics", "", *(f"{text}\n" for text in map(markdown, ETHICS))])


def claims_file(found: Sequence[Group]) -> str:
    """Every claim with its effect and answer, a table for each group and budget; a sentence where there are none."""
    lines = ["# The claims of the SF2F paper, answered", "", markdown(CLAIMS_READING), ""]
    tested = [
        (group, budget, answers) for group in found for budget, answers in answered_claims(group).items()
    ]
    for group, budget, answers in tested:
        lines += [f"## {markdown(group.title)}, {markdown(budget)}", ""]
        lines += [] if group.part.real else [markdown(SYNTHETIC), ""]
        lines += [_line(CLAIMS_HEADINGS), "|" + "---|" * len(CLAIMS_HEADINGS), *map(_claim, answers), ""]
    if not tested:
        lines += ["No record here is of SF2F on paired data, so no claim can be tested.", ""]
    return "\n".join([*lines, markdown(CLAIMS_ELSEWHERE), ""])


def _claim(one: Finding) -> str:
    claim, source, answer, measured, compared = map(
        markdown, (one.text, one.source, one.answer, one.measured, one.compared)
    )
    return _line([claim, f"**{answer}**", measured, compared, source])


def markdown_table(table: Table) -> str:
    """A pipe table under its title; rows of anchors are in italics, those of systems bold."""
    return "\n".join([f"**{markdown(table.title)}**", "", *_table_lines(table, "", EMPHASIS)]) + "\n"


def _table_lines(table: Table, corner: str, emphasis: Mapping[Zone, str]) -> Iterator[str]:
    yield _line([corner, *map(markdown, table.headings)])
    yield "|" + "---|" * (len(table.columns) + 1)
    for section in table.sections:
        if section.heading:
            yield _line([f"*{markdown(section.heading)}*", *[""] * len(table.columns)])
        mark = emphasis[section.zone]
        for row in section.rows:
            label = f"{mark}{markdown(row.short_label or row.label)}{mark}"
            yield _line([label, *(markdown(str(cell)) or NOTHING for cell in row.cells)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _section(group: Group, pictures: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """One comparable group."""
    yield from (f"## {markdown(group.title)}", "")
    if group.why:
        yield from (markdown(group.why), "")
    yield from map(markdown_table, tables(group))
    yield from (markdown(line) + "  " for line in caption(group))
    yield from ("", "### Notes", "")
    for note in notes(group):
        yield f"- **{markdown(note.marked)}**" if note.alarm else f"- {markdown(note.text)}"
    yield from ("", "### Pictures", "")
    for name, paths in pictures.items():
        yield from (f"![{markdown(MESSAGES[name](group))}]({paths[0].name})", "")
        if name == "faces":
            people = markdown(", ".join(face_identities(group)))
            yield from (f"Test identities, left to right: {people}.", "")
    yield from ("### Rows", "")
    for entry in group.entries:
        yield f"- **{markdown(entry.label)}**: {markdown(' '.join(facts_of(entry.record)))}"
    yield from ("", *_provenance(group), "")


def facts_of(record: RunRecord) -> list[str]:
    """What a row is, from its card."""
    card = record.system
    facts = {
        "": f"{card.description.rstrip('.')}." if card.description else "",
        "Version ": f"{card.version}.",
        "Licence: ": f"{card.licence}." if card.licence else "",
        "Reference: ": f"{card.reference}." if card.reference else "",
        "Trained on: ": f"{card.trained_on}." if card.trained_on else "",
        "Limits: ": card.limits,
    }
    return [f"{name}{text}" for name, text in facts.items() if text]


def _provenance(group: Group) -> Iterator[str]:
    """Where each number comes from: key, time, machine, cost; and the extractors' weights."""
    yield from ("### Provenance", "", _line(PROVENANCE), "|" + "---|" * len(PROVENANCE))
    for entry in group.entries:
        record, ran, cost = entry.record, entry.record.environment, entry.record.cost
        values = [
            entry.label,
            record.key[:12],
            record.created.isoformat(timespec="seconds"),
            f"{ran.device}, {ran.threads} threads, {ran.processor or ran.platform}, Python {ran.python}",
            ran.torch,
            f"{ran.package} ({ran.commit[:10]})" if ran.commit else ran.package,
            *(f"{amount:.0f}" for amount in (cost.wall_seconds, cost.train_seconds, cost.peak_memory_mb)),
            *(text or NOTHING for text in costs_of_a_face(cost)),
        ]
        yield _line(map(markdown, values))
    yield ""
    yield from (
        f"- weights of {markdown(name)}: sha256 {markdown(digest)}" for name, digest in weights_of(group)
    )


def costs_of_a_face(cost: Cost) -> tuple[str, str, str]:
    """``("4.1 M", "1.2 GFLOP", "3.4 ms")``; an empty word for what was not measured."""
    seconds = cost.seconds_per_face
    return (
        _with_prefix(cost.parameters),
        _with_prefix(cost.operations_per_face, "FLOP"),
        "" if seconds is None else f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s",
    )


def _with_prefix(amount: float | None, unit: str = "") -> str:
    """``1.2 GFLOP``; the prefix of the largest thousand that the amount reaches."""
    if amount is None:
        return ""
    power = next((power for power in (4, 3, 2, 1) if amount >= 999.5 * 1000 ** (power - 1)), 0)
    shown = f"{amount / 1000**power:.3g}" if amount < 999.5 * 1000**4 else f"{amount / 1000**4:.0f}"
    return f"{shown} {('', 'k', 'M', 'G', 'T')[power]}{unit}".strip()


def weights_of(group: Group) -> list[tuple[str, str]]:
    """(extractor, sha256 of its weights)."""
    return sorted({item for record in group.records for item in record.weights.items()})
