"""Validation of a stream's state as a user hands it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import State
from edgernn.errors import EdgeRnnError, StateError
from edgernn.model.formats import INT16_MAX, INT16_MIN, Int16Array
from edgernn.model.interface import Interface
from edgernn.model.layers import StateSpec
from edgernn.model.window import Window

#: What a window model answers before its first window is full.
WarmUp = Literal["nothing", "pad"]
WARM_UPS: Final[tuple[str, ...]] = get_args(WarmUp)


def is_padded(warm_up: str, interface: Interface) -> bool:
    """Whether the first reading stands for those before it.

    Raises:
        EdgeRnnError: no such warm-up, or not a window model.
    """
    if warm_up not in WARM_UPS:
        raise EdgeRnnError(
            f"warm_up: expected {' or '.join(map(repr, WARM_UPS))}, got {warm_up!r:.40}."
        )
    if warm_up == "pad" and interface.window is None:
        raise EdgeRnnError(
            f"warm_up: expected 'nothing' for an endless model, got 'pad' ('{interface.name}'). "
            "An endless stream answers from its first reading on."
        )
    return warm_up == "pad"


def checked_state(interface: Interface, state: Mapping[str, npt.ArrayLike]) -> State:
    """Int16 copies of the vectors in ``state``, in the order of ``interface.carried``.

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
    wanted = [spec.name for spec in interface.carried]
    if set(state) != set(wanted):
        raise StateError(
            f"state: expected the vectors {', '.join(wanted)}, "
            f"got {', '.join(sorted(map(str, state))) or 'none'}. "
            "Use a state of the same model."
        )
    vectors = tuple(_checked_vector(spec, state[spec.name]) for spec in interface.carried)
    if interface.window is not None:
        _check_window(interface, interface.window, *vectors)
    return vectors


def _check_window(interface: Interface, window: Window, codes: Int16Array, due: Int16Array) -> None:
    p = interface.precision
    off_grid = (codes < p.input_low) | (codes > p.input_high) | (codes % p.input_step != 0)
    if off_grid.any() or not 0 <= due[0] <= max(window.steps, window.hop):
        raise StateError(
            f"state window: expected input codes (NUMERICS.md clause 2.3) and 0 to "
            f"{max(window.steps, window.hop)} readings until the answer, got {int(off_grid.sum())} "
            f"other codes and {int(due[0])} readings. Use a state of the same model."
        )


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
