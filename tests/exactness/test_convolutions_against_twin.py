"""The NumPy reference and the scalar twin agree on networks with delays (clause 8.4)."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin.cells import Twin
from tests.exactness.twin_comparison import compare
from tests.support.models.convolutions import (
    convolution_chain,
    convolutions,
    random_convolutions,
)
from tests.support.models.integer import random_codes


@pytest.mark.parametrize("name", convolutions())
def test_reference_equals_twin_on_the_grid(name):
    model = convolutions()[name]
    compared, _ = compare(model, streams=3, steps=12, seed=7)
    assert compared == 3 * 12 * (model.output.width + sum(s.units for s in model.states))


@pytest.mark.parametrize("precision", Precision)
def test_reference_equals_twin_on_many_networks(precision):
    compared = 0
    for seed in range(20, 35):
        model = random_convolutions(
            precision, seed=seed, kind=("tame", "hostile")[seed % 2], dilation=1 + seed % 3
        )
        compared += compare(model, streams=2, steps=20, seed=seed)[0]
    assert compared >= 30_000


@pytest.mark.parametrize("precision", Precision)
def test_a_stream_begins_with_the_rows_that_stand_for_those_before_it(precision):
    """Clause 8.4: rows that are read before they were written are the start."""
    model = random_convolutions(precision, seed=4, dilation=2)
    q_xs = random_codes(model, 30, seed=3)
    q_ys, state = Reference(model).run(q_xs)
    wanted, states = Twin(model).run(q_xs.tolist())
    assert np.array_equal(q_ys, wanted)
    for got, last in zip(state, states[-1], strict=True):
        assert np.array_equal(got, last)
    zeros = tuple(np.zeros_like(s) for s in state)
    assert not np.array_equal(Reference(model).run(q_xs, zeros)[0], q_ys)


def test_a_delay_holds_rows_the_newest_first():
    model = convolution_chain(Precision.W8A8, rows=4)
    q_xs = random_codes(model, 9, seed=1)
    _, state = Reference(model).run(q_xs)
    assert np.array_equal(state[0].reshape(4, -1), q_xs[:-5:-1])
    _, state = Reference(model).run(q_xs[:1])
    start = model.layers[0].start
    assert np.array_equal(state[0].reshape(4, -1), [q_xs[0], start, start, start])
