"""A step of a model as a graph of operations."""

from __future__ import annotations

from dataclasses import dataclass

from edgernn.errors import ModelError
from edgernn.graph.ops import Op, Value
from edgernn.model.formats import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A state: the value a step starts from and the one it leaves for the next.

    Attributes:
        before: read by the step.
        after: an input, a state or a result of the step, of the same width and format.
    """

    before: Value
    after: Value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpGraph:
    """What one step computes.

    Attributes:
        precision: of its operands.
        inputs: operand codes from outside; of a layer that reads values, and of a model that reads
            tokens, values.
        carried: states, zero at the start (clause 6.2).
        ops: in an order in which every operation reads values defined earlier.
        outputs: what leaves the step.

    Raises:
        ModelError: a value is read before it is there or defined twice, a clause is broken, or
            what is carried or put out is no int16 value.
    """

    precision: Precision
    inputs: tuple[Value, ...]
    carried: tuple[Carried, ...]
    ops: tuple[Op, ...]
    outputs: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Check names, order, widths and formats."""
        known: dict[str, Value] = {}
        for value in (*self.inputs, *(state.before for state in self.carried)):
            _define(known, value)
        for op in self.ops:
            for value in op.reads:
                _check_there(known, value, f"operation {op.result.name}")
            defect = op.defect()
            if defect:
                raise ModelError(f"operation {op.result.name} ({op.kind}): {defect}.")
            for value in (op.result, *op.beside):
                _define(known, value)
        for value in self.outputs:
            _check_there(known, value, "output")
            _check_value(value, "output")
        for state in self.carried:
            _check_there(known, state.after, f"state {state.before.name}")
            before, after = state.before, state.after
            _check_value(before, "state")
            if (before.width, before.format) != (after.width, after.format):
                raise ModelError(
                    f"state {before.name}: expected {before.width} codes {before.format}, "
                    f"got {after.width} codes {after.format}."
                )


def _check_value(value: Value, what: str) -> None:
    if value.operand:
        raise ModelError(f"{what} {value.name}: expected an int16 value, got operand codes.")


def _define(known: dict[str, Value], value: Value) -> None:
    if value.width < 1:
        raise ModelError(f"{value.name}: expected a width of 1 or more, got {value.width}.")
    if value.format is not None and value.format.bits != 16:
        raise ModelError(f"{value.name}: expected a 16-bit format, got {value.format.bits} bits.")
    if value.name in known:
        raise ModelError(
            f"graph: expected distinct names of values, got '{value.name}' twice. Rename one "
            "of them; the result of an affine map has the name of the map."
        )
    known[value.name] = value


def _check_there(known: dict[str, Value], value: Value, reader: str) -> None:
    if known.get(value.name) != value:
        raise ModelError(f"{reader}: expected a value computed earlier, got '{value.name}'.")
