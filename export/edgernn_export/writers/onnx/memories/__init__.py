"""Attention and its memory as ONNX nodes, of integers and of float32."""
