"""Straight-through gradients are those of the float network, but for the noise of rounding."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn_export.compress.qat import qat_model
from tests.support.models.keras import readings
from tests.support.training.qat_runs import CELLS, gradients, network, recurrent, streams

pytestmark = pytest.mark.tf


def cosine(a, b):
    return float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)))


def unit_streams():
    """Streams from -1 to 1 with the mean 0: kernels then act on the readings as such."""
    xs = np.clip(streams(2, 40) / 3.0, -1.0, 1.0)
    xs[0, 0] = 1.0
    return np.concatenate([xs, -xs])


CASES = [*((cell, "w8a8") for cell in CELLS), ("lstm", "w8a16"), ("gru_before", "w8a16")]


@pytest.mark.parametrize(("cell", "precision"), CASES)
def test_gradients_are_those_of_the_float_network(cell, precision):
    import keras

    share = 0.3 if cell == "simple_rnn_relu" else 0.6
    head = [keras.layers.Dense(3, "sigmoid"), keras.layers.Dense(3, "tanh"), keras.layers.Dense(2)]
    float_model = network(recurrent(cell), *head, share=share)
    xs, ys = unit_streams(), readings(4, 40, 2)
    model = qat_model(float_model, xs, precision)
    made = dict(zip(paths(model), gradients(model, xs, ys), strict=True))
    wanted = dict(zip(paths(float_model), gradients(float_model, xs, ys), strict=True))
    pairs = [(a, b) for a, b in zip(made.values(), matched(cell, wanted), strict=True)]
    for a, b in pairs:
        assert np.isfinite(a).all()
        assert np.all(a != 0.0) or cell == "simple_rnn_relu"  # a unit may rest below zero
        assert cosine(a, b) > (0.95 if precision == "w8a8" else 0.999)


def paths(model):
    return [variable.path for variable in model.trainable_variables]


def matched(cell, wanted):
    """Gradients of the float network, the GRU's two biases as the integer model has them."""
    for gradient in wanted.values():
        if cell in ("gru_after", "gru_hard") and gradient.shape[0] == 2 and gradient.ndim == 2:
            yield gradient[0]
            yield gradient[1, 12:]
        else:
            yield gradient


def test_weights_beyond_the_largest_code_can_still_move():
    import tensorflow as tf

    from edgernn_export.compress.qat.arithmetic.integers import codes_of

    weights = tf.constant([[2.0, 2.0, -2.0, -2.0, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(weights)
        codes = codes_of(weights, tf.constant([100.0] * 5), 127.0)
        loss = tf.reduce_sum(codes * [[-1.0, 1.0, -1.0, 1.0, 1.0]])
    assert np.array_equal(np.asarray(codes), [[127.0, 127.0, -127.0, -127.0, 50.0]])
    assert np.array_equal(
        np.asarray(tape.gradient(loss, weights)), [[-100.0, 100.0, -100.0, 100.0, 100.0]]
    )


def test_saturated_codes_pass_no_gradient():
    import tensorflow as tf

    from edgernn.model.formats import Precision
    from edgernn_export.compress.qat.arithmetic import straight_through as st

    def slope(clause, *codes):
        values = [tf.constant([float(code)]) for code in codes]
        with tf.GradientTape() as tape:
            tape.watch(values[0])
            made = clause(*values)
        return float(tape.gradient(made, values[0])[0])

    assert slope(st.saturating_sum, 30000, 1000) == 1.0
    assert slope(st.saturating_sum, 32000, 1000) == 0.0
    assert slope(st.hard_sigmoid, 3000) == pytest.approx(32.0 / 6.0)
    assert slope(st.hard_sigmoid, 3100) == 0.0
    assert slope(lambda v: st.operand(v, Precision.W8A8), 32000) == 1 / 256
    assert slope(lambda v: st.operand(v, Precision.W8A8), 32767) == 0.0
    assert slope(st.sigmoid, 0) == pytest.approx(8.0, rel=1e-3)
    assert slope(st.tanh, 0) == pytest.approx(32.0, rel=1e-3)
