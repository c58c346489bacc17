"""What can be known before minutes of work is said before, and advice names only options that the command has."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from PIL import Image

from sf2f_bench.commands.main import main
from sf2f_bench.config import load_config
from sf2f_bench.exchange.faces_in import check_folder, read_faces
from sf2f_bench.runs import pipeline, stages
from sf2f_bench.types import BenchError, Identity


@pytest.fixture
def unprepared(tmp_path, monkeypatch):
    """A folder to work in, where nothing may be prepared; the names of the test people of the smoke run."""
    monkeypatch.chdir(tmp_path)

    def prepared_too_early(*_, **__):
        raise AssertionError("the data were prepared first")

    for module in (stages, pipeline):
        monkeypatch.setattr(module, "prepare" if module is stages else "prepared_stores", prepared_too_early)
    return [f"test-{number:04d}" for number in range(100)]


def faces_of(folder, names):
    for name in names:
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(folder / name / "1.png")


def call(*words):
    return CliRunner().invoke(main, list(map(str, words)))


SCORE = ("score", "faces", "--benchmark", "synthetic-64", "--budget", "smoke")
EARLY = {
    "nobody": ((), (), "expected folders named test-0000"),
    "one is missing": (range(99), (), r"1 of 100 test people have no picture \(test-0099\).*pass --partial"),
    "too few for a gallery": (range(99), ("--partial",), "99 people have a picture, a gallery needs 100"),
    "no such gallery": (
        range(100),
        ("--gallery", 500),
        r"need as many .* has 100: .*--gallery 100 --ks 1,2,5",
    ),
    "no such k": (range(100), ("--ks", "1,200"), r"cannot give recall@200: use --ks"),
}


@pytest.mark.parametrize(("present", "words", "message"), EARLY.values(), ids=EARLY)
def test_score_knows_its_folder_before_anything_is_prepared(unprepared, tmp_path, present, words, message):
    (tmp_path / "faces").mkdir()
    faces_of(tmp_path / "faces", [unprepared[number] for number in present])
    done = call(*SCORE, *words)
    assert done.exit_code == 2, done.output
    assert re.search(message, done.stderr, re.DOTALL), done.stderr
    options = {word for parameter in main.commands["score"].params for word in parameter.opts}
    assert set(re.findall(r"--[a-z]+", done.stderr)) <= options


@pytest.mark.parametrize("command", ["run", "score"])
@pytest.mark.parametrize("option", ["--cache", "--results"])
def test_folders_that_cannot_be_written_to_are_known_first(unprepared, tmp_path, command, option):
    faces_of(tmp_path / "faces", unprepared)
    (tmp_path / "file").touch()
    words = SCORE if command == "score" else ("run", "--budget", "smoke")
    done = call(*words, option, tmp_path / "file" / "below")
    assert done.exit_code == 2
    assert f"{option}: " in done.stderr


def test_a_huge_gallery_is_known_before_anything_is_prepared(unprepared):
    done = call("run", "--budget", "smoke", "--gallery", 500)
    assert done.exit_code == 2
    assert "galleries of 500 need as many test identities, synthetic has 100" in done.stderr


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("FaceNet", "facenet-vggface2"),
        ("ArcFace", "deepface:ArcFace"),
        ("embeded-judge", "embedded-judge"),
        ("Inception-2015", "inception-2015"),
    ],
)
@pytest.mark.parametrize("option", ["--judge", "--perceptual", "--extractors"])
def test_a_network_that_is_unknown_is_answered_with_the_nearest(unprepared, name, near, option):
    done = call("run", "--budget", "smoke", option, name)
    assert done.exit_code == 2
    assert f"unknown extractor {name!r}: did you mean" in done.stderr
    assert repr(near) in done.stderr


@pytest.mark.parametrize("folder", ["Mary J Blige", "mary_j._blige", "Mary J. Blige"])
def test_a_folder_whose_name_lost_a_dot_or_its_case_is_paired_with_its_person(tmp_path, folder):
    faces_of(tmp_path, [folder, "Sting"])
    with pytest.raises(BenchError, match=f"rename '{folder}' to 'Mary_J._Blige.'"):
        check_folder(tmp_path, ["Mary_J._Blige.", "Sting"], partial=False, at_least=2)


def test_the_pair_is_suggested_with_partial_too_and_where_nobody_is_found(tmp_path):
    faces_of(tmp_path, ["Mary_J._Blige"])
    with pytest.raises(
        BenchError, match=r"expected folders named .*rename 'Mary_J._Blige' to 'Mary_J._Blige.'"
    ):
        check_folder(tmp_path, ["Mary_J._Blige."], partial=False, at_least=1)
    faces_of(tmp_path, ["Sting"])
    people = [Identity("Mary_J._Blige."), Identity("Sting")]
    notes = read_faces(tmp_path, people, 16, partial=True).notes
    assert any("rename 'Mary_J._Blige' to 'Mary_J._Blige.'" in note for note in notes)


def test_who_may_be_left_out_in_preparing_is_said(tmp_path):
    faces_of(tmp_path, ["Sting"])
    with pytest.raises(BenchError, match="run `sf2f-bench prepare` first"):
        check_folder(tmp_path, ["Cher", "Sting"], partial=False, at_least=1, is_prepared=False)


TOML = {
    "latin-1": ("root = 'Müller'".encode("latin-1"), "is not in UTF-8 .*save it as UTF-8"),
    "UTF-16": ("root = 'a'".encode("utf-16"), "is not in UTF-8"),
    "Windows path": (rb'root = "C:\data"', "single quotes: root = 'C:"),
    "Windows path with letters": (rb'root = "C:\users"', "single quotes: root = 'C:"),
    "Windows path bare": (rb"root = C:\data", "single quotes: root = 'C:"),
    "deep nesting": (b"a = " + b"[" * 20_000, "not a TOML file that can be read"),
    "an integer of 5,000 digits": (b"seed = " + b"9" * 5000, "not a TOML file that can be read"),
    "a seed that no generator takes": (b"seed = 9223372036854775808", "expected 0 or more, at most"),
    "a number for a path": (b"root = 3", "root = 3 .*: expected a path"),
    "Windows path that is read": (rb'root = "C:\tmp\new"', "holds a control character.*single quotes"),
}


@pytest.mark.parametrize(("content", "message"), TOML.values(), ids=TOML)
def test_a_settings_file_that_editors_and_windows_make(tmp_path, content, message):
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(BenchError, match=message):
        load_config(tmp_path / "run.toml", {})


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    (tmp_path / "run.toml").write_bytes("\ufeffseed = 3\r\nroot = 'C:\\data'\r\n".encode())
    assert load_config(tmp_path / "run.toml", {}).seed == 3


@pytest.mark.parametrize(
    "option", ["--judge", "--models", "--root", "--cache", "--scheduler", "--ks", "--config"]
)
def test_an_empty_value_is_not_taken_for_none(unprepared, option):
    done = call("run", "--budget", "smoke", option, "")
    assert done.exit_code == 2
    assert option in done.stderr
    assert "expected" in done.stderr


@pytest.mark.parametrize(
    "words", [("run", "{}"), ("{}",), ("run", "--budget", "{}"), ("report", "{}"), ("run", "--config", "{}")]
)
def test_no_message_obeys_what_it_names(unprepared, words):
    done = CliRunner().invoke(main, [word.replace("{}", "\x1b[31mred\u202e") for word in words], color=True)
    assert done.exit_code == 2
    assert "[31mred" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


MODEL = """
from sf2f_bench import LogFilterbank, ModelCard
{above}
class Mine:
    def __init__(self, settings):
        {inside}
        self.card = ModelCard(**{{"name": "mine", "version": "1", "kind": "system", "description": "", {card}}})
        self.frontend, self.recipe = LogFilterbank(), {{{recipe}}}
    def fit(self, data, context): ...
    def generate(self, voices, *, generator): ...
    def state_dict(self): ...
    def load_state_dict(self, state): ...
