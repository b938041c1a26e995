"""Operators of ATen that rearrange values, tell sizes, or take parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.selections import joined, picked, sliced, split, stacked
from edgernn_export.operator_reader.shapes import reshaped, squeezed, transposed, unsqueezed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import (
    Atom,
    AxisKind,
    AxisSize,
    OpenSize,
    Traced,
    fixed,
    size_of,
    sizes_array,
)

_AGAIN: Final = "Export the network again."


def argument(operator: Operator, name: str, default: Any = None) -> Any:
    """An argument by its name; the default where it is left out."""
    place = operator.attribute("places").get(name)
    value = None if place is None else operator.given(place)
    return default if value is None else value


def axis(operator: Operator, value: Traced, name: str = "dim", default: int = 0) -> int:
    """An axis counted from the start.

    Raises:
        OperatorRefused: there is no such axis.
    """
    place = int(argument(operator, name, default))
    if not -value.rank <= place < value.rank:
        raise OperatorRefused(f"an axis of {value.rank}", f"{name}={place}", _AGAIN)
    return place % value.rank


def sizes(values: Any) -> list[AxisSize]:
    """Sizes in a list, some of which come from operators."""
    listed = list(values) if isinstance(values, (list, tuple, np.ndarray)) else [values]
    return [size(value) for value in listed]


def size(value: Any) -> AxisSize:
    """A size that comes from an operator, or a number.

    Raises:
        OperatorRefused: it is none.
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, OpenSize):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    raise OperatorRefused("a size", f"{type(value).__name__}", _AGAIN)


