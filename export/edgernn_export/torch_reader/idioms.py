"""What operators of a program mean together: packed sequences, tensors that a loop fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from edgernn_export.operator_reader.operators import OperatorNode, ValueName

#: Places of arguments of slice.
_START, _END, _STEP = 2, 3, 4
#: Ends of slices from here on mean: to the last element.
_FAR: Final = 2**31
#: Elements of the largest constants that are compared.
_MOST_COMPARED: Final = 1 << 16
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
    nodes: Sequence[OperatorNode], outputs: Sequence[str], constants: Mapping[str, Any]
) -> tuple[list[OperatorNode], tuple[str, ...]]:
    """Operators and outputs without those operators that give what they are given.

    Of equal constants, such as those that every round of a loop computes again, one is left.

    Args:
        nodes: operators.
        outputs: names of results of the network.
        constants: by name.
    """
    same: dict[str, str] = {}
    first: dict[Any, str] = {}
    for name, array in constants.items():
        if array.size <= _MOST_COMPARED:
            key = array.shape, array.dtype.str, array.tobytes()
            same[name] = first.setdefault(key, name)

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


def with_elements(
    nodes: Sequence[OperatorNode], sizes: Mapping[str, tuple[int | None, ...]]
) -> list[OperatorNode]:
    """Operators in which parts of one element are elements: split(1) and chunk(n) of n of them.

    Args:
        nodes: operators.
        sizes: of values by name.
    """
    parts: dict[str, tuple[ValueName, int]] = {}
    waiting: dict[str, OperatorNode] = {}
    made = []
    for node in nodes:
        # Where a loop reads an element: all parts are taken before the first round.
        made += [waiting.pop(name) for name in node.reads() if name in waiting]
        source = node.inputs[0] if node.inputs else None
        if isinstance(source, ValueName) and node.kind in ("chunk", "split"):
            given = sizes.get(source.name, ())
            axis = int(node.inputs[2] or 0) % max(1, len(given))
            count = given[axis] if given else None
            if node.inputs[1] == (1 if node.kind == "split" else count) and (count or 0) > 1:
                parts[node.outputs[0]] = source, axis
        if node.kind == "getitem" and isinstance(source, ValueName) and source.name in parts:
            value, axis = parts[source.name]
            element = f"{node.outputs[0]}_element"
            waiting[node.outputs[0]] = _placed(
                node, "unsqueeze", {"self": ValueName(element), "dim": axis}
            )
            chosen = {"self": value, "dim": axis, "index": node.inputs[1]}
            node = replace(_placed(node, "select", chosen), outputs=(element,))
        made.append(node)
    return [*made, *waiting.values()]


def _placed(node: OperatorNode, kind: str, given: Mapping[str, Any]) -> OperatorNode:
    """The operator as one of another kind, with other arguments."""
    places = {name: place for place, name in enumerate(given)}
    attributes = {**node.attributes, "places": places}
    return replace(node, kind=kind, inputs=tuple(given.values()), attributes=attributes)


def with_stacks(nodes: Sequence[OperatorNode], outputs: Sequence[str]) -> list[OperatorNode]:
    """Operators in which cat of values with a new axis each is a stack of them.

    Args:
        nodes: operators.
        outputs: names of results of the network.
    """
    makers = {node.outputs[0]: node for node in nodes if node.kind == "unsqueeze"}
    made = []
    for node in nodes:
        if node.kind == "cat" and isinstance(node.inputs[0], list):
            axis = node.inputs[1] or 0
            parts = [makers.get(getattr(one, "name", "")) for one in node.inputs[0]]
            known = [part for part in parts if part is not None and part.inputs[1] == axis]
            if len(known) == len(parts) > 1:
                given = {"tensors": [part.inputs[0] for part in known], "dim": axis}
                node = _placed(node, "stack", given)
        made.append(node)
    read = {name for node in made for name in node.reads()} | set(outputs)
    # Those that nothing reads any more stand behind the rounds of a loop.
    return [node for node in made if node.outputs[0] not in makers or node.outputs[0] in read]


def with_softsign(nodes: Sequence[OperatorNode]) -> list[OperatorNode]:
    """Operators in which x / (1 + |x|), as torch exports it, is a softsign."""
    makers = {node.outputs[0]: node for node in nodes}

    def of(value: Any, kind: str) -> OperatorNode | None:
        node = makers.get(getattr(value, "name", ""))
        return node if node is not None and node.kind == kind else None

    made = []
    for node in nodes:
        plain = node.kind == "div" and not _has(node, "rounding_mode")
        total = of(node.inputs[1], "add") if plain else None
        if total is not None and not _has(total, "alpha", 1) and 1 in total.inputs[:2]:
            magnitude = next((of(one, "abs") for one in total.inputs[:2] if of(one, "abs")), None)
            if magnitude is not None and magnitude.inputs[0] == node.inputs[0]:
                node = replace(node, kind="softsign", inputs=node.inputs[:1])
        made.append(node)
    return made


def _has(node: OperatorNode, name: str, usual: Any = None) -> bool:
    """Whether an operator has an argument that is not the usual one."""
    place = node.attributes["places"].get(name, len(node.inputs))
    return node.inputs[place : place + 1] not in ((), (None,), (usual,))


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
