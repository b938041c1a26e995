"""Float networks that remember: latches, slow averages, a counter, a pressure in Pa."""

from __future__ import annotations

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import (
    FloatDense,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatModel,
    FloatSimpleRNN,
)


def network(*layers: FloatLayer) -> FloatModel:
    """The layers as a model with plain names."""
    inputs, outputs = layers[0].inputs, layers[-1].units
    return FloatModel(
        name="remembering",
        layers=layers,
        input_names=tuple(f"x{i}" for i in range(inputs)),
        input_units=("",) * inputs,
        output_names=tuple(f"y{i}" for i in range(outputs)),
        output_units=("",) * outputs,
        final_activation="linear",
    )


def gru(kernel: FloatArray, update_bias: FloatArray, *, reset_after: bool = True) -> FloatGRU:
    """A GRU without recurrent weights; ``kernel`` [3H, I], rows z r n."""
    units = update_bias.size
    return FloatGRU(
        name="gru",
        kernel=kernel,
        recurrent=np.zeros((3 * units, units)),
        bias=np.concatenate([update_bias, np.zeros(2 * units)]),
        recurrent_bias=np.zeros(3 * units),
        reset_after=reset_after,
        recurrent_activation="sigmoid",
    )


def lstm(kernel: FloatArray, bias: FloatArray) -> FloatLSTM:
    """An LSTM without recurrent weights; rows i f g o."""
    units = bias.size // 4
    return FloatLSTM(
        name="lstm",
        kernel=kernel,
        recurrent=np.zeros((4 * units, units)),
        bias=bias,
        recurrent_activation="sigmoid",
    )


def gru_latch(bias: float, *, reset_after: bool = True) -> FloatModel:
    """Takes x1 where x0 is 1, and holds it else."""
    kernel = np.array([[-2 * bias, 0.0], [0.0, 0.0], [0.0, 4.0]])
    return network(gru(kernel, np.array([bias]), reset_after=reset_after))


def lstm_latch(bias: float) -> FloatModel:
    """Takes x1 where x0 is 1, and holds it else."""
    kernel = np.array([[24.0, 0.0], [-2 * bias, 0.0], [0.0, 4.0], [0.0, 0.0]])
    return network(lstm(kernel, np.array([-12.0, bias, 0.0, 12.0])))


def latch_stream(steps: int = 2000, every: int = 100) -> FloatArray:
    """Values to hold, and every so often the order to take one, [T, 2]."""
    rng = np.random.default_rng(0)
    xs = np.zeros((steps, 2))
    xs[:, 1] = rng.choice([-1.0, 1.0], steps) * rng.random(steps)
    xs[::every, 0] = 1.0
    xs[0] = [1.0, -1.0]
    return xs


def averages(*steps: float) -> FloatModel:
    """Leaky averages of the input over so many steps, one unit of a GRU each."""
    units = len(steps)
    kernel = np.zeros((3 * units, 1))
    kernel[2 * units :] = 1.0
    return network(gru(kernel, np.log(np.array(steps))))


def counter() -> FloatModel:
    """Counts up where the input is 1, down where it is -1, in the cell of an LSTM."""
    kernel = np.array([[0.0], [0.0], [10.0], [0.0]])
    dense = FloatDense(name="dense", kernel=np.ones((1, 1)), bias=np.zeros(1), activation="linear")
    return network(lstm(kernel, np.array([12.0, 12.0, 0.0, 12.0])), dense)


def relu_average(kernel: float = 0.5, recurrent: float = 0.5, scale: float = 1.0) -> FloatSimpleRNN:
    """An average whose state is ``scale`` times as large as what it averages."""
    return FloatSimpleRNN(
        name="average",
        kernel=np.array([[kernel * scale]]),
        recurrent=np.array([[recurrent]]),
        bias=np.zeros(1),
        activation="relu",
    )


def reader(scale: float = 1.0) -> FloatDense:
    """A linear layer that multiplies by ``scale``."""
    return FloatDense(
        name="reader", kernel=np.array([[scale]]), bias=np.zeros(1), activation="linear"
    )
