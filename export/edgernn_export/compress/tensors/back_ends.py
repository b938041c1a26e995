"""Functions of tensors by their names in Keras, for whatever library a tensor is of.

Tensors of PyTorch go to PyTorch itself, all others to `keras.ops` on TensorFlow, JAX or Torch. So
each clause is written once, and PyTorch without Keras can train it too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Tensor = Any
#: Tensors by name, or in their order.
Tensors = Any


def _is_torch(value: Any) -> bool:
    while isinstance(value, (list, tuple)):
        value = value[0]
    torch = sys.modules.get("torch")  # no tensor is its where nobody has imported it
    return torch is not None and isinstance(value, torch.Tensor)


@cache
def _torch() -> Any:
    from edgernn_export.compress.tensors import torch_functions

    return torch_functions


def _keras_back_end() -> str:
    import keras

    return str(keras.backend.backend())


class _Functions:
    """Each function by its name in Keras; its first argument says which library it is of."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def of_library(first: Any, *rest: Any, **options: Any) -> Any:
            if _is_torch(first):
                return getattr(_torch(), name)(first, *rest, **options)
            from keras import ops

            return getattr(ops, name)(first, *rest, **options)

        setattr(self, name, of_library)
        return of_library


ops: Any = _Functions()


def has_double(x: Tensor) -> bool:
    """Whether the library of a tensor has float64.

    JAX has none unless all that a process computes is to have it.
    """
    return _is_torch(x) or _keras_back_end() != "jax"


def like(values: npt.ArrayLike, x: Tensor) -> Tensor:
    """Numbers as a tensor of the library, and where it has several devices, the device of another.

    Args:
        values: of the type that the tensor is to have.
        x: any tensor.
    """
    array = np.asarray(values)
    if _is_torch(x):
        import torch

        # It refuses to share what must not be written.
        return torch.as_tensor(array if array.flags.writeable else array.copy(), device=x.device)
    from keras import ops as keras_ops

    return keras_ops.convert_to_tensor(array)


def constant(values: npt.ArrayLike, x: Tensor) -> Tensor:
    """The same as float32, which every library multiplies with tensors."""
    return like(np.asarray(values, np.float32), x)


def with_gradient(clause: Callable[..., tuple[Tensor, Any]]) -> Callable[..., Tensor]:
    """A clause with its own gradient, written the same for every library.

    Args:
        clause: from tensors to one tensor, and the rule that takes its gradient to theirs; what
            else it reads gets no gradient.
    """

    def run(*given: Tensor) -> Tensor:
        if _is_torch(given):
            return _torch().custom_gradient(clause)(*given)
        from keras import ops as keras_ops

        return keras_ops.custom_gradient(clause)(*given)

    return run


def held(variable: Any) -> Tensor:
    """The value of a variable as a tensor, which stays when the variable is assigned another.

    TensorFlow's loops can read nothing else in their gradients.
    """
    return ops.stop_gradient(variable.value)


def gathered(table: Tensor, places: Tensor) -> Tensor:
    """The rows of a table at places within it, of which none is below 0."""
    if not _is_torch(places) and _keras_back_end() == "tensorflow":
        import tensorflow as tf

        return tf.gather(table, places)  # `keras.ops.take` would look for places below 0 first
    return ops.take(table, places, axis=0)


def scan(
    step: Callable[[tuple[Tensor, ...], Tensors], tuple[Tensor, ...]],
    states: tuple[Tensor, ...],
    inputs: Tensors,
) -> tuple[Tensor, ...]:
    """All states of a loop over time, [T, ...] each.

    Args:
        step: from the states and the inputs of a step to new states.
        states: before the first step.
        inputs: of all steps, [T, ...] each, by name.
    """
    made: tuple[Tensor, ...]
    if _is_torch(states):
        made = _torch().scan(step, states, inputs)
        return made
    if _keras_back_end() == "tensorflow":
        import tensorflow as tf

        # XLA compiles the gradient of this loop, and not that of `keras.ops.scan`.
        made = tf.scan(step, inputs, initializer=states)
        return made
    from keras import ops as keras_ops

    def both(now: tuple[Tensor, ...], given: Tensors) -> tuple[Any, Any]:
        new = step(now, given)
        return new, new

    _, made = keras_ops.scan(both, states, inputs)
    return made
