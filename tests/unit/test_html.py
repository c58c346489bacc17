"""The page: the same numbers as every other form, true marks, nothing from outside, nothing that may not be shown."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import time
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image
from record_factory import (
    ANCHORS,
    FACES,
    JUDGE,
    benchmark,
    full_bench,
    full_run,
    paper_record,
    record,
    saved,
)

from sf2f_bench.report import gallery as gallery_module
from sf2f_bench.report import write_report
from sf2f_bench.report.gallery import gallery
from sf2f_bench.report.html import html_page
from sf2f_bench.report.marks import marked_tables
from sf2f_bench.report.published import published
from sf2f_bench.report.scatter_plots import scatter_figure
from sf2f_bench.report.tables import tables
from sf2f_bench.results.records import Finding, SideFiles, load, save
from sf2f_bench.results.selection import groups

NASTY = "<script>alert('a')</script> \"b\" & {{ 7 * 7 }}"
VOIDS = {"meta", "link", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """Every element with its attributes, the text, and whether all that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOIDS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [
            attrs
            for name, attrs in self.elements
            if name == tag and all(attrs.get(key) == value for key, value in wanted.items())
        ]


def page_of(records) -> Page:
    found = groups(records)
    return Page(html_page(found, [{}] * len(found)))


def with_voices(made, folder):
    """The oracle's record again, with voices beside the faces."""
    random = np.random.default_rng(0)
    voices = [(random.integers(-99, 99, 40_000) / 32768).astype(np.float32) for _ in FACES]
    again = save(
        made, folder, made.per_identity(), None, made.faces(), made.faces("true_faces"), None, voices
    )
    return load(again), voices


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("made", [full_bench(), [paper_record(), paper_record("sf2f-64", 0.2, "average")]])
def test_the_tables_are_those_of_every_other_form(made):
    for group in groups(made):
        plain, drawn = tables(group), marked_tables(group)
        assert [table.title for table in drawn] == [table.title for table in plain]
        for table, other in zip(drawn, plain, strict=True):
            assert table.headings == other.headings
            assert len(table.rows) == len(other.rows)
            for row, same in zip(table.rows, other.rows, strict=True):
                assert (row.label, row.short_label) == (same.label, same.short_label)
                assert list(map(str, row.cells)) == list(map(str, same.cells))


def test_bars_hold_value_and_interval_on_one_scale_a_column():
    group = groups([record(name, recall, how) for name, (recall, how) in ANCHORS.items()] + [record()])[0]
    table = marked_tables(group)[0]
    for column in zip(*(row.cells for row in table.rows), strict=True):
        bars = [cell.bar for cell in column if cell.bar]
        assert all(0 <= bar.low <= bar.at <= bar.high <= 100 for bar in bars)
        assert min(bar.low for bar in bars) == 0
        by_value = sorted((cell.score.value, cell.bar.at) for cell in column if cell.bar)
        assert [at for _, at in by_value] == sorted(at for _, at in by_value)
        assert len({bar.reference for bar in bars}) == 1
    beyond = {row.label for row in table.rows if any(cell.bar and cell.bar.is_beyond for cell in row.cells)}
    assert beyond == {"real-photo-oracle"}


def test_anchors_alone_have_a_page_without_marks():
    made = [record(name, recall, how) for name, (recall, how) in ANCHORS.items()]
    page = page_of(made)
    assert "the first system of a table" not in page.text
    assert "trained models alone" not in page.text
    assert not page.all("span", **{"class": "mark better"})


def test_where_nothing_can_be_paired_the_page_says_so():
    page = page_of([record(), record("voice2face", 0.2)])  # never saved: no values of identities
    assert "nothing is marked" in page.text
    assert "trained models alone" not in page.text
    assert "all metrics of a family" not in page.text


# ---------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("html")
    made = full_run(folder / "results")
    oracle = next(one for one in made if one.system.name == "real-photo-oracle")
    made.remove(oracle)
    oracle, voices = with_voices(oracle, folder / "results")
    nasty = record(NASTY, 0.3, label=NASTY, audit=(Finding(check="overlap", text=NASTY, alarm=True),))
    made += [oracle, saved(nasty, folder / "results", faces=True)]
    write_report(made, folder / "out")
    text = (folder / "out" / "report.html").read_text(encoding="utf-8")
    return made, voices, folder / "out", text


