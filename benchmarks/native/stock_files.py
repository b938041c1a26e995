"""Files for the TFLite runtimes: our integer step, and Keras steps by TFLite's own converter.

Made in a separate process: TensorFlow cannot share one with a TFLite runtime.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.native.contenders import (
    LONGEST_STREAM,
    NETWORKS,
    integer_model,
    network_stream,
    same_float_model,
)
from edgernn.model.formats import Precision
from edgernn_export.bench.step_network import convert, keras_step

#: What the converter makes: its float file, and its file with int8 weights, inputs and states.
STOCK_FORMS = ("float", "int8, converter")


def tflite_path(folder: Path, network: str, form: str) -> Path:
    """The file of one network in one form."""
    return folder / f"{network.replace('/', '_')}.{form.split(',')[0]}.tflite"


def write_files(folder: str) -> None:
    """Write every network in every form."""
    from edgernn_export.writers.tflite.writer import write_tflite

    made = Path(folder)
    for network in NETWORKS:
        content = write_tflite(integer_model(network, Precision.W8A8))
        tflite_path(made, network, "w8a8").write_bytes(content)
        step = keras_step(same_float_model(network))
        for form in STOCK_FORMS:
            xs = None if form == "float" else network_stream(network, LONGEST_STREAM)
            tflite_path(made, network, form).write_bytes(convert(step, xs))
