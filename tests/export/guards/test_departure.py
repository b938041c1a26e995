"""Integer models that stray from their network on their own calibration are said to."""

from __future__ import annotations

import dataclasses
import re
import warnings

import numpy as np
import pytest

from edgernn.errors import DepartureWarning
from edgernn.model.formats import FloatArray
from edgernn.model.interface import Port
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatDense, FloatModel, FloatSimpleRNN
from edgernn_export.guards.departure import departure
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import FLOAT_CELLS, float_model, stream

SOFTMAX = {"final_activation": "softmax"}
LEVEL = Port(name="level", width=1)


def average(keep: float, activation: str = "relu") -> FloatModel:
    """One unit that keeps this share of its state from step to step."""
    layer = FloatSimpleRNN(
        name="average",
        kernel=np.array([[1.0 - keep]]),
        recurrent=np.array([[keep]]),
        bias=np.zeros(1),
        activation=activation,
    )
    texts = {"input_names": ("x",), "input_units": ("",)}
    outputs = {"output_names": ("y",), "output_units": ("",)}
    return FloatModel(name="slow", layers=(layer,), **texts, **outputs)


def readings() -> FloatArray:
    noise = np.random.default_rng(0).normal(size=6000)
    return np.abs(np.sin(np.arange(6000) / 300) * 0.5 + noise * 0.5)[:, None]


@pytest.mark.filterwarnings("ignore::edgernn.LongMemoryWarning")
@pytest.mark.parametrize(
    ("keep", "activation", "precision"),
    [(0.99, "relu", "w8a8"), (0.999, "relu", "w8a8"), (0.999, "relu", "w8a16"),
     (0.99, "tanh", "w8a8"), (0.999, "tanh", "w8a8")],
)  # fmt: skip
def test_a_slow_average_is_said(keep, activation, precision):
    model, xs = average(keep, activation), readings()
    with pytest.warns(DepartureWarning, match=r"slow: .* differ .* by \d+%") as caught:
        integer = quantize(model, xs, precision, state="16", progress=False)
    said = float(str(caught[0].message).split(" by ")[1].split("%")[0]) / 100
    ys = run(model, xs[None, :512])[0][0]
    q_ys, _ = Reference(integer).run(integer.interface().quantize(xs[:512]))
    got = integer.interface().dequantize(q_ys)
    assert said > 0.32
    assert np.sqrt(np.mean(np.square(got - ys)) / np.var(ys)) > 0.2


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_ordinary_networks_do_not_stray(cell, precision):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DepartureWarning)
        for seed in range(4):
            quantize(float_model(cell, seed=seed), stream(600, 3, seed), precision, progress=False)
        quantize(average(0.5), readings(), precision, progress=False)


def answering(kernel, bias, activation="linear", keep=(0.5, 0.3), **options) -> FloatModel:
    """Units that keep shares of their states, of one reading, and a Dense layer over them."""
    units, kernel = len(keep), np.asarray(kernel, dtype=np.float64)
    outputs = len(kernel)
    layers = (
        FloatSimpleRNN(
            name="averages",
            kernel=1.0 - np.array(keep)[:, None],
            recurrent=np.diag(keep),
            bias=np.zeros(units),
            activation="relu",
        ),
        FloatDense(
            name="answers",
            kernel=kernel,
            bias=np.asarray(bias, dtype=np.float64) * np.ones(outputs),
            activation=activation,
        ),
    )
    return FloatModel(
        name="answering", layers=layers, input_names=("x",), input_units=("",),
        output_names=tuple(f"y{k}" for k in range(outputs)), output_units=("",) * outputs,
        **options,
    )  # fmt: skip


