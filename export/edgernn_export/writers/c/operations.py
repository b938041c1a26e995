"""One layer as calls of operations, for layers that have no kernel of their own in C.

Every value of the layer's graph gets a place: a vector of the state, or a part of the scratch that
values share which are not there at the same time. A result takes the place of what it is made of
where nothing else reads that any more, and new states are made in the place of the old ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgernn.model.affine import Source
from edgernn.model.graph import OpGraph
from edgernn.model.ops import (
    Activation,
    AffineResult,
    Complement,
    Concatenation,
    Function,
    Op,
    OperandOf,
    Product,
    Rescaling,
    Slice,
    Sum,
    Value,
)
from edgernn.model.tiles import padded


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A layer's step in C.

    Attributes:
        statements: in their order.
        scratch: int16 values of ``state->z`` they need.
        outputs: C expressions of the graph's outputs.
    """

    statements: tuple[str, ...]
    scratch: int
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value lies.

    Attributes:
        vector: member of the state; "z" is the scratch.
        start: first element.
        width: elements.
    """

    vector: str
    start: int
    width: int

    def __str__(self) -> str:
        """C expression of its address."""
        return f"state->{self.vector}" + (f" + {self.start}" if self.start else "")

    def meets(self, other: _Place) -> bool:
        """Whether the two share an element."""
        begins_before = self.start < other.start + other.width
        return self.vector == other.vector and begins_before and other.start < self.end

    @property
    def end(self) -> int:
        """Behind its last element."""
        return self.start + self.width


def schedule(
    graph: OpGraph, vectors: Sequence[str], width: str, maps: Callable[[AffineResult], str]
) -> Scheduled:
    """Give every value a place, and write a call for every operation.

    Args:
        graph: of one layer, whose input stands at the start of ``state->operands``.
        vectors: members of the state, in the order of the graph's states.
        width: operand width in bits, as it ends names of functions.
        maps: C expression of the record of an affine map.
    """
    made = _Schedule(graph, vectors, width, maps)
    for index, op in enumerate(graph.ops):
        _CALLS[type(op)](made, index, op)
    made.leave_states()
    outputs = tuple(str(made.place(value)) for value in graph.outputs)
    return Scheduled(statements=tuple(made.statements), scratch=made.scratch, outputs=outputs)


class _Schedule:
    """Statements so far, and where values lie."""

    def __init__(
        self,
        graph: OpGraph,
        vectors: Sequence[str],
        width: str,
        maps: Callable[[AffineResult], str],
    ) -> None:
        self.width, self.maps = width, maps
        self.statements: list[str] = []
        self.scratch = 0
        self._inputs = padded(graph.inputs[0].width)
        self._ops = {op.result.name: op for op in graph.ops}
        self._vectors = {
            state.after.name: vector for state, vector in zip(graph.carried, vectors, strict=True)
        }
        for op in reversed(graph.ops):
            # What an activation turns into a new state can be made where that state lies.
            if isinstance(op, Activation) and op.result.name in self._vectors:
                self._vectors.setdefault(op.value.name, self._vectors[op.result.name])
        self._carried = graph.carried
        self._places = {
            state.before.name: _Place(vector, 0, state.before.width)
            for state, vector in zip(graph.carried, vectors, strict=True)
        }
        self._last = self._last_reads(graph)
        self._in_operands = ""

    def _last_reads(self, graph: OpGraph) -> dict[str, int]:
        """Index of the last operation that reads a value; one behind them all for what stays."""
        last: dict[str, int] = {}
        for index, op in enumerate(graph.ops):
            if isinstance(op, AffineResult):
                for value in filter(None, map(self._of_state, op.operands)):
                    last[value.name] = index
            elif not isinstance(op, (OperandOf, Concatenation)):
                last.update(dict.fromkeys((value.name for value in op.reads), index))
        end = len(graph.ops)
        last.update(dict.fromkeys((value.name for value in graph.outputs), end))
        last.update(dict.fromkeys((state.after.name for state in graph.carried), end))
        return last

    def _of_state(self, operand: Value) -> Value | None:
        """The int16 value behind an operand; None where it is the layer's input alone."""
        op = self._ops.get(operand.name)
        if isinstance(op, Concatenation):
            return self._of_state(op.parts[1])
        return op.value if isinstance(op, OperandOf) else None

    def place(self, value: Value) -> _Place:
        """Where a value lies."""
        return self._places[value.name]

    def say(self, function: str, *arguments: object) -> None:
        """Append a call."""
        self.statements.append(f"{function}({', '.join(map(str, arguments))});")

    def put(self, value: Value, place: _Place) -> _Place:
        """Let a value lie in a place."""
        self._places[value.name] = place
        return place

    def is_free(self, place: _Place, index: int) -> bool:
        """Whether nothing that lies there is read after an operation."""
        return not any(
            self._last.get(name, -1) > index and other.meets(place)
            for name, other in self._places.items()
        )

    def for_result(self, index: int, op: Op, reused: Sequence[Value] = ()) -> _Place:
        """A place for the result of an operation.

        Args:
            index: of the operation.
            op: the operation.
            reused: values in whose place the result may be made.
        """
        result = op.result
        vector = self._vectors.get(result.name)
        wanted = [] if vector is None else [_Place(vector, 0, result.width)]
        read = [self.place(value) for value in reused]
        wanted += [place for place in read if place.vector == "z"]
        for place in wanted:
            fits = place.width == result.width and self.is_free(place, index)
            # Element by element a result may overwrite what it is made of, but not its neighbours.
            if fits and all(place == other or not place.meets(other) for other in read):
                return self.put(result, place)
        return self.put(result, self._room(index, result.width))

    def _room(self, index: int, width: int) -> _Place:
        """Scratch that nothing lies in which this operation or a later one reads."""
        taken = sorted(
            (place.start, place.end)
            for name, place in self._places.items()
            if place.vector == "z" and self._last.get(name, -1) >= index
        )
        start = 0
        for begin, end in taken:
            if begin - start >= width:
                break
            start = max(start, end)
        self.scratch = max(self.scratch, start + width)
        return _Place("z", start, width)

    def operands(self, op: AffineResult) -> None:
        """Have behind the input what an affine map reads there."""
        for source, operand in op.by_source.items():
            value = self._of_state(operand)
            if source is Source.X or value is None or value.name == self._in_operands:
                continue
            place = f"state->operands + {self._inputs}"
            self.say(f"edgernn_operands{self.width}", self.place(value), value.width, place)
            self._in_operands = value.name

    def leave_states(self) -> None:
        """Copy the new states that were not made in place."""
        end = len(self._ops)
        moves = [
            (self._places[state.before.name], self._places[state.after.name])
            for state in self._carried
        ]
        held = []
        for to, source in moves:
            if source == to:
                continue
            if source.vector != "z":  # an old state that another one takes over
                room = self._room(end, source.width)
                self._places[f"{source}@"] = room
                self._last[f"{source}@"] = end
                self.say("edgernn_copy16", source, source.width, room)
                source = room
            held.append((source, to))
        for source, to in held:
            self.say("edgernn_copy16", source, source.width, to)


