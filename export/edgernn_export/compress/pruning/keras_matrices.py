"""Find the weight matrices of a Keras model and turn them to the integer model's orientation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn_export.compress.checks import MATRICES
from edgernn_export.compress.pruning.masks import PATTERNS, renew
from edgernn_export.keras_reader.findings import owner_of

#: Gates by cell, in the order of the rows. Keras calls the LSTM's g "c" and the GRU's n "h".
GATES: Final = {
    "SimpleRNNCell": ("h",),
    "LSTMCell": ("i", "f", "g", "o"),
    "GRUCell": ("z", "r", "n"),
}
DENSE_GATES: Final = ("y",)
#: Layers beside recurrent ones that have a matrix, by class, and what Keras calls it there.
KERNELS: Final = {"Dense": "kernel", "Conv1D": "kernel", "SeparableConv1D": "pointwise_kernel"}
#: Why zeros in other layers save nothing.
_WHY_NOT: Final = {
    "DepthwiseConv1D": "Its kernel is not a matrix: every weight is a separate constant. ",
    "Embedding": "Tables are stored in full, so that a row can be found by its number "
    "(NUMERICS.md 8.3). ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One kernel or recurrent kernel.

    Attributes:
        name: "layer/kernel" or "layer/recurrent_kernel"; with the name of the cell in between for a
            stack.
        variable: the Keras variable [N, G*H]; of a convolution [K, C, H], whose N columns here are
            those of the taps, the newest first.
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


def find_matrices(
    model: Any, layers: Sequence[str] | None = None, matrices: Sequence[str] = MATRICES
) -> tuple[Matrix, ...]:
    """Matrices of the named layers, in the order of the model.

    Args:
        model: a built keras.Model.
        layers: names of SimpleRNN, LSTM, GRU, RNN, Dense, Conv1D or SeparableConv1D layers; None
            takes all recurrent ones.
        matrices: "kernel", "recurrent_kernel" or both.

    Raises:
        PruningError: a name is unknown or used twice, or a layer has nothing to prune.
    """
    import keras

    found = [layer for layer in model._flatten_layers(include_self=False) if layer.built]
    if layers is None:
        chosen = [layer for layer in found if isinstance(layer, keras.layers.RNN)]
    else:
        chosen = [layer for name in layers for layer in _by_name(found, name)]
    result = tuple(m for layer in chosen for m in _of_layer(layer, matrices))
    names = [m.name for m in result]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PruningError(
            f"layers: expected each matrix once, got {twice[0]!r} twice. "
            "Name each layer once and give layers distinct names."
        )
    if not result:
        raise PruningError(
            f"{owner_of(model)}: expected {' or '.join(matrices)} to prune, got none. Name "
            "Dense layers and convolutions in layers=[...]; they have only a kernel."
        )
    return result


def _by_name(found: Sequence[Any], name: str) -> list[Any]:
    import keras

    kinds = (keras.layers.RNN, *(getattr(keras.layers, kind) for kind in KERNELS))
    prunable = [layer for layer in found if isinstance(layer, kinds)]
    named = [layer for layer in prunable if layer.name == name]
    if named:
        return named
    other = next((layer for layer in found if layer.name == name), None)
    got = repr(name) if other is None else owner_of(other)
    raise PruningError(
        f"layers: expected names of recurrent or Dense layers or convolutions, got {got}. "
        f"{_WHY_NOT.get(type(other).__name__, '')}This model has "
        f"{', '.join(repr(layer.name) for layer in prunable) or 'none'}."
    )


def _of_layer(layer: Any, matrices: Sequence[str]) -> Iterator[Matrix]:
    import keras

    for kind, kernel in KERNELS.items():
        if isinstance(layer, getattr(keras.layers, kind)):
            if MATRICES[0] in matrices:
                name, variable = f"{layer.name}/{kernel}", getattr(layer, kernel)
                yield Matrix(name=name, variable=variable, gates=DENSE_GATES, recurrent=False)
            return
    stacked = isinstance(layer.cell, keras.layers.StackedRNNCells)
    for cell in layer.cell.cells if stacked else [layer.cell]:
        place = [layer.name, *([cell.name] if stacked else [])]
        if hasattr(cell, "matrices"):
            yield from _of_record(cell, place, matrices)
            continue
        gates = GATES.get(type(cell).__name__)
        if gates is None:
            raise PruningError(
                f"{owner_of(layer)}: expected a cell of type {', '.join(GATES)}, got "
                f"{owner_of(cell)}. Name the layers to prune in layers=[...]."
            )
        for kind in matrices:
            yield Matrix(
                name="/".join([*place, kind]),
                variable=getattr(cell, kind),
                gates=gates,
                recurrent=kind == MATRICES[1],
            )


def _of_record(cell: Any, place: Sequence[str], matrices: Sequence[str]) -> Iterator[Matrix]:
    """The matrices of a cell that is made of a record: of a registered one, or of integers."""
    for found in cell.matrices():
        if MATRICES[found.recurrent] in matrices:
            yield Matrix(
                name="/".join([*place, found.name]),
                variable=found.variable,
                gates=found.parts,
                recurrent=found.recurrent,
            )
