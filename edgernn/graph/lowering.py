"""Layers as operations: one function per cell, the clauses of NUMERICS.md sections 6 to 8.

A function gets the builder, its layer, the operand of the layer's input and the layer's states; it
returns the layer's output and the new states.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from edgernn.errors import ModelError
from edgernn.graph.builder import OpBuilder
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import AffineResult, Function, Gate, Value
from edgernn.model.affine import Source
from edgernn.model.formats import PREACTIVATION, Precision, QFormat
from edgernn.model.functions.curves import CurveTable
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layer_record import LayerRecord
from edgernn.model.layers import (
    LAYERS,
    LSTM,
    Delay,
    Dense,
    Embedding,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
    held_codes,
)
from edgernn.model.merges import Merge, MergeOperation
from edgernn.model.routes import MODEL_INPUT, Route, chain

#: Functions that are operations; all others are tables.
OPERATIONS: Final = {function.value: function for function in Function}
#: The layer's output, and its new states in the order of `Layer.states`.
Lowered = tuple[Value, tuple[Value, ...]]


def simple_rnn(g: OpBuilder, layer: SimpleRNN, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.1 (Elman 1990)."""
    (h,) = states
    function = Function(layer.activation.value)
    form = PREACTIVATION if function.bounded else h.format
    z = g.affine("gates", layer.gates, x_and_h(g, x, h), form)
    h_new = g.activation(function, z, "h")
    return h_new, (h_new,)


