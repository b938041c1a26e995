"""What a library of arrays calls the functions of a step: NumPy, Keras, nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgernn.graph.ops import Function

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
