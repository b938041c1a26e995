"""Open what the user gives: a live model, a file or a directory.

`open_model` gives what is to be read, and imports Keras for live models and SavedModels alone;
`open_source` gives a live Keras model, for those who change it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from edgernn.cli.style import is_watched, say
from edgernn.errors import BackendUnavailable, EdgeRnnError, UnsupportedModelError
from edgernn.install import hint
from edgernn_export.keras_reader.findings import Context, Findings
from edgernn_export.keras_reader.layers.readers import SUPPORTED, refuse_class
from edgernn_export.keras_reader.stored import keras2
from edgernn_export.keras_reader.stored.file import StoredFile, opened_file
from edgernn_export.keras_reader.stored.kind import FileKind, kind_of, refuse
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.keras_reader.stored.weights import fill

#: What values of another type than Keras writes lead to.
_DAMAGED = (KeyError, TypeError, ValueError, AttributeError, LookupError, RecursionError)


def open_model(
    source: Any, context: Context, weights: str | PathLike[str] | None = None
) -> tuple[Any, Context]:
    """Return what is to be read, and the context told which Keras wrote it.

    Args:
        source: a live keras.Model, or the path of a .keras file, a whole-model HDF5 file, an
            architecture in JSON, a directory with the contents of a .keras file, or a Keras 2
            SavedModel directory. The content tells which, not the name. Readers of other formats
            give a StoredModel with its weights.
        context: receives reasons.
        weights: path of an HDF5 file with the weights, for files that hold none or others.

    Returns:
        A live model, or a StoredModel with its weights; and the context, with ``keras2`` set for
        files Keras 2 wrote.

    Raises:
        BackendUnavailable: Keras, or h5py, is not installed.
        FileNotFoundError: there is nothing at a path.
        UnsupportedModelError: no layers can be read from it.
    """
    if isinstance(source, StoredModel):
        context.findings.wording = source.wording
        return source, context
    path = _path(source)
    if path is None:
        if weights is not None:
            refuse(
                "weights", "no weights with a live model", f"{weights}", "Load them into the model."
            )
        return _live(source), context
    if kind_of(path) is FileKind.SAVED_MODEL:
        _require_keras()
        old = replace(context, keras2=True)
        return _guarded(path, lambda: keras2.load_saved_model(path, old)), old
    try:
        import h5py  # noqa: F401  # said here, in one sentence
    except ImportError as error:
        raise BackendUnavailable(
            f"h5py: expected an installed package, got none. Run: {hint('export')}"
        ) from error
    with opened_file(path, None if weights is None else Path(weights)) as file:
        return _stored(file, context.findings), replace(context, keras2=file.keras2)


def open_source(source: Any) -> Any:
    """Return a live Keras 3 model, for those who train or change it.

    Args:
        source: a live keras.Model, or a path as `open_model` takes it, an architecture excepted.

    Raises:
        BackendUnavailable: Keras is not installed.
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: it holds no model that Keras can load, or one of Keras 2 that Keras 3
            would compute otherwise.
    """
    _require_keras()
    path = _path(source)
    if path is None:
        return _live(source)
    kind = kind_of(path)
    old = Context(findings=Findings(), keras2=True)
    if kind is FileKind.SAVED_MODEL:
        return _of_today(path, _guarded(path, lambda: keras2.load_saved_model(path, old)))
    if kind is FileKind.JSON:
        cure = "Load the architecture and weights in Python and save the model as one .keras file."
        refuse(path.name, "a whole model", "only an architecture", cure)
    with opened_file(path) as file:
        written_by_2 = file.keras2
    hdf5 = kind is FileKind.HDF5
    model = _guarded(path, lambda: _load(path, hdf5, old if written_by_2 else None))
    return _of_today(path, model) if written_by_2 else model


def _of_today(path: Path, model: Any) -> Any:
    """A model of Keras 2 that Keras 3 computes alike."""
    if '"hard_sigmoid"' in model.to_json():
        cure = "Rebuild it in Keras 3 and copy the weights."
        got = "one by Keras 2, whose hard_sigmoid differs"
        refuse(path.name, "a model written by Keras 3", got, cure)
    return model


def _path(source: Any) -> Path | None:
    return Path(source) if isinstance(source, (str, PathLike)) else None


def _require_keras() -> Any:
    if "keras" not in sys.modules and is_watched():
        say("Loading Keras and TensorFlow ...")
    try:
        import keras
    except ImportError as error:
        raise BackendUnavailable(
            f"keras: expected an installed package, got none. Run: {hint('export')}"
        ) from error
    return keras


def _live(source: Any) -> Any:
    keras = _require_keras() if "keras" in sys.modules else None
    if keras is None or not isinstance(source, keras.Model):
        raise UnsupportedModelError([_not_a_model(source)])
    return source


def _not_a_model(source: Any) -> str:
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    cure = "Pass a keras.Model or a path."
    if type(source).__module__.startswith(("tf_keras", "tensorflow.python.keras")):
        cure = "This is a Keras 2 model: save it with model.save('model.h5') and pass the path."
    return f"source: expected a Keras 3 model or a path, got {kind}. {cure}"


def _stored(file: StoredFile, findings: Findings) -> StoredModel:
    """The model of a file with its weights."""
    with configuration_of(file.owner):
        model = StoredModel(file.config, keras2=file.keras2, findings=findings, file=file.owner)
        strangers = [x for x in model.all_layers() if x.custom or x.stored_class not in SUPPORTED]
    if model.network is None:
        return model
    try:
        fill(model, file.weights, file.owner)
    except UnsupportedModelError:
        for layer in strangers:  # which may be why weights do not fit
            refuse_class(layer, findings)
        findings.refuse()
        raise
    return model


@contextmanager
def configuration_of(file: str | None) -> Iterator[None]:
    """Refuse a stored configuration with values that Keras does not write.

    Args:
        file: name of the file; None for a live model, whose errors are not ours to explain.

    Raises:
        UnsupportedModelError: the configuration is damaged.
    """
    try:
        yield
    except EdgeRnnError:
        raise
    except _DAMAGED:
        if file is None:
            raise
        cure = "Save or copy the file again."
        refuse(file, "a valid Keras configuration", "a damaged one", cure)


@contextmanager
def _named(path: Path, suffix: str) -> Iterator[str]:
    """A file under the suffix by which Keras tells its kind."""
    if path.suffix == suffix or path.is_dir():
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"{path.stem}{suffix}"
        link.symlink_to(path.resolve())
        yield str(link)


def _load(path: Path, hdf5: bool, old: Context | None) -> Any:
    """Let Keras load a file; ``old`` for HDF5 files of Keras 2, which it does not understand."""
    import keras

    import edgernn_export.cells.keras_cell  # noqa: F401  # Keras looks its class up by name

    with _named(path, ".h5" if hdf5 else ".keras") as name:
        if hdf5 and old is not None:
            return keras2.load_h5(Path(name), old)
        return keras.saving.load_model(name, compile=False)


def _guarded(path: Path, load: Any) -> Any:
    """Run a loader of Keras; any error it raises becomes one reason, in our words."""
    try:
        return load()
    except UnsupportedModelError:
        raise
    except Exception as error:
        import keras

        raise UnsupportedModelError(
            [
                f"{path.name}: expected a model that Keras {keras.__version__} can load on its "
                "own, got one that is damaged or uses custom classes or functions. Load it in "
                "Python with custom_objects and pass the live model."
            ]
        ) from error
