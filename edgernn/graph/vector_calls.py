"""The instructions of a step over memory: places of values, and calls that read and write them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from edgernn.graph.op import Function

#: Vectors of places that are scratch, and the values that the layer reads; others are states, in
#: the order of the graph's.
SCRATCH: Final = -1
INPUT: Final = -2

#: What the share of a gate is (clause 7.20), as a number of an instruction: the sum of those that
#: are true of it.
FINE: Final = 1
COMPLEMENT: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value.

    Attributes:
        vector: `SCRATCH`, `INPUT`, or which state.
        start: first element.
        width: elements.
    """

    vector: int
    start: int
    width: int

    @property
    def end(self) -> int:
        """Behind its last element."""
        return self.start + self.width

    def meets(self, other: Place) -> bool:
        """Whether the two share an element."""
        return self.vector == other.vector and self.start < other.end and other.start < self.end


class VectorCall(enum.Enum):
    """What an instruction does to vectors of int16."""

    OPERANDS = "operands"  # behind the layer's input, from one vector
    AFFINE = "affine"  # from the operands
    COPY = "copy"
    ACTIVATE = "activate"  # in place
    PRODUCT = "product"
    SUM = "sum"
    RESCALE = "rescale"
    COMPLEMENT = "complement"
    SCALE = "scale"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    HYPOTENUSE = "hypotenuse"
    NORMALIZE = "normalize"
    PUSH = "push"  # in front of a vector, whose last elements go
    EMBED = "embed"  # the rows that tokens number
    ROW = "row"  # operands behind the layer's input, which are some of those of the input
    CURVE = "curve"
    BLEND = "blend"  # high, low, target, gate; the low part is updated in place
    GATED_SUM = "gated_sum"  # high, low, loss, candidate, gain; likewise
    LEAKY_SUM = "leaky_sum"  # high, low, entry; likewise
    WIDE_RESCALE = "wide_rescale"  # high, low
    DOT_SCORES = "dot_scores"  # query, rows
    ADDITIVE_SCORES = "additive_scores"  # query, rows
    SOFTMAX = "softmax"  # scores, which slots are filled
    CONTEXT = "context"  # shares, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorInstruction:
    """One call.

    Attributes:
        call: what it does.
        reads: the vectors it reads; of a row, where in the input its operands are.
        result: the vector it writes; None: the operands.
        option: shift of a product, a rescaling, a gated sum or scores, function of an activation,
            the code of 1 of a complement where that is not 32768, name of an affine map, of a
            table, of a curve or of the constants that scale, normalize, leak or weigh; None for the
            others.
        numbers: what the share is of a blend, and those of the loss and of the gain of a gated sum;
            of a leaky sum, whether it is rectified; of scores, the elements of a row; of a context,
            the rows; empty for the others.
    """

    call: VectorCall
    reads: tuple[Place, ...]
    result: Place | None
    option: int | Function | str | None = None
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSchedule:
    """The step of a layer.

    Attributes:
        instructions: in their order.
        scratch: int16 values of scratch they need.
        operands: largest number of operand codes after the layer's input.
        outputs: where the graph's outputs are afterwards.
    """

    instructions: tuple[VectorInstruction, ...]
    scratch: int
    operands: int
    outputs: tuple[Place, ...]
