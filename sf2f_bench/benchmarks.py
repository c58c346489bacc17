"""Named, versioned benchmarks: a data set, a picture size and a protocol (`sf2f_bench.protocols.names`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from sf2f_bench.config import RunConfig
from sf2f_bench.files import is_plain_name
from sf2f_bench.protocols.names import BENCH, PROTOCOLS
from sf2f_bench.registry import DATASETS, is_file, place_of, unknown
from sf2f_bench.types import BenchError, DatasetCard

ABLATIONS = (  # of the SF2F supplement's Table 2: the whole model, and the same without one part each
    "sf2f-64-fuser",
    "sf2f-64-without-l1",
    "sf2f-64-without-gan",
    "sf2f-64-without-identity",
    "sf2f-64-without-perceptual",
    "sf2f-64-plain-encoder",
    "sf2f-64-plain-decoder",
)
SYSTEMS = {
    64: ("voice2face-64", "sf2f-64", "sf2f-64-fuser"),
    128: ("voice2face-128", "sf2f-128", "sf2f-128-fuser"),
}
OTHERS = {  # beside `SYSTEMS` and `ANCHORS` with --all; those that others start from first
    64: (
        "voice2face-wen",
        "voice2face-64-perceptual",
        "wav2pix-64",
        "speech2face-64-true-embedding",
        "speech2face-64",
        "contrastive-prototypes",
        "contrastive-prototypes-query",
        "contrastive-space",
        "shared-factor-oracle-draws",
        "residual-flow-64",
        "identity-flow-64-true-embedding",
        "identity-flow-64",
    ),
    128: ("wav2pix-128",),
}
ANCHORS = (
    "chance",
    "gender-oracle",
    "gender-age-oracle",
    "mean-face",
    "four-faces",
    "random-photo-same-gender",
    "nearest-training-face",
    "linear-listener",
    "linear-listener-whitened",
    "shared-factor-oracle-face",
    "shared-factor-oracle-embedding",
    "shared-factor-oracle-whitened",
    "real-photo-oracle",
)


@dataclass(frozen=True)
class Benchmark:
    """What a number is measured on. `smoke_limits`: identities per split in the budget "smoke"."""

    name: str
    dataset: str
    image_size: int = 64
    version: int = 1
    protocol: str = BENCH
    gallery_size: int = 100
    ks: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    anchors: tuple[str, ...] = ANCHORS
    judge: str = "embedded-judge"
    training_loss: str = "embedded-perceptual"
    further: tuple[str, ...] = ("inception-2015",)  # networks that score too, where they are installed
    metrics: tuple[str, ...] = ()  # from files, beside those of the installed sets
    primary_metric: str = (
        ""  # of `compare`, by the protocol's network, named beforehand; empty: the headline recall
    )
    attribute_judge: str | None = None  # None: a probe on the judge, fitted on the training split
    paper_classifier: str | None = None  # of sf2f-paper's quality score; None: the judge
    smoke_limits: dict[str, int] = field(default_factory=dict)
    shared: float | None = None  # of a synthetic world, as in `DatasetSource`; and its seed
    world_seed: int = 0
    description: str = ""

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems of the table, where the user names none."""
        return SYSTEMS[self.image_size]

    @property
    def all_systems(self) -> tuple[str, ...]:
        """The systems of `--all`: with those of the rest of the field, and the anchors that are trained."""
        return (*self.systems, *OTHERS[self.image_size])

    @property
    def ablations(self) -> tuple[str, ...]:
        """The systems of `--ablation`. Raises BenchError at a size for which none are defined."""
        if self.image_size != 64:
            raise BenchError(f"the ablations are defined at 64 pixels; {self.name} has {self.image_size}")
        return ABLATIONS

    def for_budget(self, budget: str) -> Benchmark:
        """The benchmark itself, or its small sibling (another name: not comparable) for "smoke"."""
        if budget != "smoke" or not self.smoke_limits:
            return self
        return replace(self, name=f"{self.name}-smoke")

    def check(self) -> None:
        """Raise BenchError for an unknown protocol, or galleries that cannot give the asked recalls."""
        if self.protocol not in PROTOCOLS:
            raise BenchError(unknown("protocol", self.protocol, list(PROTOCOLS)))
        if max(self.ks) >= self.gallery_size:
            raise BenchError(
                f"a gallery of {self.gallery_size} cannot give recall@{max(self.ks)}: "
                "use --ks with values below the gallery's size, or a larger --gallery"
            )


