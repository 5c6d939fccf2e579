"""Models for where there is no Python: one C99 file, ONNX."""

from elman.export.c import Exported, to_c

__all__ = ["Exported", "to_c"]
