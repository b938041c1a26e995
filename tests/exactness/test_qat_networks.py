"""Networks under training and the integer models taken from them give the same codes: 0 LSB."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn_export import quantize
from edgernn_export.compress.qat import integer_model, qat_model
from edgernn_export.keras_reader import read_keras
from tests.support.training.qat_networks import NETWORKS, convolutions, network
from tests.support.training.qat_runs import codes, moved, reference_codes

pytestmark = [pytest.mark.sampled(2), pytest.mark.tf]
STEPS = 90
#: Layers whose numbers training does not change: they have none, or merge what is there.
CONSTANT = ("delay", "merge")


def differing(model, xs, **options):
    """Codes that are not those of the reference, at the steps that the network answers."""
    made = codes(model, xs, **options)
    wanted = reference_codes(integer_model(model), xs)
    return np.count_nonzero(made != (wanted if made.ndim == 3 else wanted[:, -1]))


CASES = [
    *((name, "w8a8") for name in NETWORKS if name != "last step"),
    *((name, "w8a16") for name in ("last step", "shared", "tokens")),
]


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_moved_weights_give_the_codes_of_the_reference(name, precision):
    float_model, readings = network(name), NETWORKS[name][1]
    xs = readings(2, STEPS, 1)
    model = qat_model(float_model, readings(3, 100, 2), precision, stream="endless")
    before = integer_model(model)
    assert differing(model, xs) == 0
    assert differing(moved(model, xs), xs) == 0
    after = integer_model(model)
    assert (after.input, after.output, after.routes) == (before.input, before.output, before.routes)
    for old, new in zip(before.layers, after.layers, strict=True):
        trained = old.kind not in CONSTANT or old.name in ("depthwise", "separable_depthwise")
        assert trained or old.name.startswith("taps") or old == new, old.name
        assert not trained or old != new, old.name


@pytest.mark.parametrize(("name", "precision"), [("convolutions", "w4a16"), ("tokens", "w4a8")])
def test_four_bits_compiled_by_xla(name, precision):
    readings = NETWORKS[name][1]
    xs = readings(2, 30, 1)
    model = qat_model(network(name), readings(3, 100, 2), precision, stream="endless")
    assert differing(moved(model, xs), xs, jit=True) == 0


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"shared"}))
def test_training_starts_at_the_post_training_model(name):
    """In w8a16, whose biases float32 holds."""
    float_model, calibration = network(name), NETWORKS[name][1](3, 60, 2)
    start = integer_model(qat_model(float_model, calibration, "w8a16", stream="endless"))
    rounded = quantize(float_model, calibration, "w8a16", stream="endless")
    assert start.layers == rounded.layers
    assert (start.input, start.output, start.routes, start.window) == (
        rounded.input, rounded.output, rounded.routes, rounded.window,
    )  # fmt: skip


def test_a_stateful_network_goes_on_where_the_last_batch_ended():
    """Rows of convolutions are states as those of recurrent layers are."""
    import keras

    la = keras.layers
    float_model = keras.Sequential(
        [
            keras.Input((None, 3), batch_size=2),
            la.Normalization(mean=[1.0, 0.0, -2.0], variance=[1.0, 2.0, 1.0]),
            la.Conv1D(4, 3, padding="causal", dilation_rate=2),
            la.GRU(4, return_sequences=True, stateful=True),
        ]
    )
    xs = NETWORKS["convolutions"][1](2, 40, 1)
    model = qat_model(float_model, xs)
    scale = integer_model(model).output.scale
    wanted = reference_codes(integer_model(model), xs)

    def answered(*ends):
        parts = np.split(xs.astype(np.float32), ends, axis=1)
        return np.concatenate([np.asarray(model(part)) for part in parts], axis=1) / scale

    assert np.array_equal(answered(1, 3, 25), wanted)
    assert not np.array_equal(answered(), wanted)  # it went on
    for layer in model.layers:
        if hasattr(layer, "reset_state"):
            layer.reset_state()
    assert np.array_equal(answered(), wanted)


def test_layers_of_one_layer_keep_its_weights():
    """What Keras calls twice has one set of weights, whatever scales its input and its output."""
    trained = read_keras(network("shared"))
    assert [[use.layer for use in uses] for uses in trained.shared] == [[0, 2], [1, 3], [5, 7]]
    xs = NETWORKS["shared"][1](3, 60, 2)
    model = qat_model(network("shared"), xs, "w8a16")
    count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    # A GRU has one bias of z and r: what is multiplied by one, or added to one, is the same.
    assert count == trained.layers[0].parameters - 8 + 15 + 9
    first, second = (model.get_layer(name).cell for name in ("gru", "gru_2"))
    assert first.kernel is second.kernel
    assert first.recurrent_bias is second.recurrent_bias


def test_convolutions_alone_answer_at_the_last_step():
    xs = NETWORKS["convolutions"][1](3, 50, 2)
    model = qat_model(convolutions(last_step=True), xs, stream="endless")
    assert codes(model, xs).shape == (3, 2)
    assert differing(model, xs) == 0
