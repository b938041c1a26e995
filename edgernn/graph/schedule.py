"""A graph of operations as instructions over memory: the place of every value of a layer.

A value gets a place: a vector of the state, the layer's input where it reads values, or a part of
the scratch that values share which are not there at the same time. A result takes the place of what
it is made of where nothing else reads that any more, new states that of the old ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from edgernn.errors import ModelError
from edgernn.graph.attention import SCHEDULED as ATTENTION
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import (
    Activation,
    AffineResult,
    Blend,
    CodesOf,
    Complement,
    Concatenation,
    Curve,
    Extremum,
    Function,
    Gate,
    GatedSum,
    Gather,
    Hypotenuse,
    InputOperand,
    LeakySum,
    Normalization,
    Op,
    OperandOf,
    Product,
    Rescaling,
    Scaling,
    Slice,
    Sum,
    Value,
    WideRescaling,
)
from edgernn.graph.vector_calls import (
    COMPLEMENT,
    FINE,
    INPUT,
    SCRATCH,
    Place,
    StepSchedule,
    VectorCall,
    VectorInstruction,
)
from edgernn.model.affine import Source

#: The code of 1 of a gate, 15 fraction bits.
_ONE: Final = 32768


def schedule(graph: OpGraph) -> StepSchedule:
    """Give every value a place, and every operation its instructions.

    Args:
        graph: of one layer, whose one input is at the start of its operands, or has a separate
            place if it is values.

    Raises:
        ModelError: an affine map reads what has no place among the operands, which are those of
            the input and behind them of one value or of a part of the input; or the layer reads its
            operands as values.
    """
    made = _Scheduler(graph)
    for index, op in enumerate(graph.ops):
        _SCHEDULED[type(op)](made, index, op)
    outputs = made.leave()
    return StepSchedule(
        instructions=tuple(made.instructions),
        scratch=made.scratch,
        operands=made.most_operands,
        outputs=outputs,
    )


class _Scheduler:
    """Instructions so far, and where values lie."""

    def __init__(self, graph: OpGraph) -> None:
        self.instructions: list[VectorInstruction] = []
        self.scratch = self.most_operands = 0
        self._input = graph.inputs[0]
        self._ops = {op.result.name: op for op in graph.ops}
        self._vectors = {state.after.name: vector for vector, state in enumerate(graph.carried)}
        for op in reversed(graph.ops):
            # What a function turns into a new state can be made where that state lies.
            if isinstance(op, (Activation, Curve)) and op.result.name in self._vectors:
                self._vectors.setdefault(op.value.name, self._vectors[op.result.name])
        self._carried, self._outputs = graph.carried, graph.outputs
        self._places = {
            state.before.name: Place(vector, 0, state.before.width)
            for vector, state in enumerate(graph.carried)
        }
        if not self._input.operand:
            self._places[self._input.name] = Place(INPUT, 0, self._input.width)
        self._last = self._last_reads(graph)
        self._in_operands = ""

    def _last_reads(self, graph: OpGraph) -> dict[str, int]:
        """Index of the last operation that reads a value; one behind them all for what stays."""
        last: dict[str, int] = {}
        for index, op in enumerate(graph.ops):
            if isinstance(op, AffineResult):
                value = self._behind_input(op)
                if value is not None:
                    last[value.name] = index
            elif not op.result.operand:
                last.update(dict.fromkeys((value.name for value in op.reads), index))
        end = len(graph.ops)
        last.update(dict.fromkeys((value.name for value in graph.outputs), end))
        last.update(dict.fromkeys((state.after.name for state in graph.carried), end))
        return last

    def _behind_input(self, op: AffineResult) -> Value | None:
        """The value whose operands a map reads behind the input, or a part of the input's.

        None if it reads none of them.
        """
        found: dict[str, Value] = {}
        for source, operand in op.by_source.items():
            if source is Source.X and operand == self._input:
                continue
            made = self._ops.get(operand.name)
            if source is Source.X and isinstance(made, Slice) and made.value == self._input:
                found[operand.name] = operand
                continue
            if source is Source.XH:
                parts = made.parts if isinstance(made, Concatenation) else ()
                joined = len(parts) == 2 and parts[0] == self._input
                made = self._ops.get(parts[1].name) if joined else None
            if source is Source.X or not isinstance(made, OperandOf):
                raise ModelError(
                    f"{op.result.name}: expected operands of the layer's input as x, followed "
                    f"by those of a value, got {operand.name} as {source.value}."
                )
            found[made.value.name] = made.value
        if len(found) > 1:
            raise ModelError(
                f"{op.result.name}: expected operands of one value after the layer's input, "
                f"got those of {' and '.join(found)}."
            )
        return next(iter(found.values()), None)

    def place(self, value: Value) -> Place:
        """The place of a value."""
        return self._places[value.name]

    def call(
        self,
        call: VectorCall,
        reads: Sequence[Place],
        result: Place | None,
        option: int | Function | str | None = None,
        numbers: Sequence[int] = (),
    ) -> None:
        """Append an instruction."""
        self.instructions.append(
            VectorInstruction(
                call=call, reads=tuple(reads), result=result, option=option, numbers=tuple(numbers)
            )
        )

    def put(self, value: Value, place: Place) -> Place:
        """Let a value lie in a place."""
        self._places[value.name] = place
        return place

    def is_free(self, place: Place, index: int) -> bool:
        """Whether the values there are not read after an operation."""
        return not any(
            self._last.get(name, -1) > index and other.meets(place)
            for name, other in self._places.items()
        )

    def for_result(self, index: int, op: Op, reused: Sequence[Value] = ()) -> Place:
        """A place for the result of an operation; it may be that of a value in ``reused``."""
        result = op.result
        vector = self._vectors.get(result.name)
        wanted = [] if vector is None else [Place(vector, 0, result.width)]
        read = [self.place(value) for value in reused]
        wanted += [place for place in read if place.vector == SCRATCH]
        for place in wanted:
            fits = place.width == result.width and self.is_free(place, index)
            # Element by element a result may overwrite what it is made of, but not its neighbors.
            if fits and all(place == other or not place.meets(other) for other in read):
                return self.put(result, place)
        return self.put(result, self._room(index, result.width))

    def wide(self, index: int, op: Blend | GatedSum | LeakySum) -> list[Place]:
        """What an update of a wide state reads; the low part is updated in place.

        Something else that still reads the old one makes it move first.
        """
        high, low, *others = map(self.place, op.reads)
        if not self.is_free(low, index) or any(low.meets(o) and low != o for o in (high, *others)):
            room = self._room(index, low.width)
            self.call(VectorCall.COPY, [low], room)
            low = room
        self.put(op.result_low, low)
        # The new high part lies elsewhere, even if nothing reads the low one.
        self._last[op.result_low.name] = max(self._last.get(op.result_low.name, 0), index + 1)
        return [high, low, *others]

    def _room(self, index: int, width: int) -> Place:
        """Scratch that nothing lies in which this operation or a later one reads."""
        taken = sorted(
            (place.start, place.end)
            for name, place in self._places.items()
            if place.vector == SCRATCH and self._last.get(name, -1) >= index
        )
        start = 0
        for begin, end in taken:
            if begin - start >= width:
                break
            start = max(start, end)
        self.scratch = max(self.scratch, start + width)
        return Place(SCRATCH, start, width)

    def pushed_on(self, index: int, op: Concatenation) -> Place | None:
        """The state that is computed in place from a new part and its first elements, if any."""
        vector = self._vectors.get(op.result.name)
        if vector is None or len(op.parts) != 2:
            return None
        rows, (new, kept) = Place(vector, 0, op.result.width), map(self.place, op.parts)
        fits = not new.meets(rows) and self.is_free(rows, index)
        return rows if fits and kept == Place(vector, 0, kept.width) else None

    def operands(self, op: AffineResult) -> None:
        """Have behind the input what an affine map reads there."""
        value = self._behind_input(op)
        if value is not None and value.name != self._in_operands:
            row = self._ops.get(value.name)
            if isinstance(row, Slice) and value.operand:
                self.call(VectorCall.ROW, [Place(INPUT, row.start, value.width)], None)
            else:
                self.call(VectorCall.OPERANDS, [self.place(value)], None)
            self._in_operands = value.name
            self.most_operands = max(self.most_operands, value.width)

    def leave(self) -> tuple[Place, ...]:
        """Copy the new states that were not made in place; where the outputs are then."""
        end = len(self._ops)
        ends = [(self.place(state.before), self.place(state.after)) for state in self._carried]
        moves = [(source, to) for to, source in ends if source != to]
        overwritten = {to.vector for _, to in moves}
        aside: dict[Place, Place] = {}

        def kept(place: Place) -> Place:
            """A place that the copies below do not overwrite."""
            if place.vector not in overwritten:
                return place
            if place not in aside:
                room = self._room(end, place.width)
                name = f"{place.vector}+{place.start}+{place.width}"
                self._places[name], self._last[name] = room, end
                self.call(VectorCall.COPY, [place], room)
                aside[place] = room
            return aside[place]

        moves = [(kept(source), to) for source, to in moves]
        outputs = tuple(kept(self.place(value)) for value in self._outputs)
        for source, to in moves:
            self.call(VectorCall.COPY, [source], to)
        return outputs


def _nothing(made: _Scheduler, index: int, op: Op) -> None:
    """Operands are made where an affine map reads them."""


def _other_input(made: _Scheduler, index: int, op: Op) -> None:  # noqa: ARG001 (as the others)
    wanted, got = ("values", "operands") if isinstance(op, CodesOf) else ("operands", "values")
    raise ModelError(
        f"{op.result.name}: expected {wanted} as the input of a layer that reads some, got {got}."
    )


def _gather(made: _Scheduler, index: int, op: Gather) -> None:
    made.call(VectorCall.EMBED, [made.place(op.tokens)], made.for_result(index, op), op.name)


def _concatenation(made: _Scheduler, index: int, op: Concatenation) -> None:
    if op.result.operand:
        return
    if rows := made.pushed_on(index, op):
        made.call(VectorCall.PUSH, [made.place(op.parts[0])], made.put(op.result, rows))
        return
    whole = made.for_result(index, op, op.reads)
    start = whole.start
    for part in map(made.place, op.parts):
        made.call(VectorCall.COPY, [part], Place(whole.vector, start, part.width))
        start += part.width


def _slice(made: _Scheduler, index: int, op: Slice) -> None:  # noqa: ARG001 (as the others)
    if not op.result.operand:
        whole = made.place(op.value)
        made.put(op.result, Place(whole.vector, whole.start + op.start, op.result.width))


def _affine(made: _Scheduler, index: int, op: AffineResult) -> None:
    made.operands(op)
    made.call(VectorCall.AFFINE, [], made.for_result(index, op), op.name)


def _activation(made: _Scheduler, index: int, op: Activation) -> None:
    source = made.place(op.value)
    if op.function is Function.LINEAR:
        made.put(op.result, source)
        return
    place = made.for_result(index, op, op.reads)
    if place != source:
        made.call(VectorCall.COPY, [source], place)
    made.call(VectorCall.ACTIVATE, [place], place, op.function)


def _element_by_element(call: VectorCall) -> Callable[[_Scheduler, int, Any], None]:
    def scheduled(made: _Scheduler, index: int, op: Op) -> None:
        reads = [made.place(value) for value in op.reads]
        shift = op.shift if isinstance(op, (Product, Rescaling, WideRescaling)) else None
        made.call(call, reads, made.for_result(index, op, op.reads), shift)

    return scheduled


def _complement(made: _Scheduler, index: int, op: Complement) -> None:
    reads = [made.place(op.value)]
    one = None if op.one == _ONE else op.one
    made.call(VectorCall.COMPLEMENT, reads, made.for_result(index, op, op.reads), one)


def _share(gate: Gate) -> int:
    return FINE * gate.fine + COMPLEMENT * gate.complement


def _blend(made: _Scheduler, index: int, op: Blend) -> None:
    reads, shares = made.wide(index, op), [_share(op.share)]
    made.call(VectorCall.BLEND, reads, made.for_result(index, op, op.reads), None, shares)


def _gated_sum(made: _Scheduler, index: int, op: GatedSum) -> None:
    reads, shares = made.wide(index, op), [_share(op.loss), _share(op.gain)]
    made.call(VectorCall.GATED_SUM, reads, made.for_result(index, op, op.reads), op.shift, shares)


def _leaky_sum(made: _Scheduler, index: int, op: LeakySum) -> None:
    reads, flags = made.wide(index, op), [int(op.rectified)]
    made.call(VectorCall.LEAKY_SUM, reads, made.for_result(index, op, op.reads), op.name, flags)


def _with_constants(call: VectorCall) -> Callable[[_Scheduler, int, Any], None]:
    """One value, and constants of the layer."""

    def scheduled(made: _Scheduler, index: int, op: Curve | Scaling | Normalization) -> None:
        reads = [made.place(op.value)]
        made.call(call, reads, made.for_result(index, op, op.reads), op.name)

    return scheduled


def _extremum(made: _Scheduler, index: int, op: Extremum) -> None:
    call = VectorCall.MAXIMUM if op.largest else VectorCall.MINIMUM
    _element_by_element(call)(made, index, op)


#: operation -> what schedules it
_SCHEDULED: Final[dict[type[Op], Callable[[_Scheduler, int, Any], None]]] = {
    OperandOf: _nothing,
    InputOperand: _nothing,
    CodesOf: _other_input,
    Concatenation: _concatenation,
    Slice: _slice,
    AffineResult: _affine,
    Activation: _activation,
    Product: _element_by_element(VectorCall.PRODUCT),
    Sum: _element_by_element(VectorCall.SUM),
    Rescaling: _element_by_element(VectorCall.RESCALE),
    Complement: _complement,
    Scaling: _with_constants(VectorCall.SCALE),
    Extremum: _extremum,
    Hypotenuse: _element_by_element(VectorCall.HYPOTENUSE),
    Normalization: _with_constants(VectorCall.NORMALIZE),
    Gather: _gather,
    Curve: _with_constants(VectorCall.CURVE),
    Blend: _blend,
    GatedSum: _gated_sum,
    LeakySum: _leaky_sum,
    WideRescaling: _element_by_element(VectorCall.WIDE_RESCALE),
    **ATTENTION,
}
