"""Code that has changed is other code: it never shows what the code before it made."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile

import pytest

from sf2f_bench import registry
from sf2f_bench.registry import EXTRACTORS, MODELS
from sf2f_bench.registry.sources import keyed, source_of
from sf2f_bench.report.notes import main_notes
from sf2f_bench.results.compare import compare
from sf2f_bench.results.records import load_all
from sf2f_bench.results.selection import groups
from sf2f_bench.runs import stages
from sf2f_bench.runs.systems import build
from sf2f_bench.types import BenchError, ModelSettings
from tests.plugins import install
from tests.tiny import TinyFrontend
from tests.unit.test_pipeline import MINE, world  # noqa: F401

SETTINGS = ModelSettings(16)
BASE = "class Base: ...\n"
EXTRACTOR = """
class Mine:
    id, sha256, recognises = "mine/1", "0" * 64, True
    def __init__(self, name=""): ...
    def __call__(self, images): ...
"""


def edit(file, text):
    """Write the file anew; the next command imports it anew, as another process would."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    sys.modules.pop(registry._module_name(file), None)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A function that writes files and gives the source of what ``mine.py:Mine`` makes."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def made(files, name="Mine"):
        for file, text in files.items():
            edit(tmp_path / file, text)
        for module in set(sys.modules) - before:
            del sys.modules[module]
        target = f"{tmp_path / 'mine.py'}:{name}"
        return source_of(EXTRACTORS.call(target, EXTRACTORS.get(target)))

    yield made
    for module in set(sys.modules) - before:
        del sys.modules[module]


IMPORTS = {
    "the file itself": ({}, "mine.py"),
    "import beside": ({"mine.py": "import beside_a\nclass Mine: ...\n", "beside_a.py": BASE}, "beside_a.py"),
    "of a package": (
        {"mine.py": "from beside_b.c import Base\nclass Mine(Base): ...\n", "beside_b/c.py": BASE},
        "beside_b/c.py",
    ),
    "a module of a package": (
        {
            "mine.py": "from beside_d import e\nclass Mine: ...\n",
            "beside_d/__init__.py": "",
            "beside_d/e.py": BASE,
        },
        "beside_d/e.py",
    ),
    "at two removes, inside a function": (
        {
            "mine.py": "import beside_f\nclass Mine: ...\n",
            "beside_f.py": "def f():\n    import beside_g\n",
            "beside_g.py": BASE,
        },
        "beside_g.py",
    ),
    "relative, and in a circle": (
        {
            "mine.py": "import beside_h.i\nclass Mine: ...\n",
            "beside_h/__init__.py": "from . import i\n",
            "beside_h/i.py": "from .j import *\n",
            "beside_h/j.py": BASE,
        },
        "beside_h/j.py",
    ),
    "of what a function makes": (
        {"mine.py": "from beside_k import Base\ndef Mine(): return Base()\n", "beside_k.py": BASE},
        "mine.py",
    ),
}


@pytest.mark.parametrize("case", IMPORTS)
def test_a_change_of_any_local_module_changes_the_source(source, case):
    files, changed = IMPORTS[case]
    files = {"mine.py": "class Mine: ...\n", "unrelated.py": BASE} | files
    first = source(files)
    assert first.startswith("source ")
    assert source(files) == first
    assert source({**files, "unrelated.py": "x = 1\n"}) == first
    assert source({**files, changed: files[changed] + "x = 1\n"}) != first
    assert source(files) == first


def test_a_folder_that_moves_keeps_its_source(source, tmp_path):
    first = source({"mine.py": "class Mine: ...\n"})
    edit(tmp_path / "elsewhere" / "mine.py", "class Mine: ...\n")
    assert source_of(EXTRACTORS.get(f"{tmp_path / 'elsewhere' / 'mine.py'}:Mine")()) == first


def test_systems_of_this_repository_have_no_source_though_a_users_file_imports_them(source, monkeypatch):
    source({"mine.py": "import reference_model.recipe\nclass Mine: ...\n"})
    assert source_of(build("sf2f-64", ModelSettings(64, "smoke", width=0.06))) == ""
    assert source_of(build("chance", SETTINGS)) == ""


@pytest.mark.parametrize("editable", [False, True])
def test_an_installed_package_goes_by_its_version_and_an_editable_one_by_its_code_too(
    tmp_path, monkeypatch, editable
):
    site = install(
        tmp_path / "site",
        "far",
        {"far_away/__init__.py": "", "far_away/core.py": EXTRACTOR},
        {"sf2f_bench.extractors": {"far": "far_away.core:Mine"}},
    )
    facts = {"url": "file:///x", "dir_info": {"editable": editable}}
    (site / "far-1.0.dist-info" / "direct_url.json").write_text(json.dumps(facts))
    monkeypatch.syspath_prepend(site)

    def found():
        for name in [name for name in sys.modules if name.startswith("far_away")]:
            del sys.modules[name]
        return keyed(EXTRACTORS.by_family("far"))

    first = found()
    assert first.startswith("mine/1 of far 1.0")
    (site / "far_away" / "core.py").write_text(f"{EXTRACTOR}\nx = 1\n")
    assert (found() != first) == editable
    metadata = site / "far-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 2.0"))
    assert found().startswith("mine/1 of far 2.0")


# ---------------------------------------------------------------- in the run


