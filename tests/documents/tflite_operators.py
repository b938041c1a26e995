"""The section about TFLite operators of docs/reference/support.md, checked against the reader."""

from __future__ import annotations

from typing import Final

from edgernn_export.tflite_reader.constants import FOLDED
from edgernn_export.tflite_reader.reader import HANDLERS

#: Operators, what they are read as, and what they must be like.
_ROWS: Final = (
    (("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM",
      "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"), "recurrent layers",
     "the zero state first; [what each may have](../guides/from-tflite.md#recurrent-layers)"),
    (("WHILE",), "recurrent layers", "over all steps; a body of SimpleRNN, GRU or LSTM cells"),
    (("REVERSE_V2",), "the direction of a layer", "of the steps"),
    (("FULLY_CONNECTED", "BATCH_MATMUL"), "Dense", "one factor constant"),
    (("CONV_2D", "DEPTHWISE_CONV_2D"), "Conv1D, DepthwiseConv1D",
     "over the steps: zeros before the first step alone, or none; one group, or one per feature"),
    (("MAX_POOL_2D", "AVERAGE_POOL_2D"), "pooling", "over the steps; padding VALID"),
    (("PAD", "PADV2"), "ZeroPadding1D",
     "zeros before the first step, directly before a convolution"),
    (("GATHER", "EMBEDDING_LOOKUP"), "Embedding, a slice",
     "rows of a constant table, or constant indices"),
    (("ADD", "ADD_N", "SUB", "MUL", "MAXIMUM", "MINIMUM"), "merges, scalings",
     "values of the same steps, or a constant: one number, or one per feature"),
    (("DIV", "NEG"), "a scaling", "a constant divisor"),
    (("POW", "SQUARE"), "a product", "exponent 1 or 2"),
    (("SQRT",), "a hypotenuse", "of a sum of two squares"),
    (("ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "PRELU", "RELU", "RELU6",
      "RELU_0_TO_1", "RELU_N1_TO_1", "TANH"), "functions", "all parameters"),
    (("SOFTMAX",), "the last softmax", "over the features"),
    (("CONCATENATION", "PACK", "SPLIT", "SPLIT_V", "UNPACK", "SLICE", "STRIDED_SLICE"),
     "concatenations and slices", "of features; slices also take the last step"),
    (("TRANSPOSE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"), "nothing",
     "steps stay steps, features stay features"),
    (("CAST",), "nothing", "between types of floats, or of tokens"),
    (("LESS", "SELECT", "SELECT_V2"), "nothing", "tokens compared with 0"),
    (("SHAPE",), "sizes of axes", "for other operators that rearrange values"),
)  # fmt: skip


def tflite_section() -> str:
    """The section, from its heading on.

    Raises:
        ValueError: the rows are not those of the reader.
    """
    told = [kind for kinds, _, _ in _ROWS for kind in kinds]
    if sorted(told) != sorted(HANDLERS):
        raise ValueError(f"rows of TFLite operators: {sorted(set(told) ^ set(HANDLERS))}")
    rows = [f"| {', '.join(kinds)} | {read} | {like} |" for kinds, read, like in _ROWS]
    only = ", ".join(sorted(set(FOLDED) - set(HANDLERS)))
    return "\n".join(
        [
            "## TFLite operators",
            "",
            "Operators of networks of real numbers are read as these layers "
            "([TFLite models](../guides/from-tflite.md)):",
            "",
            "| operators | read as | conditions |",
            "| --- | --- | --- |",
            *rows,
            "",
            "Operators of constants alone are computed when the file is read. These are read only "
            "there:",
            f"{only}.",
            "",
        ]
    )
