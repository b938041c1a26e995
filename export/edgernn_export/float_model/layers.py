"""Layer records of the float model (see `float_model`).

Weights are float64, C-contiguous and read-only; rows are output units. Gate order is fixed here
and nowhere else: `i f g o` (LSTM) and `z r n` (GRU), the row blocks of stacked matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgernn.errors import ShapeError, UnsupportedModelError
from edgernn.model.formats import ArrayRecord, FloatArray

LSTM_GATES = ("i", "f", "g", "o")
GRU_GATES = ("z", "r", "n")
RNN_ACTIVATIONS = ("tanh", "relu")
GATE_ACTIVATIONS = ("sigmoid", "hard_sigmoid")
DENSE_ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid")


def freeze(record: Any, name: str, ndim: int) -> None:
    """Replace a weight of a layer by a checked, read-only float64 copy."""
    array = np.array(getattr(record, name), dtype=np.float64, order="C", copy=True)
    owner = f"{record.name}.{name}"
    if array.ndim != ndim or array.size == 0:
        raise ShapeError(f"{owner}: expected {ndim} non-empty axes, got shape {array.shape}")
    if not np.all(np.isfinite(array)):
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise UnsupportedModelError(
            [f"{owner}: expected finite weights, got {bad} NaN or infinite. Train again."]
        )
    array.flags.writeable = False
    object.__setattr__(record, name, array)


def freeze_start(record: Any, width: int) -> None:
    """The same of what the states of a layer begin with; zeros are None."""
    if record.start is None or not np.any(record.start):
        object.__setattr__(record, "start", None)
        return
    freeze(record, "start", 1)
    _check_shape(f"{record.name}.start", record.start, (width,))


def check_choice(owner: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value outside a closed choice."""
    if value not in allowed:
        raise UnsupportedModelError([f"{owner}: expected {' or '.join(allowed)}, got {value!r}"])


