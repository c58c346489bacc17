"""Sound: decoding, voice activity detection and the front ends."""

from sf2f_bench.audio.decode import decode
from sf2f_bench.audio.filterbank import LogFilterbank, log_filterbank_of
from sf2f_bench.audio.raw import RawWaveform
from sf2f_bench.audio.wen import WenFilterbank

__all__ = ["LogFilterbank", "RawWaveform", "WenFilterbank", "decode", "log_filterbank_of"]
