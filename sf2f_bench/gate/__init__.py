"""Judges new records against stored reference runs of several training seeds: has any system become worse?"""

from sf2f_bench.gate.judgement import Judgement, check
from sf2f_bench.gate.rules import Rules

__all__ = ["Judgement", "Rules", "check"]