def test_nothing_comes_from_outside(written):
    page = Page(written[3])
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            if name in attrs:
                assert re.match(r"data:|#", attrs[name]), (tag, name, attrs[name][:80])
        assert not [name for name in attrs if name.startswith("on") or name == "style"]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", written[3])


def test_the_policy_names_the_page_s_own_style_and_script(written):
    (policy,) = Page(written[3]).all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", written[3], re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy["content"]


def test_names_are_text(written):
    page = Page(written[3])
    assert len(page.all("script")) == 1
    assert NASTY in page.text
    assert {attrs["data-label"] for attrs in page.all("tr") if "data-label" in attrs} >= {NASTY}
    assert "49" not in re.findall(r"& (.{2})", page.text)


def test_voices_are_the_record_s(written):
    heard = Page(written[3]).all("audio")
    assert len(heard) == len(FACES)
    for attrs, voice in zip(heard, written[1], strict=True):
        assert attrs["preload"] == "none"
        assert "controls" in attrs
        kind, _, content = attrs["src"].partition(",")
        assert kind == "data:audio/flac;base64"
        read, rate = soundfile.read(io.BytesIO(base64.b64decode(content)), dtype="float32")
        assert rate == 16_000
        np.testing.assert_array_equal(read, voice)


def test_every_person_has_the_true_face_and_one_of_every_row_that_draws(written):
    (group,) = groups(written[0])
    people = gallery(group).people
    assert [one.name for one in people] == list(FACES)
    drawing = {
        entry.label.removesuffix(" (width 0.25)") for entry in group.entries if entry.record.files.faces
    }
    for place, one in enumerate(people):
        assert one.true is not None
        assert {face.label for face in one.generated} == drawing
        assert one.generated[0].kind == "system"
        assert one.voice != people[place - 1].voice


def pixels_of(picture):
    kind, _, content = picture.source.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).transpose(2, 0, 1)


def test_faces_are_shown_pixel_by_pixel_unless_they_are_too_many(tmp_path, monkeypatch):
    made, words = full_run(tmp_path), "compressed with loss"
    row = groups(made)[0].trained[0]
    for limit, exact in ((10**6, True), (10**3, False)):
        monkeypatch.setattr(gallery_module, "EXACT_PIXELS", limit)
        shown = gallery(group := groups(made)[0])
        assert shown.exact == exact
        assert (words in html_page([group], [{}])) != exact
        for face, person in zip(row.record.faces(), shown.people, strict=True):
            difference = np.abs(pixels_of(person.generated[0]).astype(int) - face)
            assert (difference.max() == 0) == exact
            assert difference.mean() < 40  # of noise, which compresses worst


def test_pictures_and_tables_have_words(written):
    page = Page(written[3])
    assert all(attrs["alt"] for attrs in page.all("img"))
    assert len(page.all("img", **{"class": "chart"})) == 5  # answer, recall, metrics, scatter, training
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attrs["scope"] in ("col", "row") for attrs in page.all("th"))
    assert all(attrs["aria-sort"] == "none" for attrs in page.all("th") if "data-better" in attrs)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"][1:] for attrs in page.all("a")]
    assert set(links) <= set(ids)


def test_the_page_says_what_forbids_to_believe_it_and_what_it_is_not_for(written):
    page = Page(written[3])
    assert page.text.count(f"overlap: {NASTY}") >= 1
    assert page.all("li", **{"class": "bad"})
    assert "must not be used as one" in page.text
    assert "1 warning" in page.text
    for made in written[0]:
        assert made.key in page.text
    assert made.benchmark.data_hash in page.text
    assert "0" * 64 in page.text  # weights of the judge


def test_the_same_records_give_the_same_page(written):
    found = groups(written[0][::-1])
    assert html_page(found, [{}]) == html_page(groups(written[0]), [{}])


def test_the_markdown_says_the_same(written):
    markdown = (written[2] / "report.md").read_text(encoding="utf-8")
    assert "## Published rows" in markdown
    assert "must not be used as one" in markdown
    assert "-scatter.png" in markdown


def test_media_that_may_not_be_shared_are_not_in_the_page(tmp_path):
    private = benchmark(media_shareable=False, real=True)
    page = page_of([saved(record("sf2f-64", benchmark=private), tmp_path)])
    assert not page.all("audio")
    assert not page.all("img")
    assert "does not allow its recordings and photos to be shown" in page.text


