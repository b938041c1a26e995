"""Functions of `keras.ops` for tensors of PyTorch, as far as training uses them; Keras is not used.

Arguments have the names and meanings that Keras gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def convert_to_numpy(x: Any) -> Any:
    """The values, apart from the gradient."""
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def cast(x: Tensor, dtype: str | torch.dtype) -> Tensor:
    """Of another type, which may be given by its name."""
    return x.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)


def shape(x: Tensor) -> tuple[int, ...]:
    """Sizes of the axes."""
    return tuple(x.shape)


def stop_gradient(x: Tensor) -> Tensor:
    """The same values without a gradient."""
    return x.detach()


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of the shape and type of another."""
    return torch.zeros_like(x)


def ones_like(x: Tensor) -> Tensor:
    """Ones of the shape and type of another."""
    return torch.ones_like(x)


def full_like(x: Tensor, fill_value: float) -> Tensor:
    """One value in the shape and type of another."""
    return torch.full_like(x, fill_value)


def reshape(x: Tensor, newshape: Sequence[int]) -> Tensor:
    """The same values in another shape."""
    return x.reshape(tuple(newshape))


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order, the reverse where none is given."""
    return x.permute(*(reversed(range(x.ndim)) if axes is None else axes))


def expand_dims(x: Tensor, axis: int) -> Tensor:
    """One axis more."""
    return x.unsqueeze(axis)


def flip(x: Tensor, axis: int) -> Tensor:
    """An axis backwards."""
    return x.flip(axis)


def tile(x: Tensor, repeats: Sequence[int]) -> Tensor:
    """Several times along each axis."""
    return x.repeat(*repeats)


def concatenate(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """One behind the other."""
    return torch.cat(tuple(xs), dim=axis)


def stack(x: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Side by side along a new axis."""
    return torch.stack(tuple(x), dim=axis)


def unstack(x: Tensor, num: int) -> tuple[Tensor, ...]:
    """The parts along the first axis."""
    assert x.shape[0] == num
    return x.unbind()


def take(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    """Rows at places, in the shape of the places."""
    assert axis == 0
    return x[indices.long()]


def segment_sum(data: Tensor, segment_ids: Tensor, num_segments: int) -> Tensor:
    """Sums of the rows with the same number."""
    sums = data.new_zeros((num_segments, *data.shape[1:]))
    return sums.index_add(0, segment_ids.long(), data)


def where(condition: Tensor, x1: Any, x2: Any) -> Tensor:
    """One where it holds, the other elsewhere."""
    return torch.where(condition, x1, x2)


def abs(x: Tensor) -> Tensor:  # as Keras calls it
    """Magnitudes."""
    return x.abs()


def clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    """Between two numbers."""
    return x.clamp(x_min, x_max)


def maximum(x1: Tensor, x2: Any) -> Tensor:
    """The larger of two."""
    return torch.maximum(x1, x2) if isinstance(x2, Tensor) else x1.clamp(min=x2)


def minimum(x1: Tensor, x2: Any) -> Tensor:
    """The smaller of two."""
    return torch.minimum(x1, x2) if isinstance(x2, Tensor) else x1.clamp(max=x2)


def relu(x: Tensor) -> Tensor:
    """The larger of a number and 0."""
    return functional.relu(x)


def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """Integers divided, towards the next one below."""
    return torch.div(x1, x2, rounding_mode="floor")


def floor(x: Tensor) -> Tensor:
    """The next integer below."""
    return x.floor()


def round(x: Tensor) -> Tensor:  # as Keras calls it
    """The nearest integer, of two the even one."""
    return x.round()


def square(x: Tensor) -> Tensor:
    """Times itself."""
    return x.square()


def sqrt(x: Tensor) -> Tensor:
    """The square root."""
    return x.sqrt()


def rsqrt(x: Tensor) -> Tensor:
    """One over the square root."""
    return x.rsqrt()


def exp(x: Tensor) -> Tensor:
    """The exponential."""
    return x.exp()


def log(x: Tensor) -> Tensor:
    """The natural logarithm."""
    return x.log()


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function."""
    return x.sigmoid()


def log_sigmoid(x: Tensor) -> Tensor:
    """Its logarithm."""
    return functional.logsigmoid(x)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of the softmax."""
    return x.log_softmax(axis)


def left_shift(x: Tensor, y: Any) -> Tensor:
    """Bits upwards."""
    return torch.bitwise_left_shift(x, y)


def right_shift(x: Tensor, y: Any) -> Tensor:
    """Bits downwards, with the sign."""
    return torch.bitwise_right_shift(x, y)


def bitwise_and(x: Tensor, y: Any) -> Tensor:
    """Bits of both."""
    return torch.bitwise_and(x, y)


def sum(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Sums of the type of what is added."""
    return x.sum(dim=axis, keepdim=keepdims, dtype=x.dtype)


def mean(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Means."""
    return x.mean(dim=axis, keepdim=keepdims)


def max(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The largest."""
    return x.amax() if axis is None else x.amax(dim=axis, keepdim=keepdims)


def any(x: Tensor, axis: int | None = None) -> Tensor:  # as Keras calls it
    """Whether one holds."""
    return x.any() if axis is None else x.any(dim=axis)


def all(x: Tensor, axis: int) -> Tensor:  # as Keras calls it
    """Whether all hold."""
    return x.all(dim=axis)


def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """Sums of products, each as exact as the type.

    A process may let products of float32 be less exact (`torch.set_float32_matmul_precision`);
    then they are made of float64.
    """
    if x1.dtype is torch.float32 and torch.get_float32_matmul_precision() != "highest":
        return (x1.double() @ x2.double()).float()
    return x1 @ x2


def custom_gradient(clause: Callable[..., tuple[Tensor, Any]]) -> Callable[..., Tensor]:
    """A function with its own gradient.

    Args:
        clause: from tensors to one tensor, and the rule that takes its gradient to theirs.
    """

    def run(*given: Tensor) -> Tensor:
        made: Tensor = _Clause.apply(clause, *given)  # type: ignore[no-untyped-call]
        return made

    return run


class _Clause(torch.autograd.Function):
    """A clause and the rule of its gradient."""

    @staticmethod
    def forward(ctx: Any, clause: Callable[..., tuple[Tensor, Any]], *given: Tensor) -> Tensor:
        """The tensor that the clause makes."""
        made, ctx.rule = clause(*given)
        # The rule may hold what was made: were it the output too, neither would ever be released.
        return made.detach()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Any:
        """The gradients of what the clause was given."""
        found = ctx.rule(upstream)
        return None, *(found if isinstance(found, tuple) else (found,))


def scan(
    step: Callable[[tuple[Tensor, ...], Any], tuple[Tensor, ...]],
    states: tuple[Tensor, ...],
    inputs: Any,
) -> tuple[Tensor, ...]:
    """All states of a loop over the first axis of the inputs, a mapping of tensors.

    Args:
        step: from the states and the inputs of a step to new states.
        states: before the first step.
        inputs: of all steps, [T, ...] each.
    """
    by_step = zip(*(tensor.unbind() for tensor in inputs.values()), strict=True)
    found = []
    for given in by_step:
        states = step(states, dict(zip(inputs, given, strict=True)))
        found.append(states)
    return tuple(torch.stack(parts) for parts in zip(*found, strict=True))
