"""Tables of functions: as close as they say, no finer than need be, exact where functions bend."""

import numpy as np
import pytest

from edgernn.model.functions.pointwise import POINTWISE, PointwiseFunction
from edgernn_export.float_model.cells import NUMPY
from edgernn_export.float_model.functions.pointwise import pointwise
from edgernn_export.quantizer.functions.curves import fitted_curve, interpolated
from edgernn_firmware_sim.reference.tables import curve

pytestmark = pytest.mark.sampled(2)

CODES = np.arange(-32768, 32768)
#: Formats of argument and result, and the part of int16 whose results count.
FORMATS = [(10, 15, 0.8), (10, 10, 0.8), (12, 12, 0.8), (8, 9, 0.5), (14, 15, 0.8)]
#: Functions that jump: what is interpolated is far off beside the jump.
JUMPING = {"hard_shrink"}


def errors(name, table, argument, result):
    """Distance from the real function in codes, per code, and the real results."""
    real = pointwise(NUMPY, PointwiseFunction.parse(name), CODES * 2.0**-argument) * 2.0**result
    return np.abs(interpolated(table) - np.clip(real, -32768, 32767)), real


@pytest.mark.parametrize(("argument", "result", "reach"), FORMATS)
@pytest.mark.parametrize("name", sorted(POINTWISE))
def test_all_codes_are_within_one_or_within_half_a_step_of_the_argument(
    name, argument, result, reach
):
    with np.errstate(over="ignore"):
        found = fitted_curve(name, 2.0**-argument, 2.0**-result, reach)
        off, real = errors(name, found.table, argument, result)
        change = np.abs(np.diff(real, prepend=real[0]))
    change = np.maximum(change, np.append(change[1:], 0.0))
    counts = np.abs(real) <= reach * 32768
    assert found.error == off[counts].max()
    if name in JUMPING:
        assert found.table.step_bits == 4
        return
    # A table of the finest step may be a little beyond, where a function is steep and bent.
    room = 1.0 if found.table.step_bits > 4 else 1.25
    assert (off <= room * np.maximum(1.0, change / 2.0))[counts].all()


@pytest.mark.parametrize(
    "name", ["tanh(limit=0.7)", "sigmoid(limit=3.0)", "scaled_tanh(limit=2.0)", "silu(limit=2.5)"]
)
def test_functions_of_limited_arguments(name):
    found = fitted_curve(name, 2.0**-10, 2.0**-12)
    off, real = errors(name, found.table, 10, 12)
    assert found.error == off.max() <= 1.25
    if not name.startswith("silu"):  # which falls before it rises
        ends = np.round(real[[0, -1]]).tolist()
        assert [found.table.low, found.table.high] == ends


@pytest.mark.parametrize("name", ["silu", "softsign", "exponential", "hard_tanh", "elu(alpha=0.3)"])
def test_results_are_those_that_the_reference_has(name):
    table = fitted_curve(name, 2.0**-10, 2.0**-12, 0.8).table
    of_reference = np.concatenate([curve(table)[32768:], curve(table)[:32768]])
    np.testing.assert_array_equal(interpolated(table), of_reference)


@pytest.mark.parametrize(
    ("name", "entries", "limits"),
    [
        ("relu", 17, (-32768, 32767)),
        ("relu(max_value=6.0)", 17, (-32768, 6144)),
        ("relu(negative_slope=0.25)", 17, (-32768, 32767)),
        ("hard_tanh", 17, (-1024, 1024)),
        ("clip(low=-0.7,high=3.3)", 17, (-717, 3379)),
        ("hard_sigmoid_keras2", 17, (0, 1024)),
        ("ramp(slope=0.25,offset=0.5,low=-0.5,high=2.0)", 17, (-512, 2048)),
        ("linear(limit=0.7)", 17, (-717, 717)),
        ("hard_sigmoid(limit=1.5)", 17, (256, 768)),
    ],
)
def test_lines_between_limits_need_no_fine_table(name, entries, limits):
    """Bends of clips are the limits' affair, and that at 0 is an entry."""
    found = fitted_curve(name, 2.0**-10, 2.0**-10)
    assert found.table.entries.size == entries
    assert (found.table.low, found.table.high) == limits
    assert found.error <= 1.0


def test_a_bend_at_nothing_stays_where_it_is():
    for name in ("elu(alpha=0.2)", "relu(negative_slope=0.3)", "softsign", "tanh_shrink"):
        assert interpolated(fitted_curve(name, 2.0**-10, 2.0**-12, 0.8).table)[32768] == 0.0


def test_steeper_functions_have_finer_tables():
    sizes = [fitted_curve("silu", 2.0**-10, 2.0**-b, 0.8).table.entries.size for b in (8, 10, 12)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