def _nothing(made: _Schedule, index: int, op: Op) -> None:
    """Operands are made where an affine map reads them."""


def _slice(made: _Schedule, index: int, op: Slice) -> None:  # noqa: ARG001 (as the others)
    whole = made.place(op.value)
    made.put(op.result, _Place(whole.vector, whole.start + op.start, op.result.width))


def _affine(made: _Schedule, index: int, op: AffineResult) -> None:
    made.operands(op)
    made.say(
        f"edgernn_affine{made.width}",
        f"&{made.maps(op)}",
        "state->operands",
        made.for_result(index, op),
    )


def _activation(made: _Schedule, index: int, op: Activation) -> None:
    source = made.place(op.value)
    if op.function is Function.LINEAR:
        made.put(op.result, source)
        return
    place = made.for_result(index, op, op.reads)
    if place != source:
        made.say("edgernn_copy16", source, source.width, place)
    made.say("edgernn_activate", f"EDGERNN_{op.function.name}", place, place.width)


def _product(made: _Schedule, index: int, op: Product) -> None:
    a, b = map(made.place, op.reads)
    place = made.for_result(index, op, op.reads)
    made.say("edgernn_product", a, b, op.shift, place.width, place)


def _sum(made: _Schedule, index: int, op: Sum) -> None:
    a, b = map(made.place, op.reads)
    place = made.for_result(index, op, op.reads)
    made.say("edgernn_sum", a, b, place.width, place)


def _rescaling(made: _Schedule, index: int, op: Rescaling) -> None:
    source = made.place(op.value)
    place = made.for_result(index, op, op.reads)
    made.say("edgernn_rescale", source, op.shift, place.width, place)


def _complement(made: _Schedule, index: int, op: Complement) -> None:
    source = made.place(op.value)
    place = made.for_result(index, op, op.reads)
    made.say("edgernn_complement", source, place.width, place)


#: operation -> what writes its call
_CALLS: Final[dict[type[Op], Callable[[_Schedule, int, Any], None]]] = {
    OperandOf: _nothing,
    Concatenation: _nothing,
    Slice: _slice,
    AffineResult: _affine,
    Activation: _activation,
    Product: _product,
    Sum: _sum,
    Rescaling: _rescaling,
    Complement: _complement,
}
