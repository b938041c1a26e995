"""Integer or float model to one ONNX file."""
