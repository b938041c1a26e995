"""The scalar twin of a whole model: NUMERICS.md sections 4 to 8 in plain Python integers.

Of the project it knows the records only (nouns); every array becomes nested lists of Python
integers before any arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from operator import mul

from edgernn.model.affine import Affine, Affine8, Affine16
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import (
    LSTM,
    CellActivation,
    Delay,
    Dense,
    DenseActivation,
    Embedding,
    GateActivation,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn.model.merges import Merge, MergeOperation
from edgernn.model.routes import MODEL_INPUT
from edgernn.model.scales import ScaleVector
from tests.exactness.twin import attention, scalar
from tests.exactness.twin.own_cells import STEPS

Vector = list[int]
State = tuple[Vector, ...]
#: Operand codes by the name of their source (clause 4.1).
Operands = dict[str, Vector]
_Map = Callable[[Operands], Vector]


class Twin:
    """One model, one stream at a time.

    Attributes:
        events: see `scalar.Metered`.
    """

    def __init__(self, model: IntegerModel) -> None:
        self._meter = scalar.Metered()
        self._wide = model.precision is Precision.W8A16
        self._layers = [_LayerTwin(layer, self._meter, self._operand) for layer in model.layers]
        rate, window = model.rate, model.window
        silent = [0] * model.input.width
        self._rate = (
            (rate.readings, rate.first, list(rate.start) or silent) if rate else (1, 1, silent)
        )
        self._window = (window.steps, window.hop) if window else (1, 1)
        # Source, first and last element of every part; of a chain, all that the layer before made.
        self._routes = [
            [(part.source, part.start, part.start + part.width) for part in route]
            for route in model.routes
        ] or [[(source, 0, None)] for source in range(-1, len(self._layers))]

    @property
    def events(self) -> Counter[str]:
        """Counts since construction."""
        return self._meter.events

    @property
    def widest(self) -> int:
        """See `scalar.Metered`."""
        return self._meter.widest

    def initial_state(self) -> State:
        """Clauses 6.2 and 8.4."""
        return tuple(rows for layer in self._layers for rows in layer.initial_state())

    def step(self, q_x: Sequence[int], state: State) -> tuple[Vector, State]:
        """Section 6: operand codes [I] -> int16 output [O] and the new state."""
        left = list(state)
        new: list[Vector] = []
        made: dict[int, Vector] = {}
        for index, layer in enumerate(self._layers):
            x = self._routed(index, list(q_x), made, operands=not layer.reads_values)
            mine = [left.pop(0) for _ in layer.state_widths]
            made[index], updated = layer.step(x, mine)
            new.extend(updated)
        y = self._routed(len(self._layers), list(q_x), made, operands=False)
        return y, tuple(new)

    def _routed(
        self, reader: int, q_x: Vector, made: dict[int, Vector], *, operands: bool
    ) -> Vector:
        """Clauses 6.1 and 6.6 (operands), or 6.4 and 6.7 (values)."""
        route = self._routes[reader]
        given = {MODEL_INPUT: q_x}
        for source in {source for source, _, _ in route} - {MODEL_INPUT}:
            # Of all of v, whatever is read of it: clause 10.1 counts so.
            is_value = operands and not self._layers[source].puts_out_codes
            given[source] = self._operand(made[source]) if is_value else made[source]
        return [v for source, start, stop in route for v in given[source][start:stop]]

    def run(
        self, q_xs: Iterable[Sequence[int]], state: State | None = None
    ) -> tuple[list[Vector], list[State]]:
        """Clause 6.3: outputs and states after every step of a stream."""
        current = self.initial_state() if state is None else state
        ys, states = [], []
        for q_x in q_xs:
            y, current = self.step(q_x, current)
            ys.append(y)
            states.append(current)
        return ys, states

    def answers(self, readings: Sequence[Sequence[int]]) -> list[Vector | None]:
        """Clause 6.9: what each reading of a stream is answered, None where it is not."""
        count, first, start = self._rate
        state, answers = self.initial_state(), []
        for n in range(1, len(readings) + 1):
            if (n - first) % count:
                answers.append(None)
                continue
            rows = [readings[k - 1] if k >= 1 else start for k in range(n - count + 1, n + 1)]
            y, state = self.step([code for row in rows for code in row], state)
            answers.append(y if n >= first else None)
            if n < first:
                state = self._warmed_up(state)
        return answers

    def _warmed_up(self, state: State) -> State:
        left, kept = list(zip(state, self.initial_state(), strict=True)), []
        for layer in self._layers:
            for _ in layer.state_widths:
                after, initial = left.pop(0)
                kept.append(after if isinstance(layer.layer, Delay) else initial)
        return tuple(kept)

    def window_answers(self, readings: Sequence[Sequence[int]]) -> list[Vector | None]:
        """Clauses 6.5 and 6.9: the last answer of every window that is answered."""
        steps, hop = self._window
        return [
            [y for y in self.answers(readings[n - steps : n]) if y is not None][-1]
            if n >= steps and (n - steps) % hop == 0
            else None
            for n in range(1, len(readings) + 1)
        ]

    def _operand(self, values: Vector) -> Vector:
        """O of clause 2.7."""
        meter = self._meter
        if self._wide:
            return [4 * meter.R(v, 3) for v in values]
        return [meter.sat8(meter.R(v, 8)) for v in values]


class _LayerTwin:
    """One layer: its affine maps as lists, and its step."""

    def __init__(
        self, layer: Layer, meter: scalar.Metered, operand: Callable[[Vector], Vector]
    ) -> None:
        self.layer = layer
        self.meter = meter
        self.operand = operand
        self.maps = {name: _affine(a, meter) for name, a in layer.affines.items()}
        self.reads_values = isinstance(layer, (Merge, Delay, Embedding)) or layer.kind in (
            "pointwise",
            "prelu",
            "layer_norm",
            *attention.ATTENTION,
        )
        self.puts_out_codes = isinstance(layer, Delay) and layer.codes
        self.step: Callable[[Vector, list[Vector]], tuple[Vector, list[Vector]]]
        if layer.kind in attention.ATTENTION:
            self.state_widths = attention.state_widths(layer)
            self.step = partial(attention.ATTENTION[layer.kind], self)
            return
        if layer.kind in STEPS:
            step, widths = STEPS[layer.kind]
            self.state_widths = [getattr(layer, name) for name in widths]
            if getattr(layer, "wide", False):  # clause 2.8: the low part of the last state
                self.state_widths.append(self.state_widths[-1])
            self.step = partial(step, self)
            return
        self.state_widths = [layer.units] * {LSTM: 2, Dense: 0, Merge: 0, Embedding: 0}.get(
            type(layer), 1
        )
        self.step = {
            SimpleRNN: self._simple_rnn,
            LSTM: self._lstm,
            GRUAfter: self._gru,
            GRUBefore: self._gru,
            Dense: self._dense,
            Merge: self._merge,
            Embedding: self._embedding,
            Delay: self._delay,
        }[type(layer)]

    def initial_state(self) -> list[Vector]:
        """Clauses 6.2 and 8.4."""
        layer = self.layer
        if layer.kind in attention.ATTENTION:
            return attention.initial_state(layer)
        if isinstance(layer, Delay):
            return [layer.start.tolist() * (layer.units // layer.inputs)]
        return [
            list(dict(layer.starts).get(spec.name.partition(".")[2], [0] * spec.units))
            for spec in layer.states
        ]

    def over_x_and_h(self, name: str, x: Vector, h: Vector) -> tuple[Vector, Vector]:
        o_h = self.operand(h)
        return self.maps[name]({"x": x, "h": o_h, "xh": x + o_h}), o_h

    def gate(self, z: int) -> int:
        """Sigma of clause 7.2."""
        if self.layer.gate_activation is GateActivation.HARD_SIGMOID:
            return scalar.hard_sigmoid(z)
        return scalar.sigmoid(z)

    def product(self, a: int, b: int, k: int) -> int:
        return self.meter.sat16(self.meter.R(a * b, k))

    def _simple_rnn(self, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
        """Clause 7.1."""
        z, _ = self.over_x_and_h("gates", x, state[0])
        if self.layer.activation is CellActivation.TANH:
            h = [scalar.tanh(v) for v in z]
        else:
            h = [max(0, v) for v in z]
        return h, [h]

    def _lstm(self, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
        """Clauses 7.2 to 7.4."""
        h, c = state
        z, _ = self.over_x_and_h("gates", x, h)
        units, e = self.layer.units, self.layer.cell_exponent
        new_h, new_c = [], []
        for j in range(units):
            i, f = self.gate(z[j]), self.gate(z[units + j])
            g, o = scalar.tanh(z[2 * units + j]), self.gate(z[3 * units + j])
            kept, added = self.product(f, c[j], 15), self.product(i, g, 30 - e)
            new_c.append(self.meter.sat16(kept + added))
            rescaled = self.meter.R(new_c[j], e - 10)
            new_h.append(self.product(o, scalar.tanh(rescaled), 15))
        return new_h, [new_h, new_c]

    def _gru(self, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
        """Clauses 7.5 to 7.7."""
        h, units = state[0], self.layer.units
        zr, o_h = self.over_x_and_h("zr", x, h)
        z = [self.gate(v) for v in zr[:units]]
        r = [self.gate(v) for v in zr[units:]]
        before = isinstance(self.layer, GRUBefore)
        n = self._reset_before(x, h, r) if before else self._reset_after(x, o_h, r)
        new_h = []
        for j in range(units):
            w = scalar.sat16(32768 - z[j])  # not an event (clause 10.1)
            kept, added = self.product(z[j], h[j], 15), self.product(w, n[j], 15)
            new_h.append(self.meter.sat16(kept + added))
        return new_h, [new_h]

    def _reset_before(self, x: Vector, h: Vector, r: Vector) -> Vector:
        """Clause 7.6."""
        rh = [self.product(a, b, 15) for a, b in zip(r, h, strict=True)]
        return [scalar.tanh(v) for v in self.maps["n"]({"x": x, "rh": self.operand(rh)})]

    def _reset_after(self, x: Vector, o_h: Vector, r: Vector) -> Vector:
        """Clause 7.7."""
        a, d = self.maps["n_x"]({"x": x}), self.maps["n_h"]({"h": o_h})
        return [
            scalar.tanh(self.meter.sat16(a[j] + self.product(r[j], d[j], 15)))
            for j in range(self.layer.units)
        ]

    def _dense(self, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
        """Clause 8.1."""
        return self.activated(self.maps["out"]({"x": x})), []

    def activated(self, values: Vector) -> Vector:
        """The functions of clause 8.1."""
        activation = {
            DenseActivation.LINEAR: lambda v: v,
            DenseActivation.RELU: lambda v: max(0, v),
            DenseActivation.SIGMOID: scalar.sigmoid,
            DenseActivation.TANH: scalar.tanh,
        }[self.layer.activation]
        return [activation(v) for v in values]

    def _merge(self, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
        """Clause 7.10."""
        units, layer = self.layer.units, self.layer
        a = [
            self.scaled(x[n * units : (n + 1) * units], term) for n, term in enumerate(layer.terms)
        ]
        joined: Callable[[Sequence[int]], int] = {
            MergeOperation.SUM: lambda v: reduce(lambda b, c: self.meter.sat16(b + c), v),
            MergeOperation.PRODUCT: lambda v: self.product(*v, layer.shift),
            MergeOperation.MAXIMUM: max,
            MergeOperation.MINIMUM: min,
            MergeOperation.HYPOTENUSE: lambda v: self.meter.sat16(scalar.hypotenuse(*v)),
        }[layer.operation]
        return [joined(elements) for elements in zip(*a, strict=True)], []

    def _embedding(self, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
        """Clause 8.3."""
        table = self.layer.table.tolist()
        if not all(0 <= token < len(table) for token in x):
            raise ValueError(f"twin: expected tokens of {len(table)}, got {x}")
        return [256 * entry for token in x for entry in table[token]], []

    def _delay(self, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
        """Clause 8.4: the newest row comes first, the oldest one goes."""
        rows = (x + state[0])[: self.layer.units]
        return rows, [rows]

    def scaled(self, v: Vector, scale: ScaleVector) -> Vector:
        """Clause 7.9."""
        constants = zip(v, scale.multiplier.tolist(), scale.bias.tolist(), strict=True)
        sat16 = self.meter.sat16
        return [sat16(self.product(value, m, scale.shift) + b) for value, m, b in constants]


def _dot(weights: Sequence[int], q: Sequence[int]) -> int:
    if len(weights) != len(q):
        raise ValueError(f"twin: expected {len(weights)} operand codes, got {len(q)}")
    return sum(map(mul, weights, q))


def _affine(affine: Affine, meter: scalar.Metered) -> _Map:
    return _affine8(affine, meter) if isinstance(affine, Affine8) else _affine16(affine, meter)


def _affine8(affine: Affine8, meter: scalar.Metered) -> _Map:
    """Clauses 4.2 and 4.3."""
    terms = [(t.source.value, t.weights.tolist(), t.multiplier.tolist()) for t in affine.terms]
    bias = affine.bias.tolist()

    def apply(q: Operands) -> Vector:
        result = []
        for row, b in enumerate(bias):
            u = sum(_dot(w[row], q[source]) * m[row] for source, w, m in terms) + b
            result.append(meter.sat16(meter.half_up(u, affine.shift)))
        return result

    return apply


def _affine16(affine: Affine16, meter: scalar.Metered) -> _Map:
    """Clauses 5.2 and 5.3."""
    terms = [
        (
            t.source.value,
            list(
                zip(
                    t.weights.tolist(),
                    t.bias.tolist(),
                    t.shift.tolist(),
                    t.multiplier.tolist(),
                    strict=True,
                )
            ),
        )
        for t in affine.terms
    ]

    def one(q: Vector, w: Vector, b: int, k: int, m: int) -> int:
        v = meter.sat16(meter.half_up(_dot(w, q) + b, k))
        return meter.R(v * m, 15)

    def apply(q: Operands) -> Vector:
        products = [[one(q[source], *row) for row in rows] for source, rows in terms]
        if len(products) == 1:
            return products[0]
        return [meter.sat16(first + second) for first, second in zip(*products, strict=True)]

    return apply
