"""Small C and assembly programs in place of a generated model, with known instruction counts."""

import pytest

from edgernn.errors import BackendUnavailable
from edgernn_firmware_sim.emulator.tools import require
from edgernn_firmware_sim.targets import cores

CORES = tuple(cores())
#: Cortex-M7 and M33 compile the code of Cortex-M4: `make test-long` has them in every combination.
EACH_CODE = tuple(
    pytest.param(core, marks=pytest.mark.long) if core in ("cortex-m7", "cortex-m33") else core
    for core in CORES
)

HEADER = b"""#include <stdint.h>
#define MODEL_INPUTS 1
#define MODEL_OUTPUTS 1
#define MODEL_STATE_BYTES 2
typedef int8_t model_input_t;
typedef struct { int16_t h[1]; int16_t scratch[3]; } model_state_t;
void model_init(model_state_t *state);
void model_step(model_state_t *state, const model_input_t *x, int16_t *y);
"""
INIT = b"""#include "model.h"
void model_init(model_state_t *state) { state->h[0] = 7; }
"""
STEP = b"void model_step(model_state_t *state, const model_input_t *x, int16_t *y)\n"


def core_named(name):
    """The core, or a skip that names the packages it needs."""
    core = cores()[name]
    try:
        require(core)
    except BackendUnavailable as error:
        pytest.skip(str(error))
    return core


def c_model(body):
    """Sources whose step has this C body."""
    return {"model.h": HEADER, "model.c": INIT + STEP + b"{\n" + body.encode() + b"\n}\n"}


def assembly_model(core, *, arm, riscv, extra=""):
    """Sources whose step is made of exactly these instructions; ``extra`` is C behind it."""
    is_arm = core.compiler.startswith("arm")
    lines = [".syntax unified", *arm] if is_arm else [".option norelax", *riscv]
    text = "".join(f'"{line}\\n"\n' for line in lines)
    # The compiler adds nothing to a naked function and has a stack frame of 0 bytes for it.
    step = '#pragma GCC diagnostic ignored "-Wunused-parameter"\n__attribute__((naked)) '
    step += STEP.decode() + f"{{\n__asm volatile({text});\n}}\n{extra}"
    return {"model.h": HEADER, "model.c": INIT + step.encode()}
