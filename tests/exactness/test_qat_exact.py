"""The training graph and the integer model taken from it give the same codes: 0 LSB."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn_export import quantize
from edgernn_export.cells import RegisteredCell
from edgernn_export.compress.qat import integer_model, qat_model
from tests.support.models.registered import ALL_CELLS, inner_widths
from tests.support.training.qat_runs import (
    CELLS,
    codes,
    gradients,
    moved,
    network,
    recurrent,
    reference_codes,
    streams,
)

pytestmark = [pytest.mark.sampled(2), pytest.mark.tf]
STEPS = 220


def differing(model, xs, **options):
    return np.count_nonzero(
        codes(model, xs, **options) != reference_codes(integer_model(model), xs)
    )


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize("cell", CELLS)
def test_moved_weights_give_the_codes_of_the_reference(cell, precision):
    import keras

    share = 0.4 if cell == "simple_rnn_relu" else 0.8
    float_model = network(recurrent(cell), keras.layers.Dense(2), share=share)
    xs = streams(2, STEPS)
    model = qat_model(float_model, streams(4, 100, seed=2), precision)
    before = integer_model(model)
    assert differing(moved(model, xs), xs) == 0
    after = integer_model(model)
    assert after.layers[0] != before.layers[0]


@pytest.mark.parametrize("precision", ["w4a8", "w4a16"])
def test_stacked_layers_of_four_bits(precision):
    import keras

    float_model = network(
        recurrent("gru_after"),
        recurrent("lstm"),
        keras.layers.Dense(4, "tanh"),
        keras.layers.Dense(4, "relu"),
        keras.layers.Dense(3, "sigmoid"),
    )
    xs = streams(2, STEPS)
    model = qat_model(float_model, streams(4, 100, seed=2), precision)
    assert differing(moved(model, xs), xs) == 0
    for layer in integer_model(model).layers:
        for affine in layer.affines.values():
            assert all(np.abs(term.weights).max() <= 7 for term in affine.terms)


@pytest.mark.parametrize("operand_scales", ["common", "separate"])
def test_compiled_by_xla_as_keras_trains(operand_scales):
    import keras

    float_model = network(recurrent("lstm"), keras.layers.Dense(2))
    xs = streams(2, STEPS)
    model = qat_model(float_model, streams(4, 100, seed=2), operand_scales=operand_scales)
    sources = [t.source.value for t in integer_model(model).layers[0].gates.terms]
    assert sources == (["xh"] if operand_scales == "common" else ["x", "h"])
    assert differing(moved(model, xs), xs, jit=True) == 0


@pytest.mark.parametrize("precision", ["w8a8", "w8a16", "w4a8"])
@pytest.mark.parametrize("cell", ["simple_rnn", "gru_before"])
def test_training_starts_at_the_post_training_model(cell, precision):
    import keras

    float_model = network(recurrent(cell), keras.layers.Dense(2))
    calibration = streams(4, 100)
    start = integer_model(qat_model(float_model, calibration, precision))
    rounded = quantize(float_model, calibration, precision)
    assert (start.input, start.output) == (rounded.input, rounded.output)
    for made, wanted in zip(start.layers, rounded.layers, strict=True):
        for a, b in zip(made.affines.values(), wanted.affines.values(), strict=True):
            for s, t in zip(a.terms, b.terms, strict=True):
                assert np.array_equal(s.weights, t.weights)
                assert np.array_equal(s.multiplier, t.multiplier)
                assert s.storage is t.storage
            if precision.endswith("a8"):
                # A float32 bias has 24 bits: 2**-5 of a unit at most, and a unit is 2**shift parts.
                assert a.shift == b.shift
                assert np.abs(a.bias - b.bias).max() <= 32


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        *((kind, "w8a8") for kind in ALL_CELLS),
        ("peephole_lstm", "w8a16"),
        ("layer_norm_lstm", "w8a16"),
        ("projected_lstm", "w8a16"),
    ],
)
def test_registered_cells(kind, precision):
    import keras

    made = RegisteredCell(kind, 6, inner_widths(kind, 6))
    float_model = network(
        keras.layers.RNN(made, return_sequences=True),
        keras.layers.Dense(2),
        share=0.4 if kind.startswith("low_rank") else 0.8,
    )
    for variable in float_model.weights:
        if variable.name == "decay":
            variable.assign(np.linspace(0.0, 0.9, 6))
    xs = streams(2, STEPS)
    model = qat_model(float_model, streams(4, 100, seed=2), precision)
    before = integer_model(model)
    rounded = quantize(float_model, streams(4, 100, seed=2), precision)
    for name, affine in before.layers[0].affines.items():
        for one, other in zip(affine.terms, rounded.layers[0].affines[name].terms, strict=True):
            assert np.array_equal(one.weights, other.weights)
            assert np.array_equal(one.multiplier, other.multiplier)
    assert before.layers[0].scales == rounded.layers[0].scales
    assert differing(model, xs) == 0
    assert differing(moved(model, xs), xs) == 0
    after = integer_model(model).layers[0]
    for name in (*after.shape, *after.scale_shape):
        assert getattr(after, name) != getattr(before.layers[0], name), name


@pytest.mark.parametrize("kind", ["linear_recurrence", "peephole_lstm", "layer_norm_gru"])
def test_constants_are_trained(kind):
    import keras

    float_model = network(
        keras.layers.RNN(RegisteredCell(kind, 6), return_sequences=True),
        keras.layers.Dense(2),
        share=0.8,
    )
    xs = streams(2, 40)
    model = qat_model(float_model, streams(4, 100, seed=2))
    for variable, gradient in zip(
        model.trainable_variables, gradients(model, xs, np.ones((2, 40, 2))), strict=True
    ):
        assert np.abs(gradient).max() > 0, variable.path
