"""What the speed table measures, a row each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table; benchmarks name it in their ``extra_info["row"]``.

    unit: of what is measured; a rate ("images/s": more is better) or a time ("s", "ms": less is better).
    at_most: an aim in `unit`.
    """

    name: str
    what: str
    unit: str
    at_most: float | None = None

    @property
    def on_gpu(self) -> bool:
        """Is it measured on a CUDA device?"""
        return self.name.startswith("gpu-")


ROWS = (
    Row("matrix-product", "float32 matrix product 1024x1024x1024: the machine itself", "GFLOP/s"),
    Row("generate-voice2face-64", "generator voice2face-64, batch 64", "images/s"),
    Row("generate-sf2f-64", "generator sf2f-64, batch 64", "images/s"),
    Row("generate-sf2f-128", "generator sf2f-128, batch 64", "images/s"),
    Row("train-64", "training step sf2f-64, batch 32, without FaceNet", "samples/s"),
    Row("train-64-facenet", "training step sf2f-64, batch 32, with FaceNet", "samples/s"),
    Row("train-128", "training step sf2f-128, batch 32, without FaceNet", "samples/s"),
    Row("train-128-facenet", "training step sf2f-128, batch 32, with FaceNet", "samples/s"),
    *(
        Row(
            f"train-quarter-{size}-{batch}",
            f"training step sf2f-{size} (width 0.25), batch {batch}, with embedded-perceptual",
            "samples/s",
        )
        for size, batch in ((64, 16), (64, 32), (64, 64), (128, 16))
    ),
    Row(
        "train-64-facenet-bf16",
        "training step sf2f-64, batch 32, with FaceNet, --precision bf16",
        "samples/s",
    ),
    Row("audio", "audio front end from wav files, one process a core", "s of sound/s"),
    *(
        Row(f"audio-{kind}", f"the same on one core, from {kind}", "s of sound/s")
        for kind in ("wav", "flac", "m4a")
    ),
    Row("data", "training items: a mel crop and a face each, batch 256", "items/s"),
    Row("recall-370", "recall query 370 x 370, 512 numbers each", "s"),
    Row("recall-1500", "recall query 1,500 x 1,500", "s"),
    Row("recall-5000", "recall query 5,000 x 5,000", "s"),
    Row("recall-100000", "recall query 100,000 x 100,000", "s"),
    Row(
        "report-100",
        "the whole command sf2f-bench report over 100 records: page, texts and pictures of 3 tables",
        "s",
        at_most=10,
    ),
    Row("scoring", "VGGFace2 ResNet-50, uint8 64x64 faces to probabilities", "images/s"),
    *(
        Row(
            f"gpu-step-{size}-{precision}-{compiled}",
            f"stage-1 step {size}x{size}, batch 256, with FaceNet, {precision}, compile {compiled}",
            "ms",
            at_most={64: 12, 128: 28}[size] if precision == "bf16" else None,
        )
        for size in (64, 128)
        for precision in ("fp32", "bf16")
        for compiled in ("none", "default", "graphs")
    ),
)