def test_an_edited_model_is_trained_and_shown_anew_and_the_old_one_comes_back(world):  # noqa: F811
    file = world.folder / "mine.py"
    edit(file, MINE)
    first, _ = world()
    edit(file, MINE.replace(".square()", ".abs()"))
    second, log = world()
    assert "nothing to do" not in log
    assert second["mine"].key != first["mine"].key
    assert not second["mine"].curve().equals(first["mine"].curve())
    assert second["chance"].key == first["chance"].key
    edit(file, MINE)
    again, log = world()
    assert "nothing to do" in log
    assert again["mine"].key == first["mine"].key
    # From the records alone nobody knows which code the file holds: both rows stand there, with their sources.
    (group,) = groups(load_all(world.folder / "results"))
    rows = [entry.label for entry in group.entries if entry.record.system.label == "mine"]
    assert len(set(rows)) == 2
    assert all(row.startswith("mine, Mine of source ") for row in rows)
    own, other = group.systems
    assert {own.record.key, other.record.key} == {first["mine"].key, second["mine"].key}
    assert any("mine stands here with 2 states of its code" in note.text for note in main_notes(group))
    with pytest.raises(BenchError, match=f"'mine' names several rows: give one of .*{own.label}"):
        compare("mine", "chance", world.folder / "results")
    with pytest.raises(BenchError, match=f"between {own.label} and {other.label}: .* needs 30"):
        compare(own.label, other.label, world.folder / "results")  # both are found, the people are too few


def test_with_everything_made_a_read_only_disk_is_enough(world, monkeypatch):  # noqa: F811
    world()

    def read_only(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    monkeypatch.setattr(stages, "LogFilterbank", TinyFrontend)  # as `world` does in the pipeline
    _, log = world()
    assert "nothing to do" in log
    for changes, option in (({"seed": 1}, "--cache"), ({"gallery": 3}, "--cache")):
        with pytest.raises(BenchError, match=f"{option}: .* cannot be written to .*: make it writable"):
            world(**changes)


def test_two_classes_of_one_file_and_one_name_are_two_models(world):  # noqa: F811
    file = world.folder / "mine.py"
    edit(file, f"{MINE}\nclass Yours(Mine): ...\n")
    keys = {world(models=(f"{file}:{name}",))[0]["mine"].key for name in ("Mine", "Yours")}
    assert len(keys) == 2


def test_an_edited_front_end_of_the_same_id_prepares_the_data_anew(world):  # noqa: F811
    file = world.folder / "mine.py"
    own = MINE.replace("self.frontend = TinyFrontend()", "self.frontend = Ears()")
    own += "\n\nclass Ears(TinyFrontend):\n    def __call__(self, waveform):\n        return waveform * 1.0\n"
    edit(file, own)
    first, _ = world()
    edit(file, own.replace("* 1.0", "* 2.0"))
    second, _ = world()
    assert len(list((world.folder / "cache" / "prepared").iterdir())) == 3  # the harness's own, and these two
    assert first["mine"].key != second["mine"].key


UNFIT = {
    "a loss that is not finite": ("square().mean()", "square().mean() * float('nan')", "became nan"),
    "a loss that is not finite and not logged": (
        "            context.log(batch.identities, loss=loss)",
        "        self.line.weight.data.fill_(float('nan'))",
        "hold NaN or infinite values",
    ),
    "another size": (
        "3, 16, 16,",
        "3, 32, 32,",
        r"must return uint8 \[\d+, 3, 16, 16\], it gave torch.uint8 \[5, 3, 32, 32\]",
    ),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_a_model_that_became_unfit_never_shows_the_numbers_of_the_fit_one(world, fault):  # noqa: F811
    old, new, words = UNFIT[fault]
    file = world.folder / "mine.py"
    edit(file, MINE)
    world()
    records = sorted((world.folder / "results").rglob("*.json"))
    assert old in MINE
    edit(file, MINE.replace(old, new))
    for _ in range(2):
        with pytest.raises(BenchError, match=words):
            world()
    assert sorted((world.folder / "results").rglob("*.json")) == records


def test_an_edit_of_equal_length_in_the_same_second_is_seen(tmp_path):
    file = tmp_path / "quick.py"
    file.write_text("NUMBER = 1\n")
    times = file.stat()
    assert registry.MODELS.get(f"{file}:NUMBER") == 1
    edit(file, "NUMBER = 2\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert registry.MODELS.get(f"{file}:NUMBER") == 2


NAMES = [
    ('"mine", "1"', '"sf2f-64", "1"', "card.name"),
    ('"mine", "1"', '" SF2F-64", "1"', "card.name"),
    ('"a grey face")', '"a grey face", title="Chance")', "card.title"),
]


@pytest.mark.parametrize(("old", "new", "field"), NAMES)
def test_a_model_under_the_name_of_an_installed_one_is_refused(world, old, new, field):  # noqa: F811
    file = world.folder / "mine.py"
    edit(file, MINE.replace(old, new))
    with pytest.raises(
        BenchError, match=f"is the name of an installed model; .* choose another {field} in Mine"
    ):
        world()
    assert not (world.folder / "results").exists()


def test_an_installed_package_may_not_take_the_name_of_another_model_either(tmp_path, monkeypatch):
    files = {"far_model.py": MINE.replace('"mine", "1"', '"sf2f-64", "1"')}
    site = install(tmp_path / "site", "far", files, {MODELS.group: {"far": "far_model:Mine"}})
    monkeypatch.syspath_prepend(site)
    with pytest.raises(BenchError, match="'sf2f-64' is the name of an installed model"):
        build("far", SETTINGS)
