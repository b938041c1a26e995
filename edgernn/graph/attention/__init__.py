"""The operations of attention over a memory of rows (clauses 7.28 to 7.31), and their calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from edgernn.graph.op import Op, Value, equal_formats, equal_widths, no_operands, said
from edgernn.graph.vector_calls import VectorCall
from edgernn.model.formats import PREACTIVATION, UNIT
from edgernn.model.scales import ScaleVector

if TYPE_CHECKING:
    from edgernn.graph.schedule import _Scheduler

#: Shifts of a sum of products (clauses 7.30 and 7.31).
_SHIFTS: Final = range(1, 31)
#: Slots of a memory: with more, the sum of a softmax would pass 21 bits.
MAX_SLOTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DotScores(Op):
    """sat16(half_up(sum of query * row, shift)) of every row, in Q5.10 (clause 7.30).

    Attributes:
        query: [D].
        keys: n rows of D elements, one behind another.
        shift: 1..30.
    """

    kind: ClassVar[str] = "dot_scores"

    query: Value
    keys: Value
    shift: int

    @property
    def reads(self) -> tuple[Value, ...]:
        """The query and the rows."""
        return self.query, self.keys

    def defect(self) -> str | None:
        """A score in Q5.10 for every row that is as wide as the query."""
        if self.shift not in _SHIFTS:
            return f"expected a shift of 1 to {_SHIFTS[-1]}, got {self.shift}"
        return no_operands(self) or _scores(self.result, self.query, self.keys)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdditiveScores(Op):
    """sat16(half_up(sum of weight * tanh(query + row), shift)), in Q5.10 (clause 7.30).

    Attributes:
        query: [D], in Q5.10.
        keys: n rows of D elements in Q5.10, one behind another.
        name: of the constants in their layer.
        weight: the weights and the shift of the sum; it has no offsets.
    """

    kind: ClassVar[str] = "additive_scores"

    query: Value
    keys: Value
    name: str
    weight: ScaleVector

    @property
    def reads(self) -> tuple[Value, ...]:
        """The query and the rows."""
        return self.query, self.keys

    def defect(self) -> str | None:
        """A score in Q5.10 for every row; all formats are Q5.10."""
        if self.weight.width != self.query.width or self.weight.has_bias:
            return (
                f"expected {self.query.width} weights without offsets, got {self.weight.width}"
                f"{' with offsets' * self.weight.has_bias}"
            )
        return (
            no_operands(self)
            or _scores(self.result, self.query, self.keys)
            or equal_formats(self.result, self.query, self.keys)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Softmax(Op):
    """Shares of the filled slots, in Q0.15; their sum is 32767 at most (clause 7.28).

    Attributes:
        scores: [n], in Q5.10.
        filled: [n], 32767 of a slot that is filled, -32768 of an empty one.
    """

    kind: ClassVar[str] = "softmax"

    scores: Value
    filled: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """The scores, and which slots are filled."""
        return self.scores, self.filled

    def defect(self) -> str | None:
        """Q5.10 to Q0.15, of 64 slots at most."""
        if (self.scores.format, self.result.format) != (PREACTIVATION, UNIT):
            return f"expected Q5.10 to Q0.15, got {said((self.scores, self.result))}"
        if self.result.width > MAX_SLOTS:
            return f"expected {MAX_SLOTS} slots at most, got {self.result.width}"
        return no_operands(self) or equal_widths(self.result, self.scores.width, self.filled.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowMean(Op):
    """half_up(sum of share * row, 15), in the scale of the rows (clause 7.31).

    Attributes:
        shares: [n], in Q0.15.
        rows: n rows of E elements, one behind another.
    """

    kind: ClassVar[str] = "context"

    shares: Value
    rows: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """The shares and the rows."""
        return self.shares, self.rows

    def defect(self) -> str | None:
        """A row of E elements for every share, to E elements."""
        if self.shares.format != UNIT:
            return f"expected shares in Q0.15, got {said((self.shares,))}"
        return no_operands(self) or equal_widths(self.rows, self.shares.width * self.result.width)


#: All of them.
ATTENTION_OPS: Final[tuple[type[Op], ...]] = (DotScores, AdditiveScores, Softmax, RowMean)


def _scores(result: Value, query: Value, keys: Value) -> str | None:
    """A defect, unless there is a score in Q5.10 for every row of the query's width."""
    if result.format != PREACTIVATION:
        return f"expected scores in Q5.10, got {said((result,))}"
    return equal_widths(keys, result.width * query.width)


def _dot_scores(made: _Scheduler, index: int, op: DotScores) -> None:
    reads = [made.place(value) for value in op.reads]
    result = made.for_result(index, op)
    made.call(VectorCall.DOT_SCORES, reads, result, op.shift, [op.query.width])


def _additive_scores(made: _Scheduler, index: int, op: AdditiveScores) -> None:
    reads = [made.place(value) for value in op.reads]
    result = made.for_result(index, op)
    made.call(VectorCall.ADDITIVE_SCORES, reads, result, op.name, [op.query.width])


def _softmax(made: _Scheduler, index: int, op: Softmax) -> None:
    reads = [made.place(value) for value in op.reads]
    made.call(VectorCall.SOFTMAX, reads, made.for_result(index, op, [op.scores]))


def _context(made: _Scheduler, index: int, op: RowMean) -> None:
    reads = [made.place(value) for value in op.reads]
    result = made.for_result(index, op)
    made.call(VectorCall.CONTEXT, reads, result, None, [op.shares.width])


#: operation -> what schedules it
SCHEDULED: Final[dict[type[Op], Callable[[Any, int, Any], None]]] = {
    DotScores: _dot_scores,
    AdditiveScores: _additive_scores,
    Softmax: _softmax,
    RowMean: _context,
}
