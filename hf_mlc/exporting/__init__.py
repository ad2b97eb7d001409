"""Models as ONNX: a folder that onnxruntime serves, with float32 or int8 tables.

Needs the extra `onnx` (onnx and onnxscript to write, onnxruntime to run): `pip install hf_mlc[onnx]`.
"""

from hf_mlc.exporting.folder import ExportReport, export_onnx
from hf_mlc.exporting.running import OnnxModel, load_onnx


__all__ = ["ExportReport", "OnnxModel", "export_onnx", "load_onnx"]
