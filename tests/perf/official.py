"""The speed of the official code, and how many times as fast this project wants to be.

Source of the figures: the official SF2F code at commit e346b68, run on 2 CPU threads with torch 2.13 on a machine
of its own; the floors on an H200 are its measured 790 TFLOP/s in bf16 against the step's arithmetic
(tests/golden/model_facts.json).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table; benchmarks name it in their ``extra_info["row"]``.

    unit: of what is measured; a rate ("images/s": more is better) or a time ("s", "ms": less is better).
    official: in `unit`; None: not known, and `instead` may say why. aim: times as fast as `official`; at_most: an
    aim in `unit`. memory: GB that the official code takes on top.
    """

    name: str
    what: str
    unit: str
    official: float | None = None
    aim: float | None = None
    at_most: float | None = None
    memory: float | None = None
    instead: str = "–"

    @property
    def is_time(self) -> bool:
        """Is less better?"""
        return self.unit in ("s", "ms")

    @property
    def on_gpu(self) -> bool:
        """Is it measured on a CUDA device?"""
        return self.name.startswith("gpu-")


ROWS = (
    Row("matrix-product", "float32 matrix product 1024x1024x1024: the machine itself", "GFLOP/s"),
    Row("generate-voice2face-64", "generator voice2face-64, batch 64", "images/s", 140),
    Row("generate-sf2f-64", "generator sf2f-64, batch 64", "images/s", 84),
    Row("generate-sf2f-128", "generator sf2f-128, batch 64", "images/s", 51),
    Row("train-64", "training step sf2f-64, batch 32, without FaceNet", "samples/s", 42.9),
    Row("train-64-facenet", "training step sf2f-64, batch 32, with FaceNet", "samples/s", 17.3, aim=1.3),
    Row("train-128", "training step sf2f-128, batch 32, without FaceNet", "samples/s", 13.9),
    Row("train-128-facenet", "training step sf2f-128, batch 32, with FaceNet", "samples/s", 6.7, aim=1.3),
    Row(
        "train-64-facenet-bf16",
        "training step sf2f-64, batch 32, with FaceNet, --precision bf16",
        "samples/s",
    ),
    Row("audio", "audio front end from wav files, one process a core", "s of sound/s", 854, aim=4),
    *(
        Row(f"audio-{kind}", f"the same on one core, from {kind}", "s of sound/s")
        for kind in ("wav", "flac", "m4a")
    ),
    Row("data", "training items: a mel crop and a face each, batch 256", "items/s", 1418, aim=20),
    Row("recall-370", "recall query 370 x 370, 512 numbers each", "s", 0.32, aim=100, memory=0.8),
    Row("recall-1500", "recall query 1,500 x 1,500", "s", 6.7, aim=100, memory=13),
    Row("recall-5000", "recall query 5,000 x 5,000", "s", instead="out of memory"),
    Row("recall-100000", "recall query 100,000 x 100,000", "s", instead="out of memory"),
    Row(
        "report-100",
        "the whole command sf2f-bench report over 100 records: page, texts and pictures of 3 tables",
        "s",
        at_most=10,
    ),
    Row("scoring", "VGGFace2 ResNet-50, uint8 64x64 faces to probabilities", "images/s", 23, aim=1.5),
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
