"""Normalization in training: the reference's codes, the gradient of the real function."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.models.normalized_rows import KINDS, WIDTHS, constants, normalized, rows

pytestmark = pytest.mark.tf


@pytest.mark.parametrize(("width", "jit"), [(24, True), *((width, False) for width in WIDTHS)])
def test_codes_are_those_of_the_reference(width, jit):
    import tensorflow as tf

    from edgernn_export.compress.qat.arithmetic.normalization import normalized as trained

    made, x = constants(width, 0), rows(width, 60)
    run = tf.function(lambda v: trained(v, made), jit_compile=jit)
    assert np.array_equal(run(x.astype(np.float32)).numpy(), normalized(made, x))


@pytest.mark.parametrize("kind", range(len(KINDS) - 1))
@pytest.mark.parametrize("width", [2, 24, 256])
def test_the_gradient_is_that_of_the_real_function(width, kind):
    import tensorflow as tf

    from edgernn_export.compress.qat.arithmetic.normalization import normalized as trained

    scale, epsilon = KINDS[kind]
    made, x = constants(width, kind), rows(width, 40)[:40].astype(np.float32)
    weights = np.random.default_rng(2).normal(0, 1, x.shape)
    with tf.GradientTape() as tape:
        codes = tf.constant(x)
        tape.watch(codes)
        loss = tf.reduce_sum(trained(codes, made) * weights.astype(np.float32))
    got = tape.gradient(loss, codes).numpy()
    with tf.GradientTape() as tape:
        exact = tf.constant(x, tf.float64)
        tape.watch(exact)
        mean, variance = tf.nn.moments(exact, -1, keepdims=True)
        real = 2048 * (exact - mean) / tf.sqrt(variance + epsilon / scale**2)
        loss = tf.reduce_sum(real * weights)
    wanted = tape.gradient(loss, exact).numpy()
    assert np.abs(got - wanted).max() <= 1e-3 * np.abs(wanted).max()
