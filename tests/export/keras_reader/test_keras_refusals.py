"""Whatever edgernn does not execute is refused by name, all reasons at once."""

import re
from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader import read_keras
from edgernn_export.keras_reader.layers.readers import SUPPORTED
from tests.support.models.keras import sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = [
    pytest.mark.tf,
    pytest.mark.filterwarnings("ignore:Layer .* does not support masking"),
]


def tanh(x):
    """A stranger under a known name."""
    return x / (1.0 + keras.ops.abs(x))


class OwnGRU(L.GRU):
    def call(self, sequences, initial_state=None, mask=None, training=False):
        return -super().call(sequences, initial_state, mask, training)


class OwnModel(keras.Model):
    def call(self, x):
        return x


def refused(model):
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(model)
    return caught.value.reasons


def gru(**options):
    return L.GRU(3, name="g", **options)


SINGLE = [
    ([L.Bidirectional(L.GRU(3, name="i"), name="b")], "'b' (Bidirectional): ", "forward layer"),
    (
        [L.Masking(name="m"), L.Reshape((12, 3)), gru()],
        "'g' (GRU): expected a layer that sees the mask of 'm' (Masking)",
        "without padding",
    ),
    ([L.Conv1DTranspose(3, 2, name="c"), gru()], "'c' (Conv1DT", "Train with a supported layer"),
    (
        [gru(return_sequences=True), L.LayerNormalization(axis=1, name="n")],
        "'n' (LayerNormalization): expected axis=-1 or axis=2, got axis=1.",
        "the features of each step",
    ),
    (
        [L.Dense(257), L.LayerNormalization(name="n"), gru()],
        "'n' (LayerNormalization): expected a layer normalization of at most 256 features, got one",
        "batch normalization",
    ),
    (
        [gru(), L.RepeatVector(3, name="r")],
        "'r' (RepeatVector): expected n=1, got n=3.",
        "initial_state",
    ),
    ([gru(return_sequences=True), L.Flatten(name="f")], "got shape (12, 3) turned into (36,)", ""),
    ([gru(return_sequences=True), L.Permute((2, 1), name="p")], "turned into another", "no steps"),
    ([L.Reshape((6, 6), name="r"), gru()], "'r' (Reshape): expected a layer that does not", None),
    (
        [gru(), L.RepeatVector(1), L.GRU(2, name="h")],
        "'h' (GRU): expected every step of the previous layer, got only its last step.",
        "return_sequences=True",
    ),
    ([L.Cropping1D(1, name="c"), gru()], "got cropping=(1, 1).", "Train with cropping=(0, 0)."),
    ([L.Lambda(lambda x: x, name="l"), gru()], "'l' (Lambda): ", "outside the model"),
    (
        [gru(return_sequences=True), L.GlobalAveragePooling1D(keepdims=True, name="p")],
        "'p' (GlobalAveragePooling1D): expected keepdims=False, got keepdims=True.",
        "Reshape((1, features))",
    ),
    (
        [gru(go_backwards=True)],
        "expected go_backwards=False, got go_backwards=True.",
        "go_backwards=False",
    ),
    ([gru(activation="softmax")], "got activation='softmax', which compares units.", "sigmoid"),
    ([gru(activation=tanh)], "got activation='custom tanh'.", "keras.activations"),
    ([gru(recurrent_activation="softmax")], "got recurrent_activation='softmax', which", None),
    ([L.LSTM(3, name="l", activation="log_softmax")], "got activation='log_softmax', ", None),
    (
        [L.SimpleRNN(3, name="s", activation=keras.activations.sparsemax)],
        "got activation='sparsemax', which compares units.",
        "",
    ),
    ([OwnGRU(3, name="o")], "got the class ", "test_keras_refusals.OwnGRU"),
    ([gru(dtype="mixed_float16")], "got dtype policy 'mixed_float16'.", "in float32"),
    ([gru(), L.Dense(2, activation=keras.ops.square)], "got activation='custom square'.", None),
    ([gru(), L.Dense(2, activation=L.PReLU())], "got activation='custom PReLU'.", "ReLU(max_"),
    (
        [gru(return_sequences=True), L.PReLU(name="p", alpha_initializer="uniform"), L.GRU(2)],
        "'p' (PReLU): expected slopes that are the same at every step, got 12 rows",
        "shared_axes=[1]",
    ),
    (
        [gru(), L.Softmax(name="s"), L.Dense(2)],
        "got a layer after the softmax.",
        "up to the softmax",
    ),
    ([gru(return_sequences=True), L.Softmax(axis=1)], "got axis=1.", "Train with axis=-1."),
    ([gru(), L.BatchNormalization(name="b")], "'b' (BatchNormalization): expected a scaling", ""),
    ([gru(), L.Rescaling(2.0, name="r"), L.Softmax()], "'r' (Rescaling): expected a scaling", ""),
    ([L.BatchNormalization(axis=1), gru()], "got axis=1.", "Train with axis=-1"),
    ([L.BatchNormalization(renorm=True), gru()], "got renorm=True.", "without batch renorm"),
    ([L.Normalization(axis=(1, 2)), gru()], "got axis=(1, 2).", "Train with axis=-1"),
    ([L.Rescaling(np.ones((12, 3))), gru()], "got shapes (12, 3) and ().", "per feature"),
    ([L.TimeDistributed(L.GroupNormalization(3), name="t"), gru()], "'t' (TimeDistributed): ", ""),
    (
        [L.RNN([L.GRUCell(2), L.GRUCell(2, activation="log_softmax")], name="r")],
        "'r' (RNN): expected a supported function of one value",
        None,
    ),
    (
        [L.RNN(L.GRUCell(2, activation="softmax"), name="r")],
        "'r' (RNN): expected a supported",
        None,
    ),
    ([L.Dense(2)], "expected 1 to 8 recurrent layers, got 0.", "convert it with TFLite"),
    ([L.GRU(2, return_sequences=True) for _ in range(9)], "recurrent layers, got 9.", None),
]


