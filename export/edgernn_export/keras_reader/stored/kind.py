"""What a path holds, told by its content; suffixes are habits."""

from __future__ import annotations

import io
import zipfile
from enum import Enum
from pathlib import Path
from typing import Final, NoReturn

from edgernn.errors import UnsupportedModelError

#: Bytes that are looked at.
_HEAD_BYTES: Final = 1024
_HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
#: HDF5 may begin behind a user block of 512 bytes or a larger power of two.
_HDF5_STARTS: Final = (0, *(512 << n for n in range(8)))
_ANOTHER: Final = "Pass a .keras file, a whole-model .h5 file, or its architecture as JSON."
_NOT_KERAS: Final = "Pass the Keras model that it was converted from."
#: Beginnings of files that people pass by mistake: what to call them, and what helps.
_FOREIGN: Final = (
    (b"version https://git-lfs", "a Git LFS pointer", "Fetch the file: git lfs pull."),
    (b"<", "a web page or XML", "Download the model file instead of the web page."),
    (b"\x1f\x8b", "a gzip file", "Unpack it first."),
    (b"\xfd7zXZ\x00", "an xz file", "Unpack it first."),
    (b"\x80", "a pickled Python object", "Save the model with model.save('model.keras')."),
    (b"\x08", "an ONNX model or another protocol buffer", _NOT_KERAS),
)


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
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a Keras model, got nothing at this path")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            starts = [_at(file, start) for start in _HDF5_STARTS]
    except OSError as error:
        refuse(path.name, "a readable file", error.strerror or "an error", "Check it.")
    if _HDF5_MAGIC in starts:
        return FileKind.HDF5
    if head.startswith(b"PK"):
        return _archive(path)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b'"{')):
        return FileKind.JSON
    refuse(path.name, "a Keras model", *_foreign(head))


def _at(file: io.BufferedReader, start: int) -> bytes:
    file.seek(start)
    return file.read(len(_HDF5_MAGIC))


def _foreign(head: bytes) -> tuple[str, str]:
    if not head:
        return "an empty file", "Save the model again."
    if head[4:8] == b"TFL3":
        return "a TFLite model", _NOT_KERAS
    if head[8:9] == b"{":
        return "an .edgernn or safetensors file", _NOT_KERAS
    for beginning, name, cure in _FOREIGN:
        if head.startswith(beginning):
            return name, cure
    return "a file that is not HDF5, a ZIP archive or JSON", _ANOTHER


def _archive(path: Path) -> FileKind:
    if not zipfile.is_zipfile(path):
        refuse(path.name, "a whole ZIP archive", "a damaged one", "Save or copy the file again.")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        refuse(path.name, "a whole ZIP archive", "a damaged one", "Save or copy the file again.")
    if "config.json" in names:
        return FileKind.ARCHIVE
    if any(name.endswith("saved_model.pb") for name in names):
        refuse(path.name, "a Keras model", "a packed SavedModel", "Unpack it; pass the directory.")
    if any(name.endswith("data.pkl") for name in names):
        got = "a PyTorch file"
        refuse(path.name, "a Keras model", got, "Build the network in Keras; copy the weights.")
    refuse(path.name, "a Keras model", "a ZIP archive without config.json", _ANOTHER)


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
