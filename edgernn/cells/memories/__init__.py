"""Layers with a memory of rows, which one of them fills and others attend to; what all share."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

import numpy as np

from edgernn.cells import (
    UNIT,
    VALUE_EXPONENTS,
    AffineShapes,
    LayerRecord,
    Lowered,
    OpBuilder,
    QFormat,
    ScaleVector,
    Source,
    Value,
    cell_record,
)
from edgernn.errors import ModelError
from edgernn.graph.attention import MAX_SLOTS, RowMean, Softmax
from edgernn.model.formats import INT16_MAX, INT16_MIN, MAX_WIDTH
from edgernn.model.layer_record import StateSpec

#: Elements of a key, at most.
MAX_KEY_WIDTH: Final = 128
#: What a sum of products may reach, the constant that rounds included (clause 7.30).
LARGEST_SUM: Final = 1 << 30


@cell_record
class MemoryLayer(LayerRecord):
    """A memory of the last n rows (clause 7.29), each of which is a key and a value.

    Attributes:
        rows: slots n, 2..64.
        width: elements D of a key, 1..128.
        tied: keys are the values, and are held once.
        key_exponent: fraction bits of the keys that are held, -16..15.
        value_exponent: those of the values.
        key: constants that scale a key before it is held; of a tied memory, which has no use for
            them, factors of 1.
        value: the same of a value.
    """

    shape: ClassVar[AffineShapes] = {}
    reads_values: ClassVar[bool] = True
    inner: ClassVar[dict[str, tuple[str | Source, ...]]] = {"width": ("key",)}
    scale_shape: ClassVar[dict[str, int]] = {"key": 1, "value": 1}
    offsets: ClassVar[frozenset[str]] = frozenset({"key", "value"})

    rows: int
    width: int
    tied: bool
    key_exponent: int
    value_exponent: int
    key: ScaleVector
    value: ScaleVector

    def __post_init__(self) -> None:
        """Check counts, widths and exponents."""
        LayerRecord.__post_init__(self)
        if not 2 <= self.rows <= MAX_SLOTS or not 1 <= self.width <= MAX_KEY_WIDTH:
            raise ModelError(
                f"{self.name}: expected 2..{MAX_SLOTS} rows with keys of 1..{MAX_KEY_WIDTH} "
                f"elements, got {self.rows} with {self.width}"
            )
        if self.rows * self.units > MAX_WIDTH:
            raise ModelError(
                f"{self.name}: expected rows of {MAX_WIDTH} values together, got {self.rows} of "
                f"{self.units}"
            )
        for name in ("key_exponent", "value_exponent"):
            if getattr(self, name) not in VALUE_EXPONENTS:
                raise ModelError(f"{self.name}.{name}: expected -16..15, got {getattr(self, name)}")
        if self.tied and not self._has_values_as_keys():
            raise ModelError(
                f"{self.name}.tied: expected keys of the width and the exponent of values, and "
                f"factors of 1, got keys of {self.width} with 2^{-self.key_exponent} and values "
                f"of {self.units} with 2^{-self.value_exponent}"
            )

    def _has_values_as_keys(self) -> bool:
        kept = self.key.shift == 14 and bool((self.key.multiplier == 1 << 14).all())
        alike = (self.width, self.key_exponent) == (self.units, self.value_exponent)
        return alike and kept and not self.key.has_bias

    @property
    def row_width(self) -> int:
        """Values that a row is made of."""
        return self.units + (0 if self.tied else self.width)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """The values, the keys where they are others, and which slots are filled."""
        found = [self.state("values", _format(self.value_exponent), self.rows * self.units)]
        if not self.tied:
            found.append(self.state("keys", _format(self.key_exponent), self.rows * self.width))
        start = (INT16_MAX, *[INT16_MIN] * self.rows)
        name = f"{self.name}.filled"
        return *found, StateSpec(name=name, units=self.rows + 1, format=UNIT, start=start)

    @property
    def output_scale(self) -> float:
        """Real value of one output code: that of a value."""
        return _format(self.value_exponent).scale


@cell_record
class MemoryReader(MemoryLayer):
    """Attention: it reads a query, then the row that it appends, unless another program does.

    Attributes:
        appends: a step appends a row.
        query: constants that scale a query before its scores.
    """

    inner: ClassVar[dict[str, tuple[str | Source, ...]]] = {"width": ("query", "key")}
    scale_shape: ClassVar[dict[str, int]] = {"query": 1, "key": 1, "value": 1}
    offsets: ClassVar[frozenset[str]] = frozenset({"query", "key", "value"})

    appends: bool
    query: ScaleVector

    def __post_init__(self) -> None:
        """Check the widths."""
        MemoryLayer.__post_init__(self)
        wanted = self.width + (self.row_width if self.appends else 0)
        if self.inputs != wanted:
            raise ModelError(
                f"{self.name}.inputs: expected {wanted} values of a query"
                f"{' and a row' * self.appends}, got {self.inputs}"
            )

    @property
    def largest_query(self) -> int:
        """The sum of the largest magnitudes of the elements of a scaled query."""
        multiplier = np.abs(self.query.multiplier.astype(np.int64))
        product = (multiplier * -INT16_MIN >> self.query.shift) + 1
        largest = np.minimum(product, -INT16_MIN) + np.abs(self.query.bias.astype(np.int64))
        return int(np.minimum(largest, -INT16_MIN).sum())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the scores and of the context."""
        return self.rows * (self.width + self.units)


