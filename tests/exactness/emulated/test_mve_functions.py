"""The Helium kernels one by one: every argument of the element-wise ones, reads of the products."""

import numpy as np
import pytest

from edgernn.errors import EmulationError
from edgernn_firmware_sim.emulator import emulate
from tests.exactness.twin import scalar
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model
from tests.support.native.compilers import NATIVE

pytestmark = pytest.mark.sampled(2)

#: No multiple of any number of lanes; 257 steps of it see every int16 value.
WIDTH = 255
STARTS = np.arange(257) * WIDTH - 32768
#: Has the shape of the hand-made models below.
SHAPE = random_model("simple_rnn", inputs=2, units=1, outputs=256)
HEADER = """#include <stdint.h>
#define MODEL_INPUTS 2
#define MODEL_OUTPUTS 256
#define MODEL_STATE_BYTES 2
typedef int16_t model_input_t;
typedef struct { int16_t h[1]; } model_state_t;
void model_init(model_state_t *state);
void model_step(model_state_t *state, const model_input_t *x, int16_t *y);
"""
STEP = """#include "edgernn_affine.h"
#include "common/lanes.h"
#include "edgernn_tables.h"
#include "model.h"
void model_init(model_state_t *state) { state->h[0] = 0; }
void model_step(model_state_t *state, const model_input_t *x, int16_t *y)
{
    int32_t k;
    (void)state;
    for (k = 0; k < 256; ++k) { y[k] = (int16_t)((uint16_t)x[1] + k); }
"""


def outputs(body, q_xs, folder):
    """What a step with this body, which finds x[1], x[1] + 1, ... in y, leaves there; [T, 256]."""
    sources = {
        path.relative_to(NATIVE).as_posix(): path.read_bytes() for path in NATIVE.rglob("*.[ch]")
    }
    kept = ("edgernn_affine.c", "edgernn_tables.c")
    sources = {n: c for n, c in sources.items() if n.endswith(".h") or n in kept}
    sources |= {"model.h": HEADER.encode(), "model.c": (STEP + body + "\n}\n").encode()}
    wanted = np.zeros((len(q_xs), 257), np.int16)
    codes = q_xs.astype(np.int16)
    emulate(SHAPE, sources, core_named("cortex-m55"), codes, folder, wanted)
    return np.fromfile(folder / "output.bin", dtype="<i2").reshape(-1, 257)[:, :256]


def arguments(first):
    """Inputs that show every int16 value at y, with this one at x[0]."""
    return np.stack([np.full(257, first), STARTS], axis=1)


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("RELU", lambda z: max(z, 0)),
        ("TANH", scalar.tanh),
        ("SIGMOID", scalar.sigmoid),
        ("HARD_SIGMOID", scalar.hard_sigmoid),
    ],
)
def test_activations_of_every_code(kind, function, tmp_path):
    body = f"    edgernn_activate(EDGERNN_{kind}, y, {WIDTH});"
    got = outputs(body, arguments(0), tmp_path)
    codes = range(-32768, -32768 + 257 * WIDTH)
    wrapped = [(z + 32768) % 65536 - 32768 for z in codes]
    assert got[:, :WIDTH].ravel().tolist() == [function(z) for z in wrapped]
    # What lies behind the vector stays as it was.
    assert np.array_equal(got[:, WIDTH], (STARTS + WIDTH).astype(np.int16))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("count", [1, 6, 15, 16, 41, 255])
def test_operands_of_every_code_and_their_padding(bits, count, tmp_path):
    code = f"edgernn_code{bits}"
    body = f"""    {code} operands[264];
    for (k = 0; k < 264; ++k) {{ operands[k] = 77; }}
    edgernn_operands{bits}(y, {count}, operands);
    for (k = 0; k < 256; ++k) {{ y[k] = operands[k]; }}"""
    got = outputs(body, arguments(0), tmp_path)
    z = (STARTS[:, None] + np.arange(count) + 32768) % 65536 - 32768
    if bits == 8:
        wanted = [[scalar.sat8(scalar.R(int(v), 8)) for v in row] for row in z]
    else:
        wanted = [[4 * scalar.R(int(v), 3) for v in row] for row in z]
    padded = (count + 3) // 4 * 4
    assert got[:, :count].tolist() == wanted
    assert not got[:, count:padded].any()
    assert (got[:, padded:] == 77).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("count", [1, 6, 16, 41, 255])
