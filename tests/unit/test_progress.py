"""Progress: bars where somebody watches, lines in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sf2f_bench import progress
from sf2f_bench.progress import Reporter, first_few


@pytest.mark.parametrize(("width", "words_shown"), [(80, False), (120, True)])
def test_a_terminal_shows_steps_and_time_left_whatever_its_width(width, words_shown):
    out = io.StringIO()
    reporter = Reporter(Console(file=out, force_terminal=True, width=width))
    with reporter.bar("train sf2f-64 (width 0.25), generator (steps)", 30) as bar:
        bar.note("pixel 14.3 adversarial 1.15")
        for _ in range(30):
            bar.advance()
            assert bar.progress is not None
            bar.progress.refresh()
    drawn = out.getvalue().rsplit("done in", 1)[0]
    assert "30/30" in drawn
    assert "left" in drawn
    assert ("pixel 14.3" in drawn) is words_shown
    assert "30 done in" in out.getvalue()


def test_a_log_gets_one_line_at_the_end():
    out = io.StringIO()
    with Reporter(Console(file=out)).bar("draw faces", 3) as bar:
        bar.advance(3)
    assert out.getvalue().startswith("draw faces: 3 done in")
    assert out.getvalue().count("\n") == 1


def test_the_time_left_of_a_resumed_task_is_that_of_its_own_steps(monkeypatch):
    """After 6,000 of 12,000 steps one takes .6 s: the 5,932 after 6,068 take 59.3 minutes."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with Reporter(Console(file=out, width=200)).bar("train", 12_000) as bar:
        bar.resume(6000)
        for _ in range(100):
            now[0] += 0.6
            bar.advance()
    assert "train: 6068/12000, 59.3 min left" in out.getvalue()
    console = Console(file=io.StringIO(), force_terminal=True)
    with Reporter(console).bar("train", 12_000) as bar:
        bar.resume(6000)
        assert bar.progress.tasks[0].completed == 6000
        assert bar.progress.tasks[0].speed is None


def test_a_terminal_shows_every_system_how_far_it_is_and_what_it_recalls():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    reporter = Reporter(console)
    with reporter.follow(["sf2f-64 (width 0.25)", "voice2face-64 (width 0.25)"]):
        view = reporter.view
        assert view is not None
        first, second = view.systems.values()
        with reporter.system("sf2f-64 (width 0.25)"):
            with reporter.bar("train sf2f-64 (width 0.25), generator (steps)", 30) as bar:
                bar.advance(10)
                bar.score("0.45 (chance 0.10)")
                assert (first.steps, first.recall, first.left) == ("10/30", "0.45 (chance 0.10)", "0 s")
                console.print(view)
                bar.advance(20)
            with reporter.bar("score sf2f-64 (width 0.25)", 1) as bar:
                bar.advance()
            assert first.steps == "30/30"  # scoring is no training
            assert second.left == "waiting"
        assert first.left == "took 0 s"
        assert (second.steps, second.recall, second.left) == ("", "", "waiting")
        reporter.say("left out: 3 files")
    assert reporter.view is None
    drawn = console.file.getvalue()
    rows = [line.rstrip() for line in drawn.splitlines() if "10/30" in line and "0.45" in line]
    assert set(rows[0].split()) == {
        "sf2f-64",
        "(width",
        "0.25)",
        "10/30",
        "0.45",
        "(chance",
        "0.10)",
        "0",
        "s",
    }
    assert max(map(len, rows)) <= 80
    assert "10/30" in drawn.split(rows[0], 1)[1].replace("0.45", "")  # the bar below
    assert "left out: 3 files" in drawn
    assert "generator (steps): 30 done in" in drawn


def test_a_log_has_no_view_and_says_the_recall_in_its_lines():
    console = Console(file=io.StringIO())
    reporter = Reporter(console)
    with reporter.follow(["sf2f-64"]):
        assert reporter.view is None
        with reporter.system("sf2f-64"), reporter.bar("train sf2f-64", 1) as bar:
            bar.score("0.4")
            bar.advance()
    assert console.file.getvalue().splitlines() == ["train sf2f-64: 1 done in 0.0 s"]


def test_a_view_ends_with_what_ended_the_run():
    reporter = Reporter(Console(file=io.StringIO(), force_terminal=True))
    with (
        pytest.raises(ValueError, match="lost"),
        reporter.follow(["a"]),
        reporter.system("a"),
        reporter.bar("train a", 9),
    ):
        raise ValueError("lost")
    assert reporter.view is None


def test_the_first_few_words_say_how_many_more_there_are():
    words = ["a", "b", "c", "d"]
    assert first_few(words) == "a, b, c, d"
    assert first_few(words, 2) == "a, b and 2 more"
    assert first_few(words, 3, "; ") == "a; b; c and 1 more"
    assert first_few([]) == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_brackets_in_a_name_are_text(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    with Reporter(console).bar("[/nope] [red]x", 1) as bar:
        bar.note("[/words]")
        bar.advance()
    assert "[/nope] [red]x: 1 done" in console.file.getvalue()
    assert "[/words]" in console.file.getvalue()
