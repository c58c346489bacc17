"""A real recogniser on real photos: deepface's Dlib on the ORL faces; skipped where either is absent."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from sf2f_bench.extractors.deepface import DeepFaceExtractor
from sf2f_bench.metrics import retrieval

PEOPLE = 40
GALLERY_PHOTO, PROBE_PHOTO = 1, 6  # of the ten of each person


@pytest.fixture(scope="module")
def embeddings(shared):
    """Of one photo of everybody, and of another one: two arrays ``[40, 128]``."""
    for package in ("dlib", "face_recognition_models"):
        if find_spec(package) is None:
            pytest.skip(f"the extra `dlib` is not installed: no {package}")
    extractor = DeepFaceExtractor("deepface:Dlib")
    assert extractor.id == "deepface-0.0.102:Dlib@55533b28/bilinear-150"
    folder = shared / "real" / "orl_faces"
    return [
        extractor(
            torch.stack([photo(folder / f"s{number}" / f"{take}.pgm") for number in range(1, PEOPLE + 1)])
        )[0]
        for take in (GALLERY_PHOTO, PROBE_PHOTO)
    ]


def photo(path):
    """A grey photo of 92 x 112 pixels as a square, ``[3, 112, 112]``: its edges repeated, the face not widened."""
    with Image.open(path) as picture:
        grey = np.asarray(picture.convert("L"))
    square = np.pad(grey, ((0, 0), (10, 10)), mode="edge")
    return torch.from_numpy(square).expand(3, -1, -1)


def test_a_real_recogniser_finds_real_people_far_above_chance(embeddings):
    gallery, probes = (side.numpy() for side in embeddings)
    better, ties = retrieval.ranks(probes, gallery)
    first, fifth = (retrieval.expected_recall(better, ties, PEOPLE, None, k).mean() for k in (1, 5))
    assert first > 0.65  # chance is 0.025; measured 0.825 on unaligned grey photos
    assert fifth > 0.8  # chance is 0.125; measured 0.925


def test_strangers_in_the_gallery_are_found_at_chance(embeddings):
    gallery, probes = (side.numpy() for side in embeddings)
    better, ties = retrieval.ranks(np.roll(probes, 7, axis=0), gallery)
    assert retrieval.expected_recall(better, ties, PEOPLE, None, 1).mean() < 0.125
