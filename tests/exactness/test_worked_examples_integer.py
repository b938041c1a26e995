"""Textbook cells through the integer path, against their exact values.

The bound is in LSB of the int16 Q0.15 state: in `w8a8` one code of the int8 hidden operand (256
LSB, 2**-7); in `w8a16`, where only the 8-bit weights remain, a quarter of that.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import FloatLSTM, FloatModel, FloatSimpleRNN
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference

#: Largest |integer - exact| accepted, in LSB of Q0.15 (2**-15).
BOUND_LSB = {"w8a8": 256, "w8a16": 64}


def model_of(layer: FloatSimpleRNN | FloatLSTM) -> FloatModel:
    return FloatModel(
        name="worked",
        layers=(layer,),
        input_names=("x0", "x1"),
        input_units=("", ""),
        output_names=("h0", "h1"),
        output_units=("", ""),
    )


def vanilla() -> tuple[FloatModel, FloatArray, FloatArray]:
    """A vanilla RNN: inputs and the exact hidden states, computed with math.tanh."""
    w_xh, w_hh = [[0.5, 0.3], [0.1, 0.4]], [[0.2, 0.1], [0.3, 0.2]]
    xs = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    h, exact = [0.0, 0.0], []
    for x in xs:
        h = [
            math.tanh(
                sum(w_xh[r][j] * x[j] for j in (0, 1)) + sum(w_hh[r][j] * h[j] for j in (0, 1))
            )
            for r in (0, 1)
        ]
        exact.append(h)
    layer = FloatSimpleRNN(
        name="rnn",
        kernel=np.array(w_xh),
        recurrent=np.array(w_hh),
        bias=np.zeros(2),
        activation="tanh",
    )
    return model_of(layer), np.array(xs), np.array(exact)


def lstm_step() -> tuple[FloatModel, FloatArray, FloatArray]:
    """One LSTM step on [h0, x] = [0, 0, 1, 0.5]; b_f = 0.5, all other biases zero."""
    w = {
        "i": [[0.3, 0.1, 0.2, 0.2], [0.1, 0.3, 0.3, 0.1]],
        "f": [[0.1, 0.2, 0.3, 0.1], [0.2, 0.1, 0.1, 0.3]],
        "g": [[0.2, 0.3, 0.4, 0.1], [0.3, 0.2, 0.1, 0.4]],
        "o": [[0.1, 0.1, 0.5, 0.2], [0.2, 0.2, 0.2, 0.5]],
    }
    x = [1.0, 0.5]

    def sigmoid(v: float) -> float:
        return 1.0 / (1.0 + math.exp(-v))

    exact = []
    for r in (0, 1):
        z = {g: sum(w[g][r][2 + j] * x[j] for j in (0, 1)) for g in w}
        c = sigmoid(z["i"]) * math.tanh(z["g"])
        exact.append(sigmoid(z["o"]) * math.tanh(c))
    stacked = np.concatenate([np.array(w[g]) for g in "ifgo"])
    layer = FloatLSTM(
        name="lstm",
        kernel=stacked[:, 2:],
        recurrent=stacked[:, :2],
        bias=np.array([0, 0, 0.5, 0.5, 0, 0, 0, 0]),
        recurrent_activation="sigmoid",
    )
    return model_of(layer), np.array([x]), np.array([exact])


EXAMPLES = {"vanilla": (vanilla, [0.7286, 0.6143]), "lstm": (lstm_step, [0.1536, 0.1034])}


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_integer_path_is_within_its_bound(precision: str, example: str) -> None:
    build, printed = EXAMPLES[example]
    model, xs, exact = build()
    calibration = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.5], [1.0, 1.0]])
    integer = quantize(model, calibration, precision, progress=False)
    interface = integer.interface()
    q_ys, _ = Reference(integer).run(interface.quantize(xs))
    error_lsb = np.abs(q_ys - exact * 32768.0)
    assert error_lsb.max() <= BOUND_LSB[precision]
    # The printed figures are rounded on the way: four digits, good to a few units in the last.
    assert np.allclose(exact[-1], printed, atol=2e-3)