def lstm(g: OpBuilder, layer: LSTM, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clauses 7.2 to 7.4 (Hochreiter & Schmidhuber 1997; Gers et al. 2000)."""
    h, c = states
    sigma = Function(layer.gate_activation.value)
    z = g.split(g.affine("gates", layer.gates, x_and_h(g, x, h), rows="ifgo"), "ifgo")
    i, f, o = (g.activation(sigma, z[k], name) for k, name in ((0, "i"), (1, "f"), (3, "o")))
    added = g.product(i, g.tanh(z[2], "g"), "i*g", c.format)
    c_new = g.sum(g.product(f, c, "f*c", c.format), added, "c")
    h_new = g.product(o, g.tanh(g.rescaled(c_new, PREACTIVATION, "z_c"), "tanh_c"), "h")
    return h_new, (h_new, c_new)


def gru_before(g: OpBuilder, layer: GRUBefore, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clauses 7.5 and 7.6: the reset gate multiplies h before the matrix product."""
    (h,) = states
    operands = x_and_h(g, x, h)
    z, r = _update_and_reset(g, layer, operands)
    operands[Source.RH] = g.operand(g.product(r, h, "r*h"), "operand_rh")
    return _mixed(g, z, g.tanh(g.affine("n", layer.n, operands), "candidate"), h)


def gru_after(g: OpBuilder, layer: GRUAfter, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clauses 7.5 and 7.7: the reset gate multiplies the recurrent product (Cho et al. 2014)."""
    (h,) = states
    operands = x_and_h(g, x, h)
    z, r = _update_and_reset(g, layer, operands)
    a = g.affine("n_x", layer.n_x, operands)
    reset = g.product(r, g.affine("n_h", layer.n_h, operands), "r*d", PREACTIVATION)
    return _mixed(g, z, g.tanh(g.sum(a, reset, "n"), "candidate"), h)


def dense(g: OpBuilder, layer: Dense, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 8.1."""
    function = Function(layer.activation.value)
    form = PREACTIVATION if function.bounded else None
    y = g.affine("out", layer.out, {Source.X: x}, form)
    return (y if function is Function.LINEAR else g.activation(function, y, "y")), states


def merge(g: OpBuilder, layer: Merge, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.10."""

    def term(index: int, name: str) -> Value:
        value = g.part(x, index * layer.units, layer.units, f"x{index}")
        return g.scaled(value, name, layer.scales[name], f"{name}*x{index}", None)

    first, *others = layer.scales
    y = term(0, first)
    for index, name in enumerate(others, 1):
        other = term(index, name)
        if layer.operation is MergeOperation.SUM:
            y = g.sum(y, other, f"sum{index}")
        elif layer.operation is MergeOperation.PRODUCT:
            y = g.plain_product(y, other, layer.shift, "product")
        elif layer.operation is MergeOperation.HYPOTENUSE:
            y = g.hypotenuse(y, other, "hypotenuse")
        else:
            largest = layer.operation is MergeOperation.MAXIMUM
            y = g.extremum(y, other, f"extremum{index}", largest=largest)
    return y, states


def embedding(g: OpBuilder, layer: Embedding, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 8.3."""
    return g.gathered(x, "table", layer.table), states


def delay(g: OpBuilder, layer: Delay, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 8.4."""
    (rows,) = states
    kept = g.part(rows, 0, layer.units - layer.inputs, "kept")
    h = g.concatenated((x, kept), "h", rows.format)
    return h, (h,)


def x_and_h(g: OpBuilder, x: Value, h: Value) -> dict[Source, Value]:
    """The operands of clause 4.1."""
    return {Source.X: x, Source.H: g.operand(h, "operand_h")}


def applied(
    g: OpBuilder,
    function: str,
    value: Value,
    table: tuple[str, CurveTable | None],
    name: str,
    form: QFormat,
) -> Value:
    """A function of every code: a separate operation if it has one, else a table.

    Args:
        g: the builder.
        function: as `PointwiseFunction.parse` reads it.
        value: its argument.
        table: name and record of the table, None where there is an operation.
        name: of the result.
        form: of the result.
    """
    parsed = PointwiseFunction.parse(function)
    own = OPERATIONS.get(function)
    if own is None:
        return g.curve(parsed, value, *table, name, form)
    return g.activation(own, value, name)


def gate_share(g: OpBuilder, layer: Any, z: Value, name: str, *, complement: bool = False) -> Gate:
    """The share by which a wide state changes, of a cell with a `gate_activation` (clause 7.20).

    Args:
        g: the builder.
        layer: the cell.
        z: the pre-activation of the gate.
        name: of the gate, where it is no sigmoid.
        complement: one less the gate is meant.
    """
    function = Function(layer.gate_activation.value)
    if function is Function.SIGMOID:
        return Gate(value=z, fine=True, complement=complement)
    return Gate(value=g.activation(function, z, name), fine=False, complement=complement)


def wide_cell(
    g: OpBuilder, layer: Any, z: tuple[Value, Value], candidate: Value, cell: tuple[Value, Value]
) -> tuple[Value, Value]:
    """The new parts of the wide cell state of an LSTM (clause 7.22).

    Args:
        g: the builder.
        layer: the cell.
        z: pre-activations of the gates i and f.
        candidate: g, in Q0.15.
        cell: high and low part before the step.
    """
    loss = gate_share(g, layer, z[1], "f", complement=True)
    return g.gated_sum(cell, loss, candidate, gate_share(g, layer, z[0], "i"), "c")


def _update_and_reset(
    g: OpBuilder, layer: GRUBefore | GRUAfter, operands: dict[Source, Value]
) -> tuple[Value, ...]:
    """The gates z and r of clause 7.5."""
    sigma = Function(layer.gate_activation.value)
    zr = g.affine("zr", layer.zr, operands, rows="zr")
    return g.split(g.activation(sigma, zr, "gates"), "zr")


def _mixed(g: OpBuilder, z: Value, n: Value, h: Value) -> Lowered:
    """Clause 7.5: h' = z·h + (1 − z)·n."""
    kept = g.product(z, h, "z*h")
    h_new = g.sum(kept, g.product(g.complement(z, "w"), n, "w*n"), "h")
    return h_new, (h_new,)


def _check_maps(g: OpBuilder, layer: Layer) -> None:
    """Programs find a map by its name in the layer."""
    for op in g.ops:
        if not isinstance(op, AffineResult) or not op.result.name.startswith(f"{layer.name}."):
            continue
        if layer.affines.get(op.name) is not op.affine:
            raise ModelError(
                f"{op.result.name}: expected the name of one of the layer's maps, got '{op.name}'."
            )


Lowering = Callable[[OpBuilder, Any, Value, tuple[Value, ...]], Lowered]
#: layer record -> its function
LOWERINGS: Final[dict[type, Lowering]] = {
    SimpleRNN: simple_rnn,
    LSTM: lstm,
    GRUBefore: gru_before,
    GRUAfter: gru_after,
    Dense: dense,
    Merge: merge,
    Embedding: embedding,
    Delay: delay,
}


def register_cell(record: type[LayerRecord], function: Lowering) -> None:
    """Let models have a kind of layer.

    Args:
        record: its class, with a unique `kind`.
        function: its step, as those in this module.

    Raises:
        ModelError: another layer has the kind, or a name that is none.
    """
    kind = record.kind
    known = LAYERS.get(kind)
    if known is not None and (known.__module__, known.__qualname__) != (
        record.__module__,
        record.__qualname__,
    ):
        raise ModelError(
            f"{record.__qualname__}.kind: expected a name that no other layer uses, got "
            f"'{kind}', which belongs to {known.__module__}.{known.__qualname__}"
        )
    if not re.fullmatch("[a-z][a-z0-9_]{0,63}", kind):
        raise ModelError(
            f"{record.__qualname__}.kind: expected lowercase letters, digits and '_', got "
            f"{kind!r:.80}"
        )
    _check_inner(record)
    LAYERS[kind] = record
    LOWERINGS[record] = function


def _check_inner(record: type[LayerRecord]) -> None:
    """Inner widths are those of something, and the output has its own units."""
    counted = {*record.shape, *record.scale_shape, *record.norm_shape, Source.H, Source.RH}
    for option, fields in record.inner.items():
        strange = [field for field in fields if field not in counted]
        if strange or not fields:
            raise ModelError(
                f"{record.__qualname__}.inner: expected maps, constants, Source.H and Source.RH "
                f"that have the width {option}, got {', '.join(map(str, strange)) or 'none'}"
            )
    counts = [record.counted_in(name) for name in record.shape]
    if record.inner and counts and "units" not in counts:
        raise ModelError(
            f"{record.__qualname__}.inner: expected a map whose number of rows depends on the "
            "units, got none"
        )


def lowered(
    precision: Precision,
    layers: Sequence[Layer],
    routes: Sequence[Route] = (),
    width: int = 0,
    *,
    tokens: bool = False,
) -> OpGraph:
    """The graph of layers (section 6): input "x", one output.

    Args:
        precision: of their operands.
        layers: in the order in which they run.
        routes: what they read, then what is put out; layers without them are a chain, whose input
            is of the form that the first one reads.
        width: of the input of a network with routes.
        tokens: the input of a network with routes is int16 codes: some of them are tokens.
    """
    g = OpBuilder(precision)
    if routes:
        x = g.input("x", width, operand=not tokens)
    else:
        width, reads_values = layers[0].inputs, layers[0].reads_values
        x = g.input("x", width, operand=not reads_values)
        routes = chain(width, [layer.units for layer in layers])
    held = held_codes(layers)
    made: list[Value] = []
    for layer, route in zip(layers, routes, strict=False):
        g.layer = layer.name
        if layer.reads_values:
            fed = _values(g, x, made, route)
        else:
            fed = _operands(g, x, made, route, held)
        states = tuple(
            Value(name=f"{spec.name}_in", width=spec.units, format=spec.format)
            for spec in layer.states
        )
        value, new = LOWERINGS[type(layer)](g, layer, fed, states)
        _check_maps(g, layer)
        for before, after in zip(states, new, strict=True):
            g.carry(before, after)
        made.append(value)
    g.layer = "output"
    return g.finish((_values(g, x, made, routes[-1]),))


def lowered_model(model: IntegerModel) -> OpGraph:
    """The graph of a model's step."""
    tokens = bool(model.input.vocabulary)
    routes = model.wiring if tokens else model.routes
    return lowered(model.precision, model.layers, routes, model.step_width, tokens=tokens)


def _operands(
    g: OpBuilder, x: Value, made: Sequence[Value], route: Route, held: frozenset[int]
) -> Value:
    """What an affine map reads of a route (clause 6.6)."""
    sources = sorted({part.source for part in route} - {MODEL_INPUT})
    of = {MODEL_INPUT: x}
    for source in sources:
        name = "operand_x" if len(sources) == 1 else f"operand_x.{source}"
        make = g.input_operand if source in held else g.operand
        of[source] = make(made[source], name)
    return g.concatenated(
        [
            part if part.operand else g.input_operand(part, f"codes{index}")
            for index, part in enumerate(_parts(g, of, route))
        ],
        "x",
    )


def _values(g: OpBuilder, x: Value, made: Sequence[Value], route: Route) -> Value:
    """The values of a route (clause 6.7)."""
    of = dict(enumerate(made))
    if any(part.source == MODEL_INPUT for part in route):
        of[MODEL_INPUT] = g.codes(x, "codes_x") if x.operand else x
    return g.concatenated(_parts(g, of, route), "x")


def _parts(g: OpBuilder, of: dict[int, Value], route: Route) -> list[Value]:
    return [
        g.part(of[part.source], part.start, part.width, f"part{index}")
        for index, part in enumerate(route)
    ]
