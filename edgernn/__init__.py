"""Recurrent neural networks on small devices: INT8, streaming, bit-exact on every back-end.

    import edgernn

    with edgernn.load("model.edgernn") as session:
        for reading in sensor:
            print(session.step(reading))

Run a model:
    load              open an .edgernn, .tflite or .onnx file; returns a Session
    Session           one stream of readings: step, run, reset, new_stream, state
    load_programs     open a file of several programs, as of an encoder and a decoder
    ProgramSession    one stream through several programs

Look at a model:
    IntegerModel      a quantized network: layers, channels, sizes; load, save, sha256
    ProgramSet        several networks that share states, linked by Handover records

Measure and extend:
    edgernn.bench     benchmark: time, memory and size on every installed back-end
    register_cell     add your own recurrent cell

Errors and warnings:
    EdgeRnnError      base class of all errors; EdgeRnnWarning of all warnings. edgernn.errors
                      lists them.

Training, conversion, export and evaluation are in the package edgernn_export, which is for
workstations. On the command line, run: edgernn --help
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgernn.errors import (
    BackendMismatch,
    BackendUnavailable,
    CalibrationError,
    CalibrationWarning,
    ClippedReadingsWarning,
    DataUnavailable,
    DepartureWarning,
    DistillationError,
    EdgeRnnError,
    EdgeRnnWarning,
    EmulationError,
    FormatError,
    ImageTooLargeError,
    LongMemoryWarning,
    ModelError,
    NoReadings,
    OverflowRefused,
    PruningError,
    QuantizationError,
    RangeRefused,
    ReadingError,
    SaturationWarning,
    SearchError,
    ShapeError,
    StateError,
    StreamKindWarning,
    TableWarning,
    TargetError,
    TrainingError,
    UnsupportedModelError,
    WeightBitsWarning,
)
from edgernn.graph.lowering import register_cell
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_set import Handover, ProgramSet
from edgernn.session.loading import load, load_programs
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

__version__ = "0.1.0"

__all__ = [
    "BackendMismatch",
    "BackendUnavailable",
    "CalibrationError",
    "CalibrationWarning",
    "ClippedReadingsWarning",
    "DataUnavailable",
    "DepartureWarning",
    "DistillationError",
    "EdgeRnnError",
    "EdgeRnnWarning",
    "EmulationError",
    "FormatError",
    "Handover",
    "ImageTooLargeError",
    "IntegerModel",
    "LongMemoryWarning",
    "ModelError",
    "NoReadings",
    "OverflowRefused",
    "ProgramSession",
    "ProgramSet",
    "PruningError",
    "QuantizationError",
    "RangeRefused",
    "ReadingError",
    "SaturationWarning",
    "SearchError",
    "Session",
    "ShapeError",
    "StateError",
    "StreamKindWarning",
    "TableWarning",
    "TargetError",
    "TrainingError",
    "UnsupportedModelError",
    "WeightBitsWarning",
    "__version__",
    "load",
    "load_programs",
    "register_cell",
]

#: Packages that are imported when they are used.
_LAZY = ("bench",)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a package on its first use."""
        if name in _LAZY:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, *_LAZY])
