"""Attention of Keras: read as it computes, alive and stored, refused by name, quantized."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import edgernn
from edgernn.errors import EdgeRnnError, UnsupportedModelError
from edgernn_export import attention_shares, draw_shares, quantize, quantize_programs
from edgernn_export.float_model import float_run
from edgernn_export.keras_reader.program_sets import calls_in
from edgernn_export.keras_reader.program_sets.passes import read_passes
from edgernn_export.keras_reader.program_sets.programs import begins_elsewhere, read_programs
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from tests.export.writers.test_onnx_float import run_onnx
from tests.support.models.keras_attention import hybrid, readings, translator, with_weights

L = keras.layers
KINDS = ("dot", "causal", "additive", "scaled", "1", "2", "named", "last state")
PAIRS = ("dot", "additive", "2", "alone")


@pytest.mark.parametrize("kind", KINDS)
def test_windows_are_what_keras_predicts(kind, tmp_path):
    model, xs = with_weights(hybrid(kind)), readings(6, 8, 3)
    wanted = model.predict(xs, verbose=0)
    network = read_keras(model)
    ys, _ = float_run.run(network, xs.astype(np.float64))
    np.testing.assert_allclose(ys[:, -1], wanted, atol=2e-5)
    assert network.window.steps == 8
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        assert read_keras(tmp_path / name).sha256 == network.sha256
    floats, _ = run_onnx(write_onnx_float(network), xs)
    np.testing.assert_allclose(floats[:, -1], wanted, atol=2e-4)


@pytest.mark.parametrize("kind", PAIRS)
def test_a_decoder_attends_to_its_encoder(kind, tmp_path):
    model = with_weights(translator(kind))
    past, future = readings(5, 7, 3), readings(5, 4, 2, seed=1)
    wanted = model.predict([past, future], verbose=0)
    programs = read_programs(model)
    given = {"encode": past.astype(np.float64), "decode": future.astype(np.float64)}
    np.testing.assert_allclose(programs.run(given)["decode"], wanted, atol=2e-5)
    model.save(tmp_path / "pair.keras")
    assert begins_elsewhere(calls_in(tmp_path / "pair.keras", None))
    stored = read_programs(tmp_path / "pair.keras")
    assert [m.sha256 for m in stored.programs] == [m.sha256 for m in programs.programs]
    with pytest.raises(UnsupportedModelError, match="attention to another stream"):
        read_keras(model)


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "most"), [("w8a8", 0.2), ("w8a16", 0.03)])
def test_integers_are_close(precision, most, tmp_path):
    """Root mean square error as a share of the outputs' deviation; the mean over five kinds."""
    xs, shares = readings(30, 8, 3), []
    for kind in ("dot", "additive", "scaled", "1", "last state"):
        model = with_weights(hybrid(kind))
        wanted = model.predict(xs[:10], verbose=0)
        integer = quantize(model, xs, precision=precision, progress=False)
        with edgernn.load(integer, backend="reference") as session:
            answers = np.array([window[-1] for window in map(session.run, xs[:10])])
        shares.append(np.sqrt(np.square(answers - wanted).mean()) / wanted.std())
    assert np.mean(shares) < most, shares


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_programs_in_integers_are_close():
    past, future = readings(20, 7, 3), readings(20, 4, 2, seed=1)
    for kind in PAIRS:
        model = with_weights(translator(kind))
        wanted = model.predict([past, future], verbose=0)
        programs = quantize_programs(model, {"encode": past, "decode": future}, precision="w8a16")
        answers = []
        with edgernn.load(programs, backend="reference") as session:
            for before, after in zip(past[:8], future[:8], strict=True):
                session.begin("encode")
                session.run("encode", before)
                session.begin("decode")
                answers.append(session.run("decode", after))
        error = np.sqrt(np.square(np.array(answers) - wanted[:8]).mean()) / wanted.std()
        assert error < 0.03, kind


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_shares_can_be_read_and_drawn(tmp_path):
    """They are those of Keras, of a window and of a decoder; a picture shows them."""
    xs, model = readings(20, 8, 3), with_weights(hybrid("last state"))
    integer = quantize(model, xs, precision="w8a16", progress=False)
    found = attention_shares(integer, xs[0])["attends"]
    assert found.shape == (8, 8)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=0.005)
    assert not np.triu(found, 1).any()  # rows that are not there yet
    layer = model.get_layer("attends")
    read = keras.Model(model.input, layer.input).predict(xs[:1], verbose=0)
    wanted = np.array(layer(read, return_attention_scores=True)[1])[0, 0]
    np.testing.assert_allclose(found[-1], wanted[::-1], atol=0.02)
    assert draw_shares(found, tmp_path / "shares.png").stat().st_size > 1000
    past, future = readings(10, 7, 3), readings(10, 4, 2, seed=1)
    pair = with_weights(translator("alone"))
    programs = quantize_programs(pair, {"encode": past, "decode": future}, precision="w8a16")
    with edgernn.load(programs, backend="reference") as session:
        session.run("encode", past[0])
        session.begin("decode")
        shares = attention_shares(programs["decode"], future[0], session.state)["attends"]
    assert shares.shape == (4, 7)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=0.005)
    with pytest.raises(EdgeRnnError, match="expected a model with attention"):
        attention_shares(programs["encode"], past[0])


