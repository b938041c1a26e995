"""Files of trained networks, told from models by their content; edgernn_export reads them."""

from __future__ import annotations

import shlex
import zipfile
from pathlib import Path
from typing import Final

from edgernn.backends.tflite_file import is_of_another_tool
from edgernn.errors import EdgeRnnError

#: Bytes of the beginning that are looked at.
_HEAD_BYTES: Final = 1024
#: The longest header that safetensors reads, in bytes.
_LONGEST_HEADER: Final = 100_000_000
_ZIP: Final = b"PK\x03\x04"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
#: Names of files in folders that Keras writes.
_FOLDERS: Final = ("config.json", "saved_model.pb")
#: How names in archives of PyTorch end: of pickled tensors, and of exported programs.
_OF_TORCH: Final = ("/data.pkl", "/models/model.json", "serialized_exported_program.json")


def trained_network(path: Path) -> str:
    """What kind of trained network a path holds; "" for models and everything else.

    Args:
        path: an existing file or folder.
    """
    if path.is_dir():
        return "a Keras model" if any((path / name).exists() for name in _FOLDERS) else ""
    if not path.is_file():
        return ""  # a pipe, whose content can be read once only
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_ZIP):
        return _archive(path)
    if head.startswith(_HDF5):
        return "a Keras model"
    if head.startswith(b"\x08") and b"edgernn" not in head[:64]:
        return "an ONNX model of another tool"
    if head[4:8] == b"TFL3" and is_of_another_tool(path):
        return "a TFLite model of another tool"
    if head[8:9] == b"{" and not _is_of_edgernn(path):
        return "a file of weights"
    return ""


def _is_of_edgernn(path: Path) -> bool:
    """Whether a safetensors file is a model: names of tensors may come before the mark."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return b'"edgernn' in file.read(min(length, _LONGEST_HEADER))


def _archive(path: Path) -> str:
    """What a ZIP archive holds; a damaged one is taken for what most of them are."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        names = []
    if any(name.endswith(_OF_TORCH) for name in names):
        return "a PyTorch file"
    return "a file of weights" if any(name.endswith(".npy") for name in names) else "a Keras model"


def refuse_trained_network(path: Path) -> None:
    """Refuse a trained network where a model is needed.

    Raises:
        EdgeRnnError: it is one; with the command that makes a model of it.
    """
    kind = trained_network(path)
    if kind:
        written = path.with_suffix(".edgernn")
        raise EdgeRnnError(
            f"model: expected an .edgernn, .tflite or .onnx file, got {kind} ('{path.name}'). "
            f"Quantize it first: edgernn quantize {shlex.quote(str(path))} --calibration READINGS"
            f" -o {shlex.quote(str(written))}"
        )
