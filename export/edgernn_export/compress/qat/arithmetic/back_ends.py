"""What Keras's back-ends do each in their own way: gradients of clauses, variables, loops, tables.

All else of training is written in `keras.ops`, once for TensorFlow, JAX and Torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import keras
from keras import ops

Tensor = Any
#: Tensors by name, or in their order.
Tensors = Any

BACK_END: Final[str] = keras.backend.backend()
#: Whether float64 is at hand: JAX has none unless all that a process computes is to have it.
HAS_DOUBLE: Final = BACK_END != "jax"


def with_gradient(clause: Callable[..., tuple[Tensor, Any]]) -> Callable[..., Tensor]:
    """`keras.ops.custom_gradient` of a clause that is written the same for every back-end.

    Args:
        clause: from tensors to one tensor, and the rule that takes its gradient to theirs; what
            else it reads gets no gradient.
    """

    def both(*given: Tensor) -> tuple[Tensor, Any]:
        made, rule = clause(*given)

        # Torch passes what the clause was given, too, and the gradient by name.
        def backwards(*received: Tensor, upstream: Tensor = None) -> Any:
            return rule(received[-1] if upstream is None else upstream)

        return made, backwards

    made: Callable[..., Tensor] = ops.custom_gradient(both)
    return made


def held(variable: Any) -> Tensor:
    """The value of a variable as a tensor, which stays when the variable is assigned another.

    TensorFlow's loops can read nothing else in their gradients.
    """
    return ops.stop_gradient(variable.value)


def gathered(table: Tensor, places: Tensor) -> Tensor:
    """The rows of a table at places within it, of which none is below 0."""
    if BACK_END == "tensorflow":
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
        inputs: of all steps, [T, ...] each.
    """
    if BACK_END == "tensorflow":
        import tensorflow as tf

        # XLA compiles the gradient of this loop, and not that of `keras.ops.scan`.
        made: tuple[Tensor, ...] = tf.scan(step, inputs, initializer=states)
        return made

    def both(now: tuple[Tensor, ...], given: Tensors) -> tuple[Any, Any]:
        new = step(now, given)
        return new, new

    _, made = ops.scan(both, states, inputs)
    return made
