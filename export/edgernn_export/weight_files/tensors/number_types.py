"""Numbers as files of other programs store them, and the arrays that they become."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

#: Arrays by name, in the order of the file.
NamedArrays: TypeAlias = dict[str, npt.NDArray[np.generic]]

#: The first half of a float32, a type that NumPy lacks.
BFLOAT16: Final = "bfloat16"
#: What is read: the name of a type -> how NumPy calls its bytes. No other type is read.
NUMBER_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "float16": "f2",
        BFLOAT16: "u2",
        "float32": "f4",
        "float64": "f8",
        "int8": "i1",
        "int16": "i2",
        "int32": "i4",
        "int64": "i8",
        "uint8": "u1",
        "uint16": "u2",
        "uint32": "u4",
        "uint64": "u8",
        "bool": "b1",
    }
)
#: Larger arrays are read from no file: a network of this size fits no device.
MAX_VALUES: Final = 1 << 28
#: Axes that NumPy 1 can hold.
MAX_AXES: Final = 32


def width_of(kind: str) -> int:
    """Bytes of one number."""
    return np.dtype(NUMBER_TYPES[kind]).itemsize


def is_shape(value: Any) -> bool:
    """Whether a value is a list or tuple of sizes that an array can have."""
    sizes = isinstance(value, (list, tuple)) and len(value) <= MAX_AXES
    return (
        sizes
        and all(type(size) is int and 0 <= size <= MAX_VALUES for size in value)
        and math.prod(size or 1 for size in value) <= MAX_VALUES
    )


def as_numbers(
    data: bytes | memoryview, kind: str, order: Literal["<", ">"] = "<"
) -> npt.NDArray[Any]:
    """All numbers in some bytes, bfloat16 as float32.

    Args:
        data: a whole number of numbers.
        kind: one of `NUMBER_TYPES`.
        order: "<" where the lowest byte comes first, ">" where the highest does.

    Returns:
        One axis, in the byte order of this machine. It may be a view of the bytes.
    """
    stored = np.dtype(NUMBER_TYPES[kind]).newbyteorder(order)
    found = np.frombuffer(data, stored).astype(stored.newbyteorder("="), copy=False)
    if kind != BFLOAT16:
        return found
    return (found.astype(np.uint32) << np.uint32(16)).view(np.float32)
