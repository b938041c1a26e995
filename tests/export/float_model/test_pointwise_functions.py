"""Pointwise functions in real numbers: those of Keras, in NumPy and in keras.ops."""

import keras
import numpy as np
import pytest

from edgernn.model.functions.pointwise import POINTWISE, PointwiseFunction
from edgernn_export.cells.keras_cell import _KERAS
from edgernn_export.float_model.cells import NUMPY
from edgernn_export.float_model.functions.pointwise import pointwise

A, OPS = keras.activations, keras.ops
XS = np.concatenate([np.linspace(-12.0, 12.0, 4001), [-700.0, -100.0, 100.0, 0.0, 1.0, -1.0]])
#: Where Keras has another name, or its default is another one.
ORACLES = {
    "celu": OPS.celu,
    "clip": lambda x: OPS.clip(x, -1.0, 1.0),
    "gelu": lambda x: A.gelu(x, approximate=False),
    "gelu_tanh": lambda x: A.gelu(x, approximate=True),
    "hard_sigmoid_keras2": lambda x: OPS.clip(0.2 * x + 0.5, 0.0, 1.0),
    "hard_silu": OPS.hard_silu,
    "ramp": lambda x: x,
    "scaled_tanh": lambda x: 1.7159 * OPS.tanh(x * (2.0 / 3.0)),
    "threshold": lambda x: OPS.threshold(x, 0.0, 0.0),
}
#: Parameters other than the usual ones, and what Keras makes of them.
PARAMETERS = [
    ("relu", {"max_value": 6.0}, lambda x: A.relu(x, max_value=6.0)),
    ("relu", {"negative_slope": 0.25}, lambda x: A.relu(x, negative_slope=0.25)),
    ("relu", {"threshold": 1.0}, lambda x: A.relu(x, threshold=1.0)),
    (
        "relu",
        {"threshold": 2.0, "max_value": 3.0, "negative_slope": 0.5},
        lambda x: A.relu(x, threshold=2.0, max_value=3.0, negative_slope=0.5),
    ),
    (
        "relu",
        {"threshold": -1.0, "max_value": 3.0},
        lambda x: A.relu(x, threshold=-1.0, max_value=3.0),
    ),
    ("elu", {"alpha": 0.3}, lambda x: A.elu(x, alpha=0.3)),
    ("celu", {"alpha": 0.3}, lambda x: OPS.celu(x, alpha=0.3)),
    ("squareplus", {"b": 1.0}, lambda x: OPS.squareplus(x, b=1)),
    ("soft_shrink", {"threshold": 1.5}, lambda x: OPS.soft_shrink(x, threshold=1.5)),
    ("hard_shrink", {"threshold": 1.5}, lambda x: OPS.hard_shrink(x, threshold=1.5)),
    ("threshold", {"threshold": 0.5, "value": -2.0}, lambda x: OPS.threshold(x, 0.5, -2.0)),
    ("clip", {"low": -3.0, "high": 0.5}, lambda x: OPS.clip(x, -3.0, 0.5)),
    (
        "ramp",
        {"slope": 0.5, "offset": -1.0, "low": -3.0, "high": 0.5},
        lambda x: OPS.clip(0.5 * x - 1.0, -3.0, 0.5),
    ),
    ("tanh", {"limit": 0.5}, lambda x: OPS.tanh(OPS.clip(x, -0.5, 0.5))),
    ("silu", {"limit": 2.0}, lambda x: OPS.silu(OPS.clip(x, -2.0, 2.0))),
]


def compared(function, oracle):
    """Largest distance of both libraries from Keras, in units of the value where that is large."""
    xs = OPS.convert_to_tensor(XS, "float64")
    wanted = np.asarray(oracle(xs))
    unit = np.maximum(1.0, np.abs(wanted))
    made = [pointwise(NUMPY, function, XS), np.asarray(pointwise(_KERAS, function, xs))]
    assert all(np.isfinite(one).all() for one in made)
    return max(float(np.max(np.abs(one - wanted) / unit)) for one in made)


@pytest.mark.parametrize("name", POINTWISE)
def test_a_function_is_that_of_keras(name):
    oracle = ORACLES.get(name) or getattr(A, name)
    # Keras takes constants of gelu in single precision.
    assert compared(PointwiseFunction.of(name), oracle) < (1e-8 if "gelu" in name else 1e-14)


@pytest.mark.parametrize(("name", "given", "oracle"), PARAMETERS)
def test_parameters_are_those_of_keras(name, given, oracle):
    assert compared(PointwiseFunction.of(name, **given), oracle) < 1e-14


@pytest.mark.parametrize("name", POINTWISE)
def test_gradients_are_finite_far_out(name):
    """A branch that is not taken has no gradient that spoils the other one."""
    import tensorflow as tf

    xs = tf.constant([-90.0, -1.0, 0.0, 1.0, 60.0])
    with tf.GradientTape() as tape:
        tape.watch(xs)
        total = OPS.sum(pointwise(_KERAS, PointwiseFunction.of(name), xs))
    assert np.isfinite(np.asarray(tape.gradient(total, xs))).all()
