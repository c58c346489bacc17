"""Every system of the field through the real command on a CUDA device, in full precision and in bf16."""

from __future__ import annotations

import pytest
import torch

from sf2f_bench.benchmarks import BENCHMARKS
from sf2f_bench.results.records import load_all
from tests.commands.program import call

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_all_systems_train_and_are_scored(precision, tmp_path):
    words = ("run", "--all", "--budget", "smoke", "--steps", "2", "--width", "0.06", "--device", "cuda")
    done = call(tmp_path, *words, "--precision", precision)
    assert done.returncode == 0, done.stderr
    found = {record.system.name: record for record in load_all(tmp_path / "results")}
    assert set(BENCHMARKS["synthetic-64"].all_systems) <= set(found)
    drawn = found["identity-flow-64"].cost
    assert drawn.parameters > 0
    assert drawn.operations_per_face > 0
    assert drawn.seconds_per_face > 0
