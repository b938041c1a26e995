"""Wide states and other functions under training: the codes of the integer model, 0 LSB."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn_export import quantize
from edgernn_export.compress.qat import integer_model, qat_model
from tests.support.training.qat_runs import codes, moved, reference_codes

#: Weights are random: some units saturate, or hold for ever.
pytestmark = [
    pytest.mark.sampled(2),
    pytest.mark.tf,
    pytest.mark.filterwarnings("ignore::edgernn.errors.SaturationWarning"),
    pytest.mark.filterwarnings("ignore::edgernn.errors.LongMemoryWarning"),
    pytest.mark.filterwarnings("ignore::edgernn.errors.DepartureWarning"),
    pytest.mark.filterwarnings("ignore::edgernn.errors.WeightBitsWarning"),
]
STEPS = 90
PRECISIONS = ("w8a8", "w8a16", "w4a8")
#: Layers that get wide states: class, options, kind of the record.
WIDE = (
    ("LSTM", {}, "general_lstm"),
    ("LSTM", {"recurrent_activation": "hard_sigmoid"}, "general_lstm"),
    ("GRU", {}, "general_gru_after"),
    ("GRU", {"reset_after": False}, "general_gru_before"),
    ("SimpleRNN", {"activation": "relu"}, "leaky_rnn"),
)
#: Layers of other functions, and the kind of the record.
OTHER = (
    ("LSTM", {"activation": "relu"}, "general_lstm"),
    ("LSTM", {"activation": "softsign", "recurrent_activation": "hard_tanh"}, "general_lstm"),
    ("GRU", {"activation": "softsign"}, "general_gru_after"),
    ("GRU", {"activation": "silu", "reset_after": False}, "general_gru_before"),
    ("SimpleRNN", {"activation": "elu"}, "general_rnn"),
)


def readings(streams, steps, seed):
    return np.random.default_rng(seed).normal(size=(streams, steps, 3)).astype(np.float32)


def network(cell, options, *behind):
    import keras

    keras.utils.set_random_seed(7)
    la = keras.layers
    recurrent = getattr(la, cell)(6, return_sequences=True, **options)
    layers = [keras.Input((None, 3)), recurrent, *(make(la) for make in behind), la.Dense(2)]
    return keras.Sequential(layers)


def differing(model, xs):
    return np.count_nonzero(codes(model, xs) != reference_codes(integer_model(model), xs))


def trained(float_model, precision, **options):
    """The integer model of moved weights, after a check of its codes and of those before."""
    xs = readings(2, STEPS, 1)
    model = qat_model(
        float_model, readings(3, 100, 2), precision, stream="endless", progress=False, **options
    )
    start = integer_model(model)
    assert differing(model, xs) == 0
    assert differing(moved(model, xs), xs) == 0
    assert integer_model(model).layers != start.layers
    return start


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("cell", "options", "kind"), WIDE)
def test_wide_states(cell, options, kind, precision):
    model = trained(network(cell, options), precision, state="32")
    assert (model.layers[0].kind, model.layers[0].is_wide) == (kind, True)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("cell", "options", "kind"), OTHER)
def test_other_functions(cell, options, kind, precision):
    model = trained(network(cell, options), precision)
    assert (model.layers[0].kind, model.layers[0].is_wide) == (kind, False)


def test_functions_between_layers_stay_as_calibrated():
    float_model = network(
        "GRU", {}, lambda la: la.Dense(4, activation="gelu"), lambda la: la.PReLU(shared_axes=[1])
    )
    model = trained(float_model, "w8a8")
    assert [la.kind for la in model.layers if la.kind in ("pointwise", "prelu")] == [
        "pointwise", "prelu",
    ]  # fmt: skip


@pytest.mark.parametrize("precision", ("w8a8", "w4a8"))
def test_layer_normalizations_between_layers_stay_as_calibrated(precision):
    norm = [lambda la: la.LayerNormalization(), lambda la: la.Dense(4)]
    model = trained(network("GRU", {}, *norm, norm[0]), precision)
    assert [la.kind for la in model.layers if not la.affines] == ["layer_norm"] * 2


@pytest.mark.parametrize(("cell", "options"), [("LSTM", {}), ("GRU", {"reset_after": False})])
def test_training_starts_at_the_wide_model(cell, options):
    float_model, calibration = network(cell, options), readings(3, 60, 2)
    kept = {"stream": "endless", "state": "32", "progress": False}
    start = integer_model(qat_model(float_model, calibration, "w8a16", **kept))
    assert start.layers == quantize(float_model, calibration, "w8a16", **kept).layers