def test_an_input_attends_to_itself():
    x = keras.Input((8, 3))
    s = L.LSTM(6, return_sequences=True)(x)
    seen = L.Attention(use_scale=True)([x, x])[:, -1]
    heads = L.MultiHeadAttention(1, 3)(x, s, key=x, use_causal_mask=True)[:, -1]
    model, xs = with_weights(keras.Model(x, L.Concatenate()([seen, heads]))), readings(4, 8, 3)
    ys, _ = float_run.run(read_keras(model), xs.astype(np.float64))
    np.testing.assert_allclose(ys[:, -1], model.predict(xs, verbose=0), atol=2e-5)
    assert not begins_elsewhere(calls_in(model, None))


def refused(build, steps=8):
    x = keras.Input((steps, 3))
    s = L.LSTM(6, return_sequences=True)(x)
    with pytest.raises(UnsupportedModelError) as error:
        read_keras(keras.Model(x, build(s)))
    return str(error.value)


def test_what_a_stream_cannot_attend_to_is_refused_by_name():
    ahead = "expected steps that depend on no later readings"
    assert ahead in refused(lambda s: L.Dense(2)(L.Attention()([s, s])))
    assert ahead in refused(lambda s: L.Dense(2)(L.GRU(4)(L.Attention()([s, s]))))
    assert ahead in refused(lambda s: L.Attention()([s, L.Attention()([s, s])])[:, -1])
    long = "expected a fixed number of 2 to 64 steps"
    assert long in refused(lambda s: L.Attention()([s, s])[:, -1], steps=None)
    assert long in refused(lambda s: L.Attention()([s, s])[:, -1], steps=65)
    wide = refused(lambda s: L.Attention()([L.Dense(129)(s), s, L.Dense(129)(s)])[:, -1])
    assert "expected queries and keys of the same width, 128 at most" in wide
    concat = refused(lambda s: L.Attention(score_mode="concat")([s, s])[:, -1])
    assert "AdditiveAttention" in concat
    scores = refused(lambda s: L.Attention()([s, s], return_attention_scores=True)[0][:, -1])
    assert "return_attention_scores" in scores
    one = refused(lambda s: L.Attention()([s[:, -1][:, None], s], use_causal_mask=True)[:, -1])
    assert "expected" in one


def test_a_memory_that_is_refused_is_the_only_reason():
    past, future = keras.Input((7, 3)), keras.Input((None, 3))
    s = L.GRU(3, return_sequences=True)(past)
    d = L.GRU(3, return_sequences=True)(future)
    seen = L.Attention()([d, L.Attention(name="ahead")([s, s])])
    with pytest.raises(UnsupportedModelError, match="those of 'ahead'") as error:
        read_programs(keras.Model([past, future], seen))
    assert len(error.value.reasons) == 1


def test_a_network_that_keeps_its_state_is_refused():
    x = keras.Input((8, 3), batch_size=1)
    s = L.LSTM(6, return_sequences=True, stateful=True)(x)
    with pytest.raises(UnsupportedModelError, match="stateful=False in a network with attention"):
        read_keras(keras.Model(x, L.Attention()([s, s], use_causal_mask=True)[:, -1]))


def test_attention_beside_backward_layers_is_refused():
    x = keras.Input((8, 3))
    s = L.Bidirectional(L.LSTM(4, return_sequences=True))(x)
    with pytest.raises(UnsupportedModelError, match="attention next to layers that read them back"):
        read_passes(keras.Model(x, L.Dense(2)(L.Attention()([s, s])[:, -1])))
