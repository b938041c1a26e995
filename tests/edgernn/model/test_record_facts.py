"""What the records know: their arrays, equality, exact overflow bounds, states and costs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgernn.model.affine import (
    ACCUMULATOR_LIMIT_W8A8,
    ACCUMULATOR_LIMIT_W8A16,
    Affine8,
    Affine16,
    Source,
)
from edgernn.model.formats import Precision, QFormat
from edgernn.model.layers import SimpleRNN
from tests.support.models.integer import random_layer, random_model
from tests.support.models.small_records import W8A8, W8A16, affine8, int8, int32, term8, term16

pytestmark = pytest.mark.device

LSTM = random_model("lstm", outputs=0)
GRU = random_model("gru_after", outputs=0)


def test_records_own_their_arrays():
    weights = int8([1, 2])
    term = term8(weights=weights)
    weights[0, 0] = 99
    assert term.weights[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        term.weights[0, 0] = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        term.source = Source.H


def test_equality_sees_every_array():
    assert random_model("lstm") == random_model("lstm")
    assert random_model("lstm") != random_model("lstm", seed=1)
    assert LSTM != GRU
    assert term8() != term16()
    with pytest.raises(TypeError, match="unhashable"):
        hash(LSTM)


def extreme(multiplier: int, bias: int) -> Affine8:
    """One row over one operand: largest |u| is 128 * 127 * multiplier + |bias|."""
    return affine8(term8(weights=int8([127]), multiplier=int32(multiplier)), bias=(bias,), shift=1)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_w8a8_bound_is_exact(sign):
    ranges = random_ranges(W8A8)
    room = ACCUMULATOR_LIMIT_W8A8 - 1 - 128 * 127 * 30_000  # the 1 is half a step of the shift
    assert extreme(30_000, sign * (room - 1)).unsafe_rows(ranges).tolist() == []
    assert extreme(30_000, sign * room).unsafe_rows(ranges).tolist() == [0]


def random_ranges(precision: Precision):
    layer = random_layer(np.random.default_rng(0), "lstm", "a", 1, 1, precision, common=False)
    model = dataclasses.replace(
        random_model("lstm", precision, inputs=1, units=1, outputs=0, common=False), layers=(layer,)
    )
    return model.operand_ranges(0)


def test_the_w8a16_bound_is_exact():
    ranges, half = random_ranges(W8A16), 1 << 7
    room = ACCUMULATOR_LIMIT_W8A16 - half - 127 * 32_764
    first_unsafe = next(b for b in range(room, room + 4) if b % 4 == 1)
    for bias, unsafe in ((first_unsafe - 4, []), (first_unsafe, [0])):
        affine = Affine16(terms=(term16(weights=int8([127]), bias=int32(bias)),))
        assert affine.unsafe_rows(ranges).tolist() == unsafe


def test_a_model_knows_its_states_and_costs():
    model = random_model("lstm", inputs=3, units=8, outputs=2, stack=2)
    assert [(s.name, s.units, str(s.format)) for s in model.states] == [
        ("lstm_0.h", 8, "Q0.15"),
        ("lstm_0.c", 8, "Q3.12"),
        ("lstm_1.h", 8, "Q0.15"),
        ("lstm_1.c", 8, "Q3.12"),
    ]
    assert model.state_bytes == 4 * 8 * 2
    assert model.macs == 4 * 8 * (3 + 8) + 4 * 8 * (8 + 8) + 2 * 8


def test_a_simple_rnn_needs_an_exponent_its_output_scale_follows():
    layer = random_model("simple_rnn_relu", state_exponent=4).layers[0]
    assert isinstance(layer, SimpleRNN)
    assert layer.output_scale == 2.0**-4
    assert layer.states[0].format == QFormat(bits=16, frac_bits=4)
