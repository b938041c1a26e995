"""The outputs of a graph of operators: tensors, and last states that are left to sessions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from edgernn.errors import StreamKindWarning
from edgernn.records.columns import listed
from edgernn_export.keras_reader.graph import Call, CallResult
from edgernn_export.operator_reader.selections import refused_backward, refused_late
from edgernn_export.operator_reader.trace import CallTrace
from edgernn_export.operator_reader.values import UNKNOWN, Traced, alone, is_constant


def outputs_of(
    origin: str, given: tuple[str, ...], values: Mapping[str, Any], trace: CallTrace
) -> tuple[list[CallResult], list[str]]:
    """The tensors of the outputs and their names.

    Args:
        origin: how reasons name the network.
        given: names of its outputs.
        values: all values by name.
        trace: takes calls, and reasons.
    """
    tensors: list[CallResult] = []
    names: list[str] = []
    chosen = _without_ends(origin, given, values, trace)
    for name in chosen:
        value = values.get(name)
        plain = name.replace("'", "_")
        trace.origin, trace.name = f"output '{plain}'", plain
        if value is UNKNOWN:
            if not trace.findings.reasons:  # nothing was refused on the way
                trace.findings.add(
                    trace.origin, "results that operators have", "one more than an operator has",
                    "Export the network again.",
                )  # fmt: skip
            continue
        if isinstance(value, Traced) and (value.late or value.backward):
            reason = refused_late(value) if value.late else refused_backward()
            trace.findings.add(trace.origin, reason.wanted, reason.got, reason.cure)
            continue
        if not isinstance(value, Traced):
            got = "a constant" if is_constant(value) else "none"
            trace.findings.add(
                trace.origin, "an output that depends on the readings", got,
                "Leave it out of the network.",
            )  # fmt: skip
            continue
        if not (_is_end(value) and len(chosen) > 1):
            value = _in_one(trace, value)
        several = value.members.size > 1
        for index, tensor in enumerate(value.tensors):
            tensors.append(tensor)
            names.append(f"{name}_{index}" if several else name)
    return tensors, names


def _is_end(value: Any) -> bool:
    """Whether a value is only the last states of recurrent operators."""
    return isinstance(value, Traced) and all(tensor.index for tensor in value.tensors)


def _without_ends(
    origin: str, given: tuple[str, ...], values: Mapping[str, Any], trace: CallTrace
) -> tuple[str, ...]:
    """The outputs, without last states of a network that begins with the zero state.

    Exporters list them because the module returned them; a session keeps them itself.
    """
    ends = [name for name in given if _is_end(values.get(name))]
    if len(ends) == len(given):  # the hidden ones are the output of the last step
        ends = [name for name in ends if {one.index for one in values[name].tensors} != {1}]
    begun = any(len(call.inputs) > 1 and _has_states(call) for call in trace.calls)
    if begun or not 0 < len(ends) < len(given):
        return given
    warnings.warn(
        f"{origin}: the network returns its last states as {listed(ends)}. A session keeps "
        "the states itself, and returns the other outputs alone.",
        StreamKindWarning,
        stacklevel=2,
    )
    return tuple(name for name in given if name not in ends)


def _has_states(call: Call) -> bool:
    return call.layer is not None and call.layer.stored_class in ("GRU", "LSTM", "RNN", "SimpleRNN")


def _in_one(trace: CallTrace, value: Traced) -> Traced:
    """Tensors of a stack as one output, one behind another."""
    if value.members.size < 2:
        return value
    joint = trace.layer("Concatenate", {"axis": -1})
    return Traced(value.axes, alone(trace.call(joint, value.tensors)))
