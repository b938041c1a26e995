"""Cells and layers of `edgernn_export.cells`: Keras, its files, the float run and the integers."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.backends import open_model
from edgernn.errors import RangeRefused
from edgernn_export.cells import (
    SVDF,
    CfCCell,
    FastGRNNCell,
    FastRNNCell,
    RegisteredCell,
    ZoneoutGRUCell,
    ZoneoutLSTMCell,
)
from edgernn_export.cells.known_cells import BACKBONES
from edgernn_export.compress.pruning.keras_matrices import find_matrices
from edgernn_export.float_model import float_run
from edgernn_export.float_model.cells import sigmoid
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_export.writers.tflite.writer import write_tflite
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import random_codes
from tests.support.models.keras import answer, readings, sequential

pytestmark = pytest.mark.tf

CELLS = {
    "fast_rnn": lambda: FastRNNCell(5),
    "fast_grnn": lambda: FastGRNNCell(5),
    "low_rank_fast_grnn": lambda: FastGRNNCell(5, rank=2, gate_activation="hard_sigmoid"),
    "cfc": lambda: CfCCell(5, backbone_units=7),
    "cfc-tanh": lambda: CfCCell(5, backbone_units=7, backbone_activation="tanh"),
    "zoneout_lstm": lambda: ZoneoutLSTMCell(5, zoneout_h=0.1, zoneout_c=0.3),
    "zoneout_gru": lambda: ZoneoutGRUCell(5, use_bias=False),
    "zoneout_gru-hard": lambda: ZoneoutGRUCell(5, 0.3, recurrent_activation="hard_sigmoid"),
}


def over(cell):
    import keras

    return sequential(
        keras.layers.RNN(cell, return_sequences=True, name="own"), keras.layers.Dense(2)
    )


def same_from_files(model, xs, tmp_path, tolerance=1e-6):
    """The float network, read live and from both kinds of files, computes what Keras does."""
    import keras

    read = read_keras(model)
    ys, _ = float_run.run(read, xs)
    wanted = answer(model, xs)
    assert np.abs(ys - wanted).max() < tolerance * max(1.0, np.abs(wanted).max())
    for name in ("a.keras", "a.h5"):
        model.save(tmp_path / name)
        assert read_keras(tmp_path / name).sha256 == read.sha256, name
        assert np.array_equal(answer(keras.saving.load_model(tmp_path / name), xs), wanted), name
    return read


def gapped(xs):
    """Readings whose last channel is an elapsed time, 0 or more."""
    return np.concatenate([xs[..., :-1], np.abs(xs[..., -1:])], axis=-1)


@pytest.mark.parametrize("name", CELLS)
def test_keras_and_its_files(name, tmp_path):
    model = over(CELLS[name]())
    read = same_from_files(model, gapped(readings(steps=40)), tmp_path)
    assert read.layers[0].kind == name.partition("-")[0]


def test_fast_grnn_is_the_equation_of_the_paper():
    cell = CELLS["fast_grnn"]()
    over(cell)
    w = {v.name: np.asarray(v, np.float64) for v in cell.weights}
    x, h = np.random.default_rng(1).normal(size=(2, 4, 5))
    x = x[:, :3]
    v = x @ w["kernel"] + h @ w["recurrent_kernel"]
    z = sigmoid(v + w["gate_bias"])
    share = sigmoid(w["zeta"]) * (1 - z) + sigmoid(w["nu"])
    wanted = share * np.tanh(v + w["candidate_bias"]) + z * h
    got, _ = cell(x.astype(np.float32), [h.astype(np.float32)])
    assert np.abs(np.asarray(got) - wanted).max() < 1e-6


def test_cfc_is_that_of_ncps():
    """The step of `ncps.torch.CfCCell` in its default mode, by its weights' names."""
    cell = CELLS["cfc"]()
    over(cell)
    w = {v.name: np.asarray(v, np.float64) for v in cell.weights}
    rng = np.random.default_rng(1)
    x, h, ts = rng.normal(size=(4, 2)), rng.normal(size=(4, 5)), rng.uniform(0, 3, (4, 1))
    z = np.concatenate([x, h], 1) @ w["backbone_kernel"] + w["backbone_bias"]
    m = 1.7159 * np.tanh(0.666 * z)
    ff1, ff2, t_a, t_b = np.split(m @ w["head_kernel"] + w["head_bias"], 4, axis=1)
    t_interp = sigmoid(t_a * ts + t_b)
    wanted = np.tanh(ff1) * (1.0 - t_interp) + t_interp * np.tanh(ff2)
    got, _ = cell(np.concatenate([x, ts], 1).astype(np.float32), [h.astype(np.float32)])
    assert np.abs(np.asarray(got) - wanted).max() < 1e-6
    assert BACKBONES["lecun_tanh"] == (0.666, 1.7159)


