"""The audit of the data: what is planted is found, what is not is not, and the numbers are right."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from rich.console import Console
from scipy.stats import hypergeom

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.audit import duplicates
from sf2f_bench.audit.findings import audit, plain_name, shares_people
from sf2f_bench.data import prepared
from sf2f_bench.data.hq_voxceleb import SUBSETS, seen_by, split_of_row
from sf2f_bench.data.media import PhotoFile
from sf2f_bench.data.prepared import PreparedStore, prepare
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.faces import read_photo
from sf2f_bench.progress import Reporter
from sf2f_bench.types import SPLITS, DatasetSource, Identity
from tests.tiny import CARD, TinyDataset, TinyFrontend

SIZE = 64


@dataclass(frozen=True)
class Given:
    """A photo or a recording that a test made."""

    key: str
    content: np.ndarray

    def image(self, size):
        return self.content

    def log_filterbank(self, frontend):
        return self.content


def picture(seed):
    """A smooth picture that no other seed resembles: uint8 ``[3, 64, 64]``."""
    coarse = np.random.RandomState(seed).randint(0, 256, (12, 12, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(smooth).transpose(2, 0, 1)


def sound(seed, frames=200):
    return np.random.RandomState(seed).standard_normal((40, frames)).astype(np.float32)


@dataclass
class Planted:
    """Six people in train, two in val, four in test; `photos` and `sounds` replace a person's own."""

    photos_of: dict = field(default_factory=dict)
    sounds_of: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)  # identity -> fields of Identity
    real: bool = True

    @property
    def card(self):
        return replace(CARD, real=self.real)

    def identities(self, split):
        counts = {"train": 6, "val": 2, "test": 4}
        names = [f"{split}-{number}" for number in range(counts[split])]
        return [
            replace(Identity(name, gender="fm"[n % 2]), **self.facts.get(name, {}))
            for n, name in enumerate(names)
        ]

    def utterances(self, identity):
        seed = self._seed(identity)
        return [
            Given(f"u{i}", one)
            for i, one in enumerate(self.sounds_of.get(identity, [sound(seed), sound(seed + 1)]))
        ]

    def photos(self, identity):
        seed = self._seed(identity)
        return [
            Given(f"p{i}", one)
            for i, one in enumerate(self.photos_of.get(identity, [picture(seed), picture(seed + 1)]))
        ]

    def _seed(self, identity):
        split, _, number = identity.partition("-")
        return 1000 * SPLITS.index(split) + 10 * int(number)

    def fingerprint(self):
        return "planted"


@pytest.fixture
def audited(tmp_path):
    reporter = Reporter(Console(file=io.StringIO()))

    def make(dataset, **options):
        store = prepare(
            dataset, TinyFrontend(), SIZE, tmp_path / str(len(list(tmp_path.iterdir()))), reporter, jobs=1
        )
        return audit(dataset, store, **{"gallery_size": 4, "ks": (1, 2), **options})

    return make


def of(findings, check):
    return [finding for finding in findings if finding.check == check]


