"""The embedded data set `synthetic/1`: a small world whose law of voice and face is known."""

from sf2f_bench.data.synthetic.dataset import SyntheticWorld, stream_photos

__all__ = ["SyntheticWorld", "stream_photos"]
