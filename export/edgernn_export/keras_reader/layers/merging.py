"""Calls that take several tensors, or a part of one: merges, concatenations and slices.

Keras has layers for merges and operations for what its users write with +, -, * and [...].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from edgernn.model.merges import MergeOperation
from edgernn_export.keras_reader.findings import Context, Findings, class_of, owner_of
from edgernn_export.keras_reader.flows import Flow, unknown
from edgernn_export.keras_reader.graph import Call
from edgernn_export.keras_reader.joined_layers import JoinedLayers
from edgernn_export.keras_reader.layers.config import check_config, is_builtin
from edgernn_export.keras_reader.layers.operations import is_operation
from edgernn_export.keras_reader.layers.readers import JOINING

#: Classes of layers, and of operations of the same name, by what joins the elements.
_MERGES: Final = {
    "Add": MergeOperation.SUM,
    "Average": MergeOperation.SUM,
    "Hypot": MergeOperation.HYPOTENUSE,
    "Maximum": MergeOperation.MAXIMUM,
    "Minimum": MergeOperation.MINIMUM,
    "Multiply": MergeOperation.PRODUCT,
    "Subtract": MergeOperation.SUM,
}
_OPERATIONS: Final = ("Add", "Concatenate", "Hypot", "Maximum", "Minimum", "Multiply", "Subtract")


def is_joining(call: Call) -> bool:
    """Whether a call is one of several tensors, or of a slice, and of nothing else."""
    name = class_of(call.layer)
    if name == "GetItem":
        return is_operation(call.layer)
    constants = [key for key in call.arguments or {} if key.startswith("argument ")]
    if constants or len(call.inputs) < 2:
        return False
    if is_operation(call.layer):
        return name in _OPERATIONS
    return name in JOINING and is_builtin(call.layer)


def joined(call: Call, flows: list[Flow], made: JoinedLayers, context: Context) -> Flow:
    """What a call makes of flows.

    Args:
        call: one that `is_joining`.
        flows: its inputs.
        made: takes the layers.
        context: receives reasons.
    """
    layer, name = call.layer, class_of(call.layer)
    owner, key = owner_of(layer), str(layer.name)
    if name == "GetItem":
        return _sliced(call, flows[0], made, context.findings)
    if name == "Concatenate":
        if not check_config(layer, layer.get_config(), context, fixed={"axis": context.last_axis}):
            return unknown(owner)
        return made.concatenated(owner, flows)
    if not check_config(layer, layer.get_config(), context):
        return unknown(owner)
    operation, count = _MERGES[name], len(flows)
    gains = [1.0 / count if name == "Average" else 1.0] * count
    if name == "Subtract":
        gains[1] = -1.0
    if operation is not MergeOperation.PRODUCT:
        return made.merged(owner, key, flows, operation, gains)
    flow = flows[0]
    for other in flows[1:]:
        flow = made.merged(owner, key, [flow, other], operation, (1.0, 1.0))
    return flow


@dataclass(frozen=True, slots=True)
class _Slice:
    """What Keras stores of a slice."""

    start: int | None
    stop: int | None
    step: int | None


def _key(value: Any) -> tuple[Any, ...]:
    """The items between [ and ], alive or stored."""
    if isinstance(value, (list, tuple)):
        return tuple(item for entry in value for item in _key(entry))
    if isinstance(value, slice):
        return (_Slice(value.start, value.stop, value.step),)
    if isinstance(value, dict):
        kind, config = value.get("class_name"), value.get("config") or {}
        if kind == "__ellipsis__":
            return (...,)
        if kind == "__slice__":
            return (_Slice(config["start"], config["stop"], config["step"]),)
    return (value,)


def _sliced(call: Call, flow: Flow, made: JoinedLayers, findings: Findings) -> Flow:
    """Consecutive features of every step, or the last step."""
    owner, given = owner_of(call.layer), dict(call.arguments or {})
    made.refuse_softmax(owner, [flow])
    if flow.shape is None:
        return flow
    key = _key(given.get("argument 2", given.get("key", ())))
    axes = len(flow.shape) + 1
    if ... in key:
        at = key.index(...)
        missing = axes - (len(key) - 1)
        key = (*key[:at], *([_Slice(None, None, None)] * missing), *key[at + 1 :])
    key = (*key, *([_Slice(None, None, None)] * (axes - len(key))))
    *steps, features = key
    found = _features(features, flow.width)
    if found is not None and all(_is_all(step) for step in steps):
        return flow.sliced(*found)
    if found is not None and axes == 3 and _is_all(steps[0]) and steps[1] == -1:
        return flow.sliced(*found).last_step()
    findings.add(
        owner,
        "consecutive features of every step, as in x[..., 1:3], or the last step, as in x[:, -1]",
        f"[{', '.join(map(_written, key))}]",
        "Slice only the features: a stream has no other steps.",
    )
    return unknown(owner)


def _is_all(item: Any) -> bool:
    return isinstance(item, _Slice) and (item.start or 0, item.stop, item.step or 1) == (0, None, 1)


def _features(item: Any, width: int) -> tuple[int, int] | None:
    """First and last but one feature of a slice that leaves any."""
    if not isinstance(item, _Slice) or item.step not in (None, 1):
        return None
    ends = (item.start, item.stop)
    if not all(end is None or type(end) is int for end in ends):
        return None
    start, stop, _ = slice(*ends).indices(width)
    return (start, stop) if start < stop else None


def _written(item: Any) -> str:
    if not isinstance(item, _Slice):
        return "..." if item is ... else f"{item!r:.20}"
    ends = ["" if end is None else f"{end!r:.20}" for end in (item.start, item.stop, item.step)]
    return ":".join(ends if ends[2] else ends[:2])
