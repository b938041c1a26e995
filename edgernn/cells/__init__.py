"""Layers, most of them recurrent cells, one file each; and what they are written with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, dataclass_transform

from edgernn.graph.lowering import Lowered, register_cell, x_and_h
from edgernn.graph.op_graph import OpBuilder
from edgernn.graph.ops import Function, Value
from edgernn.model.affine import Affine, Source
from edgernn.model.formats import CELL_EXPONENTS, PREACTIVATION, RELU_EXPONENTS, UNIT, QFormat
from edgernn.model.layer_record import X_AND_H, AffineShapes, Exponent, LayerRecord, StateSpec
from edgernn.model.layers import GateActivation
from edgernn.model.scales import NormalizationConstants, ScaleVector

__all__ = [
    "CELL_EXPONENTS",
    "PREACTIVATION",
    "RELU_EXPONENTS",
    "UNIT",
    "X_AND_H",
    "Affine",
    "AffineShapes",
    "Exponent",
    "Function",
    "GateActivation",
    "LayerRecord",
    "Lowered",
    "NormalizationConstants",
    "OpBuilder",
    "QFormat",
    "ScaleVector",
    "Source",
    "StateSpec",
    "Value",
    "cell_record",
    "register_cell",
    "x_and_h",
]


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def cell_record(cls: type[Any]) -> Any:
    """Declare the class of a cell: frozen, equal by value, its fields in any order by name."""
    return dataclass(frozen=True, slots=True, kw_only=True, eq=False)(cls)
