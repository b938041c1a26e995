"""A step of a model as a graph of operations, and the builder that layers are lowered with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgernn.errors import ModelError
from edgernn.graph.ops import (
    Activation,
    AffineResult,
    CodesOf,
    Complement,
    Concatenation,
    Extremum,
    Function,
    Gather,
    InputOperand,
    Normalization,
    Op,
    OperandOf,
    Product,
    Rescaling,
    Scaling,
    Slice,
    Sum,
    Value,
)
from edgernn.model.affine import Affine, Source
from edgernn.model.formats import (
    NORMALIZED,
    PREACTIVATION,
    UNIT,
    Int8Array,
    Precision,
    QFormat,
)
from edgernn.model.scales import NormalizationConstants, ScaleVector


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
        ops: in an order in which every operation reads what is there.
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
            _define(known, op.result)
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
        raise ModelError(f"{value.name}: expected a format of 16 bits, got {value.format.bits}.")
    if value.name in known:
        raise ModelError(
            f"graph: expected distinct names of values, got '{value.name}' twice. "
            "Call one of them otherwise; the result of an affine map has the name of the map."
        )
    known[value.name] = value


def _check_there(known: dict[str, Value], value: Value, reader: str) -> None:
    if known.get(value.name) != value:
        raise ModelError(f"{reader}: expected a value that is there, got '{value.name}'.")


class OpBuilder:
    """Collects the operations of a graph, layer by layer.

    A layer's function gets a builder whose `layer` is its name; every method adds one operation
    and returns the value it defines, named "<layer>.<name>".
    """

    def __init__(self, precision: Precision) -> None:
        """Start without operations."""
        self.precision = precision
        self.layer = ""
        self._inputs: list[Value] = []
        self._carried: list[Carried] = []
        self.ops: list[Op] = []
        self._joint: dict[tuple[str, ...], Value] = {}

    def finish(self, outputs: Sequence[Value]) -> OpGraph:
        """The graph."""
        return OpGraph(
            precision=self.precision,
            inputs=tuple(self._inputs),
            carried=tuple(self._carried),
            ops=tuple(self.ops),
            outputs=tuple(outputs),
        )

    def input(self, name: str, width: int, *, operand: bool = True) -> Value:
        """Operand codes from outside (clause 2.3), or an int16 value."""
        value = Value(name=name, width=width, format=None, operand=operand)
        self._inputs.append(value)
        return value

    def carry(self, before: Value, after: Value) -> None:
        """Leave a value to the next step as its state."""
        self._carried.append(Carried(before=before, after=after))

    def operand(self, value: Value, name: str) -> Value:
        """What matrix products read of a value (clause 2.7)."""
        result = self._named(name, value.width, None, operand=True)
        return self._add(OperandOf(result=result, value=value))

    def codes(self, operand: Value, name: str) -> Value:
        """Codes of the model's input as a value."""
        result = self._named(name, operand.width, None)
        return self._add(CodesOf(result=result, operand=operand))

    def input_operand(self, codes: Value, name: str) -> Value:
        """What matrix products read of the int16 codes of real channels."""
        result = self._named(name, codes.width, None, operand=True)
        return self._add(InputOperand(result=result, codes=codes))

    def gathered(self, tokens: Value, name: str, table: Int8Array) -> Value:
        """The rows that tokens number, one behind another."""
        result = self._named("y", tokens.width * table.shape[1], None)
        return self._add(Gather(result=result, tokens=tokens, name=name, table=table))

    def part(self, value: Value, start: int, width: int, name: str) -> Value:
        """Consecutive elements; the value itself, where these are all."""
        if (start, width) == (0, value.width):
            return value
        result = self._named(name, width, value.format, operand=value.operand)
        return self._add(Slice(result=result, value=value, start=start))

    def concatenated(self, parts: Sequence[Value], name: str, form: QFormat | None = None) -> Value:
        """Operands or values one behind another; a single one is itself.

        Args:
            parts: what is joined.
            name: of the result.
            form: of the result; None: that of the parts, where they have one in common.
        """
        if len(parts) == 1:
            return parts[0]
        forms = {part.format for part in parts}
        if form is None and len(forms) == 1:
            form = forms.pop()
        width = sum(part.width for part in parts)
        result = self._named(name, width, form, operand=parts[0].operand)
        return self._add(Concatenation(result=result, parts=tuple(parts)))

    def joint(self, x: Value, h: Value) -> Value:
        """Both operands as one (clause 4.1); asked for again, it is the same one."""
        known = self._joint.get((x.name, h.name))
        if known is None:
            result = self._named("xh", x.width + h.width, None, operand=True)
            known = self._add(Concatenation(result=result, parts=(x, h)))
            self._joint[x.name, h.name] = known
        return known

    def affine(
        self,
        name: str,
        affine: Affine,
        operands: dict[Source, Value],
        form: QFormat | None = PREACTIVATION,
        rows: str = "",
        called: str = "",
    ) -> Value:
        """An affine map over the sources that its terms name.

        Args:
            name: of the map in its layer.
            affine: the record.
            operands: by source; `xh` is put together from `x` and `h` where a term asks for it.
            form: of the result, which the record's numbers were made for.
            rows: one letter for each of the results that are stacked.
            called: what the result is called, where a map is applied several times.

        Raises:
            ModelError: a term asks for a source that is not there.
        """
        reads = []
        for term in affine.terms:
            if term.source is Source.XH:
                reads.append(self.joint(operands[Source.X], operands[Source.H]))
            elif term.source in operands:
                reads.append(operands[term.source])
            else:
                given = ", ".join(source.value for source in operands)
                raise ModelError(
                    f"graph: expected an operand for {term.source.value} of the map "
                    f"'{self.layer}.{name}', got {given}. Give it beside the others: "
                    f'operands[Source.{term.source.name}] = g.operand(value, "operand").'
                )
        result = self._named(called or name, affine.rows, form)
        names = tuple(f"{result.name}.{row}" for row in rows) or (result.name,)
        return self._add(
            AffineResult(result=result, name=name, affine=affine, operands=tuple(reads), rows=names)
        )

    def split(self, value: Value, names: str) -> tuple[Value, ...]:
        """Equal parts of a stack, one for each letter."""
        width = value.width // len(names)
        stack = value.name.removeprefix(f"{self.layer}.")
        return tuple(
            self._add(
                Slice(
                    result=self._named(f"{stack}.{name}", width, value.format),
                    value=value,
                    start=k * width,
                )
            )
            for k, name in enumerate(names)
        )

    def activation(self, function: Function, value: Value, name: str) -> Value:
        """A function of every code."""
        form = UNIT if function.bounded else value.format
        result = self._named(name, value.width, form)
        return self._add(Activation(result=result, value=value, function=function))

    def tanh(self, value: Value, name: str) -> Value:
        """Clause 3.3."""
        return self.activation(Function.TANH, value, name)

    def product(self, a: Value, b: Value, name: str, form: QFormat | None = UNIT) -> Value:
        """The product of two values, in the format asked for."""
        return self._add(Product(result=self._named(name, a.width, form), a=a, b=b))

    def plain_product(self, a: Value, b: Value, shift: int, name: str) -> Value:
        """The product of two values without formats, by a shift."""
        result = self._named(name, a.width, None)
        return self._add(Product(result=result, a=a, b=b, given_shift=shift))

    def scaled(
        self, value: Value, constants: str, scale: ScaleVector, name: str, form: QFormat | None
    ) -> Value:
        """A value times constants, in a format that these were made for.

        Args:
            value: what is scaled.
            constants: their name in the layer.
            scale: the record.
            name: of the result.
            form: of the result.
        """
        result = self._named(name, value.width, form)
        return self._add(Scaling(result=result, value=value, name=constants, scale=scale))

    def normalized(
        self, value: Value, name: str, constants: NormalizationConstants, result: str
    ) -> Value:
        """A value with mean 0 and variance 1.

        Args:
            value: what is normalised.
            name: of the constants in the layer.
            constants: the record.
            result: name of the result.
        """
        made = self._named(result, value.width, NORMALIZED)
        return self._add(Normalization(result=made, value=value, name=name, constants=constants))

    def extremum(self, a: Value, b: Value, name: str, *, largest: bool) -> Value:
        """The larger or smaller of two values of one format."""
        result = self._named(name, a.width, a.format)
        return self._add(Extremum(result=result, a=a, b=b, largest=largest))

    def sum(self, a: Value, b: Value, name: str) -> Value:
        """The saturating sum of two values of one format."""
        return self._add(Sum(result=self._named(name, a.width, a.format), a=a, b=b))

    def rescaled(self, value: Value, form: QFormat, name: str) -> Value:
        """A value with fewer fraction bits; itself, where it has as many."""
        if value.format == form:
            return value
        return self._add(Rescaling(result=self._named(name, value.width, form), value=value))

    def complement(self, value: Value, name: str) -> Value:
        """One less the value."""
        return self._add(
            Complement(result=self._named(name, value.width, value.format), value=value)
        )

    def _named(
        self, name: str, width: int, form: QFormat | None, *, operand: bool = False
    ) -> Value:
        return Value(name=f"{self.layer}.{name}", width=width, format=form, operand=operand)

    def _add(self, op: Op) -> Value:
        self.ops.append(op)
        return op.result
