"""Records refuse what contradicts itself: every message of formats, affine, layers and model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgernn.errors import ModelError
from edgernn.model.affine import (
    ACCUMULATOR_LIMIT_W8A8,
    Affine8,
    Affine16,
)
from edgernn.model.formats import PREACTIVATION, UNIT, QFormat
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import InputSpec, OutputSpec, Port
from edgernn.model.layers import CellActivation, Dense, DenseActivation
from tests.support.models.integer import random_model
from tests.support.models.small_records import W8A16, affine8, int8, int32, term8, term16

pytestmark = pytest.mark.device


def input_spec(**changes):
    fields = {"names": ("a",), "units": ("",), "scale": np.ones(1), "offset": np.zeros(1)}
    return InputSpec(**{**fields, **changes})


def output_spec(**changes):
    fields = {"names": ("a",), "units": ("",), "scale": np.ones(1), "softmax": False}
    return OutputSpec(**{**fields, **changes})


LSTM = random_model("lstm", outputs=0)
GRU = random_model("gru_after", outputs=0)
RNN = random_model("simple_rnn", outputs=0)
DEEP = random_model("lstm", stack=2)
WIDE = random_model("lstm", W8A16)


def layer_of(model: IntegerModel, **changes):
    return dataclasses.replace(model.layers[0], **changes)


def model_of(model: IntegerModel, *layers, **changes):
    return dataclasses.replace(model, layers=layers or model.layers, **changes)


def dense(activation=DenseActivation.LINEAR, output_scale=1.0):
    return Dense(
        name="d", inputs=2, units=1, activation=activation, output_scale=output_scale, out=affine8()
    )


def stack(count: int):
    return random_model("simple_rnn", stack=count, outputs=0, units=2)


def saturated(layer):
    """The layer with one row whose accumulator can pass the bound of clause 4.4."""
    term = layer.gates.terms[0]
    multiplier = term.multiplier.copy()
    multiplier[5] = ACCUMULATOR_LIMIT_W8A8
    terms = (dataclasses.replace(term, multiplier=multiplier), *layer.gates.terms[1:])
    return dataclasses.replace(layer, gates=dataclasses.replace(layer.gates, terms=terms))


REFUSALS = {
    "weights dtype": (
        lambda: term8(weights=np.ones((1, 2), np.int16)),
        "term x.weights: expected 2-d int8, got 2-d int16",
    ),
    "weights rank": (
        lambda: term8(weights=np.ones(2, np.int8)),
        "term x.weights: expected 2-d int8, got 1-d int8",
    ),
    "weights empty": (
        lambda: term8(weights=np.ones((1, 0), np.int8)),
        r"term x.weights: expected at least one row and column, got \(1, 0\)",
    ),
    "weights -128": (
        lambda: term16(weights=int8([-128, 127])),
        r"term x.weights: expected values in \[-127, 127\], got \[-128, 127\]",
    ),
    "multiplier rows": (
        lambda: term8(multiplier=int32(1, 2)),
        r"term x.multiplier: expected shape \(1,\), got \(2,\)",
    ),
    "multiplier negative": (
        lambda: term8(multiplier=int32(-1)),
        r"term x.multiplier: expected values in \[0, 536870912\], got \[-1, -1\]",
    ),
    "multiplier of w8a16": (
        lambda: term16(multiplier=int32(32_768)),
        r"term x.multiplier: expected values in \[0, 32767\], got \[32768, 32768\]",
    ),
    "shift below 3": (
        lambda: term16(shift=int32(2)),
        r"term x.shift: expected values in \[3, 30\]",
    ),
    "shift over 30": (lambda: term16(shift=int32(31)), r"term x.shift: .*got \[31, 31\]"),
    "bias mod 4": (lambda: term16(bias=int32(-1)), r"term x.bias: expected bias mod 4 = 1"),
    "bias dtype": (
        lambda: Affine8(terms=(term8(),), bias=np.zeros(1), shift=8),
        "affine.bias: expected 1-d int32, got 1-d float64",
    ),
    "affine shift 0": (lambda: affine8(shift=0), r"affine.shift: expected 1\.\.28, got 0"),
    "affine shift 29": (lambda: affine8(shift=29), r"affine.shift: expected 1\.\.28, got 29"),
    "terms no tuple": (
        lambda: Affine8(terms=[term8()], bias=int32(0), shift=8),
        "affine.terms: expected a tuple of 1 or 2 terms, got",
    ),
    "terms too many": (lambda: affine8(*[term8()] * 3), "affine.terms: expected a tuple of 1 or 2"),
    "terms none": (lambda: Affine16(terms=()), "affine.terms: expected 1 or 2 terms, got 0"),
    "terms mixed": (lambda: affine8(term16()), "affine.terms: expected Term8, got Term16"),
    "terms rows": (
        lambda: affine8(term8(), bias=(0, 0)),
        "affine.terms: expected 2 rows in every term, got 1",
    ),
    "layer name": (
        lambda: layer_of(LSTM, name="a/b"),
        r"layer name: expected 1\.\.64 letters, digits, '_' or '-', got 'a/b'",
    ),
    "layer name long": (lambda: layer_of(LSTM, name="a" * 65), "layer name: expected"),
    "widths": (
        lambda: layer_of(LSTM, inputs=0),
        "lstm_0: expected inputs >= 1 and units >= 1, got inputs=0, units=8",
    ),
    "no affine": (
        lambda: layer_of(LSTM, gates=None),
        "lstm_0.gates: expected an affine map, got NoneType",
    ),
    "sources": (
        lambda: layer_of(GRU, n_h=GRU.layers[0].n_x),
        "gru_after_0.n_h: expected sources h, got x",
    ),
    "sources of gates": (
        lambda: layer_of(LSTM, gates=GRU.layers[0].n_x),
        r"lstm_0.gates: expected sources x\+h or xh, got x",
    ),
    "rows": (
        lambda: layer_of(LSTM, gates=GRU.layers[0].zr),
        "lstm_0.gates: expected 32 rows, got 16",
    ),
    "columns": (
        lambda: layer_of(LSTM, inputs=4),
        "lstm_0.gates: expected 12 columns for source xh, got 11",
    ),
    "tanh state": (
        lambda: layer_of(RNN, state_exponent=14),
        r"simple_rnn_0.state_exponent: expected 15\.\.15 for tanh, got 14",
    ),
    "relu state": (
        lambda: layer_of(RNN, activation=CellActivation.RELU, state_exponent=16),
        r"simple_rnn_0.state_exponent: expected -16\.\.15 for relu, got 16",
    ),
    "cell exponent": (
        lambda: layer_of(LSTM, cell_exponent=9),
        r"lstm_0.cell_exponent: expected 10\.\.14, got 9",
    ),
    "gru shifts": (
        lambda: layer_of(GRU, n_x=dataclasses.replace(GRU.layers[0].n_x, shift=20)),
        r"gru_after_0: expected one shift for all maps, got \[\d+, 20\]",
    ),
    "output scale": (
        lambda: dense(output_scale=float("nan")),
        "d.output_scale: expected a finite value > 0, got nan",
    ),
    "output scale of tanh": (
        lambda: dense(activation=DenseActivation.TANH, output_scale=0.5),
        r"d.output_scale: expected 2\*\*-15 for tanh, got 0\.5",
    ),
    "no layers": (
        lambda: dataclasses.replace(LSTM, layers=()),
        "model.layers: expected a tuple of layer records",
    ),
    "strange layer": (lambda: model_of(LSTM, None), "model.layers: expected a tuple of layer"),
    "layer names": (
        lambda: model_of(DEEP, DEEP.layers[0], layer_of(DEEP, name="lstm_0")),
        "model.layers: expected distinct names, got",
    ),
    "no recurrent layer": (
        lambda: model_of(LSTM, dense()),
        r"model.layers: expected 1\.\.8 recurrent layers, got 0",
    ),
    "too many": (lambda: stack(9), r"model.layers: expected 1\.\.8 recurrent layers, got 9"),
    "chain": (
        lambda: model_of(DEEP, DEEP.layers[1], DEEP.layers[0]),
        r"lstm_1.inputs: expected 3 \(the width of the layer before it\), got 8",
    ),
    "model output": (
        lambda: dataclasses.replace(LSTM, output=output_spec()),
        "model.output: expected 8 channels, got 1",
    ),
    "precision": (
        lambda: dataclasses.replace(LSTM, precision=W8A16),
        "lstm_0.gates: expected Affine16 in w8a16, got Affine8",
    ),
    "overflow": (
        lambda: model_of(LSTM, saturated(LSTM.layers[0])),
        r"lstm_0.gates: expected .*clause 4\.4 or 5\.5, got 1 rows .*first: row 5\)",
    ),
    "input offset shape": (
        lambda: input_spec(offset=np.zeros(2)),
        r"input.offset: expected shape \(1,\), got \(2,\)",
    ),
    "input scale dtype": (
        lambda: input_spec(scale=np.ones(1, np.float32)),
        "input.scale: expected 1-d float64, got 1-d float32",
    ),
    "input names": (
        lambda: input_spec(names=("a", "b")),
        "input.names: expected 1 strings of <= 256 characters, got",
    ),
    "input unit long": (lambda: input_spec(units=("a" * 257,)), "input.units: expected 1 strings"),
    "input unit type": (lambda: input_spec(units=(3,)), "input.units: expected 1 strings"),
    "input scale": (
        lambda: input_spec(scale=np.zeros(1)),
        "input.scale: expected finite values > 0",
    ),
    "input offset": (
        lambda: input_spec(offset=np.array([np.inf])),
        "input.offset: expected finite values",
    ),
    "input names twice": (
        lambda: input_spec(names=("a", "a"), units=("", ""), scale=np.ones(2), offset=np.zeros(2)),
        r"input.names: expected distinct names, got \('a', 'a'\)",
    ),
    "input names in two lines": (
        lambda: input_spec(names=("a\nb",)),
        r"input.names: expected names without control characters, got \('a\\nb',\)",
    ),
    "output names with NUL": (
        lambda: output_spec(names=("a\0",)),
        "output.names: expected names without control characters, got",
    ),
    "port with an escape": (
        lambda: input_spec(
            names=("a", "b"),
            units=("", ""),
            scale=np.ones(2),
            offset=np.zeros(2),
            ports=(Port(name="p", width=1), Port(name="\x1b[2J", width=1)),
        ),
        "input.ports: expected names without control characters, got",
    ),
    "output names twice": (
        lambda: output_spec(names=("a", "a"), units=("", ""), scale=np.ones(2)),
        "output.names: expected distinct names, got",
    ),
    "output names": (lambda: output_spec(names=()), "output.names: expected 1 strings"),
    "output unit": (lambda: output_spec(units=()), "output.units: expected 1 strings"),
    "output scale nan": (
        lambda: output_spec(scale=np.array([np.nan])),
        "output.scale: expected finite values > 0",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_by_name(name):
    build, message = REFUSALS[name]
    with pytest.raises(ModelError, match=f"^{message}"):
        build()


@pytest.mark.parametrize(("bits", "frac_bits"), [(16, 31), (16, -17), (12, 4), (0, 0)])
def test_formats_no_code_uses(bits, frac_bits):
    with pytest.raises(
        ValueError, match=f"^QFormat: expected .*bits={bits}, frac_bits={frac_bits}"
    ):
        QFormat(bits=bits, frac_bits=frac_bits)


def test_formats_say_what_they_are():
    assert (str(PREACTIVATION), str(UNIT)) == ("Q5.10", "Q0.15")
    assert (UNIT.low, UNIT.high, UNIT.scale) == (-32768, 32767, 2.0**-15)
