"""The ablations of the supplement's Table 2: SF2F at 64 pixels, fused, with one thing taken out or made plain."""

from __future__ import annotations

from reference_model.recipe import SF2F


class WithoutL1(SF2F):
    """Without the L1 loss of pixels."""

    name = "sf2f-64-without-l1"
    first_stage = f"{name}-first-stage"
    order, change = 0, "without L1 loss"
    changes = {"weights": {"pixel": 0.0}}  # noqa: RUF012


class WithoutGan(SF2F):
    """Without image discriminators."""

    name = "sf2f-64-without-gan"
    first_stage = f"{name}-first-stage"
    order, change = 1, "without image GAN"
    changes = {"weights": {"adversarial": 0.0}}  # noqa: RUF012


class WithoutIdentity(SF2F):
    """Without identity discriminators: neither their classification nor their adversarial term."""

    name = "sf2f-64-without-identity"
    first_stage = f"{name}-first-stage"
    order, change = 2, "without identity loss"
    changes = {"weights": {"identity": 0.0}}  # noqa: RUF012


class WithoutPerceptual(SF2F):
    """Without the perceptual loss."""

    name = "sf2f-64-without-perceptual"
    first_stage = f"{name}-first-stage"
    order, change = 3, "without perceptual loss"
    changes = {"weights": {"perceptual": 0.0}}  # noqa: RUF012


class PlainEncoder(SF2F):
    """With voice2face's voice encoder in place of the 1-D inception blocks."""

    name = "sf2f-64-plain-encoder"
    first_stage = f"{name}-first-stage"
    order, change = 4, "with plain encoder"
    changes = {"encoder": "plain"}  # noqa: RUF012


class PlainDecoder(SF2F):
    """With voice2face's face decoder in place of the gated one."""

    name = "sf2f-64-plain-decoder"
    first_stage = f"{name}-first-stage"
    order, change = 5, "with plain decoder"
    changes = {"decoder": "plain"}  # noqa: RUF012
