"""Formats an integer model can be written in, and the golden vector in their files.

Each writer is imported when it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_firmware_sim.reference.reference import Reference

#: One file, or the files of a folder by name.
FileContents = bytes | dict[str, bytes]
#: What a writer is: same model, same golden vector, same bytes.
Writer = Callable[[IntegerModel, Golden], FileContents]
#: What writes all programs of a set as one file, each with a golden vector.
ProgramsWriter = Callable[[ProgramSet, Sequence[Golden]], bytes]

#: format -> (module, function, suffix of the file or folder).
WRITERS: Final[dict[str, tuple[str, str, str]]] = {
    "tflite": ("edgernn_export.writers.tflite.writer", "write_tflite", ".tflite"),
    "onnx": ("edgernn_export.writers.onnx.writer", "write_onnx_exact", ".onnx"),
    "c": ("edgernn_export.writers.c.source", "write_c", "_c"),
}
#: format -> (module, function) where a file holds all programs of a set; others hold one each.
PROGRAMS_WRITERS: Final[dict[str, tuple[str, str]]] = {
    "tflite": ("edgernn_export.writers.tflite.writer", "write_tflite_programs"),
}
#: Formats that sessions open: those written where none is named, and those `verify` compares.
SESSION_FORMATS: Final = ("tflite", "onnx")
GOLDEN_STEPS: Final = 8
_GOLDEN_SEED: Final = 20_240_229


def open_writer(name: str) -> tuple[Writer, str]:
    """The writer of a format and the suffix of its file or folder.

    Raises:
        EdgeRnnError: no writer has this name.
    """
    if name not in WRITERS:
        raise EdgeRnnError(
            f"export: expected formats among {', '.join(WRITERS)}, got {name!r:.40}."
        )
    module, function, suffix = WRITERS[name]
    writer: Writer = getattr(importlib.import_module(module), function)
    return writer, suffix


def open_programs_writer(name: str) -> ProgramsWriter | None:
    """What writes a set in one file of a format; None if each program has a separate file."""
    if name not in PROGRAMS_WRITERS:
        return None
    module, function = PROGRAMS_WRITERS[name]
    writer: ProgramsWriter = getattr(importlib.import_module(module), function)
    return writer


def probe_codes(model: IntegerModel, steps: int, seed: int) -> OperandArray:
    """Pseudo-random codes [T, I] over the whole range of the model input, tokens of all kinds.

    Amplitudes alternate between full, a quarter and a sixteenth of the range, so that a stream
    both saturates gates and moves through their slopes.

    Args:
        model: whose precision and width count.
        steps: number of readings T.
        seed: same seed, same codes, for every NumPy version.
    """
    p = model.precision
    low, high = p.input_low // p.input_step, p.input_high // p.input_step
    # Raw words: NumPy guarantees a bit generator's stream, not a distribution's.
    words = np.random.PCG64(seed).random_raw(steps * model.input.width)
    codes = (words % np.uint64(high - low + 1)).astype(np.int64).reshape(steps, -1) + low
    reduction = np.array([0, 0, 0, 2, 2, 4])[np.arange(steps) % 6]
    codes = (codes >> reduction[:, None]) * p.input_step
    for channel, size in enumerate(model.input.vocabulary):
        if size:
            codes[:, channel] = words.reshape(steps, -1)[:, channel] % np.uint64(size)
    probe: OperandArray = codes.astype(model.code_dtype)
    return probe


def golden_vector(model: IntegerModel) -> Golden:
    """The short stream of steps stored in every exported file, with the reference's outputs."""
    readings = probe_codes(model, GOLDEN_STEPS * model.step_readings, _GOLDEN_SEED)
    q_x = readings.reshape(GOLDEN_STEPS, -1)
    q_y, _ = Reference(model).run(q_x)
    return Golden(q_x=q_x, q_y=q_y)
