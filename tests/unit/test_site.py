"""The site is built from the repository's own pages, all its links lead somewhere, and nothing comes from elsewhere."""

from __future__ import annotations

import html
import importlib.util
import inspect
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import PluginError

import sf2f_bench
from sf2f_bench import testing, types

ROOT = Path(__file__).resolve().parents[2]


def load_assemble():
    spec = importlib.util.spec_from_file_location("assemble", ROOT / "docs/assemble.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


assemble = load_assemble()


class Page(HTMLParser):
    """What a built page refers to, and the places in it."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.anchors, self.loaded = [], {""}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        target = attributes.get("href") or attributes.get("src")
        if target and tag != "a":
            self.loaded.append(target)
        if target:
            self.targets.append(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    build(config)
    return folder, {path: Page(path) for path in folder.rglob("*.html")}, list(assemble.named_in(config.nav))


def test_every_page_of_the_navigation_is_there(site):
    folder, pages, nav = site
    assert len(nav) > 12
    for name in nav:
        built = re.sub(r"README\.md$", "index.md", name).removesuffix(".md") + ".html"
        assert folder / built in pages


def test_every_link_leads_to_a_page_and_a_place(site):
    folder, pages, _ = site
    for path, page in pages.items():
        if path.name == "404.html":  # written for the root of a server
            continue
        for target in page.targets:
            name, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", name):
                continue
            reached = (path.parent / unquote(name)).resolve() if name else path
            reached = reached / "index.html" if reached.is_dir() else reached
            assert reached.exists(), f"{path.relative_to(folder)} links to {target}"
            assert reached not in pages or unquote(anchor) in pages[reached].anchors, f"{path.name}: {target}"


def test_the_api_has_every_public_name_with_what_its_docstring_says(site):
    folder, pages, _ = site
    path = folder / "api.html"
    shown = {anchor.rpartition(".")[2] for anchor in pages[path].anchors if anchor.startswith("sf2f_bench.")}
    contracts = {name for name, thing in vars(types).items() if getattr(thing, "_is_protocol", False)}
    public = {*sf2f_bench.__all__, *testing.__all__, *contracts} - {"__version__"}
    assert not public - shown
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8"))).split())
    for name in public:
        home = next(room for room in (sf2f_bench, testing, types) if hasattr(room, name))
        if callable(thing := getattr(home, name)):
            summary = inspect.cleandoc(thing.__doc__).partition("\n")[0]
            assert summary.replace("`", "") in text, name


def test_ci_keeps_the_site_that_is_built():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    steps = jobs["site"]["steps"]
    assert "tox -e docs" in [step.get("run") for step in steps]
    (kept,) = [step["with"] for step in steps if "upload-artifact" in step.get("uses", "")]
    assert ROOT / kept["path"] == Path(load_config(str(ROOT / "mkdocs.yml")).site_dir)


def test_nothing_is_loaded_from_elsewhere(site):
    _, pages, _ = site
    assert not [
        target for page in pages.values() for target in page.loaded if re.match(r"(https?:)?//", target)
    ]


def test_a_page_that_loads_from_elsewhere_is_refused(tmp_path):
    (tmp_path / "good.html").write_text('<a href="https://example.org">a link</a><img src="a.png">')
    config = SimpleNamespace(site_dir=str(tmp_path))
    assemble.on_post_build(config)
    (tmp_path / "bad.html").write_text('<script async src="https://example.org/a.js"></script>')
    with pytest.raises(PluginError, match="loads from elsewhere"):
        assemble.on_post_build(config)


@pytest.mark.parametrize(
    ("link", "origin", "place", "expected"),
    [
        ("docs/design.md", "README.md", "index.md", "design.md"),
        ("#limits-and-ethics", "README.md", "index.md", "index.md#limits-and-ethics"),
        ("../README.md#two-commands", "docs/design.md", "design.md", "index.md#two-commands"),
        ("../results/README.md", "docs/design.md", "design.md", "results/README.md"),
        ("#flow", "docs/design.md", "design.md", "design.md#flow"),
        ("../README.md", "reference_model/MODEL_CARD.md", "reference_model/MODEL_CARD.md", "../index.md"),
        ("https://example.org/a#b", "README.md", "index.md", "https://example.org/a#b"),
    ],
)
def test_links_are_rewritten_for_the_site(link, origin, place, expected):
    assert assemble.for_site(link, origin, place) == expected


def test_lists_are_read_as_github_reads_them():
    tight = "What it holds:\n- one\n  more\n- two\n"
    assert assemble.TIGHT_LIST.sub(r"\1\n", tight) == "What it holds:\n\n- one\n  more\n- two\n"
