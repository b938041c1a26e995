"""The C of wide states and curves by itself: whole domains, ends, low parts that somebody set."""

from __future__ import annotations

import ctypes
import itertools
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.graph.ops import Gate, Value
from edgernn.model.scales import LeakConstants
from edgernn_firmware_sim.reference import wide
from edgernn_firmware_sim.reference.arithmetic import round_product, sat16
from edgernn_firmware_sim.reference.tables import curve
from tests.support.models.general import random_curve, random_leak
from tests.support.native.compilers import compile_c, require

NATIVE = Path(edgernn.__file__).parent / "native"
COUNT = 1 << 16
CODES = np.arange(-32768, 32768).astype(np.int16)
#: Whether loss and gain are fine -> the function.
GATED_SUMS = {
    (False, False): "edgernn_gated_sum",
    (True, True): "edgernn_gated_sum_fine",
    (True, False): "edgernn_gated_sum_fine_loss",
    (False, True): "edgernn_gated_sum_fine_gain",
}
BOTH = (False, True)
PAIRS = tuple(itertools.product(BOTH, BOTH))


class CCurve(ctypes.Structure):
    """edgernn_curve of edgernn_curve.h."""

    _fields_ = (
        ("step_bits", ctypes.c_int32), ("low", ctypes.c_int32), ("high", ctypes.c_int32),
        ("entries", ctypes.c_void_p),
    )  # fmt: skip


class CLeak(ctypes.Structure):
    """edgernn_leak of edgernn_wide.h."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("high", "low", "shift"))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    require("gcc")
    folder = tmp_path_factory.mktemp("functions")
    options = [
        "-std=c99", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wconversion", "-Werror",
        "-fsanitize=undefined", "-fno-sanitize-recover=all", "-o", str(folder / "wide.so"),
    ]  # fmt: skip
    compile_c(["gcc", *options], [NATIVE / f"edgernn_{n}.c" for n in ("wide", "curve")], folder)
    return ctypes.CDLL(str(folder / "wide.so"))


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def codes(rng):
    """Any int16, the ends and the neighbourhood of 0 more often."""
    made = rng.integers(-32768, 32768, COUNT).astype(np.int16)
    ends = rng.random(COUNT) < 0.3
    made[ends] = rng.choice([-32768, -32767, -1, 0, 1, 32766, 32767], int(ends.sum()))
    return made


def shares(rng, fine):
    return codes(rng) if fine else np.abs(codes(rng).clip(-32767, None))


def long(array):
    return array.astype(np.int32)


def at(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def halves(fine, complement, gate):
    value = Value(name="gate", width=1, format=None)
    return wide.share_of(Gate(value=value, fine=fine, complement=complement))(long(gate))


@pytest.mark.parametrize(("fine", "less"), PAIRS)
def test_blend(fine, less, library, rng):
    function = library.edgernn_blend_fine if fine else library.edgernn_blend
    for _ in range(4):
        high, low, target, gate = codes(rng), codes(rng), codes(rng), shares(rng, fine)
        wanted = wide.blend(long(high), long(low), long(target), halves(fine, less, gate))
        out = high.copy()  # which may take the place of what it is made of
        function(at(out), at(low), at(target), at(gate), int(less), COUNT, at(out))
        assert np.array_equal(out, wanted[0])
        assert np.array_equal(low, wanted[1])


def test_every_fine_share(library):
    """All pre-activations, by a blend from 0 to the farthest: it gives all but the last bits."""
    for less, way in itertools.product(BOTH, (-32768, 32767)):
        high, low, target = np.zeros_like(CODES), np.zeros_like(CODES), np.full_like(CODES, way)
        wanted = wide.blend(long(high), long(low), long(target), halves(True, less, CODES))
        library.edgernn_blend_fine(
            at(high), at(low), at(target), at(CODES), int(less), COUNT, at(high)
        )
        assert np.array_equal(high, wanted[0])
        assert np.array_equal(low, wanted[1])


@pytest.mark.parametrize("fine", PAIRS)
@pytest.mark.parametrize("less", PAIRS)
def test_gated_sum(fine, less, library, rng):
    function = getattr(library, GATED_SUMS[fine])
    for shift in (0, 1, 2, 5, 15, 29):
        high, low, candidate = codes(rng), codes(rng), codes(rng)
        gates = [shares(rng, of) for of in fine]
        parts = [halves(*form, gate) for *form, gate in zip(fine, less, gates, strict=True)]
        wanted = wide.saturated(
            wide.gated_sum(long(high), long(low), parts[0], long(candidate), parts[1], shift)
        )
        out = high.copy()
        function(
            at(out), at(low), at(gates[0]), at(candidate), at(gates[1]), *map(int, less), shift,
            COUNT, at(out),
        )  # fmt: skip
        assert np.array_equal(out, wanted[0])
        assert np.array_equal(low, wanted[1])


@pytest.mark.parametrize("rectified", BOTH)
def test_leaky_sum(rectified, library, rng):
    for _ in range(4):
        high, low, entry = codes(rng), codes(rng), codes(rng)
        leak: LeakConstants = random_leak(rng, COUNT)
        made = wide.leaky_sum(long(high), long(low), long(entry), leak)
        wanted = wide.saturated(made, 0 if rectified else -(1 << 30))
        by, out = CLeak(leak.high.ctypes.data, leak.low.ctypes.data, leak.shift.ctypes.data), high
        library.edgernn_leaky_sum(
            ctypes.byref(by), at(high), at(low), at(entry), int(rectified), COUNT, at(out)
        )
        assert np.array_equal(out, wanted[0])
        assert np.array_equal(low, wanted[1])


@pytest.mark.parametrize("shift", range(31))
def test_wide_rescaling(shift, library, rng):
    high, low, out = codes(rng), codes(rng), np.empty(COUNT, np.int16)
    library.edgernn_wide_rescale(at(high), at(low), shift, COUNT, at(out))
    assert np.array_equal(out, sat16(round_product(wide.whole(long(high), long(low)), shift)))


@pytest.mark.parametrize("bits", range(4, 13))
def test_curves(bits, library, rng):
    for _ in range(10):
        table = random_curve(rng, bits)
        by = CCurve(bits, table.low, table.high, table.entries.ctypes.data)
        out = CODES.copy()
        library.edgernn_interpolate(ctypes.byref(by), at(out), COUNT, at(out))
        assert np.array_equal(out, curve(table)[CODES])


@pytest.mark.parametrize("bits", range(1, 16))
def test_formats_of_any_range(bits, library):
    out = np.empty_like(CODES)
    library.edgernn_enlarge(at(CODES), bits, COUNT, at(out))
    assert np.array_equal(out, sat16(long(CODES) << bits))
    library.edgernn_one_less(at(CODES), 1 << bits, COUNT, at(out))
    assert np.array_equal(out, sat16((1 << bits) - long(CODES)))
