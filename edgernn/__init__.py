"""Recurrent neural networks on small devices: INT8, streaming, bit-exact on every back-end.

    import edgernn

    with edgernn.load("model.edgernn") as session:
        for reading in sensor:
            print(session.step(reading))

Run a model:
    load              open an .edgernn, .tflite or .onnx file; returns a Session
    Session           one stream of readings: step, run, reset, new_stream, to_bytes
    load_programs     open a file of several programs, as of an encoder and a decoder
    ProgramSession    one stream through several programs
    load_chunks       open a network that answers whole chunks, such as a bidirectional one
    ChunkSession      its answers: run and run_many
    run_many          many sequences at once, each from its beginning
    StreamPool        many streams, one for each key, advanced in batches
    AdaptiveHead      a session whose outputs are corrected by what it learns from true values

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
    ConfigError,
    DataUnavailable,
    DeclarationError,
    DecodingError,
    DepartureWarning,
    DeployError,
    DistillationError,
    EdgeRnnError,
    EdgeRnnWarning,
    EmulationError,
    FormatError,
    ImageTooLargeError,
    LayoutWarning,
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
    SinkError,
    SourceError,
    StateError,
    StoreError,
    StreamKeyError,
    StreamKindWarning,
    TableWarning,
    TargetError,
    TrainingError,
    UnsupportedModelError,
    WeightBitsWarning,
)
from edgernn.graph.lowering import register_cell
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.session.loading import load, load_chunks, load_programs
from edgernn.session.many import run_many
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

if TYPE_CHECKING:
    from edgernn.pool.stream_pool import StreamPool
    from edgernn.session.adaptive_head import AdaptiveHead
    from edgernn.session.chunk_session import ChunkSession

__version__ = "0.1.0"

__all__ = [
    "AdaptiveHead",
    "BackendMismatch",
    "BackendUnavailable",
    "CalibrationError",
    "CalibrationWarning",
    "ChunkSession",
    "ClippedReadingsWarning",
    "ConfigError",
    "DataUnavailable",
    "DeclarationError",
    "DecodingError",
    "DepartureWarning",
    "DeployError",
    "DistillationError",
    "EdgeRnnError",
    "EdgeRnnWarning",
    "EmulationError",
    "FormatError",
    "Handover",
    "ImageTooLargeError",
    "IntegerModel",
    "LayoutWarning",
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
    "SinkError",
    "SourceError",
    "StateError",
    "StoreError",
    "StreamKeyError",
    "StreamKindWarning",
    "StreamPool",
    "TableWarning",
    "TargetError",
    "TrainingError",
    "UnsupportedModelError",
    "WeightBitsWarning",
    "__version__",
    "load",
    "load_chunks",
    "load_programs",
    "register_cell",
    "run_many",
]

#: Packages that are imported when they are used.
_LAZY = ("bench",)
#: Name -> the module that has it, imported when it is used.
_LAZY_NAMES = {
    "AdaptiveHead": "edgernn.session.adaptive_head",
    "ChunkSession": "edgernn.session.chunk_session",
    "StreamPool": "edgernn.pool.stream_pool",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a package, or what has a name, on its first use."""
        if name in _LAZY:
            return import_module(f"{__name__}.{name}")
        if name in _LAZY_NAMES:
            return getattr(import_module(_LAZY_NAMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, *_LAZY])
