"""Encoder-decoder networks from Keras are programs that answer as `predict` does."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.cells import RegisteredCell
from edgernn_export.float_model.float_run import with_softmax
from edgernn_export.float_model.program_sets.programs import FloatHandover
from edgernn_export.keras_reader.program_sets import calls_in
from edgernn_export.keras_reader.program_sets.programs import begins_elsewhere, read_programs
from edgernn_export.keras_reader.reader import read_keras
from tests.support.models.encoder_decoders import (
    ENCODER_DECODERS,
    forecaster,
    sequences,
    trained,
)

L = keras.layers


def answers(programs, model, readings, inputs):
    """Answers of the float programs to sequences by input, probabilities included."""
    given = {
        program: np.reshape(readings[name], (*readings[name].shape[:2], -1)).astype(np.float64)
        for program, name in inputs.items()
    }
    made = programs.run(given)
    return {name: with_softmax(programs[name], ys) for name, ys in made.items()}


@pytest.mark.parametrize("suffix", ["", ".keras", ".h5"])
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_the_float_programs_are_predict(name, suffix, tmp_path):
    source = model = trained(name)
    if suffix:
        source = tmp_path / f"network{suffix}"
        model.save(source)
    assert begins_elsewhere(calls_in(source, None))
    programs = read_programs(source)
    assert [program.name for program in programs.programs] == ["encode", "decode"]
    readings = sequences(model)
    wanted = model.predict(readings, verbose=0)
    got = answers(programs, model, readings, ENCODER_DECODERS[name][1])
    if name == "stacked":
        assert np.abs(got["encode"] - wanted[0]).max() < 1e-6
        wanted = wanted[1]
    assert np.abs(got["decode"] - wanted).max() < 1e-6


def test_states_and_outputs_are_handed_over():
    programs = read_programs(trained("forecaster"))
    handed = {"program": "decode", "layer": 0, "source": "encode", "source_layer": 0}
    assert programs.handovers == (
        FloatHandover(state=0, source_state=0, **handed),
        FloatHandover(state=1, source_state=1, **handed),
    )
    assert programs["encode"].input_names == ("past_0", "past_1", "past_2")
    (begin,) = read_programs(trained("translator")).handovers
    assert (begin.source_layer, begin.port) == (None, "")
    with pytest.raises(UnsupportedModelError, match=r"edgernn_export\.quantize_programs"):
        read_keras(trained("forecaster"))
    assert not begins_elsewhere(
        calls_in(keras.Sequential([keras.Input((None, 2)), L.GRU(3)]), None)
    )


def refused(model):
    with pytest.raises(UnsupportedModelError) as caught:
        read_programs(model)
    return str(caught.value)


def test_what_no_programs_are_is_refused_and_the_cures_work():
    past, future = keras.Input((None, 3), name="past"), keras.Input((None, 2), name="future")
    whole, h, c = L.LSTM(5, return_sequences=True, return_state=True)(past)
    decoder = L.LSTM(5, return_sequences=True)
    y = decoder(whole, initial_state=[h, c])
    text = refused(keras.Model(past, L.Dense(1)(y)))
    assert "expected an initial state computed by another stream" in text
    assert "Add a separate input for it, as for a decoder" in text
    assert read_programs(forecaster()).programs
    one = keras.Sequential([keras.Input((None, 2)), L.GRU(3)])
    assert "Read it as one network" in refused(one)
    read_keras(one)
    strided = L.Conv1D(3, 2, strides=2, padding="causal")(future)
    y = L.LSTM(5, return_sequences=True)(strided, initial_state=[h, c])
    assert "expected programs with one output per reading" in refused(
        keras.Model([past, future], L.Dense(1)(y))
    )


def test_three_programs_are_called_after_their_inputs():
    inputs = [keras.Input((None, 2), name=name) for name in ("a", "b.1", "2c")]
    h = None
    for given in inputs:
        cell = L.GRU(4, return_sequences=True, return_state=True)
        y, h = cell(given, initial_state=h) if h is not None else cell(given)
    programs = read_programs(keras.Model(inputs, L.Dense(1)(y)))
    assert [program.name for program in programs.programs] == ["a", "b_1", "program_2c"]
    assert [handover.source for handover in programs.handovers] == ["a", "b_1"]


def with_start(start, units=5, inputs=(3, 2)):
    """A GRU whose initial state is made of an encoder's output, with an answer of the encoder."""
    past, future = (
        keras.Input((None, width), name=name)
        for name, width in zip(("past", "future"), inputs, strict=True)
    )
    x, h = L.GRU(4, return_sequences=True, return_state=True)(past)
    y = L.GRU(units, return_sequences=True)(future, initial_state=start(h))
    return keras.Model([past, future], [L.Dense(1)(x), L.Dense(2)(y)])


