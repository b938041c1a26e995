"""Open what the user gives: a live model, a .keras or .h5 file, or a directory."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgernn.errors import BackendUnavailable, UnsupportedModelError
from edgernn_export.keras_reader import keras2
from edgernn_export.keras_reader.parts import Context

_H5 = (".h5", ".hdf5")
#: What Keras, h5py and TensorFlow raise on files they cannot make sense of.
_LOAD_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    OSError,
    AttributeError,
    ImportError,
    IndexError,
    NotImplementedError,
    RuntimeError,
)


def open_source(source: Any, context: Context) -> tuple[Any, Context]:
    """Return a live Keras 3 model, and the context told which Keras wrote it.

    Args:
        source: a live keras.Model, or the path of a .keras file, a whole-model .h5 file, a
            directory with the contents of a .keras file, or a Keras 2 SavedModel directory.
        context: receives reasons.

    Returns:
        The model and the context, with ``keras2`` set for files Keras 2 wrote.

    Raises:
        BackendUnavailable: Keras is not installed.
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: no layers can be read from it.
    """
    try:
        import keras
    except ImportError as error:
        raise BackendUnavailable(
            "keras: expected an installed package, got none. Run: pip install 'edgernn[export]'"
        ) from error
    if isinstance(source, keras.Model):
        return source, context
    if not isinstance(source, (str, Path)):
        raise UnsupportedModelError([_not_a_model(source)])
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a Keras model, got nothing at this path")
    return _open_path(path, context)


def _not_a_model(source: Any) -> str:
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    cure = "Pass a keras.Model or a path."
    if type(source).__module__.startswith(("tf_keras", "tensorflow.python.keras")):
        cure = "This is a Keras 2 model: save it with model.save('model.h5') and pass the path."
    return f"source: expected a Keras 3 model or a path, got {kind}. {cure}"


def _open_path(path: Path, context: Context) -> tuple[Any, Context]:
    old = replace(context, keras2=True)
    if path.is_dir():
        if (path / "keras_metadata.pb").exists():
            return _load(path, lambda: keras2.load_saved_model(path, old)), old
        if (path / "saved_model.pb").exists():
            raise UnsupportedModelError(
                [
                    f"{path.name}: expected a SavedModel with Keras layers, got one with a graph "
                    "alone (written by model.export or tf.saved_model.save). Save the model "
                    "with model.save('model.keras') and pass that file."
                ]
            )
    elif path.suffix in _H5 and _load(path, lambda: keras2.is_keras2_h5(path)):
        return _load(path, lambda: keras2.load_h5(path, old)), old
    elif path.suffix == ".keras" and _load(path, lambda: _keras_version(path)) in {"1", "2"}:
        raise UnsupportedModelError(
            [
                f"{path.name}: expected a .keras file written by Keras 3, got one by Keras 2. "
                "Load it with Keras 2, save it with model.save('model.h5') and pass that file."
            ]
        )
    return _load(path, lambda: _load_keras3(path)), context


def _keras_version(path: Path) -> str:
    """Major version in the metadata of a .keras file."""
    with zipfile.ZipFile(path) as archive:
        version = json.loads(archive.read("metadata.json"))["keras_version"]
    return str(version).split(".")[0]


def _load_keras3(path: Path) -> Any:
    import keras

    return keras.saving.load_model(str(path), compile=False)


def _load(path: Path, load: Callable[[], Any]) -> Any:
    """Run a loader; what it cannot make sense of becomes one reason."""
    try:
        return load()
    except (*_LOAD_ERRORS, zipfile.BadZipFile) as error:
        import keras

        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UnsupportedModelError(
            [
                f"{path.name}: expected a model Keras {keras.__version__} can load, got "
                f"{type(error).__name__}: {(lines or ['no details'])[0]:.300}. Pass a .keras or "
                "whole-model .h5 file, or load the model yourself and pass it live."
            ]
        ) from error
