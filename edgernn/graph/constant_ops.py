"""The operations with constants, which their layer stores by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgernn.graph.op import Op, Value, equal_widths, no_operands, said
from edgernn.model.formats import NORMALIZED, Int8Array
from edgernn.model.functions.curves import CurveTable
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn.model.scales import NormalizationConstants, ScaleVector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling(Op):
    """sat16(sat16(R(v·m, k)) + b) with constants m and b for every element (clause 7.9).

    Attributes:
        value: what is scaled.
        name: of the constants in their layer.
        scale: the constants.
    """

    kind: ClassVar[str] = "scaling"

    value: Value
    name: str
    scale: ScaleVector

    @property
    def reads(self) -> tuple[Value, ...]:
        """What is scaled."""
        return (self.value,)

    def defect(self) -> str | None:
        """A value, as wide as the constants."""
        return no_operands(self) or equal_widths(self.result, self.value.width, self.scale.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Normalization(Op):
    """Mean 0 and variance 1, as Q4.11 (clause 7.11).

    Attributes:
        value: what is normalized.
        name: of the constants in their layer.
        constants: made for the width and the scale of the value.
    """

    kind: ClassVar[str] = "normalization"

    value: Value
    name: str
    constants: NormalizationConstants

    @property
    def reads(self) -> tuple[Value, ...]:
        """What is normalized."""
        return (self.value,)

    def defect(self) -> str | None:
        """A value, as wide as the constants say, to Q4.11."""
        if self.result.format != NORMALIZED:
            return f"expected Q4.11, got {said((self.result,))}"
        return no_operands(self) or equal_widths(
            self.result, self.value.width, self.constants.width
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gather(Op):
    """256 times the rows of a table that tokens number, one behind another (clause 8.3).

    Attributes:
        tokens: numbers of rows.
        name: of the table in its layer.
        table: int8 [V, D].
    """

    kind: ClassVar[str] = "gather"

    tokens: Value
    name: str
    table: Int8Array

    @property
    def reads(self) -> tuple[Value, ...]:
        """The tokens."""
        return (self.tokens,)

    def defect(self) -> str | None:
        """Values of no format, a row for each token."""
        if self.tokens.format is not None or self.result.format is not None:
            return f"expected values without a format, got {said((self.tokens, self.result))}"
        width = self.tokens.width * self.table.shape[1]
        return no_operands(self) or equal_widths(self.result, width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve(Op):
    """A function of every code, as a table that is interpolated (clause 3.6).

    Attributes:
        value: its argument.
        name: of the table in its layer.
        function: the function of the table; no integer depends on it.
        table: made for the formats, or the real scales, of argument and result; None where only
            real numbers are computed.
    """

    kind: ClassVar[str] = "curve"

    value: Value
    name: str
    function: PointwiseFunction
    table: CurveTable | None

    @property
    def reads(self) -> tuple[Value, ...]:
        """Its argument."""
        return (self.value,)

    def defect(self) -> str | None:
        """Values of one width."""
        return no_operands(self) or equal_widths(self.result, self.value.width)
