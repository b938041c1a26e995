"""The float model: the small record between the Keras reader and the quantizer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from edgernn.errors import ModelError, ShapeError, UnsupportedModelError
from edgernn.model.border.channels import controls
from edgernn.model.border.masks import checked_mask
from edgernn.model.formats import ArrayRecord, FloatArray
from edgernn.model.interface import Port, Rate, Window
from edgernn.model.routes import Route, chain, check_routes
from edgernn_export.float_model.embeddings import FloatEmbedding, vocabulary
from edgernn_export.float_model.layers import (
    GRU_GATES,
    LSTM_GATES,
    FloatDense,
    FloatDenseRows,
    FloatGRU,
    FloatLSTM,
    FloatSimpleRNN,
    check_choice,
    freeze,
)
from edgernn_export.float_model.memories import FloatAttention, FloatMemory
from edgernn_export.float_model.merges import (
    FloatDelay,
    FloatLayerNorm,
    FloatMerge,
    FloatPointwise,
    FloatPReLU,
)
from edgernn_export.float_model.own_cells import FloatCell
from edgernn_export.float_model.sharing import Shared

__all__ = [
    "GRU_GATES",
    "LSTM_GATES",
    "MAX_RECURRENT_LAYERS",
    "RECURRENT",
    "FloatAttention",
    "FloatCell",
    "FloatDelay",
    "FloatDense",
    "FloatDenseRows",
    "FloatEmbedding",
    "FloatGRU",
    "FloatLSTM",
    "FloatLayer",
    "FloatLayerNorm",
    "FloatMemory",
    "FloatMerge",
    "FloatModel",
    "FloatPReLU",
    "FloatPointwise",
    "FloatRecurrent",
    "FloatSimpleRNN",
]

FloatRecurrent = FloatSimpleRNN | FloatLSTM | FloatGRU | FloatCell
RECURRENT = (FloatSimpleRNN, FloatLSTM, FloatGRU, FloatCell)
FloatLayer = (
    FloatRecurrent
    | FloatDense
    | FloatDenseRows
    | FloatMerge
    | FloatDelay
    | FloatEmbedding
    | FloatPointwise
    | FloatPReLU
    | FloatLayerNorm
    | FloatMemory
    | FloatAttention
)
FINAL_ACTIVATIONS = ("linear", "softmax")
MAX_RECURRENT_LAYERS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatModel(ArrayRecord):
    """A network of recurrent, dense and merging layers, a chain for the most part.

    Attributes:
        name: model name.
        layers: in an order in which they can be applied.
        input_names, output_names: channel names.
        input_units, output_units: physical units, "" where unknown.
        final_activation: "linear", or "softmax": the outputs then are logits; of several outputs,
            those whose port has a softmax.
        return_sequences: whether the Keras model gave an output at every step.
        stateful: whether the Keras model kept its state between calls.
        steps: readings T that the Keras model's input takes; None where it takes any number.
        routes: what every layer reads, then what the model puts out; none where every layer reads
            the one before it.
        input_ports, output_ports: which channels are whose, where there are several inputs or
            outputs.
        rate: how often it answers; None for every reading. Its layers then run over what
            `Rate.blocks` makes of readings.
        before: [I], the values used for the readings before the stream where a step of the network
            has some; zeros where None.
        shared: which layers have the weights of one layer of the Keras model.
        mask: a reading with all channels equal to it is no step (clause 6.13); None where every
            reading is one.
        vocabulary: how many tokens each input channel tells apart, 0 of real ones; none where all
            are real.
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
    routes: tuple[Route, ...] = ()
    input_ports: tuple[Port, ...] = ()
    output_ports: tuple[Port, ...] = ()
    rate: Rate | None = None
    before: FloatArray | None = None
    shared: tuple[Shared, ...] = ()
    mask: float | None = None
    vocabulary: tuple[int, ...] = field(init=False)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """Check that edgernn executes the layers, and that they fit together."""
        self._check_layers()
        self._check_routes()
        for owner, texts, width in (
            ("input_names", self.input_names, self.inputs),
            ("input_units", self.input_units, self.inputs),
            ("output_names", self.output_names, self.outputs),
            ("output_units", self.output_units, self.outputs),
        ):
            plain = isinstance(texts, tuple) and all(isinstance(t, str) for t in texts)
            if not plain or len(texts) != width:
                raise ShapeError(f"{owner}: expected {width} strings, got {texts!r:.80}")
        self._check_names()
        check_choice("final_activation", self.final_activation, FINAL_ACTIVATIONS)
        self._check_ports()
        if self.before is not None:
            freeze(self, "before", 1)
            if self.before.shape != (self.inputs,):
                raise ShapeError(
                    f"before: expected shape ({self.inputs},), got {self.before.shape}"
                )
        sizes = vocabulary(self.layers, self.wiring, self.inputs, self.name)
        object.__setattr__(self, "vocabulary", sizes)
        self._check_mask()
        object.__setattr__(self, "sha256", _digest(self))

    def _check_mask(self) -> None:
        try:
            object.__setattr__(self, "mask", checked_mask(self.mask, self.vocabulary))
        except ModelError as error:
            raise ShapeError(f"{self.name}: {error}") from error
        kinds = {"convolutions": FloatDelay, "attention": FloatMemory}
        found = [
            name
            for name, kind in kinds.items()
            if any(isinstance(layer, kind) for layer in self.layers)
        ]
        if self.mask is not None and (found or self.rate):
            raise ShapeError(
                f"{self.name}.mask: expected None for a network with {(found or [*kinds])[0]}, got "
                f"{self.mask:g}: masked readings count there too"
            )

    def _check_layers(self) -> None:
        recurrent = sum(isinstance(layer, RECURRENT) for layer in self.layers)
        delayed = any(isinstance(layer, (FloatDelay, FloatMemory)) for layer in self.layers)
        if not (recurrent or delayed) or recurrent > MAX_RECURRENT_LAYERS:
            raise UnsupportedModelError(
                [
                    f"{self.name}: expected 1..{MAX_RECURRENT_LAYERS} recurrent layers, "
                    f"got {recurrent}. Use SimpleRNN, LSTM or GRU layers, or causal Conv1D."
                ]
            )
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ShapeError(f"{self.name}.layers: expected distinct names, got {names!r:.120}")

    def _check_routes(self) -> None:
        if not self.routes or self.routes == self._chain():
            object.__setattr__(self, "routes", ())
            for before, after in zip(self.layers, self.layers[1:], strict=False):
                if after.inputs != before.units:
                    raise ShapeError(
                        f"{after.name}: expected {before.units} inputs ({before.name}.units), "
                        f"got {after.inputs}"
                    )
            return
        names, widths = zip(*((layer.name, layer.units) for layer in self.layers), strict=True)
        try:
            check_routes(self.routes, names, self.step_inputs, widths)
        except ModelError as error:
            raise ShapeError(f"{self.name}: {error}") from error
        for layer, route in zip(self.layers, self.routes, strict=False):
            width = sum(part.width for part in route)
            if layer.inputs != width:
                raise ShapeError(
                    f"{layer.name}: expected {width} inputs (the width of the layer before "
                    f"it), got {layer.inputs}"
                )

    def _check_names(self) -> None:
        for side in ("input", "output"):
            channels: tuple[str, ...] = getattr(self, f"{side}_names")
            ports: tuple[Port, ...] = getattr(self, f"{side}_ports")
            wrong = controls([*(port.name for port in ports), *channels])
            if wrong:
                raise ShapeError(
                    f"{side}_names: expected names without control characters, got "
                    f"{', '.join(map(repr, wrong)):.80}. Pass {side}_names, or rename the "
                    f"{side} in Keras."
                )

    def _check_ports(self) -> None:
        for owner, width in (("input", self.inputs), ("output", self.outputs)):
            ports: tuple[Port, ...] = getattr(self, f"{owner}_ports")
            if len(ports) == 1:
                object.__setattr__(self, f"{owner}_ports", ())
            widths = [port.width for port in ports]
            if len({port.name for port in ports}) != len(ports) or sum(widths) != width * bool(
                ports
            ):
                raise ShapeError(
                    f"{owner}_ports: expected distinct names and widths that add up to {width}, "
                    f"got {[(port.name, port.width) for port in ports]}"
                )
        softmax = any(port.softmax for port in self.output_ports)
        if self.output_ports and softmax != (self.final_activation == "softmax"):
            raise ShapeError(
                "final_activation: expected the same as in the output ports, got "
                f"{self.final_activation}"
            )

    @property
    def wiring(self) -> tuple[Route, ...]:
        """What every layer reads, then what the model puts out, of chains too."""
        return self.routes or self._chain()

    def _chain(self) -> tuple[Route, ...]:
        return chain(self.step_inputs, [layer.units for layer in self.layers])

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
        if self.routes:
            return len(self.input_names)
        return self.layers[0].inputs // (1 if self.rate is None else self.rate.readings)

    @property
    def step_inputs(self) -> int:
        """Width of what a step of the network reads: all its readings."""
        return self.inputs * (1 if self.rate is None else self.rate.readings)

    @property
    def outputs(self) -> int:
        """Output width O."""
        if not self.routes:
            return self.layers[-1].units
        return sum(part.width for part in self.routes[-1])

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
        values: dict[str, npt.NDArray[np.float64] | str | bool | int]
        values = {entry.name: getattr(layer, entry.name) for entry in fields(layer)}
        if isinstance(layer, FloatCell):
            del values["weights"]
            values.update(layer.by_name)
        if values.get("start", "") is None:  # the hash is older than the field
            del values["start"]
        if isinstance(layer, FloatMerge):
            del values["trained"]  # as below
        if isinstance(layer, FloatDelay) and layer.padded:
            del values["padded"]  # the hash is older than the field
        if isinstance(layer, FloatDenseRows):
            del values["dense"]
            values.update({f.name: getattr(layer.dense, f.name) for f in fields(layer.dense)})
        for name, value in sorted(values.items()):
            if isinstance(value, np.ndarray):
                digest.update(f"\n{name} {value.shape}\n".encode())
                # + 0.0 makes -0.0 and 0.0, equal numbers, hash alike.
                digest.update((value + 0.0).astype("<f8").tobytes())
            elif name != "name":
                digest.update(f"\n{name}={value}".encode())
    if model.rate is not None:
        start = np.zeros(model.inputs) if model.before is None else model.before
        digest.update(f"\nrate={model.rate}\n".encode() + start.astype("<f8").tobytes())
    if model.mask is not None:
        digest.update(f"\nmask={model.mask.hex()}".encode())
    if model.routes:
        digest.update(f"\nroutes={_numbers(model.routes)}".encode())
    for owner, ports in (("inputs", model.input_ports), ("outputs", model.output_ports)):
        if ports:
            told = [(port.width, port.softmax) for port in ports]
            digest.update(f"\n{owner}={told}".encode())
    return digest.hexdigest()


def _numbers(routes: tuple[Route, ...]) -> list[list[tuple[int, int, int]]]:
    return [[(part.source, part.start, part.width) for part in route] for route in routes]


def channel_names(letter: str, width: int, ports: Sequence[Port] = ()) -> tuple[str, ...]:
    """Names of channels that nobody has named.

    Args:
        letter: what one vector of them is called: x0, x1 and so on.
        width: number of channels.
        ports: of several inputs or outputs; a channel is then called after its own: power_0,
            power_1 and so on, with more of _ between where a name would come twice.
    """
    if not ports:
        return tuple(f"{letter}{index}" for index in range(width))
    wide = {port.name for port in ports if port.width > 1}
    joint = "_"
    while True:
        named = tuple(
            port.name if port.width == 1 else f"{port.name}{joint}{index}"
            for port in ports
            for index in range(port.width)
        )
        if len(set(named)) == width and wide.isdisjoint(named):
            return named
        joint += "_"  # the second channel of gru must not be called as the port gru_1
