"""The arrays that a bound step reads and writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import ShapeError
from edgernn.model.interface import Interface


def are_real(interface: Interface, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> bool:
    """Whether the arrays hold physical values; otherwise they hold codes.

    Args:
        interface: of the model.
        x: float64 [I] or operand codes [I].
        y: float64 [O] or int16 [O].

    Raises:
        ShapeError: another shape or dtype, not contiguous, not writable, or a mixture of the two.
    """
    operand = interface.precision.operand_dtype
    real = getattr(x, "dtype", np.dtype(np.float64)) == np.float64
    _check("x", x, interface.input.width, np.dtype(np.float64) if real else operand)
    _check("y", y, interface.output.width, np.dtype(np.float64 if real else np.int16))
    if not y.flags.writeable:
        raise ShapeError("session: expected a writable array y, got a read-only one. Pass a copy.")
    return real


def _check(name: str, array: npt.NDArray[Any], width: int, dtype: np.dtype[Any]) -> None:
    if type(array) is not np.ndarray:
        raise ShapeError(
            f"session: expected a NumPy array {name}, got {type(array).__name__}. "
            f"Make one with: np.empty({width}, np.{dtype.name})"
        )
    if array.dtype != dtype or array.shape != (width,):
        raise ShapeError(
            f"session: expected {name} of {dtype} [{width}], "
            f"got {array.dtype} {list(array.shape)}. "
            "Bind two arrays of float64 (physical values), or of codes (y int16)."
        )
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ShapeError(
            f"session: expected a contiguous array {name}, got strides {array.strides}. "
            "Pass a copy."
        )
