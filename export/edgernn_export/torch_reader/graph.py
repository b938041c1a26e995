"""A program of torch.export as a graph of operators: weights folded, arguments in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from edgernn_export.keras_reader.findings import Findings
from edgernn_export.operator_reader.graphs.network import GraphInput
from edgernn_export.operator_reader.operators import OperatorNode, ValueName
from edgernn_export.torch_reader.capture import is_user_file
from edgernn_export.torch_reader.idioms import (
    collected,
    orders_of_streams,
    with_elements,
    with_softsign,
    with_stacks,
    without_identities,
    without_orders,
)
from edgernn_export.torch_reader.loops.recurrences_in_loops import without_loops

#: Operators whose result shares memory with their first input.
_VIEWS: Final = frozenset(
    {"alias", "chunk", "detach", "expand", "getitem", "movedim", "narrow", "numpy_T", "permute",
     "reshape", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose",
     "unbind", "unflatten", "unsqueeze", "view"}
)  # fmt: skip
#: Operators that check something and compute nothing.
_CHECKS: Final = ("_assert", "sym_constrain", "_guards")
_MOST_ELEMENTS: Final = 1 << 27


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchProgram:
    """What a program of torch.export is made of.

    Attributes:
        inputs: what it is given.
        constants: its weights, and what is computed of them alone, by name.
        nodes: operators, each behind those that it reads; their places of arguments are in the
            attribute "places", the sizes of their result in "sizes", and what torch calls in
            "target".
        outputs: names of its results.
        loops: numbers of steps of loops that were turned into recurrent operators.
    """

    inputs: tuple[GraphInput, ...]
    constants: Mapping[str, Any]
    nodes: list[OperatorNode]
    outputs: tuple[str, ...]
    loops: tuple[int, ...] = ()

    def with_open_steps(self) -> TorchProgram | None:
        """The program with inputs of any number of streams and steps.

        torch fixes the number of steps of recurrent operators at that of the example. None where
        the first result does not have the steps of the first input, or loops are written out.
        """
        made = {node.outputs[0]: node.attributes["sizes"] for node in self.nodes}
        result = made.get(self.outputs[0], ()) if self.outputs else ()
        before = self.inputs[0].sizes[:2] if self.inputs else ()
        if self.loops or len(result) != 3 or result[:2] != before or None in before:
            return None
        inputs = tuple(
            replace(given, sizes=(None, None, *given.sizes[2:]))
            if given.sizes[:2] == before
            else given
            for given in self.inputs
        )
        return replace(self, inputs=inputs)


def program_of(exported: Any, findings: Findings) -> TorchProgram:
    """The operators of an ExportedProgram.

    Args:
        exported: the program.
        findings: receives reasons.
    """
    import torch

    tensors: dict[str, Any] = {}
    inputs: list[GraphInput] = []
    nodes: list[OperatorNode] = []
    outputs: tuple[str, ...] = ()
    targets = _targets(exported)
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            value = node.meta.get("val")
            if node.name in targets:
                tensors[node.name] = _weight(exported, targets[node.name])
            elif isinstance(value, torch.Tensor):
                inputs.append(_input(node.name, value))
            else:
                tensors[node.name] = value
        elif node.op == "output":
            outputs = _output_names(exported, node)
        elif node.op == "call_function":
            made = _made(node, tensors)
            if made is not None:
                tensors |= made
            elif not any(text in str(node.target) for text in _CHECKS):
                nodes.append(_operator(node))
        else:
            findings.add(
                f"'{node.name}' ({node.op})", "a graph of operators alone", f"{node.op}",
                "Export it again.",
            )  # fmt: skip
    _check_in_place(exported.graph, findings)
    constants = {
        name: _array(value) for name, value in tensors.items() if isinstance(value, torch.Tensor)
    }
    nodes = without_orders(nodes, orders_of_streams(exported.graph))
    nodes, outputs = without_identities(nodes, outputs, constants)
    sizes = {one.name: one.sizes for one in inputs}
    sizes |= {node.outputs[0]: node.attributes["sizes"] for node in nodes}
    nodes = with_softsign(with_stacks(with_elements(collected(nodes), sizes), outputs))
    nodes, outputs, loops = without_loops(nodes, outputs, sizes, constants)
    return TorchProgram(
        inputs=tuple(inputs),
        constants=constants,
        nodes=nodes,
        outputs=outputs,
        loops=tuple(loops),
    )


def _targets(exported: Any) -> dict[str, str]:
    """Which weight each placeholder is that is no input of the user."""
    return {
        one.arg.name: str(one.target)
        for one in exported.graph_signature.input_specs
        if one.target is not None and hasattr(one.arg, "name")
    }


def _weight(exported: Any, target: str) -> Any:
    value = exported.state_dict.get(target)
    return exported.constants.get(target) if value is None else value


def _array(tensor: Any) -> Any:
    import torch

    value = tensor.detach().cpu()
    if value.layout is not torch.strided:
        value = value.to_dense()
    return (value.float() if value.dtype in (torch.float16, torch.bfloat16) else value).numpy()


def _input(name: str, value: Any) -> GraphInput:
    return GraphInput(name=name, sizes=_sizes(value), dtype=str(value.dtype).removeprefix("torch."))


def _sizes(value: Any) -> tuple[int | None, ...]:
    """Sizes of the axes of a tensor; none for other values."""
    return tuple(_fixed(size) for size in getattr(value, "shape", ()))


def _fixed(size: Any) -> int | None:
    """A size that the export fixed; None where it is open."""
    node = getattr(size, "node", None)
    found = size if node is None else node.maybe_as_int()
    return None if found is None else int(found)


def _output_names(exported: Any, node: Any) -> tuple[str, ...]:
    """Names of what the user's forward returns."""
    import torch

    wanted = {
        one.arg.name
        for one in exported.graph_signature.output_specs
        if one.kind.name == "USER_OUTPUT" and hasattr(one.arg, "name")
    }
    found = [
        one.name
        for one in node.args[0]
        if isinstance(one, torch.fx.Node) and (not wanted or one.name in wanted)
    ]
    return tuple(dict.fromkeys(found))


