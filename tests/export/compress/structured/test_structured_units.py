"""Units that go leave a model that answers as if they were 0; Keras itself is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import PruningError, UnsupportedModelError
from edgernn_export.compress.structured import norm_table, remove_units, unit_norms
from tests.support.models.keras import answer, randomised, readings, sequential
from tests.support.runtimes import run_python

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf

#: Float rounding in sums of other lengths.
NEAR = {"rtol": 0.0, "atol": 1e-6}
XS = readings()

CELLS = {
    "lstm": lambda: L.LSTM(6, return_sequences=True, name="rnn"),
    "lstm_no_bias": lambda: L.LSTM(6, return_sequences=True, use_bias=False, name="rnn"),
    "gru_after": lambda: L.GRU(6, return_sequences=True, name="rnn"),
    "gru_before": lambda: L.GRU(6, return_sequences=True, reset_after=False, name="rnn"),
    "simple_rnn": lambda: L.SimpleRNN(6, return_sequences=True, name="rnn"),
    "simple_rnn_relu": lambda: L.SimpleRNN(6, activation="relu", return_sequences=True, name="rnn"),
    "cell": lambda: L.RNN(L.GRUCell(6), return_sequences=True, name="rnn"),
    "last_output": lambda: L.LSTM(6, name="rnn"),
}


def cell_of(model: Any, name: str = "rnn") -> Any:
    return model.get_layer(name).cell


def edit(variable: Any, index: Any, value: float = 0.0) -> None:
    weights = np.array(variable)
    weights[index] = value
    variable.assign(weights)


def silence(cell: Any, units: list[int]) -> None:
    """Nothing flows into these units: their outputs are 0 for ever."""
    for variable in (cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])):
        for first in range(0, variable.shape[-1], cell.units):
            edit(variable, (..., [first + unit for unit in units]))


def smaller_by_hand(model: Any, gone: list[int], layer: str = "rnn") -> Any:
    """The same model with those units silent."""
    copy = keras.models.clone_model(model)
    for new, old in zip(copy.weights, model.weights, strict=True):
        new.assign(old)
    silence(cell_of(copy, layer), gone)
    return copy


@pytest.mark.parametrize("kind", CELLS)
def test_units_that_go_are_zero_to_the_others(kind):
    model = sequential(CELLS[kind](), L.Dropout(0.2), L.Dense(2, name="head"))
    before = [np.array(w) for w in model.weights]
    norms = unit_norms(model)["rnn"]
    smaller = remove_units(model, keep=4)
    assert cell_of(smaller).units == 4
    assert smaller.get_layer("head").kernel.shape == (4, 2)
    gone = np.argsort(norms)[:2].tolist()
    np.testing.assert_allclose(
        answer(smaller, XS), answer(smaller_by_hand(model, gone), XS), **NEAR
    )
    assert all(np.array_equal(w, b) for w, b in zip(model.weights, before, strict=True))
    assert [type(x) for x in smaller.layers] == [type(x) for x in model.layers]
    assert not smaller.compiled


@pytest.mark.parametrize("kind", CELLS)
def test_groups_of_zero_change_nothing(kind):
    model = sequential(CELLS[kind](), L.Dense(2, name="head"))
    cell = cell_of(model)
    silence(cell, [1, 4])
    edit(cell.recurrent_kernel, [1, 4])
    edit(model.get_layer("head").kernel, [1, 4])
    norms = unit_norms(model)["rnn"]
    assert np.flatnonzero(norms == 0.0).tolist() == [1, 4]
    smaller = remove_units(model)
    assert cell_of(smaller).units == 4
    np.testing.assert_allclose(answer(smaller, XS), answer(model, XS), **NEAR)


def test_units_that_nobody_reads_go_though_they_read_themselves():
    model = sequential(CELLS["gru_after"](), L.Dense(2, name="head"))
    kernel = cell_of(model).recurrent_kernel
    edit(kernel, 2)
    edit(kernel, (2, [2, 8, 14]), 0.5)
    edit(model.get_layer("head").kernel, 2)
    assert np.flatnonzero(unit_norms(model)["rnn"] == 0.0).tolist() == [2]
    smaller = remove_units(model, threshold=0.0)
    assert cell_of(smaller).units == 5
    np.testing.assert_allclose(answer(smaller, XS), answer(model, XS), **NEAR)


@pytest.mark.parametrize("use_bias", [True, False])
def test_scaling_after_the_units_becomes_part_of_the_next_bias(use_bias):
    model = sequential(
        L.LSTM(5, return_sequences=True, name="rnn"),
        L.BatchNormalization(name="norm"),
        L.Rescaling([1.0, 2.0, 0.5, 3.0, -1.0], offset=0.25, name="scale"),
        L.GRU(4, return_sequences=True, use_bias=use_bias, name="next"),
        L.TimeDistributed(L.Dense(2)),
    )
    silence(cell_of(model), [0, 3])
    smaller = remove_units(model, layers=["rnn"])
    assert (cell_of(smaller).units, cell_of(smaller, "next").units) == (3, 4)
    assert smaller.get_layer("norm").gamma.shape == (3,)
    assert smaller.get_layer("scale").scale == [2.0, 0.5, -1.0]
    assert cell_of(smaller, "next").use_bias
    np.testing.assert_allclose(answer(smaller, XS), answer(model, XS), **NEAR)


@pytest.mark.parametrize(
    ("between", "at_zero"),
    [
        (lambda: L.Activation("sigmoid"), 0.5),
        (lambda: L.Activation("softplus"), np.log(2.0)),
        (lambda: L.ReLU(negative_slope=0.5, threshold=0.25), -0.125),
        (lambda: L.PReLU(shared_axes=[1]), 0.0),
    ],
    ids=["sigmoid", "softplus", "relu", "prelu"],
)
def test_what_a_function_makes_of_a_removed_unit_becomes_part_of_the_next_bias(between, at_zero):
    model = sequential(
        L.LSTM(5, return_sequences=True, name="rnn"),
        between(),
        L.Rescaling(2.0, offset=-0.5),
        L.Dense(4, name="next"),
    )
    model.get_layer("next").bias.assign([0.1, 0.2, 0.3, 0.4])
    smaller = remove_units(model, keep=3)
    gone = np.setdiff1d(np.arange(5), np.argsort(-unit_norms(model)["rnn"])[:3])
    wanted = (2.0 * at_zero - 0.5) * np.array(model.get_layer("next").kernel)[gone].sum(axis=0)
    added = np.array(smaller.get_layer("next").bias) - np.array(model.get_layer("next").bias)
    np.testing.assert_allclose(added, wanted, **NEAR)
    silent = smaller_by_hand(model, list(gone))
    np.testing.assert_allclose(answer(smaller, XS), answer(silent, XS), **NEAR)


def stack() -> Any:
    return sequential(
        L.Normalization(mean=[0.5, -1.0, 2.0], variance=[1.0, 4.0, 0.25], name="scaling"),
        L.LSTM(6, return_sequences=True, name="a"),
        L.GRU(5, return_sequences=True, name="b"),
        L.Dense(2, name="head"),
    )


def test_layers_of_a_stack_have_their_own_numbers():
    model = stack()
    smaller = remove_units(model, keep={"a": 1, "b": 4})
    assert (cell_of(smaller, "a").units, cell_of(smaller, "b").units) == (1, 4)
    assert cell_of(smaller, "b").kernel.shape == (1, 12)
    gone = {name: np.argsort(norms) for name, norms in unit_norms(model).items()}
    by_hand = smaller_by_hand(model, gone["a"][:5].tolist(), "a")
    silence(cell_of(by_hand, "b"), gone["b"][:1].tolist())
    np.testing.assert_allclose(answer(smaller, XS), answer(by_hand, XS), **NEAR)


def test_a_fraction_is_rounded_up_and_a_threshold_takes_what_is_at_most_it():
    model = stack()
    half = remove_units(model, fraction=0.5)
    assert (cell_of(half, "a").units, cell_of(half, "b").units) == (3, 3)
    assert cell_of(remove_units(model, fraction={"b": 0.41}), "b").units == 3
    norms = np.sort(unit_norms(model)["a"])
    above = remove_units(model, threshold=float(norms[1]), layers=["a"])
    assert cell_of(above, "a").units == 4


def test_norms_are_those_of_everything_that_goes_with_the_unit():
    model = stack()
    a, b = cell_of(model, "a"), cell_of(model, "b")
    unit, parts = 2, []
    columns = [unit + 6 * gate for gate in range(4)]
    recurrent = np.array(a.recurrent_kernel, dtype=np.float64)
    parts += np.array(a.kernel)[:, columns].ravel().tolist()
    parts += np.array(a.bias)[columns].tolist()
    parts += recurrent[unit].tolist()
    parts += np.delete(recurrent, unit, axis=0)[:, columns].ravel().tolist()
    parts += np.array(b.kernel)[unit].tolist()
    assert unit_norms(model)["a"][unit] == pytest.approx(np.linalg.norm(parts), rel=1e-6)


def test_functional_nested_and_stateful_models_keep_their_form():
    given = keras.Input(batch_shape=(2, None, 3), name="readings")
    inner = keras.Sequential(
        [L.LSTM(4, return_sequences=True, stateful=True, name="rnn"), L.Dropout(0.1)], name="body"
    )
    shared = L.Activation("linear", name="same")
    tensor = shared(inner(shared(given)))
    model = randomised(keras.Model(given, L.Dense(2, name="head")(tensor), name="outer"))
    silence(inner.get_layer("rnn").cell, [0])
    smaller = remove_units(model, keep=3)
    assert (smaller.name, smaller.input.name, smaller.input.shape) == (
        "outer", "readings", (2, None, 3),
    )  # fmt: skip
    body = smaller.get_layer("body")
    assert isinstance(body, keras.Sequential)
    assert body.get_layer("rnn").stateful
    assert cell_of(body).units == 3
    np.testing.assert_allclose(answer(smaller, XS), answer(model, XS), **NEAR)


def test_options_of_training_stay():
    model = sequential(
        L.LSTM(
            4, name="rnn", dropout=0.1, kernel_regularizer=keras.regularizers.L2(0.25),
            return_sequences=True, trainable=False,
        ),
        L.Dropout(0.2, noise_shape=(None, 1, 4)),
        L.Dense(1),
    )  # fmt: skip
    smaller = remove_units(model, keep=2)
    layer = smaller.get_layer("rnn")
    assert (layer.dropout, layer.trainable) == (0.1, False)
    assert layer.cell.kernel_regularizer.l2 == 0.25
    smaller.compile("sgd", "mse")
    smaller.fit(XS, np.zeros((2, 12, 1)), verbose=0)


def test_names_and_import():
    model = stack()
    smaller = remove_units(model, keep=2)
    assert [x.name for x in smaller._layers] == [x.name for x in model._layers]
    assert smaller.input_shape == model.input_shape
    code = "import sys, edgernn_export.compress.structured; print('keras' in sys.modules)"
    assert run_python("-c", code) == "False\n"


def test_table():
    model = stack()
    silence(cell_of(model, "a"), [5])
    lines = norm_table(unit_norms(model)).splitlines()
    assert lines[0].split() == ["layer", "units", "zero", "least", "median", "largest"]
    assert lines[2].split()[:4] == ["a", "6", "1", "0"]


OUTPUTS = "expected a recurrent layer that another layer reads, got 'rnn' (LSTM) at the output."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0}, "a: expected from 1 to 6 units to keep, got 0. At least one unit stays."),
        ({"keep": 6}, "b: expected from 1 to 5 units to keep, got 6."),
        ({"keep": True}, "expected from 1 to 6 units to keep, got True."),
        ({"fraction": 0.0}, "a: expected a share above 0 and at most 1, got 0.0. It is the share"),
        ({"fraction": float("nan")}, "expected a share above 0 and at most 1, got nan."),
        ({"threshold": -1.0}, "threshold: expected a number of at least 0, got -1.0."),
        ({"threshold": 99.0}, "'a' (LSTM): expected a unit with a group norm above 99, got 6 of"),
        ({"keep": 2, "fraction": 0.5}, "keep: expected at most one of keep, fraction, threshold,"),
        ({"layers": []}, "layers: expected at least one name, got none. Omit layers."),
        ({"keep": {}}, "layers: expected at least one name, got none."),
        ({"layers": ["c"]}, "layer: expected the name of one recurrent or Dense layer, got 'c'."),
        ({"layers": ["scaling"]}, "Dense layer, got 'scaling' (Normalization). This model has 'a'"),
        ({"layers": ["head"]}, "'head' (Dense): expected SimpleRNN, LSTM, GRU or RNN, got Dense."),
        ({"keep": {"a": 2}, "layers": ["b"]}, "layers: expected the layers of the dict, a, got b."),
    ],
)
def test_refuses(options, message):
    with pytest.raises(PruningError) as caught:
        remove_units(stack(), **options)
    assert message in str(caught.value)


def test_refuses_units_that_are_outputs():
    model = sequential(L.LSTM(3, return_sequences=True, name="rnn"), L.Dropout(0.1))
    with pytest.raises(PruningError) as caught:
        remove_units(model, keep=2)
    assert OUTPUTS in str(caught.value)
    with pytest.raises(PruningError, match=r"'rnn' \(LSTM\): expected a layer that another layer"):
        remove_units(model, keep=2, layers=["rnn"])


def test_refuses_layers_that_share_a_name():
    nested = [
        keras.Sequential(
            [keras.Input((None, inputs)), L.GRU(2, return_sequences=True, name="same")]
        )
        for inputs in (3, 2)
    ]
    model = sequential(*nested, L.Dense(1, name="head"))
    with pytest.raises(PruningError, match="got 'same' more than once"):
        unit_norms(model)


def test_refuses_what_the_reader_refuses_all_at_once():
    model = sequential(
        L.Bidirectional(L.GRU(3, name="i"), name="both"), L.RepeatVector(3, name="again"), L.GRU(2)
    )
    with pytest.raises(UnsupportedModelError) as caught:
        remove_units(model, keep=1)
    assert [reason[:12] for reason in caught.value.reasons] == ["'both' (Bidi", "'again' (Rep"]


def test_refuses_a_layer_that_mixes_the_units():
    rnn = L.GRU(4, return_sequences=True, name="rnn")
    model = sequential(rnn, L.LayerNormalization(name="norm"), L.Dense(1))
    with pytest.raises(
        PruningError, match=r"'norm' \(LayerNormalization\): expected no layer that"
    ):
        remove_units(model, keep=2)


def test_refuses_branches():
    given = keras.Input((None, 3))
    one = L.GRU(3, return_sequences=True)(given)
    model = keras.Model(given, L.Dense(1)(L.Add(name="sum")([one, given])))
    with pytest.raises(UnsupportedModelError, match="'sum' \\(Add\\): expected one input tensor"):
        remove_units(model, keep=1)


def test_refuses_weights_that_are_not_finite_and_what_is_no_model():
    model = stack()
    edit(cell_of(model, "a").bias, 3, np.nan)
    with pytest.raises(UnsupportedModelError, match="expected finite values in bias"):
        remove_units(model, keep=1)
    with pytest.raises(PruningError, match=r"model: expected a live keras.Model, got str."):
        unit_norms("model.keras")


def test_a_registered_cell_is_no_scaling_between_layers():
    from edgernn_export.cells import RegisteredCell
    from edgernn_export.compress.structured import remove_inputs

    cell = L.RNN(RegisteredCell("minimal_gru", 4), return_sequences=True, name="r")
    model = sequential(L.GRU(4, return_sequences=True), cell, L.Dense(1))
    wanted = (
        r"'r' \(RNN\): expected SimpleRNN, LSTM or GRU, got a cell of RegisteredCell.*magnitudes"
    )
    for prune in (lambda: remove_units(model, fraction=0.5), lambda: remove_inputs(model)):
        with pytest.raises(PruningError, match=wanted):
            prune()