@pytest.mark.parametrize(("layers", "text", "cure"), SINGLE, ids=[s[1] for s in SINGLE])
def test_one_reason(layers, text, cure):
    reasons = refused(sequential(*layers, steps=12))
    assert len(reasons) == 1, reasons
    assert text in reasons[0]
    assert (cure or "") in reasons[0]
    assert ": expected " in reasons[0]


#: A file does not say where its author keeps a class, nor that a function `tanh` is not Keras's.
IN_FILES = [s for s in SINGLE if "the class" not in s[1] and "custom tanh" not in s[1]]


@pytest.mark.parametrize("layers", [s[0] for s in IN_FILES], ids=[s[1] for s in IN_FILES])
def test_the_same_reason_from_a_file(layers, tmp_path):
    model = sequential(*layers, steps=12)
    wanted = refused(model)
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"m{suffix}")
        assert refused(tmp_path / f"m{suffix}") == wanted


def test_all_reasons_at_once_in_the_order_of_the_layers():
    layers = (
        L.Masking(float("inf"), name="one"),
        L.LSTM(3, name="two", activation="softmax", go_backwards=True, return_sequences=True),
        L.GRU(3, name="three", recurrent_activation="softmax"),
        L.Dense(2, name="four", activation=tanh),
    )
    with pytest.raises(UnsupportedModelError, match="edgernn supports, got 5 problems") as caught:
        read_keras(sequential(*layers))
    names = [reason.split("'")[1] for reason in caught.value.reasons]
    assert names == ["one", "two", "two", "three", "four"]
    assert all(reason in str(caught.value) for reason in caught.value.reasons)
    assert str(UnsupportedModelError(caught.value.reasons[:1])) == caught.value.reasons[0]


def test_a_refusal_names_what_is_called_alike_and_where_all_are():
    reason = refused(sequential(L.Conv1DTranspose(2, 1, name="c"), L.GRU(2)))[0]
    assert reason == (
        "'c' (Conv1DTranspose): expected a supported layer (docs/reference/support.md), such as "
        "Conv1D, got Conv1DTranspose. Train with a supported layer instead."
    )
    page = (Path(__file__).parents[3] / "docs" / "reference" / "support.md").read_text()
    assert [name for name in SUPPORTED if not re.search(rf"\b{name}\b", page)] == []


