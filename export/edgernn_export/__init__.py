"""How a trained network becomes an integer model and its files.

    from edgernn_export import export, quantize

    model = quantize("model.keras", calibration=streams, precision="w8a8")
    model.save("model.edgernn")
    export(model, "build/", formats=("tflite", "onnx"))

Importing this package loads NumPy only; Keras and the writers' libraries are imported on use.
"""

from __future__ import annotations

from edgernn_export import former_names
from edgernn_export.evaluation.evaluator import evaluate
from edgernn_export.quantizer.programs import quantize_programs
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.writers.exporter import export

former_names.install()

__all__ = ["evaluate", "export", "quantize", "quantize_programs"]
