"""What operators of constants alone give, computed when a file is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgernn_export.operator_reader.operators import Operator
from edgernn_export.operator_reader.trace import OperatorRefused
from edgernn_export.operator_reader.values import OpenSize, fixed

#: Elements that one result may have.
_MOST_ELEMENTS: Final = 1 << 26
#: What gives the results of an operator of constants.
Folding = Callable[[Operator], Sequence[Any]]


def folded_with(known: Mapping[str, Folding], operator: Operator) -> Sequence[Any] | None:
    """The results of an operator whose inputs are constants; None if its kind is not known.

    Args:
        known: what gives results, by kind.
        operator: the operator.

    Raises:
        OperatorRefused: a result would be huge.
    """
    made = known.get(operator.kind)
    if made is None:
        return None
    with np.errstate(all="ignore"):
        return [fixed(np.asarray(value)) for value in made(operator)]


def moderate(shape: Sequence[Any]) -> tuple[int, ...]:
    """The shape of a result.

    Raises:
        OperatorRefused: it would be huge.
    """
    sizes = tuple(int(size) for size in shape)
    if math.prod(sizes) > _MOST_ELEMENTS or len(sizes) > 32 or min(sizes, default=0) < 0:
        got = f"shape {sizes!r:.80}"
        raise OperatorRefused("a constant of moderate size", got, "Export the network again.")
    return sizes


def known_sizes(sizes: NDArray[Any]) -> tuple[int, ...]:
    """Sizes with 1 for open ones: what is filled or expanded broadcasts."""
    return moderate([1 if isinstance(size, OpenSize) else size for size in sizes])


def pairwise(combined: Callable[[Any, Any], Any]) -> Folding:
    """What gives a function of two constants."""

    def made(operator: Operator) -> list[NDArray[Any]]:
        first, second = operator.constant(0), operator.constant(1)
        shape = moderate(np.broadcast_shapes(first.shape, second.shape))
        try:
            return [combined(first, second)]
        except TypeError:  # a comparison with an open size, which nothing can answer yet
            if object not in (first.dtype, second.dtype):
                raise
            unknown = np.empty(shape, dtype=object)
            unknown.fill(OpenSize((), 1, opaque=True))
            return [unknown]

    return made


def below(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Whether numbers are below others; an open size is at least its factor.

    Raises:
        TypeError: nothing tells.
    """
    if object not in (first.dtype, second.dtype):
        return np.less(first, second)
    return np.asarray(np.frompyfunc(_is_below, 2, 1)(first, second), dtype=bool)


def _is_below(first: Any, second: Any) -> bool:
    if isinstance(second, OpenSize) and not second.opaque and not isinstance(first, OpenSize):
        if first < second.factor:
            return True
        raise TypeError(second)
    return bool(first < second)


def changed(function: Callable[[Any], Any]) -> Folding:
    """What gives a function of one constant."""
    return lambda operator: [function(operator.constant(0))]


def joined_constants(values: Sequence[NDArray[Any]], axis: int) -> NDArray[Any]:
    """Constants one behind another, sizes among them.

    Raises:
        OperatorRefused: the result would be huge.
    """
    if any(value.dtype == object for value in values):
        values = [value.astype(object) for value in values]
    moderate([sum(value.size for value in values)])
    return np.concatenate(list(values), axis)


def taken(value: NDArray[Any], indices: NDArray[Any], axis: int) -> NDArray[Any]:
    """Elements of a constant along an axis.

    Raises:
        OperatorRefused: the result would be huge.
    """
    moderate([indices.size * max(1, value.size // max(1, value.shape[axis]))])
    return np.take(value, indices.astype(np.int64), axis)


def place_of(axis: int, rank: int) -> int:
    """An axis counted from the start.

    Raises:
        OperatorRefused: there is none.
    """
    if not -rank <= axis < rank:
        raise OperatorRefused(f"an axis of {rank}", f"{axis}", "Export the network again.")
    return axis % rank


def quotient(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """First divided by second; integers are truncated."""
    if first.dtype.kind in "iu" and second.dtype.kind in "iu":
        whole: NDArray[Any] = np.trunc(first / second).astype(first.dtype)
        return whole
    exact: NDArray[Any] = first / second
    return exact
