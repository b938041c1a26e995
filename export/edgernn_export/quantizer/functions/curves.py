"""Tables that stand for functions (NUMERICS.md clause 3.6), as coarse as measured errors allow.

A table is tried from the coarsest step to the finest, with and without a correction of its entries,
over all 65,536 codes. It is taken if every result is within 1 code of the real function, or within
half of what the result changes from one code of the argument to the next, which the rounding of the
argument costs anyway. Results count that are within the part of int16 which calibration reached:
where a function leaves its format, its table ends in a corner that no table has exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

import numpy as np

from edgernn.model.formats import INT16_MAX, INT16_MIN, FloatArray
from edgernn.model.functions.curves import CURVE_STEP_BITS, CurveTable
from edgernn.model.functions.pointwise import LIMIT, PointwiseFunction
from edgernn_export.float_model.cells import NUMPY
from edgernn_export.float_model.functions.pointwise import pointwise

#: Codes that a result is off from the real function at most, where this changes slowly.
_CLOSE: Final = 1.0
_CODES: Final = np.arange(INT16_MIN, INT16_MAX + 1, dtype=np.float64)
_Real = Callable[[FloatArray], FloatArray]
#: Functions that are lines between limits: slope, offset, low and high limit.
_BETWEEN: Final[dict[str, tuple[float, float, float, float]]] = {
    "hard_tanh": (1.0, 0.0, -1.0, 1.0),
    "hard_sigmoid": (1.0 / 6.0, 0.5, 0.0, 1.0),
    "hard_sigmoid_keras2": (0.2, 0.5, 0.0, 1.0),
    "sparse_sigmoid": (0.5, 0.5, 0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class FittedCurve:
    """A table, and how close it is.

    Attributes:
        table: the record.
        error: largest distance from the real function in codes of the result, over all codes whose
            result counts.
    """

    table: CurveTable
    error: float


@lru_cache(maxsize=256)
def fitted_curve(
    function: str, argument_scale: float, result_scale: float, reach: float = 1.0
) -> FittedCurve:
    """The coarsest table of a function that is close enough; the finest one if none is.

    Args:
        function: as `PointwiseFunction.parse` reads it.
        argument_scale: real value of a code of the argument.
        result_scale: real value of a code of the result.
        reach: the part of int16, 0 to 1, within which results count.
    """
    parsed = PointwiseFunction.parse(function)
    exact = _results(parsed, _CODES, argument_scale, result_scale)
    allowed = _allowed(exact)
    counts = np.abs(exact) <= reach * -INT16_MIN
    if not counts.any():
        counts[:] = True
    exact = np.clip(exact, INT16_MIN, INT16_MAX)
    for bits in reversed(CURVE_STEP_BITS):
        found = min(
            (
                FittedCurve(table, float(np.max(np.abs(interpolated(table) - exact)[counts])))
                for table in _tables(parsed, bits, argument_scale, result_scale)
            ),
            key=lambda one: one.error,
        )
        off = np.abs(interpolated(found.table) - exact)
        if (off <= allowed)[counts].all():
            break
    return found


def curve_error(
    function: str,
    table: CurveTable,
    argument_scale: float,
    result_scale: float,
    reach: float = 1.0,
) -> float:
    """Largest distance of a table from a function, in codes of the result.

    Args:
        function: as of `fitted_curve`, as are the others.
        table: the record.
        argument_scale: real value of a code of the argument.
        result_scale: real value of a code of the result.
        reach: the part of int16 within which results count.
    """
    exact = _results(PointwiseFunction.parse(function), _CODES, argument_scale, result_scale)
    counts = np.abs(exact) <= reach * -INT16_MIN
    exact = np.clip(exact, INT16_MIN, INT16_MAX)
    return float(np.max(np.abs(interpolated(table) - exact), where=counts, initial=0.0))


def interpolated(table: CurveTable) -> FloatArray:
    """Results of a table for all codes from -32768 up, float64 [65536] (clause 3.6)."""
    bits = table.step_bits
    u = np.arange(1 << 16)
    i, t = u >> bits, u & ((1 << bits) - 1)
    entries = table.entries.astype(np.int64)
    made = entries[i] + (((entries[i + 1] - entries[i]) * t + (1 << (bits - 1))) >> bits)
    limited: FloatArray = np.clip(made, table.low, table.high).astype(np.float64)
    return limited


def _results(
    function: PointwiseFunction, codes: FloatArray, argument_scale: float, result_scale: float
) -> FloatArray:
    """Real results of codes, in codes of the result, that no format limits."""
    with np.errstate(over="ignore"):  # of an exponential, which is limited to int16 then
        made: FloatArray = pointwise(NUMPY, function, codes * argument_scale) / result_scale
    return made


def _allowed(exact: FloatArray) -> FloatArray:
    """Errors that are small enough, per code."""
    with np.errstate(invalid="ignore"):
        change = np.nan_to_num(np.abs(np.diff(exact)), posinf=0.0)
    around = np.maximum(np.append(change, 0.0), np.insert(change, 0, 0.0))
    return np.maximum(_CLOSE, around / 2.0)


def _tables(
    function: PointwiseFunction, bits: int, argument_scale: float, result_scale: float
) -> list[CurveTable]:
    """Tables of a step: with the function's own values as entries, and with corrected ones."""
    inner, low, high = _limits(function, argument_scale, result_scale)
    half = 1 << (bits - 1)
    codes = np.arange(INT16_MIN, -INT16_MIN + 1, half, dtype=np.float64)
    with np.errstate(over="ignore"):  # of an exponential, which is limited then
        real = inner(codes * argument_scale) / result_scale
    values = np.clip(real, 2 * INT16_MIN, -2 * INT16_MIN)
    nodes, middles = values[::2], values[1::2]
    made = []
    for entries in (nodes, nodes + _correction(nodes, middles)):
        limited = np.clip(np.rint(entries), INT16_MIN, INT16_MAX).astype(np.int16)
        made.append(CurveTable(entries=limited, low=low, high=high))
    return made


