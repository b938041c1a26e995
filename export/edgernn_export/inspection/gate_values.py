"""Values inside a step by name: gates, candidates and states, of integer and of float models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.graph.lowering import lowered_model
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import (
    Activation,
    Blend,
    Curve,
    Function,
    Gate,
    GatedSum,
    Rescaling,
    Slice,
    Value,
    WideRescaling,
)
from edgernn.model.formats import LOW, LOW_BITS, FloatArray, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model import float_run
from edgernn_export.float_model.cells import ACTIVATIONS, NUMPY
from edgernn_export.float_model.graph_run import FloatStep
from edgernn_export.float_model.model import (
    RECURRENT,
    FloatCell,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatModel,
)
from edgernn_firmware_sim.reference.arithmetic import widen
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import StepInterpreter
from edgernn_firmware_sim.reference.wide import share_of

GATE: Final = "gate"
CANDIDATE: Final = "candidate"
STATE: Final = "state"
_SIGMOIDS: Final = (Function.SIGMOID, Function.HARD_SIGMOID)
#: A gate that stands for a share of 30 bits.
_FINE: Final = float(1 << 2 * LOW_BITS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueTrace:
    """One named vector over a stream.

    Attributes:
        name: "<layer>.<value>", such as "lstm.f".
        kind: "gate" (from 0 to 1), "candidate" or "state".
        values: [T, N], in real numbers.
    """

    name: str
    kind: str
    values: FloatArray


def integer_traces(model: IntegerModel, codes: OperandArray) -> tuple[ValueTrace, ...]:
    """What the reference computes in every step, from the initial state.

    Args:
        model: the integer model.
        codes: of steps of one stream [T, I].
    """
    graph = lowered_model(model)
    named = [
        one
        for layer in model.layers
        if layer.states and layer.kind != "delay"
        for one in _named(graph, layer.name)
    ]
    extended = dataclasses.replace(
        graph, outputs=(*graph.outputs, *(value.value for value in named))
    )
    step = StepInterpreter(extended, Quiet())
    states = [widen(np.atleast_2d(spec.initial())) for spec in model.states]
    rows: list[list[FloatArray]] = [[] for _ in named]
    for code in codes:
        found = step((widen(code[None]),), states)[len(graph.outputs) :]
        for row, one, value in zip(rows, named, found, strict=True):
            row.append(one.real(value[0]))
    return tuple(
        ValueTrace(name=one.name, kind=one.kind, values=np.array(row))
        for one, row in zip(named, rows, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A value of the graph that is shown, and how its codes become real numbers."""

    name: str
    kind: str
    value: Value
    real: Callable[[FloatArray], FloatArray]


def _named(graph: OpGraph, layer: str) -> Iterator[_Named]:
    """Gates, candidates and states of one layer, in the order of computation."""
    carried = {state.after.name: state for state in graph.carried}
    slices = [op for op in graph.ops if isinstance(op, Slice)]
    of_states = _of_states(graph)
    for op in graph.ops:
        if not op.result.name.startswith(f"{layer}."):
            continue
        shown = op.result.name not in carried and op.reads[0].name not in of_states
        if isinstance(op, (Activation, Curve)) and shown:
            kind = GATE if op.function in _SIGMOIDS else CANDIDATE
            parts = [one.result for one in slices if one.value == op.result]
            for value in parts or [op.result]:
                yield _plain(layer, value, kind)
        for gate in _wide_gates(op):
            yield _Named(
                name=_short(layer, gate.value.name), kind=GATE, value=gate.value, real=_fine(gate)
            )
    for name, state in carried.items():
        if name.startswith(f"{layer}.") and not name.endswith(LOW):
            yield _plain(layer, state.after, STATE)


def _of_states(graph: OpGraph) -> set[str]:
    """Names of new states, also in another format. A function of one is no candidate."""
    names = {state.after.name for state in graph.carried}
    for op in graph.ops:
        if isinstance(op, (Rescaling, WideRescaling)) and op.reads[0].name in names:
            names.add(op.result.name)
    return names


def _wide_gates(op: object) -> list[Gate]:
    """Gates of a wide state, which exist as pre-activations alone."""
    gates = [op.share] if isinstance(op, Blend) else []
    if isinstance(op, GatedSum):
        gates = [op.loss, op.gain]
    return [gate for gate in gates if gate.fine]


