"""Hidden states in addition to the outputs of a Keras model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgernn.errors import DistillationError
from edgernn.model.layers import Layer
from edgernn_export.keras_reader.findings import owner_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The teacher's or student's model, kept from Keras's search for a distiller's own weights.

    Attributes:
        model: answers outputs, or [outputs, hidden states] of the same pass.
        head: activation at its output.
        units: width of the hidden states; None if they are not used.
    """

    model: Any
    head: str
    units: int | None


def with_hidden(model: Any, layer_name: str | None, whose: str) -> tuple[Any, int]:
    """A model of the same layers that answers [outputs, hidden states], and their width.

    Args:
        model: Sequential or Functional.
        layer_name: the recurrent layer; None takes the last one.
        whose: "teacher" or "student", for messages.

    Raises:
        DistillationError: there is no such layer, or it does not lie between input and output.
    """
    import keras

    if not getattr(model, "outputs", None):
        raise DistillationError(
            f"{whose} {owner_of(model)}: expected a Sequential or Functional modelwith "
            "accessible hidden states, got a model class. Pass hidden_weight=0."
        )
    layer = _recurrent(model, layer_name, whose)
    states = layer.output
    if isinstance(states, (list, tuple)):
        raise DistillationError(
            f"{whose} {owner_of(layer)}: expected only outputs, got states as well "
            "(return_state=True). Build the layer with return_state=False."
        )
    record = getattr(getattr(layer, "cell", None), "record", None)
    if isinstance(record, Layer):  # codes of a model under quantization-aware training
        states = states * record.output_scale
    try:
        both = keras.Model(model.inputs[0], [model.outputs[0], states])
    except ValueError as error:
        raise DistillationError(
            f"{whose} {owner_of(layer)}: expected a layer between the model's input and "
            f"output, got one that is called elsewhere. Name another layer in {whose}_layer=."
        ) from error
    return both, int(states.shape[-1])


def _recurrent(model: Any, name: str | None, whose: str) -> Any:
    import keras

    kinds = (keras.layers.RNN, keras.layers.Bidirectional)
    found = [layer for layer in model.layers if isinstance(layer, kinds)]
    if name is not None:
        found = [layer for layer in model.layers if layer.name == name]
    if not found:
        names = ", ".join(repr(layer.name) for layer in model.layers)
        raise DistillationError(
            f"{whose}_layer: expected a recurrent layer of the {whose} {owner_of(model)}, got "
            f"{'none' if name is None else repr(name)}. It has {names}; layers of nested "
            "models are not accessible. Name one of these."
        )
    return found[-1]


def same_steps(student: Any, teacher: Any) -> tuple[Any, Any]:
    """Both as sequences [B, T, ...] or both as last steps [B, ...]; a sequence gives its last."""
    if len(student.shape) < len(teacher.shape):
        return student, teacher[:, -1]
    if len(teacher.shape) < len(student.shape):
        return student[:, -1], teacher
    return student, teacher
