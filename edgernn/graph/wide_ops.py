"""The operations on wide states: int16 high parts, and 15-bit low parts (clause 2.8).

Each defines the new high part as its result, and also the new low part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from edgernn.graph.op import Op, Value, equal_formats, equal_widths, no_operands, said
from edgernn.model.formats import LOW_BITS, PREACTIVATION, UNIT, QFormat, low_format
from edgernn.model.scales import LeakConstants

#: Bits that the sum of a wide state may take off a product (clause 7.22).
_PRODUCT_SHIFTS: Final = range(30)
#: Those that a wide value may lose to become an int16 one.
_RESCALINGS: Final = range(31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A share in [0, 1] of a wide update, as Q0.30 (clause 7.20).

    Attributes:
        value: with `fine`, a pre-activation in Q5.10, of which the sigmoid is taken with 30 bits;
            else a share in Q0.15, of which 32767 stands for 1.
        fine: which of both.
        complement: one less the share is meant.
    """

    value: Value
    fine: bool
    complement: bool = False

    def defect(self) -> str | None:
        """A pre-activation, or a share."""
        wanted = PREACTIVATION if self.fine else UNIT
        if self.value.format != wanted or self.value.operand:
            return f"expected a gate in {wanted}, got {said((self.value,))}"
        return None


def _wide_defect(op: Op, high: Value, low: Value, result_low: Value) -> str | None:
    """A defect, unless both parts of the state and of the new one are those of clause 2.8."""
    if no_operands(op) or high.format is None or low.format != low_format(high.format):
        return f"expected a state and its low part, got {said((high, low))}"
    return (
        equal_formats(op.result, high)
        or equal_formats(result_low, low)
        or equal_widths(op.result, *(value.width for value in (*op.reads, result_low)))
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blend(Op):
    """A wide state goes towards a target by the share of a gate (clause 7.21).

    Attributes:
        high: of the state.
        low: of the state.
        target: what it goes towards, in the format of `high`.
        share: how far it goes.
        result_low: the new low part.
    """

    kind: ClassVar[str] = "blend"

    high: Value
    low: Value
    target: Value
    share: Gate
    result_low: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """Both parts, the target, the gate."""
        return self.high, self.low, self.target, self.share.value

    @property
    def beside(self) -> tuple[Value, ...]:
        """The new low part."""
        return (self.result_low,)

    def defect(self) -> str | None:
        """A target of the format of the state."""
        return (
            self.share.defect()
            or equal_formats(self.high, self.target)
            or _wide_defect(self, self.high, self.low, self.result_low)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GatedSum(Op):
    """A wide state loses a share and gains a share of a candidate (clause 7.22).

    Attributes:
        high: of the state.
        low: of the state.
        loss: the share of the state that is lost.
        candidate: has the fraction bits of `high` at least.
        gain: the share of the candidate that is added.
        result_low: the new low part.
    """

    kind: ClassVar[str] = "gated_sum"

    high: Value
    low: Value
    loss: Gate
    candidate: Value
    gain: Gate
    result_low: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """Both parts, gate, candidate, gate."""
        return self.high, self.low, self.loss.value, self.candidate, self.gain.value

    @property
    def beside(self) -> tuple[Value, ...]:
        """The new low part."""
        return (self.result_low,)

    @property
    def shift(self) -> int:
        """The k of clause 7.22."""
        return _bits(self.candidate) - _bits(self.high)

    def defect(self) -> str | None:
        """A candidate that is fine enough."""
        if self.candidate.format is None or self.high.format is None:
            return f"expected fixed-point formats, got {said((self.high, self.candidate))}"
        if self.shift not in _PRODUCT_SHIFTS:
            return (
                f"expected a candidate with 0 to {_PRODUCT_SHIFTS[-1]} fraction bits more than the "
                f"state, got {said((self.high, self.candidate))}"
            )
        return (
            self.loss.defect()
            or self.gain.defect()
            or _wide_defect(self, self.high, self.low, self.result_low)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeakySum(Op):
    """A wide state loses a constant share and takes in a value (clause 7.23).

    Attributes:
        high: of the state.
        low: of the state.
        entry: what it takes in; every element has its own scale.
        name: of the constants in their layer.
        constants: the constant of the loss, and the scales.
        rectified: a sum below 0 becomes 0.
        result_low: the new low part.
    """

    kind: ClassVar[str] = "leaky_sum"

    high: Value
    low: Value
    entry: Value
    name: str
    constants: LeakConstants
    rectified: bool
    result_low: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """Both parts, and what is taken in."""
        return self.high, self.low, self.entry

    @property
    def beside(self) -> tuple[Value, ...]:
        """The new low part."""
        return (self.result_low,)

    def defect(self) -> str | None:
        """Constants for every element."""
        return equal_widths(self.result, self.constants.width) or _wide_defect(
            self, self.high, self.low, self.result_low
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WideRescaling(Op):
    """A wide value as an int16 one with fewer fraction bits: sat16(R(S, k)) (clause 7.22).

    Attributes:
        high: of the value.
        low: of the value.
    """

    kind: ClassVar[str] = "wide_rescaling"

    high: Value
    low: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        """Both parts."""
        return self.high, self.low

    @property
    def shift(self) -> int:
        """The k of clause 1.3."""
        return _bits(self.high) + LOW_BITS - _bits(self.result)

    def defect(self) -> str | None:
        """A shift that clause 1.3 has."""
        form: QFormat | None = self.high.format
        if no_operands(self) or form is None or self.low.format != low_format(form):
            return f"expected a value and its low part, got {said(self.reads)}"
        if self.result.format is None or self.shift not in _RESCALINGS:
            return f"expected a shift from 0 to {_RESCALINGS[-1]}, got {said((self.result,))}"
        return equal_widths(self.result, self.high.width, self.low.width)


def _bits(value: Value) -> int:
    assert value.format is not None  # `defect` refuses it
    return value.format.frac_bits
