"""CLIP ViT-L/14 at 336 pixels: features learnt from captions, the network of CMMD.

Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020). The
network is that of the package `transformers`; the weights are OpenAI's as published on Hugging Face.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from sf2f_bench.extractors.frozen import PublishedExtractor, standardised
from sf2f_bench.extractors.weights import FILES
from sf2f_bench.types import ExtractorCard, Unavailable

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
SHAPE: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}


class ClipNetwork(nn.Module):
    """The picture side of CLIP, with its preprocessing and its projection."""

    def __init__(self, vision_model: nn.Module, visual_projection: nn.Module, size: int) -> None:
        super().__init__()
        self.vision_model, self.visual_projection, self.size = vision_model, visual_projection, size

    def forward(self, images: Tensor) -> Tensor:
        """Images float 0..1 ``[B, 3, H, W]`` -> embeddings of length 1 ``[B, 768]``."""
        x = standardised(images, self.size, CLIP_MEAN, CLIP_STD)
        return F.normalize(self.visual_projection(self.vision_model(pixel_values=x).pooler_output), dim=1)


class ClipExtractor(PublishedExtractor):
    """CLIP ViT-L/14 at 336 pixels as the harness uses it: `ClipExtractor("clip-vitl14-336")`.

    Embeddings are the projected class tokens at length 1 ``[B, 768]``; faces are not cropped. Unavailable without the
    package transformers. No checksum of the weights is known here: that of the file found goes into the id.
    """

    NAMES = ("clip-vitl14-336",)
    VERSION = 1
    FILE = "clip-vit-large-patch14-336.bin"
    RESIZE = "bicubic-336"

    recognises = False
    card = ExtractorCard(
        title="By CLIP, which tells pictures apart by what a caption would say",
        order=4,
        trained_on="400 million pictures with captions",
        licence=FILES[FILE].licence,
        files=(FILE,),
    )

    def build(self, name: str) -> ClipNetwork:
        """The untrained network."""
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        whole = CLIPVisionModelWithProjection(CLIPVisionConfig(**SHAPE))
        return ClipNetwork(whole.vision_model, whole.visual_projection, SHAPE["image_size"])

    def find_weights(self) -> Path:
        """As any published network's, once the package is known to be on this machine too."""
        try:
            import transformers  # noqa: F401
        except ImportError as error:
            reason = "the package transformers is not installed: pip install 'sf2f-bench[clip]'"
            raise Unavailable(f"{self.NAMES[0]}: {reason}", reason) from error
        return super().find_weights()

    def tensors(self, path: Path) -> dict[str, Tensor]:
        """Those of the picture side; the file holds the words' side too."""
        parts = ("vision_model.", "visual_projection.")
        return {
            name: tensor
            for name, tensor in super().tensors(path).items()
            if name.startswith(parts)
            and not name.endswith("position_ids")  # a counter, which newer files leave out
        }
