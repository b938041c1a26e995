"""Which program wrote a file of tensors, told by its content, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Final

from edgernn_export.file_contents.contents import Contents, contents_of, foreign
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.weight_files.tensors.number_types import NamedArrays
from edgernn_export.weight_files.tensors.numpy_archive import SUFFIX, read_npz
from edgernn_export.weight_files.tensors.safe_tensors import read_safetensors
from edgernn_export.weight_files.tensors.torch_archive import PICKLE, read_torch_archive

_WANTED: Final = "weights in a .safetensors file, a .pt file of PyTorch or an .npz file of NumPy"
_ANOTHER: Final = "Save the weights with safetensors, torch.save or numpy.savez."
_KERAS: Final = "Pass the Keras file itself: it needs no layout."


def read_tensors(path: str | PathLike[str]) -> NamedArrays:
    """All arrays of a file of weights.

    Args:
        path: a .safetensors file, a .pt, .pth or .bin file as ``torch.save`` writes it since
            version 1.6, or an .npz file. The content tells which, not the name. Nothing in it
            is executed.

    Returns:
        Arrays by name, in the order of the file; bfloat16 as float32.

    Raises:
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: it is damaged, or none of these.
    """
    contents = contents_of(Path(path), _WANTED)
    reader = _reader(contents)
    if reader is None:
        refuse(contents.path.name, _WANTED, *_other(contents))
    return reader(contents.path)


def holds_tensors(contents: Contents) -> bool:
    """Whether a file has the form of one that `read_tensors` reads; damage is not looked for."""
    return _reader(contents) is not None


def _reader(contents: Contents) -> Callable[[Path], NamedArrays] | None:
    names = contents.members
    if names is None:
        layered = contents.head[8:9] == b"{" and b'"edgernn_schema"' not in contents.head
        return read_safetensors if layered else None
    if any(name.rpartition("/")[2] == PICKLE for name in names):
        return read_torch_archive
    return read_npz if names and all(name.endswith(SUFFIX) for name in names) else None


def _other(contents: Contents) -> tuple[str, str]:
    """What another file is called, and what helps."""
    if contents.hdf5 or contents.member("config.json"):
        return "a Keras file", _KERAS
    if contents.folder:
        return "a directory", _ANOTHER
    if contents.head.startswith(b"\x93NUMPY"):
        return "one array of NumPy", "Save all arrays by name: numpy.savez(path, **arrays)."
    return foreign(contents) or ("another file", _ANOTHER)
