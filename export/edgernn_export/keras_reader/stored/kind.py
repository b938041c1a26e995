"""What a path holds, told by its content; suffixes are habits."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Final, NoReturn

from edgernn.errors import UnsupportedModelError
from edgernn_export.file_contents.contents import Contents, contents_of, foreign

_ANOTHER: Final = "Pass a .keras file, a whole-model .h5 file, or its architecture as JSON."


class FileKind(Enum):
    """The content of a path."""

    ARCHIVE = "ZIP archive with config.json and weights"
    FOLDER = "the contents of such an archive"
    HDF5 = "HDF5 file"
    JSON = "architecture without weights"
    SAVED_MODEL = "SavedModel directory of Keras 2"


def refuse(owner: str, wanted: str, got: str, cure: str) -> NoReturn:
    """Raise the one reason why a file cannot be read.

    Raises:
        UnsupportedModelError: always.
    """
    raise UnsupportedModelError([f"{owner}: expected {wanted}, got {got}. {cure}"])


def kind_of(path: Path) -> FileKind:
    """Tell the kind of a file or directory.

    Raises:
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: it does not contain a Keras model, or cannot be opened.
    """
    contents = contents_of(path, "a Keras model")
    if contents.folder:
        return _folder(path)
    if contents.hdf5:
        return FileKind.HDF5
    if contents.members is not None and "config.json" in contents.members:
        return FileKind.ARCHIVE
    if contents.json:
        return FileKind.JSON
    archive = "a ZIP archive without config.json"
    other = "a file that is not HDF5, a ZIP archive or JSON"
    got = archive if contents.members is not None else other
    refuse(path.name, "a Keras model", *(foreign(contents) or (got, _ANOTHER)))


def holds_keras(contents: Contents) -> bool:
    """Whether a path holds, or once held, what Keras writes."""
    archive = contents.members is not None and "config.json" in contents.members
    return contents.folder or contents.hdf5 or contents.json or archive


def _folder(path: Path) -> FileKind:
    if (path / "config.json").exists():
        return FileKind.FOLDER
    if (path / "keras_metadata.pb").exists():
        return FileKind.SAVED_MODEL
    if (path / "saved_model.pb").exists():
        refuse(
            path.name,
            "a SavedModel with Keras layers",
            "one with only a graph (written by model.export or tf.saved_model.save)",
            "Save the model with model.save('model.keras') and pass that file.",
        )
    refuse(path.name, "a Keras model", "a directory without config.json", _ANOTHER)
