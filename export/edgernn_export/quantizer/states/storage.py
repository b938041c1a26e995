"""How many bits states are stored in: what may be asked for, and which layers can have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, Literal

from edgernn.cells.general import WIDE_GATES
from edgernn.errors import QuantizationError
from edgernn_export.float_model.cell_plans import record_of
from edgernn_export.float_model.model import RECURRENT, FloatCell, FloatLayer, FloatSimpleRNN

StateStorage = Literal["auto", "16", "32"]
#: For all layers, or by layer; layers that are not named have "auto".
States = StateStorage | Mapping[str, StateStorage]
STORAGES: Final = ("auto", "16", "32")
#: Cells whose state is a share of itself and what comes in: their wide form is a `leaky_rnn`.
_LEAKY: Final = ("linear_recurrence", "general_rnn")
#: The functions with which a `general_rnn` is one of them.
_KEEPING: Final = ("linear", "relu")
_GATES: Final = ("gate_function", "gate_activation")


def storage_of(states: States, layer: str) -> str:
    """What is asked for a layer."""
    return states if isinstance(states, str) else states.get(layer, "auto")


def check_states(states: Any, layers: Mapping[str, FloatLayer]) -> None:
    """Refuse what is no choice, and wide states of layers that cannot have them.

    Args:
        states: what is asked for.
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
            f"Take it for the others, state={dict.fromkeys(able, '32')}."
            if able
            else "Take state='16'."
        )
        raise QuantizationError(
            "quantize state: expected layers that can have wide states where '32' is asked for, "
            f"got {'; '.join(reasons)}. {cure}"
        )


def check_storage(asked: Any, of: str = "") -> None:
    """Refuse what is no storage.

    Raises:
        QuantizationError: as said.
    """
    if asked not in STORAGES:
        wanted = ", ".join(map(repr, STORAGES))
        raise QuantizationError(f"quantize state{of}: expected {wanted}, got {asked!r:.40}.")


def wide_defect(layer: FloatLayer) -> str | None:
    """Why a recurrent layer cannot have a wide state; None where it can."""
    if isinstance(layer, FloatSimpleRNN):
        return None if layer.activation == "relu" else _made_anew(layer.activation)
    if not isinstance(layer, FloatCell):
        return None
    options = dict(layer.options)
    if layer.kind in _LEAKY:
        function = options.get("cell_function", "linear")
        return None if function in _KEEPING else _made_anew(function)
    if not any(field.name == "wide" for field in fields(record_of(layer.kind))):
        return f"the cell {layer.kind!r} has no wide form"
    gate = next((options[name] for name in _GATES if name in options), WIDE_GATES[0])
    if gate not in WIDE_GATES:
        return (
            f"its gates are {gate}, no shares of what is kept: a wide state takes "
            f"{' or '.join(WIDE_GATES)}"
        )
    return None


def _made_anew(function: str) -> str:
    return (
        f"its state is what {function} makes of a matrix product, of which nothing is kept from "
        "step to step that more bits could hold"
    )


def settings(states: States) -> tuple[tuple[str, str], ...]:
    """Provenance of what was asked for, where it is not the default."""
    if isinstance(states, str):
        return () if states == "auto" else (("state", states),)
    return (("state", ",".join(f"{name}={asked}" for name, asked in states.items())),)
