"""Join the parts into layers: fold scalings into weights, merge activations.

A scaling y = gain * x + offset after a linear Dense becomes part of that Dense
(W' = gain W, b' = gain b + offset); anywhere else it becomes part of the next layer
(W' = W gain, b' = b + W offset). Both are exact in real numbers; all of it is float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import MAX_RECURRENT_LAYERS, FloatDense, FloatLayer
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.layers.layer_parts import (
    ActivationPart,
    DensePart,
    LayerPart,
    RecurrentPart,
    ScalePart,
    Shape,
    ShapePart,
    UnknownPart,
)


@dataclass(slots=True, kw_only=True)
class JoinedLayers:
    """The layers joined so far.

    Attributes:
        findings: receives what cannot be folded or merged.
        shape: of the values so far, without the batch; None where it is unknown.
        layers: finished layers.
        recurrent: number of recurrent layers, refused ones included.
        return_sequences, stateful: of the Keras model.
        steps: readings the first recurrent layer takes, None for any number.
        softmax: the model ends in a softmax.
    """

    findings: Findings
    shape: Shape | None
    layers: list[FloatLayer] = field(default_factory=list)
    recurrent: int = 0
    return_sequences: bool = True
    stateful: bool = False
    steps: int | None = None
    softmax: bool = False
    _pending: ScalePart | None = None
    _last: LayerPart | None = None
    _ended: bool = False
    _last_step_alone: bool = False

    def add(self, part: LayerPart) -> None:
        """Join the next part."""
        if isinstance(part, ShapePart):
            self._reshape(part)
            return
        if self.softmax and not self._ended:
            self._ended = True
            self.findings.add(
                part.owner,
                "softmax as the last layer",
                "a layer after the softmax",
                "Build the model up to the softmax, and compute outside it what follows.",
            )
        if isinstance(part, ScalePart):
            self._scale(part)
        elif isinstance(part, ActivationPart):
            self._activate(part)
        elif isinstance(part, UnknownPart):
            self.recurrent += part.recurrent
            self._pending, self._last, self.shape = None, part, None
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
                f"Train with at most {MAX_RECURRENT_LAYERS} of them."
                if self.recurrent
                else "A network without a state needs no session: convert it with TFLite.",
            )

    def _layer(self, part: RecurrentPart | DensePart) -> None:
        layer: FloatLayer = part.layer
        self._check_width(part.owner, layer.inputs)
        if self._pending is not None:
            layer = _fold_into(layer, self._pending)
            self._pending = None
        if isinstance(part, RecurrentPart):
            self._after_recurrent(part)
        elif self.shape is not None:
            self.shape = (*self.shape[:-1], layer.units)
        self.layers.append(layer)
        self._last = part

    def _after_recurrent(self, part: RecurrentPart) -> None:
        steps = self.shape[0] if self.shape is not None and len(self.shape) == 2 else None
        if self._last_step_alone or (self.shape and len(self.shape) != 2 - part.one_step):
            self.findings.add(
                part.owner,
                "every step of the layer before",
                "its last step alone" if self._last_step_alone else f"shape {self.shape}",
                "Train with return_sequences=True in every recurrent layer but the last.",
            )
        if self.recurrent == 0:
            self.steps = 1 if part.one_step else steps
        self.recurrent += 1
        self.return_sequences = part.return_sequences
        self.stateful = self.stateful or part.stateful
        if part.return_sequences:
            self.shape = (steps, part.layer.units)
            return
        self._last_step_alone = steps != 1 and not part.one_step
        self.shape = (part.layer.units,)

    def _check_width(self, owner: str, width: int) -> None:
        if self.shape is not None and self.shape[-1] != width:
            self.findings.add(
                owner,
                f"weights for the {self.shape[-1]} features it is given",
                f"weights for {width}",
                "Pass the weights that belong to the model.",
            )

    def _reshape(self, part: ShapePart) -> None:
        """Take note of another shape; it must leave every step, and its features, as they are."""
        before = self.shape
        if before is None:
            return
        after = part.reshaped(before)
        if after is None or not _same_steps(before, after) or before[-1] != after[-1]:
            self.findings.add(
                part.owner,
                "a layer that leaves every step as it is",
                f"shape {before} turned into {after or 'another'}",
                "A stream has no steps to join or to swap: train without it, for the last step "
                "alone with return_sequences=False.",
            )
            self.shape = None
            return
        if len(before) == 2 and len(after) == 1:
            self.return_sequences = False
        self.shape = after

    def _linear_dense(self) -> FloatDense | None:
        """The layer just before, if it is a Dense that is still linear."""
        if self._pending is not None or not isinstance(self._last, DensePart):
            return None
        layer = self.layers[-1]
        linear = isinstance(layer, FloatDense) and layer.activation == "linear"
        return layer if linear and isinstance(layer, FloatDense) else None

    def _scale(self, part: ScalePart) -> None:
        dense = self._linear_dense()
        for values in (part.gain, part.offset):
            if values.size > 1:
                self._check_width(part.owner, values.size)
                if self.shape is not None and values.size != self.shape[-1]:
                    return
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
                "Put a linear Dense before it whose kernel is the identity: the answers stay.",
            )

    def _refuse_scale(self, part: ScalePart) -> None:
        self.findings.add(
            part.owner,
            "a scaling next to a linear layer that can take it up",
            f"one after {self._last.owner if self._last else 'the input'} without such a layer",
            "Put a linear Dense behind it whose kernel is the identity: the answers stay.",
        )


def _same_steps(before: Shape, after: Shape) -> bool:
    """Whether two shapes have as many steps; one step needs no axis."""
    if len(before) > 2 or len(after) > 2:
        return False
    was, now = (shape[0] if len(shape) == 2 else 1 for shape in (before, after))
    return was == now or (len(before) == len(after) == 2 and None in (was, now))


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
