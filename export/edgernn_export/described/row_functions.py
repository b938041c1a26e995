"""Functions of rows: what of a function, or of a limit of its argument, the matrices hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.functions.pointwise import LIMIT, PointwiseFunction

#: Beyond ± these arguments single precision has one result, or none that it tells from the last.
_FLAT_BEYOND: Final = {
    "sigmoid": 18.0,
    "tanh": 9.5,
    "hard_tanh": 1.0,
    "hard_sigmoid": 3.0,
    "hard_sigmoid_keras2": 2.5,
    "sparse_sigmoid": 1.0,
}
#: Ramps from 0 to 1 that have names, by slope: those of Keras 3 and Keras 2.
_NAMED_RAMPS: Final = {1.0 / 6.0: "hard_sigmoid", 0.2: "hard_sigmoid_keras2"}


@dataclass(frozen=True, slots=True)
class RowFunction:
    """A function of gain * z + offset, where z is what the rows of a matrix make.

    Attributes:
        text: of the function, as `str` of a `PointwiseFunction` gives it.
        gain: 1 if it is the function itself.
        offset: 0 if it is.
    """

    text: str
    gain: float = 1.0
    offset: float = 0.0


def row_function(text: str, clip: float | None) -> RowFunction:
    """A function of rows, whose argument may be clipped, as matrices and a simpler function.

    Args:
        text: of the function.
        clip: what holds z within ± this; None: nothing does.
    """
    function = PointwiseFunction.parse(text)
    given = dict(function.parameters)
    made = RowFunction(str(function))
    if function.name == "ramp" and given[LIMIT] == math.inf:
        made = _ramp(given, clip)
    if clip is None or made.offset:
        return made
    return RowFunction(limited(made.text, clip * abs(made.gain)), made.gain, made.offset)


def limited(text: str, limit: float) -> str:
    """The function whose argument is held within ± a limit; the function itself beyond its bends.

    Args:
        text: of the function.
        limit: above 0.
    """
    function = PointwiseFunction.parse(text)
    given = dict(function.parameters)
    limit = min(limit, given[LIMIT])
    if limit >= _FLAT_BEYOND.get(function.name, math.inf):
        limit = math.inf
    return str(PointwiseFunction.of(function.name, **{**given, LIMIT: limit}))


def named_ramp(text: str) -> str:
    """The name of a ramp that has one; any other function unchanged."""
    function = PointwiseFunction.parse(text)
    given = dict(function.parameters)
    if function.name != "ramp" or given[LIMIT] != math.inf:
        return text
    made = _ramp(given, None)
    return made.text if (made.gain, made.offset) == (1.0, 0.0) else text


def _ramp(given: dict[str, float], clip: float | None) -> RowFunction:
    """A ramp as one with a name, of other rows; unchanged where a clip comes between both."""
    slope, offset, ends = given["slope"], given["offset"], (given["low"], given["high"])
    if ends == (0.0, 1.0) and (clip is None or offset == 0.5):
        for usual, name in _NAMED_RAMPS.items():
            if offset == 0.5 and slope in (usual, float(np.float32(usual))):
                return RowFunction(name)
        return RowFunction("hard_sigmoid", 6.0 * slope, 6.0 * (offset - 0.5))
    if ends == (-math.inf, math.inf) and (clip is None or (slope, offset) == (1.0, 0.0)):
        return RowFunction("linear", slope, offset)
    text = str(PointwiseFunction.of("ramp", **given))
    return RowFunction(text if clip is None else limited(text, clip))
