"""The choices of a quantization that hold for all layers, and input codes that are given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edgernn.errors import QuantizationError
from edgernn.model.formats import FloatArray, Precision
from edgernn_export.calibration.input_ranges import GivenRanges, check_given
from edgernn_export.calibration.ranges import RangeMethod
from edgernn_export.quantizer.layer_context import Plan
from edgernn_export.quantizer.states.storage import States, check_storage

OPERAND_SCALES: Final = ("auto", "common", "separate")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FixedInput:
    """Codes of a pass's input that earlier passes have fixed.

    Attributes:
        scale: [I], what a code of each channel is worth.
        offset: [I].
    """

    scale: FloatArray
    offset: FloatArray


def make_plan(
    precision: Precision,
    method: str | RangeMethod = "minmax",
    scales: str = "auto",
    loss_db: float = 0.5,
    sparse: str = "auto",
    given_ranges: GivenRanges | None = None,
    state: States = "auto",
) -> Plan:
    """The choices of `quantize` that hold for all layers.

    Raises:
        QuantizationError: an unknown range method, scale choice or storage of states, or a loss
            below 0.
    """
    if method not in [*RangeMethod, *(member.value for member in RangeMethod)]:
        wanted = ", ".join(repr(member.value) for member in RangeMethod)
        raise QuantizationError(
            f"quantize range_method: expected one of {wanted}, got {method!r:.40}."
        )
    if scales not in OPERAND_SCALES:
        raise QuantizationError(
            f"quantize operand_scales: expected one of {', '.join(map(repr, OPERAND_SCALES))}, "
            f"got {scales!r}."
        )
    if not isinstance(loss_db, (int, float)) or not 0 <= loss_db < math.inf:
        raise QuantizationError(
            f"quantize common_loss_db: expected a finite number >= 0, got {loss_db!r}."
        )
    if not isinstance(state, Mapping):
        check_storage(state)
    return Plan(
        precision=precision,
        method=RangeMethod(method),
        operand_scales=scales,
        common_loss_db=loss_db,
        sparse=sparse,
        given_ranges=check_given(given_ranges),
        state=state,
    )
