"""One layer in C as calls of operations, if it has no separate kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.graph.ops import Function
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
from edgernn.model.functions.curves import CurveTable
from edgernn.model.layers import Embedding
from edgernn.model.scales import LeakConstants, NormalizationConstants, ScaleVector
from edgernn.model.storage import padded
from edgernn_export.writers.c.constants import (
    Check,
    array,
    check_array,
    check_member,
    check_no_array,
    check_weights,
    record,
)

#: Source file of the operations, in ``edgernn/native``, and the header that declares them.
SOURCE: Final = "edgernn_ops.c"
HEADER: Final = "edgernn_ops.h"
#: Those of normalizations.
NORM_SOURCE: Final = "edgernn_norm.c"
NORM_HEADER: Final = "edgernn_norm.h"
#: Those of functions as tables and values of any range, and of wide states.
CURVE_SOURCE: Final = "edgernn_curve.c"
CURVE_HEADER: Final = "edgernn_curve.h"
WIDE_SOURCE: Final = "edgernn_wide.c"
WIDE_HEADER: Final = "edgernn_wide.h"
#: Those of attention.
ATTENTION_SOURCE: Final = "edgernn_attention.c"
ATTENTION_HEADER: Final = "edgernn_attention.h"
#: The same of embeddings.
TOKENS_SOURCE: Final = "edgernn_tokens.c"
TOKENS_HEADER: Final = "edgernn_tokens.h"
#: Operations without constants, all declared alike: vectors read, numbers, count, result.
_FUNCTIONS: Final = {
    VectorCall.PRODUCT: "edgernn_product",
    VectorCall.SUM: "edgernn_sum",
    VectorCall.RESCALE: "edgernn_rescale",
    VectorCall.COMPLEMENT: "edgernn_complement",
    VectorCall.MAXIMUM: "edgernn_maximum",
    VectorCall.MINIMUM: "edgernn_minimum",
    VectorCall.HYPOTENUSE: "edgernn_hypotenuse",
    VectorCall.WIDE_RESCALE: "edgernn_wide_rescale",
    VectorCall.DOT_SCORES: "edgernn_dot_scores",
    VectorCall.SOFTMAX: "edgernn_softmax",
    VectorCall.CONTEXT: "edgernn_context",
}
#: Calls with constants of the layer's: the function, and what is behind the layer's name in that of
#: the array of these constants.
_OF_CONSTANTS: Final = {
    VectorCall.SCALE: ("edgernn_scale", "scales"),
    VectorCall.NORMALIZE: ("edgernn_normalize", "norms"),
    VectorCall.CURVE: ("edgernn_interpolate", "curves"),
    VectorCall.LEAKY_SUM: ("edgernn_leaky_sum", "leaks"),
    VectorCall.ADDITIVE_SCORES: ("edgernn_additive_scores", "scales"),
}
#: Whether the loss, and the gain, of a gated sum is fine -> the function.
_GATED_SUMS: Final = {
    (0, 0): "edgernn_gated_sum",
    (FINE, FINE): "edgernn_gated_sum_fine",
    (FINE, 0): "edgernn_gated_sum_fine_loss",
    (0, FINE): "edgernn_gated_sum_fine_gain",
}
_WIDE: Final = frozenset(
    {VectorCall.BLEND, VectorCall.GATED_SUM, VectorCall.LEAKY_SUM, VectorCall.WIDE_RESCALE}
)
_ATTENTION: Final = frozenset(
    {VectorCall.DOT_SCORES, VectorCall.ADDITIVE_SCORES, VectorCall.SOFTMAX, VectorCall.CONTEXT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where some of the values lie that a layer reads.

    Attributes:
        start: the first of them in the layer's input.
        width: their number.
        base: C expression of a vector.
        first: its element that is the first of them.
    """

    start: int
    width: int
    base: str
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Where a layer's values lie.

    Attributes:
        states: members of the state struct, in the order of the layer's states.
        inputs: the values that it reads; none where it reads operands.
    """

    states: Sequence[str]
    inputs: Sequence[Span]

    def address(self, place: Place) -> str:
        """C expression of where a place begins."""
        if place.vector != INPUT:
            vector = "z" if place.vector == SCRATCH else self.states[place.vector]
            return plus(f"state->{vector}", place.start)
        span = next(s for s in self.inputs if s.start <= place.start < s.start + s.width)
        return plus(span.base, span.first + place.start - span.start)


def plus(vector: str, start: int) -> str:
    """C expression of an element's address."""
    return f"{vector} + {start}" if start else vector


