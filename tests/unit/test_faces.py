"""Photos of every kind, and the two spaces that faces live in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sf2f_bench.faces import from_imagenet, read_photo, to_imagenet, to_uint8, vgg_crop
from tests.conftest import GOLDEN


def gradient(height=40, width=30):
    """uint8 ``[H, W, 3]``: red grows to the right, green downwards."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([red, green, np.full_like(red, 80)], axis=-1).astype(np.uint8)


class TestReadPhoto:
    def test_gives_channels_first_at_the_size(self, tmp_path):
        Image.fromarray(gradient()).save(tmp_path / "a.png")
        image = read_photo(tmp_path / "a.png", 16)
        assert image.dtype == np.uint8
        assert image.shape == (3, 16, 16)
        assert image[0, :, -1].min() > 230  # red at the right edge
        assert image[1, -1, :].min() > 230  # green at the bottom, though the photo is not square

    def test_same_size_is_left_as_it_is(self, tmp_path):
        pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_photo(tmp_path / "a.png", 64), pixels.transpose(2, 0, 1))

    def test_shrinking_averages_instead_of_picking(self, tmp_path):
        checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
        Image.fromarray(checks).save(tmp_path / "a.png")
        assert np.abs(read_photo(tmp_path / "a.png", 16)[:, 2:-2, 2:-2].astype(int) - 127).max() <= 2

    @pytest.mark.parametrize("suffix", [".pgm", ".png", ".jpg"])
    def test_grey_becomes_three_equal_channels(self, tmp_path, suffix):
        Image.fromarray(gradient()[..., 0]).save(tmp_path / f"a{suffix}")
        image = read_photo(tmp_path / f"a{suffix}", 16)
        np.testing.assert_array_equal(image[0], image[1])
        np.testing.assert_array_equal(image[0], image[2])
        assert image[0, 8, 15] > 200 > image[0, 8, 0]

    def test_sixteen_bit_grey_is_scaled_not_clipped(self, tmp_path):
        Image.fromarray(gradient()[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
        Image.fromarray(gradient()[..., 0]).save(tmp_path / "b.png")
        np.testing.assert_array_equal(read_photo(tmp_path / "a.png", 16), read_photo(tmp_path / "b.png", 16))

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
    def test_transparent_parts_are_white(self, tmp_path, mode):
        layer = Image.new("RGBA", (8, 8), (10, 10, 10, 0))
        layer.paste((10, 10, 10, 255), (0, 0, 4, 8))
        if mode == "P":
            palette = Image.new("P", (8, 8), 1)
            palette.putpalette([10, 10, 10, 0, 0, 0])
            palette.paste(0, (0, 0, 4, 8))
            palette.save(tmp_path / "a.png", transparency=1)
        else:
            layer.convert(mode if mode != "PA" else "RGBA").save(tmp_path / "a.png")
        image = read_photo(tmp_path / "a.png", 8)
        assert (image[:, :, 0] == 10).all()
        assert (image[:, :, 7] == 255).all()

    def test_palette_and_cmyk_keep_their_colours(self, tmp_path):
        red = Image.new("RGB", (8, 8), (250, 10, 10))
        red.paste("black", (6, 0, 8, 8))
        red.convert("P").save(tmp_path / "a.png")
        red.convert("CMYK").save(tmp_path / "a.jpg")
        for name in ("a.png", "a.jpg"):
            colour = read_photo(tmp_path / name, 4)[:, 1, 1].astype(int)
            assert colour[0] > 220 > 40 > colour[1], name

    def test_is_turned_upright_by_its_exif_orientation(self, tmp_path):
        photo = Image.fromarray(gradient())
        exif = Image.Exif()
        exif[0x0112] = 6  # turn by 90 degrees clockwise to view
        photo.save(tmp_path / "a.jpg", exif=exif, quality=95)
        image = read_photo(tmp_path / "a.jpg", 16)
        assert image[0, -1].mean() > 220 > 40 > image[0, 0].mean()  # what grew to the right grows downwards


class TestSpaces:
    def test_bytes_are_cut_as_the_official_code_cuts_them(self):
        images = np.random.RandomState(605).standard_normal((2, 3, 64, 64)).astype(np.float32)
        with np.load(GOLDEN / "models.npz") as golden:
            np.testing.assert_array_equal(
                to_uint8(torch.from_numpy(images)).numpy(), golden["deprocess_uint8"]
            )

    def test_the_network_s_input_is_the_official_crop(self):
        images = torch.from_numpy(
            np.random.RandomState(605).standard_normal((2, 3, 64, 64)).astype(np.float32)
        )
        with np.load(GOLDEN / "models.npz") as golden:
            expected = golden["facenet:pre"]
        crop = vgg_crop((from_imagenet(images) * 255 - 127.5) / 128)
        np.testing.assert_allclose(crop.numpy(), expected, rtol=0, atol=1e-6)

    def test_the_round_trip_loses_at_most_one_level(self):
        levels = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
        back = to_uint8(to_imagenet(levels)).int()
        assert (levels.int() - back).abs().max() <= 1
        np.testing.assert_allclose(from_imagenet(to_imagenet(levels)), levels / 255, atol=1e-6)

    def test_imagenet_s_mean_colour_is_zero(self):
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None].expand(3, 2, 2)
        assert to_imagenet((mean * 255).round().to(torch.uint8)).abs().max() < 0.01

    def test_what_lies_outside_is_clamped(self):
        far = torch.full((1, 3, 2, 2), 50.0)
        assert from_imagenet(far).max() == 1
        assert to_uint8(far).min() == 255
        assert to_uint8(-far).max() == 0

    @pytest.mark.parametrize(
        ("size", "rows", "columns"), [(64, (12, 58), (15, 48)), (128, (24, 117), (30, 97))]
    )
    def test_crop_is_the_published_box(self, size, rows, columns):
        places = np.arange(size * size).reshape(1, size, size)
        crop = vgg_crop(places)
        first, last = crop[0, 0, 0], crop[0, -1, -1]
        assert (first // size, last // size) == rows
        assert (first % size, last % size) == columns
        np.testing.assert_array_equal(vgg_crop(torch.from_numpy(places)).numpy(), crop)
