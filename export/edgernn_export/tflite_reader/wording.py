"""What helps, in the words of TFLite and of those who convert to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edgernn_export.keras_reader.wording import Wording
from edgernn_export.operator_reader.operators import OperatorNode, unknown_operator
from edgernn_export.operator_reader.trace import OperatorRefused

#: What helps where the file says too little: the network that it was converted from.
KERAS_FILE: Final = "Pass the .keras file that it was converted from."

TFLITE: Final = Wording(
    features_input="Convert it with an input of (batch, time, features), the features fixed.",
    float_input="Convert it with an input of type float32.",
    same_steps=(
        "Train with inputs of the same number of steps, and repeat constant values at every step."
    ),
    tokens_input="Convert it with tokens of (batch, time).",
    integer_input="Convert it with an input of type int32.",
    same_branches=(
        "Train with all steps or the last one in both branches: a stream has no steps to repeat."
    ),
    same_grids="Give both branches the same strides, kernel sizes and padding.",
    last_step=(
        "A stream has no steps to join or swap. Train without this operator; for the last step "
        "alone, use return_sequences=False."
    ),
    every_step="Train with return_sequences=True in every recurrent layer except the last.",
    stateless="A network without a state needs no session: run it with the TFLite interpreter.",
    identity_after=(
        "Add a linear Dense layer with the identity as kernel after it; the outputs do not change."
    ),
    identity_before=(
        "Add a linear Dense layer with the identity as kernel before it; the outputs do not change."
    ),
    same_outputs="Convert it with all outputs at every step, or all at the last one.",
    longer_windows=(
        "Convert it for windows of {steps} readings, and use longer windows; the outputs belong to "
        "the same readings."
    ),
    zero_state="This cell starts from the zero state: train without initial_state.",
    own_start=(
        "Add a separate input for it, as for a decoder, or train with the zero state: a stream has "
        "no end to look back from."
    ),
    causal="Train with padding='causal' in all convolutions.",
    causal_first=(
        "Move strides, pooling and padding='valid' before all recurrent layers, or train with "
        "strides=1 and padding='causal'."
    ),
    last_of_backward="Train with return_sequences=False in that layer instead.",
    forward_encoder="Train the encoder in one direction, and quantize both as programs.",
    unit_strides="Train with strides=1 and padding='causal'.",
)

_POOLED: Final = "Train with a recurrent layer instead, whose output depends on all earlier steps."
#: What helps against operators that are not read.
_CURES: Final = {
    "MEAN": _POOLED,
    "REDUCE_MAX": _POOLED,
    "SUM": _POOLED,
    "QUANTIZE": "Pass the float model from before it was quantized.",
    "LSTM": f"Convert it with UNIDIRECTIONAL_SEQUENCE_LSTM. {KERAS_FILE}",
    "RNN": f"Convert it with UNIDIRECTIONAL_SEQUENCE_RNN. {KERAS_FILE}",
    "IF": KERAS_FILE,
    "NOT_EQUAL": f"If it is of a mask, pass the network without it. {KERAS_FILE}",
    "CALL_ONCE": KERAS_FILE,
}


def unsupported(node: OperatorNode, known: Iterable[str]) -> OperatorRefused:
    """The reason for an operator that nothing reads.

    Args:
        node: the operator.
        known: kinds that are read.
    """
    cures = _CURES
    if node.kind.startswith("Flex"):
        cures = {node.kind: f"It is one of TensorFlow, not of TFLite. {KERAS_FILE}"}
    return unknown_operator(node, known, cures, "docs/reference/support.md")
