"""The mask of a network: one for all of its input, which every recurrent layer sees.

Keras computes a mask where a Masking or an Embedding with mask_zero reads the input, and passes it
on from layer to layer; a layer that does not support masking drops it. A recurrent layer with a
mask keeps its state at masked steps, and its output is the last one again. A stream with masked
steps leaves the whole step out: that is the same network if all recurrent layers see the mask, and
if the outputs depend on what these repeat alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from edgernn_export.keras_reader.findings import Findings, class_of, owner_of
from edgernn_export.keras_reader.flows import Flow
from edgernn_export.keras_reader.graph import Call, Given
from edgernn_export.keras_reader.layers.config import is_builtin
from edgernn_export.keras_reader.layers.operations import is_operation

#: Layers that pass on the mask of what they read.
_PASSING: Final = frozenset(
    {"Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average",
     "BatchNormalization", "Concatenate", "Dense", "Dropout", "ELU", "Embedding", "GRU",
     "GaussianDropout", "GaussianNoise", "Identity", "LSTM", "LayerNormalization", "LeakyReLU",
     "Masking", "Maximum", "Minimum", "Multiply", "Normalization", "PReLU", "RNN", "ReLU",
     "Rescaling", "SimpleRNN", "SpatialDropout1D", "Subtract", "TimeDistributed"}
)  # fmt: skip
_RECURRENT: Final = ("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "SimpleRNN", "SimpleRNNCell")
#: Layers that look at the steps before.
_LOOKING_BACK: Final = (
    "AveragePooling1D", "Conv1D", "DepthwiseConv1D", "GlobalAveragePooling1D",
    "GlobalMaxPooling1D", "MaxPooling1D", "SeparableConv1D",
)  # fmt: skip
_ATTENDING: Final = ("AdditiveAttention", "Attention", "MultiHeadAttention")
_IN_TRAINING: Final = (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise",
    "Identity", "SpatialDropout1D",
)  # fmt: skip
#: Operations that Keras computes masks with.
_OF_MASKS: Final = (
    "Any", "Concatenate", "ExpandDims", "LogicalOr", "NotEqual", "OnesLike", "Squeeze", "ZerosLike",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Masks:
    """The mask of a network, as far as the calls that were read tell.

    Attributes:
        findings: receives what a mask cannot be.
        value: the masked physical value, or the token 0; None where nothing masks.
        source: how reasons name what masks.
    """

    findings: Findings
    value: float | None = None
    source: str = ""
    _unmasked: list[str] = field(default_factory=list)
    _attending: list[str] = field(default_factory=list)

    def begin(self, layer: Any, flow: Flow, given: Sequence[Given]) -> None:
        """Take note of a layer that masks what it reads.

        Args:
            layer: Masking, or an Embedding with mask_zero.
            flow: what it reads.
            given: the inputs of the network.
        """
        owner, tokens = owner_of(layer), class_of(layer) == "Embedding"
        value = 0.0 if tokens else _number(layer.get_config().get("mask_value", 0.0))
        reason: tuple[str, str, str] | None = None
        if value is None or not math.isfinite(value):
            reason = (
                "a finite number as mask_value",
                f"{layer.get_config().get('mask_value')!r:.40}",
                "Replace this value in the data by a number that no reading has, and use it as "
                "mask_value: the weights do not change.",
            )
        elif len(given) != 1:
            reason = (
                "the mask of the only input of a network",
                f"one of {len(given)} inputs",
                "Concatenate the inputs outside the model, so that one mask is that of all.",
            )
        elif flow.shape is not None and not (flow.given and flow.pending is None):
            reason = (
                f"{'an embedding' if tokens else 'Masking'} of the input itself",
                f"one after {flow.owner if flow.pending is None else flow.pending.owner}",
                "Move it before that layer, with the reading that the layer turns into the mask "
                "as mask_value: the outputs do not change.",
            )
        elif tokens and flow.shape is not None and len(flow.shape) == 2 and flow.width > 1:
            reason = (
                "mask_zero of one token per step",
                f"{flow.width} tokens per step",
                "Use mask_zero=False, and Masking of another input, or leave out padding.",
            )
        if reason is not None:
            self.findings.add(owner, *reason)
        elif self.value is not None and self.value != value:
            self.findings.add(
                owner, f"the mask of {self.source}, {self.value:g}", f"{value:g}",
                "Use one Masking layer before all others.",
            )  # fmt: skip
        else:
            self.value, self.source = value, owner

    def after(self, call: Call, given: Sequence[Flow], made: Flow) -> Flow:
        """What a call gives, with the mask that Keras passes on.

        Args:
            call: of a layer or an operation.
            given: what it reads.
            made: what it gives, without a mask.
        """
        layer, name = call.layer, class_of(call.layer)
        known = [flow for flow in given if flow.shape is not None]
        masked = bool(known) and all(flow.masked for flow in known)
        if masked and name == "Softmax" and not is_operation(layer):
            self._refuse_softmax(layer)
        if name in _RECURRENT and is_builtin(layer):
            return self._after_recurrent(layer, masked, made)
        if name in _LOOKING_BACK:
            self._unmasked.append(owner_of(layer))
        if name in _ATTENDING:
            self._attending.append(owner_of(layer))
        passing = name in _PASSING and is_builtin(layer) and not is_operation(layer)
        held = bool(known) and all(flow.held for flow in known)
        return replace(made, masked=masked and passing, held=held)

    def _after_recurrent(self, layer: Any, masked: bool, made: Flow) -> Flow:
        if not masked:
            self._unmasked.append(owner_of(layer))
        elif layer.get_config().get("zero_output_for_mask"):
            self.findings.add(
                owner_of(layer),
                "zero_output_for_mask=False with a mask",
                "zero_output_for_mask=True",
                "Copy the weights into a layer without it: only the outputs of masked steps "
                "differ, which then are the last ones again.",
            )
        return replace(made, masked=masked and made.return_sequences, held=True)

    def _refuse_softmax(self, layer: Any) -> None:
        self.findings.add(
            owner_of(layer),
            "a softmax without a mask",
            "a Softmax layer that reads one, as if it told of features",
            "Use Dense(..., activation='softmax') instead, with the same weights.",
        )

    def check_call(self, call: Call) -> None:
        """Note a mask that is passed to a layer and is not the one that Keras passes on."""
        if call.mask is None:
            return
        found: list[Any] = []
        if not _leaves(call.mask.call, found) or any(
            one is None or self.value is None or np.float32(one) != np.float32(self.value)
            for one in found
        ):
            self.findings.add(
                owner_of(call.layer),
                "the mask of a Masking layer or of mask_zero, which Keras passes on",
                "another mask (mask=)",
                "Mark masked readings by a value, and add keras.layers.Masking(value) as the "
                "first layer: the weights do not change.",
            )

    def finish(self, outputs: Sequence[Flow], names: Sequence[str]) -> None:
        """Note what only the whole network shows."""
        if self.value is None:
            return
        for owner in dict.fromkeys(self._unmasked):
            self.findings.add(
                owner,
                f"a layer that sees the mask of {self.source}",
                "one that does not: it takes masked readings as steps",
                "Keras drops a mask at convolutions, pooling, Reshape, Flatten and operations "
                "such as x * 2. Train without them before a recurrent layer, or pass streams "
                "without padding to the network without its mask.",
            )
        for owner in dict.fromkeys(self._attending):
            self.findings.add(
                owner,
                "attention in a network without a mask",
                f"the mask of {self.source}: at masked steps of the query Keras gives zeros or "
                "means of all steps, not the last output again",
                "Build the network without the mask, copy the weights, and pass windows of which "
                "no reading is padding.",
            )
        for name, flow in zip(names, outputs, strict=True):
            if flow.shape is not None and not flow.held:
                self.findings.add(
                    f"output {name!r}" if name else "the output",
                    "an output of recurrent layers, which a masked step repeats",
                    "one that also reads the input past them",
                    "Train without this connection, or pass streams without padding to the "
                    "network without its mask.",
                )


def is_masking(layer: Any) -> bool:
    """Whether a layer masks what it reads."""
    if not is_builtin(layer):
        return False
    if class_of(layer) == "Embedding":
        return bool(layer.get_config().get("mask_zero"))
    return class_of(layer) == "Masking"


def _number(value: Any) -> float | None:
    """A number, alive or as Keras stores a tensor; None for anything else."""
    if isinstance(value, dict):
        value = (value.get("config") or {}).get("value")
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return float(array) if array.size == 1 else None


def _leaves(call: Call, found: list[Any]) -> bool:
    """Collect what a mask compares the input with; whether Keras could have made it so."""
    name = class_of(call.layer)
    if call.layer is None or not is_operation(call.layer):
        return False
    if name in ("OnesLike", "ZerosLike"):
        return True
    if name != "NotEqual":
        return name in _OF_MASKS and all(_leaves(tensor.call, found) for tensor in call.inputs)
    arguments = call.arguments or {}
    found.append(_number(arguments.get("argument 2", arguments.get("x2"))))
    return len(call.inputs) == 1 and _is_input(call.inputs[0].call)


def _is_input(call: Call) -> bool:
    """Whether it is an input of the network, or one behind layers that act in training only."""
    while call.inputs and class_of(call.layer) in _IN_TRAINING:
        call = call.inputs[0].call
    return not call.inputs
