"""The losses of SF2F's training. Images are ImageNet-normalised unless a name says otherwise.

A generator with several heads has every image loss and every discriminator once per resolution, and
"per resolution" sequences run from the lowest to the highest. Source: arXiv 2006.05888 and its
supplement; the weights are the recipe's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sf2f_bench import FeatureNetwork, perceptual_loss


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of scalar tensors."""
    return torch.stack(list(terms)).sum()


def pyramid(images: Tensor, levels: int) -> tuple[Tensor, ...]:
    """Targets per resolution: ``[B, 3, H, W]`` halved (nearest) levels - 1 times."""
    targets = [images]
    for _ in range(levels - 1):
        targets.insert(0, F.interpolate(targets[0], scale_factor=0.5, mode="nearest"))
    return tuple(targets)


def adversarial_loss(fake: Tensor) -> Tensor:
    """Non-saturating logistic loss of a generator from its fakes' logits (any shape): E[softplus(-D(G))].

    The formula is binary cross-entropy against the label "real" (Goodfellow et al. 2014).
    """
    return F.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss of a discriminator from its logits (any shape): E[softplus(-D(x))] + E[softplus(D(G))]."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_losses(
    fakes: Sequence[Tensor],
    reals: Sequence[Tensor],
    labels: Tensor,
    image_discriminators: nn.ModuleList,
    identity_discriminators: nn.ModuleList,
    perceptual: FeatureNetwork | None,
    weights: Mapping[str, float],
) -> dict[str, Tensor]:
    """The generator's weighted terms by name; the training loss is their sum.

    fakes, reals: ``[B, 3, H, W]`` per resolution; labels int64 ``[B]``; discriminators per resolution. A
    weight of 0 leaves its terms out, as does perceptual None. Source: arXiv 2006.05888; its
    supplement's Table 2 shows the effect of leaving each out.
    """
    pairs = list(zip(fakes, reals, strict=True))
    terms = {}
    if weights["pixel"]:
        terms["pixel"] = weights["pixel"] * total(F.l1_loss(fake, real) for fake, real in pairs)
    if weights["adversarial"]:
        patches = [d(fake) for d, fake in zip(image_discriminators, fakes, strict=True)]
        terms["adversarial"] = weights["adversarial"] * total(map(adversarial_loss, patches))
    if weights["identity"]:
        judged = [d(fake) for d, fake in zip(identity_discriminators, fakes, strict=True)]
        classified = total(F.cross_entropy(logits, labels) for _, logits in judged)
        fooled = total(adversarial_loss(score) for score, _ in judged)
        terms["identity"] = weights["identity"] * classified
        terms["identity_adversarial"] = weights["identity"] * fooled
    if weights["perceptual"] and perceptual is not None:
        seen = total(perceptual_loss(perceptual, fake, real) for fake, real in pairs)
        terms["perceptual"] = weights["perceptual"] * seen
    return terms


def image_discriminator_losses(
    discriminators: nn.ModuleList, fakes: Sequence[Tensor], reals: Sequence[Tensor]
) -> dict[str, Tensor]:
    """The image discriminators' term by name, from images per resolution."""
    triples = zip(discriminators, fakes, reals, strict=True)
    return {"image_discriminator": total(discriminator_loss(d(real), d(fake)) for d, fake, real in triples)}


def identity_discriminator_losses(
    discriminators: nn.ModuleList, fakes: Sequence[Tensor], reals: Sequence[Tensor], labels: Tensor
) -> dict[str, Tensor]:
    """The identity discriminators' terms by name: logistic on both sides, cross-entropy on real images only."""
    adversarial, identity = [], []
    for discriminator, fake, real in zip(discriminators, fakes, reals, strict=True):
        score, logits = discriminator(real)
        adversarial.append(discriminator_loss(score, discriminator(fake)[0]))
        identity.append(F.cross_entropy(logits, labels))
    return {"identity_discriminator": total(adversarial), "identity_discriminator_classes": total(identity)}
