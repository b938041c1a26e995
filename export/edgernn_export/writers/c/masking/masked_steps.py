"""The C of a model with a mask around its step (NUMERICS.md 6.13 and 9.4)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.border import input_channels
from edgernn_export.writers.c.constants import Check, array, check_array

_INT32: Final = (-(2**31), 2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CMask:
    """What a mask adds to a model in C; a model without one has a record of empty texts.

    Attributes:
        declarations: for the header, behind those of the step.
        definitions: constants and functions, before the step.
        checks: of the constants.
        guard: statements at the beginning of the step of an endless model.
        skip: a statement at the beginning of a step inside a window.
        whole: statements of the answer to a window without a step.
        quantized: statements behind those that quantize a reading.
        counted: statements before those that count clipped readings.
    """

    declarations: str = ""
    definitions: str = ""
    checks: tuple[Check, ...] = ()
    guard: str = ""
    skip: str = ""
    whole: str = ""
    quantized: str = ""
    counted: str = ""


def c_mask(model: IntegerModel, prefix: str) -> CMask:
    """What the mask of a model is in C.

    Args:
        model: the integer model.
        prefix: of symbols.
    """
    row = model.interface().mask_row
    if row is None:
        return CMask()
    upper = prefix.upper()
    first = np.array(model.output.masked, np.int16)
    constants, checks = _array("int16_t", "masked_y", first)
    quantized = counted = ""
    if not model.input.vocabulary:  # of tokens, the code says it all
        readings = np.array(masked_fixed_point(model), np.int32)
        more, others = _array("int32_t", "masked_x", readings)
        constants, checks = constants + more, checks + others
        constants += f"""
static int32_t reads_masked(const int32_t *x)
{{
    int32_t i;
    for (i = 0; i < {upper}_INPUTS; ++i) {{
        if (x[i] != masked_x[i]) {{
            return 0;
        }}
    }}
    return 1;
}}
"""
        quantized = _quantized(model, prefix, int(row[0]))
        counted = "    if (reads_masked(x) != 0) {\n        return;\n    }\n"
    of_window = model.window is not None
    return CMask(
        declarations=_declarations(model, prefix),
        definitions=constants + _functions(prefix, int(row[0]), of_window=of_window),
        checks=tuple(checks),
        guard=f"    if ({prefix}_is_masked(x) != 0) {{\n        return;\n    }}\n",
        skip=f"        if ({prefix}_is_masked(x) != 0) {{\n            continue;\n        }}\n",
        whole=f"    if (window_is_masked(state) != 0) {{\n        {prefix}_masked_output(y);\n"
        "        return 1;\n    }\n",
        quantized=quantized,
        counted=counted,
    )


def masked_fixed_point(model: IntegerModel) -> list[int]:
    """How a masked reading is passed to C, one int32 for each channel."""
    assert model.input.mask is not None
    low, high = _INT32
    mask = Fraction(model.input.mask)
    channels = input_channels(model.input, model.precision)
    return [min(max(round(mask * Fraction(2) ** c.frac_bits), low), high) for c in channels]


def _array(ctype: str, name: str, values: npt.NDArray[Any]) -> tuple[str, list[Check]]:
    """A constant array and its check, which reads it by a pointer too."""
    place = f"{name}_at"
    text = array(ctype, name, values) + f"static const {ctype} *const {place} = {name};\n\n"
    return text, [check_array(ctype, place, name, values)]


def _declarations(model: IntegerModel, prefix: str) -> str:
    upper = prefix.upper()
    how = "the token 0"
    macros = ""
    if not model.input.vocabulary:
        how = f"all channels {model.input.mask:g}, passed as {upper}_INPUT_<i>_MASKED"
        macros = "".join(
            f"#define {upper}_INPUT_{i}_MASKED {_literal(value)}\n"
            for i, value in enumerate(masked_fixed_point(model))
        )
    unchanged = (
        "A window counts it among its readings, and takes no step."
        if model.window is not None
        else f"{prefix}_step then does not change the\n * state or y, which keeps the last output."
    )
    return f"""
/* Masked readings: {how}. {unchanged} */
#define {upper}_MASKED 1
{macros}\

/* 1: the codes x[{upper}_INPUTS] are those of a masked reading. 0: they are not. */
int32_t {prefix}_is_masked(const {prefix}_input_t *x);

/* The output y[{upper}_OUTPUTS] before the first reading that is not masked. */
void {prefix}_masked_output(int16_t *y);
"""


def _literal(value: int) -> str:
    return "(-2147483647 - 1)" if value == _INT32[0] else f"({value})"


def _functions(prefix: str, code: int, *, of_window: bool) -> str:
    upper = prefix.upper()
    text = f"""\
int32_t {prefix}_is_masked(const {prefix}_input_t *x)
{{
    int32_t i;
    for (i = 0; i < {upper}_INPUTS; ++i) {{
        if (x[i] != {code}) {{
            return 0;
        }}
    }}
    return 1;
}}

void {prefix}_masked_output(int16_t *y)
{{
    int32_t i;
    for (i = 0; i < {upper}_OUTPUTS; ++i) {{
        y[i] = masked_y[i];
    }}
}}

"""
    if not of_window:
        return text
    return f"""{text}\
static int32_t window_is_masked(const {prefix}_state_t *state)
{{
    int32_t t;
    for (t = 0; t < {upper}_WINDOW_STEPS; ++t) {{
        if ({prefix}_is_masked(state->window + t * {upper}_INPUTS) == 0) {{
            return 0;
        }}
    }}
    return 1;
}}

"""


def _quantized(model: IntegerModel, prefix: str, code: int) -> str:
    """Gives masked readings their codes, and takes these from others."""
    return f"""\
    if (reads_masked(x) != 0) {{
        int32_t i;
        for (i = 0; i < {prefix.upper()}_INPUTS; ++i) {{
            q_x[i] = {code};
        }}
    }} else if ({prefix}_is_masked(q_x) != 0) {{
        q_x[0] = {code + model.precision.input_step};
    }}
"""
