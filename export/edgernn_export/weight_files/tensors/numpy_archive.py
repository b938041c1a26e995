"""The .npz file of NumPy: a ZIP archive with one .npy file per array.

NumPy evaluates the header of an array as Python and makes the array before it looks at the bytes.
Here a header has exactly the form that NumPy writes, and exactly the bytes that its shape needs.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.weight_files.tensors.number_types import (
    BFLOAT16,
    NUMBER_TYPES,
    NamedArrays,
    as_numbers,
    is_shape,
    width_of,
)
from edgernn_export.weight_files.tensors.zip_members import AGAIN, opened_archive

SUFFIX: Final = ".npy"
_MAGIC: Final = b"\x93NUMPY"
#: Version of the format -> bytes of the length of the header.
_LENGTHS: Final = {1: 2, 2: 4, 3: 4}
_MAX_HEADER_BYTES: Final = 10_000
_HEADER: Final = re.compile(
    rb"\{'descr': '([<>|=])([a-zA-Z]\d{1,4})', 'fortran_order': (True|False), "
    rb"'shape': \(([\d, ]*)\), ?\} *\n"
)
#: How NumPy calls bytes -> name of the type.
_TYPES: Final = {code: name for name, code in NUMBER_TYPES.items() if name != BFLOAT16}


def read_npz(path: Path) -> NamedArrays:
    """All arrays of an archive.

    Raises:
        UnsupportedModelError: it is damaged, or has something else than numbers.
    """
    with opened_archive(path) as members:
        return {
            name.removesuffix(SUFFIX): _array(members.read(name), f"{path.name}: {name}"[:200])
            for name in members.names
        }


def _array(data: bytes, owner: str) -> npt.NDArray[Any]:
    start = len(_MAGIC) + 2
    size = _LENGTHS.get(data[start - 2]) if data[: len(_MAGIC)] == _MAGIC else None
    if len(data) < start + 4 or size is None:
        refuse(owner, "an array that NumPy saved", "something else", AGAIN)
    begin = start + size
    end = begin + int.from_bytes(data[start:begin], "little")
    header = _HEADER.fullmatch(data[begin:end]) if end - begin <= _MAX_HEADER_BYTES else None
    if header is None:
        got = "another header: of objects or records, or a damaged one"
        refuse(owner, "an array of numbers that NumPy saved", got, "Save arrays of float32.")
    order, code, fortran, sizes = header.groups()
    kind = _TYPES.get(code.decode())
    if kind is None:
        got = f"{code.decode()} (bfloat16 of JAX is V2)"
        refuse(owner, f"numbers of type {', '.join(_TYPES)}", got, "Save arrays of float32.")
    shape = [int(digits[:20]) for digits in sizes.decode().replace(" ", "").split(",") if digits]
    held = len(data) - end
    if not is_shape(shape) or math.prod(shape) * width_of(kind) != held:
        got = f"{held} bytes for shape ({sizes.decode():.60})"
        refuse(owner, "as many bytes as its shape needs", got, AGAIN)
    values = as_numbers(data[end:], kind, ">" if order == b">" else "<")
    return values.reshape(shape, order="F" if fortran == b"True" else "C")
