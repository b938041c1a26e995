"""The same Dense of each of several rows: what a convolution computes in one step of a rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from edgernn.cells import (
    PREACTIVATION,
    Affine,
    AffineShapes,
    Function,
    LayerRecord,
    Lowered,
    OpBuilder,
    Source,
    Value,
    cell_record,
    register_cell,
)
from edgernn.errors import ModelError
from edgernn.model.formats import UNIT
from edgernn.model.layers import DenseActivation


@cell_record
class DenseRows(LayerRecord):
    """y = activation of one affine map of every row, one behind another (clause 8.5).

    Attributes:
        rows: how many rows n it reads and puts out.
        activation: linear, relu, tanh or sigmoid.
        output_scale: real value of one output code; 2**-15 for tanh and sigmoid.
        out: affine map, U / n rows over inputs / n columns.
    """

    kind: ClassVar[str] = "dense_rows"
    shape: ClassVar[AffineShapes] = {"out": (1, frozenset({(Source.X,)}))}

    rows: int
    activation: DenseActivation
    output_scale: float
    out: Affine

    def __post_init__(self) -> None:
        """Check rows and scale."""
        if self.rows < 2 or self.inputs % self.rows or self.units % self.rows:
            raise ModelError(
                f"{self.name}.rows: expected 2 or more rows that divide {self.inputs} inputs "
                f"and {self.units} units, got {self.rows}"
            )
        LayerRecord.__post_init__(self)
        bounded = self.activation in (DenseActivation.TANH, DenseActivation.SIGMOID)
        if not 0.0 < self.output_scale < float("inf") or (
            bounded and self.output_scale != UNIT.scale
        ):
            wanted = "2**-15" if bounded else "a finite value > 0"
            raise ModelError(
                f"{self.name}.output_scale: expected {wanted}, got {self.output_scale}"
            )

    @property
    def widths(self) -> dict[str, int]:
        """Inputs, units and rows."""
        return {"inputs": self.inputs, "units": self.units, "rows": self.rows}

    @classmethod
    def width_of(cls, what: str | Source, widths: Mapping[str, int]) -> int:
        """That of the output of a row."""
        del what  # there is one map
        return widths["units"] // max(widths["rows"], 1)

    @classmethod
    def parts_of(cls, source: Source, widths: Mapping[str, int]) -> tuple[int, ...]:
        """The width of a row."""
        return source.parts(widths["inputs"] // max(widths["rows"], 1), 0)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all rows."""
        return self.rows * sum(term.weights.size for term in self.out.terms)


def dense_rows(g: OpBuilder, layer: DenseRows, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 8.5."""
    function = Function(layer.activation.value)
    form = PREACTIVATION if function.bounded else None
    width = layer.inputs // layer.rows
    made = []
    for row in range(layer.rows):
        operand = g.part(x, row * width, width, f"x{row}")
        made.append(g.affine("out", layer.out, {Source.X: operand}, form, called=f"out.{row}"))
    y = g.concatenated(made, "rows")
    return (y if function is Function.LINEAR else g.activation(function, y, "y")), states


register_cell(DenseRows, dense_rows)
