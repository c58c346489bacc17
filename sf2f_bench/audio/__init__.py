"""Sound: decoding, voice activity detection and the log filter-bank front end."""

from sf2f_bench.audio.decode import decode
from sf2f_bench.audio.filterbank import LogFilterbank, log_filterbank_of

__all__ = ["LogFilterbank", "decode", "log_filterbank_of"]
