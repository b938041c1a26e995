"""Functional models with branches: the float network answers as Keras does, alive and stored."""

import subprocess
import sys

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.float_run import run, with_softmax
from edgernn_export.keras_reader import read_keras
from tests.support.models.keras import randomised, readings
from tests.support.models.keras_networks import NETWORKS, network, predicted

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_as_keras_does(name, tmp_path):
    model = network(name)
    read = read_keras(model)
    assert (read.routes == ()) == (name == "shared")
    xs = readings(2, 9, read.inputs)
    ys = with_softmax(read, run(read, xs)[0])
    if not read.return_sequences:
        ys = ys[:, -1]
    np.testing.assert_allclose(ys, predicted(model, xs), rtol=0, atol=1e-6)
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"m{suffix}")
        stored = read_keras(tmp_path / f"m{suffix}")
        assert stored.sha256 == read.sha256
        assert [layer.name for layer in stored.layers] == [layer.name for layer in read.layers]
        assert (stored.input_ports, stored.output_ports) == (read.input_ports, read.output_ports)


def test_a_stored_network_is_read_without_keras(tmp_path):
    network("nested").save(tmp_path / "m.keras")
    code = (
        "import sys; from edgernn_export.keras_reader import read_keras\n"
        f"print(read_keras({str(tmp_path / 'm.keras')!r}).sha256, 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [read_keras(tmp_path / "m.keras").sha256, "False"]


def test_inputs_and_outputs_are_ports():
    read = read_keras(network("two inputs"))
    assert [(port.name, port.width) for port in read.input_ports] == [("a", 3), ("b", 2)]
    told = [(port.name, port.width, port.softmax) for port in read.output_ports]
    assert told == [("level", 2, False), ("kind", 3, True)]
    assert read.input_names == ("a_0", "a_1", "a_2", "b_0", "b_1")
    assert read.output_names == ("level_0", "level_1", "kind_0", "kind_1", "kind_2")
    assert read.final_activation == "softmax"


def test_dictionaries_name_their_ports():
    read = read_keras(network("nested"))
    assert [port.name for port in read.output_ports] == ["m", "z"]


def test_a_layer_called_twice_becomes_two():
    names = [layer.name for layer in read_keras(network("shared")).layers]
    assert names[:4] == ["d", "g", "d_2", "g_2"]


def test_what_replaces_a_layer_leaves_nothing_behind():
    """A chain stays one, whatever was folded on the way."""
    given = keras.Input((None, 3))
    dense = L.BatchNormalization()(L.Dense(2)(L.GRU(3, return_sequences=True)(given)))
    read = read_keras(randomised(keras.Model(given, L.ReLU()(dense))))
    assert read.routes == ()
    assert len(read.layers) == 2


def test_slices_and_concatenations_are_no_layers():
    given = keras.Input((None, 4))
    whole = L.Concatenate()([given[..., :1], given[:, :, 1:3], given[..., -1:]])
    read = read_keras(randomised(keras.Model(given, L.GRU(3)(whole))))
    assert read.routes == ()


def refused(model):
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(model)
    return caught.value.reasons


@pytest.mark.parametrize(
    ("make", "got", "cure"),
    [
        (lambda x: keras.ops.maximum(x, 0.1), "Maximum with a constant", "a supported layer"),
        (lambda x: keras.ops.reshape(x, (-1, 7, 3)), "Reshape", "the layer keras.layers.Reshape"),
    ],
)
def test_operations_that_are_no_merges_are_called_so(make, got, cure):
    given = keras.Input((None, 3))
    (reason,) = refused(keras.Model(given, make(L.GRU(3, return_sequences=True)(given))))
    assert f"got the operation {got}. " in reason
    assert cure in reason


def branches(last_a, last_b, steps=(None, None)):
    a, b = keras.Input((steps[0], 3)), keras.Input((steps[1], 3))
    return [a, b], [L.GRU(2, return_sequences=not last)(x) for x, last in
        ((a, last_a), (b, last_b))]  # fmt: skip


def two_lengths():
    given, (one, two) = branches(True, True, (5, 7))
    return keras.Model(given, one + two, name="m")


def a_static_input():
    a, b = keras.Input((None, 3)), keras.Input((3,))
    return keras.Model([a, b], L.Add(name="s")([L.GRU(3)(a), b]), name="m")


def two_rates():
    given, outputs = branches(True, False)
    return keras.Model(given, outputs, name="m")


def a_state():
    a = keras.Input((None, 3))
    y, state = L.GRU(2, return_state=True)(a)
    return keras.Model(a, [L.Dense(1)(y), L.Dense(1)(y), state], name="m")


def a_cell_state():
    a = keras.Input((None, 3))
    _, _, cell = L.LSTM(2, return_state=True, name="l")(a)
    return keras.Model(a, L.Dense(1)(cell))


def an_input_put_out():
    a = keras.Input((None, 3))
    return keras.Model(a, [L.GRU(2)(a), a[:, -1]], name="m")


def a_slice_of_steps():
    a = keras.Input((6, 3))
    return keras.Model(a, L.GRU(2)(a[:, 2:]))


def a_stride():
    a = keras.Input((None, 4))
    return keras.Model(a, L.GRU(2)(a[..., ::2]))


def another_axis():
    a = keras.Input((3, 3))
    return keras.Model(a, L.GRU(2)(L.Concatenate(axis=1, name="c")([a, a])))


def behind_a_softmax():
    a = keras.Input((None, 3))
    y = L.GRU(2)(a)
    return keras.Model(a, L.Add(name="s")([L.Dense(2, activation="softmax")(y), y]))


def a_wide_softmax():
    a = keras.Input((None, 3))
    both = L.Concatenate()([L.GRU(2)(a), L.LSTM(2)(a)])
    return keras.Model(a, L.Softmax()(both), name="m")


def a_state_for_two():
    a = keras.Input((None, 3), batch_size=1)
    gru = L.GRU(3, return_sequences=True, stateful=True, name="g")
    return keras.Model(a, gru(gru(a)))


REFUSED = {
    two_lengths: ("inputs that all have a time axis, got inputs of shapes (None, 5, 3), (None, 7",
                  "inputs of the same number of steps"),
    a_static_input: ("got inputs of shapes (None, None, 3), (None, 3)", "repeat constant "
                                                                        "values at every step"),
    two_rates: ("outputs at every step, or all at the last step, got outputs", ""),
    a_state: ("all 1 states of its recurrent layers as inputs and as outputs, or none", ""),
    a_cell_state: ("'l' (LSTM): expected a network that reads the output of its", "hidden state"),
    an_input_put_out: ("outputs that a layer computes, got output 'get_item", "Remove this output"),
    a_slice_of_steps: ("consecutive features of every step, as in x[..., 1:3]", "got [:, 2:, :]"),
    a_stride: ("(GetItem): expected consecutive features", "got [:, :, ::2]"),
    another_axis: ("'c' (Concatenate): expected axis=-1", ""),
    behind_a_softmax: ("'s' (Add): expected softmax as the last layer", "Build the model up to"),
    a_wide_softmax: ("a softmax over the output of one layer", "with the identity as kernel"),
    a_state_for_two: ("'g' (GRU): expected a layer with stateful=True used once", "stateful=False"),
}  # fmt: skip


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
@pytest.mark.filterwarnings("ignore:.*get_item")
def test_refusals(make, tmp_path):
    model = make()
    reasons = refused(model)
    text, cure = REFUSED[make]
    assert any(text in reason and cure in reason for reason in reasons), reasons
    model.save(tmp_path / "m.keras")
    assert refused(tmp_path / "m.keras") == reasons


def test_the_cure_of_a_tanh_can_be_followed():
    a = keras.Input((None, 3))
    total = L.Add()([L.GRU(2, return_sequences=True)(a), L.LSTM(2, return_sequences=True)(a)])
    eye = L.Dense(2, name="eye")
    model = randomised(keras.Model(a, L.Activation("tanh")(eye(total))))
    eye.set_weights([np.eye(2), np.zeros(2)])
    xs = readings(2, 8)
    wanted = np.tanh(predicted(keras.Model(a, total), xs))
    np.testing.assert_allclose(run(read_keras(model), xs)[0], wanted, rtol=0, atol=1e-6)


def test_the_cure_of_a_constant_can_be_followed():
    a = keras.Input((None, 3))
    gate, value = (L.GRU(2, return_sequences=True)(a) for _ in range(2))
    ours = keras.Model(a, L.Dense(1)(L.Rescaling(-1.0, offset=1.0)(gate) * value))
    theirs = keras.Model(a, L.Dense(1)((1.0 - gate) * value))
    theirs.set_weights(randomised(ours).get_weights())
    xs = readings(2, 8)
    np.testing.assert_allclose(
        run(read_keras(ours), xs)[0], predicted(theirs, xs), rtol=0, atol=1e-6
    )


def test_features_and_inputs_that_nobody_reads():
    """The first channels alone are no chain of a network whose input is wider."""
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 2), name="b")
    model = randomised(keras.Model([a, b], L.Dense(1)(L.GRU(3, return_sequences=True)(a[..., :3]))))
    read = read_keras(model)
    assert [(port.name, port.width) for port in read.input_ports] == [("a", 4), ("b", 2)]
    xs = readings(2, 8, 6)
    np.testing.assert_allclose(run(read, xs)[0], predicted(model, xs), rtol=0, atol=1e-6)
