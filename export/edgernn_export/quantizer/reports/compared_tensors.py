"""Which tensors of an integer model are compared with those of its float original."""

from __future__ import annotations

import numpy as np

from edgernn.cells.dense_rows import DenseRows
from edgernn.cells.layer_norm import LayerNorm
from edgernn.cells.pointwise import Pointwise
from edgernn.cells.prelu import PReLU
from edgernn.graph.lowering import lowered
from edgernn.graph.ops import AffineResult, Blend, GatedSum, LeakySum, Product, Sum
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layer_record import LayerRecord
from edgernn.model.layers import LSTM, Delay, Embedding, GRUAfter, GRUBefore, SimpleRNN
from edgernn.model.merges import Merge, MergeOperation
from edgernn.model.routes import readers


def compared_tensors(model: IntegerModel) -> dict[str, tuple[int, str, FloatArray]]:
    """Integer tensor name -> (layer index, float tensor, real value per code and unit)."""
    tensors: dict[str, tuple[int, str, FloatArray]] = {}
    for index, layer in enumerate(model.layers):
        if isinstance(layer, Delay):
            continue
        if layer.states and not isinstance(layer, (SimpleRNN, LSTM, GRUBefore, GRUAfter)):
            graph = lowered(model.precision, (layer,))
            recorded = (AffineResult, Product, Sum, Blend, GatedSum, LeakySum)
            made = {op.result.name for op in graph.ops if isinstance(op, recorded)}
            for state in graph.carried:
                name, form = state.after.name, state.after.format
                if name in made and form is not None:
                    scale = np.full(state.after.width, form.scale)
                    tensors[name] = (index, name.partition(".")[2], scale)
        elif layer.states:
            tensors[f"{layer.name}.h"] = (index, "h", np.full(layer.units, layer.output_scale))
            if isinstance(layer, LSTM):
                cell = np.full(layer.units, 2.0**-layer.cell_exponent)
                tensors[f"{layer.name}.c"] = (index, "c", cell)
        elif isinstance(layer, (Embedding, Pointwise)):
            continue  # weights, or a table, rounded: what reads them shows it
        elif isinstance(layer, Merge):
            scale = _output_scale(model, index)
            if layer.operation is MergeOperation.SUM:
                tensors[f"{layer.name}.sum{len(layer.terms) - 1}"] = (index, "y", scale)
            elif layer.operation is MergeOperation.PRODUCT:
                tensors[f"{layer.name}.product"] = (index, "y", scale)
            elif layer.operation is MergeOperation.HYPOTENUSE:
                tensors[f"{layer.name}.hypotenuse"] = (index, "y", scale)
        elif isinstance(layer, (PReLU, LayerNorm)):
            tensors[f"{layer.name}.y"] = (index, "y", _output_scale(model, index))
        else:
            tensors[f"{layer.name}.out"] = (index, "y", _dense_scale(model, index))
    return tensors


def recorded_parts(layer: LayerRecord, name: str) -> tuple[str, ...]:
    """The integer tensors that a tensor of the report is made of."""
    if isinstance(layer, DenseRows):
        return tuple(f"{name}.{row}" for row in range(layer.rows))
    return (name,)


def _dense_scale(model: IntegerModel, index: int) -> FloatArray:
    """Real value of a dense layer's affine result, before its activation."""
    layer = model.layers[index]
    if getattr(layer, "activation").value in ("tanh", "sigmoid"):  # noqa: B009
        return np.full(layer.units, 2.0**-10)
    return _output_scale(model, index)


def _output_scale(model: IntegerModel, index: int) -> FloatArray:
    """Real value of a layer's output per unit; where only the output reads it, by its channels."""
    layer = model.layers[index]
    scale = layer.output_scales.copy()
    if readers(model.wiring, index) == {len(model.layers)}:
        at = 0
        for part in model.wiring[-1]:
            if part.source == index:
                channels = model.output.scale[at : at + part.width]
                scale[part.start : part.start + part.width] = channels
            at += part.width
    return scale