# FaceNet, the training loss, was trained on VGGFace2, so the judge was trained on other data (MS-Celeb-1M).
REAL_NETWORKS: dict[str, Any] = {
    "judge": "deepface:ArcFace",
    "training_loss": "facenet-vggface2",
    "further": ("vggface2-resnet50", "deepface:Dlib", "inception-2015"),
    "attribute_judge": "deepface:attributes",
    "paper_classifier": "vggface2-resnet50-rgb",
}
SMALL_WORLD = {"train": 100, "val": 10, "test": 100}
BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "synthetic-64",
            "synthetic",
            further=("embedded-judge-2", "inception-2015"),
            smoke_limits=SMALL_WORLD,
            description="the synthetic world: procedural faces and source-filter voices with a known law; no download",
        ),
        Benchmark(
            "synthetic-128",
            "synthetic",
            image_size=128,
            further=("embedded-judge-2", "inception-2015"),
            smoke_limits=SMALL_WORLD,
            description="the same world at 128 pixels",
        ),
        Benchmark(
            "hq-voxceleb-64",
            "hq-voxceleb",
            **REAL_NETWORKS,
            description="HQ-VoxCeleb's photos and VoxCeleb's recordings, the paper's split; needs --root",
        ),
        Benchmark(
            "hq-voxceleb-128",
            "hq-voxceleb",
            image_size=128,
            **REAL_NETWORKS,
            description="the same at 128 pixels",
        ),
        Benchmark(
            "null-pairs",
            "null-pairs",
            gallery_size=10,
            ks=(1, 2, 5),
            further=("inception-2015", "deepface:Dlib"),
            description="negative control: real voices and photos of different people; needs --voices and --faces",
        ),
    )
}
# Other synthetic worlds: the share of a face trait that the voice shares, and the seed of all people.
WORLD = re.compile(r"(synthetic-(?:64|128))-shared(0(?:\.\d+)?|1)-world(\d{1,9})")
WORLDS = tuple(f"synthetic-64-shared{share}-world{seed}" for share in (0, 0.2, 0.5, 0.8) for seed in range(3))
SHARED_SHARE = 0.8  # of the world that other names mean
ALIASES = {"hq-voxceleb": "hq-voxceleb-64", "synthetic": "synthetic-64"}


def benchmark_named(name: str) -> Benchmark:
    """The benchmark of that name; ``DATASET-64`` or ``-128`` for any installed data set or one of a file.

    Of a file ``mine.py:Mine``, which is at 64 pixels, and ``mine.py:Mine-128``. Raises BenchError with the nearest
    names when there is none, and for a data set of a file under the name of another one.
    """
    name = ALIASES.get(name, name)
    dataset, _, size = name.rpartition("-")
    if made := WORLD.fullmatch(name):
        return _world(made[1], float(made[2]), int(made[3]))
    if is_file(name):
        return _of_file(*((dataset, int(size)) if size in ("64", "128") else (name, 64)))
    if name not in BENCHMARKS and size in ("64", "128") and dataset in DATASETS.targets():
        return Benchmark(name, dataset, image_size=int(size))
    if name not in BENCHMARKS:
        raise BenchError(unknown("benchmark", name, list(BENCHMARKS)))
    return BENCHMARKS[name]


def _world(name: str, shared: float, seed: int) -> Benchmark:
    """A synthetic benchmark in another world, whose one name has no needless zeros; the usual world keeps its name."""
    usual = BENCHMARKS[name]
    if (shared, seed) == (SHARED_SHARE, 0):
        return usual
    name = f"{name}-shared{shared:g}-world{seed}"
    text = f"the synthetic world of seed {seed}, in which voices share {shared:g} of a face trait's variance"
    return replace(usual, name=name, shared=shared, world_seed=seed, description=text)


def _of_file(dataset: str, image_size: int) -> Benchmark:
    """Called by the name on the data set's card, which its records keep."""
    made_by = DATASETS.get(dataset)
    card = getattr(made_by, "card", None)
    if not isinstance(card, DatasetCard):
        raise BenchError(
            f"data set {dataset}: {place_of(made_by)} has no class attribute `card`, a DatasetCard: see DatasetCard in "
            "sf2f_bench.types"
        )
    name = f"{card.name}-{image_size}"
    fault = "" if is_plain_name(name) else "cannot name a folder"
    if DATASETS.installed_as(card.name) or name.casefold() in BENCHMARKS:
        fault = "is the name of an installed data set or benchmark"
    if fault:
        raise BenchError(
            f"data set {dataset}: {card.name!r} {fault}: choose another card.name in {place_of(made_by)}"
        )
    return Benchmark(name, dataset, image_size=image_size)


def check_gallery(benchmark: Benchmark, dataset: str, people: int) -> None:
    """Raise BenchError where a data set has fewer test people than a gallery holds."""
    if people >= benchmark.gallery_size:
        return
    ks = [k for k in benchmark.ks if k < people] or [1]
    advice = f"choose a smaller gallery (--gallery {people} --ks {','.join(map(str, ks))}), or add people"
    raise BenchError(
        f"galleries of {benchmark.gallery_size} need as many test identities, {dataset} has {people}: "
        + (advice if people > 1 else "add people")
    )


def benchmark_of(config: RunConfig) -> Benchmark:
    """The benchmark that a run is asked for, with the run's own protocol, galleries and networks.

    Raises BenchError for a name that is unknown and for galleries that cannot be.
    """
    named = benchmark_named(config.benchmark).for_budget(config.budget)
    benchmark = replace(
        named,
        protocol=config.protocol,
        gallery_size=config.gallery or named.gallery_size,
        ks=config.ks or named.ks,
        judge=config.judge or named.judge,
        training_loss=config.perceptual or named.training_loss,
        further=tuple(dict.fromkeys((*named.further, *config.extractors))),
        metrics=config.metrics,
    )
    benchmark.check()
    return benchmark
