"""Copies of Keras layers with fewer inputs or units, and of models made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.compress.structured.keras_chain import (
    KERNELS,
    IntArray,
    core_of,
    gates_of,
    values_of,
)
from edgernn_export.keras_reader.graph import operations_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """What stays of one layer, and what its bias takes up.

    Attributes:
        inputs: indices of the inputs that stay; None keeps all.
        units: indices of the units that stay; None keeps all.
        added: what comes on top of the bias [G*H], before units are removed; None for nothing.
    """

    inputs: IntArray | None = None
    units: IntArray | None = None
    added: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Copy:
    """A new layer and the weights it gets once it is built.

    Attributes:
        layer: not built, not yet part of a model.
        values: weights by attribute of the layer's core.
    """

    layer: Any
    values: Mapping[str, FloatArray]

    def fill(self) -> None:
        """Assign the weights."""
        core = core_of(self.layer)
        for name, value in self.values.items():
            getattr(core, name).assign(value)
        if hasattr(core, "finalize_state"):  # Normalization derives its tensors from its weights
            core.finalize_state()


def copy_layer(layer: Any, cut: Cut = Cut()) -> Copy:
    """Copy a layer of a class that the Keras reader supports, all of it or what a cut leaves.

    The state of a stateful layer is not copied.
    """
    core = core_of(layer)
    if any(hasattr(core, name) for name in KERNELS):
        return _matrix_layer(layer, core, cut)
    return _plain_layer(layer, cut.inputs)


def columns_of(units: IntArray, core: Any) -> IntArray:
    """Columns [G*K] of K units in a kernel [N, G*H] of all gates."""
    starts = np.arange(gates_of(core))[:, None] * int(core.units)
    return (starts + units).ravel()


def _matrix_layer(layer: Any, core: Any, cut: Cut) -> Copy:
    config = layer.get_config()
    inner = config
    for key in ("cell", "layer"):
        if key in config:
            config[key] = dict(config[key], config=dict(config[key]["config"]))
            config[key].pop("build_config", None)  # the shapes of before
            inner = config[key]["config"]
    kernels = [name for name in KERNELS if hasattr(core, name)]
    values = {name: values_of(getattr(core, name)) for name in kernels}
    if core.use_bias:
        values["bias"] = values_of(core.bias)
    if cut.added is not None and cut.added.any():
        values["bias"] = _with_bias(core, values.get("bias"), cut.added)
        inner["use_bias"] = True
    if cut.inputs is not None:
        values["kernel"] = np.take(values["kernel"], cut.inputs, axis=-2)
    if cut.units is not None:
        inner["units"] = len(cut.units)
        columns = columns_of(cut.units, core)
        values = {name: value[..., columns] for name, value in values.items()}
        values["recurrent_kernel"] = values["recurrent_kernel"][cut.units]
    return Copy(layer=type(layer).from_config(config), values=values)


def _with_bias(core: Any, bias: FloatArray | None, added: FloatArray) -> FloatArray:
    """The bias after an addition; the first of two rows where a GRU resets after its product."""
    rows = 2 if getattr(core, "reset_after", False) else 1
    total = np.zeros((rows, added.size)) if bias is None else bias.reshape(rows, -1).copy()
    total[0] += added
    return total if rows == 2 else total[0]


#: Weights with one value per feature.
_PER_FEATURE: Final = (
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "adapt_mean",
    "adapt_variance",
    "alpha",
)
#: Arguments that may hold one value per feature.
_ARGUMENTS: Final = ("mean", "variance", "scale", "offset")


def _plain_layer(layer: Any, inputs: IntArray | None) -> Copy:
    """A layer without matrices: its width follows from its input."""
    config = layer.get_config()
    values: dict[str, FloatArray] = {}
    for name in _PER_FEATURE:
        variable = getattr(layer, name, None)
        if variable is not None:
            values[name] = _kept(values_of(variable), inputs)
    if hasattr(layer, "count"):
        values["count"] = values_of(layer.count)
    if inputs is not None:
        _shrink_arguments(layer, config, inputs)
    return Copy(layer=type(layer).from_config(config), values=values)


def _shrink_arguments(layer: Any, config: dict[str, Any], inputs: IntArray) -> None:
    given = {"mean": "input_mean", "variance": "input_variance"}
    for name in _ARGUMENTS:
        value = getattr(layer, given.get(name, name), None)
        if name in config and value is not None and np.size(value) > 1:
            config[name] = _kept(np.asarray(value, dtype=np.float64), inputs).tolist()
    target = config.get("target_shape")
    if target and target[-1] != -1:
        config["target_shape"] = (*target[:-1], len(inputs))
    noise = config.get("noise_shape")
    if noise and noise[-1] not in (None, 1):
        config["noise_shape"] = (*noise[:-1], len(inputs))


def _kept(values: FloatArray, inputs: IntArray | None) -> FloatArray:
    """One value per feature, or one for all, for the features that stay."""
    kept: FloatArray = values if inputs is None or values.size == 1 else values[..., inputs]
    return kept


def rebuild(model: Any, copy: Callable[[Any], Sequence[Copy]], inputs: int | None = None) -> Any:
    """A new model of the same class, names and nesting.

    Args:
        model: a model that the Keras reader accepts.
        copy: what takes the place of each layer.
        inputs: width of the input; None keeps it.

    Returns:
        The model, not compiled.
    """
    made: dict[int, Sequence[Copy]] = {}

    def once(layer: Any) -> Sequence[Copy]:
        if id(layer) not in made:  # layers without weights may be used more than once
            made[id(layer)] = copy(layer)
        return made[id(layer)]

    width = int(model.inputs[0].shape[-1]) if inputs is None else inputs
    result = _rebuild(model, once, width)
    for copies in made.values():
        for filled in copies:
            filled.fill()
    return result


def _rebuild(model: Any, copy: Callable[[Any], Sequence[Copy]], width: int) -> Any:
    import keras

    given = model.inputs[0]
    start = tensor = keras.Input(
        batch_shape=(*given.shape[:-1], width),
        dtype=given.dtype,
        name=given._keras_history.operation.name,
    )
    in_order = isinstance(model, keras.Sequential)
    sequence = keras.Sequential([start], name=model.name) if in_order else None
    for old in operations_of(model):
        if isinstance(old, keras.Model):
            layers = [_rebuild(old, copy, int(tensor.shape[-1]))]
        else:
            layers = [part.layer for part in copy(old)]
        for layer in layers:
            if sequence is None:
                tensor = layer(tensor)
            else:
                sequence.add(layer)
                tensor = sequence.outputs[0]
    return keras.Model(start, tensor, name=model.name) if sequence is None else sequence
