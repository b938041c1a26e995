"""Structured pruning of Keras models: fewer hidden units, fewer inputs, lower rank.

    from edgernn_export.compress.structured import GroupLasso, remove_units

    lasso = GroupLasso(0.002)
    model.fit(x, y, epochs=20, callbacks=[lasso])
    print(lasso.report())
    smaller = remove_units(model)

What comes back is a smaller dense model of standard layers: it trains, quantizes and exports like
any other. Importing this package loads NumPy only; Keras is loaded on use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn_export.compress.structured.group_lasso import lasso_class
from edgernn_export.compress.structured.input_removal import RemovedInputs, remove_inputs
from edgernn_export.compress.structured.low_rank import Factorized, factorize
from edgernn_export.compress.structured.unit_removal import norm_table, remove_units, unit_norms

if TYPE_CHECKING:
    from edgernn_export.compress.structured.group_lasso import Lasso as GroupLasso

__all__ = [
    "Factorized",
    "GroupLasso",
    "RemovedInputs",
    "factorize",
    "norm_table",
    "remove_inputs",
    "remove_units",
    "unit_norms",
]


def __getattr__(name: str) -> Any:
    """Load Keras with the first use of the callback."""
    if name == "GroupLasso":
        return lasso_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
