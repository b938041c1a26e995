"""LSTM and GRU with zoneout in Keras (Krueger et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def _check(owner: str, cell: Any, **shares: float) -> None:
    """Refuse what the cells for inference do not compute.

    Raises:
        ValueError: as said.
    """
    for name, share in shares.items():
        if not 0.0 <= share < 1.0:
            raise ValueError(f"{name}: expected a probability of 0 or more, below 1, got {share}")
    if cell.activation is not keras.activations.tanh or cell.recurrent_activation not in (
        keras.activations.sigmoid,
        keras.activations.hard_sigmoid,
    ):
        raise ValueError(
            f"{owner}: expected activation='tanh' and recurrent_activation='sigmoid' or "
            "'hard_sigmoid', got other functions. Train with these."
        )


def _zoned(cell: Any, old: Any, new: Any, share: float, training: bool) -> Any:
    """The new state: elements of the old one at random in training, else what is expected."""
    if not training or not share:
        return share * old + (1.0 - share) * new
    drawn = keras.random.uniform(keras.ops.shape(new), dtype=new.dtype, seed=cell.seed_generator)
    return keras.ops.where(drawn < share, old, new)


@keras.saving.register_keras_serializable("edgernn")
class ZoneoutLSTMCell(keras.layers.LSTMCell):  # type: ignore[misc]  # Keras has no types
    """An LSTM cell with zoneout, for `keras.layers.RNN`.

    Training keeps every element of a state with the given probability p. Inference computes the
    expectation, p times the old state plus 1 - p times the new one, as the paper does: not what a
    plain LSTM of the same weights computes.

    Args:
        units: output width H.
        zoneout_h: probability of the hidden state, 0 or more, below 1.
        zoneout_c: that of the cell state.
        **cell: arguments of `keras.layers.LSTMCell`.

    Raises:
        ValueError: a probability or an activation is another one.
    """

    def __init__(
        self, units: int, zoneout_h: float = 0.05, zoneout_c: float = 0.5, **cell: Any
    ) -> None:
        """Check the arguments."""
        super().__init__(units, **cell)
        _check("ZoneoutLSTMCell", self, zoneout_h=zoneout_h, zoneout_c=zoneout_c)
        self.zoneout_h, self.zoneout_c = zoneout_h, zoneout_c

    def call(self, inputs: Any, states: Sequence[Any], training: bool = False) -> Any:
        """One step, [B, I] and the states [B, H] to [B, H] and the new states."""
        _, (h, c) = super().call(inputs, states, training=training)
        h = _zoned(self, states[0], h, self.zoneout_h, training)
        return h, [h, _zoned(self, states[1], c, self.zoneout_c, training)]

    def get_config(self) -> dict[str, Any]:
        """Arguments of a cell like this one."""
        own = {"zoneout_h": self.zoneout_h, "zoneout_c": self.zoneout_c}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("edgernn")
class ZoneoutGRUCell(keras.layers.GRUCell):  # type: ignore[misc]  # Keras has no types
    """A GRU cell with zoneout, for `keras.layers.RNN`; see `ZoneoutLSTMCell`.

    Args:
        units: output width H.
        zoneout_h: probability of the state, 0 or more, below 1.
        **cell: arguments of `keras.layers.GRUCell`; `reset_after` stays True.

    Raises:
        ValueError: the probability or an activation is another one, or the reset gate is before
            the matrix.
    """

    def __init__(self, units: int, zoneout_h: float = 0.1, **cell: Any) -> None:
        """Check the arguments."""
        super().__init__(units, **cell)
        _check("ZoneoutGRUCell", self, zoneout_h=zoneout_h)
        if not self.reset_after:
            raise ValueError(
                "ZoneoutGRUCell: expected reset_after=True, got False. Train with the default."
            )
        self.zoneout_h = zoneout_h

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """One step, [B, I] and the state [B, H] to [B, H] and the new state."""
        old = states[0] if isinstance(states, (list, tuple)) else states
        new, _ = super().call(inputs, states, training=training)
        h = _zoned(self, old, new, self.zoneout_h, training)
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        """Arguments of a cell like this one."""
        return {**super().get_config(), "zoneout_h": self.zoneout_h}
