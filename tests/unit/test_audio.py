"""Decoding, voice activity detection and the front end on made-up sound."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from sf2f_bench.audio import LogFilterbank, decode
from sf2f_bench.audio.decode import stated_seconds, to_int16
from sf2f_bench.audio.filterbank import mel_filters
from sf2f_bench.audio.vad import keep_speech, speech_runs
from sf2f_bench.types import SAMPLE_RATE, AudioFrontend, BenchError, MediaError


def tone(seconds=1.0, hertz=440.0, rate=SAMPLE_RATE, loudness=0.5):
    return loudness * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def buzz(seconds=3.0, seed=0):
    """A vowel-like sound that WebRTC's detector takes for voice: harmonics of 120 Hz under two formants."""
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = np.arange(1, 40) * 120.0
    weights = np.exp(-(((harmonics - 600) / 300) ** 2)) + 0.5 * np.exp(-(((harmonics - 1700) / 400) ** 2))
    phases = np.random.RandomState(seed).uniform(0, 2 * np.pi, len(harmonics))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * times)
    waves = np.sin(2 * np.pi * times[:, None] * harmonics + phases) @ weights
    return (0.3 * swell * waves / np.abs(waves).max()).astype(np.float32)


def write_m4a(path, samples, rate, layout="mono"):
    """samples ``[T, channels]`` in -1..1 as AAC."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T, dtype=np.float32), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


class TestDecode:
    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    def test_sixteen_bit_files_come_back_exactly(self, tmp_path, suffix):
        samples = to_int16(tone())
        soundfile.write(tmp_path / f"a{suffix}", samples, SAMPLE_RATE)
        waveform = decode(tmp_path / f"a{suffix}")
        assert waveform.dtype == np.float32
        np.testing.assert_array_equal(waveform * 32768, samples)

    @pytest.mark.parametrize("rate", [SAMPLE_RATE, 44_100])
    def test_sixteen_bits_are_read_as_if_they_were_real_numbers(self, tmp_path, rate):
        samples = to_int16(tone(0.3, rate=rate) + tone(0.3, hertz=5000, rate=rate) * 0.3)
        samples[:2] = -32768, 32767
        soundfile.write(tmp_path / "16.wav", samples, rate)
        soundfile.write(tmp_path / "64.wav", samples / 32768, rate, subtype="DOUBLE")
        np.testing.assert_array_equal(decode(tmp_path / "16.wav"), decode(tmp_path / "64.wav"))

    def test_sound_as_ffmpeg_decodes_it_is_not_converted(self, tmp_path):
        write_m4a(tmp_path / "a.m4a", tone(1.5)[:, None], SAMPLE_RATE)
        with av.open(str(tmp_path / "a.m4a")) as container:
            doubles = av.AudioResampler(format="dblp", layout="mono", rate=SAMPLE_RATE)
            frames = [part for frame in container.decode(audio=0) for part in doubles.resample(frame)]
        expected = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        np.testing.assert_array_equal(decode(tmp_path / "a.m4a"), to_int16(expected) / np.float32(32768))

    @pytest.mark.parametrize(
        ("suffix", "subtype"), [(".wav", "PCM_24"), (".wav", "FLOAT"), (".flac", "PCM_24")]
    )
    def test_finer_files_are_put_on_the_grid(self, tmp_path, suffix, subtype):
        soundfile.write(tmp_path / f"a{suffix}", tone(), SAMPLE_RATE, subtype=subtype)
        scaled = decode(tmp_path / f"a{suffix}") * 32768
        np.testing.assert_array_equal(scaled, np.rint(scaled))
        np.testing.assert_allclose(scaled, to_int16(tone()), atol=1)

    def test_lossy_formats_keep_the_tone(self, tmp_path):
        soundfile.write(tmp_path / "a.mp3", tone(2.0), SAMPLE_RATE)
        write_m4a(tmp_path / "a.m4a", tone(2.0)[:, None], SAMPLE_RATE)
        for name in ("a.mp3", "a.m4a"):
            waveform = decode(tmp_path / name)
            spectrum = np.abs(np.fft.rfft(waveform[8000:24000]))
            assert spectrum.argmax() == 440, name
            assert waveform.size == pytest.approx(2 * SAMPLE_RATE, abs=3000)

    def test_several_channels_are_refused_not_mixed(self, tmp_path):
        both = np.stack([tone(loudness=0.6), tone(loudness=0.2)], axis=1)
        soundfile.write(tmp_path / "a.wav", both, SAMPLE_RATE, subtype="FLOAT")
        write_m4a(tmp_path / "a.m4a", both, SAMPLE_RATE, layout="stereo")
        for name in ("a.wav", "a.m4a"):
            with pytest.raises(MediaError, match=r"has 2 channels, expected mono: .* mix them down"):
                decode(tmp_path / name)

    @pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
    def test_higher_rates_are_resampled_without_aliases(self, tmp_path, rate):
        soundfile.write(tmp_path / "a.wav", tone(rate=rate) + tone(hertz=9500, rate=rate) * 0.5, rate)
        waveform = decode(tmp_path / "a.wav")
        assert len(waveform) == SAMPLE_RATE
        spectrum = np.abs(np.fft.rfft(waveform[2000:14000] * np.hanning(12000)))
        assert spectrum.argmax() == 330  # 440 Hz in bins of 4/3 Hz
        alias = round((SAMPLE_RATE - 9500) / SAMPLE_RATE * 12000)
        assert spectrum[alias - 5 : alias + 6].max() < 0.01 * spectrum.max()

    def test_header_tells_the_length(self, tmp_path):
        soundfile.write(tmp_path / "a.flac", tone(1.5), SAMPLE_RATE)
        write_m4a(tmp_path / "a.m4a", tone(1.5)[:, None], SAMPLE_RATE)
        assert stated_seconds(tmp_path / "a.flac") == 1.5
        assert stated_seconds(tmp_path / "a.m4a") == pytest.approx(1.5, abs=0.2)
        (tmp_path / "b.wav").write_bytes(b"nothing")
        assert stated_seconds(tmp_path / "b.wav") == 0


class TestSpeechRuns:
    def test_needs_all_ten_frames_to_begin_and_ten_to_end(self):
        assert speech_runs([True] * 9 + [False] + [True] * 9, 10) == []
        assert speech_runs([False] * 3 + [True] * 10 + [False] * 10 + [True] * 4, 10) == [(3, 23)]
        assert speech_runs([True] * 10 + ([False] * 9 + [True]) * 3, 10) == [(0, 40)]

    def test_the_last_run_is_kept_and_an_untriggered_tail_lost(self):
        assert speech_runs([True] * 12, 10) == [(0, 12)]
        assert speech_runs([True] * 10 + [False] * 10 + [True] * 9, 10) == [(0, 20)]

    def test_a_ring_starts_empty_after_each_switch(self):
        # The ten voiced frames that began the run do not count as voiced ones inside it.
        assert speech_runs([True] * 10 + [False] * 10 + [True] * 10, 10) == [(0, 20), (20, 30)]

    @given(st.lists(st.booleans(), max_size=120), st.sampled_from([10, 15, 30]))
    def test_equals_a_walk_with_a_ring(self, voiced, ring):
        kept, buffer, triggered, runs = [], [], False, []
        for index, verdict in enumerate(voiced):
            buffer = [*buffer, (index, verdict)][-ring:]
            agreeing = sum(flag != triggered for _, flag in buffer)
            if triggered:
                kept.append(index)
            if 10 * agreeing > 9 * ring:
                if triggered:
                    runs.append(kept)
                    kept = []
                else:
                    kept = [place for place, _ in buffer]
                triggered, buffer = not triggered, []
        if kept:
            runs.append(kept)
        assert speech_runs(voiced, ring) == [(run[0], run[-1] + 1) for run in runs]

    def test_a_last_frame_that_fits_exactly_is_lost(self):
        samples = to_int16(buzz(1.5))
        assert len(samples) == 50 * 480
        assert len(keep_speech(samples, 1, 30)) == 49 * 480
        assert len(keep_speech(np.append(samples, samples[:1]), 1, 30)) == 50 * 480


class TestLogFilterbank:
    def test_is_a_front_end_with_the_published_constants(self):
        frontend = LogFilterbank()
        assert isinstance(frontend, AudioFrontend)
        assert frontend.frames_per_second == 100
        assert frontend.silence == pytest.approx(-3.4716, abs=5e-5)

    def test_features_are_float32_of_the_speech(self):
        features = LogFilterbank()(buzz(3.001))
        assert features.dtype == np.float32
        assert features.shape == (40, 1 + -(-(100 * 480 - 400) // 160))
        assert np.isfinite(features).all()

    @pytest.mark.parametrize("length", [400, 401, 20_720, 20_721, 20_880, 20_881, 41_200, 64_000])
    def test_blocks_of_frames_are_an_inner_matter(self, length):
        # 128 windows end at sample 20,720; the formula here is over the whole signal and all filters at once.
        signal = np.random.RandomState(length).randint(-9000, 9000, length).astype(np.int16)
        frontend = LogFilterbank()
        emphasised = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
        frames = 1 + -(-(length - 400) // 160)
        padded = np.append(emphasised, np.zeros(400))
        windows = np.stack([padded[160 * i : 160 * i + 400] for i in range(frames)])
        power = np.abs(np.fft.rfft(windows, 512)) ** 2 / 512
        expected = np.log(power @ mel_filters(40, 0.0, 8000.0, 512)).T
        np.testing.assert_allclose(frontend.of_signal(signal), expected, rtol=0, atol=1e-11)

    def test_threads_and_earlier_signals_leave_no_trace(self):
        signals = [np.random.RandomState(n).randint(-9000, 9000, 400 + 2971 * n) for n in range(12)]
        apart = [LogFilterbank().of_signal(signal) for signal in signals]
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(LogFilterbank().of_signal, [*signals[::-1], *signals]))
        for one, other in zip([*apart[::-1], *apart], together, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_normalises_arrays_and_tensors_alike(self):
        features = np.array([[10.9915, 0.0]], dtype=np.float32)
        frontend = LogFilterbank()
        expected = [[0.0, frontend.silence]]
        np.testing.assert_allclose(frontend.normalise(features), expected, atol=1e-6)
        np.testing.assert_allclose(
            frontend.normalise(torch.from_numpy(features)).numpy(), expected, atol=1e-6
        )

    @pytest.mark.parametrize(
        "changed",
        [
            {"filters": 64},
            {"low": 20.0},
            {"high": 7200.0},
            {"nfft": 1024},
            {"window_seconds": 0.02},
            {"step_seconds": 0.02},
            {"preemphasis": 0.95},
            {"vad_mode": 2},
            {"vad_frame_ms": 20},
        ],
    )
    def test_every_setting_that_changes_a_stored_number_changes_the_id(self, changed):
        assert LogFilterbank(**changed).id != LogFilterbank().id

    def test_normalisation_is_not_stored_so_not_in_the_id(self):
        assert LogFilterbank(mean=0.0, std=1.0).id == LogFilterbank().id

    @pytest.mark.parametrize(
        "wrong",
        [
            {"high": 9000.0},
            {"low": 8000.0},
            {"nfft": 256},
            {"step_seconds": 0.0},
            {"vad_mode": 4},
            {"vad_frame_ms": 25},
            {"filters": 0},
        ],
    )
    def test_refuses_settings_that_mean_nothing(self, wrong):
        with pytest.raises(BenchError, match="expected"):
            LogFilterbank(**wrong)

    @pytest.mark.parametrize("waveform", [np.zeros(32_000, np.float32), tone(0.01), np.zeros(0, np.float32)])
    def test_no_speech_is_one_recording_s_fault(self, waveform):
        with pytest.raises(MediaError, match="no speech"):
            LogFilterbank()(waveform)
