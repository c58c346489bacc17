"""No name of a system, an anchor or a metric decides anything in the harness: cards say it all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sf2f_bench
from sf2f_bench.benchmarks import BENCHMARKS
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.protocols.names import PROTOCOLS
from sf2f_bench.registry import MODELS

ROOT = Path(sf2f_bench.__file__).parent
OWN_ROOMS = ("metrics", "protocols")  # where names of metrics are at home
OTHER_MEANINGS = {
    "association/measures.py": {"verification-auc", "verification-eer"},  # measures of lists, not of faces
    "report/published.py": {"cosine", "l1", "l2"},  # columns of the table of published results
    "report/pictures.py": {"recall"},  # the end of a file's name
    "types/cards.py": {"diversity"},  # the family
}
PURPOSES = {"chance"}  # a `ModelCard.purpose` too


def strings(tree: ast.AST) -> set[str]:
    """Every literal text of the code; texts of docstrings and f-strings' parts are none."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef)
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, owners) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented
    }


def names_of_metrics() -> set[str]:
    found = set()
    for benchmark in BENCHMARKS.values():
        for name in PROTOCOLS:
            protocol = protocol_named(name)
            found |= {metric.name for metric in protocol.metrics(benchmark, 300)}
            found |= {metric.card.quantity for metric in protocol.metrics(benchmark, 300)}
    return found


@pytest.fixture(scope="module")
def known() -> set[str]:
    names = {*MODELS, *names_of_metrics()}
    assert len(names) > 100
    return names - PURPOSES


FILES = sorted(
    file
    for file in ROOT.rglob("*.py")
    if file.relative_to(ROOT).parts[0] not in (*OWN_ROOMS, "benchmarks.py", "templates")
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_name_stands_in_the_harness(file: Path, known: set[str]) -> None:
    where = file.relative_to(ROOT).as_posix()
    allowed = OTHER_MEANINGS.get(where, set())
    found = strings(ast.parse(file.read_text(encoding="utf-8"))) & known
    assert found <= allowed, f"{where} decides something by the name {sorted(found - allowed)}: read the card"


def test_a_name_would_be_found(known: set[str]) -> None:
    planted = ast.parse(
        '"""gender-oracle"""\nif row.name == "gender-oracle" or score.metric == "diversity":\n    pass'
    )
    assert strings(planted) & known == {"gender-oracle", "diversity"}
