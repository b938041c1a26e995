"""Layer normalization of what feeds it (Ba, Kiros & Hinton 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from edgernn.cells import (
    AffineShapes,
    Lowered,
    NormalizationConstants,
    OpBuilder,
    ScaledRecord,
    ScaleVector,
    Source,
    Value,
    cell_record,
    register_cell,
)
from edgernn.errors import ModelError


@cell_record
class LayerNorm(ScaledRecord):
    """y = gain * (v - mean) / deviation + offset, of every row it reads (clause 8.8).

    Attributes:
        rows: how many rows n it reads and puts out, one behind another.
        norm: constants of the normalization of a row, U / n of them.
        gain: gains and offsets of all rows, in the scale of the output.
    """

    kind: ClassVar[str] = "layer_norm"
    shape: ClassVar[AffineShapes] = {}
    reads_values: ClassVar[bool] = True
    scale_shape: ClassVar[dict[str, int]] = {"gain": 1}
    offsets: ClassVar[frozenset[str]] = frozenset({"gain"})
    norm_shape: ClassVar[dict[str, int]] = {"norm": 1}

    rows: int
    norm: NormalizationConstants
    gain: ScaleVector

    def __post_init__(self) -> None:
        """Check rows and widths."""
        if self.rows < 1 or self.units % self.rows:
            raise ModelError(
                f"{self.name}.rows: expected 1 or more rows that divide {self.units} units, got "
                f"{self.rows}"
            )
        ScaledRecord.__post_init__(self)
        if self.inputs != self.units:
            raise ModelError(f"{self.name}.inputs: expected {self.units}, got {self.inputs}")

    @property
    def widths(self) -> dict[str, int]:
        """Inputs, units and rows."""
        return {"inputs": self.inputs, "units": self.units, "rows": self.rows}

    @classmethod
    def width_of(cls, what: str | Source, widths: Mapping[str, int]) -> int:
        """That of a row for its normalization, that of all rows for gains."""
        return widths["units"] // (max(widths["rows"], 1) if what == "norm" else 1)


def layer_norm(g: OpBuilder, layer: LayerNorm, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 8.8."""
    width, made = layer.units // layer.rows, []
    for row in range(layer.rows):
        number = str(row) if layer.rows > 1 else ""
        read = g.part(x, row * width, width, f"x{number}")
        made.append(g.normalized(read, "norm", layer.norm, f"even{number}"))
    return g.scaled(g.concatenated(made, "even"), "gain", layer.gain, "y", None), states


register_cell(LayerNorm, layer_norm)
