"""The contracts of plug-ins, as Protocols: what a stranger implements, and the harness relies on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from sf2f_bench.types.cards import DatasetCard, ModelCard
from sf2f_bench.types.data import Answer, Features, Identity, Score

if TYPE_CHECKING:
    import numpy as np
    from torch import Generator, Tensor, nn

    from sf2f_bench.data.training import TrainingData
    from sf2f_bench.evaluation.test_people import Evaluation
    from sf2f_bench.training import TrainContext
    from sf2f_bench.types.data import ByteArray, FloatArray


@runtime_checkable
class Utterance(Protocol):
    """One recording."""

    @property
    def key(self) -> str:
        """Unique within its identity; names the file in error reports."""

    def log_filterbank(self, frontend: AudioFrontend) -> FloatArray:
        """Raw log filter-bank ``[filters, frames]`` float32; raises MediaError for a bad recording."""


@runtime_checkable
class Photo(Protocol):
    """One photo."""

    @property
    def key(self) -> str:
        """Unique within its identity; names the file in error reports."""

    def image(self, size: int) -> ByteArray:
        """The photo as uint8 ``[3, size, size]``; raises MediaError for a bad file."""


@runtime_checkable
class Dataset(Protocol):
    """Voices and faces of identities in three identity-disjoint splits. Reading is lazy and per item."""

    @property
    def card(self) -> DatasetCard:
        """What a reader must know of it."""

    def identities(self, split: str) -> Sequence[Identity]:
        """The identities of "train", "val" or "test", in a fixed order."""

    def utterances(self, identity: str) -> Sequence[Utterance]:
        """Recordings of one identity, sorted by key."""

    def photos(self, identity: str) -> Sequence[Photo]:
        """Photos of one identity, sorted by key."""

    def fingerprint(self) -> str:
        """A hash of all that decides the content, cheap enough to compute on every run.

        Names and sizes will do for media that have a `path`: their contents are hashed when they are prepared, and
        looked at again where size or time has changed.
        """


@runtime_checkable
class KnownLaw(Protocol):
    """A data set whose generating law is known, so that the best possible listener can be built."""

    def oracle_face(self, identity: str, size: int) -> ByteArray:
        """The true shared factors, everything else at its mean: uint8 ``[3, size, size]``."""

    def faces_given_shared(self, identity: str, count: int, seed: int, size: int) -> ByteArray:
        """Faces with the true shared factors, all else drawn anew: uint8 ``[count, 3, size, size]``."""


@runtime_checkable
class AudioFrontend(Protocol):
    """From a waveform to the raw features that the prepared store keeps."""

    @property
    def id(self) -> str:
        """Decides the store's key: every setting that changes a stored number is in it."""

    @property
    def filters(self) -> int:
        """Rows of the features."""

    @property
    def frames_per_second(self) -> float:
        """Columns of the features for a second of speech."""

    @property
    def crop_frames(self) -> tuple[int, int]:
        """Shortest and longest crop of a training batch, in frames, both included."""

    @property
    def segment_frames(self) -> int:
        """Frames of one evaluation segment."""

    def __call__(self, waveform: FloatArray) -> FloatArray:
        """float32 ``[T]`` at 16 kHz -> float32 ``[filters, frames]``, before normalisation."""

    def normalise(self, features: Any) -> Any:
        """The features as a network wants them (array or tensor, any shape)."""


class SpeechToFace(Protocol):
    """What a stranger implements, in one file, to have a model in the table.

    The harness builds it as ``Model(settings)`` with `ModelSettings`. `recipe` holds all that decides
    the training (steps, batch, width, loss weights): it is hashed into the key of the trained model.
    """

    card: ModelCard
    frontend: AudioFrontend
    recipe: Mapping[str, Any]

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """Learn from the training split; the context gives device, seed, checkpoints and progress."""

    def generate(self, voices: Tensor, *, generator: Generator) -> Tensor:
        """Normalised segments ``[B, S, filters, frames]`` -> faces uint8 ``[B, 3, H, W]``."""

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors that `generate` needs."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""


