"""Read ONNX files: the protocol buffer, its weights, and what its nodes do.

Only the package onnx is imported, and only when a file is read.
"""

from __future__ import annotations

from edgernn_export.onnx_reader.reader import read_onnx

__all__ = ["read_onnx"]
