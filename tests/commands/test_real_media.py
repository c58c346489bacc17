"""Real recordings and photos through the commands; skipped where ../shared is not beside the checkout."""

from __future__ import annotations

import pandas as pd
import pytest

from sf2f_bench.results.records import load_all
from tests.commands.program import SMOKE, call
from tests.layouts import lay_out_hq_voxceleb


@pytest.fixture(scope="module")
def null_pairs(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("null")
    real = shared / "real"
    media = ["--voices", real / "librispeech", "--faces", real / "orl_faces"]
    done = call(folder, *SMOKE, "null-pairs", *media)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_on_unpaired_media_every_trained_system_is_at_chance(null_pairs):
    folder, done = null_pairs
    records = {record.system.name: record for record in load_all(folder / "results")}
    systems = {"sf2f-64", "sf2f-64-fuser", "voice2face-64"}
    assert systems <= set(records)
    for name in systems:
        assert not records[name].benchmark.paired
        judged = {score.metric: score for score in records[name].scores if score.extractor_role == "judge"}
        low, high = judged["recall@5/g10"].interval
        assert low - 1e-9 <= 0.5 <= high + 1e-9
    assert "at chance, as it must be" in " ".join(done.stdout.split())


def test_no_picture_of_a_person_is_kept_beside_a_record(null_pairs):
    folder, _ = null_pairs
    assert not list((folder / "results").rglob("*.png"))


def test_prepare_reads_a_laid_out_hq_voxceleb_and_lists_a_bad_photo(shared, tmp_path):
    root = lay_out_hq_voxceleb(shared, tmp_path / "hq")
    photo = sorted(root.rglob("*.jpg"))[0]
    bad = photo.with_name("zz_truncated.jpg")
    bad.write_bytes(photo.read_bytes()[:2000])
    done = call(tmp_path, "prepare", "hq-voxceleb", "--root", root, "--out", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "4 train, 2 val, 2 test identities" in done.stdout
    left_out = pd.read_csv(tmp_path / "store" / "left_out.csv", keep_default_na=False)
    assert bad.name.removesuffix(".jpg") in " ".join(left_out["key"])
    assert "truncated" in " ".join(left_out["reason"])
    manifest = pd.read_parquet(tmp_path / "store" / "manifest.parquet")
    assert (manifest[manifest["kind"] == "voice"]["length"] > 125).all()


def test_without_facenets_weights_the_paper_benchmark_says_which_file_goes_where(shared, tmp_path):
    root = lay_out_hq_voxceleb(shared, tmp_path / "hq")
    words = ["run", "hq-voxceleb", "--root", root, "--gallery", "2", "--ks", "1"]
    done = call(tmp_path, *words, SF2F_BENCH_WEIGHTS=str(tmp_path / "weights"))
    assert done.returncode == 2
    assert "20180402-114759-vggface2.pt" in done.stderr
    assert str(tmp_path / "weights") in done.stderr
    assert not (tmp_path / "results").exists()


def test_real_media_of_both_front_ends_go_through_to_a_table(shared, tmp_path):
    """Laid out as HQ-VoxCeleb; four people train, so only the way is tested, not the numbers."""
    root = lay_out_hq_voxceleb(shared, tmp_path / "hq")
    words = [*SMOKE, "hq-voxceleb", "--root", root, "--gallery", "2", "--ks", "1"]
    words += ["--perceptual", "embedded-perceptual", "--steps", "2", "--width", "0.06"]
    words += ["--models", "sf2f-64-fuser", "--models", "voice2face-wen", "--judge", "embedded-judge"]
    done = call(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    names = {record.system.name for record in load_all(tmp_path / "results")}
    assert {"sf2f-64-fuser", "voice2face-wen"} <= names
    assert "trained on synthetic faces" in " ".join(done.stdout.split())


def test_an_hq_voxceleb_with_too_few_test_identities_says_what_to_do(shared, tmp_path):
    root = lay_out_hq_voxceleb(shared, tmp_path / "hq")
    perceptual = ("--perceptual", "embedded-perceptual")
    done = call(tmp_path, "run", "hq-voxceleb", "--root", root, *perceptual)
    assert done.returncode == 2
    assert "galleries of 100 need as many test identities" in done.stderr
    assert "Traceback" not in done.stderr
