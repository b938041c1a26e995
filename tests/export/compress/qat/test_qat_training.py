"""What quantization-aware training gains, keeps and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import TrainingError, UnsupportedModelError
from edgernn.model.storage import Storage
from edgernn_export import quantize
from edgernn_export.compress.pruning import MagnitudePruning
from edgernn_export.compress.qat import integer_model, qat_model
from tests.support.models.keras import randomised
from tests.support.training.qat_runs import (
    codes,
    moved,
    network,
    recurrent,
    reference_codes,
    streams,
)

pytestmark = pytest.mark.tf
SEEDS = range(5)


def compiled(model, rate=1e-3, **options):
    import keras

    model.compile(keras.optimizers.Adam(rate), "mse", jit_compile=False, **options)
    return model


def squared_error(model, xs, ys):
    real = reference_codes(model, xs) * model.output.scale
    return float(np.mean(np.square(real - ys)))


@pytest.mark.long
def test_training_lowers_the_error_that_rounding_leaves():
    """The integers learn the answers of a float network; unseen streams judge, five seeds."""
    import keras

    float_model = network(recurrent("gru_after", 8), keras.layers.Dense(2))
    gains = []
    for seed in SEEDS:
        randomised(float_model, seed)
        for variable in float_model.weights:
            variable.assign(variable * 0.5)
        xs, unseen = streams(32, 20, seed=seed + 1), streams(16, 40, seed=seed + 50)
        model = compiled(
            qat_model(float_model, xs), keras.optimizers.schedules.CosineDecay(5e-4, 40)
        )
        before = squared_error(integer_model(model), unseen, np.asarray(float_model(unseen)))
        model.fit(xs, np.asarray(float_model(xs)), epochs=10, batch_size=8, verbose=0)
        after = squared_error(integer_model(model), unseen, np.asarray(float_model(unseen)))
        gains.append(after / before)
    assert max(gains) < 1.0, gains
    assert np.median(gains) < 0.8, gains


def test_the_fitted_model_is_the_integer_model():
    import keras

    float_model = network(recurrent("lstm"), keras.layers.Dense(3, "softmax"))
    xs = streams(8, 20)
    model = qat_model(float_model, xs, "w8a16")
    model.compile(keras.optimizers.Adam(0.02), "categorical_crossentropy", jit_compile=False)
    labels = np.eye(3)[np.random.default_rng(0).integers(0, 3, (8, 20))]
    model.fit(xs, labels, epochs=2, batch_size=4, verbose=0)
    integer = integer_model(model)
    unseen = streams(2, 200, seed=7)
    wanted = reference_codes(integer, unseen)
    assert np.array_equal(codes(model, unseen), wanted)
    probabilities = np.exp(wanted * integer.output.scale)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    assert np.allclose(model(unseen), probabilities, atol=1e-6)
    assert integer.output.softmax
    assert integer.provenance.settings[-1] == ("training", "quantization-aware")
    float_sha = quantize(float_model, xs, "w8a16").provenance.float_model_sha256
    assert integer.provenance.float_model_sha256 == float_sha


def test_output_of_the_last_step_only_and_state_between_batches():
    import keras

    layers = [recurrent("gru_before", return_sequences=False, stateful=True), keras.layers.Dense(2)]
    float_model = network(*layers, batch=2)
    xs = streams(2, 40)
    model = qat_model(float_model, streams(4, 100))
    halves = [np.asarray(model(xs[:, :25])), np.asarray(model(xs[:, 25:]))]
    assert halves[1].shape == (2, 2)
    integer = integer_model(model)
    wanted = reference_codes(integer, xs)[:, [24, 39]] * integer.output.scale
    assert np.allclose(np.stack(halves, axis=1), wanted, atol=1e-6)


def test_pruned_weights_stay_zero_and_are_stored_sparse():
    import keras

    float_model = network(recurrent("lstm", 16), keras.layers.Dense(2, name="head"))
    xs = streams(8, 10)
    model = compiled(qat_model(float_model, xs), 0.02)
    pruning = MagnitudePruning(0.3, end_step=2, frequency=1, pattern="4x4")
    head = MagnitudePruning(0.5, end_step=2, frequency=1, layers=["head"])
    model.fit(
        xs, np.zeros((8, 10, 2)), epochs=2, batch_size=2, verbose=0, callbacks=[pruning, head]
    )
    lstm, dense = integer_model(model).layers
    masks = pruning.masks
    kept = np.concatenate([masks[f"{lstm.name}/{m}"] for m in ("kernel", "recurrent_kernel")], 1)
    stored = np.concatenate([term.weights for term in lstm.gates.terms], axis=1)
    assert stored.shape == kept.shape
    assert not stored[~kept].any()
    assert np.mean(stored[kept] != 0) > 0.9
    assert {term.storage for term in lstm.gates.terms} == {Storage.SPARSE8}
    assert np.count_nonzero(dense.out.terms[0].weights) <= 16
    assert np.array_equal(codes(model, xs), reference_codes(integer_model(model), xs))


def test_weights_are_saved_and_loaded(tmp_path):
    import keras

    float_model = network(recurrent("gru_after"), keras.layers.Dense(2))
    xs = streams(2, 60)
    model = moved(qat_model(float_model, xs), xs)
    model.save_weights(tmp_path / "qat.weights.h5")
    again = qat_model(float_model, xs)
    assert integer_model(again) != integer_model(model)
    again.load_weights(tmp_path / "qat.weights.h5")
    assert integer_model(again) == integer_model(model)
    with pytest.raises(TrainingError, match="save_weights"):
        model.save(tmp_path / "qat.keras")


@pytest.mark.parametrize("precision", ["w8a8", "w8a16", "w4a8"])
@pytest.mark.parametrize("growth", [0.4, 1.004, 1.5])
def test_steps_follow_the_largest_weight_of_a_row(growth, precision):
    """One pass while training; growth of less than 2 % moves nothing."""
    import keras

    float_model = network(recurrent("gru_before", 4), keras.layers.Dense(2))
    xs = streams(2, 60)
    model = qat_model(float_model, xs, precision, operand_scales="separate")
    before = integer_model(model).layers[0].n
    for matrix in (model.layers[2].cell.kernel, model.layers[2].cell.recurrent_kernel):
        matrix.assign(matrix * growth)
    model(xs[:, :2], training=False)
    assert steps_of(integer_model(model).layers[0].n) == pytest.approx(steps_of(before))
    model(xs[:, :2], training=True)
    after = integer_model(model).layers[0].n
    wanted = steps_of(before) * (growth if abs(growth - 1.0) > 0.02 else 1.0)
    assert steps_of(after) == pytest.approx(wanted, rel=0.01)
    for a, b in zip(before.terms, after.terms, strict=True):
        assert np.abs(a.weights.astype(int) - b.weights).max() <= 1


def steps_of(affine):
    """Steps of the rows of each term, but for a constant factor."""
    shifts = [getattr(term, "shift", getattr(affine, "shift", 0)) for term in affine.terms]
    return np.array([t.multiplier * 0.5**k for t, k in zip(affine.terms, shifts, strict=True)])


@pytest.mark.parametrize("followed", [False, True])
def test_the_shift_falls_before_an_accumulator_overflows(followed):
    """One large weight per row becomes sixteen: the sum grows sixteenfold."""
    import keras

    float_model = network(recurrent("simple_rnn", 4), keras.layers.Dense(2), inputs=16)
    float_model.layers[0].cell.kernel.assign(np.eye(16)[:, :4] * 4.0 + 0.01)
    xs = streams(2, 60, 16)
    model = qat_model(float_model, xs)
    start = integer_model(model).layers[0].gates.shift
    kernel = model.layers[2].cell.kernel
    kernel.assign(np.full((16, 4), float(np.asarray(kernel).max())))
    if followed:
        model(xs[:, :2], training=True)
        assert int(model.layers[2].cell.integers.maps.shift.value) == start - 1
    made = integer_model(model)
    assert made.layers[0].gates.shift < start
    assert integer_model(model) == made
    assert np.array_equal(codes(model, xs), reference_codes(made, xs))


@pytest.mark.parametrize("followed", [False, True])
def test_steps_double_before_an_accumulator_overflows(followed):
    """600 full weights times full 16-bit inputs pass 2**31."""
    import keras

    float_model = network(recurrent("simple_rnn", 4), keras.layers.Dense(2), inputs=600, share=0.02)
    cell = float_model.layers[0].cell
    cell.kernel.assign(np.eye(600)[:, :4] * 0.1 + 1e-5)
    xs = streams(1, 30, 600)
    model = qat_model(float_model, xs, "w8a16", operand_scales="separate")
    start = integer_model(model).layers[0].gates.terms[0]
    kernel = model.layers[2].cell.kernel
    kernel.assign(np.full((600, 4), float(np.asarray(kernel).max())))
    if followed:
        model(xs[:, :2].astype(np.float32), training=True)
    made = integer_model(model)
    term = made.layers[0].gates.terms[0]
    assert np.all(term.multiplier * 0.5**term.shift > 1.9 * start.multiplier * 0.5**start.shift)
    assert np.array_equal(codes(model, xs), reference_codes(made, xs))


def test_unsupported_layers_are_refused_by_name():
    import keras

    layers = [keras.Input((None, 3)), keras.layers.GRU(4, return_sequences=True)]
    model = keras.Sequential([*layers, keras.layers.GroupNormalization(2, name="norm")])
    with pytest.raises(UnsupportedModelError, match=r"'norm' \(GroupNormalization\)"):
        qat_model(model, streams(2, 20))


def test_misuse_is_refused(tmp_path):
    import keras

    float_model = network(recurrent("lstm"), keras.layers.Dense(2))
    with pytest.raises(TrainingError, match="created by qat_model"):
        integer_model(float_model)
    with pytest.raises(TrainingError, match="created by qat_model"):
        integer_model("model.keras")
    xs = streams(2, 20)
    model = qat_model(float_model, xs)
    with pytest.raises(UnsupportedModelError, match=r"qat\.integer_model"):
        quantize(model, xs)
    model.layers[2].cell.bias.assign(np.full(24, np.nan))
    with pytest.raises(TrainingError, match="24 that are NaN"):
        integer_model(model)
    stateful = network(recurrent("gru_after", stateful=True), keras.layers.Dense(2), batch=2)
    stateful.save(tmp_path / "stateful.keras")
    with pytest.raises(TrainingError, match="stateful"):
        qat_model(tmp_path / "stateful.keras", xs)


def test_names_load_nothing_but_numpy():
    import subprocess
    import sys

    code = "import sys, edgernn_export.compress.qat; "
    code += "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