def test_a_state_that_begins_with_probabilities_is_refused_and_the_cure_works():
    text = refused(with_start(L.Dense(5, activation="softmax", name="begin")))
    assert "'begin' (Dense)" in text
    assert "Train with tanh or sigmoid instead" in text
    assert "expected a state" in refused(with_start(lambda h: L.Softmax()(L.Dense(5)(h))))
    # An encoder that answers every step may make a state of its last one, too.
    model = with_start(L.Dense(5, activation="sigmoid"))
    readings = sequences(model)
    got = answers(read_programs(model), model, readings, {"encode": "past", "decode": "future"})
    seen, wanted = model.predict(readings, verbose=0)
    assert np.abs(got["encode"][..., :1] - seen).max() < 1e-6
    assert np.abs(got["decode"] - wanted).max() < 1e-6


def test_a_layer_that_several_programs_use_has_a_state_in_each():
    past, future = keras.Input((None, 2), name="past"), keras.Input((None, 2), name="future")
    convolution = L.Conv1D(3, 2, padding="causal", name="conv")
    cell = L.LSTM(4, return_sequences=True, return_state=True, name="cell")
    head = L.Dense(2, name="head")
    x, h, c = cell(convolution(past))
    y, _, _ = cell(convolution(future), initial_state=[h, c])
    model = keras.Model([past, future], [head(x), head(y)])
    programs, readings = read_programs(model), sequences(model)
    names = [{layer.name for layer in program.layers} for program in programs.programs]
    assert names[0] & names[1] == {"conv", "head"}
    got = answers(programs, model, readings, {"encode": "past", "decode": "future"})
    for made, wanted in zip(got.values(), model.predict(readings, verbose=0), strict=True):
        assert np.abs(made - wanted).max() < 1e-6


def test_an_input_as_initial_state_is_refused_and_the_cure_works():
    past, future = keras.Input((None, 3), name="past"), keras.Input((None, 2), name="future")
    h, kept = L.GRU(4)(past), keras.Input((4,), name="kept")

    def model(c, *more):
        y = L.LSTM(4, return_sequences=True)(future, initial_state=[h, c])
        return keras.Model([past, future, *more], L.Dense(1)(y))

    text = refused(model(kept, kept))
    assert "got the input 'kept' for one of them" in text
    assert read_programs(model(L.Dense(4)(h))).programs


def test_cells_that_begin_with_the_zero_state_say_so_and_the_cure_works():
    past, future = keras.Input((None, 3), name="past"), keras.Input((None, 2), name="future")
    h = L.GRU(4)(past)

    def model(cell):
        options = {"return_sequences": True}
        decoder = L.RNN(RegisteredCell(cell, 4), **options) if cell else L.GRU(4, **options)
        return keras.Model([past, future], L.Dense(1)(decoder(future, initial_state=h)))

    with pytest.raises(UnsupportedModelError, match="or with a SimpleRNN, GRU or LSTM, whose"):
        read_keras(model("min_gru"))
    assert read_programs(model(None)).programs


@pytest.mark.parametrize("suffix", ["", ".keras"])
def test_a_mask_is_no_initial_state(suffix, tmp_path):
    tokens, readings = keras.Input((None,), dtype="int32"), keras.Input((None, 3))
    for given, made in (
        (tokens, L.Embedding(9, 3, mask_zero=True)(tokens)),
        (readings, L.Masking()(readings)),
    ):
        source = model = keras.Model(given, L.GRU(4)(made))
        if suffix:
            source = tmp_path / f"masked{suffix}"
            model.save(source)
        assert not begins_elsewhere(calls_in(source, None))
        assert read_keras(source).mask == 0.0


def test_programs_have_no_mask():
    past, future = keras.Input((None,), dtype="int32"), keras.Input((None, 2), name="future")
    h = L.GRU(4)(L.Embedding(9, 3, mask_zero=True, name="e")(past))
    model = keras.Model([past, future], L.Dense(1)(L.GRU(4)(future, initial_state=h)))
    with pytest.raises(
        UnsupportedModelError, match=r"'e' \(Embedding\): expected programs without"
    ):
        read_programs(model)


@pytest.mark.parametrize("suffix", ["", ".keras"])
def test_an_encoder_and_a_decoder_may_be_models_with_layers_of_the_same_names(suffix, tmp_path):
    past, future = keras.Input((None, 3), name="past"), keras.Input((None, 2), name="future")
    given, state = keras.Input((None, 2)), keras.Input((4,))
    first, second = (L.GRU(4, return_sequences=True, name=name) for name in ("first", "second"))
    decoder = keras.Model([given, state], L.Dense(2)(second(first(given), initial_state=state)))
    x = L.GRU(4, return_sequences=True, name="first")(past)
    encoder = keras.Model(past, L.GRU(4, name="second")(x))
    source = model = keras.Model([past, future], decoder([future, encoder(past)]))
    if suffix:
        source = tmp_path / f"nested{suffix}"
        model.save(source)
    readings = sequences(model)
    got = answers(read_programs(source), model, readings, {"encode": "past", "decode": "future"})
    assert np.abs(got["decode"] - model.predict(readings, verbose=0)).max() < 1e-6
