"""Values below 0 times a trained slope."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    AffineShapes,
    Function,
    Lowered,
    OpBuilder,
    ScaledRecord,
    ScaleVector,
    Value,
    cell_record,
    register_cell,
)
from edgernn.errors import ModelError


@cell_record
class PReLU(ScaledRecord):
    """y = max(v, 0) + slope * min(v, 0) with a separate slope for every unit (clause 8.7).

    Attributes:
        negated: constants that are -1, in the scale of the input.
        positive: constants that bring values above 0 to the scale of the output.
        negative: the same of -v, times the slope less than 0.
    """

    kind: ClassVar[str] = "prelu"
    shape: ClassVar[AffineShapes] = {}
    reads_values: ClassVar[bool] = True
    scale_shape: ClassVar[dict[str, int]] = {"negated": 1, "positive": 1, "negative": 1}

    negated: ScaleVector
    positive: ScaleVector
    negative: ScaleVector

    def __post_init__(self) -> None:
        """Check the widths."""
        ScaledRecord.__post_init__(self)
        if self.inputs != self.units:
            raise ModelError(f"{self.name}.inputs: expected {self.units}, got {self.inputs}")


def prelu(g: OpBuilder, layer: PReLU, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 8.7."""
    below = g.activation(Function.RELU, g.scaled(x, "negated", layer.negated, "-v", None), "below")
    above = g.activation(
        Function.RELU, g.scaled(x, "positive", layer.positive, "p*v", None), "above"
    )
    return g.sum(above, g.scaled(below, "negative", layer.negative, "n*v", None), "y"), states


register_cell(PReLU, prelu)