def other_files(step: StepSchedule) -> dict[str, str]:
    """Source files of operations in addition to `SOURCE` that a step calls -> their headers."""
    files = {}
    for one in step.instructions:
        if one.call is VectorCall.NORMALIZE:
            files[NORM_SOURCE] = NORM_HEADER
        elif one.call is VectorCall.CURVE or _any_range(one):
            files[CURVE_SOURCE] = CURVE_HEADER
        elif one.call in _WIDE:
            files[WIDE_SOURCE] = WIDE_HEADER
        elif one.call in _ATTENTION:
            files[ATTENTION_SOURCE] = ATTENTION_HEADER
    return files


def _any_range(one: VectorInstruction) -> bool:
    """Whether a call is one of those for values that are not within +-1."""
    if one.call is VectorCall.RESCALE:
        return isinstance(one.option, int) and one.option < 0
    return one.call is VectorCall.COMPLEMENT and one.option is not None


def statements(
    step: StepSchedule,
    record: str,
    inputs: int,
    width: str,
    vectors: Vectors,
    constants: Mapping[VectorCall, Sequence[str]],
) -> list[str]:
    """The statements of a step.

    Args:
        step: the layer's schedule.
        record: C identifier of the struct with the layer's affine maps; those of its other
            constants begin with it, too.
        inputs: of the layer, whose operands stand first.
        width: of operands in bits, as it ends names of functions.
        vectors: where the layer's values lie.
        constants: names of those that calls have, in their order.
    """

    def arguments(one: VectorInstruction) -> tuple[str, list[object]]:
        if one.result is None:
            (read,) = one.reads
            behind = f"state->operands + {padded(inputs)}"
            if one.call is VectorCall.ROW:
                of = plus("state->operands", read.start)
                return f"edgernn_row{width}", [of, read.width, behind]
            return f"edgernn_operands{width}", [vectors.address(read), read.width, behind]
        reads = [vectors.address(place) for place in one.reads]
        result, count = vectors.address(one.result), one.result.width
        if one.call in _OF_CONSTANTS:
            function, array_name = _OF_CONSTANTS[one.call]
            of = plus(f"{record}_{array_name}", constants[one.call].index(str(one.option)))
            return function, [of, *reads, *one.numbers, count, result]
        if one.call is VectorCall.AFFINE:
            return f"edgernn_affine{width}", [f"&{record}.{one.option}", "state->operands", result]
        if one.call is VectorCall.PUSH:
            return "edgernn_push", [*reads, one.reads[0].width, count, result]
        if one.call is VectorCall.COPY:
            return "edgernn_copy16", [*reads, count, result]
        if isinstance(one.option, Function):
            return "edgernn_activate", [f"EDGERNN_{one.option.name}", result, count]
        function, numbers = _function(one)
        return function, [*reads, *numbers, count, result]

    calls = map(arguments, step.instructions)
    return [f"{function}({', '.join(map(str, given))});" for function, given in calls]


def _function(one: VectorInstruction) -> tuple[str, list[object]]:
    """Function of an operation element by element, and its arguments behind the vectors read."""
    given: list[object] = [] if one.option is None else [one.option]
    if _any_range(one):
        assert isinstance(one.option, int)
        enlarged = one.call is VectorCall.RESCALE
        return ("edgernn_enlarge", [-one.option]) if enlarged else ("edgernn_one_less", given)
    if one.call in _ATTENTION:
        return _FUNCTIONS[one.call], [*one.numbers, *given]
    fine = [share & FINE for share in one.numbers]
    less = [int(bool(share & COMPLEMENT)) for share in one.numbers]
    if one.call is VectorCall.BLEND:
        return "edgernn_blend_fine" if fine[0] else "edgernn_blend", [*less]
    if one.call is VectorCall.GATED_SUM:
        return _GATED_SUMS[fine[0], fine[1]], [*less, *given]
    return _FUNCTIONS[one.call], given


def start_record(record_name: str, start: Sequence[int]) -> tuple[str, list[Check]]:
    """The row that a state begins with, and its checks.

    Args:
        record_name: C identifier of the layer.
        start: of the state (clause 8.4).
    """
    name, place = f"{record_name}_start", f"{record_name}_rows"
    row = np.array(start, np.int16)
    text = array("int16_t", name, row)
    text += f"\nstatic const edgernn_rows {place} = {{{len(row)}, {name}}};\n"
    checks = [check_array("int16_t", f"{place}.start", name, row)]
    return text, [*checks, check_member(f"{place}.width", len(row))]


