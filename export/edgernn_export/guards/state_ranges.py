"""States that no format holds: refused by layer and value, in one error.

A state beyond its format saturates and stays there: unlike a clipped reading, it does not pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from edgernn.errors import RangeRefused
from edgernn.graph.ops import AffineResult, Slice
from edgernn.model.formats import INT16_MAX, RELU_EXPONENTS, WIDE_CELL_EXPONENTS, Precision
from edgernn.model.functions.exponents import Exponent
from edgernn_export.calibration.ranges import RangeMethod, limit
from edgernn_export.calibration.statistics import Calibration
from edgernn_export.float_model.cell_plans import full_name, open_exponents, record_of
from edgernn_export.float_model.model import FloatCell, FloatLSTM, FloatModel, FloatSimpleRNN
from edgernn_export.guards.wide_forms import wide_defect

#: Largest code that every row of an affine map can reach (clauses 4.3 and 5.2).
HIGH_CODE: Final = {Precision.W8A8: INT16_MAX, Precision.W8A16: INT16_MAX // 2}
#: What 16 bits hold of the cell state of an LSTM: with fewer fraction bits than 0, products of
#: gates and candidates would lose more bits than clause 1.3 has. Wide ones hold 32 times that.
NARROW_CELL_LIMIT: Final = float(INT16_MAX)
WIDE_CELL_LIMIT: Final = INT16_MAX * 2.0 ** -min(WIDE_CELL_EXPONENTS)


def refuse_unheld(
    model: FloatModel,
    statistics: Calibration,
    method: RangeMethod,
    precision: Precision,
    narrow: Sequence[bool] | None = None,
) -> None:
    """Refuse states that leave their coarsest format within calibration itself.

    Args:
        model: the float model.
        statistics: its calibration.
        method: how ranges are chosen.
        precision: of the integer model.
        narrow: per layer, whether its state must have 16 bits; none must where None.

    Raises:
        RangeRefused: names every such layer, the value it reached, and a fix.
    """
    reasons = []
    for index, layer in enumerate(model.layers):
        if isinstance(layer, FloatSimpleRNN) and layer.activation == "relu":
            stats = statistics[index, "h"]
            reached = limit(stats.spread, stats.limit, method)
            highest = HIGH_CODE[precision] * 2.0 ** -min(RELU_EXPONENTS)
            if reached > highest:
                reasons.append(_relu(layer.name, reached, highest, precision))
        elif isinstance(layer, FloatLSTM):
            stats = statistics[index, "c"]
            reached = limit(stats.spread, stats.limit, method)
            in_16 = narrow is not None and narrow[index]
            highest = NARROW_CELL_LIMIT if in_16 else WIDE_CELL_LIMIT
            if reached > highest:
                reasons.append(_cell(layer.name, reached, highest, in_16=in_16))
        elif isinstance(layer, FloatCell):
            in_16 = narrow is not None and narrow[index]
            wide = not in_16 and wide_defect(layer) is None
            reasons += _unheld_values(layer, index, statistics, method, precision, wide=wide)
    if reasons:
        raise RangeRefused(reasons)


def high_code(layer: FloatCell, exponent: Exponent, precision: Precision) -> int:
    """Largest code that all values of an exponent can reach, and of those that share it."""
    plan, record, options = layer.plan, record_of(layer.kind), dict(layer.options)
    values = {*exponent.values, *exponent.parts}
    for other in record.exponents.values():
        if other.shares(options) and record.exponents[other.partner] is exponent:
            values.update(other.values + other.parts)
    maps = {op.result.name for op in plan.graph.ops if isinstance(op, AffineResult)}
    rows = {
        op.result.name
        for op in plan.graph.ops
        if isinstance(op, Slice) and op.value.name in maps and not op.result.operand
    }
    of_map = any(full_name(value) in maps | rows for value in values)
    return HIGH_CODE[precision] if of_map else INT16_MAX


def _unheld_values(
    layer: FloatCell,
    index: int,
    statistics: Calibration,
    method: RangeMethod,
    precision: Precision,
    *,
    wide: bool,
) -> list[str]:
    """The values of a registered cell that its coarsest exponents do not hold.

    Args:
        layer: the cell.
        index: its position.
        statistics: calibration of the model.
        method: how ranges are chosen.
        precision: of the integer model.
        wide: its state may be wide.
    """
    reasons = []
    chosen = open_exponents(record_of(layer.kind), dict(layer.options))
    for option, exponent in chosen.items():
        coarsest = min(exponent.of(wide=wide))
        highest = high_code(layer, exponent, precision) * 2.0**-coarsest
        for value in layer.plan.ranged_of(exponent):
            stats = statistics[index, value]
            reached = limit(stats.spread, stats.limit, method)
            if reached > highest:
                reasons.append(
                    f"{layer.name}.{value}: expected values within ±{highest:.0f} ({option} "
                    f"{coarsest}), got {reached:.6g} in calibration. Train with smaller "
                    "weights or readings; or reset the state regularly on the device and "
                    "calibrate on streams of that length."
                )
    return reasons


def _relu(name: str, reached: float, highest: float, precision: Precision) -> str:
    # One bit more than needed leaves room for values that calibration did not see.
    factor = 2 ** (math.ceil(math.log2(reached / highest)) + 1)
    return (
        f"{name}: expected a relu state of at most {highest:.0f} ({precision.value}), got "
        f"{reached:.6g} in calibration. Divide its kernel and bias by {factor} and multiply "
        f"the kernel of the next layer by {factor} (if it is the last layer, add a linear "
        f"Dense layer of {factor} times the identity). The outputs do not change."
    )


def _cell(name: str, reached: float, highest: float, *, in_16: bool) -> str:
    cured = in_16 and reached <= WIDE_CELL_LIMIT
    wider = f"Pass state='32', which extends the range to ±{WIDE_CELL_LIMIT:.0f}. " if cured else ""
    return (
        f"{name}: expected a cell state within ±{highest:.0f}, got {reached:.6g} in "
        f"calibration. {wider}If the device resets the state regularly, calibrate on streams "
        "of that length; otherwise train a GRU, whose state stays within ±1."
    )
