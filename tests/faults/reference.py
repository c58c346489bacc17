"""Makes reference runs small: `python -m tests.faults.reference RESULTS FOLDER`.

Of the newest records in RESULTS it keeps in FOLDER what the gate reads: systems, exact anchors and floors with their
numbers, no pictures, voices and training curves.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sf2f_bench.gate.judgement import FLOORS
from sf2f_bench.results.records import SideFiles, load_all, save
from sf2f_bench.results.selection import groups


def keep(results: Path, folder: Path) -> list[Path]:
    """The JSON files written."""
    newest = {row.record.key: row.record for group in groups(load_all(results)) for row in group.entries}
    return [
        save(
            record.model_copy(update={"files": SideFiles()}),
            folder,
            record.per_identity(),
            replicates=record.replicates(),
        )
        for record in newest.values()
        if record.system.kind == "system"
        or record.system.tolerance is not None
        or record.system.purpose in FLOORS
    ]


if __name__ == "__main__":
    for path in keep(*map(Path, sys.argv[1:])):
        print(path)
