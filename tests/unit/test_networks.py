"""Width, sizes, segments and refusals of the networks; their numbers are in tests/golden."""

from __future__ import annotations

import pytest
import torch

from baselines import voice2face
from reference_model import sf2f
from reference_model.losses import perceptual_loss, pyramid
from sf2f_bench import BenchError, to_imagenet


@pytest.mark.parametrize(
    ("channels", "width", "want"), [(512, 1.0, 512), (16, 0.25, 4), (16, 0.01, 4), (100, 0.25, 24)]
)
def test_width_gives_multiples_of_four(channels: int, width: float, want: int) -> None:
    assert sf2f.scaled(channels, width) == want
    assert voice2face.scaled(channels, width) == want


@pytest.mark.parametrize("frames", [1, 100, 101, 125, 150])
@pytest.mark.parametrize("encoder", [sf2f.VoiceEncoder, voice2face.VoiceEncoder])
def test_embeddings_have_length_one_for_any_number_of_frames(encoder: type, frames: int) -> None:
    embedding = encoder(0.25).eval()(torch.randn(2, 40, frames))
    assert embedding.shape == (2, 128)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))


def test_a_128_generator_draws_both_resolutions_and_its_discriminators_see_six_by_six_patches() -> None:
    images, conditioning = sf2f.Generator(128, width=0.25)(torch.randn(2, 40, 110))
    assert [tuple(image.shape) for image in images] == [(2, 3, 64, 64), (2, 3, 128, 128)]
    assert conditioning.shape == (2, 128)
    for size, image in zip((64, 128), images, strict=True):
        assert sf2f.ImageDiscriminator(size, 0.25)(image).shape == (2, 1, 6, 6)
        score, logits = sf2f.IdentityDiscriminator(7, size, 0.25)(image)
        assert score.shape == (2, 1)
        assert logits.shape == (2, 7)


def test_a_fuser_that_starts_at_the_mean_gives_nearly_the_mean_embedding() -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(3, 20, 128) + 0.3, dim=2)
    fuser = sf2f.Fuser(0.25)
    mean = torch.nn.functional.normalize(embeddings.mean(dim=1), dim=1)
    before = (fuser(embeddings) * mean).sum(dim=1)
    fuser.start_at_mean()
    after = (fuser(embeddings) * mean).sum(dim=1)
    assert before.max() < 0.9
    assert after.min() > 0.99


def test_the_fused_embedding_does_not_depend_on_the_order_of_segments() -> None:
    fuser, embeddings = sf2f.Fuser(0.25), torch.randn(2, 5, 128)
    torch.testing.assert_close(fuser(embeddings), fuser(embeddings[:, [3, 1, 4, 0, 2]]))


def test_voice2face_noise_blurs_the_embedding_by_the_given_generator_only() -> None:
    network, voices = voice2face.Generator(0.25).eval(), torch.randn(2, 40, 125)

    def embed(noise: float, seed: int) -> torch.Tensor:
        return network(voices, noise, torch.Generator().manual_seed(seed))[1]

    assert torch.equal(embed(0.0, 1), embed(0.0, 2))
    assert torch.equal(embed(0.05, 1), embed(0.05, 1))
    assert not torch.allclose(embed(0.05, 1), embed(0.05, 2), atol=1e-3)
    torch.testing.assert_close(embed(0.05, 1).norm(dim=1), torch.ones(2))


def test_voice2face_conditions_on_the_mean_embedding_of_several_segments() -> None:
    network, voices = voice2face.Generator(0.25).eval(), torch.randn(2, 3, 40, 125)
    singles = torch.stack([network(voices[:, s])[1] for s in range(3)])
    want = torch.nn.functional.normalize(singles.mean(dim=0), dim=1)
    torch.testing.assert_close(network(voices)[1], want)


def test_the_upsampling_convolution_is_upsampling_then_convolution() -> None:
    layer, x = sf2f.UpsamplingConv(5, 6), torch.randn(2, 5, 4, 7, requires_grad=True)
    copied = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    want = torch.nn.functional.conv2d(copied, layer.weight, padding=1)
    ours = layer(x)
    torch.testing.assert_close(ours, want)
    weights = torch.randn_like(want)
    for inputs in (x, layer.weight):
        (given,) = torch.autograd.grad((ours * weights).sum(), inputs, retain_graph=True)
        (wanted,) = torch.autograd.grad((want * weights).sum(), inputs, retain_graph=True)
        torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)


def test_several_segments_without_a_fuser_are_refused() -> None:
    with pytest.raises(BenchError, match="no fuser"):
        sf2f.Generator(64, width=0.25)(torch.randn(2, 3, 40, 125))


def test_an_image_size_that_sf2f_lacks_is_refused() -> None:
    with pytest.raises(BenchError, match="64 or 128 pixels, not 96"):
        sf2f.Generator(96)


def test_low_resolution_targets_are_every_second_pixel() -> None:
    images = torch.randn(2, 3, 128, 128)
    low, high = pyramid(images, 2)
    assert torch.equal(high, images)
    assert torch.equal(low, images[:, :, ::2, ::2])


class Looker:
    """Feature maps that make the perceptual loss easy to compute by hand."""

    def __init__(self, maps: int = 3) -> None:
        self.maps = maps

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        assert images.min() >= 0
        assert images.max() <= 1
        return [images * (n + 1) for n in range(self.maps)] + [images.mean(dim=(1, 2, 3))]


def test_the_perceptual_loss_is_the_weighted_sum_and_has_no_gradient_beyond_white() -> None:
    black, grey = (to_imagenet(torch.full((2, 3, 8, 8), v, dtype=torch.uint8)) for v in (0, 51))
    value = perceptual_loss(Looker(), grey, black)
    assert value.item() == pytest.approx(0.2 * (1 / 16 + 2 / 8 + 3 / 4 + 1), rel=1e-5)
    fake = torch.full((2, 3, 8, 8), 10.0)  # far beyond white
    fake[:, :, :4] = 0.0
    fake.requires_grad_(True)
    perceptual_loss(Looker(), fake, black).backward()
    assert fake.grad is not None
    assert (fake.grad[:, :, :4] != 0).all()
    assert (fake.grad[:, :, 4:] == 0).all()


def test_a_perceptual_network_with_other_features_is_refused() -> None:
    with pytest.raises(BenchError, match="gave 3 feature tensors"):
        perceptual_loss(Looker(maps=2), torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