def _correction(nodes: FloatArray, middles: FloatArray) -> FloatArray:
    """Half of the error of linear interpolation, where both sides of an entry agree on its sign.

    Where a function has a bend at an entry, one side has none of it: the entry stays unchanged.
    """
    gap = middles - (nodes[:-1] + nodes[1:]) / 2.0
    left, right = np.insert(gap, 0, gap[0]), np.append(gap, gap[-1])
    agree = np.sign(left) == np.sign(right)
    found: FloatArray = np.where(
        agree, np.sign(left) * np.minimum(np.abs(left), np.abs(right)) / 2.0, 0.0
    )
    return found


def _limits(
    function: PointwiseFunction, argument_scale: float, result_scale: float
) -> tuple[_Real, int, int]:
    """The function without its limits, and these in codes of the result."""
    given = dict(function.parameters)
    if given[LIMIT] != math.inf:
        return _of_held(function, argument_scale, result_scale)
    slope, offset, low, high = _BETWEEN.get(function.name, (1.0, 0.0, -math.inf, math.inf))
    if function.name == "clip":
        low, high = given["low"], given["high"]
    elif function.name == "ramp":
        slope, offset, low, high = (given[name] for name in ("slope", "offset", "low", "high"))
    elif function.name not in _BETWEEN:
        if function.name == "relu" and given["threshold"] >= 0.0:
            high = given["max_value"]
            function = PointwiseFunction.of("relu", **{**given, "max_value": math.inf})
        return partial(pointwise, NUMPY, function), INT16_MIN, _code(high, result_scale)

    def between(x: FloatArray) -> FloatArray:
        return slope * x + offset

    return between, _code(low, result_scale), _code(high, result_scale)


def _of_held(
    function: PointwiseFunction, argument_scale: float, result_scale: float
) -> tuple[_Real, int, int]:
    """Those of a function whose argument is held between ends: its results at them, if it rises."""
    given = dict(function.parameters)
    ends = np.array([-given[LIMIT], given.pop(LIMIT)])
    free = PointwiseFunction.of(function.name, **given)
    if not _rises(free, argument_scale):
        return partial(pointwise, NUMPY, function), INT16_MIN, INT16_MAX
    inner, low, high = _limits(free, argument_scale, result_scale)
    first, last = pointwise(NUMPY, free, ends)
    return inner, max(low, _code(first, result_scale)), min(high, _code(last, result_scale))


def _rises(function: PointwiseFunction, argument_scale: float) -> bool:
    """Whether no result is less than that of a smaller code."""
    with np.errstate(over="ignore"):
        made = pointwise(NUMPY, function, _CODES * argument_scale)
    return bool((made[1:] >= made[:-1]).all())


def _code(value: float, scale: float) -> int:
    """The code of a limit, within int16."""
    return round(min(max(value / scale, INT16_MIN), INT16_MAX))
