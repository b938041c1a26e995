"""File formats an integer model can be written as; each writer is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Final

from edgernn.errors import EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden

#: One file, or the files of a folder by name.
Contents = bytes | dict[str, bytes]
#: What a writer is: same model, same golden vector, same bytes.
Writer = Callable[[IntegerModel, Golden], Contents]

#: format -> (module, function, suffix of the file or folder).
WRITERS: Final[dict[str, tuple[str, str, str]]] = {
    "tflite": ("edgernn_export.writers.tflite.writer", "write_tflite", ".tflite"),
    "onnx": ("edgernn_export.writers.onnx.writer", "write_onnx_exact", ".onnx"),
    "c": ("edgernn_export.writers.c.source", "write_c", "_c"),
}
#: Formats that sessions open: those written where none is named, and those `verify` compares.
SESSION_FORMATS: Final = ("tflite", "onnx")


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
