"""Exponents of a cell: those that calibration requires, and with which all clauses hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from edgernn.errors import ModelError, RangeRefused
from edgernn.graph.lowering import lowered
from edgernn.model.functions.exponents import Exponent, chosen_exponents
from edgernn_export.calibration.ranges import exponent_for, limit
from edgernn_export.float_model.cell_plans import open_exponents, record_of, template
from edgernn_export.float_model.own_cells import FloatCell
from edgernn_export.guards.state_ranges import high_code
from edgernn_export.quantizer.layer_context import STATE_HEADROOM, WIDE_HEADROOM, LayerContext

#: Bits that are taken off an exponent, or off two, so that products have shifts that exist.
_MOST_BITS: Final = 16


def cell_exponents(context: LayerContext, layer: FloatCell, *, wide: bool) -> dict[str, int]:
    """The most fraction bits with which values hold what they reach in calibration.

    Where products and sums of a cell have no shifts for those, one or two of them have fewer bits,
    as few as need be.

    Args:
        context: of the layer.
        layer: the cell.
        wide: its state is wide.

    Raises:
        RangeRefused: no exponents fit together.
    """
    record, options = record_of(layer.kind), dict(layer.options)

    def choose(_: str, exponent: Exponent) -> int:
        reach = 0.0
        for value in layer.plan.ranged_of(exponent):
            stats = context.stats(value)
            reach = max(reach, limit(stats.spread, stats.limit, context.plan.method))
        hidden = wide and record.widened in exponent.values and record.widened != layer.plan.output
        room = WIDE_HEADROOM if hidden else STATE_HEADROOM
        high = high_code(layer, exponent, context.plan.precision)
        return exponent_for(reach * room, exponent.of(wide=wide), high)

    wanted = chosen_exponents(record.exponents, options, choose)
    if record.curve_shape:
        return _fitting(context, layer, wanted, wide=wide)
    return wanted


def _fitting(
    context: LayerContext, layer: FloatCell, wanted: dict[str, int], *, wide: bool
) -> dict[str, int]:
    """The exponents themselves where all clauses hold with them, else the nearest ones."""
    record, options = record_of(layer.kind), dict(layer.options)
    free = open_exponents(record, options)
    for fewer in _reductions(tuple(free)):
        lower = {name: wanted[name] - fewer.get(name, 0) for name in free}
        if any(lower[name] not in free[name].of(wide=wide) for name in free):
            continue
        found = chosen_exponents(record.exponents, options, lambda name, _: lower[name])  # noqa: B023
        try:
            small = template(layer.kind, 1, 1, layer.options, found, wide=wide)
            lowered(context.plan.precision, (small,))
        except ModelError:
            continue
        return found
    told = ", ".join(f"{name} {wanted[name]}" for name in free)
    raise RangeRefused(
        [
            f"{layer.name}: expected values whose formats can be multiplied, got exponents "
            f"({told}) without a valid shift. Train with gates between 0 and 1 "
            "(recurrent_activation='sigmoid'), or with smaller weights or readings."
        ]
    )


def _reductions(names: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """No bits, then some of one exponent, then some of two: the fewest first."""
    yield {}
    for bits in range(1, _MOST_BITS + 1):
        for name in names:
            yield {name: bits}
    for total in range(2, 2 * _MOST_BITS + 1):
        for first, second in itertools.permutations(names, 2):
            for bits in range(max(1, total - _MOST_BITS), min(total, _MOST_BITS + 1)):
                yield {first: bits, second: total - bits}