def _format(exponent: int) -> QFormat:
    return QFormat(bits=16, frac_bits=exponent)


def appended(
    g: OpBuilder, layer: MemoryLayer, row: Value, states: tuple[Value, ...]
) -> tuple[Value, ...]:
    """The states of a memory with a row more (clause 7.29).

    Args:
        g: the builder.
        layer: whose memory it is.
        row: key and value one behind the other, or the value that is its own key.
        states: before the step.
    """
    taken = g.part(row, row.width - layer.units, layer.units, "value")
    value = g.scaled(taken, "value", layer.value, "held_value", states[0].format)
    found = [_pushed(g, value, states[0], "values")]
    if not layer.tied:
        taken = g.part(row, 0, layer.width, "key")
        key = g.scaled(taken, "key", layer.key, "held_key", states[1].format)
        found.append(_pushed(g, key, states[1], "keys"))
    filled = states[-1]
    slots = g.part(filled, 0, 1, "one"), g.part(filled, 0, layer.rows, "before")
    return *found, g.concatenated(slots, "filled", filled.format)


def _pushed(g: OpBuilder, row: Value, rows: Value, name: str) -> Value:
    kept = g.part(rows, 0, rows.width - row.width, f"kept_{name}")
    return g.concatenated((row, kept), name, rows.format)


def attended(
    g: OpBuilder,
    layer: MemoryReader,
    x: Value,
    states: tuple[Value, ...],
    form: QFormat | None,
    scores: Callable[[Value, Value], Value],
) -> Lowered:
    """The context of a query: what all kinds of attention share (clause 7.31).

    Args:
        g: the builder.
        layer: the layer.
        x: what it reads.
        states: before the step.
        form: of a scaled query.
        scores: what makes the scores of a scaled query and of keys.
    """
    query = g.part(x, 0, layer.width, "query")
    if layer.appends:
        row = g.part(x, layer.width, layer.row_width, "row")
        states = appended(g, layer, row, states)
    keys = states[0 if layer.tied else 1]
    scaled = g.scaled(query, "query", layer.query, "scaled_query", form)
    filled = g.part(states[-1], 1, layer.rows, "slots")
    shares = g.operation(
        Softmax, SHARES, layer.rows, UNIT, scores=scores(scaled, keys), filled=filled
    )
    values = states[0]
    context = g.operation(RowMean, "y", layer.units, values.format, shares=shares, rows=values)
    return context, states


#: What the shares of slots are called in a layer.
SHARES: Final = "shares"
