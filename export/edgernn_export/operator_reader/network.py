"""Follow a graph of operators from its inputs to its outputs: what it is as calls of layers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.errors import StreamKindWarning, UnsupportedModelError
from edgernn.records.columns import listed
from edgernn_export.keras_reader.findings import Context, Findings
from edgernn_export.keras_reader.graph import Call, CallResult, Given, LayerGraph
from edgernn_export.keras_reader.layers.readers import READERS, read_layer
from edgernn_export.keras_reader.stored.layer import described_layer
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.keras_reader.wording import Wording
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
    is_constant,
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


def described_model(graph: OperatorGraph, findings: Findings) -> StoredModel:
    """The network that a graph of operators is.

    The graph is followed twice: the first time tells what the axes of its inputs are.

    Args:
        graph: the graph.
        findings: receives reasons.

    Raises:
        UnsupportedModelError: there is a reason; the error has all.
    """
    nodes = leading_to(graph.outputs, graph.nodes)
    trial = CallTrace(findings=Findings(), kinds={}, is_trial=True)
    _followed(graph, nodes, trial)
    kinds = _all_kinds(graph.inputs, trial.demanded)
    _check_sizes(graph.inputs, kinds, findings)
    trace = CallTrace(findings=findings, kinds=kinds)
    values, given = _followed(graph, nodes, trace)
    outputs, names = _outputs(graph, values, trace)
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
    try:
        inputs = tuple(_resolved(value, values) for value in node.inputs)
        if _any(inputs, lambda value: value is UNKNOWN):
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
        handler = graph.handlers.get(node.kind)
        if handler is None:
            raise graph.unsupported(node)
        results = list(handler(trace, operator))
    except OperatorRefused as reason:
        trace.findings.add(node.origin, reason.wanted, reason.got, reason.cure)
        return nothing
    except UnsupportedModelError as error:
        for text in error.reasons:
            if text not in trace.findings.reasons:
                trace.findings.reasons.append(text)
        return nothing
    except _DAMAGED as error:
        trace.findings.add(
            node.origin, "attributes and inputs as the operator has them",
            f"others ({type(error).__name__})", "Export the network again.",
        )  # fmt: skip
        return nothing
    if any(isinstance(v, Traced) and v.members.size > MOST_MEMBERS for v in results):
        trace.findings.add(
            node.origin, f"at most {MOST_MEMBERS} tensors side by side", "more",
            "Train with fewer layers or blocks.",
        )  # fmt: skip
        return nothing
    return results + [UNKNOWN] * (len(node.outputs) - len(results))


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
    inputs: Sequence[GraphInput], demanded: Mapping[tuple[str, int], AxisKind]
) -> dict[tuple[str, int], AxisKind]:
    """What all axes of inputs are: what operators need, and the usual order for the rest."""
    kinds = dict(demanded)
    for given in inputs:
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


def _outputs(
    graph: OperatorGraph, values: Mapping[str, Any], trace: CallTrace
) -> tuple[list[CallResult], list[str]]:
    """The tensors of the outputs and their names."""
    tensors: list[CallResult] = []
    names: list[str] = []
    chosen = _without_ends(graph, values, trace)
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
    graph: OperatorGraph, values: Mapping[str, Any], trace: CallTrace
) -> tuple[str, ...]:
    """The outputs, without last states of a network that begins with the zero state.

    Exporters list them because the module returned them; a session keeps them itself.
    """
    ends = [name for name in graph.outputs if _is_end(values.get(name))]
    if len(ends) == len(graph.outputs):  # the hidden ones are the output of the last step
        ends = [name for name in ends if {one.index for one in values[name].tensors} != {1}]
    begun = any(len(call.inputs) > 1 and _has_states(call) for call in trace.calls)
    if begun or not 0 < len(ends) < len(graph.outputs):
        return graph.outputs
    warnings.warn(
        f"{graph.origin}: the network returns its last states as {listed(ends)}. A session keeps "
        "the states itself, and returns the other outputs alone.",
        StreamKindWarning,
        stacklevel=2,
    )
    return tuple(name for name in graph.outputs if name not in ends)


def _has_states(call: Call) -> bool:
    return call.layer is not None and call.layer.stored_class in ("GRU", "LSTM", "RNN", "SimpleRNN")


def _in_one(trace: CallTrace, value: Traced) -> Traced:
    """Tensors of a stack as one output, one behind another."""
    if value.members.size < 2:
        return value
    joint = trace.layer("Concatenate", {"axis": -1})
    return Traced(value.axes, alone(trace.call(joint, value.tensors)))


def _note_other_reasons(calls: Sequence[Call], findings: Findings) -> None:
    """Let the readers of layers say what else they do not support."""
    context = Context(findings=findings, keras2=False, directed=True)
    for call in calls:
        if call.layer.stored_class in READERS and not call.arguments:
            read_layer(call.layer, context)
