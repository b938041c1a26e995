"""Programs that execute a model, by name; each is imported only when it is asked for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal

from edgernn.backends.base import Backend
from edgernn.backends.native import is_available
from edgernn.errors import BackendUnavailable, EdgeRnnError

BackendName = Literal["auto", "native", "reference", "tflite", "onnx"]
#: name -> (module, factory, file suffix it opens). A factory takes (path: Path, **options).
BACKENDS: Final[dict[str, tuple[str, str, str]]] = {
    "native": ("edgernn.backends.native", "open_native", ".edgernn"),
    "reference": ("edgernn_firmware_sim.reference.backend", "open_reference", ".edgernn"),
    "tflite": ("edgernn.backends.tflite", "open_tflite", ".tflite"),
    "onnx": ("edgernn.backends.onnx", "open_onnx", ".onnx"),
}


def open_backend(path: str | Path, backend: str = "auto", /, **options: object) -> Backend:
    """Open a model file with the named backend.

    Args:
        path: .edgernn, .tflite or .onnx file.
        backend: a key of `BACKENDS`, or "auto" to choose by the file's suffix; for .edgernn files
            that is "native" where it is installed, else "reference".
        options: passed to the backend (see the backend's module).

    Raises:
        BackendUnavailable: unknown backend, wrong kind of file, or a runtime that is not installed.
        EdgeRnnError: no such file or option.
    """
    path = Path(path)
    if backend == "auto":
        backend = _backend_for(path)
    if backend not in [*BACKENDS]:
        raise BackendUnavailable(
            f"load: expected backend 'auto' or one of {', '.join(BACKENDS)}, got '{backend!s:.40}'."
        )
    module, factory, suffix = BACKENDS[backend]
    if path.suffix != suffix:
        command = (
            "quantize MODEL.keras --calibration STREAMS -o MODEL.edgernn"
            if suffix == ".edgernn"
            else f"export MODEL.edgernn --to {backend}"
        )
        raise BackendUnavailable(
            f"backend '{backend}': expected a {suffix} file, got '{path.name}'. "
            f"Write one with: edgernn {command}"
        )
    if not _is_file(path):
        raise EdgeRnnError(f"load: expected an existing file, got '{path!s:.200}'.")
    make = getattr(importlib.import_module(module), factory)
    check_options(backend, list(inspect.signature(make).parameters)[1:], options)
    try:
        opened: Backend = make(path, **options)
    except OSError as error:
        raise EdgeRnnError(
            f"load: expected a readable file, got '{path}' ({error.strerror})."
        ) from error
    return opened


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than file systems take
        return False


def _backend_for(path: Path) -> str:
    """The backend that opens files of this suffix, the fastest of those that are installed."""
    by_suffix = {suffix: name for name, (_, _, suffix) in BACKENDS.items()}
    if path.suffix not in by_suffix:
        raise BackendUnavailable(
            f"load: expected a file ending in {', '.join(sorted(by_suffix))}, got '{path.name}'."
        )
    return model_backend() if path.suffix == ".edgernn" else by_suffix[path.suffix]


def model_backend() -> str:
    """The fastest installed backend that runs an integer model."""
    return "native" if is_available() else "reference"


def check_options(backend: str, known: Collection[str], options: Collection[str]) -> None:
    """Refuse options the backend does not have.

    Raises:
        EdgeRnnError: an option is unknown.
    """
    unknown = [name for name in options if name not in known]
    if unknown:
        raise EdgeRnnError(
            f"backend '{backend}': expected options among {', '.join(known) or '(none)'}, "
            f"got {', '.join(unknown)}."
        )
