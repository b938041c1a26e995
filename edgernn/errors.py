"""Everything edgernn raises or warns of on purpose.

EdgeRnnError
├── FormatError              an .edgernn, .tflite or .onnx file breaks its format
├── ModelError               an integer model contradicts itself
├── UnsupportedModelError    a Keras model uses something edgernn does not execute
├── QuantizationError        a float model cannot become an integer model as asked
│   ├── CalibrationError     the calibration streams are unusable
│   ├── OverflowRefused      an accumulator could overflow; carries the input that does it
│   └── RangeRefused         values seen in calibration do not fit the formats they must have
├── PruningError             a float model cannot be pruned as asked
├── DistillationError        a student cannot learn from a teacher as asked
├── DataUnavailable          a data set is not where it should be, or is damaged
├── TrainingError            a network cannot be trained or scored as asked
├── SearchError              a search cannot begin or go on as asked
├── TargetError              a target profile is wrong, or there is none of that name
├── EmulationError           firmware could not be built, or did not run to its end
│   └── ImageTooLargeError   firmware does not fit a core's flash or RAM
├── ShapeError               an array has the wrong shape or dtype (also a ValueError)
├── ReadingError             a reading is not finite, or an integer code is out of range
├── NoReadings               no line of a table is a reading
├── StateError               a state does not belong to this model
├── BackendUnavailable       a runtime is not installed, or cannot run this file
└── BackendMismatch          a runtime does not reproduce the file's golden vector

EdgeRnnWarning (a UserWarning)
├── StreamKindWarning        a network streams otherwise than its author may have run it
├── ClippedReadingsWarning   a reading lies outside the calibrated range
├── CalibrationWarning       calibration is too short, or a channel never changes
├── TableWarning             a table was read in a way that its text does not settle
├── SaturationWarning        calibration itself saturates a tensor, or leaves a given input range
├── DepartureWarning         the integer model answers calibration differently from the network
├── LongMemoryWarning        units remember for longer than their 16-bit state can
└── WeightBitsWarning        weights of 4 bits by default keep 8

Messages follow one grammar: "<owner>: expected <wanted>, got <value> (<where>). <cure>."
"""

from __future__ import annotations

from collections.abc import Sequence

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
    "ImageTooLargeError",
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
    "StateError",
    "StreamKindWarning",
    "TableWarning",
    "TargetError",
    "TrainingError",
    "UnsupportedModelError",
    "WeightBitsWarning",
]


class EdgeRnnError(Exception):
    """Base class of every error edgernn raises on purpose."""


class FormatError(EdgeRnnError):
    """A file breaks its format; see FORMAT.md.

    Attributes:
        defect: name of the broken rule (a `FormatDefect` value) for .edgernn files, else "".
    """

    def __init__(self, message: str = "", *, defect: str = "") -> None:
        """Keep the name of the broken rule beside the message."""
        super().__init__(message)
        self.defect = defect


class ModelError(EdgeRnnError):
    """An integer model contradicts itself (shapes, formats, bounds)."""


class UnsupportedModelError(EdgeRnnError):
    """A float model uses something edgernn does not execute.

    Attributes:
        reasons: every reason found, one sentence each, in layer order.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        """Collect all reasons into one message."""
        self.reasons = tuple(reasons)
        count = len(self.reasons)
        head = f"model: {count} reason{'s' if count != 1 else ''} why it cannot be read"
        super().__init__("\n  - ".join([f"{head}:", *self.reasons]))


class QuantizationError(EdgeRnnError):
    """A float model cannot become an integer model as asked."""


class CalibrationError(QuantizationError):
    """The calibration streams are unusable (empty, not finite, wrong width)."""


class OverflowRefused(QuantizationError):
    """An accumulator could overflow; the message names the row and the input that does it."""


class RangeRefused(QuantizationError):
    """Values seen in calibration do not fit the integer formats they must have.

    Attributes:
        reasons: every layer it is true of, one sentence each, in layer order.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        """Collect all reasons into one message."""
        self.reasons = tuple(reasons)
        super().__init__("\n".join(self.reasons))


class PruningError(EdgeRnnError):
    """A float model cannot be pruned as asked, or a pruning state does not belong to it."""


class DistillationError(EdgeRnnError):
    """A student cannot learn from a teacher as asked."""


class DataUnavailable(EdgeRnnError):
    """A data set is not where it should be, or is not what it should be."""


class TrainingError(EdgeRnnError):
    """A network cannot be trained or scored as asked: the recipe or a setting is refused."""


class SearchError(EdgeRnnError):
    """A search of configurations cannot begin or go on as asked."""


class TargetError(EdgeRnnError):
    """A target profile is wrong, or there is none of that name."""


class EmulationError(EdgeRnnError):
    """Firmware could not be built, or did not run to its end."""


class ImageTooLargeError(EmulationError):
    """The emulated machine has too little memory for an image."""


class ShapeError(EdgeRnnError, ValueError):
    """An array has the wrong shape or dtype."""


class ReadingError(EdgeRnnError, ValueError):
    """A reading is not finite, or an integer code is outside its format."""


class NoReadings(EdgeRnnError):
    """Every line is bad: a policy for noise does not cover a table that is read wrongly."""


class StateError(EdgeRnnError, ValueError):
    """A state does not belong to this model."""


class BackendUnavailable(EdgeRnnError):
    """A runtime is not installed, or cannot run this kind of file."""


class BackendMismatch(EdgeRnnError):
    """A runtime does not reproduce the golden vector stored in the file."""


class EdgeRnnWarning(UserWarning):
    """Base class of every warning edgernn gives: the answer may not be what the user thinks."""


class StreamKindWarning(EdgeRnnWarning):
    """A network is streamed otherwise than its author may have run it.

    It is streamed endlessly and may have been made for windows; or its author handed it its states,
    which a session keeps.
    """


class ClippedReadingsWarning(EdgeRnnWarning):
    """A reading lies outside the range that the model was calibrated for, and was clipped.

    A session gives it once, for the first such reading, and counts them all in
    `Session.clipped_readings`. Where a filter of the module `warnings` makes it an error, that
    reading is refused and the stream stays as it was.
    """


class CalibrationWarning(EdgeRnnWarning):
    """The calibration streams can be used, but they tell too little about the readings to come."""


class TableWarning(EdgeRnnWarning):
    """A table was read in a way that its text does not settle."""


class SaturationWarning(EdgeRnnWarning):
    """Calibration saturates a tensor of the integer model, or leaves a given input range."""


class DepartureWarning(EdgeRnnWarning):
    """An output of the integer model strays from the float network's on its own calibration."""


class LongMemoryWarning(EdgeRnnWarning):
    """Units remember for longer than their 16-bit state can."""


class WeightBitsWarning(EdgeRnnWarning):
    """Weights that get 4 bits by default keep 8."""
