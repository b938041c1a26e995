"""The terms of the distillation loss, each one number for a batch, and how they are weighed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from edgernn.errors import DistillationError
from edgernn_export.compress.checks import is_real
from edgernn_export.compress.tensors.back_ends import ops

#: What an output vector says: one class out of K, K independent yes or no, or K values.
TASKS: Final = ("classes", "binary", "values")
#: A batch of masked steps alone divides by this.
_LEAST_SHARE: Final = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """Weights of the terms of the loss.

    Attributes:
        temperature: divides the logits of teacher and student; above 0.
        alpha: share of the teacher in the loss, 0 to 1; the labels have the rest.
        hidden_weight: factor of the hidden states' mean squared error; 0 leaves it out.

    Raises:
        DistillationError: a number is outside its range.
    """

    temperature: float
    alpha: float
    hidden_weight: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("temperature", self.temperature, above=0.0)
        number("alpha", self.alpha, least=0.0, most=1.0)
        number("hidden_weight", self.hidden_weight, least=0.0)


def number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
) -> None:
    """Refuse values that are not finite numbers in a range.

    Raises:
        DistillationError: it is not.
    """
    if is_real(value) and least <= value <= most and value > above:
        return
    low = f"above {above:g}" if math.isfinite(above) else f"at least {least:g}"
    high = f" and at most {most:g}" if math.isfinite(most) else ""
    raise DistillationError(f"{name}: expected a number {low}{high}, got {value!r}.")


def soft_targets(student: Any, teacher: Any, temperature: float, weights: Any = None) -> Any:
    """T²·KL(teacher || student) of softmax outputs (Hinton, Vinyals, Dean 2015, section 2).

    The factor keeps the size of the gradients independent of the temperature.

    Args:
        student: logits [B, K] or [B, T, K], float32.
        teacher: logits of the same shape.
        temperature: divides both.
        weights: None, or weights [B] or [B, T] of the vectors.

    Returns:
        The mean over all vectors, in nats.
    """
    log_teacher = ops.log_softmax(teacher / temperature, axis=-1)
    log_student = ops.log_softmax(student / temperature, axis=-1)
    divergence = ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=-1)
    return temperature**2 * weighted_mean(divergence, weights)


def soft_binary_targets(student: Any, teacher: Any, temperature: float, weights: Any = None) -> Any:
    """The same of sigmoid outputs, each a separate distribution; mean over the K outputs.

    The mean, as in Keras's BinaryCrossentropy, to which this is added.

    Args:
        student: logits [B, K] or [B, T, K], float32.
        teacher: logits of the same shape.
        temperature: divides both.
        weights: None, or weights [B] or [B, T] of the vectors.

    Returns:
        The mean over all vectors, in nats.
    """
    ours, theirs = student / temperature, teacher / temperature
    yes = ops.sigmoid(theirs) * (ops.log_sigmoid(theirs) - ops.log_sigmoid(ours))
    no = ops.sigmoid(-theirs) * (ops.log_sigmoid(-theirs) - ops.log_sigmoid(-ours))
    return temperature**2 * weighted_mean(ops.mean(yes + no, axis=-1), weights)


def squared_distance(student: Any, teacher: Any, weights: Any = None) -> Any:
    """Mean squared error of hidden states [B, H] or [B, T, H], in float32."""
    difference = ops.cast(student, "float32") - ops.cast(teacher, "float32")
    return weighted_mean(ops.mean(ops.square(difference), axis=-1), weights)


def without_masked(weights: Any, outputs: Any) -> Any:
    """Weights of outputs of which those at masked steps count nothing, as in Keras's losses.

    Args:
        weights: None, or weights [B] or [B, T].
        outputs: of a Keras model, [B, ...] or [B, T, ...].

    Returns:
        Weights [B, T] whose mean over all steps is that over the others; what was given where
        Keras masks nothing.
    """
    from keras.src.backend import get_keras_mask  # it has no public name

    mask = get_keras_mask(outputs)
    if mask is None:
        return weights
    steps = ops.cast(mask, "float32")
    steps = steps / ops.maximum(ops.mean(steps), _LEAST_SHARE)
    if weights is None:
        return steps
    weights = ops.cast(weights, "float32")
    return steps * (weights if len(weights.shape) > 1 else ops.expand_dims(weights, -1))


def weighted_mean(values: Any, weights: Any) -> Any:
    """Sum of weighted values over their number, as Keras reduces losses.

    Args:
        values: tensor [B] or [B, T].
        weights: None, or a tensor [B] or [B, T].

    Raises:
        DistillationError: weights per step for values per stream.
    """
    if weights is None:
        return ops.mean(values)
    weights = ops.cast(weights, "float32")
    if len(weights.shape) > len(values.shape):
        raise DistillationError(
            "sample_weight: expected one weight per stream [B], got shape "
            f"{tuple(weights.shape)} for a model with one output per stream. Pass one weight "
            "per stream."
        )
    while len(weights.shape) < len(values.shape):
        weights = ops.expand_dims(weights, -1)
    return ops.mean(values * weights)
