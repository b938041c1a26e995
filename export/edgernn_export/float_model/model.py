"""The float model: the small record between the Keras reader and the quantizer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from edgernn.errors import ShapeError, UnsupportedModelError
from edgernn.model.array_record import ArrayRecord
from edgernn.model.interface import Window
from edgernn_export.float_model.layers import (
    GRU_GATES,
    LSTM_GATES,
    RECURRENT,
    FloatDense,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatRecurrent,
    FloatSimpleRNN,
    check_choice,
)

__all__ = [
    "GRU_GATES",
    "LSTM_GATES",
    "MAX_RECURRENT_LAYERS",
    "RECURRENT",
    "FloatDense",
    "FloatGRU",
    "FloatLSTM",
    "FloatLayer",
    "FloatModel",
    "FloatRecurrent",
    "FloatSimpleRNN",
]

FINAL_ACTIVATIONS = ("linear", "softmax")
MAX_RECURRENT_LAYERS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatModel(ArrayRecord):
    """A chain of recurrent and dense layers.

    Attributes:
        name: model name.
        layers: in the order they are applied.
        input_names, output_names: channel names.
        input_units, output_units: physical units, "" where unknown.
        final_activation: "linear", or "softmax": the last layer then gives the logits.
        return_sequences: whether the Keras model gave an output at every step.
        stateful: whether the Keras model kept its state between calls.
        steps: readings T that the Keras model's input takes; None where it takes any number.
        sha256: hash over structure and weights, names and units excluded: Keras numbers
            layers by the order in which a process makes them.
    """

    name: str
    layers: tuple[FloatLayer, ...]
    input_names: tuple[str, ...]
    input_units: tuple[str, ...]
    output_names: tuple[str, ...]
    output_units: tuple[str, ...]
    final_activation: str = "linear"
    return_sequences: bool = True
    stateful: bool = False
    steps: int | None = None
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """Check that the layers form a chain edgernn executes."""
        self._check_layers()
        for owner, texts, width in (
            ("input_names", self.input_names, self.inputs),
            ("input_units", self.input_units, self.inputs),
            ("output_names", self.output_names, self.outputs),
            ("output_units", self.output_units, self.outputs),
        ):
            plain = isinstance(texts, tuple) and all(isinstance(t, str) for t in texts)
            if not plain or len(texts) != width:
                raise ShapeError(f"{owner}: expected {width} strings, got {texts!r:.80}")
        check_choice("final_activation", self.final_activation, FINAL_ACTIVATIONS)
        object.__setattr__(self, "sha256", _digest(self))

    def _check_layers(self) -> None:
        recurrent = sum(isinstance(layer, RECURRENT) for layer in self.layers)
        if not 1 <= recurrent <= MAX_RECURRENT_LAYERS:
            raise UnsupportedModelError(
                [
                    f"{self.name}: expected 1..{MAX_RECURRENT_LAYERS} recurrent layers, "
                    f"got {recurrent}. Use SimpleRNN, LSTM or GRU layers."
                ]
            )
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ShapeError(f"{self.name}.layers: expected distinct names, got {names!r:.120}")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if after.inputs != before.units:
                raise ShapeError(
                    f"{after.name}: expected {before.units} inputs ({before.name}.units), "
                    f"got {after.inputs}"
                )

    @property
    def window(self) -> Window | None:
        """The window the network was made for; None where it answers an endless stream.

        A network with a fixed number of readings that answers once, from the zero state, answers
        windows. One that answers at every step, or keeps its state between calls, streams. So does
        one that takes any number of readings: nothing says how many.
        """
        if self.steps is None or self.stateful or self.return_sequences:
            return None
        return Window(steps=self.steps)

    @property
    def inputs(self) -> int:
        """Input width I."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Output width O."""
        return self.layers[-1].units

    @property
    def parameters(self) -> int:
        """Trainable values of all layers."""
        return sum(layer.parameters for layer in self.layers)


def _digest(model: FloatModel) -> str:
    """SHA-256 of structure and weights as length-prefixed little-endian bytes."""
    digest = hashlib.sha256()
    head = f"{model.final_activation} return_sequences={model.return_sequences}"
    digest.update(head.encode())
    for layer in model.layers:
        digest.update(f"\n{layer.kind}".encode())
        for entry in sorted(fields(layer), key=lambda f: f.name):
            value: npt.NDArray[np.float64] | str | bool = getattr(layer, entry.name)
            if isinstance(value, np.ndarray):
                digest.update(f"\n{entry.name} {value.shape}\n".encode())
                # + 0.0 makes -0.0 and 0.0, equal numbers, hash alike.
                digest.update((value + 0.0).astype("<f8").tobytes())
            elif entry.name != "name":
                digest.update(f"\n{entry.name}={value}".encode())
    return digest.hexdigest()
