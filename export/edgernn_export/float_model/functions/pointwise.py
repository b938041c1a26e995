"""Every function of `edgernn.model.functions.pointwise` in real numbers, as Keras 3 computes it.

Each is written once, for all libraries, and so that no exponential overflows: gradients of branches
that are not taken stay finite, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgernn.graph.ops import Function
from edgernn.model.functions.pointwise import LIMIT, PointwiseFunction

#: Scale and alpha of selu (Klambauer et al. 2017).
_SELU_SCALE: Final = 1.0507009873554804934193349852946
_SELU_ALPHA: Final = 1.6732632423543772848170429916717
#: The root of 2/π and the factor of the cube in the approximation of gelu by tanh (Hendrycks and
#: Gimpel 2016).
_GELU_TANH: Final = (math.sqrt(2.0 / math.pi), 0.044715)

#: An array [B, N] of the library at hand. Numbers may stand behind its +, -, * and /, and before
#: its -.
StepArray = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """What a library calls the functions of a step.

    Attributes:
        matmul: of [B, N] and [N, R].
        concatenate: of a list, along an axis.
        maximum, minimum: of two arrays, or of one and a number.
        mean: of the last axis, which stays with one element.
        sqrt, exp, log1p, erf, absolute: of every element.
        greater: whether elements are greater than a number.
        where: by what `greater` gives, elements of one or of another; one may be a number.
        functions: of every element.
    """

    matmul: Callable[[StepArray, StepArray], StepArray]
    concatenate: Callable[..., StepArray]
    maximum: Callable[[StepArray, StepArray], StepArray]
    minimum: Callable[[StepArray, StepArray], StepArray]
    mean: Callable[[StepArray], StepArray]
    sqrt: Callable[[StepArray], StepArray]
    exp: Callable[[StepArray], StepArray]
    log1p: Callable[[StepArray], StepArray]
    erf: Callable[[StepArray], StepArray]
    absolute: Callable[[StepArray], StepArray]
    greater: Callable[[StepArray, float], StepArray]
    where: Callable[[StepArray, StepArray, StepArray], StepArray]
    functions: Mapping[Function, Callable[[StepArray], StepArray]]


def pointwise(a: Arithmetic, function: PointwiseFunction, x: StepArray) -> StepArray:
    """A function of every element.

    Args:
        a: of the library of the array.
        function: by name, with its parameters.
        x: any array of the library.
    """
    given = dict(function.parameters)
    limit = given.pop(LIMIT)
    seen = x if limit == math.inf else _clip(a, x, -limit, limit)
    return _FUNCTIONS[function.name](a, seen, **given)


def _linear(_: Arithmetic, x: StepArray) -> StepArray:
    return x


def _relu(
    a: Arithmetic, x: StepArray, max_value: float, negative_slope: float, threshold: float
) -> StepArray:
    """As keras.activations.relu: the slope counts from the threshold, the limit not below 0."""
    y = a.maximum(x, 0.0) if threshold == 0.0 else a.where(a.greater(x, threshold), x, x * 0.0)
    if max_value != math.inf:
        y = a.minimum(a.maximum(y, 0.0), max_value)
    if negative_slope != 0.0:
        y = y - a.maximum(threshold - x, 0.0) * negative_slope
    return y


def _clip(a: Arithmetic, x: StepArray, low: float, high: float) -> StepArray:
    return a.minimum(a.maximum(x, low), high)


def _ramp(
    a: Arithmetic, x: StepArray, slope: float, offset: float, low: float, high: float
) -> StepArray:
    return _clip(a, x * slope + offset, low, high)


def _elu(a: Arithmetic, x: StepArray, alpha: float) -> StepArray:
    return a.maximum(x, 0.0) + (a.exp(a.minimum(x, 0.0)) - 1.0) * alpha


def _selu(a: Arithmetic, x: StepArray) -> StepArray:
    return _elu(a, x, _SELU_ALPHA) * _SELU_SCALE


def _celu(a: Arithmetic, x: StepArray, alpha: float) -> StepArray:
    return a.maximum(x, 0.0) + (a.exp(a.minimum(x, 0.0) / alpha) - 1.0) * alpha


def _gelu(a: Arithmetic, x: StepArray) -> StepArray:
    return x * ((a.erf(x / math.sqrt(2.0)) + 1.0) * 0.5)


def _gelu_tanh(a: Arithmetic, x: StepArray) -> StepArray:
    root, cube = _GELU_TANH
    inner = (x + x * x * x * cube) * root
    return x * ((a.functions[Function.TANH](inner) + 1.0) * 0.5)


def _silu(a: Arithmetic, x: StepArray) -> StepArray:
    return x * a.functions[Function.SIGMOID](x)


def _hard_silu(a: Arithmetic, x: StepArray) -> StepArray:
    return x * a.functions[Function.HARD_SIGMOID](x)


def _softplus(a: Arithmetic, x: StepArray) -> StepArray:
    return a.maximum(x, 0.0) + a.log1p(a.exp(a.absolute(x) * -1.0))


def _mish(a: Arithmetic, x: StepArray) -> StepArray:
    return x * a.functions[Function.TANH](_softplus(a, x))


def _squareplus(a: Arithmetic, x: StepArray, b: float) -> StepArray:
    return (x + a.sqrt(x * x + b)) * 0.5


def _sparse_sigmoid(a: Arithmetic, x: StepArray) -> StepArray:
    return _clip(a, (x + 1.0) * 0.5, 0.0, 1.0)


def _sparse_plus(a: Arithmetic, x: StepArray) -> StepArray:
    ramp = _sparse_sigmoid(a, x)
    return ramp * ramp + a.maximum(x - 1.0, 0.0)


def _exponential(a: Arithmetic, x: StepArray) -> StepArray:
    return a.exp(x)


def _log_sigmoid(a: Arithmetic, x: StepArray) -> StepArray:
    return a.minimum(x, 0.0) - a.log1p(a.exp(a.absolute(x) * -1.0))


def _hard_tanh(a: Arithmetic, x: StepArray) -> StepArray:
    return _clip(a, x, -1.0, 1.0)


def _scaled_tanh(a: Arithmetic, x: StepArray, scale: float, slope: float) -> StepArray:
    """LeCun 1989 has a scale of 1.7159 and a slope of 2/3."""
    return a.functions[Function.TANH](x * slope) * scale


def _softsign(a: Arithmetic, x: StepArray) -> StepArray:
    return x / (a.absolute(x) + 1.0)


def _tanh_shrink(a: Arithmetic, x: StepArray) -> StepArray:
    return x - a.functions[Function.TANH](x)


def _soft_shrink(a: Arithmetic, x: StepArray, threshold: float) -> StepArray:
    return a.maximum(x - threshold, 0.0) + a.minimum(x + threshold, 0.0)


def _hard_shrink(a: Arithmetic, x: StepArray, threshold: float) -> StepArray:
    return a.where(a.greater(a.absolute(x), threshold), x, x * 0.0)


def _threshold(a: Arithmetic, x: StepArray, threshold: float, value: float) -> StepArray:
    return a.where(a.greater(x, threshold), x, x * 0.0 + value)


def _hard_sigmoid_keras2(a: Arithmetic, x: StepArray) -> StepArray:
    return _clip(a, x * 0.2 + 0.5, 0.0, 1.0)


def _own(function: Function) -> Callable[..., StepArray]:
    """One that every library includes."""

    def applied(a: Arithmetic, x: StepArray) -> StepArray:
        return a.functions[function](x)

    return applied


#: name -> what computes it; the other arguments are the parameters of the function by name
_FUNCTIONS: Final[dict[str, Callable[..., StepArray]]] = {
    "linear": _linear,
    "relu": _relu,
    "clip": _clip,
    "ramp": _ramp,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "hard_silu": _hard_silu,
    "mish": _mish,
    "softplus": _softplus,
    "squareplus": _squareplus,
    "sparse_plus": _sparse_plus,
    "exponential": _exponential,
    "log_sigmoid": _log_sigmoid,
    "tanh": _own(Function.TANH),
    "scaled_tanh": _scaled_tanh,
    "hard_tanh": _hard_tanh,
    "softsign": _softsign,
    "tanh_shrink": _tanh_shrink,
    "soft_shrink": _soft_shrink,
    "hard_shrink": _hard_shrink,
    "threshold": _threshold,
    "sigmoid": _own(Function.SIGMOID),
    "hard_sigmoid": _own(Function.HARD_SIGMOID),
    "hard_sigmoid_keras2": _hard_sigmoid_keras2,
    "sparse_sigmoid": _sparse_sigmoid,
}
