"""Systems are plug-ins: they import names of `sf2f_bench` itself and nothing from inside it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sf2f_bench

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob("reference_model/*.py"), *ROOT.glob("baselines/*.py")])


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_systems_import_the_public_api_alone(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sf2f_bench"):
            assert node.module == "sf2f_bench"
            assert {alias.name for alias in node.names} <= set(sf2f_bench.__all__)
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("sf2f_bench") for alias in node.names)


@pytest.mark.parametrize("name", sf2f_bench.__all__)
def test_every_public_name_is_there(name):
    assert getattr(sf2f_bench, name) is not None
