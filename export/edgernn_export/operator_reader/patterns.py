"""Functions that exporters write as products: x times what another function makes of x."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.operator_reader.trace import CallTrace
from edgernn_export.operator_reader.values import Traced

#: What multiplies x in the functions that are products, by the functions applied to x.
_PRODUCTS: Final = {
    ("sigmoid",): "silu",
    ("hard_sigmoid",): "hard_silu",
    ("softplus", "tanh"): "mish",
}
#: The operation of the error function, which edgernn has in no other place.
ERROR_FUNCTION: Final = "Erf"
_CLOSE: Final = 1e-6


def known_product(first: CallResult, second: CallResult) -> tuple[str, CallResult, float] | None:
    """The function that a product of two tensors is.

    Args:
        first: a tensor.
        second: what it is multiplied by.

    Returns:
        The text of the function, the tensor that it is applied to, and a factor behind it; None
        for any other product.
    """
    for x, other in ((first, second), (second, first)):
        names, start = _functions(other)
        if names in _PRODUCTS and _same(start, x):
            return _PRODUCTS[names], x, 1.0
        found = _gelu(x, other)
        if found is not None:
            return found
    return None


def error_function(trace: CallTrace, value: Traced) -> Traced:
    """The error function, which is read as a part of gelu alone."""
    layer = trace.operation(ERROR_FUNCTION)
    return value.each(lambda tensor: trace.call(layer, [tensor]))


def _gelu(x: CallResult, other: CallResult) -> tuple[str, CallResult, float] | None:
    """Gelu: g x (a + a erf(x / sqrt 2)) is 2 g a gelu(x)."""
    gain, offset, erf = _affine(other)
    if erf.call.layer is None or erf.call.layer.stored_class != ERROR_FUNCTION:
        return None
    inner, shift, start = _affine(erf.call.inputs[0])
    own, more, base = _affine(x)
    good = (
        _same(start, base)
        and not (shift or more)
        and abs(inner - np.sqrt(0.5)) < _CLOSE
        and abs(gain - offset) < _CLOSE * abs(gain)
    )
    return ("gelu", base, 2.0 * own * gain) if good else None


def _functions(tensor: CallResult) -> tuple[tuple[str, ...], CallResult]:
    """Names of functions that were applied last, the innermost first, and to what."""
    names: list[str] = []
    while True:
        layer = tensor.call.layer
        function = getattr(layer, "activation", None) if layer is not None else None
        if layer is None or layer.stored_class != "Activation":
            break
        if not isinstance(function, PointwiseFunction) or not function.is_plain:
            break
        names.insert(0, function.name)
        (tensor,) = tensor.call.inputs
        if tuple(names) in _PRODUCTS:
            break
    return tuple(names), tensor


def _affine(tensor: CallResult) -> tuple[float, float, CallResult]:
    """Gain and offset that were applied last, as single numbers, and to what."""
    gain, offset = 1.0, 0.0
    while True:
        call = tensor.call
        number = _number(call)
        if number is None:
            return gain, offset, tensor
        kind = call.layer.stored_class
        if kind == "Multiply":
            gain *= number
        elif kind == "Divide":
            gain /= number
        else:
            offset += gain * (number if kind == "Add" else -number)
        (tensor,) = call.inputs


def _number(call: Any) -> float | None:
    """The one number behind a tensor in an operation on both; None for other calls."""
    if call.layer is None or call.layer.stored_class not in (
        "Add",
        "Divide",
        "Multiply",
        "Subtract",
    ):
        return None
    value = (call.arguments or {}).get("argument 2")
    if value is None or np.size(value) != 1 or len(call.inputs) != 1:
        return None
    number = float(np.reshape(value, ()))
    return None if call.layer.stored_class == "Divide" and number == 0.0 else number


def _same(first: CallResult, second: CallResult) -> bool:
    return first.call is second.call and first.index == second.index
