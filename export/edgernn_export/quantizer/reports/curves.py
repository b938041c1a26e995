"""The tables of a model that stand for functions: how large they are, and how far off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgernn.cells.pointwise import Pointwise
from edgernn.graph.lowering import lowered
from edgernn.graph.ops import Curve
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Delay
from edgernn.model.routes import readers
from edgernn_export.quantizer.functions.curves import curve_error
from edgernn_export.quantizer.layer_context import (
    HIDDEN_HEADROOM,
    OUTPUT_HEADROOM,
    STATE_HEADROOM,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveReport:
    """A table that stands for a function.

    Attributes:
        name: ``<layer>.<table>``.
        function: as `PointwiseFunction.parse` reads it.
        entries: of the table, 2 bytes each.
        error: largest distance from the real function in codes of the result, where results are no
            larger than calibration reached.
    """

    name: str
    function: str
    entries: int
    error: float


def curve_reports(model: IntegerModel) -> tuple[CurveReport, ...]:
    """All tables of a model, in the order of its layers."""
    found: dict[str, CurveReport] = {}
    for index, layer in enumerate(model.layers):
        for op in lowered(model.precision, (layer,)).ops if layer.curves else ():
            if not isinstance(op, Curve) or op.table is None:
                continue
            if isinstance(layer, Pointwise):
                last = readers(model.wiring, index) == {len(model.layers)}
                room = OUTPUT_HEADROOM[Precision.W8A8] if last else HIDDEN_HEADROOM
                scales = _read_scale(model, index), layer.output_scale
            else:
                assert op.value.format is not None and op.result.format is not None  # of cells
                room, scales = STATE_HEADROOM, (op.value.format.scale, op.result.format.scale)
            name = f"{layer.name}.{op.name}"
            reach = 1.0 if op.function.within_one else 1.0 / room
            found[name] = CurveReport(
                name=name,
                function=str(op.function),
                entries=int(op.table.entries.size),
                error=round(curve_error(str(op.function), op.table, *scales, reach), 2),
            )
    return tuple(found.values())


def curve_lines(curves: Sequence[CurveReport]) -> list[str]:
    """The same for people."""
    return [
        f"table {one.name}: {one.function}, {one.entries} entries, {2 * one.entries} bytes, at "
        f"most {one.error:.1f} codes off"
        for one in curves
    ]


def _read_scale(model: IntegerModel, index: int) -> float:
    """Real value of a code of what a layer reads, all of one scale."""
    part = model.wiring[index][0]
    while isinstance(model.layers[part.source], Delay):
        part = model.wiring[part.source][0]
    return float(model.layers[part.source].output_scales[part.start])
