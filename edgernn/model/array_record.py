"""The base of records that hold arrays: frozen copies, checks by name, equality by value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayRecord:
    """A record that may hold arrays, or tuples of records: equal by value, never hashed.

    Records derived from it are declared with ``eq=False``: what `dataclass` would write compares
    arrays as if they were numbers.
    """

    def __eq__(self, other: object) -> bool:
        """Whether the other is of the same class and equal field by field, dtypes of arrays too."""
        if type(self) is not type(other):
            return False
        for field in fields(self):
            left, right = getattr(self, field.name), getattr(other, field.name)
            if isinstance(left, np.ndarray) is not isinstance(right, np.ndarray):
                return False  # one of them is None
            if isinstance(left, np.ndarray):
                if left.dtype != right.dtype or not np.array_equal(left, right):
                    return False
            elif left != right:
                return False
        return True

    __hash__ = None  # type: ignore[assignment]


def frozen_array(
    owner: str, field: str, value: Any, dtype: npt.DTypeLike, ndim: int
) -> npt.NDArray[Any]:
    """Return a read-only C-contiguous copy, refusing any dtype or rank but the stated one."""
    array = np.asarray(value)
    wanted = np.dtype(dtype)
    if array.dtype != wanted or array.ndim != ndim:
        raise ModelError(
            f"{owner}.{field}: expected {ndim}-d {wanted.name}, "
            f"got {array.ndim}-d {array.dtype.name}"
        )
    copy = np.array(array, dtype=wanted, order="C", copy=True)
    copy.flags.writeable = False
    return copy


def check_rows(owner: str, rows: int, **per_row: npt.NDArray[Any]) -> None:
    """Refuse arrays that do not have one value per row."""
    for name, array in per_row.items():
        if array.shape != (rows,):
            raise ModelError(f"{owner}.{name}: expected shape ({rows},), got {array.shape}")


def check_range(owner: str, name: str, array: npt.NDArray[Any], low: int, high: int) -> None:
    """Refuse integers outside the inclusive bounds."""
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        raise ModelError(
            f"{owner}.{name}: expected values in [{low}, {high}], "
            f"got [{int(array.min())}, {int(array.max())}]"
        )
