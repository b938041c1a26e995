"""The self-test of a generated model: the golden stream, and two programs that run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from edgernn.backends.base import State
from edgernn.backends.streams.value_stream import new_stream
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn_export.writers.c.constants import array
from edgernn_export.writers.c.layers import CLayer
from edgernn_export.writers.c.preparation.front import CFront
from edgernn_firmware_sim.reference.backend import ReferenceBackend

#: A function of every self-test.
DIFFERENCES: Final = """\
static int32_t differences(const int16_t *got, const int16_t *wanted, int32_t count)
{
    int32_t differing = 0;
    int32_t j;
    for (j = 0; j < count; ++j) {
        differing += got[j] != wanted[j] ? 1 : 0;
    }
    return differing;
}
"""
#: A model without layers around it.
_NETWORK: Final = CFront()
#: Answers behind the first that a self-test has at least.
_MORE_ANSWERS: Final = 2


def self_test_files(
    model: IntegerModel,
    golden: Golden,
    layers: Sequence[CLayer],
    prefix: str,
    front: CFront,
) -> dict[str, str]:
    """Contents by file name.

    Args:
        model: the integer model.
        golden: stream from the zero state.
        layers: of the model.
        prefix: of symbols and files.
        front: layers around the model, which are tested too.
    """
    return {
        f"{prefix}_test_vectors.h": _vectors(model, golden, layers, prefix),
        f"{prefix}_self_test.c": _self_test(model, layers, prefix),
        **front.test_files(prefix),
        **programs_of_a_self_test(prefix, front),
    }


def programs_of_a_self_test(prefix: str, front: CFront = _NETWORK) -> dict[str, str]:
    """What calls a self-test on a board and on a computer, by file name."""
    return {"main.c": _main(prefix, front), "selftest_host.c": _host(prefix, front)}


def _vectors(model: IntegerModel, golden: Golden, layers: Sequence[CLayer], prefix: str) -> str:
    readings = golden.q_x.reshape(-1, model.input.width)
    q_y, state, steps = _wanted(model, readings)
    names = [vector for cl in layers for vector in cl.vectors]
    blocks = [
        array(f"{prefix}_input_t", "golden_x", readings),
        array("int16_t", "golden_y", q_y),
        *(array("int16_t", f"golden_{n}", s) for n, s in zip(names, state, strict=True)),
    ]
    upper = prefix.upper()
    begin = "A stream from the zero state"
    if model.window is not None:
        begin = "A stream that begins as if its first reading had come all the time before"
    shorter = ""
    if _counts_answers(model):
        begin += f", its first {len(readings)} readings repeated"
        shorter = (
            f"#define {upper}_GOLDEN_READINGS {len(readings)}\n"
            f"#define {upper}_GOLDEN_ANSWERS {len(q_y)}\n"
        )
    return f"""#ifndef {upper}_TEST_VECTORS_H
#define {upper}_TEST_VECTORS_H

#include "{prefix}.h"

/* {begin}: inputs, outputs, and the network's state after the last step. */
#define {upper}_GOLDEN_STEPS {steps}
{shorter}
{chr(10).join(blocks)}
#endif
"""


def _counts_answers(model: IntegerModel) -> bool:
    """Whether the self-test is of answers alone, in an endless stream that has others too."""
    return model.window is None and model.rate is not None


def _wanted(model: IntegerModel, readings: OperandArray) -> tuple[Int16Array, State, int]:
    """Outputs of the golden stream, the network's state after it, and how many readings it has.

    Of windows, padded: all outputs, and the state after the last one that is answered.
    """
    states = len(model.states)
    endless = new_stream(ReferenceBackend(replace(model, window=None)))
    if model.window is not None:
        stream = new_stream(ReferenceBackend(model), padded=True)
        q_ys = stream.advance(readings)
        last = (len(readings) - 1) // model.window.hop * model.window.hop
        padding = np.repeat(readings[:1], model.window.steps - 1, axis=0)
        endless.advance(np.concatenate([padding, readings])[last : last + model.window.steps])
        return q_ys, endless.state[-states:], len(readings)
    if model.rate is None:
        return endless.advance(readings), endless.state, len(readings)
    count = max(len(readings), model.rate.first + _MORE_ANSWERS * model.rate.readings)
    q_ys = endless.advance(np.resize(readings, (count, model.input.width)))
    return q_ys[model.rate.answered(count)], endless.state[-states:], count


def _self_test(model: IntegerModel, layers: Sequence[CLayer], prefix: str) -> str:
    begin = "" if model.window is None else f"    {prefix}_pad(state, golden_x);\n"
    first = f"    {prefix}_masked_output(y);\n" if model.output.masked else ""
    upper = prefix.upper()
    counters, at_end = "", ""
    step = f"""\
        {prefix}_step(state, golden_x + t * {upper}_INPUTS, y);
        differing += differences(y, golden_y + t * {upper}_OUTPUTS, {upper}_OUTPUTS);
"""
    if _counts_answers(model):
        counters = "    int32_t answers = 0;\n    int32_t reading = 0;\n"
        at_end = f"    differing += answers == {upper}_GOLDEN_ANSWERS ? 0 : 1;\n"
        step = f"""\
        if ({prefix}_step(state, golden_x + reading * {upper}_INPUTS, y) != 0 &&
            answers < {upper}_GOLDEN_ANSWERS) {{
            differing += differences(y, golden_y + answers * {upper}_OUTPUTS, {upper}_OUTPUTS);
            ++answers;
        }}
        reading = reading + 1 == {upper}_GOLDEN_READINGS ? 0 : reading + 1;
"""
    checks = "\n".join(
        f"    differing += differences(state->{v}, golden_{v}, {n});"
        for cl in layers
        for v, n in cl.vector_widths.items()
    )
    return f"""#include "{prefix}_test_vectors.h"

{DIFFERENCES}
int32_t {prefix}_self_test({prefix}_state_t *state)
{{
    int16_t y[{upper}_OUTPUTS];
    int32_t differing = 0;
{counters}    int32_t t;
    {prefix}_init(state);
{first}{begin}    for (t = 0; t < {upper}_GOLDEN_STEPS; ++t) {{
{step}    }}
{at_end}{checks}
    {prefix}_init(state);
    return differing;
}}
"""


def _main(prefix: str, front: CFront) -> str:
    return f"""\
/* For a board: returns 0 where the constants are those that were exported and this build
 * reproduces the golden stream, else 1. */
#include "{prefix}.h"

static {prefix}_state_t state;
{front.test_states(prefix)}
int main(void)
{{
    if ({prefix}_check() != 0) {{
        return 1;
    }}
    return {prefix}_self_test(&state){front.test_calls(prefix)} == 0 ? 0 : 1;
}}
"""


def _host(prefix: str, front: CFront) -> str:
    return f"""/* For a computer: main.c with words. */
#include <stdio.h>

#include "{prefix}.h"

static {prefix}_state_t state;
{front.test_states(prefix)}
int main(void)
{{
    const int32_t differing = {prefix}_self_test(&state){front.test_calls(prefix)};
    if ({prefix}_check() != 0) {{
        printf("FAIL: the constants are not those that were exported\\n");
        return 1;
    }}
    printf("%s: %ld differing values\\n", differing == 0 ? "PASS" : "FAIL", (long)differing);
    return differing == 0 ? 0 : 1;
}}
"""