def re_encoded(image, quality=60, share=0.6, brighter=1.1):
    """The same photo as a thief would have it: smaller, brighter, JPEG, and back at its size."""
    photo = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    small = photo.resize((round(photo.width * share),) * 2, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    ImageEnhance.Brightness(small).enhance(brighter).save(file, "JPEG", quality=quality)
    back = Image.open(file).resize(photo.size, Image.Resampling.BILINEAR)
    return np.asarray(back).transpose(2, 0, 1)


class TestPeople:
    def test_a_clean_data_set_raises_no_alarm_and_says_what_was_compared(self, audited):
        findings = audited(Planted())
        assert not any(finding.alarm for finding in findings)
        text = " ".join(finding.text for finding in findings)
        assert "Nobody is in two splits (train 6, val 2, test 4 people)." in text
        assert "Of 24 photos none has the same pixels in another split." in text
        assert "Of 24 photos none has the same picture" in text
        assert "Of 24 recordings none has the same features in another split." in text

    def test_a_person_in_two_splits_is_an_alarm_without_a_store(self):
        dataset = TinyDataset(shared_identity=True)
        (shared, _) = of(audit(dataset, gallery_size=4), "overlap")
        assert shared.alarm
        assert "1 people are in both the train and the test split (train-0)" in shared.text
        assert shares_people(dataset)
        assert not shares_people(TinyDataset())

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Malin_Åkerman", "malin akerman"),
            ("T.J._Miller", "T._J._Miller"),
            ("Candace_Cameron-Bure", "Candace_Cameron_Bure"),
            ("Goran_Višnjić", "Goran_Visnjic"),
            ("STRASSE", "Straße"),
        ],
    )
    def test_spellings_of_one_name_are_one(self, one, other):
        assert plain_name(one) == plain_name(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [("person-1-12", "person-11-2"), ("Mya", "Maya"), ("train-0001", "test-0001"), ("-", "_")],
    )
    def test_other_names_are_other_names(self, one, other):
        assert plain_name(one) != plain_name(other)

    @given(st.text(max_size=12))
    def test_a_plain_name_is_never_lost(self, name):
        assert bool(plain_name(name)) == bool(name)

    @pytest.mark.parametrize(("split", "alarm"), [("test", True), ("val", False)])
    def test_a_name_spelt_in_two_ways_is_an_alarm_where_it_is_tested(self, split, alarm):
        class Spelt(Planted):
            def identities(self, wanted):
                found = super().identities(wanted)
                new = {"train": "Malin_Akerman", split: "Malin_Åkerman"}.get(wanted)
                return [replace(found[0], id=new), *found[1:]] if new else found

        (_, names) = of(audit(Spelt(), gallery_size=2), "overlap")
        assert names.alarm == alarm
        assert f"1 in the train and the {split} split (Malin_Akerman and Malin_Åkerman)" in names.text


class TestSeenByNetworks:
    def test_the_share_of_every_training_set_is_said(self):
        facts = {
            "test-0": {"seen_by": "VGGFace2"},
            "test-1": {"seen_by": "VGGFace1, VGGFace2"},
            "test-2": {"seen_by": ""},
        }
        (finding,) = of(audit(Planted(facts=facts), gallery_size=2), "seen-by-networks")
        assert not finding.alarm
        for words in (
            "2 of 4 test people (50.0%) are in the training set of VGGFace2, so FaceNet",
            "1 of 4 test people (25.0%) are in the training set of VGGFace1, so VGG-Face",
            "1 are listed as not trained on; of 1 of 4 nothing is known.",
            "not as a measure of likeness",
        ):
            assert words in finding.text

    def test_what_is_not_known_is_said_so(self):
        (finding,) = of(audit(Planted(), gallery_size=2), "seen-by-networks")
        assert finding.text == "Whether published networks were trained on the 4 test people is not known."

    def test_made_up_people_were_seen_by_nobody(self):
        (finding,) = of(audit(Planted(real=False), gallery_size=2), "seen-by-networks")
        assert finding.text.startswith("The 4 test people are synthetic")

    def test_of_the_published_metadata(self, shared):
        """588 of the 611 test rows of VoxCeleb2 are in VGGFace2's training set; the others in its test split."""
        folder = shared / "protocols" / "voxceleb_meta"
        said = []
        for subset, delimiter in zip(SUBSETS, "\t,", strict=True):
            with (folder / subset.metadata).open(encoding="utf-8-sig", newline="") as stream:
                rows = list(csv.DictReader(stream, delimiter=delimiter))
            said.append(
                [seen_by(subset, row) for number, row in enumerate(rows) if split_of_row(number) == "test"]
            )
        assert set(said[0]) == {"VGGFace1"}
        assert (len(said[1]), said[1].count("VGGFace2"), said[1].count("")) == (611, 588, 23)


