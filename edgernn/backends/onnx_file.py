"""The frame of an exact .onnx file: what is checked before a runtime sees it.

A runtime trusts the file it is given, and a flipped bit in a weight loads without complaint. The
file therefore ends in a metadata entry of fixed length that holds the SHA-256 of all bytes before
it. To every reader of ONNX the entry is one more pair in `metadata_props`: appending a repeated
field to a serialized protocol buffer is how the encoding defines concatenation.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from edgernn.errors import FormatError

#: Key of the metadata entry that holds the interface as JSON.
METADATA_KEY: Final = "edgernn"
#: Key of the last metadata entry.
SEAL_KEY: Final = "edgernn_sha256"
#: Larger files are not ours: eight layers of a thousand units stay far below.
MAX_FILE_BYTES: Final = 1 << 28

_REWRITE: Final = "Write one with: edgernn export MODEL.edgernn --to onnx"


def _seal(content: bytes) -> bytes:
    """ModelProto.metadata_props (field 14): key (field 1) and value (field 2) of the last entry."""
    key, value = SEAL_KEY.encode(), hashlib.sha256(content).hexdigest().encode()
    entry = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([len(value)]) + value
    return b"\x72" + bytes([len(entry)]) + entry


_SEAL_BYTES: Final = len(_seal(b""))
_SEAL_HEAD: Final = _seal(b"")[:-64]


def sealed(content: bytes) -> bytes:
    """A serialized ONNX model with its hash as last metadata entry."""
    return content + _seal(content)


def read_onnx(path: Path) -> bytes:
    """Read a sealed file.

    Args:
        path: the .onnx file.

    Returns:
        Its bytes, undamaged.

    Raises:
        FormatError: too large, not written by edgernn, or damaged.
    """
    owner = f"file '{path.name}'"
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise FormatError(f"{owner}: expected at most {MAX_FILE_BYTES} bytes, got {size}.")
    file = path.read_bytes()
    content, seal = file[:-_SEAL_BYTES], file[-_SEAL_BYTES:]
    if not seal.startswith(_SEAL_HEAD):
        raise FormatError(
            f"{owner}: expected edgernn's metadata '{SEAL_KEY}' at its end, got none: the file "
            f"is truncated, was modified, or is not an exact edgernn model. {_REWRITE}"
        )
    if seal != _seal(content):
        raise FormatError(
            f"{owner}: expected the SHA-256 in its metadata '{SEAL_KEY}', got a file that differs "
            f"from what was written. {_REWRITE}"
        )
    return file
