"""Matrix products at the ends of their range and of every length, in their last bit."""

from dataclasses import replace

import numpy as np
import pytest

from edgernn.model.affine import Affine8, Source, Term8
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate, reference_trace
from tests.support.models.hand_made import EACH_CODE, core_named
from tests.support.models.integer import random_model

pytestmark = pytest.mark.sampled(2)

#: 1, 2 and 3 tiles of 4 columns; 128 tiles, the most that sums of pairs hold; one more; an odd and
#: an even number of tiles behind them.
COLUMNS = (1, 8, 9, 512, 513, 604, 1030)
ROWS = 22  # fills no block of 4, 8 or 16


def constant(affine, value):
    """A map that gives the same Q5.10 code for all operands."""
    (term,) = affine.terms
    term = replace(term, weights=np.zeros_like(term.weights))
    bias = np.full(affine.bias.size, 2 * value, np.int32)
    return replace(affine, terms=(term,), bias=bias, shift=1)


def extreme_model(columns):
    """A GRU of which the state is tanh of one map of x, and the readings that the map aims at.

    Weights are 127 and -127, the shift is one bit, the multiplier 2, and a row's bias takes away
    all but a little of the product with one reading: there the state shows the product's last bit.
    """
    rng = np.random.default_rng(columns)
    signs = rng.choice([-1, 1], (ROWS, columns))
    signs[0], signs[1], signs[2] = 1, -1, 1 - 2 * (np.arange(columns) % 2)
    signs[3], signs[4], signs[5] = 1, -1, 1
    q_xs = np.where(signs > 0, 127, -128)  # the largest product
    q_xs[1::2] = np.where(signs[1::2] > 0, -128, 127)  # the smallest
    q_xs[5:8] = rng.integers(-128, 128, (3, columns))
    weights = (127 * signs).astype(np.int8)
    products = (weights.astype(np.int64) * q_xs).sum(axis=1)
    bias = (2 * rng.integers(-99, 100, ROWS) - 2 * products).astype(np.int32)
    term = Term8(source=Source.X, weights=weights, multiplier=np.full(ROWS, 2, np.int32))
    model = random_model("gru_after", inputs=columns, units=ROWS, outputs=0)
    (gru,) = model.layers
    gru = replace(
        gru,
        zr=constant(gru.zr, -16000),
        n_x=Affine8(terms=(term,), bias=bias, shift=1),
        n_h=constant(gru.n_h, 0),
    )
    return replace(model, layers=(gru,)), q_xs.astype(np.int8)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("core", EACH_CODE)
def test_products_of_the_largest_numbers_are_exact(core, columns, tmp_path):
    model, q_xs = extreme_model(columns)
    wanted = reference_trace(model, q_xs)
    aimed_at = np.abs(np.diagonal(wanted[:, -ROWS:]))
    assert aimed_at.max() < 99 * 32 + 16  # tanh of codes below 100: nothing is saturated
    sources = write_c(model, golden_vector(model))
    result = emulate(model, sources, core_named(core), q_xs, tmp_path, wanted)
    assert (result.differing, result.first_difference) == (0, "")


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "rv32imc"])
def test_one_of_two_products_is_wider_than_sums_hold(core, tmp_path):
    model = random_model("simple_rnn", inputs=520, units=6, common=False, kind="hostile")
    q_xs = probe_codes(model, 40, seed=5)
    wanted = reference_trace(model, q_xs)
    sources = write_c(model, golden_vector(model))
    result = emulate(model, sources, core_named(core), q_xs, tmp_path, wanted)
    assert (result.differing, result.first_difference) == (0, "")
