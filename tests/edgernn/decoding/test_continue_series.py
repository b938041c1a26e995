"""A forecaster that reads its own forecasts: a copy of the stream, the same bits everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import edgernn
from edgernn.decoding import continue_series
from edgernn.errors import DecodingError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from tests.support.models.integer import random_model
from tests.support.models.writers_of_text import writer_of_text

pytestmark = pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning")

READINGS = np.random.default_rng(3).normal(size=(9, 2))
GRU = random_model("gru_after", inputs=2, seed=5)
MODELS = {
    "w8a8": GRU,
    "w8a16": random_model("lstm", Precision.W8A16, inputs=2, seed=6),
    "windows": replace(GRU, window=Window(steps=4)),
}


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("name", MODELS)
def test_rows_are_the_answers_to_the_rows_before(name, backend):
    with edgernn.load(MODELS[name], backend) as session:
        first = session.run(READINGS)[-1]
        rows = continue_series(session, first, 6)
    replayed = [first]
    for _ in range(5):
        with edgernn.load(MODELS[name], "reference") as whole:
            replayed.append(whole.run(np.concatenate([READINGS, replayed]))[-1])
    np.testing.assert_array_equal(rows, replayed)


def test_the_session_stays_where_it_is():
    with edgernn.load(GRU, "native") as session, edgernn.load(GRU, "native") as other:
        for stream in (session, other):
            first = stream.run(READINGS)[-1]
        again = [continue_series(session, first, 4) for _ in range(2)]
        np.testing.assert_array_equal(*again)
        np.testing.assert_array_equal(continue_series(session, first, 1), first[None])
        np.testing.assert_array_equal(session.run(READINGS), other.run(READINGS))
        assert session.sequence == other.sequence


def test_feed_makes_the_next_reading():
    model = random_model("gru_after", inputs=3, seed=7)
    readings = np.random.default_rng(4).normal(size=(5, 3))
    with edgernn.load(model, "native") as session:
        first = session.run(readings)[-1]
        rows = continue_series(session, first, 3, feed=lambda y: [y[1], 0.5, y[0]])
        own = [[y[1], 0.5, y[0]] for y in rows[:2]]
        np.testing.assert_array_equal(session.run(own), rows[1:])


@pytest.mark.parametrize(
    ("model", "first", "steps", "message"),
    [
        (random_model("gru_after"), [0.0, 0.0], 3, "as many outputs as inputs, got 2 and 3"),
        (replace(GRU, window=Window(steps=4, hop=2)), [0.0, 0.0], 3, "Quantize it with hop=1"),
        (writer_of_text(), [0.0], 3, "expected a model of numbers .* with tokens"),
        (GRU, [0.0], 3, "first: expected 2 finite values"),
        (GRU, [np.nan, 0.0], 3, "Pass what `step` returned"),
        (GRU, [0.0, 0.0], 0, "steps: expected 1 to 10,000, got 0"),
    ],
)
def test_refusals(model, first, steps, message):
    with (
        edgernn.load(model, "reference") as session,
        pytest.raises(DecodingError, match=f"continue_series.*{message}"),
    ):
        continue_series(session, first, steps)
