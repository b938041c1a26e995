"""The operations every layer is made of: vectors of codes in, one vector out, one clause each.

A `Value` is a vector with its format, so the constants of a clause need not be written down: the
shift of a product follows from the formats of its factors and of its result. What a graph of
operations may look like is checked by each operation for itself (`Op.defect`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from edgernn.graph.attention import ATTENTION_OPS
from edgernn.graph.constant_ops import Curve as Curve
from edgernn.graph.constant_ops import Gather as Gather
from edgernn.graph.constant_ops import Normalization as Normalization
from edgernn.graph.constant_ops import Scaling as Scaling
from edgernn.graph.op import Function as Function
from edgernn.graph.op import Op as Op
from edgernn.graph.op import Value as Value
from edgernn.graph.op import equal_formats, equal_widths, no_operands, said
from edgernn.graph.wide_ops import Blend as Blend
from edgernn.graph.wide_ops import Gate as Gate
from edgernn.graph.wide_ops import GatedSum as GatedSum
from edgernn.graph.wide_ops import LeakySum as LeakySum
from edgernn.graph.wide_ops import WideRescaling as WideRescaling
from edgernn.model.affine import Affine, Source
from edgernn.model.formats import PLAIN_CODES, PREACTIVATION, UNIT

#: Shifts of clause 1.3 that occur: up to the product of two Q0.15 values as Q15.0. Without one,
#: the product of two codes of −32768 is beyond what TFLite's kernels hold.
_SHIFTS: Final = range(1, 31)
#: A value loses no more bits than it has.
_LARGEST_RESCALING: Final = 15
#: Fraction bits of formats that have complements.
_COMPLEMENTS: Final = range(16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperandOf(Op):
    """O(v), what a matrix product reads of an int16 value (clause 2.7)."""

    kind: ClassVar[str] = "operand"

    value: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """The int16 value."""
        return (self.value,)

    def defect(self) -> str | None:
        """A value in, its operand out."""
        if self.value.operand or not self.result.operand:
            return "expected a value as input and an operand as result, got something else"
        return equal_widths(self.result, self.value.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodesOf(Op):
    """The codes of the model's input as an int16 value (clause 6.7)."""

    kind: ClassVar[str] = "codes"

    operand: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """The operand."""
        return (self.operand,)

    def defect(self) -> str | None:
        """An operand in, a value of no format out."""
        if not self.operand.operand or self.result.operand or self.result.format is not None:
            return f"expected an operand as input and a value as result, got {said(self.reads)}"
        return equal_widths(self.result, self.operand.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputOperand(Op):
    """Input codes as an operand: of a delay (6.6), or of an input with tokens, an int16 (6.8)."""

    kind: ClassVar[str] = "input_operand"

    codes: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """The codes."""
        return (self.codes,)

    def defect(self) -> str | None:
        """Codes in, an operand out."""
        has_codes = self.codes.format in (None, PLAIN_CODES) and not self.codes.operand
        if not has_codes or not self.result.operand:
            return (
                "expected codes as input and an operand as result, got "
                f"{said((self.codes, self.result))}"
            )
        return equal_widths(self.result, self.codes.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Concatenation(Op):
    """Operands one after another (clauses 4.1, source `xh`, and 6.6), or values (clause 6.7)."""

    kind: ClassVar[str] = "concat"

    parts: tuple[Value, ...]

    @property
    def reads(self) -> tuple[Value, ...]:
        """The parts in their order."""
        return self.parts

    def defect(self) -> str | None:
        """Operands alone, or values alone."""
        if len({part.operand for part in (*self.parts, self.result)}) > 1:
            return f"expected only operands or only values, got {said(self.parts)}"
        return equal_widths(self.result, sum(part.width for part in self.parts))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice(Op):
    """Consecutive codes: one gate of a stack (clauses 7.2 and 7.5), a part of a route (6.6).

    A stack of rows with different formats has none; its parts have.

    Attributes:
        value: what is cut.
        start: first code of the result.
    """

    kind: ClassVar[str] = "slice"

    value: Value
    start: int

    @property
    def reads(self) -> tuple[Value, ...]:
        """What is cut."""
        return (self.value,)

    def defect(self) -> str | None:
        """Inside the value, of its format."""
        stop = self.start + self.result.width
        if self.start < 0 or stop > self.value.width:
            return f"expected codes 0 to {self.value.width}, got {self.start} to {stop}"
        if self.value.format is None and not self.value.operand and not self.result.operand:
            return None
        return equal_formats(self.result, self.value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AffineResult(Op):
    """An affine map of operands (sections 4 and 5).

    Attributes:
        name: of the map in its layer.
        affine: the record.
        operands: one per term of the record, in order.
        rows: names of the results that are stacked in equal parts (clause 10.3).
    """

    kind: ClassVar[str] = "affine"

    name: str
    affine: Affine
    operands: tuple[Value, ...]
    rows: tuple[str, ...]

    @property
    def reads(self) -> tuple[Value, ...]:
        """The operands of the terms."""
        return self.operands

    @property
    def by_source(self) -> dict[Source, Value]:
        """The operands by the source of their term."""
        sources = (term.source for term in self.affine.terms)
        return dict(zip(sources, self.operands, strict=True))

    def defect(self) -> str | None:
        """An operand of the right width for every term, rows that can be parted."""
        columns = [term.weights.shape[1] for term in self.affine.terms]
        if [value.width for value in self.operands] != columns:
            return f"expected operands of {columns} codes, got {said(self.operands)}"
        if len({term.source for term in self.affine.terms}) < len(self.affine.terms):
            return "expected terms with different sources, got two with the same source"
        if not all(value.operand for value in self.operands) or self.result.operand:
            return "expected operands as inputs and a value as result"
        if not self.rows or self.affine.rows % len(self.rows):
            return f"expected rows in {len(self.rows)} equal parts, got {self.affine.rows}"
        return equal_widths(self.result, self.affine.rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activation(Op):
    """A function of every code (section 3, clauses 7.1 and 8.1)."""

    kind: ClassVar[str] = "activation"

    value: Value
    function: Function

    @property
    def reads(self) -> tuple[Value, ...]:
        """Its argument."""
        return (self.value,)

    def defect(self) -> str | None:
        """Q5.10 to Q0.15, or the format that is read."""
        if self.value.operand or self.result.operand:
            return no_operands(self)
        if self.function.bounded and (self.value.format, self.result.format) != (
            PREACTIVATION,
            UNIT,
        ):
            return f"expected Q5.10 to Q0.15, got {said((self.value, self.result))}"
        if not self.function.bounded and self.value.format != self.result.format:
            return equal_formats(self.result, self.value)
        return equal_widths(self.result, self.value.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product(Op):
    """sat16(R(a·b, k)) with k = fraction bits of a, plus those of b, less those of the result.

    Attributes:
        a: a factor.
        b: the other factor.
        given_shift: the k of values without formats (clause 7.10); else None.
    """

    kind: ClassVar[str] = "product"

    a: Value
    b: Value
    given_shift: int | None = None

    @property
    def reads(self) -> tuple[Value, ...]:
        """Its factors."""
        return self.a, self.b

    @property
    def shift(self) -> int:
        """The k of clause 1.3."""
        if self.given_shift is not None:
            return self.given_shift
        return _bits(self.a) + _bits(self.b) - _bits(self.result)

    def defect(self) -> str | None:
        """Known formats or a shift, which clause 1.3 has, equal widths."""
        values = (self.a, self.b, self.result)
        if any(value.operand for value in values):
            return no_operands(self)
        if {value.format is None for value in values} != {self.given_shift is not None}:
            return f"expected fixed-point formats, or a shift without formats, got {said(values)}"
        if self.shift not in _SHIFTS:
            return f"expected a shift of 1 to {_SHIFTS[-1]}, got {self.shift}"
        return equal_widths(self.result, self.a.width, self.b.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairOp(Op):
    """An operation on two values of one format, with a result in this format.

    Attributes:
        a: a value.
        b: the other one.
    """

    a: Value
    b: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """Both values."""
        return self.a, self.b

    def defect(self) -> str | None:
        """One format, one width."""
        return (
            no_operands(self)
            or equal_formats(self.result, self.a, self.b)
            or equal_widths(self.result, self.a.width, self.b.width)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sum(PairOp):
    """sat16(a + b) of one format (clauses 7.3, 7.5 and 7.7)."""

    kind: ClassVar[str] = "sum"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescaling(Op):
    """S(v, k) of clause 1.6: to a format with k fraction bits less, or −k more."""

    kind: ClassVar[str] = "rescaling"

    value: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """What is rounded."""
        return (self.value,)

    @property
    def shift(self) -> int:
        """The k of clause 1.3."""
        return _bits(self.value) - _bits(self.result)

    def defect(self) -> str | None:
        """Formats whose fraction bits are not too far apart."""
        if self.value.format is None or self.result.format is None:
            return f"expected fixed-point formats, got {said((self.value, self.result))}"
        if abs(self.shift) > _LARGEST_RESCALING:
            return f"expected a shift of ±{_LARGEST_RESCALING} at most, got {self.shift}"
        return equal_widths(self.result, self.value.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Complement(Op):
    """sat16(2^b − v), one less v, which has b fraction bits: 15 of a gate (clause 7.5)."""

    kind: ClassVar[str] = "complement"

    value: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """What is taken from one."""
        return (self.value,)

    @property
    def one(self) -> int:
        """The code of 1, which may be one more than there is."""
        return 1 << _bits(self.value)

    def defect(self) -> str | None:
        """One format in which there are numbers below 1."""
        form = self.value.format
        if form is None or form.frac_bits not in _COMPLEMENTS:
            return f"expected 0 to 15 fraction bits, got {said((self.value,))}"
        return equal_formats(self.result, self.value) or equal_widths(self.result, self.value.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extremum(PairOp):
    """The larger or the smaller of two values of one format (clause 7.10).

    Attributes:
        largest: whether the larger one is taken.
    """

    kind: ClassVar[str] = "extremum"

    largest: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hypotenuse(PairOp):
    """The rounded root of a² + b² of two values of one format (clause 7.10)."""

    kind: ClassVar[str] = "hypotenuse"


#: Every operation there is; an interpreter has a row for each.
OPS: Final[tuple[type[Op], ...]] = (
    OperandOf,
    CodesOf,
    Concatenation,
    Slice,
    AffineResult,
    Activation,
    Product,
    Sum,
    Rescaling,
    Complement,
    Scaling,
    Extremum,
    Hypotenuse,
    Normalization,
    InputOperand,
    Gather,
    Curve,
    Blend,
    GatedSum,
    LeakySum,
    WideRescaling,
    *ATTENTION_OPS,
)


def _bits(value: Value) -> int:
    assert value.format is not None  # `defect` refuses it
    return value.format.frac_bits
