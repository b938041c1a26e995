"""The inputs of an ONNX graph: what the file says of them, and what the user adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.records.columns import listed
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.operator_reader.graphs.network import GraphInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldInputs:
    """What a user says of inputs of a graph.

    Attributes:
        values: of inputs that are the same in every call, by name.
        shapes: of inputs of open sizes, by name; None for a size that stays open.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int | None]] = field(default_factory=dict)


def inputs_of(
    declared: Sequence[Any], told: ToldInputs, findings: Findings
) -> tuple[tuple[GraphInput, ...], dict[str, NDArray[Any]]]:
    """The inputs of a network, and the values of those that are constant.

    Args:
        declared: ValueInfoProto of each that has no value in the file.
        told: what the user adds.
        findings: receives reasons.
    """
    known = [one.name for one in declared]
    told_names = listed([f"{name!r:.60}" for name in known])
    for option, names in (("input_values", told.values), ("input_shapes", told.shapes)):
        for name in names:
            if name not in known:
                findings.add(
                    option, f"names of inputs: {told_names}", f"{name!r:.60}",
                    "Use the names of the file.",
                )  # fmt: skip
    inputs: list[GraphInput] = []
    constants: dict[str, NDArray[Any]] = {}
    for proto in declared:
        given = _input(proto, findings)
        if given.name in told.values:
            if given.name in told.shapes:
                findings.add(
                    _owner(given), "a value or a shape", "both",
                    "Leave out the shape: the value has one.",
                )  # fmt: skip
            constants[given.name] = _value(given, told.values[given.name], findings)
        elif given.name in told.shapes:
            inputs.append(_shaped(given, told.shapes[given.name], findings))
        else:
            inputs.append(given)
    return tuple(inputs), constants


def _owner(given: GraphInput) -> str:
    plain = given.name.replace("'", "_")
    return f"input '{plain}'"


def _input(given: Any, findings: Findings) -> GraphInput:
    import onnx

    tensor = given.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except (KeyError, TypeError, ValueError):
        dtype = "unknown"
    sizes = tuple(
        size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None
        for size in tensor.shape.dim
    )
    made = GraphInput(name=given.name, sizes=sizes, dtype=dtype)
    if not given.type.HasField("tensor_type") or not tensor.HasField("shape"):
        findings.add(
            _owner(made), "a tensor with a number of axes", "another input",
            "Export the network with shapes.",
        )  # fmt: skip
    return made


def _value(given: GraphInput, told: Any, findings: Findings) -> NDArray[Any]:
    """A value in the type of an input."""
    value = np.asarray(told)
    if value.size == 1 and set(given.sizes) <= {1}:
        value = value.reshape((1,) * len(given.sizes))
    if not _fits(value.shape, given.sizes):
        findings.add(
            _owner(given), f"a value of shape {_text(given.sizes)}", _text(value.shape),
            "Pass a value of this shape.",
        )  # fmt: skip
        return value
    try:
        made = value.astype(given.dtype)
    except (TypeError, ValueError):
        made = None
    if made is None or value.dtype.kind not in "biuf" or _differs(made, value):
        findings.add(
            _owner(given), f"a value of type {given.dtype}", f"{told!r:.60}",
            "Pass numbers that the type holds.",
        )  # fmt: skip
        return value
    return made


def _differs(made: NDArray[Any], value: NDArray[Any]) -> bool:
    """Whether a value is another one in its new type; floats are only rounded."""
    return made.dtype.kind in "biu" and bool(np.any(made != value))


def _shaped(given: GraphInput, told: Sequence[int | None], findings: Findings) -> GraphInput:
    """An input with the sizes that are told."""
    sizes = tuple(told)
    plain = all(size is None or (isinstance(size, int) and size > 0) for size in sizes)
    fits = len(sizes) == len(given.sizes) and all(
        size is None or wanted is None or size == wanted
        for size, wanted in zip(sizes, given.sizes, strict=True)
    )
    if not (plain and fits):
        findings.add(
            _owner(given), f"a shape like that of the file, {_text(given.sizes)}", _text(sizes),
            "Pass a size of at least 1 for every axis, and None for those that stay open.",
        )  # fmt: skip
        return given
    pairs = zip(sizes, given.sizes, strict=True)
    return replace(given, sizes=tuple(own if size is None else size for size, own in pairs))


def _fits(shape: Sequence[int], sizes: Sequence[int | None]) -> bool:
    return len(shape) == len(sizes) and all(
        wanted in (None, size) for size, wanted in zip(shape, sizes, strict=True)
    )


def _text(sizes: Sequence[Any]) -> str:
    return f"({', '.join('?' if size is None else f'{size}'[:12] for size in sizes)})"
