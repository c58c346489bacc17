"""The report as one HTML file that needs nothing else: styles, script, pictures, faces and voices are inside.

Jinja2 escapes every text of a record. A content security policy in the page forbids it every request and every
script and style but its own, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.colors import to_hex

from sf2f_bench.report.claims import answered_claims
from sf2f_bench.report.gallery import cases, data_uri, gallery
from sf2f_bench.report.markdown import costs_of_a_face, facts_of, weights_of
from sf2f_bench.report.marks import marked_tables
from sf2f_bench.report.notes import audit_notes, caption, notes
from sf2f_bench.report.overview import State, answer, first_faces, leaderboard, lights
from sf2f_bench.report.pictures import MESSAGES, PICTURES, SECTIONS
from sf2f_bench.report.published import NUMBERS, published
from sf2f_bench.report.style import PALETTE
from sf2f_bench.report.tables import Kind, kind_of
from sf2f_bench.report.words import (
    CLAIMS_ELSEWHERE,
    CLAIMS_HEADINGS,
    CLAIMS_READING,
    ETHICS,
    PUBLISHED,
    SEEDS,
    SYNTHETIC,
)
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import Entry, Group

KINDS: dict[Kind, str] = {"system": "systems", "ablation": "ablations", "anchor": "anchors"}
PARTS = {  # of a chapter, as the contents name them
    "claims": "Claims",
    "tables": "Tables",
    "curves": "Curves",
    "gallery": "Voices and faces",
    "robustness": "Robustness and length",
    "subgroups": "Subgroups",
    "notes": "Notes",
    "audit": "Audit",
}
SIGNS: dict[State, str] = {"good": "✓", "doubtful": "?", "bad": "!"}
MIME_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


def html_page(found: Sequence[Group], pictures: Sequence[Mapping[str, Sequence[Path]]]) -> str:
    """The whole page. pictures: of each group, ``{name: [png, svg]}`` as they were drawn."""
    environment = _environment()
    style = environment.get_template("page.css").render(colours=_colours())
    script = environment.get_template("page.js").render()
    return environment.get_template("page.html").render(
        chapters=[
            _chapter(group, f"group-{i}", drawn)
            for i, (group, drawn) in enumerate(zip(found, pictures, strict=True), start=1)
        ],
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        ethics=ETHICS,
        claims_headings=CLAIMS_HEADINGS,
        claims_reading=CLAIMS_READING,
        claims_elsewhere=CLAIMS_ELSEWHERE,
        published=published(),
        published_numbers=NUMBERS,
        why=PUBLISHED,
        kinds=KINDS,
        parts=PARTS,
        signs=SIGNS,
    )


def _chapter(group: Group, anchor: str, drawn: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """One comparable group as the page shows it. anchor: of links within the page."""
    shown, audit = marked_tables(group), audit_notes(group)
    findings = dict.fromkeys(finding for record in group.records for finding in record.audit)
    seconds = sum(record.cost.wall_seconds for record in group.records)
    pictures = {
        name: (name, PICTURES[name], _as_data(paths), MESSAGES[name](group)) for name, paths in drawn.items()
    }
    return {
        "group": group,
        "anchor": anchor,
        "answer": answer(group),
        "leaderboard": leaderboard(group),
        "first_faces": first_faces(group),
        "lights": lights(group),
        "tables": shown,
        "claims": answered_claims(group),
        "is_tested": any(cell.mark for table in shown for row in table.rows for cell in row.cells),
        "reference_rows": sum(row.is_reference for table in shown[:1] for row in table.rows),
        "pictures": {
            section: [pictures[name] for name in names if name in pictures]
            for section, names in SECTIONS.items()
        },
        "gallery": gallery(group),
        "cases": cases(group),
        "caption": caption(group),
        "notes": [note for note in notes(group) if note not in audit],  # the audit has a place of its own
        "findings": sorted(findings, key=lambda finding: not finding.alarm),
        "limits": [SEEDS] if group.part.real else [SYNTHETIC, SEEDS],
        "weights": weights_of(group),
        "hours": f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min",
    }


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
    parameters, operations, seconds = costs_of_a_face(cost)
    parts = [
        f"this run {cost.wall_seconds:.0f} s; training, perhaps in an earlier run, {cost.train_seconds:.0f} s; memory "
        f"{cost.peak_memory_mb:.0f} MB at most",
        f"{parameters} parameters" if parameters else "",
        f"a face: {', '.join(filter(None, (operations, seconds)))}" if operations or seconds else "",
    ]
    return "; ".join(filter(None, parts))
