"""Magnitude pruning of Keras models while they are trained.

    from edgernn_export.compress.pruning import MagnitudePruning

    pruning = MagnitudePruning(0.3, end_step=2000, pattern="8x4")
    model.fit(x, y, epochs=20, callbacks=[pruning])
    print(pruning.report())

Importing this package loads NumPy only; `MagnitudePruning`, a `keras.callbacks.Callback`, loads
Keras when it is first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn_export.compress.pruning.density import densities, density_table
from edgernn_export.compress.pruning.magnitude import callback_class

if TYPE_CHECKING:
    from edgernn_export.compress.pruning.magnitude import Pruner as MagnitudePruning

__all__ = ["MagnitudePruning", "densities", "density_table"]


def __getattr__(name: str) -> Any:
    """Load Keras with the first use of the callback."""
    if name == "MagnitudePruning":
        return callback_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
