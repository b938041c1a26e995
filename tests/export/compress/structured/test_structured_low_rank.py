"""Kernels in two factors: what they answer, what they save, and that they become integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import PruningError
from edgernn_export import quantize
from edgernn_export.compress.structured import factorize
from edgernn_export.keras_reader import read_keras
from edgernn_export.quantizer.report import quantization_report
from tests.support.models.keras import answer, readings, sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf

XS = readings(inputs=8)


def network(kind: str = "LSTM", rank: int | None = None) -> Any:
    """Eight inputs; the first kernel has the given rank."""
    model = sequential(
        L.Normalization(mean=0.5, variance=2.0),
        getattr(L, kind)(6, return_sequences=True, name="rnn"),
        L.TimeDistributed(L.Dense(5, activation="tanh", name="inner"), name="head"),
        inputs=8,
    )
    if rank is not None:
        kernel = model.get_layer("rnn").cell.kernel
        rng = np.random.default_rng(5)
        factors = rng.normal(size=(8, rank)), rng.normal(size=(rank, kernel.shape[1]))
        kernel.assign(factors[0] @ factors[1] * 0.2)
    return model


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_a_kernel_of_low_rank_is_factorized_without_loss(kind):
    model = network(kind, rank=2)
    made = factorize(model, "rnn", energy=1.0 - 1e-9)
    rows = model.get_layer("rnn").cell.kernel.shape[1]
    assert (made.layer, made.dense, made.rank) == ("rnn", "rnn_low_rank", 2)
    assert made.energy == pytest.approx(1.0, abs=1e-9)
    assert (made.parameters_before, made.parameters_after) == (8 * rows, 2 * (8 + rows))
    assert made.model.count_params() == model.count_params() - made.parameters_saved
    assert [layer.name for layer in made.model.layers][1:] == ["rnn_low_rank", "rnn", "head"]
    np.testing.assert_allclose(answer(made.model, XS), answer(model, XS), rtol=0.0, atol=1e-5)


def test_the_product_is_the_nearest_of_its_rank():
    model = network()
    kernel = np.array(model.get_layer("rnn").cell.kernel, dtype=np.float64)
    made = factorize(model, "rnn", rank=3)
    first = np.array(made.model.get_layer("rnn_low_rank").kernel, dtype=np.float64)
    second = np.array(made.model.get_layer("rnn").cell.kernel, dtype=np.float64)
    eigenvalues = np.sort(np.linalg.eigvalsh(kernel @ kernel.T))[::-1]
    assert np.sum((kernel - first @ second) ** 2) == pytest.approx(eigenvalues[3:].sum(), rel=1e-5)
    assert made.energy == pytest.approx(eigenvalues[:3].sum() / eigenvalues.sum(), rel=1e-9)
    norms = np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=1)
    np.testing.assert_allclose(*norms, rtol=1e-5)  # both sides have the same range


def test_energy_takes_the_least_rank_and_the_default_is_95_percent():
    model = network(rank=3)
    kernel = np.array(model.get_layer("rnn").cell.kernel, dtype=np.float64)
    squares = np.sort(np.linalg.eigvalsh(kernel @ kernel.T))[::-1]
    shares = np.cumsum(squares) / squares.sum()
    assert shares[0] < 0.95
    for energy in (shares[0] * 0.99, shares[0] * 1.001, 0.95):
        expected = int(np.argmax(shares >= energy)) + 1
        assert factorize(model, "rnn", energy=float(energy)).rank == expected
    assert factorize(model, "rnn").rank == int(np.argmax(shares >= 0.95)) + 1


def test_dense_layers_become_two():
    model = network()
    made = factorize(model, "head", rank=2)
    assert [type(x).__name__ for x in made.model.layers][-2:] == ["Dense", "TimeDistributed"]
    head = made.model.get_layer("head").layer
    kernel = np.array(model.get_layer("head").layer.kernel)
    product = np.array(made.model.get_layer("head_low_rank").kernel) @ np.array(head.kernel)
    values = np.linalg.svd(kernel, compute_uv=False)
    assert np.linalg.norm(kernel - product, 2) == pytest.approx(values[2], rel=1e-4)
    assert np.array_equal(np.array(head.bias), np.array(model.get_layer("head").layer.bias))


def test_a_second_time_gets_a_name_of_its_own():
    once = factorize(network(), "rnn", rank=5).model
    assert factorize(once, "rnn", rank=2).dense == "rnn_low_rank_2"


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_the_factors_quantize(precision):
    model = factorize(network(rank=3), "rnn", rank=3).model
    integer = quantize(model, XS, precision, progress=False)
    assert [layer.name for layer in integer.layers] == ["rnn_low_rank", "rnn", "inner"]
    report = quantization_report(read_keras(model), integer, XS)
    assert min(tensor.sqnr_db for tensor in report.tensors) > 20.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 6}, "'rnn' (LSTM): expected a rank that saves weights, got 6, which makes 192 "),
        ({"rank": 99}, "Pass a rank of at most 5."),
        ({"rank": 0}, "rank: expected a whole number of at least 1, got 0."),
        ({"energy": 1.5}, "energy: expected a share above 0 and at most 1, got 1.5."),
        ({"rank": 1, "energy": 0.5}, "rank: expected at most one of rank, energy, got rank and en"),
        ({"rank": 1, "matrix": "bias"}, "matrix: expected one of kernel, recurrent_kernel, got"),
        (
            {"rank": 1, "matrix": "recurrent_kernel"},
            "'rnn' (LSTM): expected the kernel to factorize, got its recurrent kernel. The "
            "integer model does not support factorized recurrent kernels",
        ),
    ],
)
def test_refuses(options, message):
    with pytest.raises(PruningError) as caught:
        factorize(network(), "rnn", **options)
    assert message in str(caught.value)


def test_refuses_names_and_kernels_too_small():
    with pytest.raises(PruningError, match=r"got 'none'. This model has 'rnn', 'head';"):
        factorize(network(), "none")
    model = sequential(L.LSTM(2, return_sequences=True), L.Dense(1, name="head"))
    with pytest.raises(PruningError, match=r"weights 3\. Do not factorize this kernel\."):
        factorize(model, "head", rank=1)
    twice = sequential(L.GRU(2, name="x", return_sequences=True), L.Dense(1, name="y"))
    outer = keras.Sequential([keras.Input((None, 3)), twice, L.Dense(2, name="y")])
    with pytest.raises(PruningError, match="got 'y' more than once"):
        factorize(outer, "y")
