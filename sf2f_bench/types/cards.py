"""What data sets, systems, metrics and extractors say of themselves: all that tables, verdicts and the gate read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Place = Literal["floor", "system", "reference", "ceiling"]
# What an anchor stands for, whatever its name: it guesses; it shows one face for everybody; it knows an attribute of
# the person and nothing else; it is a straight line from the voice; it knows what voice and face share; it shows
# another photo of the person.
Purpose = Literal[
    "", "chance", "one-face", "known-attribute", "straight-line", "shared-factors", "true-photo"
]
FittedTo = Literal["nothing", "training-loss", "judge"]
Role = Literal["judge", "training-loss", "further", "none"]
Family = Literal[
    "identity", "verification", "quality", "distribution", "diversity", "attribute", "trait", "other"
]
Format = Literal["share", "rank", "size"]  # ".365", "14.5", three figures
# Beside a value: "[.30, .43]" (its spread where it has none), or "± .02".
Error = Literal["interval", "spread", "none"]


@dataclass(frozen=True)
class DatasetCard:
    """What a reader must know of a data set before believing a number made from it."""

    name: str
    version: str
    licence: str
    real: bool  # recordings and photos of people, not a synthetic world
    paired: bool  # False: voice and face of an "identity" belong to different people
    media_shareable: bool  # may faces and voices be shown in a report?
    description: str
    limits: str


@dataclass(frozen=True)
class ModelCard:
    """A system or an anchor as tables, verdicts and the gate read it; its name decides nothing.

    place: the block of a table it stands in ("reference": a system that others are compared with); order: within its
    block, lowest first. ablation_of: the name of the system that it is without one part, and `change` says which, in
    words: "without L1 loss". fitted_to: the network whose space its faces or queries were fitted to. tolerance: where
    no training moves its numbers, how far one may lie from the reference's, relatively, before the gate says that the
    instrument changed; None: it is no such check. words: what it knows, for verdicts: "knowing only the gender".
    off_scale: bars of other rows are scaled without it. title: the name in tables, where `name` is a code: "sf2f-64
    without L1 loss". trained_first: of an anchor whose numbers seed and budget of a training decide, which the harness
    fills in. source: of the code of a plug-in, which the harness fills in; rows of unlike sources are rows of
    their own.
    """

    name: str
    version: str
    kind: Literal["system", "anchor"]
    description: str
    licence: str = "Apache-2.0"
    width: float | None = None  # share of the published channel counts; None: not applicable
    reference: str = ""  # citation or URL of what it implements
    trained_on: str = "the benchmark's training split"
    limits: str = ""
    place: Place = "system"
    order: int = 100
    ablation_of: str = ""
    change: str = ""
    fitted_to: FittedTo = "training-loss"
    tolerance: float | None = None
    purpose: Purpose = ""
    words: str = ""
    off_scale: bool = False
    title: str = ""
    trained_first: bool = False
    source: str = ""

    @property
    def label(self) -> str:
        """The name in every table: ``sf2f-64 (width 0.25)``."""
        return with_width(self.title or self.name, self.width)


def with_width(name: str, width: float | None) -> str:
    """``sf2f-64 (width 0.25)``; the name alone at the published width and for what has none."""
    return name if width in (None, 1.0) else f"{name} (width {width:g})"


@dataclass(frozen=True)
class Margin:
    """Drop tolerated before a metric counts as a regression.

    amount: in the metric's own unit, or where `relative` as a share of the reference's value. reason: why so much.
    """

    amount: float
    reason: str = "stated by the user"
    relative: bool = False

    def of(self, reference: float) -> float:
        """In the metric's own unit, where the reference has this value."""
        return self.amount * abs(reference) if self.relative else self.amount


