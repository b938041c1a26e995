"""Layers, most of them recurrent cells, one file each; and what they are written with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, dataclass_transform

from edgernn.graph.builder import OpBuilder
from edgernn.graph.lowering import (
    OPERATIONS,
    Lowered,
    applied,
    gate_share,
    register_cell,
    wide_cell,
    x_and_h,
)
from edgernn.graph.ops import Function, Gate, Value
from edgernn.model.affine import Affine, Source
from edgernn.model.formats import (
    CELL_EXPONENTS,
    GATE_EXPONENTS,
    PREACTIVATION,
    RELU_EXPONENTS,
    UNIT,
    VALUE_EXPONENTS,
    WIDE_CELL_EXPONENTS,
    QFormat,
)
from edgernn.model.functions.curves import CurveTable
from edgernn.model.functions.exponents import Exponent
from edgernn.model.layer_record import (
    X_AND_H,
    AffineShapes,
    LayerRecord,
    ScaledRecord,
    StateSpec,
)
from edgernn.model.layers import GateActivation
from edgernn.model.scales import LeakConstants, NormalizationConstants, ScaleVector

__all__ = [
    "CELL_EXPONENTS",
    "GATE_EXPONENTS",
    "OPERATIONS",
    "PREACTIVATION",
    "RELU_EXPONENTS",
    "UNIT",
    "VALUE_EXPONENTS",
    "WIDE_CELL_EXPONENTS",
    "X_AND_H",
    "Affine",
    "AffineShapes",
    "CurveTable",
    "Exponent",
    "Function",
    "Gate",
    "GateActivation",
    "LayerRecord",
    "LeakConstants",
    "Lowered",
    "NormalizationConstants",
    "OpBuilder",
    "QFormat",
    "ScaleVector",
    "ScaledRecord",
    "Source",
    "StateSpec",
    "Value",
    "applied",
    "cell_record",
    "gate_share",
    "register_cell",
    "wide_cell",
    "x_and_h",
]


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def cell_record(cls: type[Any]) -> Any:
    """Declare the class of a cell: frozen, equal by value, its fields in any order by name."""
    return dataclass(frozen=True, slots=True, kw_only=True, eq=False)(cls)