def scale_records(record_name: str, scales: Mapping[str, ScaleVector]) -> tuple[str, list[Check]]:
    """The constants that scale, in one array, and the checks of all of them.

    Args:
        record_name: C identifier of the layer.
        scales: by their names in the layer (clause 7.9).
    """
    blocks, checks, members = [], [], []
    for index, (name, scale) in enumerate(scales.items()):
        place = f"{record_name}_scales[{index}]"
        named = {"multiplier": scale.multiplier, "bias": scale.bias}
        pointers = []
        for field, values in named.items():
            if field == "bias" and not scale.has_bias:
                pointers.append("0")
                checks.append(check_no_array("int16_t", f"{place}.{field}"))
                continue
            pointers.append(f"{record_name}_{name}_{field}")
            blocks.append(array("int16_t", pointers[-1], values))
            checks.append(check_array("int16_t", f"{place}.{field}", pointers[-1], values))
        members.append(f"{{{scale.shift}, {', '.join(pointers)}}}")
        checks.append(check_member(f"{place}.shift", scale.shift))
    blocks.append(record("edgernn_scales", f"{record_name}_scales[{len(members)}]", members))
    return "\n".join(blocks), checks


def norm_records(
    record_name: str, norms: Mapping[str, NormalizationConstants]
) -> tuple[str, list[Check]]:
    """The constants of a normalization, in one array, and the checks of all of them.

    Args:
        record_name: C identifier of the layer.
        norms: by their names in the layer (clause 7.11).
    """
    blocks, checks, members = [], [], []
    for index, (name, norm) in enumerate(norms.items()):
        place, table = f"{record_name}_norms[{index}]", f"{record_name}_{name}_epsilon"
        numbers = {
            "least_bits": norm.least_bits, "most_bits": norm.most_bits,
            "square_bits": norm.square_bits, "gain": norm.gain, "shift": norm.shift,
        }  # fmt: skip
        blocks.append(array("int32_t", table, norm.epsilon))
        members.append(f"{{{', '.join(map(str, numbers.values()))}, {table}}}")
        checks += [check_member(f"{place}.{field}", number) for field, number in numbers.items()]
        checks.append(check_array("int32_t", f"{place}.epsilon", table, norm.epsilon))
    blocks.append(record("edgernn_norm", f"{record_name}_norms[{len(members)}]", members))
    return "\n".join(blocks), checks


def curve_records(record_name: str, curves: Mapping[str, CurveTable]) -> tuple[str, list[Check]]:
    """The functions that are tables, in one array, and the checks of all of them.

    Args:
        record_name: C identifier of the layer.
        curves: by their names in the layer (clause 3.6).
    """
    blocks, checks, members = [], [], []
    for index, (name, curve) in enumerate(curves.items()):
        place, table = f"{record_name}_curves[{index}]", f"{record_name}_{name}_entries"
        numbers = {"step_bits": curve.step_bits, "low": curve.low, "high": curve.high}
        blocks.append(array("int16_t", table, curve.entries))
        members.append(f"{{{', '.join(map(str, numbers.values()))}, {table}}}")
        checks += [check_member(f"{place}.{field}", number) for field, number in numbers.items()]
        checks.append(check_array("int16_t", f"{place}.entries", table, curve.entries))
    blocks.append(record("edgernn_curve", f"{record_name}_curves[{len(members)}]", members))
    return "\n".join(blocks), checks


def leak_records(record_name: str, leaks: Mapping[str, LeakConstants]) -> tuple[str, list[Check]]:
    """The constants of leaky sums, in one array, and the checks of all of them.

    Args:
        record_name: C identifier of the layer.
        leaks: by their names in the layer (clause 7.23).
    """
    blocks, checks, members = [], [], []
    for index, (name, leak) in enumerate(leaks.items()):
        place, pointers = f"{record_name}_leaks[{index}]", []
        for field, values in {"high": leak.high, "low": leak.low, "shift": leak.shift}.items():
            pointers.append(f"{record_name}_{name}_{field}")
            blocks.append(array("int16_t", pointers[-1], values))
            checks.append(check_array("int16_t", f"{place}.{field}", pointers[-1], values))
        members.append(f"{{{', '.join(pointers)}}}")
    blocks.append(record("edgernn_leak", f"{record_name}_leaks[{len(members)}]", members))
    return "\n".join(blocks), checks


def embed(name: str, tokens: str, count: int, made: str) -> str:
    """The statement that looks rows up.

    Args:
        name: C identifier of the layer.
        tokens: C expression of where they lie.
        count: of tokens.
        made: C expression of where the rows go.
    """
    return f"edgernn_embed(&{name}, {tokens}, {count}, {made});"


def embedding_record(name: str, layer: Embedding) -> tuple[str, list[Check]]:
    """The table of an embedding, and its checks.

    Args:
        name: C identifier of the layer.
        layer: the embedding.
    """
    rows, columns = layer.table.shape
    table = f"{name}_table"
    content = layer.table.tobytes()
    blocks = [
        array("int8_t", table, layer.table),
        record("edgernn_embedding", name, [str(rows), str(columns), table]),
    ]
    checks = [
        check_member(f"{name}.rows", rows),
        check_member(f"{name}.columns", columns),
        check_weights(f"{name}.table", table, str(layer.table.size), lambda _: content),
    ]
    return "\n".join(blocks), checks
