"""What a Keras layer contributes to the float model, before folding and merging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgernn.formats import FloatArray
from edgernn_export.float_model import FloatDense, FloatRecurrent
from edgernn_export.preflight import Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the layer readers share.

    Attributes:
        findings: where reasons are noted.
        keras2: the file was written by Keras 2, whose hard_sigmoid is clip(0.2 x + 0.5, 0, 1).
    """

    findings: Findings
    keras2: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecurrentPart:
    """A recurrent layer and what Keras did with its outputs and its state."""

    owner: str
    layer: FloatRecurrent
    return_sequences: bool
    stateful: bool


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


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPart:
    """A layer that was refused; nothing can be said about its neighbours."""

    owner: str
    recurrent: bool


Part = RecurrentPart | DensePart | ScalePart | ActivationPart | UnknownPart
Layer = Any
