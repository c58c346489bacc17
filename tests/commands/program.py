"""The program in a process of its own, as a user starts it, and folders to start it in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

PROGRAM = (sys.executable, "-m", "sf2f_bench")
SMOKE = ("run", "--budget", "smoke", "--device", "cpu")
WHERE_WEIGHTS_LIE = ("SF2F_BENCH_WEIGHTS", "DEEPFACE_HOME", "TORCH_HOME", "XDG_CACHE_HOME")


def environment(home: Path) -> dict[str, str]:
    """The environment of a user who lives in a folder: whatever weights this machine has stay out of it."""
    kept = {name: value for name, value in os.environ.items() if name not in WHERE_WEIGHTS_LIE}
    return {**kept, "HOME": str(home)}


def call(
    folder: Path, *words: object, program: Sequence[str] = PROGRAM, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`sf2f-bench WORDS` in a folder, with what it printed and its exit code. variables: of the environment."""
    command, env = [*program, *map(str, words)], environment(folder) | variables
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=900
    )


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder for a whole run of the tests, filled by whichever process asks first; the others wait for it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers of this run
    folder, done = base / name, base / f"{name}.done"
    with FileLock(base / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def start_from(anchored: Path, folder: Path, with_results: bool = False) -> Path:
    """A folder to run in, new or empty, that has the data and the true faces' features already.

    with_results: and the records of the anchors.
    """
    cache = Path(".sf2f-bench")
    taken = [cache / stage for stage in ("prepared", "features", "audit")]
    for part in [*taken, Path("results")] if with_results else taken:
        shutil.copytree(anchored / part, folder / part)
    return folder
