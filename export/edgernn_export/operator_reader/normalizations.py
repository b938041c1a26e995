"""Operators that normalize, and layer normalization that exporters write out as its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.keras_reader.layers.readers import RECIPROCAL, ROOT
from edgernn_export.keras_reader.stored.layer import StoredLayer
from edgernn_export.operator_reader.shapes import without
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused, check_width, told
from edgernn_export.operator_reader.values import Atom, AxisKind, Traced, size_of

_AGAIN: Final = "Export the network again."
_FUNCTIONS: Final[dict[str, np.ufunc]] = {
    "Add": np.add, "Divide": np.divide, "Multiply": np.multiply, "Subtract": np.subtract
}  # fmt: skip
#: What a normalization is written with, besides means.
_ON: Final = (*_FUNCTIONS, ROOT, RECIPROCAL)
#: Operators of what is written out, at most.
_MOST_WRITTEN: Final = 24
#: Sizes of the rows by which an expression is known; variances small and large beside epsilon.
_PROBED: Final = (1e-6, 1e-3, 1.0, 1e2)
_CLOSE: Final = 1e-6


def batch_normalized(
    trace: CallTrace,
    value: Traced,
    place: int,
    *,
    scale: FloatArray,
    offset: FloatArray,
    mean: FloatArray,
    variance: FloatArray,
    epsilon: float,
) -> Traced:
    """Batch normalization with statistics from training, all [F]."""
    value = trace.need(value, place, AxisKind.FEATURES)
    for values in (scale, offset, mean, variance):
        if values.size != scale.size:
            raise OperatorRefused(f"statistics of {scale.size} features", f"{values.size}", _AGAIN)
    check_width(value, place, scale.size)
    weights = {
        "gamma": scale, "beta": offset, "moving_mean": mean, "moving_variance": variance
    }  # fmt: skip
    layer = trace.layer("BatchNormalization", {"epsilon": epsilon}, weights)
    return value.each(lambda tensor: trace.call(layer, [tensor]))


def layer_normalized(
    trace: CallTrace,
    value: Traced,
    places: Sequence[int],
    *,
    scale: FloatArray | None,
    offset: FloatArray | None,
    epsilon: float,
) -> Traced:
    """Layer normalization over the features of every step.

    Args:
        trace: takes calls.
        value: any value.
        places: of the axes that are normalized together.
        scale: [F]; None for 1.
        offset: [F]; None for 0.
        epsilon: added to the variance.

    Raises:
        OperatorRefused: it normalizes other axes, or has parameters for other features.
    """
    wide = [place for place in places if size_of(value.axes[place]) != 1]
    if len(wide) > 1:
        raise OperatorRefused(
            "the features of a step normalized together",
            " and ".join(f"the {told(value.axes[place])}" for place in wide),
            "Train with one normalization of the last axis.",
        )
    place = wide[0] if wide else places[-1]
    value = trace.need(value, place, AxisKind.FEATURES)
    for one in (scale, offset):
        if one is not None:
            check_width(value, place, one.size)
    layer = _layer_norm(trace, scale, offset, epsilon)
    return value.each(lambda tensor: trace.call(layer, [tensor]))


def _layer_norm(
    trace: CallTrace, scale: FloatArray | None, offset: FloatArray | None, epsilon: float
) -> StoredLayer:
    config = {"scale": scale is not None, "center": offset is not None, "epsilon": epsilon}
    given = {"gamma": scale, "beta": offset}
    weights = {name: one.reshape(-1) for name, one in given.items() if one is not None}
    return trace.layer("LayerNormalization", config, weights)


def mean(trace: CallTrace, value: Traced, places: Sequence[int], *, keep: bool) -> Traced:
    """The mean of the features of every step: a matrix with one column.

    Args:
        trace: takes calls.
        value: any value.
        places: of the axes that a mean is taken over.
        keep: their axes stay, with a size of 1.

    Raises:
        OperatorRefused: it is one of steps, or of streams.
    """
    wide = [place for place in places if size_of(value.axes[place]) != 1]
    kinds = {atom.kind for place in wide for atom in value.axes[place]}
    if len(wide) != 1 or not (
        kinds == {AxisKind.FEATURES} or (kinds == {None} and wide == [value.rank - 1])
    ):
        raise OperatorRefused(
            "the mean of the features of a step",
            " and ".join(f"one over the {told(value.axes[place])}" for place in wide) or "another",
            "Train with a recurrent layer instead, whose output depends on all earlier steps.",
        )
    value = trace.need(value, wide[0], AxisKind.FEATURES)
    width = value.axes[wide[0]][0].size
    if width is None:
        raise OperatorRefused("a fixed number of features", "an open one", _AGAIN)
    layer = trace.layer("Dense", {"use_bias": False}, {"kernel": np.full((width, 1), 1.0 / width)})
    made = value.each(lambda tensor: trace.call(layer, [tensor]))
    made = made.with_axis(wide[0], (Atom(AxisKind.FEATURES, 1),))
    for place in () if keep else sorted(places, reverse=True):
        made = without(trace, made, place)
    return made


def statistic(trace: CallTrace, value: Traced, kind: str) -> Traced | None:
    """The root, or the reciprocal, of a number that means of features give.

    Args:
        trace: takes calls.
        value: any value.
        kind: `ROOT` or `RECIPROCAL`.

    Returns:
        None where a value is anything else.
    """
    if not all(map(_is_statistic, value.tensors)):
        return None
    layer = trace.operation(kind)
    return value.each(lambda tensor: trace.call(layer, [tensor]))


def written_layer_norm(trace: CallTrace, tensor: CallResult) -> CallResult | None:
    """The layer normalization whose arithmetic led to a tensor; None where none did.

    Exporters write it in many ways. It is known by what it makes of rows of numbers.
    """
    written = _written(tensor, through_means=True)
    if not any(_kind(one) == RECIPROCAL for one in written):
        return None
    constants = [_constant(one) for one in written if _kind(one) == "Add"]
    offsets = {float(c.reshape(())) for c in constants if c is not None and c.size == 1}
    bases = {one.call.inputs[0]: _mean_width(one) for one in written if _mean_width(one)}
    for base, width in bases.items():
        # The largest one first: a small one looks like none, but keeps rows of equal values finite.
        for epsilon in sorted({0.0, *(one for one in offsets if one > 0.0)}, reverse=True):
            found = _probed(tensor, base, width, epsilon)
            if found is not None:
                return trace.call(_layer_norm(trace, *found, epsilon), [base])
    return None


def _probed(
    tensor: CallResult, base: CallResult, width: int, epsilon: float
) -> tuple[FloatArray, FloatArray] | None:
    """Gain and offset [F] if a tensor is the layer normalization of a base."""
    rng = np.random.default_rng(1)
    rows = np.concatenate([size * rng.normal(size=(4, width)) for size in _PROBED])
    made = _computed(tensor, base, rows)
    if made is None or made.shape != rows.shape or width < 2 or not np.isfinite(made).all():
        return None
    even = rows - rows.mean(axis=1, keepdims=True)
    even /= np.sqrt(np.square(even).mean(axis=1, keepdims=True) + epsilon)
    # Of the two rows of the last size that are furthest apart, per feature.
    columns, last = np.arange(width), even[-4:]
    low, high = (len(even) - 4 + end(last, axis=0) for end in (np.argmin, np.argmax))
    rise = made[high, columns] - made[low, columns]
    gain = rise / (even[high, columns] - even[low, columns])
    offset = made[low, columns] - gain * even[low, columns]
    close = np.abs(gain * even + offset - made) <= _CLOSE * (1.0 + np.abs(made).max())
    return (gain, offset) if close.all() else None


def _computed(tensor: CallResult, base: CallResult, rows: FloatArray) -> FloatArray | None:
    """What arithmetic makes of rows [N, F] in the place of a tensor; None where it is unknown."""
    known: dict[tuple[int, int], FloatArray] = {_key(base): rows}
    order = [one for one in _written(tensor, through_means=True) if _key(one) != _key(base)]
    for _ in order:  # what is computed of others comes behind them
        for one in order:
            given = [known.get(_key(read)) for read in one.call.inputs]
            if _key(one) not in known and all(read is not None for read in given):
                made = _applied(one, [read for read in given if read is not None])
                if made is not None:
                    known[_key(one)] = made
        if _key(tensor) in known:
            break
    return known.get(_key(tensor))


def _applied(one: CallResult, given: Sequence[FloatArray]) -> FloatArray | None:
    """The result of a call."""
    kind, pair = _kind(one), list(given)
    with np.errstate(all="ignore"):  # what is not finite is no normalization
        if _mean_width(one):
            return pair[0].mean(axis=1, keepdims=True) if pair[0].shape[1] > 1 else pair[0]
        if kind in (ROOT, RECIPROCAL):
            return np.sqrt(pair[0]) if kind == ROOT else 1.0 / pair[0]
        constant = _constant(one)
        if constant is not None:
            before = "argument 1" in (one.call.arguments or {})
            pair.insert(0 if before else 1, constant.reshape(1, -1))
        if _is_spread(one):
            return np.repeat(pair[0], one.call.layer.weights["kernel"].size, axis=1)
        if kind not in _FUNCTIONS or len(pair) != 2:
            return None
        made: FloatArray = _FUNCTIONS[kind](*pair)
        return made


def _key(tensor: CallResult) -> tuple[int, int]:
    return id(tensor.call), tensor.index


def _kind(tensor: CallResult) -> str:
    return "" if tensor.call.layer is None else str(tensor.call.layer.stored_class)


def _constant(tensor: CallResult) -> FloatArray | None:
    """The constant that a call has besides its tensor."""
    given = tensor.call.arguments or {}
    found = [given[name] for name in ("argument 1", "argument 2") if name in given]
    return np.asarray(found[0], dtype=np.float64) if found else None


def _mean_width(tensor: CallResult) -> int:
    """Of how many features it is the mean; 0 for all else."""
    layer = tensor.call.layer
    if _kind(tensor) != "Dense" or layer.config["use_bias"]:
        return 0
    kernel = layer.weights["kernel"]
    width = len(kernel)
    is_mean = kernel.shape == (width, 1) and np.allclose(kernel * width, 1.0, rtol=_CLOSE)
    return width if is_mean else 0


def _is_spread(tensor: CallResult) -> bool:
    """Whether it is one number, as often as there are features."""
    layer = tensor.call.layer
    if _kind(tensor) != "Dense" or layer.config["use_bias"]:
        return False
    kernel = layer.weights["kernel"]
    return len(kernel) == 1 and bool((kernel == 1.0).all())


def _is_statistic(tensor: CallResult) -> bool:
    """Whether it is computed of means alone."""
    written = _written(tensor, through_means=False)
    ends = [one for one in written if _kind(one) not in _ON]
    return len(written) < _MOST_WRITTEN and bool(ends) and all(map(_mean_width, ends))


def _written(tensor: CallResult, *, through_means: bool) -> list[CallResult]:
    """What led to a tensor through arithmetic, as far as a normalization is long."""
    found = {_key(tensor): tensor}
    for one in (waiting := [tensor]):
        mean = _mean_width(one) > 0 or _is_spread(one)
        if _kind(one) in _ON or (through_means and mean):
            for read in one.call.inputs:
                if _key(read) not in found and len(found) < _MOST_WRITTEN:
                    found[_key(read)] = read
                    waiting.append(read)
    return list(found.values())