def _made(node: Any, known: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an operator of weights alone gives, computed by torch; None for any other."""
    import torch

    given = [one.name for one in node.all_input_nodes]
    shapes = [node.meta.get("val")]
    fixed = all(
        isinstance(size, int)
        for one in shapes
        if isinstance(one, torch.Tensor)
        for size in one.shape
    )
    creates = not given and fixed and hasattr(node.target, "_schema")
    if not creates and not (given and all(name in known for name in given)):
        return None
    filled = creates and any(_fills(user) for one in node.users for user in one.users)
    if filled or _is_random(node) or (_in_place(node) and not creates):
        return None

    def values(value: Any) -> Any:
        return known[value.name] if isinstance(value, torch.fx.Node) else value

    args = torch.fx.node.map_aggregate(node.args, values)
    named = torch.fx.node.map_aggregate(node.kwargs, values)
    with torch.no_grad():
        result = node.target(*args, **{k: v for k, v in named.items() if k != "device"})
    if isinstance(result, torch.Tensor) and result.numel() > _MOST_ELEMENTS:
        return None
    return {node.name: result}


def _is_random(node: Any) -> bool:
    name = _kind(node)
    return "rand" in name or name.startswith(("dropout", "bernoulli", "empty", "new_empty"))


def _kind(node: Any) -> str:
    """The name of an operator without its library and overload."""
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        return str(schema.name).split("::")[-1]
    return str(getattr(node.target, "__name__", node.target))


def _in_place(node: Any) -> bool:
    kind = _kind(node)
    return kind.endswith("_") and not kind.endswith("__")


def _fills(node: Any) -> bool:
    """Whether an operator writes into an element of a tensor that was made to be filled."""
    if _kind(node) != "copy_" or _kind(node.args[0]) != "select":
        return False
    base = node.args[0].args[0]
    while base.op == "call_function" and _kind(base) in _VIEWS:
        base = base.args[0]
    made = ("empty", "new_empty", "new_zeros", "zeros", "zeros_like")
    return base.op == "call_function" and _kind(base) in made


def _operator(node: Any) -> OperatorNode:
    """The operator with all its arguments in their order."""
    import torch

    schema = getattr(node.target, "_schema", None)
    if schema is None:
        names = [str(place) for place in range(len(node.args))]
        inputs = list(node.args)
    else:
        names = [one.name for one in schema.arguments]
        inputs = [
            node.args[place] if place < len(node.args) else node.kwargs.get(
                one.name, one.default_value if one.has_default_value() else None
            )
            for place, one in enumerate(schema.arguments)
        ]  # fmt: skip

    def referred(value: Any) -> Any:
        if isinstance(value, torch.fx.Node):
            return ValueName(value.name)
        if isinstance(value, (list, tuple)):
            return [referred(item) for item in value]
        return value

    kind = _kind(node).removesuffix("_") if _in_place(node) else _kind(node)
    name, origin = _named(node, kind)
    return OperatorNode(
        kind=kind,
        name=name,
        origin=origin,
        inputs=tuple(referred(value) for value in inputs),
        outputs=(node.name,),
        attributes={
            "places": {one: place for place, one in enumerate(names)},
            "sizes": _sizes(node.meta.get("val")),
            "target": node.target,
        },
    )


def _named(node: Any, kind: str) -> tuple[str, str]:
    """The name of a layer, and how reasons name it: the module, or the user's line."""
    path, module = next(reversed((node.meta.get("nn_module_stack") or {"": ("", "")}).values()))
    if not isinstance(module, str):
        module = f"{module.__module__}.{module.__qualname__}"
    if path and module.startswith("torch.nn."):
        kind = module.rsplit(".", 1)[-1].removeprefix("Parametrized")
        return str(path), f"'{path}' (nn.{kind})"
    return node.name, f"'{node.name}' ({kind}{_line(node)})"


def _line(node: Any) -> str:
    """The user's file and line of an operator, as ", model.py:12"."""
    for text in reversed((node.meta.get("stack_trace") or "").splitlines()):
        parts = text.strip().split('"')
        if parts[0] == "File " and len(parts) == 3 and is_user_file(parts[1]):
            number = parts[2].split("line ")[-1].split(",")[0]
            return f", {Path(parts[1]).name}:{number}"
    return ""


def _check_in_place(graph: Any, findings: Findings) -> None:
    """Note operators that change a tensor which something reads afterwards."""
    order = {node: place for place, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if node.op != "call_function" or not _in_place(node) or not node.args:
            continue
        changed = node.args[0]
        if _fills(node):
            continue
        while True:
            later = [user for user in changed.users if order[user] > order[node]]
            if any(user.op != "output" or changed is not node for user in later):
                _, origin = _named(node, _kind(node))
                findings.add(
                    origin, "an operator that gives a new tensor",
                    "one that changes a tensor which is read afterwards",
                    f"Write {_kind(node).removesuffix('_')} without the underscore at its end.",
                )  # fmt: skip
                break
            if changed.op != "call_function" or _kind(changed) not in _VIEWS:
                break
            changed = changed.args[0]
