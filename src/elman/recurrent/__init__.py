"""A cell unrolled through time: layers, directions, state, lengths, streaming."""

from elman.recurrent.stack import Recurrent, State
from elman.recurrent.stream import Stream

__all__ = ["Recurrent", "State", "Stream"]
