"""Which classes of Keras cells are registered cells, and what their weights are.

A reader looks at attributes alone, so that it understands live cells and those of stored files,
which are read without Keras.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import AffineResult
from edgernn.model.affine import Source
from edgernn.model.formats import FloatArray
from edgernn_export.float_model.cell_plans import weight_shapes
from edgernn_export.float_model.own_cells import FloatCell

#: Entry points by which packages name modules that call `register_keras_cell`.
ENTRY_POINTS: Final = "edgernn.keras_cells"
#: How Keras names the class `edgernn_export.cells.RegisteredCell`.
OWN: Final = "edgernn>RegisteredCell"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellReader:
    """How cells of one Keras class are read.

    Attributes:
        variables: names of the weights in the order the class makes them, from its configuration.
        read: the float layer of a layer name and a cell, which has its arguments and weights as
            attributes: "gates.x" and the like are [R, N], so kernels of Keras are transposed.
    """

    variables: Callable[[Mapping[str, Any]], Sequence[str]]
    read: Callable[[str, Any], FloatCell]


def attribute(name: str) -> str:
    """What a weight of a `FloatCell` is called in Keras."""
    return name.replace(".", "_")


def _own_variables(config: Mapping[str, Any]) -> list[str]:
    shapes = weight_shapes(config["kind"], 1, config["units"], config["options"])
    return [attribute(name) for name in shapes]


def _read_own(name: str, cell: Any) -> FloatCell:
    weights: dict[str, FloatArray] = {
        weight: np.asarray(getattr(cell, attribute(weight)), dtype=np.float64).T
        for weight in weight_shapes(cell.kind, 1, cell.units, cell.options)
    }
    return FloatCell.of(cell.kind, name, cell.options, weights)


_readers: dict[str, CellReader] = {OWN: CellReader(variables=_own_variables, read=_read_own)}


def register_keras_cell(registered_name: str, reader: CellReader) -> None:
    """Let models have a Keras cell in `keras.layers.RNN`.

    Args:
        registered_name: "package>Name", as `keras.saving.register_keras_serializable` makes it.
        reader: how cells of this class are read.
    """
    _readers[registered_name] = reader


def cell_reader(registered_name: str) -> CellReader | None:
    """Who reads a class; None where nobody does."""
    if registered_name not in _readers:
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
            entry.load()
    return _readers.get(registered_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMatrix:
    """A matrix of a cell.

    Attributes:
        name: of the variable.
        variable: [N, R].
        parts: names of the parts that are side by side in R.
        recurrent: it reads values of the cell.
    """

    name: str
    variable: Any
    parts: tuple[str, ...]
    recurrent: bool


def matrices_of(graph: OpGraph, weights: Mapping[str, Any]) -> list[CellMatrix]:
    """The matrices of a registered cell, in the order in which its step reads them.

    Args:
        graph: of the cell.
        weights: variables by the names that `weight_shapes` gives them.
    """
    return [
        CellMatrix(
            name=attribute(name),
            variable=weights[name],
            parts=tuple(row.rpartition(".")[2] for row in op.rows),
            recurrent=source is not Source.X,
        )
        for op in graph.ops
        if isinstance(op, AffineResult)
        for source in Source
        if (name := f"{op.name}.{source.value}") in weights
    ]
