"""Truncated back-propagation through time: states carried from window to window."""

from __future__ import annotations

from functools import cache
from typing import Any

from edgernn.errors import TrainingError


@cache
def carried_states_class() -> Any:
    """`CarriedStates(network, batch)`: a network whose next batch begins where the last one ended.

    Row r of a batch continues row r of the batch before. Gradients end at the beginning of a batch
    (truncated BPTT, Williams and Peng 1990). States are zero at the beginning of an epoch.
    """
    import keras

    class CarriedStates(keras.Model):  # type: ignore[misc]
        def __init__(self, network: Any, batch: int) -> None:
            super().__init__(name="carried_states")
            self.network = network
            self.runs, self.states = [], []
            for layer in network.layers:
                cell = getattr(layer, "cell", None)
                run = None
                states = []
                if cell is not None:
                    run = keras.layers.RNN(cell, return_sequences=True, return_state=True)
                    sizes = cell.state_size
                    sizes = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
                    states = [
                        self.add_weight(
                            shape=(batch, size), initializer="zeros", trainable=False,
                            name=f"{layer.name}_state_{index}",
                        )
                        for index, size in enumerate(sizes)
                    ]  # fmt: skip
                self.runs.append(run)
                self.states.append(states)

        def call(self, x: Any, training: bool | None = None) -> Any:
            y = x
            for layer, run, states in zip(self.network.layers, self.runs, self.states, strict=True):
                if run is not None:
                    before = [keras.ops.stop_gradient(state) for state in states]
                    y, *after = run(y, initial_state=before, training=training)
                    for state, value in zip(states, after, strict=True):
                        state.assign(value)
                elif "training" in layer._call_signature.parameters:
                    y = layer(y, training=training)
                else:
                    y = layer(y)
            return y

        def reset(self) -> None:
            for states in self.states:
                for state in states:
                    state.assign(keras.ops.zeros_like(state))

    return CarriedStates


def reset_callback(model: Any) -> Any:
    """A Keras callback that begins every epoch with zero states."""
    import keras

    class Reset(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            model.reset()

    return Reset()


def carrying(network: Any, batch: int) -> Any:
    """A network that carries its states, for `fit` with rows in order.

    Raises:
        TrainingError: the network is no chain of layers.
    """
    if not hasattr(network, "layers") or type(network).__name__ != "Sequential":
        raise TrainingError(
            "training carry_state: expected a keras.Sequential, got "
            f"{type(network).__name__}. Build the network as one, or set carry_state=False."
        )
    return carried_states_class()(network, batch)
