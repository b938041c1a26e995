"""Networks that take their state and give the next one are read as the streams they stand for."""

import json

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.errors import PruningError, StreamKindWarning, TrainingError, UnsupportedModelError
from edgernn_export.float_model.float_run import run
from edgernn_export.keras_reader import read_keras
from tests.support.models.keras import randomised, readings

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = [
    pytest.mark.tf,
    pytest.mark.filterwarnings("ignore:.* has its states as inputs"),
]

STATES = {"SimpleRNN": 1, "GRU": 1, "LSTM": 2}


def states(kind, units=4):
    return [keras.Input((units,)) for _ in range(STATES[kind])]


def one_layer(kind, sequences=False, steps=1):
    x, given = keras.Input((steps, 3)), states(kind)
    layer = getattr(L, kind)(4, return_state=True, return_sequences=sequences)
    y, *after = layer(x, initial_state=given)
    return keras.Model([x, *given], [L.Dense(2)(y), *after])


def one_cell(kind):
    x, given = keras.Input((3,)), states(kind)
    y, after = getattr(L, f"{kind}Cell")(4)(x, given)
    after = after if isinstance(after, (list, tuple)) else [after]
    return keras.Model([x, *given], [L.Dense(2)(y), *after])


def two_layers():
    x, h, c, g = keras.Input((1, 3)), *states("LSTM"), *states("GRU")
    y, h2, c2 = L.LSTM(4, return_state=True, return_sequences=True)(x, initial_state=[h, c])
    y, g2 = L.GRU(4, return_state=True)(L.Dropout(0.1)(y), initial_state=g)
    # States and results in any order.
    return keras.Model([h, c, x, g], [g2, L.Dense(2)(y), h2, c2])


NETWORKS = {
    **{f"{kind}, one step": (lambda kind=kind: one_layer(kind)) for kind in STATES},
    **{f"{kind}, sequences": (lambda kind=kind: one_layer(kind, True, None)) for kind in STATES},
    **{f"{kind}Cell": (lambda kind=kind: one_cell(kind)) for kind in STATES},
    "chunks of 4": lambda: one_layer("GRU", True, 4),
}


def arrays(tensors):
    return [np.asarray(tensor) for tensor in tensors]


def by_hand(model, xs):
    """What Keras answers [B, T, O] when its states are handed back."""
    steps = model.inputs[0].shape[1] if len(model.inputs[0].shape) == 3 else 0
    zeros = [np.zeros((len(xs), 4), np.float32) for _ in model.inputs[1:]]
    ys = []
    for start in range(0, xs.shape[1], steps or 1):
        chunk = xs[:, start : start + (steps or 1)].astype(np.float32)
        y, *zeros = arrays(model([chunk[:, 0] if steps == 0 else chunk, *zeros]))
        ys.append(y.reshape(len(xs), -1, 2))
    return np.concatenate(ys, axis=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_read_as_a_stream(name, tmp_path):
    model = randomised(NETWORKS[name]())
    with pytest.warns(StreamKindWarning, match=r"\(Functional\): the network has its states as"):
        read = read_keras(model)
    assert read.stateful
    assert read.window is None
    xs = readings(2, 12)
    ys, _ = run(read, xs)
    np.testing.assert_allclose(ys, by_hand(model, xs), rtol=0, atol=1e-5)
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"m{suffix}")
        assert read_keras(tmp_path / f"m{suffix}").sha256 == read.sha256


def test_two_layers_with_states_in_any_order(tmp_path):
    model = randomised(two_layers())
    read = read_keras(model)
    xs = readings(2, 10)
    ys, _ = run(read, xs)
    h, c, g = (np.zeros((2, 4), np.float32) for _ in range(3))
    for t in range(10):
        g, y, h, c = arrays(model([h, c, xs[:, t : t + 1].astype(np.float32), g]))
        np.testing.assert_allclose(ys[:, t], y, rtol=0, atol=1e-5)
    model.save(tmp_path / "m.keras")
    assert read_keras(tmp_path / "m.keras").sha256 == read.sha256


def refused(model):
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(model)
    return caught.value.reasons


def test_a_state_that_is_given_and_not_returned():
    x, h, c = keras.Input((1, 3)), *states("LSTM")
    y, after, _ = L.LSTM(4, return_state=True)(x, initial_state=[h, c])
    reason = refused(keras.Model([x, h, c], [L.Dense(2)(y), after], name="m"))
    assert reason == (
        "'m' (Functional): expected all 2 states of its recurrent layers as inputs and as outputs, "
        "or none, got 2 as inputs and 1 as outputs. A session keeps the state: build the model "
        "without its states as inputs and outputs, and copy the weights.",
    )


def test_a_state_that_is_returned_and_not_given():
    x = keras.Input((None, 3))
    y, after = L.GRU(4, return_state=True)(x)
    reasons = refused(keras.Model(x, [L.Dense(2)(y), after]))
    assert len(reasons) == 1
    assert "got 0 as inputs and 1 as outputs. A session keeps the state: build" in reasons[0]
    # The cure can be followed, and the answers stay.
    read_keras(keras.Model(x, L.Dense(2)(y)))


def test_one_layer_of_two_with_its_state_outside():
    x, h = keras.Input((1, 3)), *states("GRU")
    y, after = L.GRU(4, return_state=True, return_sequences=True)(x, initial_state=h)
    model = keras.Model([x, h], [L.LSTM(2)(y), after])
    assert "all 3 states of its recurrent layers" in refused(model)[0]


def test_two_layers_that_share_a_state():
    x, h = keras.Input((1, 3)), *states("GRU")
    y, first = L.GRU(4, return_state=True, return_sequences=True)(x, initial_state=h)
    y, second = L.GRU(4, return_state=True)(y, initial_state=h)
    assert "got 2 as inputs and 2 as" in refused(keras.Model([x, h], [y, first, second]))[0]


def test_states_that_nothing_reads_change_nothing():
    x = keras.Input((None, 3))
    y, _ = L.GRU(4, return_state=True)(x)
    model = randomised(keras.Model(x, L.Dense(2)(y)))
    assert not read_keras(model).stateful


def test_others_keep_refusing_states_as_inputs():
    from edgernn_export.compress.qat import qat_model
    from edgernn_export.compress.structured import remove_inputs

    model = one_layer("GRU")
    with pytest.raises(PruningError, match=r"expected one input and one output, got 2 and 2\. "):
        remove_inputs(model)
    with pytest.raises(TrainingError, match=r"expected a fixed batch size, got none\. "):
        qat_model(model, readings(1, 50)[0], "w8a8")


def test_the_command_line_says_that_the_session_keeps_the_state(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    randomised(one_layer("LSTM")).save("m.keras")
    np.save("x.npy", readings(1, 300)[0])
    arguments = ["quantize", "m.keras", "--calibration", "x.npy", "-o", "m.edgernn", "--json"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "A session keeps the states itself: pass only the readings" in err
    said = json.loads(out)["warnings"]
    assert any("pass only the readings" in sentence for sentence in said)
    assert edgernn.load("m.edgernn").run(readings(1, 5)[0]).shape == (5, 2)
