"""Red and blue exchanged in faces made elsewhere: said where swapping cures it, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from sf2f_bench.exchange.channel_order import channel_order_note

PEOPLE, SIZE = 40, 8


def embed(faces):
    """A judge that sees colour: pixels less the mean grey, one row a face."""
    return faces.reshape(len(faces), -1).astype(np.float64) - 127.5


@pytest.fixture
def photos():
    return np.random.default_rng(0).integers(0, 256, (PEOPLE, 3, SIZE, SIZE), dtype=np.uint8)


def blurred(photos, share):
    """Faces with only a share of the true person in them."""
    noise = np.random.default_rng(1).integers(0, 256, photos.shape)
    return (share * photos + (1 - share) * noise).astype(np.uint8)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.3])
def test_swapped_faces_are_named_and_right_ones_are_not(photos, share):
    faces = blurred(photos, share)
    note = channel_order_note(faces[:, ::-1], embed(photos), embed)
    assert note
    assert "Red and blue are most likely exchanged" in note
    assert "scored as they are" in note
    assert channel_order_note(faces, embed(photos), embed) is None


@pytest.mark.parametrize("kind", ["strangers", "one face for all", "grey"])
def test_faces_without_the_person_say_nothing(photos, kind):
    faces = {
        "strangers": np.roll(photos, 1, axis=0),
        "one face for all": np.repeat(photos[:1, ::-1], PEOPLE, axis=0),
        "grey": np.repeat(photos[:, :1], 3, axis=1),
    }[kind]
    # What all photos have in common must not count: here they are all reddish.
    templates = embed(photos) + 500 * (np.arange(3 * SIZE * SIZE) < SIZE * SIZE)
    assert channel_order_note(faces, templates, embed) is None


def test_of_few_people_nothing_can_be_told(photos):
    assert channel_order_note(photos[:9, ::-1], embed(photos[:9]), embed) is None
