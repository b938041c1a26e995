"""The C of a model whose network takes several readings in a step (NUMERICS.md 6.9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Rate
from edgernn.model.layers import Delay
from edgernn_export.writers.c.constants import Check
from edgernn_export.writers.c.operations import HEADER, SOURCE, start_record
from edgernn_export.writers.c.step import CStep

#: C identifier of the row that stands for the readings before the stream.
_BEFORE: Final = "before"


def rate_header(rate: Rate, upper: str) -> str:
    """Macros that say when the network answers."""
    late = (
        f"#define {upper}_RATE_LATENCY {rate.latency} /* readings by which answers come later than "
        "the float network's */\n"
    )
    return (
        f"#define {upper}_RATE_READINGS {rate.readings} /* readings of a step of the network */\n"
        f"#define {upper}_RATE_FIRST {rate.first} /* readings until its first answer */\n"
        f"{late if rate.latency else ''}"
    )


def rate_state(prefix: str, upper: str, vectors: Sequence[str]) -> str:
    """Members of an endless model's state struct that are carried from reading to reading."""
    lines = [
        "    int16_t due; /* readings until the next answer */",
        "    int16_t row; /* of the step to come, which the next reading takes */",
        *vectors,
        rows_member(prefix, upper),
    ]
    return "\n".join(lines)


def window_scratch(prefix: str, upper: str) -> str:
    """Members of a window model's state struct, worth nothing between answers."""
    return f"    int16_t row;\n{rows_member(prefix, upper)}"


def rows_member(prefix: str, upper: str) -> str:
    """The member that holds the readings of a step."""
    return f"    {prefix}_input_t rows[{upper}_RATE_READINGS * {upper}_INPUTS];"


def rate_prototypes(rate: Rate, prefix: str, upper: str, softmax: str) -> str:
    """Declarations in place of those of a model that answers every reading."""
    first = f"The first {rate.first - 1} have" if rate.first > 2 else "The first has"
    none = f" {first} none." if rate.first > 1 else ""
    return f"""\
/* The state with which every stream begins. */
void {prefix}_init({prefix}_state_t *state);

/* One reading: x[{upper}_INPUTS] codes in. 1: y[{upper}_OUTPUTS] is the answer; the network took a
 * step of {upper}_RATE_READINGS readings. 0: no answer is due, y is
 * unchanged.{none}{softmax} */
int32_t {prefix}_step({prefix}_state_t *state, const {prefix}_input_t *x, int16_t *y);"""


def steps_of_an_answer(model: IntegerModel) -> str:
    """How many steps of the network answer a window, compared with the number of its readings."""
    count = model.answer_steps
    return "as many steps" if model.rate is None else f"{count} step{'s' * (count > 1)}"


def start_constants(model: IntegerModel) -> tuple[str, list[Check]]:
    """The row that stands for the readings before the stream, if any."""
    if model.rate is None:
        return "", []
    text, checks = start_record(_BEFORE, model.rate.start or (0,) * model.input.width)
    return f"/* the values used for the readings before the stream */\n{text}\n", checks


def start_files(model: IntegerModel) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sources and headers of what handles that row."""
    return ((), ()) if model.rate is None else ((SOURCE,), (HEADER,))


def network_functions(model: IntegerModel, step: CStep, prefix: str) -> str:
    """Definitions of what a stream of steps is made of.

    ``network_begin``: at the beginning of a stream. ``network_read``: takes a reading and, where
    that ends a step, takes the step. ``network_warmed_up``: what a step before the first answer
    leaves. ``network_answer``: writes the last step's answer.
    """
    assert model.rate is not None
    upper, rate = prefix.upper(), model.rate
    resets = [line for cl in step.layers for line in cl.resets]
    # Functions of the kernels: a compiler that knew the row's place could write it in words,
    # which a core may be set to refuse where the row is not aligned.
    repeat, copy = ("repeat8", "copy8") if model.code_dtype.itemsize == 1 else ("repeat", "copy16")
    rows = f"const {prefix}_input_t *x = state->rows;"
    warmed_up = ""
    if rate.unanswered:
        anew = [
            line for cl in step.layers if not isinstance(cl.layer, Delay) for line in cl.resets
        ] or ["(void)state;"]
        warmed_up = f"""
static void network_warmed_up({prefix}_state_t *state)
{{
{_lines(anew)}
}}
"""
    return f"""\
static void network_begin({prefix}_state_t *state)
{{
    state->row = {rate.rows_before};
    edgernn_{repeat}(&{_BEFORE}_rows, {upper}_RATE_READINGS * {upper}_INPUTS, state->rows);
{_lines(resets)}
}}

static void network_step({prefix}_state_t *state)
{{
    {rows}
{_lines(step.before_head)}
}}
{warmed_up}
static void network_answer({prefix}_state_t *state, int16_t *y)
{{
{_lines([*[rows] * step.head_reads_input, *step.behind_head])}
}}

static int32_t network_read({prefix}_state_t *state, const {prefix}_input_t *x)
{{
    edgernn_{copy}(x, {upper}_INPUTS, state->rows + (int32_t)state->row * {upper}_INPUTS);
    state->row = (int16_t)(state->row + 1);
    if (state->row < {upper}_RATE_READINGS) {{
        return 0;
    }}
    state->row = 0;
    network_step(state);
    return 1;
}}
"""


def rate_functions(model: IntegerModel, step: CStep, prefix: str) -> str:
    """Definitions in place of those of a model that answers every reading."""
    assert model.rate is not None
    upper = prefix.upper()
    silent = ""
    if model.rate.unanswered:
        silent = """\
    if (state->due > 0) {
        network_warmed_up(state);
        return 0;
    }
"""
    return f"""\
{network_functions(model, step, prefix)}
void {prefix}_init({prefix}_state_t *state)
{{
    state->due = {upper}_RATE_FIRST;
    network_begin(state);
}}

int32_t {prefix}_step({prefix}_state_t *state, const {prefix}_input_t *x, int16_t *y)
{{
    state->due = (int16_t)(state->due - 1);
    if (network_read(state, x) == 0) {{
        return 0;
    }}
{silent}\
    state->due = {upper}_RATE_READINGS;
    network_answer(state, y);
    return 1;
}}"""


def network_of_a_window(model: IntegerModel, step: CStep, prefix: str) -> str:
    """Definitions of ``network_answer``, and of ``network_run``, which reads a window.

    Readings behind the last step's are left out.
    """
    assert model.rate is not None
    assert model.window is not None
    upper, rate = prefix.upper(), model.rate
    read = model.answer_steps * rate.readings - rate.rows_before
    call = f"network_read(state, state->window + place * {upper}_INPUTS)"
    step_once = f"        (void){call};"
    if rate.unanswered:
        step_once = f"""\
        if ({call} != 0 &&
            n < {upper}_RATE_FIRST) {{
            network_warmed_up(state);
        }}"""
    return f"""\
{network_functions(model, step, prefix)}
static void network_run({prefix}_state_t *state)
{{
    int32_t place = state->next;
    int32_t n;
    network_begin(state);
    for (n = 1; n <= {read}; ++n) {{
{step_once}
        place = place + 1 == {upper}_WINDOW_STEPS ? 0 : place + 1;
    }}
}}
"""


def _lines(statements: Sequence[str]) -> str:
    return "\n".join(f"    {statement}" for statement in statements)
