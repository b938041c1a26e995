"""The section about ONNX operators of docs/reference/support.md, checked against the reader."""

from __future__ import annotations

from typing import Final

from edgernn_export.onnx_reader.constants import FOLDED
from edgernn_export.onnx_reader.reader import HANDLERS

#: Operators, what they are read as, and what they must be like.
_ROWS: Final = (
    (("LSTM", "GRU", "RNN"), "recurrent layers",
     "all directions; the [attributes of each](../guides/from-onnx.md#recurrent-operators)"),
    (("Loop", "Scan"), "recurrent layers",
     "over all steps, forward or backward; the body is a step of SimpleRNN, GRU or LSTM cells, or "
     "one that edgernn wrote for a registered cell"),
    (("SequenceEmpty", "ConcatFromSequence"), "nothing",
     "a list to which each step of a Loop appends a row"),
    (("ReverseSequence",), "nothing", "before and after a Loop or Scan that reads backward"),
    (("Gemm", "MatMul"), "Dense", "one factor constant"),
    (("Conv",), "Conv1D, DepthwiseConv1D",
     "over the steps: zeros before the first step alone, or none; one group, or one per feature; "
     "or along the features of a step"),
    (("MaxPool", "AveragePool"), "pooling", "over the steps; no padding"),
    (("GlobalAveragePool", "GlobalMaxPool", "ReduceMax", "ReduceMean", "ReduceSum"),
     "pooling of all steps", "windows of a fixed number of steps; or an axis of size 1; means and "
     "sums also of features, directions or layers"),
    (("Pad",), "ZeroPadding1D, a slice",
     "zeros before the first step, directly before a Conv; or the mirrored ends of features"),
    (("BatchNormalization",), "a scaling", "statistics from training"),
    (("LayerNormalization",), "LayerNormalization", "over the features; at most 256"),
    (("Reciprocal",), "a part of LayerNormalization", "of a deviation"),
    (("Gather",), "Embedding, a slice", "rows of a constant table, or constant indices"),
    (("Add", "Sub", "Mul", "Max", "Min", "Mean", "Sum"), "merges, scalings",
     "values of the same steps, or a constant: one number, or one per feature"),
    (("Div", "Neg"), "a scaling", "a constant divisor, or the deviation in a LayerNormalization"),
    (("Pow",), "a product", "exponent 1 or 2"),
    (("Sqrt",), "a hypotenuse", "of a sum of two squares; or in a LayerNormalization"),
    (("Celu", "Clip", "Elu", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish",
      "PRelu", "Relu", "Selu", "Shrink", "Sigmoid", "Softplus", "Softsign", "Tanh",
      "ThresholdedRelu"), "functions", "all parameters"),
    (("Erf",), "a part of GELU", "x / 2 * (1 + erf(x / sqrt(2))), in any order"),
    (("Softmax",), "the last softmax", "over the features"),
    (("Concat", "Split", "Slice"), "concatenations and slices",
     "of features, directions or layers; a Slice also takes the last step"),
    (("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"), "nothing",
     "steps stay steps, features stay features"),
    (("Cast", "Dropout", "Identity"), "nothing", "between types of floats; no training mode"),
    (("Less",), "nothing", "tokens compared with 0"),
    (("Shape",), "sizes of axes", "for other operators that rearrange values"),
)  # fmt: skip


def onnx_section() -> str:
    """The section, from its heading on.

    Raises:
        ValueError: the rows are not those of the reader.
    """
    told = [kind for kinds, _, _ in _ROWS for kind in kinds]
    if sorted(told) != sorted(HANDLERS):
        raise ValueError(f"rows of ONNX operators: {sorted(set(told) ^ set(HANDLERS))}")
    rows = [f"| {', '.join(kinds)} | {read} | {like} |" for kinds, read, like in _ROWS]
    only = ", ".join(sorted(set(FOLDED) - set(HANDLERS)))
    return "\n".join(
        [
            "## ONNX operators",
            "",
            "Operators of opset 7 and later are read as these layers "
            "([ONNX models](../guides/from-onnx.md)):",
            "",
            "| operators | read as | conditions |",
            "| --- | --- | --- |",
            *rows,
            "",
            "`If` is read where its condition is known before the network runs.",
            "Operators of constants alone are computed when the file is read. These are read only "
            "there:",
            f"{only}.",
            "",
        ]
    )