# What a system may have besides; the harness asks with isinstance.


@runtime_checkable
class StartsFromAnother(Protocol):
    """A system whose training goes on from another system's; `TrainContext.start` holds that one's tensors."""

    starts_from: SpeechToFace | None


@runtime_checkable
class HasWeights(Protocol):
    """A system that is not trained here: its tensors are in this file."""

    weights: Path | None


@runtime_checkable
class FusesSegments(Protocol):
    """A system that says whether it makes one face from all segments of a voice, or one from each."""

    fuses: bool


@runtime_checkable
class OneToMany(Protocol):
    """A system that says whether it generates another face for the same voice each time."""

    one_to_many: bool


@runtime_checkable
class ReadsOfficialWeights(Protocol):
    """A system's class that takes what the published code of its paper saved."""

    @staticmethod
    def from_official(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors for `load_state_dict` of the system `name`, from the published generator's state dict."""


@runtime_checkable
class Anchor(Protocol):
    """A row that needs no training of a generator: chance, oracles, mean face."""

    card: ModelCard

    def applies(self, evaluation: Evaluation) -> str | None:
        """None where the anchor can be computed, else the reason why it cannot."""

    def answer(self, evaluation: Evaluation) -> Answer:
        """The anchor's answer for `evaluation.identities`."""


@runtime_checkable
class TrainedAnchor(Anchor, Protocol):
    """An anchor that has something to learn first, such as what a generator can draw where it is told the truth.

    Built as ``Model(settings)``, trained and kept like a system, and then it answers like an anchor; a system may
    start from it.
    """

    frontend: AudioFrontend
    recipe: Mapping[str, Any]

    def fit(self, data: TrainingData, context: TrainContext) -> None:
        """As of a system."""

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors that `answer` needs."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""


class Metric(Protocol):
    """One number from the true and the generated faces' features."""

    name: str  # the field's term with what decides comparability: "recall@10/g100"
    version: int
    higher_is_better: bool
    # Of the generated side: "ranking", "embeddings", "samples", "probabilities", "takes" (`repeat_faces`), "draws"; of
    # the true side: "photos", "training_photos", and strata by letter: "G", "N", "A", "GNA"; of both:
    # "training_likeness".
    needs: tuple[str, ...]
    min_n: int
    # `card`, a MetricCard, is optional: a metric without one has a column of its own in the table of further metrics.

    def __call__(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Compare row by row; rows are the same identities in the same order."""


class FeatureExtractor(Protocol):
    """A frozen network that looks at faces; made by name, ``Extractor("vggface2-resnet50")``.

    Making one raises Unavailable where its weights or its package are not installed. One that may serve as a
    training loss is a `TorchExtractor`.
    """

    id: str  # includes the weights' hash, the crop and the resize rule
    sha256: str  # of the weights
    recognises: bool  # tells people apart; False: pictures only
    # `card`, an ExtractorCard, is optional. It is read from the class, so that it is known where weights are missing;
    # a class that makes several extractors has a class method ``card_of(name)`` beside the made one's `card`.

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """uint8 ``[B, 3, H, W]`` -> (embeddings ``[B, D]``, class probabilities ``[B, C]`` or None), float32."""


@runtime_checkable
class TorchExtractor(Protocol):
    """An extractor of torch: the harness moves its frozen `module` to the run's device.

    One that may serve as a training loss has ``module.features(images in 0..1 [B, 3, H, W]) -> [map1, map2, map3,
    embedding]``.
    """

    module: nn.Module


class AttributeJudge(Protocol):
    """A frozen network that names gender, age or ethnicity; made by name, like an extractor."""

    id: str

    @property
    def sha256(self) -> str:
        """Of its weights; of two judges with one id and different weights, verdicts are kept apart by it."""

    def __call__(self, images: Tensor) -> Mapping[str, Sequence[str] | FloatArray]:
        """uint8 ``[B, 3, H, W]`` -> by attribute: "gender" and "ethnicity" as words ``[B]``, "age" in years ``[B]``.

        Genders are "f" and "m", as in `Identity`.
        """
