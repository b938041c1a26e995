"""What helps, in the words of ONNX and of those who export to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edgernn_export.keras_reader.wording import Wording
from edgernn_export.operator_reader.operators import OperatorNode, unknown_operator
from edgernn_export.operator_reader.trace import OperatorRefused

ONNX: Final = Wording(
    features_input="Export it with an input of (batch, time, features), the features fixed.",
    float_input="Export it with an input of type float32.",
    same_steps=(
        "Train with inputs of the same number of steps, and repeat constant values at every step."
    ),
    tokens_input="Export it with tokens of (batch, time).",
    integer_input="Export it with an input of type int64.",
    same_branches=(
        "Train with all steps (Y) or the last one (Y_h) in both branches: a stream has no steps to "
        "repeat."
    ),
    same_grids="Give both branches the same strides, kernel sizes and padding.",
    last_step=(
        "A stream has no steps to join or swap. Train without this operator; for the last step "
        "alone, use Y_h."
    ),
    every_step="Connect the output of all steps (Y) of the operator before it.",
    stateless="A network without a state needs no session: run it with ONNX Runtime.",
    identity_after=("Add a Gemm with the identity as weights after it; the outputs do not change."),
    identity_before=(
        "Add a Gemm with the identity as weights before it; the outputs do not change."
    ),
    same_outputs="Export all outputs at every step (Y), or all at the last one (Y_h).",
    longer_windows=(
        "Export it for windows of {steps} readings, and use longer windows; the outputs belong to "
        "the same readings."
    ),
    zero_state=(
        "This cell starts from the zero state: export it without initial_h and initial_c, or as a "
        "plain RNN, LSTM or GRU."
    ),
    own_start=(
        "Add a separate input for it, as for a decoder, or train with the zero state: a stream has "
        "no end to look back from."
    ),
    causal="Train with zeros before the first step in all convolutions: pads=[reach, 0].",
    causal_first=(
        "Move strides, pooling and convolutions without padding before all recurrent operators, "
        "or train with strides of 1 and zeros before the first step."
    ),
    last_of_backward="Use Y_h of that operator instead.",
    forward_encoder="Train the encoder in one direction, and quantize both as programs.",
    unit_strides="Train with strides of 1 and zeros before the first step.",
    fixed_steps=(
        "Export it for windows of a fixed number of steps, or say how many: input_shapes={'NAME': "
        "(1, steps, features)}, or --input-shape NAME=1,STEPS,FEATURES."
    ),
    forward_pooling="Train with the last states (Y_h) instead, or with direction=forward.",
)

_MASKS: Final = (
    "Train without masks, and pass streams of different lengths: a stream ends where its readings "
    "do. Of a Keras model, pass the .keras file."
)
#: What helps against operators that are not read.
_CURES: Final = {
    "QuantizeLinear": "Pass the float model from before it was quantized.",
    "DequantizeLinear": "Pass the float model from before it was quantized.",
    "Equal": _MASKS,
    "Where": _MASKS,
}


def unsupported(node: OperatorNode, known: Iterable[str]) -> OperatorRefused:
    """The reason for an operator that nothing reads.

    Args:
        node: the operator.
        known: kinds that are read.
    """
    return unknown_operator(node, known, _CURES, "docs/reference/support.md")