def said(model: FloatModel, precision: str = "w8a8", xs: FloatArray | None = None) -> list[str]:
    """What quantizing says of departures."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        given = readings() if xs is None else xs
        quantize(model, given, precision, state="16", progress=False)
    return [str(w.message) for w in caught if issubclass(w.category, DepartureWarning)]


def test_one_output_among_many_is_judged_by_itself():
    kernel = [[1.0, 0.0]] * 30 + [[0.0, 1.0]]
    (message,) = said(answering(kernel, 0.0, keep=(0.5, 0.99)))
    assert "of y30 (root mean square over" in message
    assert " too. " not in message
    assert said(answering(kernel, 0.0)) == []


def test_all_that_stray_are_named():
    kernel = [[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 4.0], [0.0, 5.0]]
    (message,) = said(answering(kernel, 0.0, keep=(0.5, 0.999)))
    named = {f"y{k}" for k in range(6) if f"y{k} " in message or f"y{k}," in message}
    assert "and 1 more differ too" in message
    assert "y0" not in message
    assert len(named) == 4


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_an_output_that_moves_by_less_than_its_codes_is_said(precision):
    """In a chain, too: there is one scale for 1000 and for what moves beside it."""
    (message,) = said(answering([[1.0, 0.0], [0.01, 0.0]], [0.0, 1000.0]), precision)
    assert "of y1 (" in message
    assert "Its standard deviation is only 0." in message
    assert " codes" in message
    assert "subtract the mean" in message


def test_a_state_that_moves_by_less_than_its_codes_is_said():
    layer = average(0.5, "tanh").layers[0]
    faint = dataclasses.replace(layer, kernel=layer.kernel * 1e-5)
    (message,) = said(dataclasses.replace(average(0.5), layers=(faint,)))
    assert " codes" in message


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize(
    ("kernel", "bias"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], [0.0, 1000.0]),
        ([[1.0, 0.0], [1e-9, 0.0]], [0.0, 1000.0]),  # less than single precision holds
        ([[1.0, 0.0], [0.0, 0.0]], [0.0, 0.0]),
        ([[1.0, 0.0], [0.0, 0.0]], [0.0, -3e-7]),
    ],
)
def test_outputs_that_never_move_are_not_said_to_stray(kernel, bias, precision):
    assert said(answering(kernel, bias), precision) == []


def test_a_constant_that_is_another_is_said():
    model, xs = answering([[1.0, 0.0], [0.0, 0.0]], [0.0, 1000.0]), readings()[None, :500]
    integer = quantize(model, readings(), progress=False)
    outputs = Reference(integer).run(integer.interface().quantize(xs))[0]
    assert departure(model, integer, [xs], [outputs]) is None
    outputs[..., 1] //= 2
    found = departure(model, integer, [xs], [outputs])
    assert (found.output, found.strayed, found.codes) == ("y1", ("y1",), 0.0)
    assert found.share == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_classes_that_are_never_decided_on_are_not_said(activation, precision):
    """A probability of some 10^-5 is off by its half: no decision depends on it."""
    kernel, bias = [[6.0, -4.0], [-6.0, 4.0], [0.5, 0.5]], [0.0, 0.0, -11.0]
    softmax = activation == "softmax"
    options = SOFTMAX if softmax else {"activation": activation}
    model = answering(kernel, bias, **options)
    assert said(model, precision) == []


@pytest.mark.parametrize("ports", [False, True])
def test_a_probability_is_judged_where_it_decides(ports):
    """Logits that vary much more, all below, leave no codes for two that decide."""
    kernel = [[-3000.0, 0.0], [-2900.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    bias = [-1000.0, -1000.0, 0.0, -0.1, 0.0]
    options = {"output_ports": (Port(name="kind", width=4, softmax=True), LEVEL)} if ports else {}
    (message,) = said(answering(kernel[: 4 + ports], bias[: 4 + ports], **options, **SOFTMAX))
    assert "of y2 (" in message or "of y3 (" in message
    assert re.search(r"; .*y[23].* differs? too\. Its standard deviation is only", message)
    assert "All logits share one scale" in message


def test_logits_that_stray_together_are_said():
    model = answering(np.eye(2) * 5, 0.0, keep=(0.999, 0.999), **SOFTMAX)
    (message,) = said(model)
    assert "the logits" in message


def test_a_sigmoid_in_the_middle_is_judged_by_its_own_movement():
    (message,) = said(answering([[1e-4, 0.0]], 0.0, "sigmoid"))
    assert "of y0 (" in message
