"""What the reference refuses, and how it says so."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import ReadingError, ShapeError, StateError
from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import random_model

NARROW = Reference(random_model("lstm", Precision.W8A8, inputs=3, units=8))
WIDE = Reference(random_model("lstm", Precision.W8A16, inputs=3, units=8))


@pytest.mark.parametrize(
    ("q_x", "got"),
    [
        (np.zeros(2, np.int8), r"int8 \[1, 2\]"),
        (np.zeros(3, np.int16), r"int16 \[1, 3\]"),
        (np.zeros(3), r"float64 \[1, 3\]"),
        (np.zeros((2, 2, 3), np.int8), r"int8 \[2, 2, 1, 3\]"),
        (np.int8(5), r"int8 \[\]"),
    ],
)
def test_readings_of_another_shape_or_dtype(q_x, got):
    with pytest.raises(ShapeError, match=rf"expected int8 codes \[T, 3\].* got {got}"):
        NARROW.step(q_x, NARROW.initial_state())


@pytest.mark.parametrize("code", [1, 2, 3, -1, 32_767, -32_768])
def test_codes_outside_the_input_format(code):
    with pytest.raises(ReadingError, match=r"multiples of 4 in \[-32764, 32764\] \(clause 2\.3\)"):
        WIDE.run(np.array([[0, code, 0]], np.int16))


@pytest.mark.parametrize("code", [0, 4, -4, 32_764, -32_764])
def test_codes_of_the_input_format(code):
    q_ys, _ = WIDE.run(np.array([[0, code, 0]], np.int16))
    assert q_ys.shape == (1, 2)


@pytest.mark.parametrize(
    "state",
    [
        (),
        (np.zeros(8, np.int16),),
        (np.zeros(8, np.int16), np.zeros(7, np.int16)),
        (np.zeros(8, np.int16), np.zeros(8, np.int32)),
        (np.zeros((1, 8), np.int16), np.zeros((1, 8), np.int16)),
    ],
    ids=["none", "one", "narrow", "int32", "batched"],
)
def test_states_of_another_model(state):
    with pytest.raises(StateError, match=r"expected int16 states lstm_0\.h, lstm_0\.c of shapes"):
        NARROW.run(np.zeros((4, 3), np.int8), state)


def test_states_of_another_number_of_streams():
    with pytest.raises(StateError, match=r"\(2, 8\), \(2, 8\)"):
        NARROW.run(np.zeros((2, 4, 3), np.int8), NARROW.initial_state(3))
