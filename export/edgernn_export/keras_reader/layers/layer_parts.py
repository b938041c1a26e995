"""What a Keras layer contributes to the float model, before folding and merging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import FloatDense, FloatRecurrent
from edgernn_export.keras_reader.findings import Findings

#: Of values without the batch: (T, I) or (I,), None where T is open.
Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the layer readers share.

    Attributes:
        findings: where reasons are noted.
        keras2: the file was written by Keras 2, whose hard_sigmoid is clip(0.2 x + 0.5, 0, 1).
        rank: axes of what the layer is given, the batch among them; None where it is unknown.
    """

    findings: Findings
    keras2: bool
    rank: int | None = None

    @property
    def last_axis(self) -> tuple[Any, ...]:
        """How a configuration names the last axis; Keras 2 counts it from the batch, in a list."""
        axes = (-1, 1, 2) if self.rank is None else (-1, self.rank - 1)
        return (*axes, *((axis,) for axis in axes))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecurrentPart:
    """A recurrent layer and what Keras did with its outputs and its state.

    Attributes:
        owner: how reasons name the layer.
        layer: the float layer.
        return_sequences, stateful: of the Keras layer.
        one_step: a cell, which takes [B, I] where layers take [B, T, I].
    """

    owner: str
    layer: FloatRecurrent
    return_sequences: bool
    stateful: bool
    one_step: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DensePart:
    """A dense layer; an activation that follows may still merge into it while linear."""

    owner: str
    layer: FloatDense


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalePart:
    """y = gain * x + offset per feature; scalars or [F]."""

    owner: str
    gain: FloatArray
    offset: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPart:
    """An activation of its own: "relu", "tanh", "sigmoid" or "softmax"."""

    owner: str
    activation: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapePart:
    """A layer that gives its values another shape.

    Attributes:
        owner: how reasons name the layer.
        reshaped: the shape it makes of one, without the batch; None where that cannot be said.
    """

    owner: str
    reshaped: Callable[[Shape], Shape | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPart:
    """A layer that was refused; nothing can be said about its neighbours."""

    owner: str
    recurrent: bool


Part = RecurrentPart | DensePart | ScalePart | ActivationPart | ShapePart | UnknownPart
Layer = Any
