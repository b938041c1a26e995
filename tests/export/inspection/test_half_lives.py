"""Half-lives of units against the known decay of linear recurrences and of latches."""

import json
import math

import numpy as np
import pytest

from edgernn.errors import EdgeRnnError
from edgernn_export import quantize
from edgernn_export.float_model import float_run
from edgernn_export.inspection import memory
from edgernn_export.inspection.half_lives import generated_readings, half_lives
from tests.support.models.float import float_model, stream
from tests.support.models.integer import random_model
from tests.support.models.remembering import averages, latch_stream, lstm_latch
from tests.support.models.tokens import token_models


def decay(steps):
    """Half-life of a state that keeps the share steps / (steps + 1)."""
    return math.log(2) / math.log((steps + 1) / steps)


def test_a_linear_recurrence_has_the_half_life_of_its_decay():
    network = averages(3.0, 9.0, 40.0)
    (state, *others) = memory(network, longest=150).states
    np.testing.assert_allclose(state.half_lives, [decay(s) for s in (3, 9, 40)], rtol=1e-6)
    shares = state.left[:, 1]
    np.testing.assert_allclose(shares, 0.9 ** np.arange(151), rtol=1e-6, atol=1e-8)
    assert others == []


def test_integers_have_it_but_for_their_roundings():
    network = averages(3.0, 9.0, 40.0)
    xs = stream(1000, network.inputs)
    model = quantize(network, xs, "w8a16", progress=False)
    found = memory(model, xs, longest=150)
    assert found.arithmetic == "integer"
    (state,) = found.states
    np.testing.assert_allclose(state.half_lives, [decay(s) for s in (3, 9, 40)], rtol=0.05)


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru_after"])
def test_what_is_left_is_the_linear_answer_of_the_network(cell):
    """Against finite differences of the whole network, moment by moment."""
    network, xs = float_model(cell, units=4), stream(60, 3)
    found = memory(network, xs, longest=20, starts=1)
    moment, (layer, *_) = 40, network.layers
    _, state = float_run.run(network, xs[None, :moment])
    step = 1e-5
    for index, one in enumerate(found.states):
        for unit in range(4):
            pushed = [[array.copy() for array in part] for part in state]
            pushed[0][index][0, unit] += step
            kept, moved, shares = state, tuple(tuple(part) for part in pushed), [1.0]
            for x in xs[moment : moment + 20]:
                _, kept = float_run.step(network, x[None], kept)
                _, moved = float_run.step(network, x[None], moved)
                pairs = zip(kept[0], moved[0], strict=True)
                total = sum(float(np.square(b - a).sum()) for a, b in pairs)
                shares.append(math.sqrt(total) / step)
            np.testing.assert_allclose(one.left[:, unit], shares, rtol=1e-3, atol=1e-6)
    assert [one.name for one in found.states] == (
        [f"{layer.name}.h", f"{layer.name}.c"] if cell == "lstm" else [f"{layer.name}.h"]
    )


def test_a_latch_remembers_beyond_the_longest_distance():
    found = memory(lstm_latch(8.0), latch_stream(500, every=1000), longest=100)
    cell = next(one for one in found.states if one.name.endswith(".c"))
    assert np.isinf(cell.half_lives).all()
    assert "> 100" in found.table()
    assert None in json.loads(found.to_json())["states"][1]["half_life_steps"]


def test_half_lives_from_shares():
    left = np.array(
        [[1.0, 1.0, 1.0, 1.0], [0.5, 0.25, 0.4, 0.9], [0.25, 0.0, 0.6, 0.8], [0.125, 0.0, 0.3, 0.0]]
    )
    between = 2 + math.log(0.6 / 0.5) / math.log(0.6 / 0.3)
    expected = [1.0, 0.5, between, 2 + 0.3 / 0.8]
    np.testing.assert_allclose(half_lives(left), expected)
    assert np.isinf(half_lives(np.array([[1.0], [0.7]])))[0]


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru_after", "gru_before"])
def test_integer_states_near_their_ends_are_changed_downwards(cell):
    model = random_model(cell, kind="hostile" if cell == "simple_rnn" else "tame")
    found = memory(model, longest=30, starts=2)
    for state in found.states:
        np.testing.assert_array_equal(state.left[0], 1.0)
        assert np.isfinite(state.left).all()
    assert found.table().count("\n") == 2 + len(found.states)


def test_tokens_are_generated_as_tokens():
    for model in token_models().values():
        xs = generated_readings(model, 50)
        assert len(model.interface().quantize(xs)) == 50


def test_wrong_arguments_are_refused():
    model = random_model("lstm")
    with pytest.raises(EdgeRnnError, match="expected more than 200 steps, got 20"):
        memory(model, np.zeros((20, 3)))
    with pytest.raises(EdgeRnnError, match="at least one step and one moment, got 0 and 4"):
        memory(model, longest=0)


def test_the_picture_is_drawn(tmp_path):
    found = memory(lstm_latch(8.0), longest=50, starts=1)
    assert found.plot(tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
