"""Fixtures that every room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)  # a busy machine is not a failure
settings.load_profile("steady")

SHARED = Path(__file__).resolve().parents[2] / "shared"
GOLDEN = Path(__file__).resolve().parent / "golden"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and photos beside the checkout; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("../shared (real recordings and photos) is not beside this checkout")
    return SHARED
