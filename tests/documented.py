"""What the pages promise: their command lines, links and paths, taken from Markdown for the tests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITH_COMMANDS = (
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md"))),
)
PAGES = (*WITH_COMMANDS, "CHANGELOG.md", "results/README.md", "reference_model/MODEL_CARD.md")
PROGRAMS = (
    "sf2f-bench",
    "tox",
    "pip",
    "python",
    "python3",
    "torchrun",
    "bash",
    "pytest",
    "pre-commit",
    "tensorboard",
    "mkdocs",
)
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```\s*?$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
COMMENT = re.compile(r"(?:^|\s)#\s.*$", re.MULTILINE)
STEP = re.compile(r"^\s*(?:- )?run: (\S.*)$", re.MULTILINE)
LOOP = re.compile(r"^(?:do|then) ")
INTO_FILE = re.compile(r" > \S+$")
NOT_SHELL = ("python", "toml", "yaml", "json", "text", "xml", "html")  # languages of blocks


@dataclass(frozen=True)
class CommandLine:
    """One command as a page has it. whole: from a block, so that it must run as it stands."""

    page: str
    text: str
    whole: bool

    @property
    def words(self) -> list[str]:
        """As a shell splits it: the program without its folder first, ``[BENCHMARK]`` bare, 1 for ``$seed``."""
        program, *rest = shlex.split(re.sub(r"\$\w+", "1", self.text))
        bare = [re.sub(r"^\[(.*)\]$", r"\1", word) for word in rest]
        return [Path(program).name, *(word for word in bare if word not in ("...", "…"))]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def read(page: str) -> str:
    """A page's Markdown."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    """The fenced blocks of a page that a shell could read, and the steps of its workflows."""
    found = FENCE.findall(read(page))
    steps = ["\n".join(STEP.findall(text)) for _, language, text in found if language == "yaml"]
    return [text for _, language, text in found if language not in NOT_SHELL] + steps


def inline_code(page: str) -> list[str]:
    """Every piece of code within a page's sentences, on one line."""
    return [" ".join(code.split()) for _, code in CODE.findall(FENCE.sub("", read(page)))]


def commands(page: str) -> Iterator[CommandLine]:
    """Every command line of a page that begins with a program of `PROGRAMS`."""
    for text in blocks(page):
        for line in COMMENT.sub("", text.replace("\\\n", " ")).splitlines():
            for step in re.split(r"\s*(?:&&|\|\||;)\s+|\s+\|\s+", line.strip().removeprefix("$ ")):
                part = INTO_FILE.sub("", LOOP.sub("", step))
                if _program(part) in PROGRAMS:
                    yield CommandLine(page, part, whole=True)
    for code in inline_code(page):
        if _program(code) in PROGRAMS:
            yield CommandLine(page, code, whole=False)


def _program(text: str) -> str:
    return Path(text.split()[0]).name if text.split() else ""


def all_commands() -> list[CommandLine]:
    """Of every page, each once."""
    return list(dict.fromkeys(command for page in WITH_COMMANDS for command in commands(page)))


def links(page: str) -> list[str]:
    """Targets of a page's links and pictures that are no addresses."""
    text = CODE.sub("", FENCE.sub("", read(page)))
    found = re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(markdown: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", FENCE.sub("", markdown), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = found.get(slug, 0)
        found[slug] = number + 1
        names.add(f"{slug}-{number}" if number else slug)
    return names
