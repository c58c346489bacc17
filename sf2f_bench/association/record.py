"""The result of `sf2f-bench associate`: numbers with what they rest on, no verdict on any person."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, FiniteFloat
from rich import box
from rich.table import Table

from sf2f_bench.results.numbers import number

HEADINGS = ("list", "measure", "people", "value", "chance", "gender only", "trials", "people", "left out")
WORDS = 3  # columns of words; the others are numbers


class Estimate(BaseModel, extra="forbid", frozen=True):
    """A value over some trials, with its 95 % interval over people (None where none is sound).

    chance, gender_only: the exact value of guessing, and of knowing only the gender, on the same trials.
    """

    value: FiniteFloat
    interval: tuple[FiniteFloat, FiniteFloat] | None
    n: int  # trials
    identities: int  # people whose trials they are
    chance: FiniteFloat
    gender_only: FiniteFloat


class AssociationScore(BaseModel, extra="forbid", frozen=True):
    """One number of one list."""

    metric: str  # "matching-accuracy", "verification-auc", "verification-eer", "map/voice-to-face", "map/face-to-voice"
    higher_is_better: bool
    overall: Estimate  # all people of the list
    test_people: Estimate | None  # the people of hq-voxceleb's test rows only
    left_out: int  # trials whose files are missing
    gallery: int | None = None  # what a probe of a retrieval searches


class ListResult(BaseModel, extra="forbid", frozen=True):
    """All numbers of one list; none where too many of its files are missing."""

    name: str
    sha256: dict[str, str]  # of the list, by file name
    scores: tuple[AssociationScore, ...]


class AssociationRecord(BaseModel, extra="forbid", frozen=True):
    """The scores of one system on the association lists."""

    schema_version: Literal[2] = 2
    protocol: Literal["association-pins/1"] = "association-pins/1"
    system: str
    system_version: str
    system_weights_sha256: str
    trained_on: str
    frontend: str
    image_size: int
    judge: str
    judge_sha256: str
    people_sha256: str  # of vox1_meta.csv
    lists: tuple[ListResult, ...]
    package: str
    device: str
    created: AwareDatetime
    notes: tuple[str, ...] = ()


def table_of(record: AssociationRecord) -> Table:
    """The record as a table for the terminal: two lines for each number, of all people and of the test people."""
    title = f"{record.system}, {record.protocol}, judge {record.judge}"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if place < WORDS else "right", overflow="fold")
    for item in record.lists:
        for score in item.scores:
            table.add_row(item.name, score.metric, "all", *_cells(score.overall), f"{score.left_out:,}")
            if score.test_people:
                table.add_row("", "", "test", *_cells(score.test_people), "")
        if not item.scores:
            table.add_row(item.name, "too many of its files are missing")
    return table


def _cells(estimate: Estimate) -> tuple[str, ...]:
    value, chance, gender_only = (
        number(share, "share", 3) for share in (estimate.value, estimate.chance, estimate.gender_only)
    )
    if estimate.interval is not None:
        value += f" [{', '.join(number(bound, 'share', 2) for bound in estimate.interval)}]"
    return value, chance, gender_only, f"{estimate.n:,}", f"{estimate.identities}"
