"""Validation of a stream's state as a user hands it in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import State
from edgernn.errors import StateError
from edgernn.formats import INT16_MAX, INT16_MIN, Int16Array
from edgernn.interface import Interface
from edgernn.layers import StateSpec


def checked_state(interface: Interface, state: Mapping[str, npt.ArrayLike]) -> State:
    """Int16 copies of the vectors in ``state``, in the order of ``interface.states``.

    Args:
        interface: of the model.
        state: one vector of integer codes per state name.

    Raises:
        StateError: a vector is missing, unknown, or does not fit its format.
    """
    if not isinstance(state, Mapping):
        raise StateError(
            f"state: expected a mapping of names to vectors, got {type(state).__name__}. "
            "Assign what `session.state` returns."
        )
    wanted = [spec.name for spec in interface.states]
    if set(state) != set(wanted):
        raise StateError(
            f"state: expected the vectors {', '.join(wanted)}, "
            f"got {', '.join(sorted(map(str, state))) or 'none'}. "
            "Use a state of the same model."
        )
    return tuple(_checked_vector(spec, state[spec.name]) for spec in interface.states)


def _checked_vector(spec: StateSpec, value: npt.ArrayLike) -> Int16Array:
    try:
        codes = np.asarray(value)
    except ValueError as error:
        raise StateError(f"state {spec.name}: expected int16 codes, got {error!s:.120}.") from None
    if codes.dtype.kind not in "iu" or codes.shape != (spec.units,):
        raise StateError(
            f"state {spec.name}: expected int16 codes of shape ({spec.units},), "
            f"got {codes.dtype.name} {codes.shape}. Use a state of the same model."
        )
    low, high = int(codes.min()), int(codes.max())
    if low < INT16_MIN or high > INT16_MAX:
        raise StateError(
            f"state {spec.name}: expected codes in [{INT16_MIN}, {INT16_MAX}], "
            f"got [{low}, {high}]. Use a state of the same model."
        )
    return codes.astype(np.int16)
