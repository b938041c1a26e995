"""One float32 step in NumPy with as few and as cheap calls as possible: a fair peer.

One matrix product gives all gates: its vector is [x, h, 1], so that biases need no separate
call, and the matrix lies in column order, which the BLAS of NumPy's wheels reads fastest. Every
result is written to memory allocated once. sigmoid(v) is (tanh(v / 2) + 1) / 2, with
the first half folded into the matrix: NumPy's tanh is vectorized and one call instead of three.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import FloatDense, FloatGRU, FloatLSTM, FloatModel

Float32 = npt.NDArray[np.float32]


class NumpyGRU:
    """A GRU, reset after, and a Dense; `step` carries the state."""

    def __init__(self, model: FloatModel) -> None:
        """Lay out the weights of a model of these two layers."""
        gru, dense = model.layers
        if not (isinstance(gru, FloatGRU) and gru.reset_after and isinstance(dense, FloatDense)):
            raise SystemExit(f"numpy: expected a GRU, reset after, and a Dense, got {model.name}.")
        units, inputs = gru.units, gru.inputs
        # Rows: z and r; the part of the candidate that x gives; the part that h gives.
        matrix = np.zeros((4 * units, inputs + units + 1))
        matrix[: 3 * units, :inputs] = gru.kernel
        matrix[: 2 * units, inputs:-1] = gru.recurrent[: 2 * units]
        matrix[3 * units :, inputs:-1] = gru.recurrent[2 * units :]
        matrix[: 3 * units, -1] = gru.bias
        matrix[: 2 * units, -1] += gru.recurrent_bias[: 2 * units]
        matrix[3 * units :, -1] = gru.recurrent_bias[2 * units :]
        matrix[: 2 * units] /= 2
        self._matrix, self._gates = _float32(matrix), np.empty(4 * units, np.float32)
        self._zr, self._z, self._r, self._of_x, self._of_h = _parts(
            self._gates, (0, 2), (0, 1), (1, 2), (2, 3), (3, 4)
        )
        self._ones, self._halves = _constants(self._zr)
        self._xh1 = np.zeros(inputs + units + 1, np.float32)
        self._xh1[-1] = 1
        self._x, self._h, self._h1 = self._xh1[:inputs], self._xh1[inputs:-1], self._xh1[inputs:]
        self._dense = _float32(np.column_stack([dense.kernel, dense.bias]))
        self._y = np.empty(dense.units, np.float32)

    def step(self, x: Float32) -> Float32:
        """Advance by one reading [I]; the output [O] is valid until the next step."""
        zr, n, of_h, h = self._zr, self._of_x, self._of_h, self._h
        self._x[...] = x
        np.dot(self._matrix, self._xh1, out=self._gates)
        np.tanh(zr, out=zr)
        zr += self._ones
        zr *= self._halves
        of_h *= self._r
        n += of_h
        np.tanh(n, out=n)
        h -= n
        h *= self._z
        h += n
        return np.dot(self._dense, self._h1, out=self._y)


class NumpyLSTM:
    """An LSTM and a Dense; `step` carries the state."""

    def __init__(self, model: FloatModel) -> None:
        """Lay out the weights of a model of these two layers."""
        lstm, dense = model.layers
        if not (isinstance(lstm, FloatLSTM) and isinstance(dense, FloatDense)):
            raise SystemExit(f"numpy: expected an LSTM and a Dense, got {model.name}.")
        units, inputs = lstm.units, lstm.inputs
        matrix = np.column_stack([lstm.kernel, lstm.recurrent, lstm.bias])
        i, f, g, o = np.split(matrix, 4)
        # The three sigmoids side by side.
        matrix = np.concatenate([i / 2, f / 2, o / 2, g])
        self._matrix, self._gates = _float32(matrix), np.empty(4 * units, np.float32)
        self._ifo, self._i, self._f, self._o, self._g = _parts(
            self._gates, (0, 3), (0, 1), (1, 2), (2, 3), (3, 4)
        )
        self._ones, self._halves = _constants(self._ifo)
        self._c, self._tanh_c = np.zeros(units, np.float32), np.empty(units, np.float32)
        self._xh1 = np.zeros(inputs + units + 1, np.float32)
        self._xh1[-1] = 1
        self._x, self._h, self._h1 = self._xh1[:inputs], self._xh1[inputs:-1], self._xh1[inputs:]
        self._dense = _float32(np.column_stack([dense.kernel, dense.bias]))
        self._y = np.empty(dense.units, np.float32)

    def step(self, x: Float32) -> Float32:
        """Advance by one reading [I]; the output [O] is valid until the next step."""
        gates, ifo, c, i = self._gates, self._ifo, self._c, self._i
        self._x[...] = x
        np.dot(self._matrix, self._xh1, out=gates)
        np.tanh(gates, out=gates)
        ifo += self._ones
        ifo *= self._halves
        c *= self._f
        i *= self._g
        c += i
        np.tanh(c, out=self._tanh_c)
        np.multiply(self._o, self._tanh_c, out=self._h)
        return np.dot(self._dense, self._h1, out=self._y)


def _parts(gates: Float32, *ends: tuple[int, int]) -> list[Float32]:
    """Views from one quarter to another."""
    units = len(gates) // 4
    return [gates[first * units : last * units] for first, last in ends]


def _constants(like: Float32) -> tuple[Float32, Float32]:
    """Ones and halves as vectors: a number would first be converted, which costs more."""
    return np.ones_like(like), np.full_like(like, 0.5)


def _float32(matrix: FloatArray) -> Float32:
    return np.asfortranarray(matrix, np.float32)