"""
WRONG_MODELS = {
    "ends the program when it is read": ({"above": "raise SystemExit(0)"}, r"mine\.py:3.*SystemExit"),
    "ends the program when it is made": ({"inside": "raise SystemExit(0)"}, r"mine\.py:6.*SystemExit"),
    "kind that is none": ({"card": "'kind': 'thing'"}, "kind is 'thing': .*'system' or 'anchor'"),
    "no name": ({"card": "'name': ''"}, "card.name ''"),
    "a path for a name": ({"card": "'name': '../x'"}, r"card.name '\.\./x'"),
    "a set in the recipe": ({"recipe": "'layers': {'a', 'b'}"}, "recipe in .*set is not JSON"),
    "no number in the recipe": ({"recipe": "'lr': float('nan')"}, "recipe in .*not JSON compliant"),
}


@pytest.mark.parametrize(("parts", "message"), WRONG_MODELS.values(), ids=WRONG_MODELS)
def test_a_model_that_could_not_be_recorded_is_known_before_anything_is_prepared(
    unprepared, tmp_path, parts, message
):
    blanks = {"above": "", "inside": "pass", "card": "", "recipe": ""}
    (tmp_path / "mine.py").write_text(MODEL.format(**blanks | parts))
    done = call("run", "--budget", "smoke", "--models", "mine.py:Mine")
    assert done.exit_code == 2, done.output
    assert re.search(message, " ".join(done.stderr.split())), done.stderr


@pytest.mark.parametrize("name", ["chance@weights", "sf2f-64@"])
def test_weights_that_cannot_be_are_not_passed_over(unprepared, name):
    done = call("run", "--budget", "smoke", "--models", name)
    assert done.exit_code == 2
    assert f"--models {name}" in done.stderr
