"""Sums, products, bounds and functions of values and constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.operator_reader import layers
from edgernn_export.operator_reader.operators import Handler, Operator, numbers
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced, is_constant

_AGAIN: Final = "Export the network again."


def in_type(value: Traced, to: Any, real: bool) -> Traced:
    """A value in another type of numbers, which changes nothing in networks of real numbers.

    Args:
        value: a value.
        to: the type, as the format names it.
        real: it holds real numbers.

    Raises:
        OperatorRefused: the type rounds what the network has computed. An input may be cast to
            tokens.
    """
    if not real and any(tensor.call.inputs for tensor in value.tensors):
        raise OperatorRefused(
            "a cast between types of floats", f"one to type {to}",
            "Train without rounding inside the network.",
        )  # fmt: skip
    return value


def matrix_product(trace: CallTrace, left: Any, right: Any) -> Traced:
    """The product of a value and a constant matrix, in either order.

    Args:
        trace: takes calls.
        left: a value [..., I], or a constant [O, I].
        right: a constant [I, O], or a value [..., I, N].

    Raises:
        OperatorRefused: there is no constant matrix, or no value.
    """
    if isinstance(left, Traced) and is_constant(right):
        kernel, value, place = numbers(right), left, left.rank - 1
    elif is_constant(left) and isinstance(right, Traced):
        kernel, value, place = numbers(left).swapaxes(-1, -2), right, right.rank - 2
    else:
        raise OperatorRefused(
            "a product with a constant matrix", "one of two values that depend on the readings",
            "Train with attention outside the network, or with a recurrent layer instead.",
        )  # fmt: skip
    if kernel.ndim > 2 and kernel.size == kernel.shape[-1] * kernel.shape[-2]:
        kernel = kernel.reshape(kernel.shape[-2:])
    if kernel.ndim != 2 or place < 0:
        raise OperatorRefused("a matrix [I, O]", f"shape {kernel.shape}", _AGAIN)
    return layers.dense(trace, value, place, kernel, None)


def arithmetic(kind: str) -> Handler:
    """What reads an operator of two values, or of a value and a constant.

    Args:
        kind: Add, Subtract, Multiply or Divide.
    """

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        first, second = operator.given(0), operator.given(1)
        if kind == "Divide" and isinstance(second, Traced):
            above = first if isinstance(first, Traced) else operator.floats(0)
            return [layers.divided(trace, above, second)]
        if isinstance(first, Traced) and isinstance(second, Traced):
            return [layers.merged(trace, kind, [first, second])]
        before = is_constant(first)
        value = operator.traced(1 if before else 0)
        constant = operator.floats(0 if before else 1)
        if kind == "Multiply" and not constant.any() and constant.ndim <= value.rank:
            return [np.zeros((1,) * value.rank)]
        return [layers.with_constant(trace, kind, value, constant, before=before)]

    return handler


def several(kind: str) -> Handler:
    """What reads an operator of one value or more, of the same shape.

    Args:
        kind: Add, Average, Maximum or Minimum; constants among the values bound the last two.
    """

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        traced = [value for value in operator.inputs if isinstance(value, Traced)]
        constants = [numbers(value) for value in operator.inputs if is_constant(value)]
        made = traced[0] if len(traced) == 1 else layers.merged(trace, kind, traced)
        for constant in constants:
            if kind == "Add":
                made = layers.with_constant(trace, kind, made, constant, before=False)
                continue
            if constant.size != 1 or kind == "Average":
                raise OperatorRefused("values, or one number", f"shape {constant.shape}", _AGAIN)
            bound = float(constant.reshape(()))
            ends = {"low": bound, "high": math.inf} if kind == "Maximum" else {
                "low": -math.inf, "high": bound
            }  # fmt: skip
            made = layers.function(trace, made, PointwiseFunction.of("clip", **ends))
        return [made]

    return handler


def power(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """A value, its square, or its root as normalizations have it."""
    value, exponent = operator.traced(0), operator.floats(1)
    if exponent.size == 1 and float(exponent.reshape(())) in (0.5, -0.5):
        made = layers.rooted(trace, value)
        return [made if exponent > 0.0 else layers.divided(trace, np.ones(()), made)]
    if exponent.size != 1 or float(exponent.reshape(())) not in (1.0, 2.0):
        got = f"{exponent.reshape(-1)[:3].tolist()}"
        raise OperatorRefused("an exponent of 1 or 2", got, "Train without it.")
    if float(exponent.reshape(())) == 1.0:
        return [value]
    return [layers.merged(trace, "Multiply", [value, value])]


def negative(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """A value times -1."""
    constant = np.array(-1.0)
    value = operator.traced(0)
    return [layers.with_constant(trace, "Multiply", value, constant, before=False)]


def applied_function(name: str, **attributes: tuple[str, float]) -> Handler:
    """What reads a function of each value.

    Args:
        name: of a `PointwiseFunction`.
        **attributes: parameter -> attribute of the operator, and what it is where it is left out.
    """

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        given = {
            parameter: float(operator.attribute(key, default))
            for parameter, (key, default) in attributes.items()
        }
        applied = PointwiseFunction.of(name, **given)
        return [layers.function(trace, operator.traced(0), applied)]

    return handler


def root(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """A root, of the sum of two squares or of a variance."""
    return [layers.rooted(trace, operator.traced(0))]


def below_zero(_: CallTrace, operator: Operator) -> Sequence[Any]:
    """Whether tokens are below 0, which exporters of Keras ask: none is."""
    value, bound = operator.traced(0), operator.floats(1)
    tokens = all(
        not tensor.call.inputs and "int" in str(tensor.call.layer.config.get("dtype"))
        for tensor in value.tensors
    )
    if not tokens or np.any(bound > 0):
        raise OperatorRefused(
            "a comparison of tokens with 0", "another one",
            "Train without comparisons inside the network.",
        )  # fmt: skip
    return [np.zeros((1,) * value.rank, dtype=bool)]
