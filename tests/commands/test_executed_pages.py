"""The walk-through and the guide to submissions: their commands print what the pages show."""

from __future__ import annotations

import re

import pytest

from docs.executed_pages import PAGES, STEP, Step, comparable, run, written
from tests.commands.program import environment, start_from
from tests.documented import FENCE, read

PRINTED = """\
deep-listener  .190 [.15, .24] † !
gender-oracle  .200            –
1 passed in 3.24s
- WARNING: deep-listener: effective faces 1.97
  (1.84 to 2.10), below 12 % of the true photos' 38.6: it has collapsed.
exit code: 2
"""


@pytest.fixture(scope="module")
def steps(anchored, tmp_path_factory) -> list[Step]:
    """All steps of both pages, in a folder that is empty but for data which another test has prepared."""
    folder = start_from(anchored, tmp_path_factory.mktemp("pages"))
    return list(run(folder, environment(folder)))


def test_the_pages_show_what_their_commands_print(steps):
    assert [step.page for step in steps if step.shown] == [PAGES[0]] * 7 + [PAGES[1]] * 5
    for step in steps:
        if step.shown is not None:
            remedy = "if this is right, run: python -m docs.executed_pages"
            assert comparable(step, step.printed) == comparable(step, step.shown), f"{step.code}{remedy}"


def test_what_was_printed_is_written_where_the_pages_show_it(steps):
    for page in PAGES:
        text = written(page, steps)
        assert STEP.sub("", text) == STEP.sub("", read(page))
        again = [match["shown"] for match in STEP.finditer(text)]
        assert again == [None if step.shown is None else step.printed for step in steps if step.page == page]


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_is_the_installation_and_what_comes_next(page):
    languages = [language for _, language, _ in FENCE.findall(read(page))]
    assert languages.count("sh") == len(STEP.findall(read(page))) > 4
    plain = [text for _, language, text in FENCE.findall(read(page)) if not language]
    assert [re.split(r"\s", text)[0] for text in plain] == (["python3", "for"] if page == PAGES[0] else [])


@pytest.mark.parametrize(
    ("code", "old", "new", "same"),
    [
        ("sf2f-bench run", "in 3.24s", "in 12.05s", True),
        ("sf2f-bench run", ".190 [.15, .24]", ".201 [.1, .3]", True),
        ("sf2f-bench run", "1.97\n  (1.84 to", "11.9 (1.84\n  to", True),
        ("sf2f-bench compare", ".200 ", ".201 ", True),
        ("sf2f-bench run", ".200 ", ".201 ", False),
        ("sf2f-bench run", " [.15, .24]", "", False),
        ("sf2f-bench run", "† !", "†", False),
        ("sf2f-bench run", "gender-oracle", "gender-age-oracle", False),
        ("sf2f-bench run", "1 passed", "2 passed", False),
        ("sf2f-bench run", "collapsed", "not collapsed", False),
        ("sf2f-bench run", "code: 2", "code: 1", False),
        ("sf2f-bench compare", "collapsed", "not collapsed", False),
    ],
)
def test_only_what_differs_between_machines_is_left_out(code, old, new, same):
    assert old in PRINTED
    step = Step(PAGES[0], code, PRINTED, PRINTED)
    assert (comparable(step, PRINTED.replace(old, new)) == comparable(step, PRINTED)) is same