def _check_shape(owner: str, array: FloatArray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ShapeError(f"{owner}: expected shape {shape}, got {array.shape}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _FloatLayer(ArrayRecord):
    """What all layers share.

    Attributes:
        name: layer name.
        kernel: [G*H, I], input weights of all gates.
        bias: [G*H].
        use_bias: False when the layer has no bias; the bias is then all zero.
    """

    kind: ClassVar[str]
    gates: ClassVar[tuple[str, ...]] = ("",)

    name: str
    kernel: FloatArray
    bias: FloatArray
    use_bias: bool = True

    def __post_init__(self) -> None:
        """Freeze and check the weights."""
        freeze(self, "kernel", 2)
        freeze(self, "bias", 1)
        if self.kernel.shape[0] % len(self.gates):
            raise ShapeError(
                f"{self.name}.kernel: expected a multiple of {len(self.gates)} rows, "
                f"got {self.kernel.shape[0]}"
            )
        _check_shape(f"{self.name}.bias", self.bias, (self.kernel.shape[0],))
        if not self.use_bias and np.any(self.bias):
            raise ShapeError(f"{self.name}.bias: expected all zero with use_bias=False")

    @property
    def units(self) -> int:
        """Output width H."""
        return int(self.kernel.shape[0]) // len(self.gates)

    @property
    def inputs(self) -> int:
        """Input width I."""
        return int(self.kernel.shape[1])

    @property
    def rows(self) -> int:
        """Pre-activations G*H of a step."""
        return int(self.kernel.shape[0])

    @property
    def parameters(self) -> int:
        """Trainable values, counted as Keras counts them."""
        return int(self.kernel.size) + (int(self.bias.size) if self.use_bias else 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _FloatRecurrent(_FloatLayer):
    """A layer with state.

    Attributes:
        recurrent: [G*H, H], weights of the carried state.
        start: what all states begin with, one behind the other; None for zeros.
    """

    recurrent: FloatArray
    start: FloatArray | None = None

    def __post_init__(self) -> None:
        """Freeze and check the recurrent weights."""
        _FloatLayer.__post_init__(self)
        freeze(self, "recurrent", 2)
        wanted = (self.kernel.shape[0], self.units)
        _check_shape(f"{self.name}.recurrent", self.recurrent, wanted)
        freeze_start(self, self.state_count * self.units)

    @property
    def state_count(self) -> int:
        """How many states there are, each of one element per unit."""
        return 1

    @property
    def parameters(self) -> int:
        """Trainable values, counted as Keras counts them."""
        size = int(self.kernel.size) + int(self.recurrent.size)
        return size + (int(self.bias.size) if self.use_bias else 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatSimpleRNN(_FloatRecurrent):
    """h' = activation(W x + U h + b) (Elman 1990).

    Attributes:
        activation: "tanh" or "relu".
    """

    kind: ClassVar[str] = "simple_rnn"

    activation: str = "tanh"

    def __post_init__(self) -> None:
        """Check the activation."""
        _FloatRecurrent.__post_init__(self)
        check_choice(f"{self.name}.activation", self.activation, RNN_ACTIVATIONS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatLSTM(_FloatRecurrent):
    """c' = f*c + i*g, h' = o*tanh(c') (Hochreiter and Schmidhuber 1997, Gers et al. 2000).

    Attributes:
        recurrent_activation: of i, f, o: "sigmoid" or "hard_sigmoid" (clip(x/6 + 0.5, 0, 1)).
    """

    kind: ClassVar[str] = "lstm"
    gates: ClassVar[tuple[str, ...]] = LSTM_GATES

    recurrent_activation: str = "sigmoid"

    def __post_init__(self) -> None:
        """Check the gate activation."""
        _FloatRecurrent.__post_init__(self)
        owner = f"{self.name}.recurrent_activation"
        check_choice(owner, self.recurrent_activation, GATE_ACTIVATIONS)

    @property
    def state_count(self) -> int:
        """How many states there are, each of one element per unit."""
        return 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatGRU(_FloatRecurrent):
    """h' = z*h + (1-z)*n (Cho et al. 2014).

    ``reset_after``: n = tanh(W x + b + r*(U h + b_r)); otherwise n = tanh(W x + U (r*h) + b).

    Attributes:
        recurrent_bias: [3H], added to U h; all zero unless ``reset_after``.
        reset_after: where the reset gate is applied.
        recurrent_activation: of z, r: "sigmoid" or "hard_sigmoid" (clip(x/6 + 0.5, 0, 1)).
    """

    kind: ClassVar[str] = "gru"
    gates: ClassVar[tuple[str, ...]] = GRU_GATES

    recurrent_bias: FloatArray
    reset_after: bool
    recurrent_activation: str = "sigmoid"

    def __post_init__(self) -> None:
        """Check the second bias and the gate activation."""
        _FloatRecurrent.__post_init__(self)
        freeze(self, "recurrent_bias", 1)
        _check_shape(f"{self.name}.recurrent_bias", self.recurrent_bias, self.bias.shape)
        if not (self.reset_after and self.use_bias) and np.any(self.recurrent_bias):
            raise ShapeError(
                f"{self.name}.recurrent_bias: expected all zero unless reset_after and use_bias"
            )
        owner = f"{self.name}.recurrent_activation"
        check_choice(owner, self.recurrent_activation, GATE_ACTIVATIONS)

    @property
    def parameters(self) -> int:
        """Trainable values, counted as Keras counts them."""
        second = int(self.recurrent_bias.size) if self.use_bias and self.reset_after else 0
        size = int(self.kernel.size) + int(self.recurrent.size) + second
        return size + (int(self.bias.size) if self.use_bias else 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatDense(_FloatLayer):
    """y = activation(W x + b).

    Attributes:
        activation: "linear", "relu", "tanh" or "sigmoid".
    """

    kind: ClassVar[str] = "dense"

    activation: str = "linear"

    def __post_init__(self) -> None:
        """Check the activation."""
        _FloatLayer.__post_init__(self)
        check_choice(f"{self.name}.activation", self.activation, DENSE_ACTIVATIONS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatDenseRows(ArrayRecord):
    """The same Dense of each of several rows that follow one another.

    Attributes:
        name: layer name.
        dense: the layer applied to each row.
        count: of rows.
    """

    kind: ClassVar[str] = "dense_rows"

    name: str
    dense: FloatDense
    count: int

    def __post_init__(self) -> None:
        """Check the count."""
        if self.count < 2:
            raise ShapeError(f"{self.name}.count: expected 2 or more rows, got {self.count}")

    @property
    def units(self) -> int:
        """Output width."""
        return self.count * self.dense.units

    @property
    def inputs(self) -> int:
        """Input width."""
        return self.count * self.dense.inputs

    @property
    def rows(self) -> int:
        """Values of a step."""
        return self.units

    @property
    def parameters(self) -> int:
        """Trainable values."""
        return self.dense.parameters
