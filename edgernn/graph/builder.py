"""The builder that layers are lowered with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgernn.errors import ModelError
from edgernn.graph.op_graph import Carried, OpGraph
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
from edgernn.model.affine import Affine, Source
from edgernn.model.formats import (
    LOW,
    NORMALIZED,
    PREACTIVATION,
    UNIT,
    Int8Array,
    Precision,
    QFormat,
    low_format,
)
from edgernn.model.functions.curves import CurveTable
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn.model.scales import LeakConstants, NormalizationConstants, ScaleVector


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
        """Both operands as one (clause 4.1); a second call returns the same one."""
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
            operands: by source; `xh` is put together from `x` and `h` if a term requires it.
            form: of the result, which the record's numbers were made for.
            rows: one letter for each of the results that are stacked.
            called: what the result is called, where a map is applied several times.

        Raises:
            ModelError: a term requires a missing source.
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
                    f"'{self.layer}.{name}', got {given}. Add it to the operands: "
                    f"operands[Source.{term.source.name}] = g.operand(value, 'operand')."
                )
        result = self._named(called or name, affine.rows, form)
        names = tuple(f"{result.name}.{row}" for row in rows) or (result.name,)
        return self._add(
            AffineResult(result=result, name=name, affine=affine, operands=tuple(reads), rows=names)
        )

    def split(
        self, value: Value, names: str, forms: Sequence[QFormat] | None = None
    ) -> tuple[Value, ...]:
        """Equal parts of a stack, one for each letter.

        Args:
            value: the stack.
            names: a letter for each part.
            forms: of the parts, where the stack has none.
        """
        formats = [value.format] * len(names) if forms is None else forms
        width = value.width // len(names)
        stack = value.name.removeprefix(f"{self.layer}.")
        return tuple(
            self._add(
                Slice(
                    result=self._named(f"{stack}.{name}", width, form),
                    value=value,
                    start=k * width,
                )
            )
            for k, (name, form) in enumerate(zip(names, formats, strict=True))
        )

    def activation(self, function: Function, value: Value, name: str) -> Value:
        """A function of every code."""
        form = UNIT if function.bounded else value.format
        result = self._named(name, value.width, form)
        return self._add(Activation(result=result, value=value, function=function))

    def curve(
        self,
        function: PointwiseFunction,
        value: Value,
        constants: str,
        table: CurveTable | None,
        name: str,
        form: QFormat | None,
    ) -> Value:
        """A function of every code, by a table.

        Args:
            function: what is applied.
            value: its argument.
            constants: name of the table in the layer.
            table: the record.
            name: of the result.
            form: of the result.
        """
        result = self._named(name, value.width, form)
        return self._add(
            Curve(result=result, value=value, name=constants, function=function, table=table)
        )

    def tanh(self, value: Value, name: str) -> Value:
        """Clause 3.3."""
        return self.activation(Function.TANH, value, name)

    def product(self, a: Value, b: Value, name: str, form: QFormat | None = UNIT) -> Value:
        """The product of two values, in the given format."""
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
            value: what is normalized.
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

    def hypotenuse(self, a: Value, b: Value, name: str) -> Value:
        """The rounded root of the sum of two squares, in the format of both values."""
        return self._add(Hypotenuse(result=self._named(name, a.width, a.format), a=a, b=b))

    def sum(self, a: Value, b: Value, name: str) -> Value:
        """The saturating sum of two values of one format."""
        return self._add(Sum(result=self._named(name, a.width, a.format), a=a, b=b))

    def rescaled(self, value: Value, form: QFormat, name: str) -> Value:
        """A value with other fraction bits; itself, where it has as many."""
        if value.format == form:
            return value
        return self._add(Rescaling(result=self._named(name, value.width, form), value=value))

    def complement(self, value: Value, name: str) -> Value:
        """One less the value."""
        return self._add(
            Complement(result=self._named(name, value.width, value.format), value=value)
        )

    def blend(
        self, state: tuple[Value, Value], target: Value, share: Gate, name: str
    ) -> tuple[Value, Value]:
        """A wide state that goes towards a target: its new high and low part.

        Args:
            state: high and low part.
            target: what it goes towards.
            share: how far.
            name: of the new high part.
        """
        (high, low), (result, result_low) = state, self._parts(name, state[0])
        op = Blend(
            result=result, high=high, low=low, target=target, share=share, result_low=result_low
        )
        return self._add(op), result_low

    def gated_sum(
        self, state: tuple[Value, Value], loss: Gate, candidate: Value, gain: Gate, name: str
    ) -> tuple[Value, Value]:
        """A wide state that loses a share and gains one of a candidate: its new parts.

        Args:
            state: high and low part.
            loss: the share of the state that is lost.
            candidate: the gain.
            gain: the share of it.
            name: of the new high part.
        """
        (high, low), (result, result_low) = state, self._parts(name, state[0])
        op = GatedSum(
            result=result, high=high, low=low, loss=loss, candidate=candidate, gain=gain,
            result_low=result_low,
        )  # fmt: skip
        return self._add(op), result_low

    def leaky_sum(
        self,
        state: tuple[Value, Value],
        entry: Value,
        constants: str,
        leak: LeakConstants,
        name: str,
        *,
        rectified: bool,
    ) -> tuple[Value, Value]:
        """A wide state that loses a constant share and takes in a value: its new parts.

        Args:
            state: high and low part.
            entry: what it takes in.
            constants: their name in the layer.
            leak: the record.
            name: of the new high part.
            rectified: a sum below 0 becomes 0.
        """
        (high, low), (result, result_low) = state, self._parts(name, state[0])
        op = LeakySum(
            result=result, high=high, low=low, entry=entry, name=constants, constants=leak,
            rectified=rectified, result_low=result_low,
        )  # fmt: skip
        return self._add(op), result_low

    def wide_rescaled(self, state: tuple[Value, Value], form: QFormat, name: str) -> Value:
        """A wide value as an int16 one."""
        high, low = state
        result = self._named(name, high.width, form)
        return self._add(WideRescaling(result=result, high=high, low=low))

    def operation(
        self, kind: type[Op], name: str, width: int, form: QFormat | None, /, **given: Any
    ) -> Value:
        """The result of an operation that has no method here.

        Args:
            kind: which one.
            name: of the result.
            width: of the result.
            form: of the result.
            **given: the operation's other fields.
        """
        return self._add(kind(result=self._named(name, width, form), **given))

    def _parts(self, name: str, high: Value) -> tuple[Value, Value]:
        """The two values of a new wide state."""
        assert high.format is not None  # states have formats
        low = self._named(f"{name}{LOW}", high.width, low_format(high.format))
        return self._named(name, high.width, high.format), low

    def _named(
        self, name: str, width: int, form: QFormat | None, *, operand: bool = False
    ) -> Value:
        return Value(name=f"{self.layer}.{name}", width=width, format=form, operand=operand)

    def _add(self, op: Op) -> Value:
        self.ops.append(op)
        return op.result
