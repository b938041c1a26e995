"""The number of bits of states: the allowed values, and the layers that support them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from edgernn.errors import QuantizationError
from edgernn_export.float_model.model import RECURRENT, FloatLayer
from edgernn_export.guards.wide_forms import wide_defect

StateStorage = Literal["auto", "16", "32"]
#: For all layers, or by layer; layers that are not named have "auto".
States = StateStorage | Mapping[str, StateStorage]
STORAGES: Final = ("auto", "16", "32")


def storage_of(states: States, layer: str) -> str:
    """The request for a layer."""
    return states if isinstance(states, str) else states.get(layer, "auto")


def own_states(states: States, layers: Mapping[str, FloatLayer]) -> States:
    """The request for the states of the layers of one program."""
    if isinstance(states, str):
        return states
    return {name: asked for name, asked in states.items() if name in layers}


def check_states(states: Any, layers: Mapping[str, FloatLayer]) -> None:
    """Refuse what is no choice, and wide states of layers that cannot have them.

    Args:
        states: the request.
        layers: all there are, by name.

    Raises:
        QuantizationError: names all that is wrong.
    """
    recurrent = {name: layer for name, layer in layers.items() if isinstance(layer, RECURRENT)}
    given = states if isinstance(states, Mapping) else dict.fromkeys(recurrent, states)
    if not isinstance(states, Mapping):
        check_storage(states)
    unknown = sorted(str(name) for name in given if name not in recurrent)
    if unknown:
        raise QuantizationError(
            f"quantize state: expected names of recurrent layers ({', '.join(recurrent)}), got "
            f"{', '.join(unknown)[:120]}."
        )
    for name, asked in given.items():
        check_storage(asked, f" of {name}")
    reasons = [
        f"{name}: {reason}"
        for name, asked in given.items()
        if asked == "32" and (reason := wide_defect(recurrent[name]))
    ]
    if reasons:
        able = [name for name, layer in recurrent.items() if wide_defect(layer) is None]
        cure = (
            f"Pass wide states for the other layers only: state={dict.fromkeys(able, '32')}."
            if able
            else "Take state='16'."
        )
        raise QuantizationError(
            "quantize state: expected '32' only for layers that can have wide states, got "
            f"{'; '.join(reasons)}. {cure}"
        )


def check_storage(asked: Any, of: str = "") -> None:
    """Refuse what is no storage.

    Raises:
        QuantizationError: as said.
    """
    if asked not in STORAGES:
        wanted = ", ".join(map(repr, STORAGES))
        raise QuantizationError(f"quantize state{of}: expected {wanted}, got {asked!r:.40}.")


def settings(states: States) -> tuple[tuple[str, str], ...]:
    """Provenance of the request, if it is not the default."""
    if isinstance(states, str):
        return () if states == "auto" else (("state", states),)
    return (("state", ",".join(f"{name}={asked}" for name, asked in states.items())),)
