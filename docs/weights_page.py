"""The page of reference weights, from the files: ``python -m docs.weights_page > results/reference/weights.md``.

A test compares page and files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sf2f_bench.files import header_of
from sf2f_bench.results.numbers import with_interval
from sf2f_bench.results.records import load_all
from sf2f_bench.runs.kept_weights import FOLDER

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "results" / "reference" / "long-64"
HEADLINE = "recall@10/g100"

HEAD = """# Reference weights

<!-- Written by python -m docs.weights_page from the files. Change those, not this page. -->

The trained networks behind the reference results of the long budget, seed 0, in half precision. They were trained on
synthetic people, whose relation of voice and face is invented: they say nothing about any real person's face, and must
not be used to guess what a speaker looks like. `NAME@reference` scores them without a training, in a clone of the
repository:
```
sf2f-bench run --models sf2f-64@reference
```
The recall is that of the record which the training gave, in single precision; the row of `NAME@reference` may differ in
its last digits.

| name | trained | recall@10 | size | SHA-256 | licence |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    records = {record.key: record for record in load_all(RECORDS)} if RECORDS.is_dir() else {}
    lines = []
    for file in sorted((ROOT / FOLDER).glob("*.safetensors")):
        facts, content = header_of(file), file.read_bytes()
        record = records[facts["record"]]
        (score,) = [s for s in record.scores if s.metric == HEADLINE and s.extractor_role == "judge"]
        cells = (
            f"`{file.stem}@reference`",
            facts["source"],
            with_interval(score),
            f"{len(content) / 1e6:.1f} MB",
            f"`{hashlib.sha256(content).hexdigest()[:16]}`",
            facts["licence"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
