"""Physical outputs and probabilities of output codes."""

from __future__ import annotations

import numpy as np

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray, Int16Array
from edgernn.model.interface import Interface


def real_outputs(interface: Interface, q_y: Int16Array | None, softmax: bool) -> FloatArray:
    """What codes mean.

    Args:
        interface: of the model.
        q_y: codes [..., O]; None, or masked values, where there is no output yet.
        softmax: return probabilities.

    Returns:
        float64 [..., O] in physical units, or probabilities; NaN where there is none.
    """
    if q_y is None:
        return np.full(interface.output.width, np.nan)
    y = interface.dequantize(q_y)
    if isinstance(q_y, np.ma.MaskedArray):  # no answer yet
        y[q_y.mask] = np.nan
    if not softmax:
        return y
    weight = np.exp(y - y.max(axis=-1, keepdims=True))
    probability: FloatArray = weight / weight.sum(axis=-1, keepdims=True)
    return probability


def require_softmax(interface: Interface) -> None:
    """Refuse probabilities of a model that has none.

    Raises:
        EdgeRnnError: the float model does not end in a softmax.
    """
    if not interface.output.softmax:
        raise EdgeRnnError(
            f"session: expected a model that ends in a softmax, got '{interface.name}', "
            "which does not. Call without softmax=True."
        )
