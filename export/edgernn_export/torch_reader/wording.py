"""What helps, in the words of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edgernn_export.keras_reader.wording import Wording
from edgernn_export.operator_reader.operators import OperatorNode, unknown_operator
from edgernn_export.operator_reader.trace import OperatorRefused

TORCH: Final = Wording(
    features_input="Pass an example of (batch, time, features).",
    float_input="Pass an example of dtype torch.float32.",
    same_steps=(
        "Train with inputs of the same number of steps, and repeat constant values at every step."
    ),
    tokens_input="Pass an example of tokens with axes (batch, time).",
    integer_input="Pass an example of dtype torch.int64.",
    same_branches=(
        "Train with all steps or the last one in both branches: a stream has no steps to repeat."
    ),
    same_grids=(
        "Give both branches the same strides, kernel sizes and padding, all of it before the first "
        "step."
    ),
    last_step=(
        "A stream has no steps to join or swap. Train without this operator; for the last step "
        "alone, use output[:, -1] or the state that a recurrent module returns."
    ),
    every_step="Give it all steps of the recurrent module before it, not the last one.",
    stateless="A network without a state needs no session: run it with torch.",
    identity_after="Add nn.Linear with the identity as weight after it; the outputs do not change.",
    identity_before=(
        "Add nn.Linear with the identity as weight before it; the outputs do not change."
    ),
    same_outputs="Return all outputs at every step, or all at the last one.",
    longer_windows=(
        "Use windows of {steps} readings, and pass an example of that length; the outputs belong "
        "to the same readings."
    ),
    zero_state=(
        "This cell starts from the zero state: train without a first state (hx), or with a plain "
        "nn.RNN, nn.LSTM or nn.GRU."
    ),
    own_start=(
        "Add a separate input for it, as for a decoder, or train without a first state (hx): a "
        "stream has no end to look back from."
    ),
    causal="Train with zeros before the first step alone: torch.nn.functional.pad(x, (reach, 0)).",
    causal_first=(
        "Move strides, pooling and convolutions without padding before all recurrent modules, or "
        "train with strides of 1 and zeros before the first step."
    ),
    last_of_backward="Use the state that the module returns, h_n[1], instead.",
    forward_encoder="Train the encoder with bidirectional=False, and quantize both as programs.",
    unit_strides="Train with strides of 1 and zeros before the first step.",
    fixed_steps="Pass an example of as many steps as the windows have.",
    forward_pooling="Train with the last states (h_n) instead, or with bidirectional=False.",
)

#: What helps where a network looks at all steps at once.
_RECURRENT_INSTEAD: Final = (
    "Train with a recurrent layer instead, whose output depends on all earlier steps."
)
_NORMALIZED: Final = (
    "Train with nn.LayerNorm, or with nn.BatchNorm1d, which folds into the weights."
)
_LOOP: Final = "Write a Python loop over the steps, or use nn.RNN, nn.LSTM or nn.GRU."
_CHOICE: Final = (
    "Train with nn.ReLU, nn.LeakyReLU, torch.clamp or torch.maximum, which choose by value."
)
_LARGEST: Final = "Return the values before it, and take the largest one outside the network."
_LENGTHS: Final = (
    "For the last step of each stream, use output[:, -1] and omit the lengths: a stream is as long "
    "as it is."
)
_CHANCE: Final = "Begin with zeros or a parameter: an integer model draws no random numbers."
#: What helps against operators that are not read.
_CURES: Final = {
    **dict.fromkeys(
        ("amin", "baddbmm", "bmm", "cumsum", "min", "multi_head_attention_forward",
         "scaled_dot_product_attention"),
        _RECURRENT_INSTEAD,
    ),
    **dict.fromkeys(("group_norm", "instance_norm", "rms_norm"), _NORMALIZED),
    **dict.fromkeys(("eq", "ge", "gt", "le", "lt", "masked_fill", "ne", "where"), _CHOICE),
    **dict.fromkeys(("argmax", "argmin", "topk"), _LARGEST),
    **dict.fromkeys(("arange", "gather", "index", "sort"), _LENGTHS),
    **dict.fromkeys(("normal", "rand", "rand_like", "randn", "randn_like"), _CHANCE),
    **dict.fromkeys(("scan", "while_loop"), _LOOP),
    "bilinear": "Train with the product of two nn.Linear, one for each input.",
    "einsum": "Train with nn.Linear, or torch.matmul with a parameter.",
    "flip": "Train with bidirectional=True, which reads backward itself.",
    "log_softmax": "Return the values before it, or their softmax: logarithms serve the loss.",
}  # fmt: skip


def unsupported(node: OperatorNode, known: Iterable[str]) -> OperatorRefused:
    """The reason for an operator that nothing reads.

    Args:
        node: the operator.
        known: kinds that are read.
    """
    return unknown_operator(node, known, _CURES, "docs/guides/from-pytorch.md")
