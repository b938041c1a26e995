"""What operators of a program mean together: packed sequences, tensors that a loop fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from edgernn_export.operator_reader.operators import OperatorNode, ValueName

#: Places of arguments of slice.
_START, _END, _STEP = 2, 3, 4
#: Ends of slices from here on mean: to the last element.
_FAR: Final = 2**31
#: Makes tensors that a loop fills.
_EMPTY: Final = ("empty", "new_empty", "new_zeros", "zeros", "zeros_like")
_IDENTITIES: Final = ("alias", "clone", "contiguous", "detach", "lift_fresh_copy")


def orders_of_streams(graph: Any) -> set[str]:
    """Names of lengths of packed sequences, and of what is computed of them: orders of streams.

    Args:
        graph: of a program of torch.export.
    """
    from torch.fx import Node

    found: set[str] = set()
    waiting = [
        node.args[1]
        for node in graph.nodes
        if "packed.default" in str(node.target) and len(node.args) > 2
    ]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Node) or node.name in found:
            continue
        if _is_row_of_integers(node) or "sort" in str(node.target):
            found.add(node.name)
            waiting += node.all_input_nodes
    for node in graph.nodes:
        first = node.args[0] if node.args else None
        if isinstance(first, Node) and first.name in found:
            found.add(node.name)
    return found


def _is_row_of_integers(node: Any) -> bool:
    value = node.meta.get("val")
    integers = str(getattr(value, "dtype", "")).startswith(("torch.int", "torch.long"))
    return integers and len(value.shape) == 1


def without_orders(nodes: Sequence[OperatorNode], orders: set[str]) -> list[OperatorNode]:
    """Operators in which streams keep their order, though their lengths are sorted.

    Args:
        nodes: operators.
        orders: names of lengths and orders.
    """
    made = []
    for node in nodes:
        names = [one.name if isinstance(one, ValueName) else "" for one in node.inputs]
        if node.kind == "packed":
            node = replace(node, inputs=(node.inputs[0], None, *node.inputs[2:]))
        elif node.kind == "index_select" and names[2] in orders and names[0] not in orders:
            node = replace(node, kind="sorted_streams", inputs=node.inputs[:2])
        made.append(node)
    return made


def without_identities(
    nodes: Sequence[OperatorNode], outputs: Sequence[str]
) -> tuple[list[OperatorNode], tuple[str, ...]]:
    """Operators and outputs without those operators that give what they are given.

    Args:
        nodes: operators.
        outputs: names of results of the network.
    """
    same: dict[str, str] = {}

    def renamed(value: Any) -> Any:
        if isinstance(value, ValueName):
            return ValueName(same.get(value.name, value.name))
        return [renamed(item) for item in value] if isinstance(value, list) else value

    made = []
    for node in nodes:
        node = replace(node, inputs=tuple(renamed(value) for value in node.inputs))
        if node.kind in _IDENTITIES or _is_whole_slice(node):
            same[node.outputs[0]] = node.inputs[0].name
        else:
            made.append(node)
    return made, tuple(same.get(name, name) for name in outputs)


def _is_whole_slice(node: OperatorNode) -> bool:
    """Whether a slice takes all elements."""
    if node.kind != "slice":
        return False
    start, end, step = (node.inputs[place] for place in (_START, _END, _STEP))
    return not start and step in (None, 1) and (end is None or (type(end) is int and end > _FAR))


def collected(nodes: Sequence[OperatorNode]) -> list[OperatorNode]:
    """Operators in which a tensor that is filled element by element is a stack of these elements.

    Args:
        nodes: operators; those named copy change what their first input is an element of.
    """
    makers = {node.outputs[0]: node for node in nodes if node.kind in _EMPTY}
    elements: dict[str, tuple[str, int, int]] = {}
    written: dict[tuple[str, int], dict[int, Any]] = {}
    last: dict[str, OperatorNode] = {}
    for node in nodes:
        source = node.inputs[0] if node.inputs else None
        if not isinstance(source, ValueName):
            continue
        if node.kind == "select" and source.name in makers:
            elements[node.outputs[0]] = source.name, node.inputs[1], node.inputs[2]
        elif node.kind == "copy" and source.name in elements:
            name, axis, index = elements[source.name]
            written.setdefault((name, axis), {})[index] = node.inputs[1]
            last[name] = node
    gone: set[str] = set()
    stacks: dict[str, OperatorNode] = {}
    for (name, axis), values in written.items():
        if set(values) != set(range(len(values))) or len(values) != _count(makers[name], axis):
            continue
        gone |= {name} | {one for one, of in elements.items() if of[0] == name}
        gone |= {node.outputs[0] for node in nodes if node.kind == "copy"
                 and getattr(node.inputs[0], "name", "") in gone}  # fmt: skip
        inputs = ([values[index] for index in range(len(values))], axis)
        stacks[last[name].outputs[0]] = replace(
            makers[name],
            kind="stack",
            inputs=inputs,
            attributes={**makers[name].attributes, "places": {"tensors": 0, "dim": 1}},
        )
    made = []
    for node in nodes:
        if node.outputs[0] not in gone:
            made.append(node)
        if node.outputs[0] in stacks:
            made.append(stacks[node.outputs[0]])
    return made


def _count(maker: OperatorNode, axis: int) -> int | None:
    """The size of an axis of a tensor that an operator makes."""
    sizes = maker.attributes["sizes"]
    return sizes[axis] if -len(sizes) <= axis < len(sizes) else None
