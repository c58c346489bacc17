"""LPIPS diversity in a run, with weights of the published names made on the spot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torchvision.models import alexnet

from sf2f_bench.extractors.lpips import LpipsExtractor
from sf2f_bench.results.records import load_all
from tests.commands.program import SMOKE, call, start_from

lpips = pytest.importorskip("lpips")


def test_lpips_diversity_stands_in_records_and_report(anchored, tmp_path):
    folder, weights = start_from(anchored, tmp_path / "run"), tmp_path / "weights"
    weights.mkdir()
    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), weights / LpipsExtractor.FILE)
    channels = Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth"
    shutil.copyfile(channels, weights / LpipsExtractor.CHANNELS_FILE)
    words = (*SMOKE, "--models", "chance", "--extractors", "lpips-alex")
    done = call(folder, *words, SF2F_BENCH_WEIGHTS=str(weights))
    assert done.returncode == 0, done.stderr
    found = {
        record.system.name: score
        for record in load_all(folder / "results")
        for score in record.scores
        if score.metric == "lpips-diversity"
    }
    assert {score.extractor.partition("/")[0] for score in found.values()} == {"lpips-alex"}
    assert found["mean-face"].value == pytest.approx(0, abs=1e-6)
    assert 0 < found["four-faces"].value < found["real-photo-oracle"].value
    assert found["real-photo-oracle"].interval is not None
    assert not {"chance", "linear-listener"} & set(found)  # they show no face
    assert call(folder, "validate", "results").returncode == 0
    assert call(folder, "report", "results").returncode == 0
    page = (folder / "results" / "report" / "report.md").read_text(encoding="utf-8")
    assert "LPIPS diversity" in page
    assert "tells pictures apart as people do" in page
