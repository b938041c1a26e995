"""Errors and warnings that edgernn raises.

EdgeRnnError
├── FormatError              an .edgernn, .tflite or .onnx file breaks its format
├── ModelError               an integer model contradicts itself
├── UnsupportedModelError    a Keras model uses a feature that edgernn does not support
├── QuantizationError        a float model cannot be quantized with these settings
│   ├── CalibrationError     the calibration streams are unusable
│   ├── OverflowRefused      an accumulator could overflow; the message gives an input
│   └── RangeRefused         calibration values do not fit their integer formats
├── PruningError             a float model cannot be pruned with these settings
├── DistillationError        a student cannot be trained from this teacher with these settings
├── DataUnavailable          a data set is missing or damaged
├── TrainingError            a network cannot be trained or scored with these settings
├── SearchError              a search cannot start or continue with these settings
├── TargetError              a target profile is invalid or does not exist
├── EmulationError           firmware could not be built or did not finish
│   └── ImageTooLargeError   firmware does not fit a core's flash or RAM
├── ShapeError               an array has the wrong shape or dtype (also a ValueError)
├── DeclarationError         a preparation or decisions cannot be built from these settings
├── DecodingError            a model or a setting does not fit a decoding
├── ReadingError             a reading is not finite, or an integer code is out of range
├── ConfigError              the file that configures a service has errors; all are listed
├── NoReadings               no line of a table is a valid reading
├── StateError               a state does not belong to this model
├── StreamKeyError           a key has no stream, or cannot have one (also a ValueError)
├── StoreError               a store of states is damaged, or belongs to another model
├── DeployError              a bundle cannot be made, installed or updated
├── SourceError              a source of readings cannot be opened
├── SinkError                a sink cannot take results now
├── BackendUnavailable       a runtime is not installed, or cannot run this file
└── BackendMismatch          a runtime does not reproduce the file's golden vector

EdgeRnnWarning (a UserWarning)
├── StreamKindWarning        a network may have been trained for another kind of stream
├── ClippedReadingsWarning   a reading is outside the calibrated range
├── CalibrationWarning       calibration is too short, or a channel never changes
├── TableWarning             the format of a table is ambiguous
├── SaturationWarning        calibration saturates a tensor or leaves the given input range
├── DepartureWarning         integer and float outputs differ, or may differ
├── LayoutWarning            what tensors are was told by their names alone
├── LongMemoryWarning        units remember longer than a 16-bit state allows
└── WeightBitsWarning        layers keep 8-bit weights although 4 bits is the default

Messages have one form: "<owner>: expected <wanted>, got <value> (<where>). <fix>."
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BackendMismatch",
    "BackendUnavailable",
    "CalibrationError",
    "CalibrationWarning",
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
    "ImageTooLargeError",
    "LayoutWarning",
    "LongMemoryWarning",
    "ModelError",
    "NoReadings",
    "OverflowRefused",
    "PruningError",
    "QuantizationError",
    "RangeRefused",
    "ReadingError",
    "SaturationWarning",
    "SearchError",
    "ShapeError",
    "SinkError",
    "SourceError",
    "StateError",
    "StoreError",
    "StreamKeyError",
    "StreamKindWarning",
    "TableWarning",
    "TargetError",
    "TrainingError",
    "UnsupportedModelError",
    "WeightBitsWarning",
]


class EdgeRnnError(Exception):
    """Base class of all errors that edgernn raises."""


class FormatError(EdgeRnnError):
    """A file breaks its format; see FORMAT.md.

    Attributes:
        defect: name of the broken rule (a `FormatDefect` value) for .edgernn files, else "".
    """

    def __init__(self, message: str = "", *, defect: str = "") -> None:
        """Store the message and the name of the broken rule."""
        super().__init__(message)
        self.defect = defect


class ModelError(EdgeRnnError):
    """An integer model contradicts itself (shapes, formats, bounds)."""


class UnsupportedModelError(EdgeRnnError):
    """A float model uses a feature that edgernn does not support.

    Attributes:
        reasons: every reason found, one sentence each, in layer order.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        """Collect the reasons into one message: the only one, or a list of all."""
        self.reasons = tuple(reasons)
        if len(self.reasons) == 1:
            super().__init__(self.reasons[0])
            return
        head = f"model: expected a network that edgernn supports, got {len(self.reasons)} problems:"
        super().__init__("\n  - ".join([head, *self.reasons]))


class QuantizationError(EdgeRnnError):
    """A float model cannot be quantized with these settings."""


class CalibrationError(QuantizationError):
    """The calibration streams are unusable (empty, not finite, wrong width)."""


class OverflowRefused(QuantizationError):
    """An accumulator could overflow; the message names the row and an input that causes it."""


