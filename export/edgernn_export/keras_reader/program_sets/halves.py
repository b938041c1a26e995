"""Bidirectional layers as two layers, one for each direction, and what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edgernn_export.keras_reader.findings import Findings, class_of, owner_of
from edgernn_export.keras_reader.flat_network import FlatNetwork, check_arguments
from edgernn_export.keras_reader.graph import Call, CallResult
from edgernn_export.keras_reader.layers.config import is_builtin
from edgernn_export.keras_reader.states import state_count
from edgernn_export.keras_reader.stored.layer import StoredLayer

BIDIRECTIONAL: Final = "Bidirectional"
#: Layers that carry values from step to step.
RECURRENT: Final = ("GRU", "LSTM", "RNN", "SimpleRNN")
#: What joins the halves of a Bidirectional.
_MERGES: Final = {"concat": "Concatenate", "sum": "Add", "ave": "Average", "mul": "Multiply"}


def is_of(layer: Any, names: Sequence[str]) -> bool:
    """Whether a layer is of one of these classes of Keras."""
    return class_of(layer) in names and is_builtin(layer)


def split_halves(flat: FlatNetwork, findings: Findings) -> set[int]:
    """Put two halves and what joins them in the place of every Bidirectional.

    Returns:
        Identities of the calls of second halves, whose outputs Keras reverses.
    """
    found: set[int] = set()
    made: dict[tuple[int, int], CallResult] = {}

    def renewed(tensor: CallResult) -> CallResult:
        return made.get((id(tensor.call), tensor.index), tensor)

    calls: list[Call] = []
    for call in flat.calls:
        call.inputs = tuple(renewed(tensor) for tensor in call.inputs)
        if not is_of(call.layer, (BIDIRECTIONAL,)):
            calls.append(call)
            continue
        _check(call, findings)
        halves = [
            Call(layer=half, inputs=call.inputs[:1])
            for half in (call.layer.forward_layer, call.layer.backward_layer)
        ]
        calls += halves
        found.add(id(halves[1]))
        results = [CallResult(call=half, index=0) for half in halves]
        mode = call.layer.merge_mode
        if mode in _MERGES:
            calls.append(Call(layer=_joint(call.layer, mode), inputs=tuple(results)))
            results = [CallResult(call=calls[-1], index=0)]
        count = max(state_count(half.layer) for half in halves)
        results += [
            CallResult(call=half, index=1 + index) for half in halves for index in range(count)
        ]
        made |= {(id(call), index): result for index, result in enumerate(results)}
    flat.calls = calls
    flat.outputs = tuple(renewed(tensor) for tensor in flat.outputs)
    return found


def _joint(layer: Any, mode: str) -> StoredLayer:
    """The layer that joins two halves."""
    kind = _MERGES[mode]
    config = {"name": layer.name, "trainable": True, "dtype": None}
    if kind == "Concatenate":
        config["axis"] = -1
    entry = {"class_name": kind, "config": config, "module": "keras.layers"}
    return StoredLayer(entry, keras2=False, findings=Findings())


def _check(call: Call, findings: Findings) -> None:
    """Note what a Bidirectional cannot be."""
    layer = call.layer
    check_arguments(call, findings)
    if len(call.inputs) > 1:
        findings.add(
            owner_of(layer),
            "a Bidirectional that starts from the zero state",
            "one with initial_state",
            "Train it without initial_state.",
        )
    for half in (layer.forward_layer, layer.backward_layer):
        if not is_of(half, RECURRENT):
            findings.add(
                owner_of(layer),
                "a recurrent layer of Keras in each direction",
                owner_of(half),
                "Train with LSTM, GRU, SimpleRNN or RNN inside.",
            )
