"""my-dataset keeps the contract of a data set, on a folder of made-up people; add your own layout's oddities."""

import numpy as np
import soundfile
from my_dataset import MyDataset
from PIL import Image

from sf2f_bench import DatasetSource
from sf2f_bench.testing import check_dataset, one_waveform


def test_it_keeps_the_contract(tmp_path):
    """Everything that `sf2f-bench prepare` relies on."""
    for number, split in enumerate(("train", "val", "test")):
        for person in (f"person-{number}-0", f"person-{number}-1"):
            folder = tmp_path / split / person
            folder.mkdir(parents=True)
            soundfile.write(folder / "voice.wav", one_waveform(), 16_000)
            pixels = np.random.default_rng(number).integers(0, 256, (80, 80, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photo.png")
    check_dataset(MyDataset(DatasetSource(root=tmp_path)))
