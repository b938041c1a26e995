"""FastRNN and FastGRNN in Keras, with the scalars of the paper (Kusupati et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edgernn_export.cells.cell_readers import CellMatrix

#: What the scalars of EdgeML, the authors' library, begin with, in front of the sigmoid.
_ALPHA, _BETA, _ZETA, _NU = -3.0, 3.0, 1.0, -4.0


class _FastCell(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """What both cells share: one pair of matrices and trained scalars.

    Args:
        units: output width H.
        **layer: arguments of `keras.layers.Layer`.
    """

    def __init__(self, units: int, **layer: Any) -> None:
        """Set the widths."""
        super().__init__(**layer)
        self.units = self.state_size = self.output_size = units

    def matrices(self) -> list[CellMatrix]:
        """All matrices, for pruning."""
        names = (name for name in dir(self) if name.endswith("kernel"))
        return [
            CellMatrix(
                name=name,
                variable=getattr(self, name),
                parts=("v",),
                recurrent=name != "kernel",
            )
            for name in sorted(names)
        ]

    def get_config(self) -> dict[str, Any]:
        """Arguments of a cell like this one."""
        return {**super().get_config(), "units": self.units}

    def _matrix(self, name: str, rows: int, columns: int) -> Any:
        square = name == "recurrent_kernel"
        how = "orthogonal" if square else "glorot_uniform"
        return self.add_weight(name=name, shape=(rows, columns), initializer=how)

    def _bias(self, name: str, start: float) -> Any:
        first = keras.initializers.Constant(start)
        return self.add_weight(name=name, shape=(self.units,), initializer=first)

    def _scalar(self, name: str, start: float) -> Any:
        first = keras.initializers.Constant(start)
        return self.add_weight(name=name, shape=(1,), initializer=first)


@keras.saving.register_keras_serializable("edgernn")
class FastRNNCell(_FastCell):
    """h' = sigmoid(alpha)*tanh(W x + U h + b) + sigmoid(beta)*h, for `keras.layers.RNN`.

    Args:
        units: output width H.
        **layer: arguments of `keras.layers.Layer`.
    """

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.kernel = self._matrix("kernel", int(input_shape[-1]), self.units)
        self.recurrent_kernel = self._matrix("recurrent_kernel", self.units, self.units)
        self.bias = self._bias("bias", 0.0)
        self.alpha, self.beta = self._scalar("alpha", _ALPHA), self._scalar("beta", _BETA)

    def call(self, inputs: Any, states: Sequence[Any]) -> Any:
        """One step, [B, I] and the state [B, H] to [B, H] and the new state."""
        ops, h = keras.ops, states[0]
        v = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        h = ops.sigmoid(self.alpha) * ops.tanh(v) + ops.sigmoid(self.beta) * h
        return h, [h]


@keras.saving.register_keras_serializable("edgernn")
class FastGRNNCell(_FastCell):
    """A gate and a candidate with common matrices, for `keras.layers.RNN`.

    z = sigmoid(W x + U h + b_z), n = tanh(W x + U h + b_n),
    h' = (sigmoid(zeta)*(1 - z) + sigmoid(nu))*n + z*h.

    Args:
        units: output width H.
        rank: of the recurrent matrix, which then is a product of [H, rank] and [rank, H]; None:
            one matrix. A low rank of W is a Dense without bias in front of the layer.
        gate_activation: of z, "sigmoid" or "hard_sigmoid".
        **layer: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: the rank is not from 1 to H, or the gate has another function.
    """

    def __init__(
        self,
        units: int,
        rank: int | None = None,
        gate_activation: str = "sigmoid",
        **layer: Any,
    ) -> None:
        """Check the arguments."""
        super().__init__(units, **layer)
        if rank is not None and not 1 <= rank <= units:
            raise ValueError(f"rank: expected 1 to {units}, or None for one matrix, got {rank}")
        if gate_activation not in ("sigmoid", "hard_sigmoid"):
            raise ValueError(
                f"gate_activation: expected 'sigmoid' or 'hard_sigmoid', got {gate_activation!r}"
            )
        self.rank, self.gate_activation = rank, gate_activation

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.kernel = self._matrix("kernel", int(input_shape[-1]), self.units)
        if self.rank is None:
            self.recurrent_kernel = self._matrix("recurrent_kernel", self.units, self.units)
        else:
            self.reducing_kernel = self._matrix("reducing_kernel", self.units, self.rank)
            self.expanding_kernel = self._matrix("expanding_kernel", self.rank, self.units)
        self.gate_bias = self._bias("gate_bias", 1.0)
        self.candidate_bias = self._bias("candidate_bias", 1.0)
        self.zeta, self.nu = self._scalar("zeta", _ZETA), self._scalar("nu", _NU)

    def call(self, inputs: Any, states: Sequence[Any]) -> Any:
        """One step, [B, I] and the state [B, H] to [B, H] and the new state."""
        ops, h = keras.ops, states[0]
        v = ops.matmul(inputs, self.kernel)
        if self.rank is None:
            v = v + ops.matmul(h, self.recurrent_kernel)
        else:
            v = v + ops.matmul(ops.matmul(h, self.reducing_kernel), self.expanding_kernel)
        z = getattr(ops, self.gate_activation)(v + self.gate_bias)
        share = ops.sigmoid(self.zeta) * (1.0 - z) + ops.sigmoid(self.nu)
        h = share * ops.tanh(v + self.candidate_bias) + z * h
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        """Arguments of a cell like this one."""
        own = {"rank": self.rank, "gate_activation": self.gate_activation}
        return {**super().get_config(), **own}
