"""Networks in quantization-aware training: gradients, fits by names, what is gained and refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn.graph.lowering import lowered
from edgernn.model.formats import Precision
from edgernn.model.layers import Delay
from edgernn_export import quantize
from edgernn_export.compress.pruning import MagnitudePruning
from edgernn_export.compress.qat import integer_model, qat_model
from edgernn_export.keras_reader import read_keras
from tests.support.training.qat_networks import NETWORKS, network
from tests.support.training.qat_runs import codes, fed, gradients, reference_codes

pytestmark = pytest.mark.tf


def agree(made, wanted):
    """Whether gradients are one another's, but for the noise of 16 bits."""
    a, b = made.ravel(), wanted.ravel()
    cosine = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    return cosine > 0.999 and 0.97 < np.linalg.norm(a) / np.linalg.norm(b) < 1.03


def both_gradients(name):
    """Of the training graph in w8a16 and of the float network, by the paths of the variables."""
    float_model = network(name)
    xs = NETWORKS[name][1](3, 40, 5)
    model = qat_model(float_model, xs, "w8a16")
    ys = np.random.default_rng(0).normal(size=(3, 40, read_keras(float_model).outputs))
    found = [
        dict(zip([v.path for v in one.trainable_variables], gradients(one, xs, ys), strict=True))
        for one in (model, float_model)
    ]
    return model, *found


def in_keras_units(gradient, of_bias, unit, middle):
    """The gradient of a kernel that acts on values, from that of one in units from a mean."""
    return gradient * unit[:, None] + middle[:, None] * of_bias


def test_gradients_of_convolutions_are_those_of_the_float_network():
    model, made, wanted = both_gradients("convolutions")
    taps = model.get_layer("depthwise").integers.columns
    kernel = made["depthwise/kernel"]
    real = in_keras_units(
        kernel.reshape(-1, 1), np.tile(made["depthwise/bias"], 3)[:, None], taps.unit, taps.mean
    ).reshape(kernel.shape)
    assert agree(real[::-1], wanted["depthwise/kernel"][..., 0])
    assert agree(made["separable_depthwise/kernel"][::-1], wanted["separable/depthwise_kernel"])
    assert agree(made["separable/kernel"], wanted["separable/pointwise_kernel"][0])
    mixed = model.get_layer("over_both").integers.columns
    assert sorted(set(mixed.are_codes)) == [False, True]
    real = in_keras_units(made["over_both/kernel"], made["over_both/bias"], mixed.unit, mixed.mean)
    assert agree(real, wanted["over_both/kernel"][::-1].reshape(real.shape))


def test_gradients_of_tables_are_those_of_the_float_network():
    """Two channels look up the same table: their gradients add up."""
    model, made, wanted = both_gradients("tokens")
    assert agree(made["table/embeddings"], wanted["table/embeddings"])
    assert [layer.name for layer in model.layers if "table" in layer.name].count("table_2") == 1


def test_gradients_of_shared_layers_add_up_over_their_calls():
    model, made, wanted = both_gradients("shared")
    use = read_keras(network("shared")).shared[0][0]
    columns = model.get_layer("gru").cell.integers.columns
    real = in_keras_units(
        made["gru/gru_after/kernel"],
        made["gru/gru_after/bias"],
        use.gain * columns.unit,
        use.gain * columns.mean + use.offset,
    )
    assert agree(real, wanted["gru/gru_cell/kernel"])
    assert agree(made["gru/gru_after/recurrent_kernel"], wanted["gru/gru_cell/recurrent_kernel"])
    scaled = np.array([2.0, -1.0, 0.5])  # by the Rescaling behind its first call
    assert agree(made["dense/kernel"] * scaled, wanted["dense/kernel"])
    assert agree(made["dense/bias"] * scaled, wanted["dense/bias"])
    assert agree(made["taps/kernel"][::-1], wanted["taps/kernel"][..., 0])


def test_rows_of_all_steps_are_those_of_step_after_step():
    """The graph of a delay is what the layer of the training graph computes at once."""
    import tensorflow as tf

    from edgernn_export.compress.qat.interpreter import TrainingInterpreter
    from edgernn_export.compress.qat.value_layers import QatDelay

    record = Delay(name="rows", inputs=2, units=8, codes=False, start=np.array([5, -7], np.int16))
    step = TrainingInterpreter(lowered(Precision.W8A8, (record,)))
    xs = tf.constant(np.random.default_rng(0).integers(-99, 99, (3, 6, 2)), tf.float32)
    states = (tf.tile(tf.constant([[5.0, -7.0] * 4]), (3, 1)),)
    wanted = []
    for t in range(6):
        row, states = step({}, {}, states, read=xs[:, t])
        wanted.append(row)
    made = QatDelay(record, batch=None, last_step=False)(xs)
    assert np.array_equal(made, np.stack(wanted, axis=1))


