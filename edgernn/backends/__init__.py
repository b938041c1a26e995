"""Programs that execute a model, by name; each is imported only when it is used."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from edgernn.backends.base import Backend
from edgernn.backends.native import is_available
from edgernn.errors import BackendUnavailable, EdgeRnnError
from edgernn.model.integer_model import IntegerModel

BackendName = Literal["auto", "native", "reference", "tflite", "onnx"]


class BackendRow(NamedTuple):
    """One program that executes models.

    Attributes:
        module: imported when the backend is used.
        suffix: of the files it opens.
        opens_file: name in the module, a callable that takes (path: Path, **options).
        takes_model: name in the module, a callable that takes (model: IntegerModel, **options);
            None where the backend needs a file.
    """

    module: str
    suffix: str
    opens_file: str
    takes_model: str | None = None


BACKENDS: Final = {
    "native": BackendRow("edgernn.backends.native", ".edgernn", "open_native", "NativeBackend"),
    "reference": BackendRow(
        "edgernn_firmware_sim.reference.backend", ".edgernn", "open_reference", "ReferenceBackend"
    ),
    "tflite": BackendRow("edgernn.backends.tflite", ".tflite", "open_tflite"),
    "onnx": BackendRow("edgernn.backends.onnx", ".onnx", "open_onnx"),
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
    row = BACKENDS[backend]
    if path.suffix != row.suffix:
        command = (
            "quantize MODEL.keras --calibration STREAMS -o MODEL.edgernn"
            if row.suffix == ".edgernn"
            else f"export MODEL.edgernn --to {backend}"
        )
        raise BackendUnavailable(
            f"backend '{backend}': expected a {row.suffix} file, got '{path.name}'. "
            f"Write one with: edgernn {command}"
        )
    if not _is_file(path):
        raise EdgeRnnError(f"load: expected an existing file, got '{path!s:.200}'.")
    try:
        return _made(backend, row.opens_file, path, options)
    except OSError as error:
        raise EdgeRnnError(
            f"load: expected a readable file, got '{path}' ({error.strerror})."
        ) from error


def open_model(model: IntegerModel, backend: str = "auto", /, **options: object) -> Backend:
    """The named backend for a model in memory.

    Args:
        model: what to execute.
        backend: a key of `BACKENDS` that takes models; "auto" is "native" where it is installed,
            else "reference".
        options: passed to the backend (see the backend's module).

    Raises:
        BackendUnavailable: unknown backend, or one that needs a file or is not installed.
        EdgeRnnError: no such option.
    """
    if backend == "auto":
        backend = model_backend()
    makers = {name: row.takes_model for name, row in BACKENDS.items() if row.takes_model}
    if backend not in [*makers]:
        raise BackendUnavailable(
            f"load: expected backend {' or '.join(map(repr, makers))} for a model in "
            f"memory, got '{backend!s:.40}'. Write a file for this backend with: "
            "edgernn_export.export"
        )
    return _made(backend, makers[backend], model, options)


def _made(
    backend: str, maker: str, source: Path | IntegerModel, options: dict[str, Any]
) -> Backend:
    """The result of the row's callable of this name for a file or a model."""
    make = getattr(importlib.import_module(BACKENDS[backend].module), maker)
    _check_options(backend, list(inspect.signature(make).parameters)[1:], options)
    made: Backend = make(source, **options)
    return made


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than file systems take
        return False


def _backend_for(path: Path) -> str:
    """The backend that opens files of this suffix, the fastest of those that are installed."""
    by_suffix = {row.suffix: name for name, row in BACKENDS.items()}
    if path.suffix not in by_suffix:
        raise BackendUnavailable(
            f"load: expected a file ending in {', '.join(sorted(by_suffix))}, got '{path.name}'."
        )
    return model_backend() if path.suffix == ".edgernn" else by_suffix[path.suffix]


def model_backend() -> str:
    """The fastest installed backend that runs an integer model."""
    return "native" if is_available() else "reference"


def _check_options(backend: str, known: Collection[str], options: Collection[str]) -> None:
    """Refuse options the backend does not have."""
    unknown = [name for name in options if name not in known]
    if unknown:
        raise EdgeRnnError(
            f"backend '{backend}': expected options among {', '.join(known) or '(none)'}, "
            f"got {', '.join(unknown)}."
        )
