"""Activations, rounding and the integer border, called one by one through a shared library."""

import ctypes
import math
from dataclasses import replace

import numpy as np
import pytest

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn.model.interface import InputSpec, OutputSpec
from edgernn_export.writers.c.border import input_channels, output_channels
from tests.exactness.twin import scalar
from tests.support.models.integer import random_model
from tests.support.native.compilers import NATIVE, compile_c, require, write_model

ALL_CODES = np.arange(-32768, 32768).astype(np.int16)
ROUNDING = """
#include "common/lanes.h"

extern int32_t test_round(int32_t p, int32_t k);
extern int32_t test_round_any(int32_t p, int32_t k);
extern int32_t test_half_up(int32_t p, int32_t k);

int32_t test_round(int32_t p, int32_t k)
{
    return edgernn_lanes_round(p, k);
}

int32_t test_round_any(int32_t p, int32_t k)
{
    return edgernn_lanes_round_any(p, k);
}

int32_t test_half_up(int32_t p, int32_t k)
{
    return edgernn_half_up(p, k);
}
"""
#: Physical units per code and value of code 0, from everyday sensors to the edge of a double.
SCALES = (0.03125, 0.1, 7.3e-3, 1.0, 811.7, 3e-300, 2.5e300, 1e-5, 1 / 3)
OFFSETS = (0.0, -12.5, 4.0, 1e6, -1e5, 0.0, 0.0, 20.0, 1 / 7)


def shared_library(sources, folder):
    require("gcc")
    path = folder / "library.so"
    compile_c(["gcc", "-std=c99", "-O2", "-shared", "-fPIC", "-I", str(NATIVE), "-o", str(path)],
              sources, folder)  # fmt: skip
    return ctypes.CDLL(str(path))


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("functions")
    (folder / "rounding.c").write_text(ROUNDING)
    return shared_library([*sorted(NATIVE.glob("*.c")), folder / "rounding.c"], folder)


@pytest.mark.parametrize(
    ("index", "function"),
    [
        (0, lambda z: z),
        (1, lambda z: max(z, 0)),
        (2, scalar.tanh),
        (3, scalar.sigmoid),
        (4, scalar.hard_sigmoid),
    ],
    ids=["linear", "relu", "tanh", "sigmoid", "hard_sigmoid"],
)
def test_activations_follow_section_3_for_all_codes(kernels, index, function):
    z = ALL_CODES.copy()
    kernels.edgernn_activate(index, ctypes.c_void_p(z.ctypes.data), z.size)
    assert z.tolist() == [function(int(v)) for v in ALL_CODES]


@pytest.mark.parametrize("k", range(21))
def test_rounding_follows_section_1(kernels, k):
    multiples = np.arange(-20, 21)[:, None] * (1 << max(k - 1, 0))
    largest = 32767 * 32768
    p = [*(multiples + np.arange(-3, 4)).ravel().tolist(), -largest, largest]
    assert [kernels.test_round_any(v, k) for v in p] == [scalar.R(v, k) for v in p]
    if k >= 2:
        assert [kernels.test_round(v, k) for v in p] == [scalar.R(v, k) for v in p]
    if k:
        assert [kernels.test_half_up(v, k) for v in p] == [
            math.floor((v + 2 ** (k - 1)) / 2**k) for v in p
        ]


@pytest.mark.parametrize("precision", Precision)
def test_operands_follow_clause_2_7_for_all_codes(kernels, precision):
    out = np.empty(ALL_CODES.size, precision.operand_dtype)
    function = getattr(kernels, f"edgernn_operands{8 * out.itemsize}")
    function(ctypes.c_void_p(ALL_CODES.ctypes.data), out.size, ctypes.c_void_p(out.ctypes.data))
    if precision is Precision.W8A8:
        wanted = [min(scalar.R(int(v), 8), 127) for v in ALL_CODES]
    else:
        wanted = [4 * scalar.R(int(v), 3) for v in ALL_CODES]
    assert out.tolist() == wanted


# ---------------------------------------------------------------- border


def many_channels(precision):
    count = len(SCALES)
    model = random_model("gru_after", precision, inputs=count, outputs=count)
    texts = {"names": tuple(f"c{i}" for i in range(count)), "units": ("",) * count}
    scale = np.array(SCALES)
    return replace(
        model,
        input=InputSpec(**texts, scale=scale, offset=np.array(OFFSETS)),
        output=OutputSpec(**texts, scale=scale, softmax=False),
    )


@pytest.fixture(scope="module", params=Precision)
def border(request, tmp_path_factory):
    model = many_channels(request.param)
    folder = tmp_path_factory.mktemp("border")
    return model, shared_library(write_model(model, folder), folder)


def documented(channel, x, precision):
    """The rule of docs/guides/firmware.md in unbounded integers."""
    d = min(max(x - channel.center, -channel.reach), channel.reach)
    v = abs(d) * channel.multiplier >> 32
    code = precision.input_step * ((v + 2 ** (channel.shift - 1)) >> channel.shift)
    return min(max(-code if d < 0 else code, precision.input_low), precision.input_high)


