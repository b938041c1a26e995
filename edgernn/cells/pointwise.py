"""A function of every value of what feeds it."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    AffineShapes,
    CurveTable,
    Lowered,
    OpBuilder,
    ScaledRecord,
    Value,
    cell_record,
    register_cell,
)
from edgernn.errors import ModelError
from edgernn.model.functions.pointwise import PointwiseFunction


@cell_record
class Pointwise(ScaledRecord):
    """y = f of each value, by a table for the scales of argument and result (clause 8.6).

    Attributes:
        function: f.
        curve: the table.
    """

    kind: ClassVar[str] = "pointwise"
    shape: ClassVar[AffineShapes] = {}
    reads_values: ClassVar[bool] = True
    curve_shape: ClassVar[dict[str, str]] = {"curve": "function"}

    function: str
    curve: CurveTable

    def __post_init__(self) -> None:
        """Check the widths."""
        ScaledRecord.__post_init__(self)
        if self.inputs != self.units:
            raise ModelError(f"{self.name}.inputs: expected {self.units}, got {self.inputs}")


def pointwise(g: OpBuilder, layer: Pointwise, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 8.6."""
    function = PointwiseFunction.parse(layer.function)
    return g.curve(function, x, "curve", layer.curve, "y", None), states


register_cell(Pointwise, pointwise)
