"""Every message that docs/troubleshooting.md quotes is provoked, or else found in the texts of the code."""

from __future__ import annotations

import ast
import errno
import os
import re
import shutil

import pytest
import torch
from click.testing import CliRunner

from sf2f_bench.commands.main import main
from sf2f_bench.files import cannot_write
from tests.documented import FENCE, ROOT, read

PAGE = "docs/troubleshooting.md"
ANYTHING = "…"  # on the page, for names and numbers of the reader's
SHORTEST = 12  # letters that show that two texts are the same, and not alike by chance
MESSAGES = [
    line
    for _, language, text in FENCE.findall(read(PAGE))
    if language == "text"
    for line in text.splitlines()
]
MODELS = "class Other: ...\nclass Mine:\n    def __init__(self, settings): ...\n"
ANCHORS = ("chance", "gender-oracle", "gender-age-oracle", "real-photo-oracle")
FACENET = "20180402-114759-vggface2.pt"
COMMANDS = {  # by words of the message: what prints it in `workplace`
    "torch sees no CUDA device": "run --device cuda",
    "expected its folder as the root": "run hq-voxceleb-64",
    "missing from hq-voxceleb": "run hq-voxceleb-64 --root empty",
    "expected a folder of voices": "run null-pairs --voices missing --faces missing",
    "it was not kept": f"weights fetch {FACENET} --mirror MIRROR",
    "cannot download": f"weights fetch {FACENET} --mirror file:///nowhere",
    "is behind a page that": "weights fetch resnet50_ft_weight.pkl",
    "unknown model": "run --models sf2f-65",
    "there is no file": "run --models nothing.py:Mine",
    "has no class": "run --models models.py:Nobody",
    "cannot be made from": "run --models models.py:Other",
    "see SpeechToFace in": "run --models models.py:Mine",
    "there is no folder": "compare a b",
    "it holds no record": "report empty",
    "no record (*.json)": "validate empty",
    "is compared with itself": "check empty --against empty",
    "no system is in both": "check anchors --against reference",
    "are missing, so the": "check chance --against reference",
}

OFFLINE = "so nothing is fetched"
DISK = (errno.ENOSPC, errno.EROFS)


def pattern(message: str) -> re.Pattern[str]:
    """What matches a printed message, however its lines are broken."""
    parts = [r"\s+".join(map(re.escape, part.split(" "))) for part in message.split(ANYTHING)]
    return re.compile(".+?".join(parts), re.DOTALL)


def literals() -> list[str]:
    """Every piece of text in the package's code, and the system's own words for its errors."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "sf2f_bench").rglob("*.py")]
    found = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = [text for text in found if isinstance(text, str)] + [os.strerror(n) for n in errno.errorcode]
    return [" ".join(text.split(" ")) for text in dict.fromkeys(texts)]


LITERALS = "\n".join(literals())


def not_in_code(message: str) -> str:
    """The rest of a part of a message from where no text of the code goes on; empty where the code has all of it.

    A part may be put together from several texts. Those with letters are long enough, unless the part itself is short.
    """
    for part in message.removeprefix("error: ").split(ANYTHING):
        reached = [0]
        for end in range(1, len(part) + 1):
            pieces = (part[start:end] for start in reached)
            if any(
                piece in LITERALS
                and (len(piece) >= min(SHORTEST, len(part)) or not re.search(r"[^\W_]", piece))
                for piece in pieces
            ):
                reached.append(end)
        if reached[-1] < len(part):
            return part[reached[-1] :]
    return ""


def is_provoked(message: str) -> bool:
    """Whether a test below makes the code print it."""
    return any(words in message for words in (*COMMANDS, OFFLINE, *map(os.strerror, DISK)))


@pytest.mark.parametrize("message", [message for message in MESSAGES if not is_provoked(message)])
def test_the_code_has_every_other_message(message):
    assert not not_in_code(message)


def test_a_message_that_the_code_does_not_have_is_found():
    right = "error: … is compared with itself: name the reference runs' own folder as --against"
    assert right in MESSAGES
    for word in ("compared", "itself", "reference", "own", "as"):
        assert not_in_code(right.replace(f" {word} ", f" un{word} ").replace(f" {word}:", f" un{word}:")), (
            word
        )


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with an empty one, a file of models, records with and without a system, and a mirror."""
    for name in ("empty", "anchors", "chance", "reference", "mirror"):
        (tmp_path / name).mkdir()
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "mirror" / FACENET).write_bytes(b"cut short")
    shutil.copytree(ROOT / "results/reference/smoke-64", tmp_path / "reference", dirs_exist_ok=True)
    for folder, names in (("anchors", ANCHORS), ("chance", ANCHORS[:1])):
        for path in (path for name in names for path in (tmp_path / "reference").glob(f"{name}-seed0*")):
            shutil.copy(path, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("HOME", "XDG_CACHE_HOME", "SF2F_BENCH_WEIGHTS", "TORCH_HOME", "DEEPFACE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path


def quoted(words: str) -> str:
    """The one message of the page that has these words."""
    (message,) = [message for message in MESSAGES if words in message]
    return message


def assert_prints(message: str, *words: str) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert pattern(message).search(done.output), done.output


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_prints_the_message(words, workplace):
    mirror = (workplace / "mirror").as_uri()
    assert_prints(quoted(words), *COMMANDS[words].replace("MIRROR", mirror).split())


def test_without_downloads_nothing_is_fetched(workplace, monkeypatch):
    monkeypatch.setenv("SF2F_BENCH_OFFLINE", "1")
    assert_prints(quoted(OFFLINE), "weights", "fetch", FACENET)


@pytest.mark.parametrize("number", DISK)
def test_a_disk_that_refuses_is_named(number, tmp_path):
    printed = f"error: {cannot_write(tmp_path, OSError(number, os.strerror(number)))}"
    assert pattern(quoted(os.strerror(number))).fullmatch(printed)