class RangeRefused(QuantizationError):
    """Values seen in calibration do not fit the integer formats that they require.

    Attributes:
        reasons: one sentence for each affected layer, in layer order.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        """Collect all reasons into one message."""
        self.reasons = tuple(reasons)
        super().__init__("\n".join(self.reasons))


class PruningError(EdgeRnnError):
    """A float model cannot be pruned, or a pruning state belongs to another model."""


class DistillationError(EdgeRnnError):
    """A student cannot be trained from this teacher with these settings."""


class DataUnavailable(EdgeRnnError):
    """A data set is missing, damaged or not the expected version."""


class TrainingError(EdgeRnnError):
    """A network cannot be trained or scored: the recipe or a setting is invalid."""


class SearchError(EdgeRnnError):
    """A search cannot start or continue with these settings."""


class TargetError(EdgeRnnError):
    """A target profile is invalid or does not exist."""


class EmulationError(EdgeRnnError):
    """Firmware could not be built or did not finish."""


class ImageTooLargeError(EmulationError):
    """The emulated machine has too little memory for an image."""


class ShapeError(EdgeRnnError, ValueError):
    """An array has the wrong shape or dtype."""


class DeclarationError(EdgeRnnError, ValueError):
    """A preparation or decisions cannot be built from these settings.

    Attributes:
        reasons: every reason found, one sentence each.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        """Collect the reasons into one message: the only one, or a list of all."""
        self.reasons = tuple(reasons)
        if len(self.reasons) == 1:
            super().__init__(self.reasons[0])
            return
        head = f"settings: expected valid ones, got {len(self.reasons)} problems:"
        super().__init__("\n  - ".join([head, *self.reasons]))


class DecodingError(EdgeRnnError, ValueError):
    """Tokens cannot be generated: a model without scores of tokens, or a setting out of range."""


class ReadingError(EdgeRnnError, ValueError):
    """A reading is not finite, or an integer code is outside its format."""


class NoReadings(EdgeRnnError):
    """No line of a table is valid, so it is probably read with the wrong settings."""


class ConfigError(EdgeRnnError):
    """The file that configures a service has errors.

    Attributes:
        reasons: every error found, one sentence each.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        """Collect the errors into one message: the only one, or a list of all."""
        self.reasons = tuple(reasons)
        if len(self.reasons) == 1:
            super().__init__(self.reasons[0])
            return
        super().__init__("\n  - ".join([f"{len(self.reasons)} errors:", *self.reasons]))


class StateError(EdgeRnnError, ValueError):
    """A state does not belong to this model."""


class StreamKeyError(EdgeRnnError, ValueError):
    """A key has no stream in a pool, or cannot have one."""


class StoreError(EdgeRnnError):
    """A store of states is damaged, cannot be written, or belongs to another model."""


class DeployError(EdgeRnnError):
    """A bundle, an installation or an update of a model cannot be made; the message says why."""


class SourceError(EdgeRnnError):
    """A source of readings cannot be opened: its settings, a file or a library is missing."""


class SinkError(EdgeRnnError):
    """A sink cannot take results now; the same results may be written again later."""


class BackendUnavailable(EdgeRnnError):
    """A runtime is not installed, or cannot run this kind of file."""


class BackendMismatch(EdgeRnnError):
    """A runtime does not reproduce the golden vector stored in the file."""


class EdgeRnnWarning(UserWarning):
    """Base class of all edgernn warnings: the outputs may differ from what the user expects."""


class StreamKindWarning(EdgeRnnWarning):
    """A network may have been trained for another kind of stream than the session runs.

    For example, it runs as an endless stream but may have been trained on windows; or the caller
    passed its states in, which a session keeps itself.
    """


class ClippedReadingsWarning(EdgeRnnWarning):
    """A reading is outside the calibrated range of the model and was clipped.

    A session warns once, for the first such reading, and counts all of them in
    `Session.clipped_readings`. If a filter of the module `warnings` turns the warning into an
    error, the session rejects that reading and the stream does not change.
    """


class CalibrationWarning(EdgeRnnWarning):
    """Calibration streams are usable but too short or too uniform."""


class TableWarning(EdgeRnnWarning):
    """The format of a table is ambiguous; the message says how it was read."""


class SaturationWarning(EdgeRnnWarning):
    """Calibration saturates a tensor of the integer model or leaves the given input range."""


class DepartureWarning(EdgeRnnWarning):
    """An output of the integer model differs, or may differ, from the float network's.

    It differs on the calibration data; or the file of the network limits a value that edgernn does
    not limit.
    """


class LayoutWarning(EdgeRnnWarning):
    """What the tensors of a file are was told by their names and shapes alone."""


class LongMemoryWarning(EdgeRnnWarning):
    """Units remember longer than a 16-bit state allows."""


class WeightBitsWarning(EdgeRnnWarning):
    """Layers keep 8-bit weights although 4 bits is the default."""
