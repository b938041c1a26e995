"""What a path holds, looked at once: the beginning of a file, and the names in an archive."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn.errors import UnsupportedModelError

#: Bytes of the beginning that are looked at.
_HEAD_BYTES: Final = 1024
_HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
#: HDF5 may begin behind a user block of 512 bytes or a larger power of two.
_HDF5_STARTS: Final = (0, *(512 << n for n in range(8)))
#: Names in an archive that are looked at.
_MOST_MEMBERS: Final = 100_000
_ORIGINAL: Final = "Pass the network that it was converted from."
#: Beginnings of files that people pass by mistake: what to call them, and what helps.
_FOREIGN: Final = (
    (b"version https://git-lfs", "a Git LFS pointer", "Fetch the file: git lfs pull."),
    (b"<", "a web page or XML", "Download the model file instead of the web page."),
    (b"\x1f\x8b", "a gzip file", "Unpack it first."),
    (b"\xfd7zXZ\x00", "an xz file", "Unpack it first."),
    (b"\x80", "a pickled Python object", "Save the network itself; a pickle runs code when read."),
    (b"\x08", "an ONNX model or another protocol buffer", _ORIGINAL),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The content of a path.

    Attributes:
        path: where it is.
        folder: whether it is a directory.
        head: the first bytes of a file.
        hdf5: whether it is an HDF5 file.
        members: names in a ZIP archive; None for other files.
    """

    path: Path
    folder: bool = False
    head: bytes = b""
    hdf5: bool = False
    members: tuple[str, ...] | None = None

    @property
    def json(self) -> bool:
        """Whether a file begins as an object in JSON does; a length in binary may look alike."""
        return b"\0" not in self.head and self.head.removeprefix(
            b"\xef\xbb\xbf"
        ).lstrip().startswith((b"{", b'"{'))

    def member(self, *endings: str) -> bool:
        """Whether a name in the archive ends with one of these."""
        return any(name.endswith(endings) for name in self.members or ())


def contents_of(path: Path) -> Contents:
    """Look at a path.

    Raises:
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: the file cannot be opened, or is a damaged archive.
    """
    if path.is_dir():
        return Contents(path=path, folder=True)
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a trained network, got nothing at this path")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            hdf5 = any(_at(file, start) == _HDF5_MAGIC for start in _HDF5_STARTS)
    except OSError as error:
        got = error.strerror or "an error"
        raise UnsupportedModelError(
            [f"{path.name}: expected a readable file, got {got}. Check it."]
        ) from error
    members = _members(path) if head.startswith(b"PK") else None
    return Contents(path=path, head=head, hdf5=hdf5, members=members)


def foreign(contents: Contents) -> tuple[str, str] | None:
    """What a file is that no reader reads, and what helps; None where nobody knows."""
    head = contents.head
    if not head:
        return "an empty file", "Save the network again."
    if head[4:8] == b"TFL3":
        return "a TFLite model", _ORIGINAL
    if head[8:9] == b"{":
        if b'"edgernn' in head:
            return "an .edgernn file", "It is quantized already: pass the network it was made from."
        return "a safetensors file", _ORIGINAL
    if contents.member("saved_model.pb"):
        return "a packed SavedModel", "Unpack it; pass the directory."
    if contents.member("/constants.pkl"):
        return "a TorchScript file", "Save the module with torch.export.save."
    if contents.member("data.pkl"):
        return "a PyTorch file", "Save the module with torch.export.save."
    for beginning, name, cure in _FOREIGN:
        if head.startswith(beginning):
            return name, cure
    return None


def _at(file: io.BufferedReader, start: int) -> bytes:
    file.seek(start)
    return file.read(len(_HDF5_MAGIC))


def _members(path: Path) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.namelist()[:_MOST_MEMBERS])
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UnsupportedModelError(
            [
                f"{path.name}: expected a whole ZIP archive, got a damaged one. Save or copy the "
                "file again."
            ]
        ) from error
