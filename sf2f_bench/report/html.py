"""The report as one HTML file that needs nothing else: styles, script, pictures, faces and voices are inside.

Jinja2 escapes every text of a record. A content security policy in the page forbids it every request and every
script and style but its own, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.colors import to_hex

from sf2f_bench.report.html_gallery import Gallery, gallery
from sf2f_bench.report.html_pictures import PICTURES, as_data
from sf2f_bench.report.html_tables import KINDS, HtmlTable, html_tables, kind_of
from sf2f_bench.report.notes import notes
from sf2f_bench.report.published import HEADINGS, NUMBERS, published
from sf2f_bench.report.style import PALETTE
from sf2f_bench.report.tables import caption
from sf2f_bench.report.verdicts import Note
from sf2f_bench.report.words import ETHICS, PROTOCOLS, PUBLISHED, SEEDS, SYNTHETIC
from sf2f_bench.results.records import Finding, RunRecord
from sf2f_bench.results.selection import Group, Row


@dataclass(frozen=True)
class PagePicture:
    """One picture of a section."""

    name: str
    title: str
    source: str  # data URI


@dataclass(frozen=True)
class Section:
    """One comparable group as the page shows it."""

    group: Group
    anchor: str  # of links within the page
    pictures: tuple[PagePicture, ...]

    @cached_property
    def tables(self) -> list[HtmlTable]:
        """The tables with bars and marks."""
        return html_tables(self.group)

    @property
    def tested(self) -> bool:
        """Could any number be paired with its reference's?"""
        return any(table.tested for table in self.tables)

    @property
    def gallery(self) -> Gallery:
        """Whose voices and faces are shown."""
        return gallery(self.group)

    @property
    def caption(self) -> list[str]:
        """What the numbers rest on."""
        return caption(self.group)

    @property
    def protocol(self) -> str:
        """The protocol in words; empty for one that only its author knows."""
        return PROTOCOLS.get(self.group.protocol, "")

    @cached_property
    def notes(self) -> list[Note]:
        """All notes but what the audit found, which has a place of its own."""
        return [note for note in notes(self.group) if not note.text.startswith("Audit, ")]

    @property
    def findings(self) -> list[Finding]:
        """What the audit of the data found, each finding once, alarms first."""
        found = dict.fromkeys(finding for row in self.group.rows for finding in row.record.audit)
        return sorted(found, key=lambda finding: not finding.alarm)

    @property
    def alarms(self) -> list[str]:
        """What forbids to believe the tables as they are."""
        audit = [f"Audit, {finding.check}: {finding.text}" for finding in self.findings if finding.alarm]
        return audit + [note.text for note in self.notes if note.alarm]

    @property
    def limits(self) -> list[str]:
        """What holds for every number of this section."""
        return [SEEDS] if self.group.rows[0].record.benchmark.real else [SYNTHETIC, SEEDS]

    @property
    def weights(self) -> list[tuple[str, str]]:
        """(extractor, sha256 of its weights)."""
        return sorted({item for row in self.group.rows for item in row.record.weights.items()})

    @property
    def hours(self) -> str:
        """What the rows took together."""
        seconds = sum(row.record.cost.wall_seconds for row in self.group.rows)
        return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def html_page(found: Sequence[Group], pictures: Sequence[Mapping[str, Sequence[Path]]]) -> str:
    """The whole page. pictures: of each group, ``{name: [png, svg]}`` as they were drawn."""
    sections = [
        Section(group, f"group-{i}", _pictures(drawn))
        for i, (group, drawn) in enumerate(zip(found, pictures, strict=True), start=1)
    ]
    environment = _environment()
    style = environment.get_template("page.css").render(colours=_colours())
    script = environment.get_template("page.js").render()
    return environment.get_template("page.html").render(
        sections=sections,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        ethics=ETHICS,
        published=published(),
        published_headings=HEADINGS,
        published_numbers=NUMBERS,
        why=PUBLISHED,
        kinds=KINDS,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sf2f_bench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(kind_of=kind_of, recipe_of=_recipe, cost_of=_cost)
    return environment


def _pictures(drawn: Mapping[str, Sequence[Path]]) -> tuple[PagePicture, ...]:
    """All but the grid of faces, in whose place the gallery stands."""
    return tuple(
        PagePicture(name, PICTURES[name], as_data(paths)) for name, paths in drawn.items() if name != "faces"
    )


def _colours() -> dict[str, str]:
    """Of the pictures' palette, which the colour-blind tell apart: for light pages and for dark ones."""
    blue, orange, sky = PALETTE[0], PALETTE[3], PALETTE[8]
    return {
        "better": to_hex(blue),
        "worse": to_hex(orange),
        "better_dark": to_hex(sky),
        "worse_dark": to_hex(PALETTE[1]),
    }


def _hash(text: str) -> str:
    """As a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _recipe(record: RunRecord) -> str:
    """The recipe as JSON; empty for what was not trained."""
    return json.dumps(record.system.recipe, indent=1, sort_keys=True) if record.system.recipe else ""


def _cost(row: Row) -> str:
    cost = row.record.cost
    return f"{cost.wall_seconds:.0f} s, training {cost.train_seconds:.0f} s, {cost.peak_memory_mb:.0f} MB"
