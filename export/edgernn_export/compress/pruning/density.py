"""How many weights are left, per matrix and per gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgernn.cli.style import table
from edgernn_export.compress.pruning.keras_matrices import find_matrices
from edgernn_export.compress.pruning.matrices import Matrix

Densities = dict[str, dict[str, float]]
#: A gate starves that keeps less than this share of the requested density.
_STARVING: Final = 0.2


def densities(model: Any, layers: Sequence[str] | None = None) -> Densities:
    """Share of weights that are not zero in a Keras model.

    Args:
        model: a built keras.Model.
        layers: names of layers; None takes all recurrent ones.

    Returns:
        Per matrix the density of the whole under "all", and of each gate under its name.

    Raises:
        PruningError: a name is unknown, or a weight is NaN or infinite.
    """
    return densities_of(find_matrices(model, layers))


def densities_of(matrices: Iterable[Matrix]) -> Densities:
    """Share of weights that are not zero, per matrix and gate."""
    result: Densities = {}
    for matrix in matrices:
        nonzero = matrix.read() != 0.0
        row = {"all": float(np.mean(nonzero))}
        row.update((g, float(np.mean(nonzero[i]))) for i, g in enumerate(matrix.gates))
        result[matrix.name] = row
    return result


def starved_gates(kept: Mapping[str, Mapping[str, float]], asked: Mapping[str, float]) -> list[str]:
    """Messages about gates that keep far less than requested.

    Args:
        kept: share of the weights that stay, by matrix and gate.
        asked: densities by gate, or one of all gates under the empty name.

    >>> starved_gates({"gru/kernel": {"z": 0.9, "r": 0.3, "n": 0.0}}, {"": 0.4})
    ['gru/kernel: gate n keeps 0.0 % of its weights instead of 40.0 %']
    """
    found = []
    for name, gates in kept.items():
        for gate, share in gates.items():
            wanted = asked.get(gate, asked.get("", 0.0))
            if share < _STARVING * wanted:
                found.append(
                    f"{name}: gate {gate} keeps {share:.1%} of its weights instead of "
                    f"{wanted:.1%}".replace("%", " %")
                )
    return found


def density_table(values: Mapping[str, Mapping[str, float]]) -> str:
    """A text table, one line per matrix.

    >>> print(density_table({"gru/kernel": {"all": 0.5, "z": 0.25, "r": 0.75, "n": 0.5}}))
    matrix        all  gates
    ----------  -----  -------------------------
    gru/kernel  50.0%  z 25.0%  r 75.0%  n 50.0%
    """
    rows = []
    for name, row in values.items():
        gates = "  ".join(f"{g} {d:.1%}" for g, d in row.items() if g != "all")
        rows.append((name, f"{row['all']:.1%}", gates))
    return "\n".join(table(("matrix", "all", "gates"), rows, "<><"))
