"""From a file or a model in memory to a session."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Final

from edgernn.backends import check_options, open_backend
from edgernn.errors import BackendUnavailable, EdgeRnnError
from edgernn.model import IntegerModel
from edgernn.readings import Policy
from edgernn.session import Session

#: (module, class) of the backend that runs an `IntegerModel` without a file.
_MODEL_BACKEND: Final = ("edgernn_firmware_sim.backend", "ReferenceBackend")


def load(
    source: str | Path | IntegerModel,
    backend: str = "auto",
    on_bad_reading: str = "raise",
    **backend_options: Any,
) -> Session:
    """Open a model for streaming.

    Args:
        source: an .edgernn, .tflite or .onnx file, or an integer model in memory.
        backend: "reference", "tflite" or "onnx"; "auto" chooses by the file's suffix.
        on_bad_reading: "raise", "hold" or "skip" (see `edgernn.readings.Policy`).
        backend_options: passed to the backend, see its module.

    Raises:
        EdgeRnnError: no such file, policy or option.
        FormatError: the file breaks its format.
        BackendUnavailable: the runtime is not installed, or cannot run this kind of file.
        BackendMismatch: the runtime does not reproduce the file's golden vector.
    """
    Policy.named(on_bad_reading)
    if not isinstance(source, IntegerModel):
        if not isinstance(source, (str, os.PathLike)):
            raise EdgeRnnError(
                f"load: expected a path or an IntegerModel, got {type(source).__name__}."
            )
        return Session(open_backend(source, backend, **backend_options), on_bad_reading)
    if backend not in ("auto", "reference"):
        raise BackendUnavailable(
            f"load: expected backend 'reference' for a model in memory, got '{backend}'. "
            "Write a file for this backend with: edgernn_export.export"
        )
    module, name = _MODEL_BACKEND
    check_options("reference", (), backend_options)
    return Session(getattr(importlib.import_module(module), name)(source), on_bad_reading)