class TestPhotos:
    @pytest.mark.parametrize(
        ("one", "other", "alarm"), [("test", "train", True), ("test", "val", False), ("val", "train", False)]
    )
    def test_the_same_pixels_in_two_splits(self, audited, one, other, alarm):
        copy = picture(1000 * SPLITS.index(other) + 11)  # the second photo of OTHER-1
        dataset = Planted(photos_of={f"{one}-0": [picture(77), copy]})
        exact, near = of(audited(dataset), "duplicate-photos")
        assert exact.alarm == alarm
        assert f"1 of the {one} split in the {other} split ({one}-0 = {other}-1)" in exact.text
        assert not near.alarm
        assert "none" in near.text  # an exact copy is not counted twice

    def test_a_re_encoded_training_photo_is_an_alarm(self, audited):
        dataset = Planted(photos_of={"test-2": [re_encoded(picture(31)), picture(5)]})
        exact, near = of(audited(dataset), "duplicate-photos")
        assert not exact.alarm
        assert near.alarm
        assert "1 of the test split in the train split (test-2 = train-3)" in near.text

    def test_drawings_are_compared_by_their_pixels_alone(self, audited):
        dataset = Planted(photos_of={"test-2": [re_encoded(picture(31)), picture(30)]}, real=False)
        (exact,) = of(audited(dataset), "duplicate-photos")
        assert "1 of the test split in the train split (test-2 = train-3)" in exact.text

    @pytest.mark.parametrize("size", [64, 128])
    @pytest.mark.parametrize(
        ("source", "suffix"), [("orl_faces", "pgm"), ("hq_voxceleb_samples/samples", "jpg")]
    )
    def test_on_real_photos_every_copy_is_near_and_no_other_person(self, shared, source, suffix, size):
        paths = sorted((shared / "real" / source).rglob(f"*.{suffix}"))[::2]
        photos = [read_photo(path, size) for path in paths]
        people = np.array([path.parent.name for path in paths])
        hashes = np.stack([duplicates.perceptual_hash(photo) for photo in photos])
        copies = np.stack([duplicates.perceptual_hash(re_encoded(photo)) for photo in photos])
        apart = np.bitwise_count(hashes[:, None] ^ copies[None]).sum(axis=2)
        assert np.diagonal(apart).max() <= duplicates.NEAR_BITS
        assert apart[people[:, None] != people].min() >= 2 * duplicates.NEAR_BITS

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31), st.integers(1, 200))
    def test_the_nearest_hash_is_that_of_counting_bits_one_by_one(self, m, n, seed, pairs):
        random = np.random.default_rng(seed)
        one, other = (random.integers(0, 2**63, (k, 4), dtype=np.uint64) for k in (m, n))
        one[0] = ~other[-1]  # 256 bits apart: more than a byte counts
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(duplicates, "PAIRS_AT_ONCE", pairs)
            nearest, bits = duplicates.nearest_hashes(one, other)
        for row in range(m):
            counts = [
                sum(bin(int(a) ^ int(b)).count("1") for a, b in zip(one[row], line, strict=True))
                for line in other
            ]
            assert bits[row] == min(counts) == counts[nearest[row]]

    @pytest.mark.parametrize(("split", "alarm"), [("test", True), ("train", False)])
    def test_two_people_of_a_split_with_one_picture(self, audited, split, alarm):
        copy = picture(1000 * SPLITS.index(split) + 11)  # the second photo of SPLIT-1
        _, _, shared = of(audited(Planted(photos_of={f"{split}-0": [picture(77), copy]})), "duplicate-photos")
        assert shared.alarm == alarm
        assert f"1 of the {split} split ({split}-0 = {split}-1)" in shared.text

    def test_flat_pictures_are_named_and_no_copies_of_each_other(self, audited):
        flat = {
            f"{split}-0": [np.full((3, SIZE, SIZE), 7, np.uint8), picture(n)]
            for n, split in enumerate(SPLITS)
        }
        findings = audited(Planted(photos_of=flat))
        assert all("none" in finding.text for finding in of(findings, "duplicate-photos"))
        (finding,) = of(findings, "flat-photos")
        assert finding.alarm
        assert "3 photos are flat pictures that show nobody (train-0, val-0, test-0)" in finding.text

    def test_photos_that_are_squashed_are_noted(self, audited, tmp_path):
        (tmp_path / "files").mkdir()
        for name, size in (("square", (64, 64)), ("oblong", (128, 64)), ("nearly", (64, 70))):
            Image.fromarray(picture(5).transpose(1, 2, 0)).resize(size).save(
                tmp_path / "files" / f"{name}.png"
            )

        class OnDisk(Planted):
            def photos(self, identity):
                if identity != "test-0":
                    return super().photos(identity)
                return [PhotoFile(path.name, path) for path in sorted((tmp_path / "files").iterdir())]

        findings = audited(OnDisk())
        (finding,) = of(findings, "photo-shapes")
        assert not finding.alarm
        assert finding.text.startswith("2 of 3 photos are not square")
        assert "oblong.png, 128x64 pixels" in finding.text
        assert not of(audited(Planted()), "photo-shapes")


