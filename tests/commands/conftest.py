"""What several files of commands start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.program import SMOKE, call, made_once


def run_anchors(folder: Path) -> None:
    done = call(folder, *SMOKE, "--models", "chance")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def anchored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a smoke run of the anchors alone began with nothing and ended; to be copied, not changed."""
    return made_once(tmp_path_factory, "anchored", run_anchors)
