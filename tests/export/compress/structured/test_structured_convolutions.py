"""Structured pruning beside convolutions: what they read goes with them, or the reason is told."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import PruningError
from edgernn_export.compress.structured import (
    GroupLasso,
    factorize,
    remove_inputs,
    remove_units,
    unit_norms,
)
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.keras import answer, readings, sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
pytestmark = pytest.mark.tf
L = keras.layers
#: Float rounding in sums of other lengths.
NEAR = {"rtol": 0.0, "atol": 1e-5}
XS = readings()


def causal(filters, size, **options):
    return L.Conv1D(filters, size, padding="causal", **options)


def gru(name="rnn", **options):
    return L.GRU(6, return_sequences=True, name=name, **options)


def changed(model, layer, name, index):
    """The same model with some weights 0."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    variable = getattr(copy.get_layer(layer), name)
    weights = np.array(variable)
    weights[index] = 0.0
    variable.assign(weights)
    return copy


READ_BY = {
    "taps": lambda: [gru(), causal(4, 3, name="conv"), L.Dense(2)],
    "dilated": lambda: [
        gru(), L.Rescaling(0.5), L.ZeroPadding1D((4, 0)),
        L.Conv1D(4, 3, dilation_rate=2, activation="tanh", name="conv"), gru("last"), L.Dense(2),
    ],
    "one tap": lambda: [
        gru(), L.BatchNormalization(), L.Conv1D(4, 1, use_bias=False, name="conv"), L.Dense(2),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", READ_BY)
def test_units_that_a_convolution_reads_go_at_all_taps(name):
    model = sequential(*READ_BY[name]())
    gone = np.argsort(unit_norms(model, ["rnn"])["rnn"])[:2]
    smaller = remove_units(model, keep={"rnn": 4})
    taps, _, filters = model.get_layer("conv").kernel.shape
    assert smaller.get_layer("conv").kernel.shape == (taps, 4, filters)
    held = keras.models.clone_model(model)
    held.set_weights(model.get_weights())
    cell = held.get_layer("rnn").cell
    for variable in (cell.kernel, cell.recurrent_kernel, cell.bias):
        weights = np.array(variable)
        for gate in range(3):
            weights[..., gate * 6 + gone] = 0.0
        variable.assign(weights)
    np.testing.assert_allclose(answer(smaller, XS), answer(held, XS), **NEAR)


def test_the_group_of_a_unit_has_the_rows_of_all_taps():
    model = sequential(*READ_BY["taps"]())
    norms = unit_norms(model)["rnn"]
    without = unit_norms(changed(model, "conv", "kernel", (slice(None), 2)))["rnn"]
    rows = np.array(model.get_layer("conv").kernel)[:, 2]
    assert np.isclose(norms[2] ** 2 - without[2] ** 2, np.square(rows, dtype=np.float64).sum())
    assert np.array_equal(np.delete(norms, 2), np.delete(without, 2))


def test_convolutions_in_front_keep_their_weights():
    model = sequential(
        causal(5, 3, activation="relu"), L.ZeroPadding1D((2, 0)), L.SeparableConv1D(4, 3),
        L.ZeroPadding1D((1, 0)), L.DepthwiseConv1D(2), gru(), gru("last"), L.Dense(2),
    )  # fmt: skip
    same = remove_units(model, threshold=0.0)
    np.testing.assert_array_equal(answer(same, XS), answer(model, XS))
    smaller = remove_units(model, fraction=0.5)
    assert [x.cell.units for x in smaller.layers if isinstance(x, L.GRU)] == [3, 3]
    quantize(smaller, readings(4, 200), progress=False)


def test_lasso_shrinks_what_a_convolution_reads():
    model = sequential(*READ_BY["taps"]())
    model.compile("adam", "mse", run_eagerly=True)
    lasso = GroupLasso(30.0)
    model.fit(
        XS, np.zeros((2, 12, 2)), batch_size=1, epochs=12, shuffle=False, verbose=0,
        callbacks=[lasso],
    )  # fmt: skip
    gone = np.flatnonzero(lasso.norms()["rnn"] == 0.0)
    assert 0 < gone.size < 6
    assert not np.array(model.get_layer("conv").kernel)[:, gone].any()
    smaller = remove_units(model)
    assert smaller.get_layer("rnn").cell.units == 6 - gone.size
    np.testing.assert_allclose(answer(smaller, XS), answer(model, XS), **NEAR)


def test_an_offset_that_a_convolution_pads_around_is_refused():
    model = sequential(gru(), L.BatchNormalization(name="bn"), causal(4, 3, name="conv"))
    with pytest.raises(PruningError, match=r"'conv' .* no offset before .* got one of 'bn'"):
        remove_units(model, keep=4)


@pytest.mark.parametrize("kind", ["SeparableConv1D", "DepthwiseConv1D"])
def test_depthwise_kernels_do_not_read_what_goes(kind):
    layer = L.SeparableConv1D(4, 1) if kind == "SeparableConv1D" else L.DepthwiseConv1D(1)
    model = sequential(gru(), layer, gru("last"), L.Dense(2))
    message = f"expected a recurrent layer, Dense or Conv1D after the pruned layer, got {kind}"
    with pytest.raises(PruningError, match=message):
        unit_norms(model)
    assert remove_units(model, keep={"last": 3}).get_layer("last").cell.units == 3
    with pytest.raises(PruningError, match=message):
        remove_inputs(sequential(layer.__class__.from_config(layer.get_config()), gru()))


def test_channels_that_no_tap_reads_go_and_constants_stay_where_zeros_are_padded():
    model = sequential(L.Rescaling(2.0, 0.5), causal(4, 3, name="conv"), gru(), L.Dense(2))
    model = changed(model, "conv", "kernel", (slice(None), 1))
    constant = XS.copy()
    constant[..., 2] = 0.75
    made = remove_inputs(model, constant)
    assert (made.kept_names, made.unread, made.constant) == (("x0", "x2"), ("x1",), {})
    np.testing.assert_allclose(
        answer(made.model, constant[..., [0, 2]]), answer(model, constant), **NEAR
    )
    # Behind the scaling it is the 0 that Keras pads with.
    constant[..., 2] = -0.25
    assert remove_inputs(model, constant).constant == {"x2": -0.25}


@pytest.mark.parametrize("options", [{"kernel_size": 1}, {"kernel_size": 3, "strides": 2}])
def test_a_constant_goes_into_the_bias_of_a_convolution_that_pads_nothing(options):
    convolution = L.Conv1D(4, use_bias=False, **options)
    model = sequential(L.Rescaling(2.0, 0.5), convolution, gru(), L.Dense(2))
    constant = XS.copy()
    constant[..., 1] = 0.75
    made = remove_inputs(model, constant)
    assert made.constant == {"x1": 0.75}
    np.testing.assert_allclose(
        answer(made.model, constant[..., [0, 2]]), answer(model, constant), **NEAR
    )


def test_kernels_of_convolutions_are_not_put_in_two_factors(tmp_path, capsys):
    model = sequential(causal(4, 3, name="conv"), gru(), L.Dense(2))
    with pytest.raises(PruningError, match=r"got Conv1D\. Train a SeparableConv1D"):
        factorize(model, "conv", rank=1)
    before = factorize(model, "rnn", rank=2)
    assert np.array_equal(before.model.get_layer("conv").kernel, model.get_layer("conv").kernel)
    model.save(tmp_path / "a.keras")
    command = ["prune", str(tmp_path / "a.keras"), "-o", str(tmp_path / "b.keras")]
    assert main([*command, "--units", "50%"]) == 0
    assert keras.saving.load_model(tmp_path / "b.keras").get_layer("rnn").cell.units == 3
    assert main([*command, "--rank", "2", "--layer", "conv"]) == 2
    assert "expected a recurrent or Dense layer, got Conv1D" in capsys.readouterr().err