class TestRecordings:
    def test_the_same_recording_in_two_splits_is_an_alarm(self, audited):
        dataset = Planted(sounds_of={"test-1": [sound(5), sound(21)]})
        (finding,) = of(audited(dataset), "duplicate-recordings")
        assert finding.alarm
        assert "1 of the test split in the train split (train-2 = test-1)" in finding.text

    def test_the_same_middle_is_not_the_same_recording(self, audited):
        other = sound(21).copy()
        other[0, 0] += 1
        (finding,) = of(audited(Planted(sounds_of={"test-1": [sound(5), other]})), "duplicate-recordings")
        assert not finding.alarm

    def test_twice_within_a_split_is_not_across_splits(self, audited):
        (finding,) = of(
            audited(Planted(sounds_of={"test-1": [sound(2001), sound(5)]})), "duplicate-recordings"
        )
        assert "none" in finding.text


class TestBalance:
    def test_genders_and_nationalities_are_counted_with_what_is_not_known(self):
        facts = {
            f"test-{n}": {"nationality": nation} for n, nation in enumerate(["Atlantis", "Atlantis", "Mu"])
        }
        gender, nation, _ = of(audit(Planted(facts=facts), gallery_size=2), "balance")
        assert gender.text == "Test people by gender: 2 women, 2 men, 0 not known (of 4)."
        assert nation.text == "Test people by nationality: Atlantis 2, Mu 1, not known 1 (of 4)."

    def test_many_nationalities_are_summed(self):
        dataset = TinyDataset(counts={"train": 1, "val": 1, "test": 9})
        people = [replace(person, nationality=f"N{n}") for n, person in enumerate(dataset.identities("test"))]

        class Nations(TinyDataset):
            def identities(self, split):
                return people if split == "test" else super().identities(split)

        _, nation, _ = of(audit(Nations(), gallery_size=2), "balance")
        assert "4 others 4, not known 0 (of 9)" in nation.text

    def test_an_unknown_gender_takes_the_anchor_away(self):
        findings = audit(Planted(facts={"test-0": {"gender": None}}), gallery_size=4)
        assert "2 men, 1 not known" in of(findings, "balance")[0].text
        assert "the gender of 1 of 4 test people is not known" in of(findings, "balance")[-1].text
        assert "not known" in of(findings, "gallery")[0].text

    @pytest.mark.parametrize(("n", "size"), [(30, 10), (30, 30), (11, 10)])
    def test_what_the_gender_reaches_is_the_expectation_over_galleries(self, n, size):
        women = n // 3
        people = [Identity(f"t{number}", "f" if number < women else "m") for number in range(n)]

        class Skewed(TinyDataset):
            def identities(self, split):
                return people if split == "test" else super().identities(split)

        findings = audit(Skewed(), gallery_size=size, ks=(1, 5))
        alike = sum(
            count * (count - 1) / (n - 1) * (size - 1) / n for count in (women, n - women)
        )  # of the others in the gallery
        assert f"of the other {size - 1}, {alike:.1f} share" in of(findings, "gallery")[0].text
        for k in (1, 5):
            others = np.arange(size)
            recall = sum(
                count
                / n
                * (hypergeom.pmf(others, n - 1, count - 1, size - 1) * np.minimum(1, k / (1 + others))).sum()
                for count in (women, n - women)
            )
            assert f"recall@{k} {recall:.3f} (chance {k / size:.3f})" in of(findings, "balance")[-1].text

    def test_too_few_people_for_a_gallery_are_said_not_computed(self):
        findings = audit(Planted())
        assert "4 test people cannot fill a gallery of 100" in of(findings, "gallery")[0].text
        assert "No recall" in of(findings, "balance")[-1].text

    def test_the_order_of_the_people_changes_nothing(self):
        class Backwards(Planted):
            def identities(self, split):
                return super().identities(split)[::-1]

        assert audit(Backwards(), gallery_size=4) == audit(Planted(), gallery_size=4)