def _transpose(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    order = list(range(value.rank))
    first, second = axis(operator, value, "dim0"), axis(operator, value, "dim1")
    order[first], order[second] = order[second], order[first]
    return [transposed(value, order)]


def _permute(_: CallTrace, operator: Operator) -> Sequence[Any]:
    return [transposed(operator.traced(0), [int(one) for one in argument(operator, "dims")])]


def _movedim(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    sources = np.atleast_1d(argument(operator, "source")) % value.rank
    targets = np.atleast_1d(argument(operator, "destination")) % value.rank
    order: list[Any] = [None] * value.rank
    for source, target in zip(sources, targets, strict=True):
        order[target] = int(source)
    rest = iter(place for place in range(value.rank) if place not in sources)
    return [transposed(value, [next(rest) if one is None else one for one in order])]


def _turned(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    return [transposed(value, list(range(value.rank))[::-1])]


def _unsqueeze(_: CallTrace, operator: Operator) -> Sequence[Any]:
    return [unsqueezed(operator.traced(0), [int(argument(operator, "dim"))])]


def _squeeze(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, given = operator.traced(0), argument(operator, "dim")
    if given is None:
        return [squeezed(trace, value, None)]
    places = [int(one) % value.rank for one in np.atleast_1d(given)]
    # torch leaves axes of other sizes as they are.
    return [squeezed(trace, value, [p for p in places if size_of(value.axes[p]) == 1])]


def _reshape(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    wanted = sizes(argument(operator, "size", argument(operator, "shape")))
    apart = _layers_apart(value, wanted)
    return [reshaped(trace, value, wanted, copy=False) if apart is None else apart]


def _layers_apart(value: Traced, wanted: Sequence[AxisSize]) -> Traced | None:
    """States (layers * directions, streams, features) with layers and directions apart.

    None where they are reshaped to something else.
    """
    first = value.axes[0] if value.axes else ()
    if len(wanted) != value.rank + 1 or [atom.kind for atom in first] != [AxisKind.STACK]:
        return None
    total, known = first[0].size, [size_of(axis) for axis in value.axes[1:]]
    layers, directions, *rest = wanted
    if not (isinstance(layers, int) and isinstance(directions, int) and total):
        return None
    layers = total // directions if layers < 0 else layers
    directions = total // layers if directions < 0 else directions
    same = all(one in (-1, size) for one, size in zip(rest, known, strict=True))
    if layers * directions != total or layers < 1 or not same:
        return None
    members = value.members.reshape(layers, directions, *value.members.shape[1:])
    pair = ((Atom(AxisKind.STACK, one),) for one in (layers, directions))
    return Traced((*pair, *value.axes[1:]), members)


def _flatten(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    start = axis(operator, value, "start_dim", 0)
    end = axis(operator, value, "end_dim", -1)
    known = [size_of(one) for one in value.axes]
    middle: AxisSize = 1
    for one in known[start : end + 1]:
        middle = one * middle
    return [reshaped(trace, value, [*known[:start], middle, *known[end + 1 :]], copy=False)]


def _unflatten(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    place = axis(operator, value)
    known = [size_of(one) for one in value.axes]
    parts = sizes(argument(operator, "sizes"))
    total = known[place]
    if -1 in parts and isinstance(total, int):
        rest = math.prod(one for one in parts if isinstance(one, int) and one != -1)
        parts = [total // rest if one == -1 else one for one in parts]
    return [reshaped(trace, value, [*known[:place], *parts, *known[place + 1 :]], copy=False)]


def _expand(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    wanted = sizes(argument(operator, "size"))
    padded = unsqueezed(value, list(range(len(wanted) - value.rank)))
    for one, place in zip(wanted, padded.axes, strict=True):
        if one not in (-1, 1) and size_of(place) == 1 and not isinstance(one, OpenSize):
            raise OperatorRefused(
                "axes of the sizes that they have", f"one of size 1 repeated {one} times",
                "Train without expand: arithmetic broadcasts automatically.",
            )  # fmt: skip
    return [padded]


def _size(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    return [fixed(sizes_array([size_of(value.axes[axis(operator, value)])]))]


def _select(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    return [picked(trace, value, axis(operator, value), int(argument(operator, "index")))]


def _slice(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    place = axis(operator, value)
    start, stop = size(argument(operator, "start", 0)), size(argument(operator, "end", 2**63 - 1))
    step = int(argument(operator, "step", 1))
    if isinstance(start, OpenSize) or isinstance(stop, OpenSize):
        whole = isinstance(stop, OpenSize) and not stop.opaque and (start, step) == (0, 1)
        if whole and stop == size_of(value.axes[place]):
            return [sliced(trace, value, place, 0, -value.late) if value.late else value]
        raise OperatorRefused(
            "consecutive features, or the last step", "a slice that ends at a computed step",
            "Choose steps outside the network, or slice with numbers.",
        )  # fmt: skip
    return [sliced(trace, value, place, start, stop, step)]


def _narrow(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    start, length = size(argument(operator, "start")), size(argument(operator, "length"))
    if isinstance(start, OpenSize) or isinstance(length, OpenSize):
        raise OperatorRefused(
            "a slice with numbers", "one of computed sizes", "Slice with numbers."
        )
    return [sliced(trace, value, axis(operator, value), start, start + length)]


def _chunk(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    place, count = axis(operator, value), int(argument(operator, "chunks"))
    return [_parts(trace, value, place, lambda total: -(-total // count))]


def _split(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    place = axis(operator, value)
    given = argument(operator, "split_size", argument(operator, "split_sizes"))
    if isinstance(given, (list, tuple)):
        return [split(trace, value, place, [int(one) for one in given])]
    return [_parts(trace, value, place, lambda _: int(given))]


def _parts(trace: CallTrace, value: Traced, place: int, part: Any) -> list[Traced]:
    """Parts of one size, a smaller one at the end."""
    total = size_of(value.axes[place])
    if isinstance(total, OpenSize):
        raise OperatorRefused("parts of the features", "parts of an axis of any size", _AGAIN)
    one = max(1, part(total))
    listed = [min(one, total - start) for start in range(0, total, one)]
    return split(trace, value, place, listed)


def _unbind(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    place = axis(operator, value)
    total = size_of(value.axes[place])
    if isinstance(total, OpenSize):
        raise OperatorRefused("parts of the features", "parts of an axis of any size", _AGAIN)
    return [[picked(trace, value, place, index) for index in range(total)]]


def _cat(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    values = _traced(argument(operator, "tensors"))
    return [joined(trace, values, int(argument(operator, "dim", 0)))]


def _stack(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    values = _traced(argument(operator, "tensors"))
    return [stacked(trace, values, int(argument(operator, "dim", 0)))]


def _traced(values: Any) -> list[Traced]:
    if not all(isinstance(value, Traced) for value in values):
        raise OperatorRefused(
            "tensors that depend on the readings", "a constant among them",
            "Join constants into the weights that read them, or pass them as an input.",
        )  # fmt: skip
    return list(values)


def _getitem(_: CallTrace, operator: Operator) -> Sequence[Any]:
    return [operator.given(0)[int(operator.given(1))]]


def _index_select(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, place = operator.traced(0), axis(operator, operator.traced(0))
    index = argument(operator, "index")
    if not isinstance(index, np.ndarray) or index.size != 1:
        raise OperatorRefused(
            "one index", "several, or computed ones", "Take slices, or choose steps outside."
        )
    made = picked(trace, value, place, int(index.reshape(-1)[0]))
    return [unsqueezed(made, [place])]


def _packed(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    return [transposed(value, (1, 0, 2)) if argument(operator, "batch_first") else value]


def _sorted_streams(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """Streams in another order, which is that of their lengths: each stays what it is."""
    value = operator.traced(0)
    return [trace.need(value, axis(operator, value), AxisKind.BATCH)]


SHAPES: Final[dict[str, Handler]] = {
    "_unsafe_view": _reshape,
    "cat": _cat,
    "chunk": _chunk,
    "expand": _expand,
    "flatten": _flatten,
    "getitem": _getitem,
    "index_select": _index_select,
    "movedim": _movedim,
    "narrow": _narrow,
    "numpy_T": _turned,
    "packed": _packed,
    "permute": _permute,
    "reshape": _reshape,
    "select": _select,
    "slice": _slice,
    "sorted_streams": _sorted_streams,
    "split": _split,
    "split_with_sizes": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "sym_size": _size,
    "t": _turned,
    "transpose": _transpose,
    "unbind": _unbind,
    "unflatten": _unflatten,
    "unpacked": _packed,
    "unsqueeze": _unsqueeze,
    "view": _reshape,
}
