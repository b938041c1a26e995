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
#: Fields of a protocol buffer that are looked at, the bytes of one, and those of fixed widths.
_MOST_FIELDS: Final = 1000
_MOST_BYTES: Final = 1 << 40
_WIRE_BYTES: Final = {1: 8, 5: 4}
_RENEW: Final = (
    "It is of a PyTorch before 1.6. Save it again with a newer one: "
    "torch.save(torch.load(path, weights_only=True), 'weights.pt')."
)
_ORIGINAL: Final = "Pass the network that it was converted from."
#: What helps against a file that edgernn wrote.
QUANTIZED_ALREADY: Final = "It is quantized already: pass the network it was made from."
#: What a TFLite file has at its fifth byte.
TFLITE_MARK: Final = b"TFL3"
#: Beginnings of files that people pass by mistake: what to call them, and what helps.
_FOREIGN: Final = (
    (b"version https://git-lfs", "a Git LFS pointer", "Fetch the file: git lfs pull."),
    (b"<", "a web page or XML", "Download the model file instead of the web page."),
    (b"\x1f\x8b", "a gzip file", "Unpack it first."),
    (b"\xfd7zXZ\x00", "an xz file", "Unpack it first."),
    (
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
        "an old file of PyTorch",
        _RENEW,
    ),
    (b"\x80", "a pickled Python object", "Save the network itself; a pickle runs code when read."),
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
        fields: numbers of the fields of a protocol buffer; none of other files.
    """

    path: Path
    folder: bool = False
    head: bytes = b""
    hdf5: bool = False
    members: tuple[str, ...] | None = None
    fields: frozenset[int] = frozenset()

    @property
    def onnx(self) -> bool:
        """Whether a file is a protocol buffer with what every ONNX model has: version and graph."""
        return {1, 7} <= self.fields

    @property
    def tflite(self) -> bool:
        """Whether a file has the mark of TFLite."""
        return self.head[4:8] == TFLITE_MARK

    @property
    def json(self) -> bool:
        """Whether a file begins as an object in JSON does; a length in binary may look alike."""
        return b"\0" not in self.head and self.head.removeprefix(
            b"\xef\xbb\xbf"
        ).lstrip().startswith((b"{", b'"{'))

    def member(self, *endings: str) -> bool:
        """Whether a name in the archive ends with one of these."""
        return any(name.endswith(endings) for name in self.members or ())


def contents_of(path: Path, wanted: str = "a trained network") -> Contents:
    """Look at a path.

    Args:
        path: where to look.
        wanted: what the caller reads, for the error that there is nothing.

    Raises:
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: the file cannot be opened, or is a damaged archive.
    """
    if path.is_dir():
        return Contents(path=path, folder=True)
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected {wanted}, got nothing at this path")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            hdf5 = any(_at(file, start) == _HDF5_MAGIC for start in _HDF5_STARTS)
    except OSError as error:
        got = error.strerror or "an error"
        raise UnsupportedModelError(
            [f"{path.name}: expected a readable file, got {got}. Check it."]
        ) from error
    return Contents(
        path=path,
        head=head,
        hdf5=hdf5,
        members=_members(path) if head.startswith(b"PK") else None,
        fields=fields_of(path) if head.startswith(b"\x08") else frozenset(),
    )


def fields_of(source: Path | bytes) -> frozenset[int]:
    """Numbers of the fields at the top of a protocol buffer, as far as they can be followed."""
    found: set[int] = set()
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        for _ in range(_MOST_FIELDS):
            tag = _varint(file)
            if not tag:
                break
            found.add(tag >> 3)
            kind = tag & 7
            if kind == 0:
                _varint(file)
            elif kind in _WIRE_BYTES:
                file.seek(_WIRE_BYTES[kind], io.SEEK_CUR)
            elif kind == 2:
                file.seek(min(_varint(file), _MOST_BYTES), io.SEEK_CUR)
            else:
                break
    return frozenset(found)


def _varint(file: io.BufferedIOBase) -> int:
    """The next number; 0 at the end."""
    value = 0
    for place in range(10):
        byte = file.read(1)
        if not byte:
            return 0
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            break
    return value


def foreign(contents: Contents) -> tuple[str, str] | None:
    """What a file is that no reader reads, and what helps; None where nobody knows."""
    head = contents.head
    if not head:
        return "an empty file", "Save the network again."
    if contents.tflite:
        return "a TFLite model", _ORIGINAL
    if head[8:9] == b"{":
        if b'"edgernn' in head:
            return "an .edgernn file", QUANTIZED_ALREADY
        return "a safetensors file", _ORIGINAL
    if contents.member("saved_model.pb"):
        return "a packed SavedModel", "Unpack it; pass the directory."
    if contents.member("/constants.pkl"):
        return "a TorchScript file", "Save the module it was made from with torch.export.save."
    if contents.member("data.pkl"):
        return "a PyTorch file", "Save the module with torch.export.save."
    if head[257:262] == b"ustar":
        return "an old file of PyTorch, or another tar archive", _RENEW
    if head.startswith(b"\x08"):
        got = "an ONNX model" if contents.onnx else "a protocol buffer that is no ONNX model"
        return got, _ORIGINAL
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