def test_a_recurrence_over_images_is_refused_with_a_cure():
    model = keras.Sequential([keras.Input((4, 6, 2)), L.ConvLSTM1D(2, 3, name="c"), L.Flatten()])
    reasons = refused(model)
    assert any(
        reason.startswith("'c' (ConvLSTM1D): expected a supported layer")
        and "TimeDistributed" in reason
        for reason in reasons
    ), reasons


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_weights_that_are_not_finite(index, value):
    model = sequential(L.LSTM(3, name="l"), L.Dense(2))
    weights = model.layers[0].get_weights()
    weights[index].flat[0] = value
    model.layers[0].set_weights(weights)
    name = ("kernel", "recurrent_kernel", "bias")[index]
    assert refused(model) == (
        f"'l' (LSTM): expected finite values in {name}, got 1 NaN or infinite. "
        "Training diverged; train again.",
    )


def test_unknown_arguments_are_refused_unless_at_their_default():
    model = sequential(L.GRU(3, name="g"), L.Dense(2, name="d"))
    model.layers[1].enable_lora(1)
    assert refused(model)[0] == (
        "'d' (Dense): expected only supported arguments, or the default of lora_rank, got "
        "lora_rank=1. edgernn does not support it. Train without lora_rank."
    )


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_quantized_layers():
    model = sequential(L.GRU(3, name="g"), L.Dense(2, name="d"))
    model.quantize("int8")
    assert any("'d' (Dense): expected dtype float32 or float64, got" in r for r in refused(model))


def test_every_output_is_checked():
    given = keras.Input((None, 3))
    hidden = L.GRU(2)(given)
    off = L.Dense(2, activation=tanh, name="off")(hidden)
    reasons = refused(keras.Model(given, [L.Dense(1)(hidden), off]))
    assert len(reasons) == 1
    assert "'off' (Dense): " in reasons[0]
    assert "got activation='custom tanh'" in reasons[0]


def test_returned_and_given_states():
    given = keras.Input((None, 3))
    ys, state = L.GRU(2, return_sequences=True, return_state=True, name="one")(given)
    model = keras.Model(given, L.GRU(2, name="two")(ys, initial_state=state))
    reasons = refused(model)
    assert reasons == (
        "'two' (GRU): expected an initial state computed by another stream, got one computed "
        "by the stream that it reads. Add a separate input for it, as for a decoder, or train "
        "without initial_state: a stream has no end to look back from.",
    )


def test_call_arguments():
    given = keras.Input((None, 3))
    model = keras.Model(given, L.GRU(2)(L.Dropout(0.5, name="mc")(given, training=True)))
    assert refused(model) == (
        "'mc' (Dropout): expected a call with only an input, got training=True. "
        "edgernn passes only the input to a layer. Train without this argument.",
    )


def test_bare_operations():
    given = keras.Input((None, 3))
    reasons = refused(keras.Model(given, L.GRU(2)(given**2.0)))
    assert len(reasons) == 1
    assert (
        "(Power): expected a supported layer (docs/reference/support.md), got Power" in reasons[0]
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: OwnModel(name="m"), "expected a Sequential or Functional model, got the model"),
        (
            lambda: keras.Sequential([L.GRU(2)], name="m"),
            "got a model whose input shape is unknown.",
        ),
        (lambda: image(), "(batch, time, features)"),
        (lambda: integers(), "expected a dense float input, got int32."),
    ],
)
def test_models_that_are_no_stream(make, text):
    assert any(text in reason for reason in refused(make()))


def image():
    return keras.Sequential([keras.Input((4, 4, 1)), L.Dense(2)])


def test_images_are_not_taken_for_tokens():
    layers = [L.Conv2D(2, 3, name="c"), L.Reshape((2, 4)), L.GRU(2)]
    assert not any("token" in reason for reason in refused(keras.Sequential([
        keras.Input((4, 4, 1)), *layers
    ])))  # fmt: skip


def integers():
    return keras.Sequential([keras.Input((None, 3), dtype="int32"), L.GRU(2)])


@pytest.mark.parametrize("source", [None, 3, {"layers": []}, L.GRU])
def test_sources_that_are_no_model(source):
    assert refused(source)[0].startswith("source: expected a Keras 3 model or a path, got ")


def test_live_keras_2_model():
    stranger = type("Sequential", (), {"__module__": "tf_keras.src.engine.sequential"})()
    assert "save it with model.save('model.h5')" in refused(stranger)[0]
