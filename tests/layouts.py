"""Real files laid out as data sets keep them, for tests that read folders."""

from __future__ import annotations

import shutil
from pathlib import Path

# Photos lie under their own people's names, but for two: nobody photographed is in a test row of the
# metadata, so two people of test rows lend their names. The voices are other people's throughout.
NAMES = {"Emraan_Hashmi": "Adam_Beach", "Fawad_Khan": "Alain_Delon"}
SPEAKERS = {
    "Alex_Borstein": "id10026",
    "Andrea_Riseborough": "id10050",
    "Andrew_Rannells": "id10054",
    "Anthony_Anderson": "id10063",
    "Bear_Grylls": "id10080",
    "Freida_Pinto": "id10324",
    "Adam_Beach": "id10009",
    "Alain_Delon": "id10019",
}
SPLITS = {
    "train": ["Alex_Borstein", "Andrew_Rannells", "Anthony_Anderson", "Freida_Pinto"],
    "val": ["Andrea_Riseborough", "Bear_Grylls"],
    "test": ["Adam_Beach", "Alain_Delon"],
}


def lay_out_hq_voxceleb(shared: Path, folder: Path) -> Path:
    """Real photos, real recordings and the real metadata as HQ-VoxCeleb's folder; returns its root.

    Four identities in train, two in val, two in test (`SPLITS`). Voice and face are different people's:
    this is for testing the reading, never for a result.
    """
    root = folder / "hq_voxceleb"
    photos = shared / "real" / "hq_voxceleb_samples" / "samples"
    for person in sorted(photos.iterdir()):
        name = NAMES.get(person.name, person.name)
        shutil.copytree(person, root / "vox1" / "masked_faces" / name, copy_function=shutil.copyfile)
    recordings = sorted((shared / "real" / "voxceleb_voices").glob("*.wav"))
    owners = [SPEAKERS[name] for name in sorted(SPEAKERS)]
    for number, recording in enumerate(recordings):
        clip = root / "raw_wav" / "vox1" / "dev" / owners[number % len(owners)] / f"clip{number}"
        clip.mkdir(parents=True)
        shutil.copyfile(recording, clip / "00001.wav")
    (root / "meta_info").mkdir()
    for name in ("vox1_meta.csv", "full_vox2_meta.csv"):
        shutil.copyfile(shared / "protocols" / "voxceleb_meta" / name, root / "meta_info" / name)
    return root
