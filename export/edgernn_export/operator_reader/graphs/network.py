"""Follow a graph of operators from its inputs to its outputs: what it is as calls of layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader.findings import Context, Findings
from edgernn_export.keras_reader.graph import Call, CallResult, Given, LayerGraph
from edgernn_export.keras_reader.layers.readers import READERS, read_layer
from edgernn_export.keras_reader.stored.layer import described_layer
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.keras_reader.wording import Wording
from edgernn_export.operator_reader.graphs.conditions import MOST_WALKS, Outcomes, chosen, undecided
from edgernn_export.operator_reader.graphs.outputs import outputs_of
from edgernn_export.operator_reader.graphs.refusals import (
    NO_RULES,
    RefusalRules,
    is_behind,
    stand_ins,
)
from edgernn_export.operator_reader.operators import (
    Handler,
    Operator,
    OperatorNode,
    ValueName,
    leading_to,
)
from edgernn_export.operator_reader.selections import refused_backward, refused_late
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import (
    MOST_FEATURES,
    MOST_MEMBERS,
    UNKNOWN,
    Atom,
    Axis,
    AxisKind,
    Traced,
    alone,
    members_of,
)

#: What attributes and inputs of other types than a format has lead to.
_DAMAGED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, MemoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInput:
    """An input of a graph.

    Attributes:
        name: of the input.
        sizes: of its axes, None where open.
        dtype: name of a NumPy type.
    """

    name: str
    sizes: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatorGraph:
    """A graph of operators of any format.

    Attributes:
        name: of the network.
        origin: how reasons name it; it holds the name in single quotes.
        inputs: what it is given.
        constants: its weights by name.
        nodes: operators, each behind those that it reads.
        outputs: names of its results.
        handlers: what reads each kind of operator.
        folded: gives the results of an operator of constants, or None.
        unsupported: the reason for a kind that no handler reads.
        wording: what helps, in the words of the format.
        trimming: kinds of operators that may take off steps behind the end of a stream.
        turning: kinds of operators that may read steps from the last one on.
        rules: about operators that are refused, and those behind them.
    """

    name: str
    origin: str
    inputs: tuple[GraphInput, ...]
    constants: Mapping[str, Any]
    nodes: Sequence[OperatorNode]
    outputs: tuple[str, ...]
    handlers: Mapping[str, Handler]
    folded: Callable[[Operator], Sequence[Any] | None]
    unsupported: Callable[[OperatorNode], OperatorRefused]
    wording: Wording
    trimming: frozenset[str] = frozenset()
    turning: frozenset[str] = frozenset()
    rules: RefusalRules = NO_RULES


def described_model(graph: OperatorGraph, findings: Findings) -> StoredModel:
    """The network that a graph of operators is.

    The graph is followed twice: the first time tells what the axes of its inputs are.

    Args:
        graph: the graph.
        findings: receives reasons.

    Raises:
        UnsupportedModelError: there is a reason; the error has all.
    """
    graph = _without_conditions(graph, findings)
    nodes = leading_to(graph.outputs, graph.nodes)
    kinds = _kinds(graph, nodes)
    _check_sizes(graph.inputs, kinds, findings)
    trace = CallTrace(findings=findings, kinds=kinds)
    values, given = _followed(graph, nodes, trace)
    outputs, names = outputs_of(graph.origin, graph.outputs, values, trace)
    if not graph.outputs:
        findings.add(graph.origin, "a network with outputs", "none", "Export the network again.")
    if findings.reasons:
        _note_other_reasons(trace.calls, findings)
        findings.refuse()
    needed = _reached(outputs)
    network = LayerGraph(
        given=tuple(one for one in given if id(one.tensor.call) in needed),
        outputs=tuple(outputs),
        calls=tuple(call for call in trace.calls if id(call) in needed),
        output_names=tuple(names),
    )
    return StoredModel.of(graph.name, graph.origin, network, graph.wording)


def _kinds(graph: OperatorGraph, nodes: Sequence[OperatorNode]) -> dict[tuple[str, int], AxisKind]:
    """What the axes of inputs are."""
    trial = CallTrace(findings=Findings(), kinds={}, is_trial=True)
    _followed(graph, nodes, trial)
    return _all_kinds(graph.inputs, trial.demanded, trial.picked)


def _without_conditions(graph: OperatorGraph, findings: Findings) -> OperatorGraph:
    """The graph with the branches that its conditions choose."""
    for walk in itertools.count():
        nodes = leading_to(graph.outputs, graph.nodes)
        kinds = {node.kind for node in nodes if node.branches}
        if not kinds:
            return graph
        outcomes = Outcomes({})
        noting = replace(graph, handlers={**graph.handlers, **dict.fromkeys(kinds, outcomes.noted)})
        trace = CallTrace(findings=Findings(), kinds=_kinds(noting, nodes))
        _followed(noting, nodes, trace)
        if not outcomes.found or walk == MOST_WALKS:
            inputs = {
                one.name: (not one.dtype.startswith("float"), None in one.sizes)
                for one in graph.inputs
            }
            left, refused = undecided(nodes, inputs)
            return replace(
                graph, nodes=left, handlers={**graph.handlers, **dict.fromkeys(kinds, refused)}
            )
        made, constants, reasons = chosen(nodes, outcomes.found, walk)
        findings.reasons += reasons
        graph = replace(graph, nodes=made, constants={**graph.constants, **constants})
    raise AssertionError("a count ends")


def _check_sizes(
    inputs: Sequence[GraphInput], kinds: Mapping[tuple[str, int], AxisKind], findings: Findings
) -> None:
    """Refuse inputs of more features, or states of more layers, than any network has."""
    most = {AxisKind.FEATURES: MOST_FEATURES, AxisKind.STACK: MOST_MEMBERS}
    for given in inputs:
        for place, size in enumerate(given.sizes):
            bound = most.get(kinds.get((given.name, place), AxisKind.TIME))
            if bound is not None and size is not None and size > bound:
                plain = given.name.replace("'", "_")
                findings.add(
                    f"input '{plain}'", f"at most {bound} elements along axis {place}", f"{size}",
                    "Train with fewer features.",
                )  # fmt: skip
    findings.refuse()


def _reached(outputs: Sequence[CallResult]) -> set[int]:
    """Identities of all calls that lead to tensors."""
    found: set[int] = set()
    left = [tensor.call for tensor in outputs]
    while left:
        call = left.pop()
        if id(call) not in found:
            found.add(id(call))
            left += [tensor.call for tensor in call.inputs]
    return found


def _followed(
    graph: OperatorGraph, nodes: Iterable[OperatorNode], trace: CallTrace
) -> tuple[dict[str, Any], list[Given]]:
    """All values by name, and what the network is given."""
    values: dict[str, Any] = dict(graph.constants)
    given: list[Given] = []
    for one in graph.inputs:
        values[one.name], more = _input(one, trace.kinds)
        given += more
    for node in nodes:
        results = applied(graph, node, values, trace)
        values |= dict(zip(node.outputs, results, strict=False))
    return values, given


def applied(
    graph: OperatorGraph, node: OperatorNode, values: Mapping[str, Any], trace: CallTrace
) -> Sequence[Any]:
    """What a node gives, from values by name; what is refused gives nothing known."""
    nothing = [UNKNOWN] * len(node.outputs)
    trace.origin, trace.name = node.origin, node.name
    inputs: Sequence[Any] = ()
    handler = graph.handlers.get(node.kind)
    try:
        inputs = tuple(_resolved(value, values) for value in node.inputs)
        if _any(inputs, lambda value: value is UNKNOWN):
            if handler is None and node.kind not in graph.rules.foldable:
                raise graph.unsupported(node)
            return nothing
        operator = Operator(node=node, inputs=inputs)
        for value in inputs:
            if isinstance(value, Traced) and value.late and node.kind not in graph.trimming:
                raise refused_late(value)
            if isinstance(value, Traced) and value.backward and node.kind not in graph.turning:
                raise refused_backward()
        if not _any(inputs, lambda value: isinstance(value, Traced)):
            folded = graph.folded(operator)
            if folded is not None:
                return folded
        if handler is None:
            raise graph.unsupported(node)
        results = list(handler(trace, operator))
    except (OperatorRefused, UnsupportedModelError, *_DAMAGED) as error:
        own = handler is None or node.kind in graph.rules.independent
        if own or not is_behind(inputs, trace):
            _note(node, error, trace.findings)
        return stand_ins(graph.rules, node, inputs, trace)
    if any(isinstance(v, Traced) and v.members.size > MOST_MEMBERS for v in results):
        trace.findings.add(
            node.origin, f"at most {MOST_MEMBERS} tensors side by side", "more",
            "Train with fewer layers or blocks.",
        )  # fmt: skip
        return nothing
    return results + [UNKNOWN] * (len(node.outputs) - len(results))


def _note(node: OperatorNode, error: Exception, findings: Findings) -> None:
    """Note why an operator was refused."""
    if isinstance(error, OperatorRefused):
        findings.add(node.origin, error.wanted, error.got, error.cure)
    elif isinstance(error, UnsupportedModelError):
        for text in error.reasons:
            if text not in findings.reasons:
                findings.reasons.append(text)
    else:
        findings.add(
            node.origin, "attributes and inputs as the operator has them",
            f"others ({type(error).__name__})", "Export the network again.",
        )  # fmt: skip


def _resolved(value: Any, values: Mapping[str, Any]) -> Any:
    """A value of the format with values in the place of references."""
    if isinstance(value, ValueName):
        if value.name not in values:
            raise OperatorRefused(
                "inputs that are given, or come from earlier operators",
                f"{value.name!r:.60}, which does not",
                "Export the network again.",
            )
        return values[value.name]
    if isinstance(value, (list, tuple)):
        return type(value)(_resolved(item, values) for item in value)
    return value


def _any(value: Any, holds: Callable[[Any], bool]) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_any(item, holds) for item in value)
    return holds(value)


def _input(
    given: GraphInput, kinds: Mapping[tuple[str, int], AxisKind]
) -> tuple[Traced, list[Given]]:
    """An input of a graph, and what the network is given for it."""
    axes: list[Axis] = []
    for place, size in enumerate(given.sizes):
        source = (given.name, place)
        kind = kinds.get(source)
        idle = kind is None and size == 1 and bool(kinds)
        axes.append(() if idle else (Atom(kind, size, None if kind else source),))
    atoms = [atom for axis in axes for atom in axis]
    shape = [atom.size or 1 for atom in atoms if atom.kind is AxisKind.STACK]
    tensors = [
        CallResult(
            call=Call(layer=described_layer("InputLayer", given.name, "", {"dtype": given.dtype})),
            index=0,
        )
        for _ in range(min(int(np.prod(shape)), MOST_MEMBERS))
    ]
    if not shape:
        members = alone(tensors[0])
    else:
        members = members_of(tensors, np.empty((len(tensors),), dtype=object))
    sizes = {atom.kind: atom.size for atom in atoms}
    floats = given.dtype.startswith("float")
    features = (sizes[AxisKind.FEATURES],) if AxisKind.FEATURES in sizes else (1,) * floats
    steps = (sizes[AxisKind.TIME],) if AxisKind.TIME in sizes else ()
    several = len(tensors) > 1
    told = [
        Given(
            tensor=tensor,
            shape=(*steps, *features),
            dtype=given.dtype,
            name=f"{given.name}_{index}" if several else given.name,
        )
        for index, tensor in enumerate(tensors)
    ]
    return Traced(tuple(axes), members), told


def _all_kinds(
    inputs: Sequence[GraphInput],
    demanded: Mapping[tuple[str, int], AxisKind],
    picked: Collection[tuple[str, int]],
) -> dict[tuple[str, int], AxisKind]:
    """What all axes of inputs are: what operators need, and the usual order for the rest."""
    kinds = dict(demanded)
    for given in inputs:
        first = given.name, 0
        if len(inputs) > 1 and len(given.sizes) == 3 and first in picked:
            kinds.setdefault(first, AxisKind.STACK)  # states side by side, which it takes apart
        own = {place: kinds.get((given.name, place)) for place in range(len(given.sizes))}
        open_places = [place for place, kind in own.items() if kind is None]
        usual = [AxisKind.BATCH, AxisKind.TIME, AxisKind.FEATURES]
        if len(own) < 3 and given.dtype.startswith("float") and AxisKind.TIME not in own.values():
            usual.remove(AxisKind.TIME)
        rest = [kind for kind in usual if kind not in own.values()]
        if len(open_places) < len(rest) and len(own) < 2:
            rest = rest[::-1]
        for place, kind in zip(open_places, rest, strict=False):
            kinds[given.name, place] = kind
    return kinds


def _note_other_reasons(calls: Sequence[Call], findings: Findings) -> None:
    """Let the readers of layers say what else they do not support."""
    context = Context(findings=findings, keras2=False, directed=True)
    for call in calls:
        if call.layer.stored_class in READERS and not call.arguments:
            read_layer(call.layer, context)
