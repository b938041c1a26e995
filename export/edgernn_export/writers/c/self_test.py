"""The self-test beside a generated model: the golden stream, and two programs that run it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgernn.backends.base import State
from edgernn.backends.value_stream import new_stream
from edgernn.model.formats import Int16Array
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn_export.writers.c.constants import array
from edgernn_export.writers.c.layers import CLayer
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from edgernn_firmware_sim.reference.reference import Reference


def self_test_files(
    model: IntegerModel, golden: Golden, layers: Sequence[CLayer], prefix: str
) -> dict[str, str]:
    """Contents by file name.

    Args:
        model: the integer model.
        golden: stream from the zero state.
        layers: of the model.
        prefix: of symbols and files.
    """
    return {
        f"{prefix}_test_vectors.h": _vectors(model, golden, layers, prefix),
        f"{prefix}_self_test.c": _self_test(model, layers, prefix),
        "main.c": _main(prefix),
        "selftest_host.c": _host(prefix),
    }


def _vectors(model: IntegerModel, golden: Golden, layers: Sequence[CLayer], prefix: str) -> str:
    q_y, state = _wanted(model, golden)
    names = [vector for cl in layers for vector in cl.vectors]
    blocks = [
        array(f"{prefix}_input_t", "golden_x", golden.q_x),
        array("int16_t", "golden_y", q_y),
        *(array("int16_t", f"golden_{n}", s) for n, s in zip(names, state, strict=True)),
    ]
    upper = prefix.upper()
    begin = "A stream from the zero state"
    if model.window is not None:
        begin = "A stream that begins as if its first reading had come all the time before"
    return f"""#ifndef {upper}_TEST_VECTORS_H
#define {upper}_TEST_VECTORS_H

#include "{prefix}.h"

/* {begin}: inputs, outputs, and the network's state after the last step. */
#define {upper}_GOLDEN_STEPS {len(golden.q_x)}

{chr(10).join(blocks)}
#endif
"""


def _wanted(model: IntegerModel, golden: Golden) -> tuple[Int16Array, State]:
    """Outputs of the golden stream, and the network's state after it; of windows, padded."""
    if model.window is None:
        return Reference(model).run(golden.q_x)
    stream = new_stream(ReferenceBackend(model), padded=True)
    q_ys = stream.advance(golden.q_x)
    last = (len(golden.q_x) - 1) // model.window.hop * model.window.hop
    padding = np.repeat(golden.q_x[:1], model.window.steps - 1, axis=0)
    readings = np.concatenate([padding, golden.q_x])[last : last + model.window.steps]
    return q_ys, Reference(model).run(readings)[1]


def _self_test(model: IntegerModel, layers: Sequence[CLayer], prefix: str) -> str:
    begin = "" if model.window is None else f"    {prefix}_pad(state, golden_x);\n"
    upper = prefix.upper()
    checks = "\n".join(
        f"    differing += differences(state->{v}, golden_{v}, {n});"
        for cl in layers
        for v, n in cl.vector_widths.items()
    )
    return f"""#include "{prefix}_test_vectors.h"

static int32_t differences(const int16_t *got, const int16_t *wanted, int32_t count)
{{
    int32_t differing = 0;
    int32_t j;
    for (j = 0; j < count; ++j) {{
        differing += got[j] != wanted[j] ? 1 : 0;
    }}
    return differing;
}}

int32_t {prefix}_self_test({prefix}_state_t *state)
{{
    int16_t y[{upper}_OUTPUTS];
    int32_t differing = 0;
    int32_t t;
    {prefix}_init(state);
{begin}    for (t = 0; t < {upper}_GOLDEN_STEPS; ++t) {{
        {prefix}_step(state, golden_x + t * {upper}_INPUTS, y);
        differing += differences(y, golden_y + t * {upper}_OUTPUTS, {upper}_OUTPUTS);
    }}
{checks}
    {prefix}_init(state);
    return differing;
}}
"""


def _main(prefix: str) -> str:
    return f"""\
/* For a board: returns 0 where the constants are those that were exported and this build
 * reproduces the golden stream, else 1. */
#include "{prefix}.h"

static {prefix}_state_t state;

int main(void)
{{
    if ({prefix}_check() != 0) {{
        return 1;
    }}
    return {prefix}_self_test(&state) == 0 ? 0 : 1;
}}
"""


def _host(prefix: str) -> str:
    return f"""/* For a computer: main.c with words. */
#include <stdio.h>

#include "{prefix}.h"

static {prefix}_state_t state;

int main(void)
{{
    const int32_t differing = {prefix}_self_test(&state);
    if ({prefix}_check() != 0) {{
        printf("FAIL: the constants are not those that were exported\\n");
        return 1;
    }}
    printf("%s: %ld differing values\\n", differing == 0 ? "PASS" : "FAIL", (long)differing);
    return differing == 0 ? 0 : 1;
}}
"""
