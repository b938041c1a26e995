"""A Keras layer that is any registered cell: its weights and its step follow from the record."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from edgernn.graph.ops import Function
from edgernn_export.cells.cell_readers import CellMatrix, attribute, matrices_of
from edgernn_export.float_model.cell_plans import (
    EPSILON,
    option_types,
    plan_of,
    record_of,
    weight_shapes,
)
from edgernn_export.float_model.functions.pointwise import Arithmetic
from edgernn_export.float_model.graph_run import FloatStep

_KERAS = Arithmetic(
    matmul=keras.ops.matmul,
    concatenate=keras.ops.concatenate,
    maximum=keras.ops.maximum,
    minimum=keras.ops.minimum,
    mean=lambda v: keras.ops.mean(v, axis=-1, keepdims=True),
    sqrt=keras.ops.sqrt,
    exp=keras.ops.exp,
    log1p=keras.ops.log1p,
    erf=keras.ops.erf,
    absolute=keras.ops.abs,
    greater=keras.ops.greater,
    where=keras.ops.where,
    functions={
        Function.LINEAR: lambda v: v,
        Function.RELU: keras.ops.relu,
        Function.TANH: keras.ops.tanh,
        Function.SIGMOID: keras.ops.sigmoid,
        Function.HARD_SIGMOID: keras.ops.hard_sigmoid,
    },
)
_EPSILON: Final = 1e-3
#: Of the room that constants have, the part in which they begin: long memories train best.
_BEGINNING = (0.8, 0.999)


class Between(keras.constraints.Constraint):  # type: ignore[misc]  # Keras has no types
    """Keeps constants between two numbers, or two arrays of their shape."""

    def __init__(self, low: npt.ArrayLike, high: npt.ArrayLike) -> None:
        self._low, self._high = low, high

    def __call__(self, w: Any) -> Any:
        """The constants, those beyond an end at this end."""
        return keras.ops.clip(w, self._low, self._high)


@keras.saving.register_keras_serializable("edgernn")
class RegisteredCell(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A registered cell, for `keras.layers.RNN`.

    Args:
        kind: of the cell, such as "minimal_gru".
        units: output width.
        options: of its record by name, enumerations by value; the first value where left out. Of
            a cell that normalizes, "epsilon" too, else that of Keras's LayerNormalization, 0.001.
        **layer: arguments of `keras.layers.Layer`.

    Raises:
        UnsupportedModelError: no cell has this name, or other options.
    """

    def __init__(
        self,
        kind: str,
        units: int,
        options: Mapping[str, Any] | None = None,
        **layer: Any,
    ) -> None:
        """Look up the cell."""
        super().__init__(**layer)
        first: dict[str, Any] = {
            name: next(iter(form)).value
            for name, form in option_types(kind).items()
            if isinstance(form, type) and issubclass(form, enum.Enum)
        }
        if EPSILON in option_types(kind):
            first[EPSILON] = _EPSILON
        self.kind, self.units = kind, units
        self.options = {**first, **(options or {})}
        carried = self._plan(1).graph.carried
        self.state_size = [state.before.width for state in carried]
        self.output_size = units

    def build(self, input_shape: Any) -> None:
        """Make the weights, matrices as Keras has them, [N, R]."""
        self._inputs = int(input_shape[-1])
        record = record_of(self.kind)
        self._by_name: dict[str, Any] = {}
        shapes = weight_shapes(self.kind, self._inputs, self.units, self.options)
        for name, shape in shapes.items():
            options: dict[str, Any] = {"initializer": "zeros"}
            if name.endswith(".x"):
                options["initializer"] = "glorot_uniform"
            elif len(shape) == 2:
                options["initializer"] = "orthogonal"
            elif name.endswith((".bias", ".offset")):
                blocks = record.first_bias.get(name.rpartition(".")[0], (0.0,))
                start = np.repeat(blocks, shape[0] // len(blocks))
                options["initializer"] = keras.initializers.Constant(start)
            elif name in record.bounds:
                low, high = record.bounds[name]
                ends = (low + share * (high - low) for share in _BEGINNING)
                options["initializer"] = keras.initializers.RandomUniform(*ends)
                options["constraint"] = Between(low, high)
            if name in record.first_scale:
                options["initializer"] = keras.initializers.Constant(record.first_scale[name])
            made = self.add_weight(name=attribute(name), shape=shape[::-1], **options)
            self._by_name[name] = made
            setattr(self, attribute(name), made)

    def call(self, inputs: Any, states: Sequence[Any]) -> Any:
        """One step, [B, I] and states to [B, H] and new states."""
        plan = self._plan(self._inputs)
        step = FloatStep(plan.graph, plan.terms, _KERAS, plan.epsilon)
        values = step(self._by_name, step.of_input(self._by_name, inputs), states)
        new = [values[state.after.name] for state in plan.graph.carried]
        return values[plan.graph.outputs[0].name], new

    def matrices(self) -> list[CellMatrix]:
        """All matrices of its maps."""
        return matrices_of(self._plan(self._inputs).graph, self._by_name)

    def get_config(self) -> dict[str, Any]:
        """Arguments of a cell like this one."""
        own = {"kind": self.kind, "units": self.units, "options": dict(self.options)}
        return {**super().get_config(), **own}

    def _plan(self, inputs: int) -> Any:
        return plan_of(self.kind, inputs, self.units, tuple(sorted(self.options.items())))