@pytest.mark.long
@pytest.mark.parametrize("unit_s", [1e-3, 1.0, 86_400.0])
def test_any_unit_of_time(unit_s):
    """Rates of any size fit, since the time takes up their unit."""
    cell = CELLS["cfc"]()
    model = over(cell)
    rows = slice(10, 15)
    kernel, bias = np.asarray(cell.head_kernel).copy(), np.asarray(cell.head_bias).copy()
    kernel[:, rows], bias[rows] = kernel[:, rows] * unit_s, bias[rows] * unit_s
    cell.head_kernel.assign(kernel)
    cell.head_bias.assign(bias)
    xs = gapped(readings(2, 300))
    xs[..., -1] /= unit_s
    wanted = answer(model, xs)
    integers = quantize(model, xs, "w8a16", progress=False)
    with edgernn.Session(open_model(integers, "reference")) as session:
        got = np.stack([session.new_stream().run(xs[k]) for k in range(2)])
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.01 * wanted.std()


def test_times_beyond_all_formats_are_refused():
    model = over(RegisteredCell("cfc", 5, {"backbone_units": 7}))
    with pytest.raises(RangeRefused, match=r"own\.elapsed: expected values within ±8192 "):
        quantize(model, 1e6 * gapped(readings(steps=100)), progress=False)


STACKS = {
    "svdf": lambda L: [SVDF(4, memory_size=3, activation="relu"), L.Dense(2)],
    "svdf-rank": lambda L: [
        SVDF(4, memory_size=5, rank=2, name="first"),
        SVDF(3, memory_size=2, rank=3, activation="tanh", use_bias=False),
        L.Dense(2),
    ],
    "svdf-one-reading": lambda L: [
        SVDF(4, memory_size=1, rank=2),
        L.GRU(3, return_sequences=True),
        SVDF(4, memory_size=1),
        L.Dense(2),
    ],
    "stacked-cells": lambda L: [
        L.RNN([L.LSTMCell(4), L.GRUCell(3), L.LSTMCell(5, use_bias=False)], return_sequences=True),
        L.RNN([FastGRNNCell(4, rank=2), L.SimpleRNNCell(3)], return_sequences=True, name="second"),
        L.Dense(2),
    ],
    "training-only": lambda L: [
        L.LSTM(4, return_sequences=True, recurrent_dropout=0.3, unit_forget_bias=False),
        L.RNN(L.GRUCell(4, dropout=0.2, recurrent_dropout=0.3), return_sequences=True),
        L.Dense(2),
    ],
}


def network(name):
    import keras

    return sequential(*STACKS[name](keras.layers))


@pytest.mark.long
@pytest.mark.parametrize("name", STACKS)
def test_layers_and_their_files(name, tmp_path):
    same_from_files(network(name), readings(steps=30), tmp_path)


