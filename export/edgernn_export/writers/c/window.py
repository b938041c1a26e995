"""The C of a window model around the step of its network (NUMERICS.md 6.5)."""

from __future__ import annotations

from collections.abc import Sequence

from edgernn.model.interface import Window


def window_header(window: Window, upper: str) -> str:
    """Macros that say what the model answers."""
    return (
        f"#define {upper}_WINDOW_STEPS {window.steps} /* readings in a window */\n"
        f"#define {upper}_WINDOW_HOP {window.hop} /* readings between one answer and the next */\n"
    )


def window_state(prefix: str, upper: str) -> str:
    """Members of the state struct that are carried from reading to reading."""
    return f"""\
    int16_t due;  /* readings until the next answer */
    int16_t next; /* where in the window the next reading goes, over the oldest one */
    {prefix}_input_t window[{upper}_WINDOW_STEPS * {upper}_INPUTS];"""


def window_prototypes(prefix: str, upper: str, softmax: str, steps: str) -> str:
    """Declarations in place of those of an endless model; ``steps`` are those of an answer."""
    return f"""\
/* No readings yet: the first {upper}_WINDOW_STEPS - 1 steps have no answer. */
void {prefix}_init({prefix}_state_t *state);

/* As if the reading x[{upper}_INPUTS] had been repeated before: the next step answers. */
void {prefix}_pad({prefix}_state_t *state, const {prefix}_input_t *x);

/* One reading: x[{upper}_INPUTS] codes in. 1: y[{upper}_OUTPUTS] is the answer to the last
 * {upper}_WINDOW_STEPS readings, after {steps} of the network. 0: no answer is due, y
 * is unchanged.{softmax} */
int32_t {prefix}_step({prefix}_state_t *state, const {prefix}_input_t *x, int16_t *y);"""


def last_reading(prefix: str, upper: str) -> str:
    """A statement that finds the last reading, for a head that reads the model's input."""
    return f"""\
    const int32_t behind = state->next == 0 ? {upper}_WINDOW_STEPS : state->next;
    const {prefix}_input_t *x = state->window + (behind - 1) * {upper}_INPUTS;
"""


def network_of_a_window(prefix: str, upper: str, resets: str, step: str, head: str) -> str:
    """Definitions of what advances the network and of ``network_answer``.

    Args:
        prefix: of symbols.
        upper: of macros.
        resets: statements that set the network's state to zero.
        step: statements that advance the network by the codes at ``x``.
        head: statements that write its output to ``y``.
    """
    return f"""\
static void network_reset({prefix}_state_t *state)
{{
{resets}
}}

static void network_steps({prefix}_state_t *state, int32_t from, int32_t to)
{{
    for (; from < to; ++from) {{
        const {prefix}_input_t *x = state->window + from * {upper}_INPUTS;
{step}
    }}
}}

static void network_answer({prefix}_state_t *state, int16_t *y)
{{
{head}
}}
"""


def steps_of_a_window(upper: str) -> list[str]:
    """Statements that run the network over a window."""
    return [
        "network_reset(state);",
        f"network_steps(state, state->next, {upper}_WINDOW_STEPS);",
        "network_steps(state, 0, state->next);",
    ]


def window_functions(
    prefix: str, upper: str, network: str, steps: Sequence[str], masked: str = ""
) -> str:
    """Definitions in place of those of an endless model.

    Args:
        prefix: of symbols.
        upper: of macros.
        network: definitions of what runs the network, and of ``network_answer``.
        steps: statements that run it over the window.
        masked: statements behind them, for windows without a step.
    """
    run = "\n".join(f"    {statement}" for statement in steps)
    return f"""\
void {prefix}_init({prefix}_state_t *state)
{{
    int32_t i;
    state->due = {upper}_WINDOW_STEPS;
    state->next = 0;
    for (i = 0; i < {upper}_WINDOW_STEPS * {upper}_INPUTS; ++i) {{
        state->window[i] = 0;
    }}
}}

void {prefix}_pad({prefix}_state_t *state, const {prefix}_input_t *x)
{{
    int32_t i;
    int32_t t;
    state->due = 1;
    state->next = 0;
    for (t = 0; t < {upper}_WINDOW_STEPS; ++t) {{
        for (i = 0; i < {upper}_INPUTS; ++i) {{
            state->window[t * {upper}_INPUTS + i] = x[i];
        }}
    }}
}}

{network}
int32_t {prefix}_step({prefix}_state_t *state, const {prefix}_input_t *x, int16_t *y)
{{
    int32_t i;
    for (i = 0; i < {upper}_INPUTS; ++i) {{
        state->window[(int32_t)state->next * {upper}_INPUTS + i] = x[i];
    }}
    state->next = (int16_t)(state->next + 1);
    if (state->next == {upper}_WINDOW_STEPS) {{
        state->next = 0;
    }}
    state->due = (int16_t)(state->due - 1);
    if (state->due > 0) {{
        return 0;
    }}
    state->due = {upper}_WINDOW_HOP;
{run}
{masked}    network_answer(state, y);
    return 1;
}}"""
