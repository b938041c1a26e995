"""Read ONNX files: the protocol buffer, its weights, and what its nodes do.

Only the package onnx is imported, and only when a file is read.
"""
