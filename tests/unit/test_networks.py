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


def test_voice2face_noise_is_added_to_the_embedding_which_is_normalised_again() -> None:
    network, voices = voice2face.Generator(0.25).eval(), torch.randn(2, 40, 125)
    noise = 0.05 * torch.randn(2, 128)
    embedding = network(voices)[1]
    blurred = network(voices, noise)[1]
    torch.testing.assert_close(blurred, torch.nn.functional.normalize(embedding + noise, dim=1))
    assert not torch.allclose(blurred, embedding, atol=1e-3)


def test_voice2face_noise_of_several_segments_has_a_row_for_each() -> None:
    network, voices = voice2face.Generator(0.25).eval(), torch.randn(2, 3, 40, 125)
    noise = 0.05 * torch.randn(6, 128)
    singles = torch.stack([network(voices[:, s], noise[s::3])[1] for s in range(3)])
    want = torch.nn.functional.normalize(singles.mean(dim=0), dim=1)
    torch.testing.assert_close(network(voices, noise)[1], want)
    with pytest.raises(BenchError, match=r"noise has shape \(2, 128\).*\(6, 128\)"):
        network(voices, noise[:2])


@pytest.mark.parametrize("image_size", [64, 128])
def test_voice2face_draws_a_tuple_of_one_image_and_its_discriminator_sees_five_by_five(
    image_size: int,
) -> None:
    images, conditioning = voice2face.Generator(0.25, image_size)(torch.randn(2, 40, 110))
    assert [tuple(image.shape) for image in images] == [(2, 3, image_size, image_size)]
    assert conditioning.shape == (2, 128)
    discriminator = voice2face.IdentityDiscriminator(7, 0.25, image_size)
    assert discriminator.trunk(images[0]).shape == (2, 128, 5, 5)
    score, logits = discriminator(images[0])
    assert score.shape == (2, 1)
    assert logits.shape == (2, 7)


def test_an_image_size_that_voice2face_lacks_is_refused() -> None:
    for build in (voice2face.Generator, lambda **size: voice2face.IdentityDiscriminator(7, **size)):
        with pytest.raises(BenchError, match="64 or 128 pixels, not 96"):
            build(image_size=96)


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


@pytest.mark.parametrize("name", sf2f.GENERATORS)
def test_the_published_generators_draw_one_face_of_several_segments(name: str) -> None:
    network, voices = sf2f.build_generator(name, width=0.06).eval(), torch.randn(2, 3, 40, 110)
    images, conditioning = network(voices)
    size = int(name.split("-")[1])
    assert [tuple(image.shape) for image in images] == [(2, 3, n, n) for n in (64, 128) if n <= size]
    torch.testing.assert_close(conditioning.norm(dim=1), torch.ones(2))
    assert (network.fuser is not None) == name.endswith("fuser")


def test_several_segments_without_a_fuser_give_the_face_of_their_mean_embedding() -> None:
    network, voices = sf2f.Generator(64, width=0.25).eval(), torch.randn(2, 3, 40, 125)
    singles = torch.stack([network(voices[:, s])[1] for s in range(3)])
    want = torch.nn.functional.normalize(singles.mean(dim=0), dim=1)
    images, conditioning = network(voices)
    torch.testing.assert_close(conditioning, want)
    torch.testing.assert_close(images[0], network.decoder(want)[0])


def test_a_generator_that_was_not_published_is_refused() -> None:
    with pytest.raises(BenchError, match="no generator 'sf2f-96': choose one of sf2f-64"):
        sf2f.build_generator("sf2f-96")


def test_the_ablations_have_the_encoder_and_decoder_of_voice2face() -> None:
    theirs = voice2face.Generator(0.25).eval()
    ours = sf2f.Generator(64, 0.25, encoder="plain", decoder="plain").eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    voices = torch.randn(2, 40, 110)
    torch.testing.assert_close(ours(voices), theirs(voices))


@pytest.mark.parametrize("parts", [{"encoder": "plain"}, {"decoder": "plain"}])
def test_an_ablation_changes_one_part_alone(parts: dict[str, str]) -> None:
    whole, ablated = sf2f.Generator(64, 0.25), sf2f.Generator(64, 0.25, fuser=True, **parts)
    for part in ("encoder", "decoder"):
        kept = set(getattr(whole, part).state_dict()) == set(getattr(ablated, part).state_dict())
        assert kept == (part not in parts)
    assert [image.shape for image in ablated(torch.randn(2, 3, 40, 110))[0]] == [(2, 3, 64, 64)]


def test_ablations_that_do_not_exist_are_refused() -> None:
    with pytest.raises(BenchError, match="plain decoder generates 64 pixels, not 128"):
        sf2f.Generator(128, 0.25, decoder="plain")
    with pytest.raises(BenchError, match="no encoder 'transformer': choose one of inception, plain"):
        sf2f.Generator(64, 0.25, encoder="transformer")
    with pytest.raises(BenchError, match="no decoder 'big': choose one of gated, plain"):
        sf2f.Generator(64, 0.25, decoder="big")


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
