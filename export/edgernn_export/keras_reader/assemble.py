"""Join the parts into layers: fold scalings into weights, merge activations.

A scaling y = gain * x + offset after a linear Dense becomes part of that Dense
(W' = gain W, b' = gain b + offset); anywhere else it becomes part of the next layer
(W' = W gain, b' = b + W offset). Both are exact in real numbers; all of it is float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from edgernn.formats import FloatArray
from edgernn_export.float_model import MAX_RECURRENT_LAYERS, FloatDense, FloatLayer
from edgernn_export.keras_reader.parts import (
    ActivationPart,
    DensePart,
    Part,
    RecurrentPart,
    ScalePart,
    UnknownPart,
)
from edgernn_export.preflight import Findings


@dataclass(slots=True, kw_only=True)
class Chain:
    """The layers joined so far.

    Attributes:
        findings: receives what cannot be folded or merged.
        layers: finished layers.
        recurrent: number of recurrent layers, refused ones included.
        return_sequences, stateful: of the Keras model.
        softmax: the model ends in a softmax.
    """

    findings: Findings
    layers: list[FloatLayer] = field(default_factory=list)
    recurrent: int = 0
    return_sequences: bool = True
    stateful: bool = False
    softmax: bool = False
    _pending: ScalePart | None = None
    _last: Part | None = None
    _ended: bool = False

    def add(self, part: Part) -> None:
        """Join the next part."""
        if self.softmax and not self._ended:
            self._ended = True
            self.findings.add(
                part.owner,
                "softmax as the last layer",
                "a layer after the softmax",
                "Remove what follows the softmax.",
            )
        if isinstance(part, ScalePart):
            self._scale(part)
        elif isinstance(part, ActivationPart):
            self._activate(part)
        elif isinstance(part, UnknownPart):
            self.recurrent += part.recurrent
            self._pending, self._last = None, part
        else:
            self._layer(part)

    def finish(self, owner: str) -> None:
        """Note what only the whole model shows."""
        if self._pending is not None:
            self._refuse_scale(self._pending)
        if not 1 <= self.recurrent <= MAX_RECURRENT_LAYERS:
            self.findings.add(
                owner,
                f"1 to {MAX_RECURRENT_LAYERS} recurrent layers",
                f"{self.recurrent}",
                "Use between 1 and 8 SimpleRNN, LSTM or GRU layers.",
            )

    def _layer(self, part: RecurrentPart | DensePart) -> None:
        layer: FloatLayer = part.layer
        if self._pending is not None:
            layer = _fold_into(layer, self._pending)
            self._pending = None
        if isinstance(part, RecurrentPart):
            self.recurrent += 1
            self.return_sequences = part.return_sequences
            self.stateful = self.stateful or part.stateful
        self.layers.append(layer)
        self._last = part

    def _linear_dense(self) -> FloatDense | None:
        """The layer just before, if it is a Dense that is still linear."""
        if self._pending is not None or not isinstance(self._last, DensePart):
            return None
        layer = self.layers[-1]
        linear = isinstance(layer, FloatDense) and layer.activation == "linear"
        return layer if linear and isinstance(layer, FloatDense) else None

    def _scale(self, part: ScalePart) -> None:
        dense = self._linear_dense()
        if self.softmax:
            return
        if dense is not None:
            self.layers[-1] = _fold_back(dense, part)
        elif self._pending is None:
            self._pending = part
        else:
            first = self._pending
            gain = first.gain * part.gain
            offset = first.offset * part.gain + part.offset
            self._pending = ScalePart(owner=part.owner, gain=gain, offset=offset)

    def _activate(self, part: ActivationPart) -> None:
        if self._pending is not None:
            self._refuse_scale(self._pending)
            self._pending = None
        elif part.activation == "softmax":
            self.softmax = True
        elif (dense := self._linear_dense()) is not None:
            self.layers[-1] = replace(dense, activation=part.activation)
        elif not isinstance(self._last, UnknownPart):
            self.findings.add(
                part.owner,
                f"{part.activation} directly after a linear Dense",
                f"it after {self._last.owner if self._last else 'the input'}",
                "Put a linear Dense before it, or remove it.",
            )

    def _refuse_scale(self, part: ScalePart) -> None:
        self.findings.add(
            part.owner,
            "a scaling next to a linear layer that can take it up",
            f"one after {self._last.owner if self._last else 'the input'} without such a layer",
            "Let a recurrent or Dense layer follow it, or apply it to a linear Dense.",
        )


def _fold_into(layer: FloatLayer, scale: ScalePart) -> FloatLayer:
    """Let a layer take up the scaling of its input."""
    gain = _per_feature(scale.gain, layer.inputs)
    offset = _per_feature(scale.offset, layer.inputs)
    bias = layer.bias + layer.kernel @ offset
    use_bias = layer.use_bias or bool(np.any(bias))
    return replace(layer, kernel=layer.kernel * gain, bias=bias, use_bias=use_bias)


def _fold_back(dense: FloatDense, scale: ScalePart) -> FloatDense:
    """Let a linear Dense take up the scaling of its output."""
    gain = _per_feature(scale.gain, dense.units)
    bias = dense.bias * gain + _per_feature(scale.offset, dense.units)
    use_bias = dense.use_bias or bool(np.any(bias))
    return replace(dense, kernel=dense.kernel * gain[:, None], bias=bias, use_bias=use_bias)


def _per_feature(values: FloatArray, width: int) -> FloatArray:
    return np.broadcast_to(values, (width,))
