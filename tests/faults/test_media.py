"""One bad file is one MediaError that names the file, what is wrong and what to do."""

from __future__ import annotations

import io
import pickle
import struct

import numpy as np
import pytest
import soundfile
from PIL import Image

from sf2f_bench.audio import LogFilterbank, RawWaveform, WenFilterbank, decode
from sf2f_bench.audio.decode import stated_seconds
from sf2f_bench.audio.level import check_level
from sf2f_bench.data.media import AudioFile, PhotoFile
from sf2f_bench.data.mel_pickles import MelFile, read_mel_pickle
from sf2f_bench.types import SAMPLE_RATE, MediaError, Photo, Utterance
from tests.unit.test_audio import buzz, tone, write_m4a


def recording(folder, suffix, seconds=3.0):
    path = folder / f"voice{suffix}"
    if suffix == ".m4a":
        write_m4a(path, tone(seconds)[:, None], SAMPLE_RATE)
    else:
        soundfile.write(
            path, tone(seconds) + 0.01 * np.random.RandomState(0).randn(int(seconds * 16000)), SAMPLE_RATE
        )
    return path


class TestRecordings:
    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
    @pytest.mark.parametrize("content", [b"", b"not a recording", bytes(5000)])
    def test_garbage(self, tmp_path, suffix, content):
        path = tmp_path / f"voice{suffix}"
        path.write_bytes(content)
        with pytest.raises(MediaError, match="voice"):
            decode(path)

    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".m4a"])
    @pytest.mark.parametrize("share", [0.01, 0.3, 0.7])
    def test_cut_short(self, tmp_path, suffix, share):
        path = recording(tmp_path, suffix)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(MediaError, match=path.name):
            decode(path)

    def test_a_cut_wav_says_how_much_is_there(self, tmp_path):
        path = recording(tmp_path, ".wav")
        path.write_bytes(path.read_bytes()[: 44 + 2 * 8000])
        with pytest.raises(MediaError, match=r"states 3\.00 s, 0\.50 s are there"):
            decode(path)

    @pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])  # the second is SoX's
    def test_a_wav_written_to_a_pipe_has_no_length_and_is_whole(self, tmp_path, size):
        path = recording(tmp_path, ".wav")
        whole, content = decode(path), bytearray(path.read_bytes())
        struct.pack_into("<I", content, 4, min(size + 36, 0xFFFFFFFF))
        struct.pack_into("<I", content, 40, size)
        path.write_bytes(content)
        np.testing.assert_array_equal(decode(path), whole)
        assert stated_seconds(path) == 3

    @pytest.mark.parametrize(
        ("head", "kind"),
        [
            (None, r"MPEG-4 file under a wrong name: rename it to \.m4a"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git LFS"),
            (b"<!DOCTYPE html><html>", "page of text"),
            (b"PK\x03\x04" + bytes(100), "zip archive"),
        ],
    )
    def test_another_kind_of_file_under_the_name_of_a_wav_is_said(self, tmp_path, head, kind):
        path = recording(tmp_path, ".m4a").rename(tmp_path / "a.wav")
        if head:
            path.write_bytes(head)
        with pytest.raises(MediaError, match=rf"a\.wav: is a.*{kind}"):
            decode(path)

    def test_a_flac_written_to_a_pipe_has_no_length_and_is_whole(self, tmp_path):
        path = recording(tmp_path, ".flac")
        content = bytearray(path.read_bytes())
        content[21] &= 0xF0  # the 36 bits that count the samples
        content[22:26] = bytes(4)
        path.write_bytes(content)
        assert len(decode(path)) == 3 * SAMPLE_RATE

    def test_a_damaged_flac_header_does_not_fill_the_memory(self, tmp_path):
        path = recording(tmp_path, ".flac")
        content = bytearray(path.read_bytes())
        content[21] |= 0x0F
        content[22:26] = b"\xff" * 4  # 2**36 - 1 samples: 49 days
        path.write_bytes(content)
        with pytest.raises(MediaError, match=r"cut short|cannot be read"):
            decode(path)

    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    def test_telephone_rate_is_refused(self, tmp_path, suffix):
        soundfile.write(tmp_path / f"a{suffix}", tone(rate=8000), 8000)
        with pytest.raises(MediaError, match=r"8000 Hz.*16000 Hz or more.*original"):
            decode(tmp_path / f"a{suffix}")

    @pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
    def test_silence(self, tmp_path, subtype):
        soundfile.write(tmp_path / "a.wav", np.zeros(16000), SAMPLE_RATE, subtype=subtype)
        with pytest.raises(MediaError, match=r"a\.wav: the recording is silent"):
            decode(tmp_path / "a.wav")

    def test_no_samples(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.zeros(0), SAMPLE_RATE)
        with pytest.raises(MediaError, match="no samples"):
            decode(tmp_path / "a.wav")

    def test_not_a_number(self, tmp_path):
        samples = tone()
        samples[7] = np.nan
        soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, subtype="FLOAT")
        with pytest.raises(MediaError, match="not numbers"):
            decode(tmp_path / "a.wav")

    @pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
    def test_float_samples_on_the_int16_scale(self, tmp_path, subtype):
        soundfile.write(tmp_path / "a.wav", buzz() * 32768, SAMPLE_RATE, subtype=subtype)
        with pytest.raises(MediaError, match=r"a\.wav: holds float samples up to .* divide them by 32768"):
            decode(tmp_path / "a.wav")

    @pytest.mark.parametrize("frontend", [LogFilterbank(), RawWaveform(), WenFilterbank()])
    def test_a_level_that_no_speech_has(self, tmp_path, frontend):
        soundfile.write(tmp_path / "a.wav", np.clip(buzz() * 1e5, -1, 1), SAMPLE_RATE)
        with pytest.raises(MediaError, match=r"a\.wav: the mean log energy is .*clipped nearly everywhere"):
            AudioFile("a", tmp_path / "a.wav").log_filterbank(frontend)

    @pytest.mark.parametrize("frontend", [LogFilterbank(), RawWaveform(), WenFilterbank()])
    @pytest.mark.parametrize("gain", [0.3, 1.0, 3.0])
    def test_a_quiet_and_a_loud_recording_are_read(self, frontend, gain):
        assert frontend(np.clip(buzz(6.0) * gain, -1, 1)).size

    def test_missing(self, tmp_path):
        with pytest.raises(MediaError, match="no such file"):
            decode(tmp_path / "a.wav")

    def test_a_film_without_sound(self, tmp_path):
        av = pytest.importorskip("av")
        with av.open(str(tmp_path / "a.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width = stream.height = 16
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
        with pytest.raises(MediaError, match="no sound track"):
            decode(tmp_path / "a.mp4")

    def test_noise_without_speech_is_no_features(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", 1e-4 * np.random.RandomState(0).randn(32000), SAMPLE_RATE)
        utterance = AudioFile("a", tmp_path / "a.wav")
        assert isinstance(utterance, Utterance)
        with pytest.raises(MediaError, match=r"a\.wav: no speech"):
            utterance.log_filterbank(LogFilterbank())


class TestPhotos:
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".pgm"])
    @pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
    def test_cut_short(self, tmp_path, suffix, share):
        path = tmp_path / f"face{suffix}"
        Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64), dtype=np.uint8)).save(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        photo = PhotoFile("face", path)
        assert isinstance(photo, Photo)
        with pytest.raises(MediaError, match=path.name):
            photo.image(64)

    @pytest.mark.parametrize("content", [b"no picture", b"<html></html>", bytes(100)])
    def test_no_picture(self, tmp_path, content):
        (tmp_path / "face.jpg").write_bytes(content)
        with pytest.raises(MediaError, match=r"face\.jpg: cannot be read as a photo"):
            PhotoFile("face", tmp_path / "face.jpg").image(64)

    @pytest.mark.parametrize(
        ("pixels", "suffix", "problem"),
        [
            (np.linspace(0, 1, 4096, dtype=np.float32), ".tif", "floating-point pixels"),
            (np.full(4096, np.nan, np.float32), ".tif", "floating-point pixels"),
            (np.linspace(0, 4095, 4096).astype(np.uint16), ".png", r"shows nothing .*12 bits in 16"),
            (np.linspace(0, 4095, 4096).astype(np.uint16), ".tif", r"shows nothing .*12 bits in 16"),
            (np.linspace(-10, 70_000, 4096).astype(np.int32), ".tif", "-10 to 70000, expected 0 to 65535"),
            (np.zeros(4096, np.uint8), ".png", "shows nothing"),
            (np.full(4096, 200, np.uint8), ".jpg", "shows nothing"),
            (np.arange(1, dtype=np.uint8), ".png", "1x1 pixels, expected 8 or more"),
            (np.arange(49, dtype=np.uint8), ".png", "7x7 pixels, expected 8 or more"),
        ],
    )
    def test_a_picture_that_shows_nothing_or_has_an_unknown_scale(self, tmp_path, pixels, suffix, problem):
        side = int(len(pixels) ** 0.5)
        path = tmp_path / f"face{suffix}"
        Image.fromarray(pixels.reshape(side, side)).save(path)
        with pytest.raises(MediaError, match=rf"face{suffix}: .*{problem}"):
            PhotoFile("face", path).image(64)

    def test_a_flat_colour_shows_nothing(self, tmp_path):
        Image.new("RGB", (64, 64), (255, 0, 90)).save(tmp_path / "face.png")
        with pytest.raises(MediaError, match="shows nothing"):
            PhotoFile("face", tmp_path / "face.png").image(64)

    def test_a_damaged_png_chunk(self, tmp_path):
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), "red").save(buffer, "png")
        content = bytearray(buffer.getvalue())
        content[45] ^= 0xFF
        (tmp_path / "face.png").write_bytes(content)
        with pytest.raises(MediaError, match=r"face\.png"):
            PhotoFile("face", tmp_path / "face.png").image(64)

    def test_missing(self, tmp_path):
        with pytest.raises(MediaError, match="no such file"):
            PhotoFile("face", tmp_path / "face.png").image(64)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class TestFeatureFiles:
    def write(self, tmp_path, content, protocol=pickle.DEFAULT_PROTOCOL):
        path = tmp_path / "id00001_clip_00001.pickle"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        return path

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_features_of_every_protocol_are_read(self, tmp_path, protocol):
        features = np.random.RandomState(0).randn(40, 130) + 11
        content = {"LogMel_Features": features, "spkid": "id00001", "clipid": "clip", "wavid": "00001"}
        found = MelFile("a", self.write(tmp_path, content, protocol)).log_filterbank(LogFilterbank())
        np.testing.assert_array_equal(found, features.astype(np.float32))

    @pytest.mark.parametrize(
        ("mean", "std", "word"), [(0, 1, "normalised already"), (20.1, 2, "clipped nearly everywhere")]
    )
    def test_features_of_a_level_that_no_speech_has(self, tmp_path, mean, std, word):
        path = self.write(tmp_path, {"LogMel_Features": np.random.RandomState(0).randn(40, 130) * std + mean})
        with pytest.raises(MediaError, match=rf"id00001_clip_00001\.pickle: the mean log energy is .*{word}"):
            MelFile("a", path).log_filterbank(LogFilterbank())

    def test_features_written_by_an_older_numpy_are_read(self, tmp_path):
        path = self.write(tmp_path, {"LogMel_Features": np.ones((40, 5))}, protocol=3)
        path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        assert read_mel_pickle(path).shape == (40, 5)

    @pytest.mark.parametrize("where", ["alone", "beside", "inside an array"])
    def test_code_is_never_run(self, tmp_path, where):
        bomb = Bomb(tmp_path / "ran")
        features = np.array([bomb], dtype=object) if where == "inside an array" else np.ones((40, 5))
        content = bomb if where == "alone" else {"LogMel_Features": features, "spkid": bomb}
        with pytest.raises(MediaError, match="could run code"):
            read_mel_pickle(self.write(tmp_path, content))
        assert not (tmp_path / "ran").exists()

    def test_a_module_of_numpy_that_runs_code_is_refused(self, tmp_path):
        path = tmp_path / "a.pickle"
        path.write_bytes(b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.")
        with pytest.raises(MediaError, match="runstring"):
            read_mel_pickle(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"other": np.ones((40, 5))}, "LogMel_Features"),
            ([1, 2], "expected a dict"),
            ({"LogMel_Features": np.ones((64, 5))}, r"\[64, 5\]"),
            ({"LogMel_Features": np.ones((40, 0))}, r"\[40, 0\]"),
            ({"LogMel_Features": np.ones(40)}, r"\[40\]"),
            ({"LogMel_Features": np.full((40, 5), np.inf)}, "not numbers"),
            ({"LogMel_Features": np.array([["a"]])}, "float array"),
            ({"LogMel_Features": "text"}, "float array"),
        ],
    )
    def test_another_content(self, tmp_path, content, message):
        with pytest.raises(MediaError, match=message):
            read_mel_pickle(self.write(tmp_path, content))

    @pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.99])
    def test_cut_short(self, tmp_path, share):
        path = self.write(tmp_path, {"LogMel_Features": np.ones((40, 50))})
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(MediaError, match=path.name):
            read_mel_pickle(path)

    def test_another_front_end_cannot_use_them(self, tmp_path):
        path = self.write(tmp_path, {"LogMel_Features": np.ones((40, 5))})
        with pytest.raises(MediaError, match="recordings"):
            MelFile("a", path).log_filterbank(LogFilterbank(filters=64))


def test_real_speech_has_a_level_of_speech(shared):
    paths = [*sorted((shared / "real" / "librispeech").rglob("*.flac"))[::8]]
    paths += sorted((shared / "real" / "voxceleb_voices").glob("*.wav"))
    for path in paths:
        for frontend in (LogFilterbank(), RawWaveform(), WenFilterbank()):
            waveform = decode(path)
            assert frontend(waveform).size
            assert frontend(waveform / np.abs(waveform).max()).size
        normalised = LogFilterbank().normalise(LogFilterbank().raw(waveform))
        with pytest.raises(MediaError, match="normalised already"):
            check_level(normalised)