@dataclass(frozen=True)
class Alarm:
    """A reason not to trust a row: its whole interval lies above or below a limit.

    of_true_photos: the limit is this share of the value that true photos have. text: what has happened then, as the
    end of a sentence: "it has collapsed to a few faces that it generates for everybody". beside: quantities whose
    values the sentence gives too. expected: what is said instead of an anchor, which nobody has to distrust for it:
    "expected here: this baseline shows training photos by design"; empty: nothing is.
    """

    limit: float
    above: bool
    text: str
    of_true_photos: bool = False
    beside: tuple[str, ...] = ()
    expected: str = ""


@dataclass(frozen=True)
class MetricCard:
    """All that is needed to show, order, bound and judge a metric's numbers; every record keeps it.

    quantity: the field's term without parameters, "recall"; parameters: what tells metrics of one quantity apart, by
    the words "k", "gallery" (a size, or "full"), "galleries" (so many fixed ones), "similarity" (where it is not the
    cosine), "stratum", "distractors", "seconds", "far", "subgroup", "disturbance",
    "best of" and "mean of" (so many faces for one voice), "parts", "neighbours", "faces", "deviation".
    heading: of its column (empty: its name); headings: what the numbers of published networks are called instead, by
    `ExtractorCard.convention`: ``{"inception": "FID"}``. factor: what tables multiply by. bounds: smallest and largest
    value, None where there is none. chance: the value of guessing. margin, decides, shown: for the gate; by which
    roles of extractor a fall fails it, and by which it is listed. headline: what verdicts and pictures are about.
    tables: ``{table of the protocol: priority}``, the highest leaves last where room is short; None: the table of
    further metrics; empty: none, only files. order: ``{table: place of its column}``, lowest first; metrics of one
    place stand as in the record. "length" holds metrics of the first "seconds" of speech; the same metric of all
    speech is its last column. smooth: rounding moves it a little, where a count jumps. error: what stands beside the
    value. heading_with_n: the heading ends in ``n=300``, because n decides the value. plotted: has bars of its own.
    heard_of: the metric from which this one takes away what the same faces are expected to reach for other people.
    caveat: what to know before comparing its numbers, one sentence in which ``{n}`` and ``{part}`` stand for the number
    of identities and the size of one of its "parts". source: as of an `ExtractorCard`.
    """

    quantity: str = ""
    family: Family = "other"
    parameters: Mapping[str, str | int | float] = field(default_factory=dict)
    heading: str = ""
    headings: Mapping[str, str] = field(default_factory=dict)
    format: Format = "share"
    factor: float = 1.0
    bounds: tuple[float | None, float | None] = (None, None)
    chance: float | None = None
    margin: Margin = Margin(0.05, "of a share")
    decides: tuple[Role, ...] = ()
    shown: tuple[Role, ...] = ()
    headline: bool = False
    tables: Mapping[str, int] | None = None
    order: Mapping[str, int] = field(default_factory=dict)
    alarm: Alarm | None = None
    smooth: bool = True
    error: Error = "interval"
    heading_with_n: bool = False
    plotted: bool = False
    heard_of: str = ""
    caveat: str = ""
    source: str = ""

    @property
    def term(self) -> str:
        """The quantity with its k: ``recall@10``."""
        return f"{self.quantity}@{self.parameters['k']}" if "k" in self.parameters else self.quantity


@dataclass(frozen=True)
class ExtractorCard:
    """A network that looks at faces, as tables and notes read it; every record keeps it.

    title: how its table begins, "By Inception, which tells pictures apart and not people"; order: among the tables
    of further networks, lowest first. trained_on, licence: of its weights. convention: whose names its numbers have,
    see `MetricCard.headings`. synthetic: trained on synthetic faces, so its numbers on real photos are no result.
    families: of the metrics that it is asked for beside a judge; empty: all.
    files: its files of weights, for `sf2f-bench weights`: names, or addresses that may end in their checksum,
    ``https://example.org/net.safetensors#sha256=...``. source: of the code of a plug-in, which the harness fills in;
    rows by one id of unlike sources share no table.
    """

    title: str = "By a further network"
    order: int = 100
    trained_on: str = "not stated"
    licence: str = "not stated"
    convention: str = ""
    synthetic: bool = False
    families: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    source: str = ""
