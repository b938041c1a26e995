"""Find the one path of layers from the input to the output of a Keras model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgernn_export.keras_reader.config import check_dtype
from edgernn_export.keras_reader.parts import Context
from edgernn_export.preflight import Findings, owner_of

_ONE_PATH = "Make a model with one input, one output and one path between them."


@dataclass(slots=True, kw_only=True)
class LayerPath:
    """Layers of a model, nested models flattened.

    Attributes:
        main: layers from input to output.
        beside: layers off that path; checked, so that all reasons are known, and never used.
        steps: readings the input takes, None for any number.
    """

    main: list[Any] = field(default_factory=list)
    beside: list[Any] = field(default_factory=list)
    steps: int | None = None


def layer_path(model: Any, context: Context) -> LayerPath:
    """Walk a Sequential or Functional model; note a reason for every branch.

    Args:
        model: a live keras.Model.
        context: receives the reasons.

    Returns:
        The layers in the order they are applied, without InputLayers.
    """
    path = LayerPath()
    if not _is_graph(model, context.findings):
        return path
    _check_input(model, context.findings)
    path.steps = _input_steps(model)
    _walk(model, path, context.findings)
    _check_reuse(path, context.findings)
    return path


def _is_graph(model: Any, findings: Findings) -> bool:
    """Sequential or Functional, built, and not a subclass with a call of its own."""
    import keras

    owner = owner_of(model)
    check_dtype(model, findings)
    sequential = isinstance(model, keras.Sequential)
    functional = hasattr(model, "operations") or sequential
    if not functional or not type(model).__module__.startswith("keras."):
        findings.add(
            owner,
            "a Sequential or Functional model",
            f"the model class {type(model).__module__}.{type(model).__qualname__}",
            "Rebuild it with keras.Sequential or the functional API and copy the weights.",
        )
        return False
    if not model.built or not getattr(model, "inputs", None):
        findings.add(
            owner,
            "a model with weights",
            "a model without a known input",
            "Start it with keras.Input((None, features)) and train it.",
        )
        return False
    return True


def _check_input(model: Any, findings: Findings) -> None:
    for tensor in model.inputs:
        shape = tuple(tensor.shape)
        if len(shape) != 3 or shape[2] is None:
            findings.add(
                owner_of(model),
                "an input of shape (batch, time, features) with a fixed number of features",
                f"{shape}",
                "Use keras.Input((None, features)).",
            )
        dtype = str(tensor.dtype)
        if not dtype.startswith("float") or getattr(tensor, "sparse", False):
            kind = f"sparse {dtype}" if getattr(tensor, "sparse", False) else dtype
            findings.add(owner_of(model), "a dense float input", kind, "Feed float32 readings.")


def _input_steps(model: Any) -> int | None:
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    return shapes[0][1] if len(shapes) == 1 and len(shapes[0]) == 3 else None


def operations_of(model: Any, findings: Findings) -> list[Any]:
    """Layers and nested models of a Sequential or Functional model, in the order of application."""
    import keras

    if isinstance(model, keras.Sequential):
        return list(model.layers)
    return list(reversed(_back_to_input(model.outputs[0], findings)))


def _walk(model: Any, path: LayerPath, findings: Findings) -> None:
    import keras

    if isinstance(model, keras.Sequential):
        for layer in operations_of(model, findings):
            _append(layer, path, findings)
        return
    for what, tensors in (("input", model.inputs), ("output", model.outputs)):
        if len(tensors) != 1:
            findings.add(owner_of(model), f"one {what}", f"{len(tensors)} {what}s", _ONE_PATH)
    main = operations_of(model, findings)
    for operation in main:
        _append(operation, path, findings)
    path.beside += [
        operation
        for operation in model.operations
        if not isinstance(operation, keras.layers.InputLayer)
        and not any(operation is other for other in main)
    ]


def _append(layer: Any, path: LayerPath, findings: Findings) -> None:
    import keras

    if not isinstance(layer, keras.Model):
        path.main.append(layer)
    elif _is_graph(layer, findings):
        _walk(layer, path, findings)


def _back_to_input(tensor: Any, findings: Findings) -> list[Any]:
    """Operations from a tensor back to the input, following first input tensors."""
    import keras

    operations: list[Any] = []
    while True:
        operation, node_index, _ = tensor._keras_history
        if isinstance(operation, keras.layers.InputLayer):
            return operations
        operations.append(operation)
        node = operation._inbound_nodes[node_index]
        _check_call(operation, node, findings)
        if not node.input_tensors:
            return operations
        tensor = node.input_tensors[0]


def _check_call(operation: Any, node: Any, findings: Findings) -> None:
    """Note call arguments that change inference: training, mask, initial_state."""
    import keras

    count = len(node.input_tensors)
    if count != 1:
        findings.add(owner_of(operation), "one input tensor", f"{count}", _ONE_PATH)
    if not isinstance(operation, keras.Layer):
        return
    extra = {f"argument {i}": value for i, value in enumerate(node.arguments.args[1:], 2)}
    for name, value in (extra | dict(node.arguments.kwargs)).items():
        if value is None or value is False or (count != 1 and _has_tensor(value)):
            continue
        findings.add(
            owner_of(operation),
            "a call with its input alone",
            f"{name}={value!r:.60}",
            "Call the layer without it and copy the weights.",
        )


def _has_tensor(value: Any) -> bool:
    import keras

    items = value if isinstance(value, (list, tuple)) else [value]
    return any(isinstance(item, keras.KerasTensor) for item in items)


def _check_reuse(path: LayerPath, findings: Findings) -> None:
    for index, layer in enumerate(path.main):
        if getattr(layer, "weights", None) and any(layer is other for other in path.main[:index]):
            findings.add(
                owner_of(layer),
                "a layer used once",
                "the same layer used twice",
                "Use a second layer with a copy of the weights.",
            )
