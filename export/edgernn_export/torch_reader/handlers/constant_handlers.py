"""Operators of constants and sizes alone: they are computed here.

An axis of any size is one of size 1 in a constant: it broadcasts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from edgernn_export.operator_reader.operators import Operator
from edgernn_export.operator_reader.trace import OperatorRefused
from edgernn_export.operator_reader.values import OpenSize, is_constant

#: Operators that torch computes, which do the same to an axis of any size as to one of size 1.
_OF_TORCH: Final = frozenset(
    {"abs", "add", "clamp", "div", "exp", "expand", "expand_as", "flatten", "full", "full_like",
     "mul", "neg", "new_full", "new_ones", "new_zeros", "ones", "ones_like", "permute", "relu",
     "repeat", "reshape", "rsub", "select", "sigmoid", "squeeze", "stack", "sub", "t", "tanh",
     "tile", "to", "transpose", "unsqueeze", "view", "zeros", "zeros_like"}
)  # fmt: skip


def folded(operator: Operator) -> Sequence[Any] | None:
    """The results of an operator of constants, sizes and numbers; None if it is not known."""
    made = _OF_SIZES.get(operator.kind)
    if made is not None and all(_is_size(one) for one in operator.inputs[:2]):
        return [made(operator)]
    has_names = hasattr(operator.attribute("target"), "_schema")
    return [_computed(operator)] if has_names and operator.kind in _OF_TORCH else None


def _is_size(value: Any) -> bool:
    """Whether a value is a size or an integer."""
    if isinstance(value, np.ndarray):
        return value.size == 1 and value.dtype.kind in "iO"
    return isinstance(value, (int, np.integer, OpenSize))


def _sized(combined: Callable[[Any, Any], Any]) -> Callable[[Operator], Any]:
    def made(operator: Operator) -> Any:
        pair = [
            one.reshape(-1)[0] if isinstance(one, np.ndarray) else one
            for one in operator.inputs[:2]
        ]
        result = np.empty(1, dtype=object)
        result[0] = combined(*pair)
        return result if not isinstance(result[0], int) else np.array([int(result[0])])

    return made


_OF_SIZES: Final[dict[str, Callable[[Operator], Any]]] = {
    "add": _sized(lambda a, b: a + b),
    "floordiv": _sized(lambda a, b: a // b),
    "mul": _sized(lambda a, b: a * b),
    "sub": _sized(lambda a, b: a - b),
}
#: Kinds of operators that are computed where all inputs are constants, sizes and numbers.
FOLDED: Final = frozenset({*_OF_SIZES, *_OF_TORCH})


def _computed(operator: Operator) -> Any:
    """What torch gives for constants, in which every open size is 1.

    Raises:
        OperatorRefused: it gives no array.
    """
    import torch

    target = operator.attribute("target")
    schema = target._schema
    listed, named = [], {}
    for one, value in zip(schema.arguments, operator.inputs, strict=True):
        if one.name in ("device", "pin_memory", "layout"):
            continue
        given = _plain(value, sizes="int" in str(one.type) and "Tensor" not in str(one.type))
        if one.kwarg_only:
            named[one.name] = given
        else:
            listed.append(given)
    try:
        with torch.no_grad():
            made = target(*listed, **named)
        return np.array(made.detach().cpu().numpy())
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise OperatorRefused(
            "a constant that is the same for all streams", f"{type(error).__name__}",
            "Make it a parameter with an axis of size 1 for the streams, and expand that.",
        ) from error  # fmt: skip


def _plain(value: Any, *, sizes: bool) -> Any:
    """An argument as torch takes it."""
    import torch

    if isinstance(value, OpenSize):
        return 1
    if isinstance(value, (list, tuple)):
        return [_plain(item, sizes=sizes) for item in value]
    if is_constant(value) and isinstance(value, np.ndarray):
        if value.dtype == object or sizes:
            return _plain(value.reshape(-1)[0], sizes=sizes)
        return torch.as_tensor(value)
    return int(value) if isinstance(value, np.integer) else value