def test_inputs_and_outputs_are_fitted_by_name():
    """With pruning of a layer that has another one's weights beside it."""
    float_model = network("branches")
    xs = NETWORKS["branches"][1](8, 20, 1)
    model = qat_model(float_model, xs)
    assert (model.output_names, len(model.outputs)) == (["level", "kind"], 2)
    model.compile(
        "adam", {"level": "mse", "kind": "sparse_categorical_crossentropy"}, jit_compile=False
    )
    targets = {"level": np.zeros((8, 20, 2)), "kind": np.zeros((8, 20), int)}
    readings = dict(zip(["a", "b"], fed(model, xs), strict=True))
    pruning = MagnitudePruning(0.5, end_step=1, frequency=1, layers=["gru", "first"])
    history = model.fit(
        readings, targets, epochs=3, batch_size=4, verbose=0, callbacks=[pruning]
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert {"level_loss", "kind_loss"} < set(history)
    integer = integer_model(model)
    assert integer.provenance.settings[-1] == ("training", "quantization-aware")
    assert [port.name for port in integer.output.ports] == ["level", "kind"]
    assert np.array_equal(codes(model, xs), reference_codes(integer, xs))
    level, kind = model.predict(readings, verbose=0)
    assert np.allclose(kind.sum(axis=-1), 1.0)
    assert np.allclose(level, reference_codes(integer, xs)[..., :2] * integer.output.scale[:2])
    first = next(layer for layer in integer.layers if layer.name == "first")
    assert np.count_nonzero(first.out.terms[0].weights) <= 6


def test_weights_of_networks_are_saved_and_loaded(tmp_path):
    xs = NETWORKS["tokens"][1](2, 40, 1)
    model = qat_model(network("tokens"), xs)
    for variable in model.trainable_variables:
        variable.assign(variable * 0.9)
    model.save_weights(tmp_path / "qat.weights.h5")
    again = qat_model(network("tokens"), xs)
    assert integer_model(again).layers != integer_model(model).layers
    again.load_weights(tmp_path / "qat.weights.h5")
    assert integer_model(again).layers == integer_model(model).layers
    with pytest.raises(TrainingError, match="save_weights"):
        model.save(tmp_path / "qat.keras")


@pytest.mark.parametrize(
    "name",
    [
        "convolutions",
        pytest.param("tokens", marks=pytest.mark.slow),
        pytest.param("branches", marks=pytest.mark.long),
        pytest.param("shared", marks=pytest.mark.long),
    ],
)
def test_training_does_not_lose_against_rounding(name):
    """The integers learn the answers of a float network; unseen streams judge."""
    import keras

    keras.utils.set_random_seed(0)
    float_model, readings = network(name), NETWORKS[name][1]
    xs, unseen = readings(32, 20, 1), readings(8, 40, 50)

    def flat(model, streams):
        answers = model(fed(model, streams))
        return np.concatenate([np.asarray(part) for part in keras.tree.flatten(answers)], -1)

    model = qat_model(float_model, xs)

    def error():
        return np.mean(np.square(flat(model, unseen) - flat(float_model, unseen)))

    before = error()
    falling = keras.optimizers.schedules.CosineDecay(5e-4, 40)
    model.compile(keras.optimizers.Adam(falling), "mse", jit_compile=False)
    taught = keras.tree.map_structure(np.asarray, float_model(fed(float_model, xs)))
    model.fit(fed(model, xs), taught, epochs=10, batch_size=8, verbose=0)
    assert error() < before


@pytest.mark.parametrize("options", [{"strides": 2, "padding": "causal"}, {"padding": "valid"}])
def test_networks_that_answer_some_readings_are_refused(options):
    import keras

    la = keras.layers
    float_model = keras.Sequential(
        [keras.Input((None, 3)), la.Conv1D(3, 2, **options), la.GRU(3, return_sequences=True)]
    )
    xs = NETWORKS["convolutions"][1](3, 60, 1)
    with pytest.raises(TrainingError, match=r"got one answer .* and without strides"):
        qat_model(float_model, xs)


def test_a_shared_layer_behind_a_scaling_by_zero_is_refused():
    import keras

    la = keras.layers
    given = keras.Input((None, 3))
    gru = la.GRU(3, return_sequences=True, name="gru")
    twice = gru(la.Rescaling([1.0, 0.0, 1.0])(gru(given)))
    float_model = keras.Model(given, la.Dense(2)(twice))
    xs = NETWORKS["convolutions"][1](3, 60, 1)
    quantize(float_model, xs)
    with pytest.raises(TrainingError, match=r"gru_2: .* got a gain of 0\. Train without"):
        qat_model(float_model, xs)
