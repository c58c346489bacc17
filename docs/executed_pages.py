"""Pages whose commands are run: ``python -m docs.executed_pages`` writes what they print into the pages.

All ``sh`` blocks of these pages are run in order in one folder, which holds a copy of the repository as its readers'
does. A ``text`` or ``python`` block that follows one directly is what it printed on the standard output.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("docs/walkthrough.md", "docs/submit-results.md")  # the second goes on where the first ends
COPY = "sf2f-bench"  # the name that the pages give to the copy of the repository
TRAINED = "deep-listener"  # the system that they train
COLUMNS = "80"
STEP = re.compile(
    r"^```sh\n(?P<code>.*?)^```\n(?:```(?:text|python)\n(?P<shown>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)
CONTINUED = re.compile(r"\n  (?=\S)")  # a note goes on in the next line
DURATION = re.compile(r"\bin \d+\.\d+s\b")
NUMBER = re.compile(r"(?<![\w.@-])[-+]?\d*\.?\d+\b")


class Step(NamedTuple):
    """A block of commands, what the page shows of its output (None: nothing), and what it printed."""

    page: str
    code: str
    shown: str | None
    printed: str


def run(folder: Path, environment: Mapping[str, str]) -> Iterator[Step]:
    """Run the pages' commands in a folder. Raises RuntimeError where one fails, with all that it printed."""
    (folder / COPY).symlink_to(ROOT)
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    variables = {**environment, "COLUMNS": COLUMNS, "PATH": path, "CUDA_VISIBLE_DEVICES": ""}
    for page in PAGES:
        for step in STEP.finditer((ROOT / page).read_text(encoding="utf-8")):
            command = ["bash", "-euo", "pipefail", "-c", step["code"]]
            done = subprocess.run(
                command, cwd=folder, env=variables, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{page}: {step['code']}{done.stdout}{done.stderr}")
            printed = "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip("\n")
            yield Step(page, step["code"], step["shown"], f"{printed}\n" if printed else "")


def comparable(step: Step, output: str) -> str:
    """An output without what differs between machines.

    Durations, numbers in lines and notes about the trained system, and, as every line of `compare` is about it, all
    numbers there. A number must still stand where there was one; all else must be the same.
    """
    every_line = step.code.startswith("sf2f-bench compare")
    text = " ".join(output.split()) if every_line else CONTINUED.sub(" ", output)
    return "".join(
        f"{' '.join(NUMBER.sub('N', line).split())}\n" if every_line or TRAINED in line else f"{line}\n"
        for line in DURATION.sub("in N s", text).splitlines()
    )


def written(page: str, steps: list[Step]) -> str:
    """The page with the output that its commands printed."""
    printed = iter([step.printed for step in steps if step.page == page])

    def with_output(match: re.Match[str]) -> str:
        output, start = next(printed), match.start()
        if match["shown"] is None:
            return match[0]
        first, last = (place - start for place in match.span("shown"))
        return match[0][:first] + output + match[0][last:]

    return STEP.sub(with_output, (ROOT / page).read_text(encoding="utf-8"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        steps = list(run(Path(folder), {**os.environ, "HOME": folder}))
    for page in PAGES:
        (ROOT / page).write_text(written(page, steps), encoding="utf-8")
