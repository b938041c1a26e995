"""From a file or a model in memory to a session."""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path
from typing import Any, Final

from edgernn.backends import check_options, model_backend, open_backend
from edgernn.backends.base import Backend
from edgernn.errors import BackendUnavailable, EdgeRnnError
from edgernn.model import IntegerModel
from edgernn.readings import Policy
from edgernn.session import Session

#: Backends that run an `IntegerModel` without a file -> (module, class).
_MODEL_BACKENDS: Final = {
    "native": ("edgernn.backends.native", "NativeBackend"),
    "reference": ("edgernn_firmware_sim.backend", "ReferenceBackend"),
}


def load(
    source: str | Path | IntegerModel,
    backend: str = "auto",
    on_bad_reading: str = "raise",
    warm_up: str = "nothing",
    **backend_options: Any,
) -> Session:
    """Open a model for streaming.

    Args:
        source: an .edgernn, .tflite or .onnx file, or an integer model in memory.
        backend: "native", "reference", "tflite" or "onnx"; "auto" chooses by the file's suffix,
            and for .edgernn files and models in memory "native" where it is installed.
        on_bad_reading: "raise", "hold" or "skip" (see `edgernn.readings.Policy`).
        warm_up: what a window model answers before its first window is full: "nothing" (NaN), or
            "pad", as if the first reading had stood before the stream for ever.
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
        opened = open_backend(source, backend, **backend_options)
    else:
        opened = _model_backend(source, backend, backend_options)
    return Session(opened, on_bad_reading, warm_up)


def _model_backend(model: IntegerModel, name: str, options: dict[str, Any]) -> Backend:
    """The named backend for a model in memory."""
    if name == "auto":
        name = model_backend()
    if name not in _MODEL_BACKENDS:
        raise BackendUnavailable(
            f"load: expected backend {' or '.join(map(repr, _MODEL_BACKENDS))} for a model in "
            f"memory, got '{name}'. Write a file for this backend with: edgernn_export.export"
        )
    module, class_name = _MODEL_BACKENDS[name]
    make = getattr(importlib.import_module(module), class_name)
    check_options(name, list(inspect.signature(make).parameters)[1:], options)
    backend: Backend = make(model, **options)
    return backend