def _fine(gate: Gate) -> Callable[[FloatArray], FloatArray]:
    share = share_of(dataclasses.replace(gate, complement=False))

    def real(codes: FloatArray) -> FloatArray:
        upper, lower = share(np.asarray(codes, np.int32))
        return (upper.astype(np.float64) * (1 << LOW_BITS) + lower) / _FINE

    return real


def _plain(layer: str, value: Value, kind: str) -> _Named:
    scale = 1.0 if value.format is None else value.format.scale
    return _Named(
        name=_short(layer, value.name), kind=kind, value=value, real=lambda codes: codes * scale
    )


def _short(layer: str, name: str) -> str:
    """The name without stacks in between: gru.gates.z becomes gru.z."""
    return f"{layer}.{name.rpartition('.')[2]}"


def float_traces(model: FloatModel, readings: FloatArray) -> tuple[ValueTrace, ...]:
    """What the float network computes in every step, in float64, from the zero state.

    Args:
        model: the float model.
        readings: of steps of one stream [T, I].
    """
    tensors: dict[tuple[int, str], list[FloatArray]] = {}

    def observe(index: int, name: str, values: FloatArray) -> None:
        tensors.setdefault((index, name), []).append(values[:, 0].copy())

    float_run.run(model, readings[None], observe=observe)
    found: list[ValueTrace] = []
    for index, layer in enumerate(model.layers):
        if isinstance(layer, RECURRENT):
            own = {name: np.concatenate(rows) for (i, name), rows in tensors.items() if i == index}
            found += _layer_traces(layer, own)
    return tuple(found)


def _layer_traces(layer: FloatLayer, tensors: dict[str, FloatArray]) -> Iterator[ValueTrace]:
    """Gates, candidates and states of one layer from its tensors [T, N]."""
    if isinstance(layer, FloatCell):
        yield from _cell_traces(layer, tensors["x"])
        return
    if isinstance(layer, FloatLSTM):
        gate = ACTIVATIONS[layer.recurrent_activation]
        for name, z in zip("ifgo", np.split(tensors["z"], 4, axis=1), strict=True):
            kind = CANDIDATE if name == "g" else GATE
            values = np.tanh(z) if name == "g" else gate(z)
            yield ValueTrace(name=f"{layer.name}.{name}", kind=kind, values=values)
    elif isinstance(layer, FloatGRU):
        gate = ACTIVATIONS[layer.recurrent_activation]
        for name, z in zip("zr", np.split(tensors["zr"], 2, axis=1), strict=True):
            yield ValueTrace(name=f"{layer.name}.{name}", kind=GATE, values=gate(z))
        candidate = np.tanh(tensors["n"])
        yield ValueTrace(name=f"{layer.name}.candidate", kind=CANDIDATE, values=candidate)
    for name in ("h", "c"):
        if name in tensors:
            yield ValueTrace(name=f"{layer.name}.{name}", kind=STATE, values=tensors[name])


def _cell_traces(layer: FloatCell, xs: FloatArray) -> Iterator[ValueTrace]:
    """Those of a registered cell: its graph in real numbers."""
    plan = layer.plan
    step = FloatStep(plan.graph, plan.terms, NUMPY, plan.epsilon)
    weights = {name: values.T for name, values in layer.by_name.items()}
    of_xs = step.of_input(weights, xs[:, None])
    states = tuple(np.zeros((1, width)) for width in layer.state_widths)
    prefix = plan.graph.carried[0].before.name.partition(".")[0]
    named = list(_named(plan.graph, prefix))
    rows: list[list[FloatArray]] = [[] for _ in named]
    for t in range(len(xs)):
        values = step(weights, {name: of_x[t] for name, of_x in of_xs.items()}, states)
        states = tuple(values[one.after.name] for one in plan.graph.carried)
        for row, one in zip(rows, named, strict=True):
            row.append(values[one.value.name][0])
    for row, one in zip(rows, named, strict=True):
        name = f"{layer.name}.{one.name.partition('.')[2]}"
        yield ValueTrace(name=name, kind=one.kind, values=np.array(row))