def test_one_row_that_may_not_be_shown_hides_everybody(tmp_path):
    made = full_run(tmp_path)
    group = groups(made)[0]
    assert gallery(group).people
    closed = group.entries[0].record.model_copy(update={"benchmark": benchmark(media_shareable=False)})
    others = [row.record for row in group.entries[1:]]
    assert not gallery(groups([*others, closed])[0]).people


def test_records_without_faces_or_voices_say_so(tmp_path):
    assert "No record of this table keeps faces" in page_of([record()]).text
    made = record(files=SideFiles(face_identities=FACES))
    assert "these records keep no voices" in page_of([saved(made, tmp_path, faces=True)]).text


def test_quality_against_identity_has_a_mark_a_system_with_its_name():
    (group,) = groups(full_bench())
    (axes,) = scatter_figure(group).axes
    marks = {
        line.get_label(): line.get_xydata()[0]
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }
    assert set(marks) == {"sf2f-64", "voice2face-64"}
    seeds = [0.365, 0.42]
    assert marks["sf2f-64"] == pytest.approx(
        (np.mean(seeds), np.mean([1.2345 * (2 - seed) for seed in seeds]))
    )
    words = {text.get_text() for text in axes.texts}
    assert {"sf2f-64", "voice2face-64", "another photo 1.00", "chance"} <= words
    assert scatter_figure(groups([record("mean-face", 0.1)])[0]) is None


# ---------------------------------------------------------------- published rows


def published_rows() -> list[dict[str, str]]:
    """The texts of each row by the columns of the file, and its label as "system"."""
    table = published()
    names = [column.metric for column in table.columns]
    return [{"system": row.label, **dict(zip(names, map(str, row.cells), strict=True))} for row in table.rows]


def test_published_rows_are_as_printed():
    text = (resources.files("sf2f_bench") / "data" / "published_results.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    rows = published_rows()
    assert len(rows) == len(lines) > 20
    for row, line in zip(rows, lines, strict=True):
        assert row["recall@10"] == line["recall@10"]
        assert row["source"] == line["source"] != ""
    best = next(row for row in rows if row["note"] == "the paper's headline row")
    assert (best["recall@10"], best["vfs_mean"]) == ("36.65", "19.49 ± 0.59")


def test_a_published_row_whose_numbers_stand_for_two_systems_says_so():
    (doubtful,) = (row for row in published_rows() if "strong diffusion baseline" in row["note"])
    assert (doubtful["system"], doubtful["source"]) == ("sf2f", "Vox2Face, Information 17(2):200, 2026")
    assert (doubtful["cosine"], doubtful["recall@10"], doubtful["vfs_mean"]) == ("0.295", "29.8", "18.82")


def test_the_page_shows_them_apart():
    page = page_of([record()])
    (table,) = page.all("table", **{"class": "published sortable"})
    assert "Published results cannot be compared with the tables above" in page.text
    assert page.text.count("SF2F supplement, Table 2") == 8
    assert table is not None


# ---------------------------------------------------------------- size and speed


def many_records(folder, names):
    """(name, seed) -> a saved record with values of 300 identities."""
    random = np.random.default_rng(0)
    made = []
    for i, (name, seed) in enumerate(names):
        new = record(name, 0.3 + i / 1000, seed=seed, width=0.25)
        named = [one.model_copy(update={"basis": "mean"}) for one in new.scores if one.extractor == JUDGE]
        columns = {f"{one.metric}|{JUDGE}": random.random(300) for one in named}
        frame = pd.DataFrame({"identity": [f"id{i:03d}" for i in range(300)], **columns})
        made.append(load(save(new.model_copy(update={"scores": tuple(named)}), folder, frame)))
    return made + [record(name, recall, how) for name, (recall, how) in ANCHORS.items()]


@pytest.mark.parametrize(("systems", "seeds"), [(1, 90), (9, 10), (90, 1)])
def test_a_hundred_records_take_seconds(tmp_path, systems, seeds):
    found = groups(many_records(tmp_path, [(f"s{i}", seed) for i in range(systems) for seed in range(seeds)]))
    start = time.process_time()
    text = html_page(found, [{}] * len(found))
    assert time.process_time() - start < 10
    assert len(text) < 15e6
    assert ("is marked only with three training seeds a side" in text) == (seeds == 1 < systems)
    assert (f"({seeds} here)" in text) == (systems > 1)
