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

from sf2f_bench.report.gallery import Gallery, data_uri, gallery
from sf2f_bench.report.markdown import facts_of, weights_of
from sf2f_bench.report.marks import marked_tables
from sf2f_bench.report.notes import caption, notes
from sf2f_bench.report.pictures import PICTURES
from sf2f_bench.report.published import NUMBERS, published
from sf2f_bench.report.style import PALETTE
from sf2f_bench.report.tables import Kind, Table, kind_of
from sf2f_bench.report.verdicts import Note
from sf2f_bench.report.words import ETHICS, PUBLISHED, SEEDS, SYNTHETIC
from sf2f_bench.results.records import Finding, RunRecord
from sf2f_bench.results.selection import Entry, Group

KINDS: dict[Kind, str] = {"system": "systems", "ablation": "ablations", "anchor": "anchors"}
MIME_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class PagePicture:
    """One picture of a chapter."""

    name: str
    title: str
    source: str  # data URI


@dataclass(frozen=True)
class Chapter:
    """One comparable group as the page shows it."""

    group: Group
    anchor: str  # of links within the page
    pictures: tuple[PagePicture, ...]

    @property
    def tables(self) -> list[Table]:
        """The tables with bars and marks."""
        return marked_tables(self.group)

    @property
    def is_tested(self) -> bool:
        """Whether any number could be compared with its reference's."""
        return any(cell.mark for table in self.tables for row in table.rows for cell in row.cells)

    @property
    def reference_rows(self) -> int:
        """How many rows the first table's reference has."""
        return sum(row.is_reference for table in self.tables[:1] for row in table.rows)

    @property
    def gallery(self) -> Gallery:
        """Whose voices and faces are shown."""
        return gallery(self.group)

    @property
    def caption(self) -> list[str]:
        """What the numbers rest on."""
        return caption(self.group)

    @cached_property
    def notes(self) -> list[Note]:
        """All notes but what the audit found, which has a place of its own."""
        return [note for note in notes(self.group) if not note.text.startswith("Audit, ")]

    @property
    def findings(self) -> list[Finding]:
        """What the audit of the data found, each finding once, alarms first."""
        found = dict.fromkeys(finding for record in self.group.records for finding in record.audit)
        return sorted(found, key=lambda finding: not finding.alarm)

    @property
    def alarms(self) -> list[str]:
        """Reasons not to trust the tables as they are."""
        audit = [f"Audit, {finding.check}: {finding.text}" for finding in self.findings if finding.alarm]
        return audit + [note.text for note in self.notes if note.alarm]

    @property
    def limits(self) -> list[str]:
        """What holds for every number of this chapter."""
        return [SEEDS] if self.group.part.real else [SYNTHETIC, SEEDS]

    @property
    def weights(self) -> list[tuple[str, str]]:
        """(extractor, sha256 of its weights)."""
        return weights_of(self.group)

    @property
    def hours(self) -> str:
        """What the rows took together."""
        seconds = sum(record.cost.wall_seconds for record in self.group.records)
        return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def html_page(found: Sequence[Group], pictures: Sequence[Mapping[str, Sequence[Path]]]) -> str:
    """The whole page. pictures: of each group, ``{name: [png, svg]}`` as they were drawn."""
    chapters = [
        Chapter(group, f"group-{i}", _pictures(drawn))
        for i, (group, drawn) in enumerate(zip(found, pictures, strict=True), start=1)
    ]
    environment = _environment()
    style = environment.get_template("page.css").render(colours=_colours())
    script = environment.get_template("page.js").render()
    return environment.get_template("page.html").render(
        chapters=chapters,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        ethics=ETHICS,
        published=published(),
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
    environment.globals.update(kind_of=kind_of, facts_of=facts_of, recipe_of=_recipe, cost_of=_cost, zip=zip)
    return environment


def _pictures(drawn: Mapping[str, Sequence[Path]]) -> tuple[PagePicture, ...]:
    """All but the grid of faces, in whose place the gallery stands."""
    return tuple(
        PagePicture(name, PICTURES[name], _as_data(paths)) for name, paths in drawn.items() if name != "faces"
    )


def _as_data(paths: Sequence[Path]) -> str:
    """The smaller of a picture's files as a data URI."""
    smallest = min(paths, key=lambda path: path.stat().st_size)
    return data_uri(MIME_TYPES[smallest.suffix], smallest.read_bytes())


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


def _cost(entry: Entry) -> str:
    cost = entry.record.cost
    return f"{cost.wall_seconds:.0f} s, training {cost.train_seconds:.0f} s, {cost.peak_memory_mb:.0f} MB"
