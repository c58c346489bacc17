"""The page of synthetic worlds, from invented numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.statistics.world_range import USUAL, WORLDS, kept_order, page


def test_order_is_kept_where_only_ties_move():
    usual = {"a": 0.1, "b": 0.5, "c": 0.51, "d": 0.9}
    assert kept_order(usual, usual) == (pytest.approx(1), 1)
    tau, same = kept_order(usual, {**usual, "b": 0.52})
    assert tau == pytest.approx(2 / 3)
    assert same == 1  # b and c lie within .02 in the usual world
    assert kept_order(usual, {row: -value for row, value in usual.items()}) == (pytest.approx(-1), 0)


def test_the_page_says_where_the_ranking_is_stable():
    random = np.random.default_rng(0)
    rows = {f"row{i}": i / 10 for i in range(9)}
    stable = {name: dict(rows) for name in WORLDS}
    text = page(stable)
    assert "The ranking is stable (tau of .8 or more in every world) at share 0, 0.2, 0.5, 0.8." in text
    assert "not measured" not in text
    moved = {
        name: {row: random.random() for row in rows} if "shared0-" in name else dict(rows) for name in WORLDS
    }
    del moved[f"{USUAL}-shared0.8-world2"]["row3"]
    text = page(moved)
    assert "It is not at share 0." in text
    assert "| row3 | 0.300 | 0.300 | - | 0.300 |" in text
    assert "- is not measured" in text
