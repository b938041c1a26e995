"""The integer front end against the twin of NUMERICS.md section 11: tables, levels, codes."""

import numpy as np
import pytest

from edgernn.prepare.audio.codes import codes_of_levels, level_codes
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from tests.exactness.twin.log_mel import LogMelTwin, code
from tests.support.sounds import FRONT_ENDS, hostile_samples

WIDEST = 2**31 - 1


@pytest.mark.parametrize("settings", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_every_level_is_that_of_the_twin(settings):
    twin, samples = LogMelTwin(settings), hostile_samples(settings, frames=11)
    levels = FrontEnd(settings).stream().push_levels(samples)
    np.testing.assert_array_equal(levels, twin.rows(samples.tolist()))
    assert twin.widest <= WIDEST
    assert twin.widest_state < 32540


@pytest.mark.parametrize("settings", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_tables_are_those_of_many_digits(settings):
    twin, tables = LogMelTwin(settings), FrontEnd(settings).tables
    last = settings.transform // 4
    assert tables.window.tolist() == twin.w
    assert sum(twin.w) <= 32768 * twin.n
    assert tables.twiddles[1:].tolist() == [
        [c, s] for c, s in zip(twin.c[last][1:], twin.s[last][1:], strict=True)
    ]
    bins = range(tables.first_bin, tables.first_bin + len(tables.split))
    # A bin on an edge counts or does not: its weight is 0.
    counted = [k for k in bins if k in twin.rho]
    assert {k: twin.rho[k] for k in counted if twin.rho[k] % 256} == {
        k: int(rho) for k, rho in zip(bins, tables.rising, strict=True) if rho % 256
    }
    assert (tables.floors[:, 0] * 2**15 + tables.floors[:, 1]).tolist() == twin.G
    assert tables.logarithm.tolist() == twin.Lambda
    assert tables.exponents.tolist() == twin.E
    assert tables.cosines.tolist() == twin.Delta
    assert all(sum(row) == 0 for row in twin.Delta[1:])


def test_stages_read_the_last_table():
    twin = LogMelTwin(LogMel())
    for h in (2, 4, 32):
        assert twin.c[h] == twin.c[64][:: 64 // h]
        assert twin.s[h] == twin.s[64][:: 64 // h]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("settings", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_codes_are_the_rounded_quotients(settings, wide):
    rng = np.random.default_rng(3)
    width, tables = settings.width, FrontEnd(settings).tables
    span = 40.0 * rng.uniform(0.5, 2.0, width) * (tables.gain * 1024)
    middle = tables.gain * 9000 * (not settings.coefficients) + tables.bias
    scale = span / (32764 if wide else 128)
    constants = level_codes(settings, scale, middle, wide=wide)
    most = 2**17 if settings.coefficients else 2**15
    levels = rng.integers(-most, most, (500, width)).astype(np.int32)
    got = codes_of_levels(levels, constants, wide=wide)
    assert got.tolist() == [
        [
            code(v, c.multiplier, c.bias, c.shift, wide=wide)
            for v, c in zip(row, constants, strict=True)
        ]
        for row in levels.tolist()
    ]
    step, low, high = (4, -8191, 8191) if wide else (1, -128, 127)
    quotient = np.clip((levels * tables.gain + tables.bias - middle) / (step * scale), low, high)
    shift = np.array([c.shift for c in constants])
    bound = 0.5 + (np.abs(levels) + 1) / 2.0 ** (shift + 1)
    assert (np.abs(got / step - quotient) <= bound + 1e-9).all()
