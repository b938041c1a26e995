"""A weight matrix of a network in the integer model's orientation, whatever library it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn_export.compress.checks import MATRICES
from edgernn_export.compress.pruning.masks import PATTERNS, renew

#: Gates of layers that are not recurrent.
DENSE_GATES: Final = ("y",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One kernel or recurrent kernel.

    Attributes:
        name: "layer/kernel" or "layer/recurrent_kernel"; with the name of the cell in between for a
            stack.
        variable: [N, G*H], of Keras or what acts as one; of a convolution [K, C, H], whose N
            columns here are those of the taps, the newest first.
        gates: names of its G gates.
        recurrent: its columns are the layer's own state.
    """

    name: str
    variable: Any
    gates: tuple[str, ...]
    recurrent: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns [R, N] in the integer model's orientation."""
        *columns, rows = self.variable.shape
        return int(rows), int(np.prod(columns))

    def part(self, gate: str) -> slice:
        """Where a gate stands among G gates; all of them for the empty name."""
        if not gate:
            return slice(None)
        index = self.gates.index(gate)
        return slice(index, index + 1)

    def read(self) -> FloatArray:
        """Weights [G, H, N], float64.

        Raises:
            PruningError: a weight is NaN or infinite.
        """
        weights = np.asarray(self.variable, dtype=np.float64)
        turned = (weights[::-1] if weights.ndim == 3 else weights).reshape(-1, weights.shape[-1]).T
        bad = np.count_nonzero(~np.isfinite(turned))
        if bad:
            raise PruningError(
                f"{self.name}: expected finite weights, got {bad} that are NaN or infinite. "
                "Lower the learning rate or clip gradients."
            )
        return turned.reshape(len(self.gates), -1, turned.shape[1])

    def renewed(
        self,
        mask: BoolArray,
        densities: Mapping[str, float],
        *,
        pattern: str,
        norm: str,
        keep_diagonal: bool,
    ) -> BoolArray:
        """The mask [R, N] with fewer weights, the smallest ones gone.

        Args:
            mask: [R, N], of the weights that remain.
            densities: by gate, or one of all gates under the empty name.
            pattern: a name in `PATTERNS`.
            norm: as for `renew`.
            keep_diagonal: whether a recurrent kernel's diagonals stay, where it has H columns.

        Raises:
            PruningError: a weight is NaN or infinite.
        """
        weights = self.read()
        kept = mask.reshape(weights.shape).copy()
        square = weights.shape[1] == weights.shape[2]  # not that of a narrower state, nor to one
        for gate, density in densities.items():
            part = self.part(gate)
            kept[part] = renew(
                weights[part],
                kept[part],
                density=density,
                pattern=PATTERNS[pattern],
                norm=norm,
                keep_diagonal=keep_diagonal and self.recurrent and square,
            )
        return kept.reshape(self.shape)

    def apply(self, mask: BoolArray) -> None:
        """Set weights to +0 where the mask [R, N] is False."""
        weights = np.asarray(self.variable)
        stays = mask.T.reshape(weights.shape)
        stays = stays[::-1] if weights.ndim == 3 else stays
        self.variable.assign(np.where(stays, weights, np.zeros((), weights.dtype)))


def checked_matrices(
    found: Sequence[Matrix], owner: str, matrices: Sequence[str], others: str
) -> tuple[Matrix, ...]:
    """Refuse no matrix at all, and two of a name.

    Args:
        found: what there is to prune.
        owner: of the matrices, for the message.
        matrices: "kernel", "recurrent_kernel" or both.
        others: layers that can be named in addition to the recurrent ones.

    Raises:
        PruningError: there is none, or there are two of a name.
    """
    names = [matrix.name for matrix in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PruningError(
            f"layers: expected each matrix once, got {twice[0]!r} twice. "
            "Name each layer once and give layers distinct names."
        )
    if not found:
        raise PruningError(
            f"{owner}: expected {' or '.join(matrices)} to prune, got none. Name "
            f"{others} in layers=[...]; they have only a kernel."
        )
    return tuple(found)


def record_matrices(
    cell: Any, place: Sequence[str], matrices: Sequence[str] = MATRICES
) -> list[Matrix]:
    """The matrices of a cell that is made of a record: of a registered one, or of integers.

    Args:
        cell: with the method matrices.
        place: first parts of the name of each matrix.
        matrices: "kernel", "recurrent_kernel" or both.
    """
    return [
        Matrix(
            name="/".join([*place, found.name]),
            variable=found.variable,
            gates=found.parts,
            recurrent=found.recurrent,
        )
        for found in cell.matrices()
        if MATRICES[found.recurrent] in matrices
    ]
