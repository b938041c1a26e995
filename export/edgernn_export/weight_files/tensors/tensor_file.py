"""Which program wrote a file of tensors, told by its content, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Final

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.weight_files.tensors.number_types import NamedArrays
from edgernn_export.weight_files.tensors.numpy_archive import SUFFIX, read_npz
from edgernn_export.weight_files.tensors.safe_tensors import read_safetensors
from edgernn_export.weight_files.tensors.torch_archive import PICKLE, read_torch_archive
from edgernn_export.weight_files.tensors.zip_members import opened_archive

_WANTED: Final = "weights in a .safetensors file, a .pt file of torch or an .npz file of NumPy"
_HEAD_BYTES: Final = 512
_RENEW: Final = (
    "It is of a torch before 1.6. Save it again with a newer one: "
    "torch.save(torch.load(path, weights_only=True), 'weights.pt')."
)
_KERAS: Final = "Pass the Keras file itself: it needs no layout."
_ANOTHER: Final = "Save the weights with safetensors, torch.save or numpy.savez."
#: Beginnings of other files: where, what, how to call the file, and what helps.
_FOREIGN: Final = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", _KERAS),
    (0, b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", "an old file of torch",
     _RENEW),
    (0, b"\x80", "a pickle", "Save the weights: torch.save(model.state_dict(), 'weights.pt')."),
    (257, b"ustar", "an old file of torch, or another tar archive", _RENEW),
    (0, b"version https://git-lfs", "a Git LFS pointer", "Fetch the file: git lfs pull."),
    (0, b"<", "a web page or XML", "Download the file of the weights instead of the web page."),
    (0, b"\x1f\x8b", "a gzip file", "Unpack it first."),
    (0, b"\x93NUMPY", "one array of NumPy",
     "Save all arrays by name: numpy.savez(path, **arrays)."),
)  # fmt: skip


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
    file = Path(path)
    head = _head(file)
    if head.startswith(b"PK"):
        return _zip_reader(file)(file)
    if head[8:9] != b"{":
        refuse(file.name, _WANTED, *_foreign(head))
    return read_safetensors(file)


def _foreign(head: bytes) -> tuple[str, str]:
    """What another file is called, and what helps."""
    for place, beginning, what, cure in _FOREIGN:
        if head[place:].startswith(beginning):
            return what, cure
    return ("another file", _ANOTHER) if head else ("an empty file", "Save the weights again.")


def holds_tensors(path: str | PathLike[str]) -> bool:
    """Whether a file has the form of one that `read_tensors` reads; damage is not looked for."""
    file = Path(path)
    if not file.is_file():
        return False
    head = _head(file)
    if not head.startswith(b"PK"):
        return head[8:9] == b"{"
    try:
        with opened_archive(file) as members:
            return _is_torch(members.names) or _is_npz(members.names)
    except UnsupportedModelError:
        return False


def _head(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected {_WANTED}, got nothing at this path")
    if not path.is_file():
        refuse(path.name, _WANTED, "a directory or a device", _ANOTHER)
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        refuse(path.name, "a readable file", error.strerror or "an error", "Check it.")


def _zip_reader(path: Path) -> Callable[[Path], NamedArrays]:
    """Who reads a ZIP archive."""
    with opened_archive(path) as members:
        names = members.names
    if "config.json" in names:
        refuse(path.name, _WANTED, "a .keras file", _KERAS)
    if not _is_torch(names) and not _is_npz(names):
        refuse(path.name, _WANTED, "another ZIP archive", _ANOTHER)
    return read_torch_archive if _is_torch(names) else read_npz


def _is_torch(names: list[str]) -> bool:
    return any(name.rpartition("/")[2] == PICKLE for name in names)


def _is_npz(names: list[str]) -> bool:
    return bool(names) and all(name.endswith(SUFFIX) for name in names)
