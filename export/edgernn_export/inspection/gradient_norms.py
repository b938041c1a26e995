"""How strongly the last output depends on earlier readings: gradients against distance in time.

Hochreiter 1991 and Bengio, Simard & Frasconi 1994 show that these gradients vanish or explode with
the distance; gated cells (Hochreiter & Schmidhuber 1997; Cho et al. 2014) can learn to prevent it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.cli.style import table
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray

#: Cells that a network is compared with.
FRESH: Final = ("SimpleRNN", "LSTM", "GRU")
#: Outputs whose gradients are computed one by one; of more, as many random directions.
_DIRECTIONS: Final = 16
_SHOWN: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GradientNorms:
    """Gradients of one network.

    Attributes:
        name: of the network.
        norms: Frobenius norm of the derivatives of the last output to the reading that came k
            steps before [T], k from 0; the root mean square over the sequences.
    """

    name: str
    norms: FloatArray

    @property
    def per_step(self) -> float:
        """Factor of the norm per step of distance, from a line through its logarithms.

        NaN where fewer than two norms are above zero.
        """
        distances = np.flatnonzero(self.norms > 0.0)
        if len(distances) < 2:
            return math.nan
        slope = np.polyfit(distances, np.log(self.norms[distances]), 1)[0]
        return float(np.exp(slope))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradients:
    """Gradients of one network, or of several with the same readings.

    Attributes:
        networks: the given one first.
        steps: length T of the sequences.
    """

    networks: tuple[GradientNorms, ...]
    steps: int

    def __getitem__(self, name: str) -> GradientNorms:
        """The network of this name."""
        return {network.name: network for network in self.networks}[name]

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "steps": self.steps,
            "networks": [
                {
                    "name": network.name,
                    "norms": network.norms.tolist(),
                    "factor_per_step": None if math.isnan(network.per_step) else network.per_step,
                }
                for network in self.networks
            ],
        }

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(self.record(), allow_nan=False)

    def table(self) -> str:
        """For people: one line for each network."""
        shown = [distance for distance in _SHOWN if distance < self.steps]
        rows = [
            (
                network.name, *(f"{network.norms[distance]:.2e}" for distance in shown),
                f"{network.per_step:.3f}",
            )
            for network in self.networks
        ]  # fmt: skip
        heads = ("network", *(f"{distance} back" for distance in shown), "per step")
        title = "Norm of the gradient of the last output to a reading, by its distance in steps"
        return "\n".join([title, *table(heads, rows, "<" + ">" * len(rows[0]))])

    def plot(self, path: str | Path) -> Path:
        """Draw the norms against the distance on a logarithmic axis; needs Matplotlib."""
        from edgernn_export.inspection.pictures import draw_gradients

        lines = [(network.name, network.norms) for network in self.networks]
        return draw_gradients(lines, Path(path))


def gradients(
    network: Any,
    readings: FloatArray | Sequence[FloatArray] | None = None,
    *,
    steps: int = 100,
    compare: bool = False,
    sequences: int = 16,
    seed: int = 0,
) -> Gradients:
    """Measure gradients of the last output to every reading, by automatic differentiation.

    Args:
        network: a Keras model with one input [B, T, I] and one output, [B, O] or [B, T, O].
        readings: a sequence [T, I], or several [B, T, I]; of longer ones, the last ``steps``
            readings count. None takes random ones from the standard normal distribution.
        steps: length of the sequences; that of the network's input where it has one.
        compare: measure untrained SimpleRNN, LSTM and GRU networks with as many units too.
        sequences: number of random sequences.
        seed: of the readings, and of the untrained networks.

    Raises:
        EdgeRnnError: another kind of network, too few readings, or a Keras back-end other than
            TensorFlow.
    """
    check_back_end("gradients")
    inputs, length = _shape_of(network)
    steps = length or steps
    xs = _sequences(readings, inputs, steps, sequences, seed)
    found = [_norms(network.name, network, xs)]
    if compare:
        for cell, fresh in _fresh(network, inputs, seed):
            found.append(_norms(f"untrained {cell}", fresh, xs))
    return Gradients(networks=tuple(found), steps=steps)


def check_back_end(what: str) -> None:
    """Refuse back-ends of Keras whose gradients this package does not take.

    Args:
        what: needs them, for the message.

    Raises:
        EdgeRnnError: the back-end is not TensorFlow.
    """
    import keras

    back_end = keras.backend.backend()
    if back_end != "tensorflow":
        raise EdgeRnnError(
            f"{what}: expected TensorFlow as the back-end of Keras, got {back_end}. Start with "
            "KERAS_BACKEND=tensorflow."
        )


def _shape_of(network: Any) -> tuple[int, int | None]:
    """Channels I and steps T of the input; no T where any will do."""
    inputs: Any = getattr(network, "inputs", None) or []
    outputs: Any = getattr(network, "outputs", None) or []
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    floating = bool(shape) and str(inputs[0].dtype).startswith("float")
    if len(shape) != 3 or len(outputs) != 1 or not floating or not shape[2]:
        said = [tuple(tensor.shape) for tensor in inputs]
        raise EdgeRnnError(
            "gradients: expected a network with one input [B, T, I] of real readings and one "
            f"output, got inputs {said} and {len(outputs)} outputs. Inspect the part of the "
            "network between one input and one output."
        )
    _, steps, width = shape
    return int(width), steps


def _sequences(readings: Any, inputs: int, steps: int, count: int, seed: int) -> FloatArray:
    """Sequences [B, T, I]."""
    if readings is None:
        return np.random.default_rng(seed).standard_normal((count, steps, inputs))
    xs = np.asarray(readings, dtype=np.float64)
    if xs.ndim == 2:  # a long recording is cut into sequences
        whole = len(xs) // steps * steps
        xs = xs[len(xs) - whole :].reshape(-1, steps, xs.shape[-1])[-count:]
    if xs.ndim != 3 or xs.shape[2] != inputs or xs.shape[1] < steps or not len(xs):
        raise EdgeRnnError(
            f"readings: expected at least {steps} of {inputs} channels, got an array "
            f"{list(np.shape(readings))}. Pass a longer recording, or fewer steps."
        )
    return xs[:, -steps:]


def _fresh(network: Any, inputs: int, seed: int) -> list[tuple[str, Any]]:
    """Untrained networks of the same width: one recurrent layer and a Dense layer."""
    import keras

    units = next(
        (
            layer.cell.output_size  # of several cells, that of the last
            for layer in network.layers
            if isinstance(layer, keras.layers.RNN)
        ),
        32,
    )
    outputs = int(network.outputs[0].shape[-1])
    made = []
    for cell in FRESH:
        keras.utils.set_random_seed(seed)
        layers = [
            keras.Input((None, inputs)), getattr(keras.layers, cell)(units),
            keras.layers.Dense(outputs),
        ]  # fmt: skip
        made.append((cell, keras.Sequential(layers)))
    return made


def _norms(name: str, network: Any, xs: FloatArray) -> GradientNorms:
    import tensorflow as tf

    readings = tf.constant(xs, dtype=network.inputs[0].dtype)
    outputs = int(network.outputs[0].shape[-1])
    directions, weight = _directions(outputs)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(readings)
        answers = network(readings, training=False)
        if len(answers.shape) == 3:
            answers = answers[:, -1]
        along = [tf.reduce_sum(answers * direction) for direction in directions]
    squares = np.zeros(xs.shape[:2])
    for value in along:
        gradient = tape.gradient(value, readings)
        if gradient is not None:
            squares += np.square(np.asarray(gradient, np.float64)).sum(axis=2)
    norms = np.sqrt(weight * squares.mean(axis=0))[::-1]
    return GradientNorms(name=name, norms=np.ascontiguousarray(norms))


def _directions(outputs: int) -> tuple[FloatArray, float]:
    """Directions of the output [D, O], float32, and the weight of their squares in the norm."""
    if outputs <= _DIRECTIONS:
        return np.eye(outputs, dtype=np.float32), 1.0
    rng = np.random.default_rng(0)
    turned: Callable[..., Any] = np.linalg.qr
    basis = turned(rng.standard_normal((outputs, _DIRECTIONS)))[0].T.astype(np.float32)
    return basis, outputs / _DIRECTIONS
