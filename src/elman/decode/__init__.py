"""From scores of the next token to a sequence: greedy, sampled, by beam; CTC's prefixes; the best path of a chain."""

from elman.decode.beam import beam_search
from elman.decode.choice import Choice, without_first
from elman.decode.ctc import ctc_align, ctc_beam, ctc_greedy
from elman.decode.frames import generate_frames
from elman.decode.generate import Steps, generate
from elman.decode.viterbi import best_path

__all__ = [
    "Choice",
    "Steps",
    "beam_search",
    "best_path",
    "ctc_align",
    "ctc_beam",
    "ctc_greedy",
    "generate",
    "generate_frames",
    "without_first",
]
