"""Readings to codes in training, as clause 9.1 of NUMERICS.md has them: in double precision.

JAX has none unless it is enabled for a whole program. There a reading is compared with the smallest
float32 that each code stands for, found in double precision beforehand: what makes a code never
falls as a reading rises, so the code is the last one whose reading is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray, Precision
from edgernn_export.compress.qat.arithmetic.integers import narrow, wide
from edgernn_export.compress.tensors.back_ends import (
    Tensor,
    constant,
    gathered,
    has_double,
    like,
    ops,
    with_gradient,
)


class InputCodes:
    """Operand codes [..., I] of readings [..., I] in physical units, float32.

    The gradient is that of the division, and 0 beyond the ends.

    Args:
        scale: physical units per code, float64 [I].
        offset: physical value of code 0, float64 [I].
        precision: of the model.
    """

    def __init__(self, scale: FloatArray, offset: FloatArray, precision: Precision) -> None:
        self._quantum = quantum = precision.input_step
        self._scale, self._step, self._offset = scale, quantum * scale, offset
        self._low, self._high = -(-precision.input_low // quantum), precision.input_high // quantum
        #: Codes one beyond each end tell where the ends act.
        self._one_more = self._low - 1, self._high + 1
        self._reached: ReachedCodes | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """[..., I] to codes [..., I]."""

        def clause(x: Tensor) -> tuple[Tensor, Any]:
            rounded = self._divided(x) if has_double(x) else self._searched(x)
            codes = ops.clip(rounded, self._low, self._high)
            slope = narrow(codes == rounded) / constant(self._scale, x)
            return narrow(codes) * float(self._quantum), lambda upstream: upstream * slope

        return with_gradient(clause)(x)

    def _divided(self, x: Tensor) -> Tensor:
        step, offset = (like(c, x) for c in (self._step, self._offset))
        return ops.round((ops.cast(x, "float64") - offset) / step)

    def _searched(self, x: Tensor) -> Tensor:
        if self._reached is None:
            self._reached = ReachedCodes(self._divide, *self._one_more)
        return self._reached(x)

    def _divide(self, x: npt.NDArray[np.float32]) -> FloatArray:
        codes: FloatArray = np.rint((x.astype(np.float64) - self._offset) / self._step)
        return codes


class ReachedCodes:
    """The code of each reading without double precision.

    Args:
        divide: codes [..., I] of readings [..., I], never falling as a reading rises.
        low: code of whatever lies below the next one.
        high: code of whatever reaches it.
    """

    def __init__(
        self, divide: Callable[[npt.NDArray[np.float32]], FloatArray], low: int, high: int
    ) -> None:
        self._low, self._bits = low, (high - low).bit_length()
        wanted = np.arange(low + 1, high + 1)[:, None]
        self._channels = divide(np.zeros(1, np.float32)).shape[-1]
        # Keys order floats as integers do: between a key that is below and one that is not.
        below = np.full((len(wanted), self._channels), -_key(np.inf))
        reached = -below
        while np.any(reached - below > 1):
            middle = (below + reached) >> 1
            there = divide(_float(middle)) >= wanted
            reached, below = np.where(there, middle, reached), np.where(there, below, middle)
        table = np.full((1 << self._bits, self._channels), np.inf, np.float32)
        table[1 : len(wanted) + 1] = _float(reached)
        self._table = table.T.ravel()

    def __call__(self, x: Tensor) -> Tensor:
        """Codes [..., I] of readings [..., I], float32: the table is searched by halves."""
        table = like(self._table, x)
        start = like((np.arange(self._channels) << self._bits).astype(np.int32), x)
        at = start + wide(ops.zeros_like(x))
        for bit in reversed(range(self._bits)):
            at = at + (1 << bit) * wide(x >= gathered(table, at + (1 << bit)))
        return narrow(at - start + self._low)


def _key(value: float) -> int:
    return int(np.float32(value).view(np.int32))


def _float(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The floats of keys: bits of their magnitudes, with the sign of the key."""
    made: npt.NDArray[np.float32] = np.abs(keys).astype(np.int32).view(np.float32)
    return np.copysign(made, np.where(keys < 0, -1.0, 1.0).astype(np.float32))
