"""One layer in C as calls of operations, where it has no kernel of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgernn.graph.ops import Function
from edgernn.graph.schedule import SCRATCH, Place, StepSchedule, VectorCall, VectorInstruction
from edgernn.model.storage import padded

#: Source file of the operations, in ``edgernn/native``, and the header that declares them.
SOURCE: Final = "edgernn_ops.c"
HEADER: Final = "edgernn_ops.h"
#: Operations element by element, all declared alike: vectors read, shift, count, result.
_FUNCTIONS: Final = {
    VectorCall.PRODUCT: "edgernn_product",
    VectorCall.SUM: "edgernn_sum",
    VectorCall.RESCALE: "edgernn_rescale",
    VectorCall.COMPLEMENT: "edgernn_complement",
}


def address(place: Place, vectors: Sequence[str]) -> str:
    """C expression of where a place begins.

    Args:
        place: the place.
        vectors: members of the state, in the order of the layer's states.
    """
    vector = "z" if place.vector == SCRATCH else vectors[place.vector]
    return f"state->{vector}" + (f" + {place.start}" if place.start else "")


def statements(
    step: StepSchedule, record: str, inputs: int, width: str, vectors: Sequence[str]
) -> list[str]:
    """The statements of a step.

    Args:
        step: the layer's schedule.
        record: C identifier of the struct with the layer's affine maps.
        inputs: of the layer, whose operands stand first.
        width: of operands in bits, as it ends names of functions.
        vectors: members of the state, in the order of the layer's states.
    """

    def arguments(one: VectorInstruction) -> tuple[str, list[object]]:
        reads = [address(place, vectors) for place in one.reads]
        if one.result is None:
            behind = f"state->operands + {padded(inputs)}"
            return f"edgernn_operands{width}", [*reads, one.reads[0].width, behind]
        result, count = address(one.result, vectors), one.result.width
        if one.call is VectorCall.AFFINE:
            return f"edgernn_affine{width}", [f"&{record}.{one.option}", "state->operands", result]
        if one.call is VectorCall.COPY:
            return "edgernn_copy16", [*reads, count, result]
        if isinstance(one.option, Function):
            return "edgernn_activate", [f"EDGERNN_{one.option.name}", result, count]
        shift = [] if one.option is None else [one.option]
        return _FUNCTIONS[one.call], [*reads, *shift, count, result]

    calls = map(arguments, step.instructions)
    return [f"{function}({', '.join(map(str, given))});" for function, given in calls]
