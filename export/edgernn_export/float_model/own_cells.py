"""Float layers of registered cells: their weights, and what rows of their maps are worth.

Nothing here is written for one cell. The computation of a cell is taken from the graph of its
lowering (`edgernn.graph.lowering`), which stands the same for integers and for real numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgernn.errors import ShapeError
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import AffineResult, LeakySum, Slice
from edgernn.model.formats import LOW_BITS, ArrayRecord, FloatArray
from edgernn_export.float_model.cell_plans import (
    CellPlan,
    Options,
    local_name,
    plan_of,
    record_of,
    template,
    weight_shapes,
)
from edgernn_export.float_model.layers import FloatGRU, FloatLSTM, freeze, freeze_start


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatWeight(ArrayRecord):
    """A matrix [R, N], bias [R] or vector of constants [N] of a cell, by name."""

    name: str
    values: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatCell(ArrayRecord):
    """A layer of a registered cell with its trained weights.

    Attributes:
        kind: of the cell's record.
        name: layer name.
        inputs: input width I.
        units: output width H.
        options: of the record, but exponents; enumerations by value.
        weights: `weight_shapes` says which.
        start: what all states begin with, one behind the other; None for zeros.
    """

    kind: str
    name: str
    inputs: int
    units: int
    options: Options
    weights: tuple[FloatWeight, ...]
    start: FloatArray | None = None

    def __post_init__(self) -> None:
        """Freeze and check the weights."""
        record_of(self.kind)
        shapes = weight_shapes(self.kind, self.inputs, self.units, dict(self.options))
        got = {weight.name: weight.values.shape for weight in self.weights}
        if got != shapes:
            raise ShapeError(f"{self.name}: expected weights {shapes}, got {got}")
        for weight in self.weights:
            freeze(_Named(f"{self.name}.{weight.name}", weight), "values", weight.values.ndim)
        template(self.kind, self.inputs, self.units, self.options)
        freeze_start(self, sum(self.state_widths))

    @staticmethod
    def of(
        kind: str,
        name: str,
        options: Mapping[str, Any],
        weights: Mapping[str, FloatArray],
        start: FloatArray | None = None,
    ) -> FloatCell:
        """A layer whose widths follow from its weights.

        Args:
            kind: of the cell's record.
            name: layer name.
            options: of the record, but exponents; enumerations by value.
            weights: by name, matrices [R, N].
            start: what all states begin with.
        """
        record = record_of(kind)
        inputs = next((w.shape[1] for n, w in weights.items() if n.endswith(".x")), 0)
        units = next(
            weights[f"{name}.bias"].shape[0] // blocks
            for name, (blocks, _) in record.shape.items()
            if record.counted_in(name) == "units"
        )
        return FloatCell(
            kind=kind,
            name=name,
            inputs=inputs,
            units=units,
            options=tuple(sorted(options.items())),
            weights=tuple(
                FloatWeight(name=key, values=np.array(weights[key], dtype=np.float64))
                for key in weight_shapes(kind, inputs, units, options)
            ),
            start=start,
        )

    @property
    def by_name(self) -> dict[str, FloatArray]:
        """The weights by name."""
        return {weight.name: weight.values for weight in self.weights}

    @property
    def plan(self) -> CellPlan:
        """What the graph of the cell tells."""
        return plan_of(self.kind, self.inputs, self.units, self.options)

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Widths of the states, in their order."""
        return tuple(state.before.width for state in self.plan.graph.carried)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states in the cell, in their order."""
        names = (local_name(state.before) for state in self.plan.graph.carried)
        return tuple(name.removesuffix("_in") for name in names)

    @property
    def rows(self) -> int:
        """Results of all maps in a step."""
        return sum(w.values.size for w in self.weights if w.name.endswith(".bias"))

    @property
    def parameters(self) -> int:
        """Trainable values."""
        return sum(weight.values.size for weight in self.weights)

    def scaled(self, gain: FloatArray, offset: FloatArray) -> FloatCell:
        """The layer that does to x what this one does to gain * x + offset."""
        weights = self.by_name
        for name in self.plan.terms:
            if f"{name}.x" in weights:
                weights[f"{name}.bias"] = weights[f"{name}.bias"] + weights[f"{name}.x"] @ offset
                weights[f"{name}.x"] = weights[f"{name}.x"] * gain
        return FloatCell.of(self.kind, self.name, dict(self.options), weights, self.start)


def general_cell(layer: FloatLSTM | FloatGRU) -> FloatCell:
    """The same layer as one of `edgernn.cells.general`, whose weights go by its maps."""
    options = {"gate_function": layer.recurrent_activation, "cell_function": "tanh"}
    if isinstance(layer, FloatLSTM):
        weights = {"gates.x": layer.kernel, "gates.h": layer.recurrent, "gates.bias": layer.bias}
        return FloatCell.of("general_lstm", layer.name, options, weights, layer.start)
    split = 2 * layer.units
    weights = {
        "zr.x": layer.kernel[:split],
        "zr.h": layer.recurrent[:split],
        "zr.bias": layer.bias[:split] + layer.recurrent_bias[:split],
    }
    if layer.reset_after:
        weights |= {
            "n_x.x": layer.kernel[split:],
            "n_x.bias": layer.bias[split:],
            "n_h.h": layer.recurrent[split:],
            "n_h.bias": layer.recurrent_bias[split:],
        }
        return FloatCell.of("general_gru_after", layer.name, options, weights, layer.start)
    weights |= {
        "n.x": layer.kernel[split:],
        "n.rh": layer.recurrent[split:],
        "n.bias": layer.bias[split:],
    }
    return FloatCell.of("general_gru_before", layer.name, options, weights, layer.start)


def special_layer(cell: FloatCell, layer: FloatLSTM | FloatGRU) -> FloatLSTM | FloatGRU:
    """The reverse of `general_cell`: such a layer with the weights of its general cell.

    Args:
        cell: of the layer, with other weights.
        layer: what it was made of; its second bias of the gates z and r stays.
    """
    weights = cell.by_name
    if isinstance(layer, FloatLSTM):
        changed = {"kernel": "gates.x", "recurrent": "gates.h", "bias": "gates.bias"}
        arrays: dict[str, Any] = {name: weights[found] for name, found in changed.items()}
        return replace(layer, use_bias=True, **arrays)
    split, second = 2 * layer.units, np.array(layer.recurrent_bias)
    n_x, n_h = ("n_x", "n_h.h") if layer.reset_after else ("n", "n.rh")
    if layer.reset_after:
        second[split:] = weights["n_h.bias"]
    return replace(
        layer,
        kernel=np.concatenate((weights["zr.x"], weights[f"{n_x}.x"])),
        recurrent=np.concatenate((weights["zr.h"], weights[n_h])),
        bias=np.concatenate((weights["zr.bias"] - second[:split], weights[f"{n_x}.bias"])),
        recurrent_bias=second,
        use_bias=True,
    )


class _Named:
    """Lets `freeze` say whose weight it refuses."""

    def __init__(self, name: str, weight: FloatWeight) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_weight", weight)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._weight, name)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self._weight, name, value)


def row_scales(graph: OpGraph, op: AffineResult) -> FloatArray:
    """Real value of one code of each row of a map's result, float64 [R].

    Rows of a result without a format have that of the part which is cut out of it, or
    that in which a leaky sum takes them in (clause 7.23).

    Args:
        graph: of the cell.
        op: one of its maps.
    """
    if op.result.format is not None:
        return np.full(op.affine.rows, op.result.format.scale)
    scales = np.zeros(op.affine.rows)
    for reader in graph.ops:
        if isinstance(reader, Slice) and reader.value == op.result:
            assert reader.result.format is not None  # parts of such a stack have formats
            part = slice(reader.start, reader.start + reader.result.width)
            scales[part] = reader.result.format.scale
        elif isinstance(reader, LeakySum) and reader.entry == op.result:
            assert reader.high.format is not None  # states have formats
            bits = reader.high.format.frac_bits + LOW_BITS - reader.constants.shift
            scales[:] = np.exp2(-bits.astype(np.float64))
    assert scales.all()  # every row is read
    return scales
