"""What every other case starts from, undamaged: a refusal of it would make all refusals of that world worthless."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.cases import Case
from tests.faults.cases.options import COMMANDS, WORLD_OF
from tests.faults.cases.recordings import NULL, PREPARE
from tests.faults.cases.records import READERS, VALIDATE

NOTHING = "nothing is wrong with it: the other cases start from here"


def cases() -> Iterator[Case]:
    commands = {
        **{
            f"{command} in {WORLD_OF.get(command, 'empty')}": (words, WORLD_OF.get(command, "empty"))
            for command, words in COMMANDS.items()
        },
        **{
            f"{command} in recorded": (words, "recorded")
            for command, words in READERS.items()
            if command != "check"
        },
        "validate in recorded": (VALIDATE, "recorded"),
        "prepare in hq": (PREPARE, "hq"),
        "prepare in mel": (PREPARE, "mel"),
        "prepare in null_pairs": (NULL, "null_pairs"),
        "audit in hq": (("audit", *PREPARE[1:]), "hq"),
    }
    for name, (words, world) in commands.items():
        yield Case("controls", name, words, world, justified=NOTHING)
