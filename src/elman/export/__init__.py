"""Models for where there is no Python: one C99 file, WebAssembly, ONNX."""

from elman.export.c import Exported, to_c
from elman.export.onnx import ExportedOnnx, OnnxStream, to_onnx
from elman.export.wasm import ExportedWasm, to_wasm

__all__ = ["Exported", "ExportedOnnx", "ExportedWasm", "OnnxStream", "to_c", "to_onnx", "to_wasm"]
