"""docs/design.md names rooms and functions that exist."""

from __future__ import annotations

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
WALK = TEXT[TEXT.index("## From `sf2f-bench run`") : TEXT.index("## Decisions")]
ROOMS = {path.parent.name for path in (ROOT / "sf2f_bench").glob("*/__init__.py")}
FUNCTIONS = sorted({name for name in re.findall(r"`([\w.]+)`", WALK) if "." in name})


def test_the_table_of_rooms_names_every_room_and_module():
    table = TEXT[TEXT.index("## Rooms") : TEXT.index("## From")]
    modules = {path.name for path in (ROOT / "sf2f_bench").glob("*.py") if not path.name.startswith("__")}
    missing = [name for name in (*modules, *(f"{room}/" for room in ROOMS)) if f"`{name}`" not in table]
    assert not missing
    assert len(re.findall(r"^\d+\. ", WALK, re.MULTILINE)) == 10


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_walk_names_functions_that_exist(name):
    parts = name.split(".")
    modules = 1 if (ROOT / "sf2f_bench" / f"{parts[0]}.py").exists() else 2
    if (ROOT / "sf2f_bench" / parts[0] / parts[1]).is_dir():
        modules = 3
    module = import_module(".".join(["sf2f_bench", *parts[:modules]]))
    assert callable(reduce(getattr, parts[modules:], module))
