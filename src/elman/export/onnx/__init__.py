"""A model as an ONNX file, of one step or of whole sequences; onnx and onnxruntime load when it is used."""

from elman.export.onnx.file import ExportedOnnx, to_onnx
from elman.export.onnx.stream import OnnxStream

__all__ = ["ExportedOnnx", "OnnxStream", "to_onnx"]