def test_codes_are_copied_and_padded(bits, count, tmp_path):
    body = f"""    int{bits}_t codes[256];
    edgernn_code{bits} operands[264];
    for (k = 0; k < 256; ++k) {{ codes[k] = (int{bits}_t)y[k]; }}
    for (k = 0; k < 264; ++k) {{ operands[k] = 77; }}
    edgernn_codes{bits}(codes, {count}, operands);
    for (k = 0; k < 256; ++k) {{ y[k] = operands[k]; }}"""
    got = outputs(body, arguments(0)[::16], tmp_path)
    z = STARTS[::16, None] + np.arange(count)
    padded = (count + 3) // 4 * 4
    assert np.array_equal(got[:, :count], z.astype(f"int{bits}"))
    assert not got[:, count:padded].any()
    assert (got[:, padded:] == 77).all()


@pytest.mark.parametrize("gate", [0, 1, 3, 16383, 16384, 16385, 21845, 32766, 32767])
def test_products_of_a_gate_and_every_code(gate, tmp_path):
    # 1 and 16384 times a code meet every tie and both neighbours of it.
    body = f"""    const edgernn_lanes gate = edgernn_lanes_all(x[0]);
    EDGERNN_EACH_LANES({WIDTH}, edgernn_lanes_store(
        y + j, edgernn_lanes_scaled(gate, edgernn_lanes_load(y + j, left)), left));"""
    got = outputs(body, arguments(gate), tmp_path)
    codes = (np.arange(257 * WIDTH) % 65536) - 32768
    assert got[:, :WIDTH].ravel().tolist() == [scalar.R(gate * int(v), 15) for v in codes]


PRODUCT = """    /* The last bytes of two memories of the machine: behind them is nothing. */
    int8_t *weights = (int8_t *)(0x30080000 - (TILES * 2 * EDGERNN_TILE_BYTES + BEHIND));
    edgernn_code{bits} *operands = (edgernn_code{bits} *)0x80000 - TILES * 4;
    static const int32_t ones[8] = {{1, 1, 1, 1, 1, 1, 1, 1}};
{arrays}
    const edgernn_term{bits} terms[2] = {{{term}, {term}}};
    const edgernn_map{bits} map = {map};
    for (k = 0; k < TILES * 2 * EDGERNN_TILE_BYTES; ++k) {{ weights[k] = 1; }}
    for (k = 0; k < TILES * 4; ++k) {{ operands[k] = 4; }}
    edgernn_affine{bits}(&map, operands, y);"""
ARRAYS = {
    8: "",
    16: """    static const uint8_t shift[8] = {3, 3, 3, 3, 3, 3, 3, 3};
    static const int16_t half[8] = {16384, 16384, 16384, 16384, 16384, 16384, 16384, 16384};""",
}
TERM = {8: "{0, TILES, weights, ones, 0, 8}", 16: "{0, TILES, weights, ones, shift, half, 0, 8}"}
MAP = {8: "{7, 3, ones, x[0], terms}", 16: "{7, x[0], terms}"}


def sums(bits, tiles, behind, folder):
    """Seven rows of ones times fours in all columns, by one term and by two, at memories' ends."""
    body = PRODUCT.format(bits=bits, arrays=ARRAYS[bits], term=TERM[bits], map=MAP[bits])
    body = body.replace("TILES", str(tiles)).replace("BEHIND", str(behind))
    body = body.replace(f"EDGERNN_{tiles}", "EDGERNN_TILE")
    return outputs(body, np.array([[1, 500], [2, 500]]), folder)


@pytest.mark.parametrize("tiles", [1, 2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("bits", [8, 16])
def test_products_read_no_more_than_the_arrays_hold(bits, tiles, tmp_path):
    # EDGERNN_READ_AHEAD of common/tile.h.
    got = sums(bits, tiles, 48, tmp_path)
    for terms, y in enumerate(got, start=1):
        if bits == 8:
            value = scalar.half_up(terms * 16 * tiles + 1, 3)
        else:
            value = terms * scalar.R(scalar.half_up(16 * tiles + 1, 3) * 16384, 15)
        assert y[:8].tolist() == [value] * 7 + [507]


@pytest.mark.parametrize("bits", [8, 16])
def test_reading_further_would_be_noticed(bits, tmp_path):
    with pytest.raises(EmulationError, match="the core faulted"):
        sums(bits, 1, 44, tmp_path)
