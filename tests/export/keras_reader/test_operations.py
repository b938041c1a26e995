"""Constants beside tensors and activations as functions: read alike, alive and stored."""

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.float_run import run, with_softmax
from edgernn_export.keras_reader import read_keras
from tests.support.models.keras import randomised, readings

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L, ops = keras.layers, keras.ops
pytestmark = pytest.mark.tf

PER_FEATURE = np.array([0.5, -2.0, 3.0], dtype=np.float32)
#: What a Dense reads.
CONSTANTS = {
    "twice": lambda x: 2 * x,
    "times": lambda x: x * 0.3,
    "third": lambda x: x / 3,
    "quotient": lambda x: ops.divide(x, np.float32(-4.0)),
    "complement": lambda x: 1 - x,
    "less": lambda x: x - 0.25,
    "more": lambda x: x + 0.5,
    "before": lambda x: 0.75 + x,
    "minus": lambda x: -x,
    "of features": lambda x: ops.subtract(PER_FEATURE, x),
    "array": lambda x: x * PER_FEATURE[None, None],
    "tensor": lambda x: x / ops.convert_to_tensor(PER_FEATURE),
    "in a row": lambda x: 1 - 2 * x / 5,
}
#: What stands behind a linear Dense.
ACTIVATIONS = {
    "relu": keras.activations.relu,
    "ops.relu": ops.relu,
    "tanh": keras.activations.tanh,
    "sigmoid": ops.sigmoid,
    "mixed": lambda x: 0.5 - keras.activations.relu(1 - x),
    "softmax": keras.activations.softmax,
}


def all_of_them():
    given = keras.Input((None, 3))
    hidden = L.GRU(3, return_sequences=True)(given)
    outputs = [L.Dense(2)(make(hidden)) for make in CONSTANTS.values()]
    for name, make in ACTIVATIONS.items():
        made = make(L.Dense(3)(hidden))
        outputs.append(L.Dense(3)(made) if name == "mixed" else made)
    outputs.append(L.Dense(2)(ops.hypot(hidden, 1 - hidden)))
    outputs.append(L.Dense(2)(hidden[..., :1] * (1 - hidden)))  # a merge takes the constant up
    return randomised(keras.Model(given, outputs))


def test_operations_are_read_alike_alive_and_stored(tmp_path):
    model, xs = all_of_them(), readings(2, 7, 3)
    wanted = np.concatenate(model.predict(xs, verbose=0), axis=-1)
    read = read_keras(model)
    np.testing.assert_allclose(with_softmax(read, run(read, xs)[0]), wanted, rtol=0, atol=1e-6)
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"m{suffix}")
        assert read_keras(tmp_path / f"m{suffix}").sha256 == read.sha256


REFUSED = {
    "quotient": (lambda x: 3 / x, "got a constant divided by a tensor"),
    "zero": (lambda x: x / 0, "expected a tensor and a finite constant other than 0, got 0."),
    "nan": (lambda x: x + float("nan"), "expected a tensor and a finite constant, got nan."),
    "steps": (lambda x: x * np.ones((7, 1), np.float32), "one number per feature"),
    "widened": (lambda x: x[..., :1] * PER_FEATURE, "one number per feature"),
    "joining": (lambda x: keras.activations.glu(x[..., :2]), "got Glu"),
    "over time": (lambda x: ops.softmax(x, axis=1), "got axis=1"),
    "of layers": (lambda x: ops.reshape(x, (-1, 7, 3)), "Use the layer keras.layers.Reshape"),
    "behind": (lambda x: 100 * ops.softmax(x), "got a layer after the softmax"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_operations_are_refused_alike(name, tmp_path):
    make, text = REFUSED[name]
    given = keras.Input((7, 3))
    made = make(L.Dense(3)(L.GRU(3, return_sequences=True)(given)))
    model = keras.Model(given, made if "soft" in text else L.Dense(2)(made))
    model.save(tmp_path / "m.keras")
    reasons = []
    for source in (model, tmp_path / "m.keras"):
        with pytest.raises(UnsupportedModelError) as caught:
            read_keras(source)
        reasons.append(caught.value.reasons)
    assert len(reasons[0]) == 1
    assert text in reasons[0][0]
    assert [reason.partition(", got ")[0] for reason in reasons[1]] == [
        reasons[0][0].partition(", got ")[0]
    ]
