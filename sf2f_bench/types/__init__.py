"""Shared data types and plug-in protocols.

Images cross rooms as uint8 ``[..., 3, H, W]``, sounds as float32 ``[T]`` at 16 kHz in -1..1,
features as float32. Nothing here imports torch: `sf2f-bench --help` must stay fast.
"""

from typing import TYPE_CHECKING

from sf2f_bench.types.cards import (
    Alarm,
    DatasetCard,
    Error,
    ExtractorCard,
    Family,
    FittedTo,
    Format,
    Margin,
    MetricCard,
    ModelCard,
    Place,
    Purpose,
    Role,
    with_width,
)
from sf2f_bench.types.data import (
    SAMPLE_RATE,
    SPLITS,
    Answer,
    DatasetSource,
    Features,
    Identity,
    ModelSettings,
    Score,
)
from sf2f_bench.types.errors import BenchError, MediaError, Unavailable
from sf2f_bench.types.plugins import (
    Anchor,
    AttributeJudge,
    AudioFrontend,
    Dataset,
    FeatureExtractor,
    FusesSegments,
    HasWeights,
    KnownLaw,
    Metric,
    OneToMany,
    Photo,
    ReadsOfficialWeights,
    SpeechToFace,
    StartsFromAnother,
    TorchExtractor,
    TrainedAnchor,
    Utterance,
)

if TYPE_CHECKING:
    from sf2f_bench.types.data import ByteArray, FloatArray
