"""The weights of one hidden unit as a group: intrinsic sparse structures (Wen et al. 2018).

"Learning Intrinsic Sparse Structures within Long Short-Term Memory", section 3.1: the group of a
unit is all that goes when the unit goes. Those are its columns of kernel, recurrent kernel and bias
in every gate, its row of the recurrent kernel, and its row of the kernel that reads it. Weights
between two units, and between units of two layers, belong to both groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn_export.compress.structured.keras_chain import KerasChain, gates_of, read_kernel
from edgernn_export.keras_reader.findings import owner_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitGroups:
    """The groups of one recurrent layer.

    Attributes:
        layer: the Keras layer.
        cell: owner of its weights.
        reader: owner of the kernel that reads its output: a cell, a Dense layer or a Conv1D.
    """

    layer: Any
    cell: Any
    reader: Any

    @property
    def units(self) -> int:
        """Number of groups H."""
        return int(self.cell.units)

    @property
    def size(self) -> int:
        """Weights of one group."""
        gates, inputs = gates_of(self.cell), int(self.cell.kernel.shape[0])
        rows = int(np.prod(self.cell.bias.shape)) // self.units if self.cell.use_bias else 0
        return gates * (inputs + 2 * self.units - 1) + rows + read_kernel(self.reader).shape[1]

    def norms(self) -> FloatArray:
        """Euclidean norm of every group [H].

        Raises:
            PruningError: a weight is NaN or infinite.
        """
        kernel, recurrent, bias, read = (np.square(part) for part in self._parts())
        own = np.einsum("kgk->k", recurrent)  # in the unit's column and in its row
        total = kernel.sum(axis=(0, 1)) + bias.sum(axis=(0, 1)) + read.sum(axis=1)
        norms: FloatArray = np.sqrt(
            total + recurrent.sum(axis=(0, 1)) + recurrent.sum(axis=(1, 2)) - own
        )
        return norms

    def idle(self) -> BoolArray:
        """Units that do nothing [H]: their output is always 0, or only they read it.

        All cells always output 0 if every weight and bias into a unit is 0: the candidate is
        tanh(0) or relu(0), and the state begins at 0.
        """
        kernel, recurrent, bias, read = (part != 0.0 for part in self._parts())
        into = kernel.any(axis=(0, 1)) | recurrent.any(axis=(0, 1)) | bias.any(axis=(0, 1))
        itself = np.eye(self.units, dtype=np.bool_)
        others = (recurrent.any(axis=1) & ~itself).any(axis=1)
        idle: BoolArray = ~into | ~(others | read.any(axis=1))
        return idle

    def scale(self, factors: FloatArray) -> None:
        """Multiply every group by its factor [H]; weights in two groups by both."""
        gates = gates_of(self.cell)
        into = np.tile(factors, gates)
        itself = np.tile(np.eye(self.units, dtype=np.bool_), gates)
        recurrent = np.where(itself, into, factors[:, None] * into)
        _multiply(self.cell.kernel, into)
        _multiply(self.cell.recurrent_kernel, recurrent)
        if self.cell.use_bias:
            _multiply(self.cell.bias, into)
        _multiply(self.reader.kernel, factors[:, None])

    def _parts(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Kernel [I, G, H], recurrent kernel [H, G, H], bias [1 or 2, G, H], reader [H, N].

        All float64; the bias is 0 where the layer has none.
        """
        shape = (-1, gates_of(self.cell), self.units)
        variables = (
            ("kernel", self.cell.kernel),
            ("recurrent_kernel", self.cell.recurrent_kernel),
            ("bias", self.cell.bias if self.cell.use_bias else np.zeros(shape[1:])),
        )
        kernel, recurrent, bias = (self._finite(n, v).reshape(shape) for n, v in variables)
        return (
            kernel,
            recurrent,
            bias,
            self._finite("kernel that reads it", read_kernel(self.reader)),
        )

    def _finite(self, name: str, variable: Any) -> FloatArray:
        values = np.asarray(variable, dtype=np.float64)
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise PruningError(
                f"{owner_of(self.layer)}: expected finite weights, got {bad} that are NaN or "
                f"infinite ({name}). Lower the learning rate or clip gradients."
            )
        return values


def _multiply(variable: Any, factors: npt.NDArray[Any]) -> None:
    """Multiply in the variable's own precision; a factor of 0 leaves +0."""
    weights = np.asarray(variable)
    scaled = weights * factors.astype(weights.dtype)
    variable.assign(np.where(factors == 0.0, np.zeros((), weights.dtype), scaled))


def groups_of(chain: KerasChain, index: int) -> UnitGroups:
    """The groups of a recurrent block that another block reads."""
    block, reader = chain.blocks[index], chain.blocks[index + 1]
    return UnitGroups(layer=block.layer, cell=block.core, reader=reader.core)
