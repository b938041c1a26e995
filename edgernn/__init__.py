"""edgernn: recurrent networks on small devices, one integer model, one answer.

import edgernn

with edgernn.load("model.tflite") as session:
    for reading in sensor:
        print(session.step(reading))
"""

from __future__ import annotations

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
