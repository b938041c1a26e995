"""The page docs/reference/support.md, generated from the tables in the code.

    python -m tests.documents.support_table

writes it again. A test compares it with the code, and with the declared gaps.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from edgernn import cells
from edgernn.backends.native import _KINDS
from edgernn.graph.lowering import LOWERINGS
from edgernn.graph.ops import OPS
from edgernn.model.layer_record import LayerRecord
from edgernn.model.layers import LAYERS as REGISTERED
from edgernn.model.layers import Delay, Dense, layer_class
from edgernn_export.keras_reader.layers.readers import SUPPORTED
from edgernn_export.writers.c.layers import KERNELS
from edgernn_export.writers.onnx.cells import RECURRENT
from edgernn_export.writers.tflite.cells import EMIT
from tests.documents.onnx_operators import onnx_section
from tests.documents.tflite_operators import tflite_section

#: Cells of the product, by module; those that tests register are not its own.
CELLS: Final = tuple(
    module.name.rpartition(".")[2]
    for module in pkgutil.walk_packages(cells.__path__, f"{cells.__name__}.")
    if not module.ispkg
)
_FOUND: Final = [layer_class(kind) for kind in CELLS]
#: Cells behind all others, in the order of their modules, whatever imported them first.
LAYERS: Final = {
    kind: layer
    for kind, layer in REGISTERED.items()
    if layer.__module__.startswith("edgernn.") and kind not in CELLS
} | {kind: REGISTERED[kind] for kind in CELLS}
PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "support.md"
COMMAND: Final = "python -m tests.documents.support_table"

#: What each program does with a layer it knows by kind, and the module of its operations.
PROGRAMS: Final = (
    ("reference", (), "", "edgernn_firmware_sim.reference.interpreter"),
    ("TFLite", (*EMIT,), "own form", "edgernn_export.writers.tflite.interpreter"),
    ("ONNX", (*RECURRENT, Dense), "own form", "edgernn_export.writers.onnx.interpreter"),
    ("C", (*KERNELS,), "kernel", "edgernn.graph.schedule"),
    ("native", _KINDS, "kernel", "edgernn.graph.schedule"),
    ("training", (Delay,), "own form", "edgernn_export.compress.qat.interpreter"),
)
#: Class names of Keras layers that a layer is read from.
KERAS: Final = {
    "simple_rnn": "SimpleRNN, SimpleRNNCell",
    "lstm": "LSTM, LSTMCell",
    "gru_before": "GRU, GRUCell (`reset_after=False`)",
    "gru_after": "GRU, GRUCell (`reset_after=True`)",
    "dense": "Dense, TimeDistributed(Dense)",
    "delay": "Conv1D, DepthwiseConv1D, SeparableConv1D, edgernn_export.cells.SVDF, with `dense` "
    "and `merge`",
    "merge": "Add, Subtract, Multiply, Average, Maximum, Minimum, keras.ops.hypot",
    "embedding": "Embedding",
    **{kind: f'RNN(edgernn_export.cells.RegisteredCell("{kind}", …))' for kind in CELLS},
    **{
        kind: f"RNN(edgernn_export.cells.{name}(…))"
        for kind, name in {
            "fast_rnn": "FastRNNCell",
            "fast_grnn": "FastGRNNCell",
            "low_rank_fast_grnn": "FastGRNNCell",
            "cfc": "CfCCell",
            "zoneout_lstm": "ZoneoutLSTMCell",
            "zoneout_gru": "ZoneoutGRUCell",
        }.items()
    },
    "general_lstm": "LSTM, LSTMCell with other activations",
    "three_function_lstm": "LSTM of ONNX with other `activations`, or `clip`",
    "general_gru_before": "GRU, GRUCell (`reset_after=False`) with other activations",
    "general_gru_after": "GRU, GRUCell (`reset_after=True`) with other activations",
    "general_rnn": "SimpleRNN, SimpleRNNCell with other activations",
    "pointwise": "Activation, ELU, LeakyReLU, ReLU, ThresholdedReLU, `activation=` of any layer",
    "prelu": "PReLU",
    "layer_norm": "LayerNormalization",
    "dense_rows": "Conv1D and SeparableConv1D in front of strides and pooling",
    "attention": "Attention, MultiHeadAttention",
    "additive_attention": "AdditiveAttention",
    "memory": "Attention, AdditiveAttention, MultiHeadAttention of a decoder, in its encoder",
}
#: (layer or operation, program) without support.
MISSING: Final[set[tuple[str, str]]] = {("dense_rows", "training")}


def runs(program: tuple[str, tuple[type, ...], str, str], layer: type[LayerRecord]) -> str:
    """How a program runs a layer: in its own form, by operations, or not ("–")."""
    name, own, form, operations = program
    if name == "training" and layer.kind == "dense_rows":
        return "–"  # networks that answer some readings alone are not trained
    if layer in own:
        return form
    return "operations" if operations and layer in LOWERINGS else "–"


def known_operations(program: tuple[str, tuple[type, ...], str, str]) -> set[type]:
    """The operations that the tables of a program's module have rows for."""
    module = importlib.import_module(program[3])
    tables = [table for table in vars(module).values() if isinstance(table, dict)]
    return {key for table in tables for key in table if key in OPS}


def holes() -> set[tuple[str, str]]:
    """Unsupported pairs, as `MISSING` declares them."""
    found = set()
    for program in PROGRAMS:
        found |= {(kind, program[0]) for kind, la in LAYERS.items() if runs(program, la) == "–"}
        known = known_operations(program)
        found |= {(op.kind, program[0]) for op in OPS if op not in known}
    return found


def page() -> str:
    """The text of docs/reference/support.md."""
    layers = [
        [f"`{kind}`", KERAS[kind], *(runs(program, layer) for program in PROGRAMS)]
        for kind, layer in LAYERS.items()
    ]
    operations = [
        [op.kind, *("yes" if op in known_operations(p) else "–" for p in PROGRAMS)] for op in OPS
    ]
    programs = [program[0] for program in PROGRAMS]
    in_table = {"RNN", *re.findall(r"\w+", " ".join(KERAS.values()))}
    others = textwrap.fill(", ".join(sorted(set(SUPPORTED) - in_table)), 100)
    return f"""# Supported layers by back-end

This page shows which layers each back-end runs, and how.
[Supported layers](layers.md) lists the Keras layers with their options.

Generated from the tables in the code by `{COMMAND}`. A test compares the page with them.

All back-ends compute the same integers in `w8a8`, `w8a16`, `w4a8` and `w4a16`. The words in the
table say how:

- *kernel*: a fused kernel, written for this layer because it is faster.
- *own form*: operators of that format, arranged for this layer because it is faster.
- *operations*: the layer runs as a sequence of single operations
  ([decision 7](../decisions/0007-graph-of-operations.md)).
- –: not supported.

## Layers

{_table(["layer", "Keras layers", *programs], layers)}

The float form of ONNX ([how to export it](../guides/onnx-float.md)) supports all of these layers.
It uses ONNX operators where ONNX has them, and a Scan over time for registered cells.

## Operations

A new layer is a function that is composed of these operations. Every back-end that supports them
all runs the layer:

{_table(["operation", *programs], operations)}

## Other Keras layers

These layers are also read. They have no effect at inference, or their constants are folded into
adjacent weights and scales:

{others}.

{onnx_section()}
{tflite_section()}"""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
