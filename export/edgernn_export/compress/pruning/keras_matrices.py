"""Find the weight matrices of a Keras model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from edgernn.errors import PruningError
from edgernn_export.compress.checks import MATRICES
from edgernn_export.compress.pruning.matrices import (
    DENSE_GATES,
    Matrix,
    checked_matrices,
    record_matrices,
)
from edgernn_export.keras_reader.findings import owner_of

#: Gates by cell, in the order of the rows. Keras calls the LSTM's g "c" and the GRU's n "h".
GATES: Final = {
    "SimpleRNNCell": ("h",),
    "LSTMCell": ("i", "f", "g", "o"),
    "GRUCell": ("z", "r", "n"),
}
#: Layers beside recurrent ones that have a matrix, by class, and what Keras calls it there.
KERNELS: Final = {"Dense": "kernel", "Conv1D": "kernel", "SeparableConv1D": "pointwise_kernel"}
#: Why zeros in other layers save nothing.
_WHY_NOT: Final = {
    "DepthwiseConv1D": "Its kernel is not a matrix: every weight is a separate constant. ",
    "Embedding": "Tables are stored in full, so that a row can be found by its number "
    "(NUMERICS.md 8.3). ",
}


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
    result = [m for layer in chosen for m in _of_layer(layer, matrices)]
    return checked_matrices(result, owner_of(model), matrices, "Dense layers and convolutions")


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
            yield from record_matrices(cell, place, matrices)
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
