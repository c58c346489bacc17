"""The ablations of the supplement's Table 2: SF2F at 64 pixels, fused, with one part removed or made plain."""

from __future__ import annotations

from typing import Any

from reference_model.recipe import SF2F


def _ablation(part: str, order: int, change: str, **changes: Any) -> type[SF2F]:
    """SF2F with other entries in its recipe, as `SF2F` says; each has a first stage of its own."""
    name = f"sf2f-64-{part}"
    entries = {"first_stage": f"{name}-first-stage", "order": order, "change": change, "changes": changes}
    return type(name, (SF2F,), {"name": name, **entries})


WithoutL1 = _ablation("without-l1", 0, "without L1 loss", weights={"pixel": 0.0})
WithoutGan = _ablation("without-gan", 1, "without image GAN", weights={"adversarial": 0.0})
# Neither their classification nor their adversarial term.
WithoutIdentity = _ablation("without-identity", 2, "without identity loss", weights={"identity": 0.0})
WithoutPerceptual = _ablation("without-perceptual", 3, "without perceptual loss", weights={"perceptual": 0.0})
# voice2face's voice encoder in place of the 1-D inception blocks, and its face decoder in place of the gated one.
PlainEncoder = _ablation("plain-encoder", 4, "with plain encoder", encoder="plain")
PlainDecoder = _ablation("plain-decoder", 5, "with plain decoder", decoder="plain")