def test_stacked_cells_are_layers_behind_one_another():
    import keras

    layers = keras.layers
    stacked = sequential(layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)]), layers.Dense(2))
    apart = sequential(layers.LSTM(4, return_sequences=True), layers.GRU(3), layers.Dense(2))
    apart.set_weights(stacked.get_weights())
    one, other = read_keras(stacked), read_keras(apart)
    xs = readings(steps=20)
    assert [layer.units for layer in one.layers] == [4, 3, 2]
    assert np.array_equal(float_run.run(one, xs)[0], float_run.run(other, xs)[0])


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_svdf_gives_one_answer_everywhere(precision, tmp_path):
    model = network("svdf-rank")
    xs = readings(3, 300)
    integers = quantize(model, xs, precision, progress=False)
    codes = random_codes(integers, 200)
    wanted, _ = Reference(integers).run(codes)
    integers.save(tmp_path / "a.edgernn")
    (tmp_path / "a.tflite").write_bytes(write_tflite(integers))
    (tmp_path / "a.onnx").write_bytes(write_onnx_exact(integers))
    for name in ("a.edgernn", "a.tflite", "a.onnx"):
        with edgernn.load(tmp_path / name) as session:
            ys = session.run(codes * integers.input.scale + integers.input.offset)
        assert np.array_equal(np.rint(ys / integers.output.scale), wanted), name
    with edgernn.Session(open_model(integers, "reference")) as session:
        got = session.run(xs[0])
    exact = answer(model, xs)[0]
    limit = 0.08 if precision == "w8a8" else 0.02
    assert np.sqrt(np.mean((got - exact) ** 2)) < limit * exact.std()


def test_zoneout_keeps_elements_in_training_and_their_expectation_afterwards():
    import keras

    keras.utils.set_random_seed(3)
    cell = ZoneoutLSTMCell(64, zoneout_h=0.25, zoneout_c=0.5)
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    h, c = np.random.default_rng(1).normal(size=(2, 200, 64)).astype(np.float32)
    _, trained = cell(x, [h, c], training=True)
    plain = keras.layers.LSTMCell.call(cell, x, [h, c])[1]
    _, expected = cell(x, [h, c])
    for old, new, drawn, mean, share in zip(
        (h, c), plain, trained, expected, (0.25, 0.5), strict=True
    ):
        drawn, new = np.asarray(drawn), np.asarray(new)
        assert np.all((drawn == old) | (drawn == new))
        assert abs(np.mean(drawn == old) - share) < 0.02
        assert np.abs(np.asarray(mean) - (share * old + (1 - share) * new)).max() < 1e-6


def test_zoneout_trains_in_a_layer():
    import keras

    model = keras.Sequential(
        [keras.Input((6, 2)), keras.layers.RNN(ZoneoutGRUCell(4, 0.3)), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    xs = np.random.default_rng(0).normal(size=(32, 6, 2))
    losses = model.fit(xs, xs.mean(axis=(1, 2)), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FastGRNNCell(4, rank=5), "rank: expected 1 to 4, or None for one matrix, got 5"),
        (lambda: FastGRNNCell(4, gate_activation="tanh"), "expected 'sigmoid' or 'hard_sigmoid'"),
        (lambda: CfCCell(4, backbone_activation="relu"), "expected 'tanh' or 'lecun_tanh', got"),
        (lambda: ZoneoutLSTMCell(4, zoneout_c=1.0), "zoneout_c: expected a probability of 0 or"),
        (lambda: ZoneoutLSTMCell(4, activation="relu"), "expected activation='tanh' and recurr"),
        (lambda: ZoneoutGRUCell(4, reset_after=False), "expected reset_after=True, got False"),
        (lambda: SVDF(4, memory_size=0), "memory_size: expected an integer of 1 or more, got 0"),
    ],
)
def test_arguments_that_no_clause_has_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_time_needs_a_channel_beside_it():
    import keras

    layer = keras.layers.RNN(CfCCell(4))
    with pytest.raises(ValueError, match="the last of two or more channels, got 1"):
        layer(np.zeros((1, 3, 1), np.float32))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("fast_grnn", {"own/kernel", "own/recurrent_kernel"}),
        ("low_rank_fast_grnn", {"own/kernel", "own/reducing_kernel", "own/expanding_kernel"}),
        ("cfc", {"own/backbone_kernel", "own/head_kernel"}),
    ],
)
def test_their_matrices_are_pruned(name, wanted):
    found = find_matrices(over(CELLS[name]()))
    assert {matrix.name for matrix in found} == wanted
