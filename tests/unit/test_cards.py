"""What the shipped extractors, anchors and systems say of themselves, read where no weights are."""

from __future__ import annotations

import pytest

from sf2f_bench.benchmarks import ANCHORS, OTHERS
from sf2f_bench.extractors.weights import FOLDER_VARIABLE, all_files
from sf2f_bench.registry import ATTRIBUTE_JUDGES, EXTRACTORS, MODELS, Registry, extractor_card
from sf2f_bench.runs.systems import build
from sf2f_bench.types import BenchError, ExtractorCard, ModelCard, ModelSettings

EMBEDDED = ["embedded-judge", "embedded-judge-2", "embedded-perceptual", "embedded-traits"]
NAMES = [*(name for name in EXTRACTORS if name != "deepface"), "deepface:ArcFace", "deepface:Dlib"]


def card_of(name: str) -> ModelCard:
    return build(name, ModelSettings(image_size=64)).card


@pytest.mark.parametrize("name", NAMES)
def test_an_extractor_has_a_card_where_its_weights_are_missing(
    name: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    card = extractor_card(name)
    assert card.trained_on
    assert card.licence != "not stated"
    assert card.synthetic == (name in EMBEDDED)
    assert set(card.files) <= set(all_files())
    assert bool(card.files) == (name not in EMBEDDED)  # those ship with the package


def test_further_networks_keep_their_order_and_their_names() -> None:
    cards = {name: extractor_card(name) for name in NAMES if name not in EMBEDDED}
    known = sorted((card.order, name) for name, card in cards.items())
    assert [name for _, name in known] == [
        "inception-2015",
        "vggface2-resnet50",
        "vggface2-resnet50-rgb",
        "deepface:ArcFace",
        "deepface:Dlib",
        "dinov2-vitl14",
        "dinov2-vits14",
        "clip-vitl14-336",
        "lpips-alex",
        "facenet-vggface2",
    ]
    conventions = {name: card.convention for name, card in cards.items() if card.convention}
    assert conventions == {
        "inception-2015": "inception",
        "vggface2-resnet50": "vggface2",
        "vggface2-resnet50-rgb": "vggface2",
    }


def test_a_made_extractor_has_the_card_of_its_name() -> None:
    assert EXTRACTORS.get("embedded-judge")("embedded-judge").card == extractor_card("embedded-judge")


def test_an_attribute_judge_names_its_three_files() -> None:
    assert len(ATTRIBUTE_JUDGES.get("deepface").card_of("deepface:attributes").files) == 3


@pytest.mark.parametrize("name", ["deepface:Arcface", "vggface3"])
def test_an_unknown_extractor_has_no_card(name: str) -> None:
    with pytest.raises(BenchError, match="did you mean"):
        extractor_card(name)


def test_a_plug_in_without_a_card_gets_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "get", lambda self, name: object)
    assert extractor_card("of-a-stranger") == ExtractorCard()


def test_anchors_say_where_they_stand_and_what_they_know() -> None:
    found = {name: card_of(name) for name in ANCHORS}
    rows = sorted(found.values(), key=lambda card: (card.place != "floor", card.order, card.name))
    assert [(card.name, card.place, card.purpose, card.tolerance) for card in rows] == [
        ("chance", "floor", "chance", 1e-6),
        ("gender-oracle", "floor", "known-attribute", 1e-6),
        ("gender-age-oracle", "floor", "known-attribute", 1e-6),
        ("mean-face", "floor", "one-face", None),
        ("four-faces", "floor", "", None),
        ("random-photo-same-gender", "floor", "", None),
        ("nearest-training-face", "floor", "", None),
        ("linear-listener", "ceiling", "straight-line", None),
        ("linear-listener-whitened", "ceiling", "straight-line", None),
        ("shared-factor-oracle-face", "ceiling", "shared-factors", None),
        ("shared-factor-oracle-embedding", "ceiling", "shared-factors", None),
        ("shared-factor-oracle-whitened", "ceiling", "shared-factors", None),
        ("real-photo-oracle", "ceiling", "true-photo", 1e-4),
    ]
    fitted = {card.name for card in rows if card.fitted_to != "nothing"}
    assert fitted == {"chance", "gender-oracle", "gender-age-oracle"}  # they answer in a space of their own
    assert found["gender-oracle"].words == "knowing only the gender"
    assert [card.name for card in rows if card.off_scale] == ["real-photo-oracle"]


def test_every_other_anchor_is_a_ceiling_and_no_row_of_the_default_run() -> None:
    others = {name for name in MODELS if "128" not in name and card_of(name).kind == "anchor"} - set(ANCHORS)
    assert others < set(OTHERS[64])
    assert {card_of(name).place for name in others} == {"ceiling"}


def test_ablations_name_their_system_and_the_change() -> None:
    cards = [card for name in MODELS if "128" not in name and (card := card_of(name)).ablation_of]
    assert [(card.order, card.ablation_of, card.change) for card in sorted(cards, key=lambda c: c.order)] == [
        (0, "sf2f-64-fuser", "without L1 loss"),
        (1, "sf2f-64-fuser", "without image GAN"),
        (2, "sf2f-64-fuser", "without identity loss"),
        (3, "sf2f-64-fuser", "without perceptual loss"),
        (4, "sf2f-64-fuser", "with plain encoder"),
        (5, "sf2f-64-fuser", "with plain decoder"),
    ]
