"""Integers that learn to answer as the float network does, with labels or without."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import DistillationError
from edgernn_export.compress.distillation.losses import soft_binary_targets, soft_targets
from edgernn_export.compress.qat import integer_model, qat_model
from tests.support.training.qat_networks import NETWORKS
from tests.support.training.qat_networks import network as of_name
from tests.support.training.qat_runs import codes, fed, network, recurrent, reference_codes, streams

pytestmark = pytest.mark.tf


def forecaster(**options):
    import keras

    return network(recurrent("gru_after", **options), keras.layers.Dense(2))


def answers(model, xs):
    import keras

    return [np.asarray(part) for part in keras.tree.flatten(model(fed(model, xs)))]


def distance(model, float_model, xs):
    pairs = zip(answers(model, xs), answers(float_model, xs), strict=True)
    return sum(float(np.mean(np.square(a - b))) for a, b in pairs)


def test_fit_without_labels_comes_closer_to_the_float_network():
    import keras

    float_model, xs, unseen = forecaster(), streams(16, 20), streams(8, 40, seed=50)
    model = qat_model(float_model, xs, "w4a8", distil_from=True)
    before = distance(model, float_model, unseen)
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    kept = [np.array(variable) for variable in float_model.weights]
    model.fit(xs, epochs=10, batch_size=4, verbose=0)
    assert distance(model, float_model, unseen) < 0.9 * before
    assert np.array_equal(codes(model, unseen), reference_codes(integer_model(model), unseen))
    for variable, value in zip(float_model.weights, kept, strict=True):
        assert np.array_equal(variable, value)
    own = len(qat_model(float_model, xs, "w4a8").weights)
    assert len(model.weights) == own  # the float network's are no part of it


def test_the_loss_is_the_share_of_the_teacher_beside_that_of_the_labels():
    """Softmax, sigmoid and values, each as its own formula says; labels with the rest."""
    import keras
    from keras import ops

    la = keras.layers
    given = keras.Input((None, 3))
    hidden = la.GRU(4, return_sequences=True)(given)
    heads = {"kind": "softmax", "alarm": "sigmoid", "level": None}
    float_model = keras.Model(given, [la.Dense(2, a, name=n)(hidden) for n, a in heads.items()])
    xs = streams(4, 15)
    model = qat_model(float_model, xs, distil_from=float_model, distil_weight=0.25, temperature=2.0)
    losses = {"kind": "sparse_categorical_crossentropy", "alarm": "binary_crossentropy",
              "level": "mae"}  # fmt: skip
    model.compile(
        "sgd", losses, loss_weights={"kind": 0.5, "alarm": 1.0, "level": 1.0}, jit_compile=False
    )
    labels = [np.zeros((4, 15)), np.ones((4, 15, 2)), np.ones((4, 15, 2))]
    made, wanted = answers(model, xs), answers(float_model, xs)

    def logit(p):
        return np.log(p) - np.log(1 - p)

    teacher = (
        0.5 * soft_targets(np.log(made[0]), np.log(wanted[0]), 2.0)
        + soft_binary_targets(logit(made[1]), logit(wanted[1]), 2.0)
        + np.mean(np.abs(made[2] - wanted[2]))
    )
    x, y = fed(model, xs), {n: ops.convert_to_tensor(v) for n, v in zip(heads, labels, strict=True)}
    hard = model.compute_loss(x, y, model(x), training=False)
    assert float(model.compute_loss(x, None, model(x))) == pytest.approx(float(teacher), rel=1e-3)
    both = 0.25 * float(teacher) + 0.75 * float(hard)
    assert float(model.compute_loss(x, y, model(x))) == pytest.approx(both, rel=1e-3)


@pytest.mark.parametrize("name", ["pairs", "branches", "last step"])
def test_all_that_is_trained_can_be_taught(name):
    """Tokens, several inputs and outputs, the last step alone; no loss need be named."""
    import keras

    float_model, xs = of_name(name), NETWORKS[name][1](4, 20, 1)
    model = qat_model(float_model, xs, "w4a8", distil_from=True, stream="endless")
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:  # away from the float network, which it is close to
        variable.assign(variable + 0.2 * rng.normal(size=variable.shape))
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    history = model.fit(fed(model, xs), epochs=6, batch_size=2, shuffle=False, verbose=0).history
    assert set(history) == {"loss"}
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.long
def test_labels_may_come_after_training_without():
    import keras

    float_model = network(recurrent("lstm"), keras.layers.Dense(3, "softmax"))
    xs, labels = streams(4, 15), np.zeros((4, 15), int)
    model = qat_model(float_model, xs, distil_from=True)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert set(model.fit(xs, epochs=1, verbose=0).history) == {"loss"}
    assert set(model.fit(xs, labels, epochs=1, verbose=0).history) == {"loss", "accuracy"}
    assert len(model.evaluate(xs, labels, verbose=0)) == 2


def test_another_network_teaches_from_its_file(tmp_path):
    large, xs = forecaster(units=12), streams(4, 15)
    large.save(tmp_path / "large.keras")
    model = qat_model(forecaster(units=3), xs, distil_from=tmp_path / "large.keras")
    model.compile("adam", "mse", jit_compile=False)
    loss = model.evaluate(xs, verbose=0)
    wanted = np.mean(np.square(answers(model, xs)[0] - answers(large, xs)[0]))
    assert loss == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"distil_from": True, "distil_weight": 0.0}, r"distil_weight: .* above 0"),
        ({"distil_from": True, "temperature": -1.0}, "temperature: expected a number above 0"),
        ({"distil_from": 3}, "distil_from: expected True, a Sequential or Functional model or a"),
    ],
)
def test_what_cannot_teach_is_refused(options, words):
    with pytest.raises(DistillationError, match=words):
        qat_model(forecaster(), streams(2, 40), **options)


def test_teachers_that_do_not_fit_are_refused():
    import keras

    xs = streams(2, 40)
    wide = network(recurrent("gru_after"), keras.layers.Dense(5))
    with pytest.raises(DistillationError, match=r"outputs of widths \[2\] .* got \[5\]"):
        qat_model(forecaster(), xs, distil_from=wide)
    going_on = network(recurrent("gru_after", stateful=True), keras.layers.Dense(2), batch=2)
    with pytest.raises(DistillationError, match=r"got stateful=True\. Build it with"):
        qat_model(going_on, xs, distil_from=True)
    model = qat_model(forecaster(), xs, distil_from=True)
    model.compile("adam", jit_compile=False)
    with pytest.raises(DistillationError, match="expected a loss for the labels, got none"):
        model.fit(xs, np.zeros((2, 40, 2)), verbose=0)
