"""Models for where there is no Python: one C99 file, ONNX."""

from elman.export.c import Exported, to_c
from elman.export.onnx import ExportedOnnx, OnnxStream, to_onnx

__all__ = ["Exported", "ExportedOnnx", "OnnxStream", "to_c", "to_onnx"]
