"""Learning experiments: their tasks, and that the textbooks are right about them."""

import json

import numpy as np
import pytest

from edgernn.errors import EdgeRnnError
from edgernn_export.inspection import clipping, forget_bias, truncated_backpropagation
from edgernn_export.inspection.learning import adding_batch, delayed_stream, recall_batch

pytestmark = pytest.mark.tf


def test_tasks_are_what_they_say():
    rng = np.random.default_rng(0)
    x, y = recall_batch(rng, 50, 7)
    assert x.shape == (50, 8, 2)
    np.testing.assert_array_equal(x[:, 0, :1], y)
    np.testing.assert_array_equal(x[:, :, 1].sum(axis=1), 1.0)
    x, y = adding_batch(rng, 50, 12)
    np.testing.assert_array_equal(x[:, :, 1].sum(axis=1), 2.0)
    np.testing.assert_allclose((x[:, :, 0] * x[:, :, 1]).sum(axis=1, keepdims=True), y)
    x, y = delayed_stream(rng, 4, 30, 5)
    assert x.shape == y.shape == (4, 30, 1)
    np.testing.assert_array_equal(x[:, :25], y[:, 5:])


def test_an_experiment_has_a_table_figures_and_a_picture(tmp_path):
    found = forget_bias(seeds=(3,), distance=3, batches=12)
    assert [variant.name for variant in found.variants] == ["bias 0", "bias 1"]
    for variant in found.variants:
        assert variant.errors.shape == (1,)
        assert variant.curves.shape == (1, 12)
        assert (variant.largest_gradients > 0.0).all()
    assert json.loads(found.to_json())["seeds"] == [3]
    assert "bias 1" in found.table()
    assert found.plot(tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_training_that_diverges_is_counted(tmp_path):
    found = clipping(seeds=(0,), steps=60, batches=40)
    off, on = found["off"], found["norm 1"]
    assert on.diverged == 0
    assert off.largest_gradients[0] > on.largest_gradients[0] or off.diverged
    assert found.plot(tmp_path / "c.png").exists()


@pytest.mark.long
def test_readings_within_a_piece_are_learned_and_those_far_before_it_are_not():
    """A state of 32 units holds no 40 readings by chance."""
    near = truncated_backpropagation(seeds=(0,), lengths=(12,), delay=3, steps=1000)
    far = truncated_backpropagation(seeds=(0,), lengths=(5,), delay=40, steps=500)
    assert near["k = 12"].errors[0] < 0.25
    assert far["k = 5"].errors[0] > 0.9


def test_wrong_numbers_are_refused():
    with pytest.raises(EdgeRnnError, match="got 0 seeds, batches = 0"):
        forget_bias(seeds=(), batches=0)