def test_input_codes_are_those_of_clause_9_1_but_beside_ties(border):
    model, library = border
    interface, p = model.interface(), model.precision
    channels = input_channels(model.input, p)
    steps = p.input_high // p.input_step + 2
    rng = np.random.default_rng(5)
    # Half of the readings next to a tie between two codes, half anywhere, some far outside.
    ties = rng.integers(-steps, steps, (4000, len(channels))) + 0.5
    ties += rng.normal(0, 1, ties.shape) * 2.0 ** -rng.integers(8, 28, ties.shape)
    places = np.concatenate([ties, rng.uniform(-steps, steps, ties.shape)])
    x = np.empty(places.shape, np.int32)
    for j, c in enumerate(channels):
        per_step = 2.0 ** (32 + c.shift) / c.multiplier
        x[:, j] = np.clip(np.rint(places[:, j] * per_step) + c.center, -(2.0**31), 2**31 - 1)
    x[0], x[1] = -(2**31), 2**31 - 1
    got = np.empty(x.shape, p.operand_dtype)
    for reading, codes in zip(x, got, strict=True):
        library.model_quantize_input(
            ctypes.c_void_p(reading.ctypes.data), ctypes.c_void_p(codes.ctypes.data)
        )
    rule = [[documented(c, int(v), p) for c, v in zip(channels, row, strict=True)] for row in x]
    assert got.tolist() == rule
    real = x * 2.0 ** -np.array([c.frac_bits for c in channels], dtype=np.float64)
    wanted = interface.quantize(real)
    differences = (got.astype(int) - wanted) // p.input_step
    assert np.abs(differences).max() == 1  # half of the readings are made to be that close
    position = (real - np.array(OFFSETS)) / (np.array(SCALES) * p.input_step)
    to_tie = np.abs(position - np.floor(position) - 0.5)
    bound = np.array([2.0 ** (1 - c.shift) for c in channels])
    assert (to_tie <= bound + 1e-9)[differences != 0].all()
    assert np.all(bound < 2**-5)
    assert got[0].tolist() == [p.input_low] * len(channels)
    assert got[1].tolist() == [p.input_high] * len(channels)


def test_clipped_readings_are_counted_as_a_session_counts_them(border):
    model, library = border
    p, channels = model.precision, input_channels(model.input, model.precision)
    low, high = -(-p.input_low // p.input_step), p.input_high // p.input_step
    rng = np.random.default_rng(6)
    ends = np.where(rng.random((3000, len(channels))) < 0.5, low - 0.5, high + 0.5)
    places = np.concatenate([
        ends + rng.normal(0, 1, ends.shape), ends * rng.uniform(0.9, 30, ends.shape),
    ])  # fmt: skip
    x = np.empty(places.shape, np.int32)
    for j, c in enumerate(channels):
        per_step = 2.0 ** (32 + c.shift) / c.multiplier
        x[:, j] = np.clip(np.rint(places[:, j] * per_step) + c.center, -(2.0**31), 2**31 - 1)
    x[0], x[1] = -(2**31), 2**31 - 1
    counts = np.zeros(len(channels), np.uint32)
    differing = np.zeros(len(channels), int)
    real = x * 2.0 ** -np.array([c.frac_bits for c in channels], dtype=np.float64)
    position = (real - np.array(OFFSETS)) / (np.array(SCALES) * p.input_step)
    outside = (np.rint(position) < low) | (np.rint(position) > high)
    to_end = np.minimum(np.abs(position - low + 0.5), np.abs(position - high - 0.5))
    near = to_end <= np.array([2.0 ** (1 - c.shift) for c in channels]) + 1e-9
    for row, wanted, beside in zip(x, outside, near, strict=True):
        before = counts.copy()
        library.model_count_clipped(
            ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(counts.ctypes.data)
        )
        differing += ((counts - before) != wanted) & ~beside
    assert differing.tolist() == [0] * len(channels)
    assert counts.min() > 2000


def test_ordinary_channels_lose_nothing_that_matters():
    for precision, least in ((Precision.W8A8, 20), (Precision.W8A16, 14)):
        (channel,) = input_channels(
            InputSpec(names=("x",), units=("",), scale=np.array([0.01]), offset=np.array([1.0])),
            precision,
        )
        assert channel.shift >= least


def test_outputs_are_those_of_clause_9_2_within_three_quarters_of_a_unit(border):
    model, library = border
    channels = output_channels(model.output)
    y = np.empty(len(channels), np.int32)
    rows = np.empty((ALL_CODES.size, len(channels)))
    for code, row in zip(ALL_CODES, rows, strict=True):
        q_y = np.full(len(channels), code, np.int16)
        library.model_dequantize_output(
            ctypes.c_void_p(q_y.ctypes.data), ctypes.c_void_p(y.ctypes.data)
        )
        row[:] = y
    units = np.array([math.ldexp(s, c.frac_bits) for s, c in zip(SCALES, channels, strict=True)])
    assert np.abs(rows - ALL_CODES[:, None] * units).max() <= 0.75
    assert np.abs(rows).max() >= 2**29  # no bits are given away
    assert np.abs(rows).max() <= 2**30


@pytest.mark.parametrize("precision", Precision)
def test_an_offset_that_int32_cannot_resolve_is_refused(precision):
    def channel(codes):
        offset = codes * precision.input_step * 0.5
        spec = InputSpec(
            names=("p",), units=("Pa",), scale=np.array([0.5]), offset=np.array([offset])
        )
        return input_channels(spec, precision)

    assert channel(2.0**24)[0].shift >= 4
    message = rf"expected an offset of at most {2**24 * precision.input_step} codes, got"
    with pytest.raises(EdgeRnnError, match=message + r" .* \(input 'p'\). Subtract a constant"):
        channel(2.0**26)