class TestStore:
    def test_people_that_cannot_be_used_do_not_count(self, tmp_path):
        broken = frozenset(("test-0", f"p{i}") for i in range(3))
        dataset = TinyDataset(broken=broken)
        store = prepare(dataset, TinyFrontend(), SIZE, tmp_path, Reporter(silent=True), jobs=1)
        text = of(audit(dataset, store, gallery_size=4), "balance")[0].text
        assert text == "Test people by gender: 2 women, 2 men, 0 not known (of 4)."

    def test_who_was_seen_goes_through_the_store(self, tmp_path):
        facts = {"test-0": {"seen_by": "VGGFace2"}, "train-1": {"seen_by": ""}}
        store = prepare(Planted(facts=facts), TinyFrontend(), SIZE, tmp_path, Reporter(silent=True), jobs=1)
        again = {
            person.id: person.seen_by
            for split in SPLITS
            for person in PreparedStore(store.folder).identities(split)
        }
        assert (again["test-0"], again["train-1"], again["test-1"]) == ("VGGFace2", "", None)

    def test_it_changes_the_data_hash_and_what_is_unknown_leaves_no_column(self, tmp_path):
        reporter = Reporter(silent=True)
        plain = prepare(Planted(), TinyFrontend(), SIZE, tmp_path / "a", reporter, jobs=1)
        known = Planted(facts={"test-0": {"seen_by": ""}})
        assert (
            plain.data_hash
            != prepare(known, TinyFrontend(), SIZE, tmp_path / "b", reporter, jobs=1).data_hash
        )
        import pandas as pd

        assert "seen_by" not in pd.read_parquet(tmp_path / "a" / "identities.parquet").columns
        assert PreparedStore(tmp_path / "a").identities("test")[0].seen_by is None

    def test_the_synthetic_worlds_data_hash_is_what_it_was(self):
        """That of every record made with version 0.1.0; the hash as `prepare` makes it where no file is bad."""
        world = SyntheticWorld(DatasetSource())
        settings = prepared._settings(world, LogFilterbank(), 64)
        rows = [
            {"split": split, **prepared._facts(person)}
            for split in SPLITS
            for person in world.identities(split)
        ]
        assert prepared._data_hash(settings, rows, []) == "b5d2ddffc5622dfb"

    def test_keys_stand_in_the_order_of_the_media(self, tmp_path):
        dataset = TinyDataset(broken=frozenset({("train-1", "u0"), ("train-2", "p1")}))
        store = prepare(dataset, TinyFrontend(), 16, tmp_path, Reporter(silent=True), jobs=1)
        assert store.keys("train-1", "voice") == ["u1"]
        assert store.keys("train-2", "face") == ["p0", "p2"]
        last = dataset.photos("train-2")[2].image(16)
        np.testing.assert_array_equal(store.faces("train-2")[1], last)
