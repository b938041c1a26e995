"""The layers of a network under training, wired as the integer model's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from edgernn.cells.general.leaky_rnn import LeakyRNN
from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Port, port_slices
from edgernn.model.layers import Delay, Dense, Embedding
from edgernn.model.merges import Merge
from edgernn.model.routes import MODEL_INPUT, Route, before_states
from edgernn_export.compress.qat.ends import DequantizeOutput, LayerPlace, QuantizeInput, Routed
from edgernn_export.compress.qat.layers import QatCell, QatDense, QatRNN
from edgernn_export.compress.qat.maps.columns import Columns
from edgernn_export.compress.qat.maps.float_weights import KERNEL, RECURRENT, is_registered
from edgernn_export.compress.qat.value_layers import (
    EMBEDDINGS,
    QatDelay,
    QatDepthwise,
    QatEmbedding,
    QatValues,
)
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDelay,
    FloatDense,
    FloatDenseRows,
    FloatEmbedding,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatMemory,
    FloatMerge,
    FloatModel,
    FloatPointwise,
    FloatPReLU,
    FloatSimpleRNN,
)
from edgernn_export.float_model.own_cells import general_cell
from edgernn_export.float_model.sharing import Shared


class TrainedNetwork:
    """The Keras layers and tensors of a network.

    Attributes:
        given: its inputs, one for each port.
    """

    def __init__(
        self, trained: FloatModel, integer: IntegerModel, mean: FloatArray, batch: int | None
    ) -> None:
        """Make the inputs and all layers.

        Args:
            trained: the float network.
            integer: its integers.
            mean: of the readings, physical units, float64 [I].
            batch: streams that continue from batch to batch; None where none does.

        Raises:
            TrainingError: a layer that is called twice follows a scaling by 0.
        """
        self._trained, self._integer, self._batch = trained, integer, batch
        self._groups = _groups(trained)
        self._columns = [Columns.of(integer, index, mean) for index in range(len(integer.layers))]
        for uses in self._groups:
            first = self._columns[uses[0].layer]
            for place, use in list(enumerate(uses))[1:]:
                own = self._columns[use.layer]
                self._columns[use.layer] = own.shared(first, uses, place)
        states = [bool(layer.states) for layer in integer.layers]
        #: The layers that answer at every step; the others answer at the last one alone.
        self._every_step = set(before_states(integer.wiring, states))
        if trained.return_sequences:
            self._every_step = set(range(len(integer.layers)))
        self.given = self._inputs()
        start = self.given if len(self.given) > 1 else self.given[0]
        quantized = QuantizeInput(integer, name="quantize_input", dtype="float32")(start)
        self._codes = {MODEL_INPUT: quantized}
        self._holders: dict[int, Any] = {}
        for index in range(len(integer.layers)):
            self._add(index)

    def outputs(self) -> Any:
        """What the network puts out: a tensor, or one for each port."""
        integer, ports = self._integer, self._trained.output_ports
        every_step = self._trained.return_sequences
        codes = self._fed(integer.wiring[-1], "output", every_step=every_step)
        last = DequantizeOutput(integer.output.scale, name="dequantize_output", dtype="float32")
        outputs = last(codes)
        if not ports:
            return _answer(outputs, "softmax") if integer.output.softmax else outputs
        made = []
        for port, cut in zip(ports, port_slices(ports).values(), strict=True):
            part = outputs[..., cut]
            made.append(_answer(part, f"softmax_{port.name}") if port.softmax else part)
        return made

    def start(self) -> None:
        """Set all weights to those of the trained network, next to the integers'."""
        shared = [[use.layer for use in uses] for uses in self._groups]
        alone = set(self._holders) - {index for group in shared for index in group}
        for group in (*shared, *([index] for index in sorted(alone))):
            first = self._holders[group[0]]
            source, unit = self._trained.layers[group[0]], self._columns[group[0]].unit
            record = self._integer.layers[group[0]]
            if isinstance(record, LeakyRNN):
                trained = _leaky_weights(source, record, unit)
            elif isinstance(source, (FloatLSTM, FloatGRU)) and is_registered(record):
                trained = _weights(general_cell(source), unit)
            else:
                trained = _weights(source, unit)
            values = {name: np.array(v) for name, v in first.float_weights.items()}
            for index in reversed(group):  # the first has the last word
                values = self._holders[index].integers.nearest(values, trained)
                trained = {name: values.get(name, array) for name, array in trained.items()}
            for index in group:
                self._holders[index].integers.begin(values)
            for name, variable in first.float_weights.items():
                variable.assign(values[name])

    def _inputs(self) -> list[Any]:
        trained = self._trained
        ports = trained.input_ports or (Port(name="", width=trained.inputs),)
        sizes = trained.vocabulary or (0,) * trained.inputs
        made = []
        for port, cut in zip(ports, port_slices(ports).values(), strict=True):
            tokens = any(sizes[cut])
            shape = (None,) if tokens and port.width == 1 else (None, port.width)
            made.append(
                keras.Input(
                    shape,
                    batch_size=self._batch,
                    dtype="int32" if tokens else "float32",
                    name=port.name or None,
                )
            )
        return made

    def _fed(self, route: Route, reader: str, *, every_step: bool) -> Any:
        """The codes of a route, of all steps or of the last one."""
        sources = [self._codes[part.source] for part in route]
        (codes, *others), part = sources, route[0]
        whole = not others and (part.start, part.width) == (0, codes.shape[-1])
        if whole and (every_step or len(codes.shape) == 2):
            return codes
        layer = Routed(route, last_step=not every_step, name=f"{reader}_reads", dtype="float32")
        return layer(sources)

    def _add(self, index: int) -> None:
        """Make a layer and the codes of its output."""
        integer = self._integer
        record, trained = integer.layers[index], self._trained.layers[index]
        every_step = index in self._every_step
        route = integer.wiring[index]
        codes = self._fed(route, record.name, every_step=every_step or bool(record.states))
        options: dict[str, Any] = {"name": record.name, "dtype": "float32"}
        if isinstance(record, Delay):
            batch = self._batch if self._trained.stateful else None
            layer = QatDelay(record, batch=batch, last_step=not every_step, **options)
        elif record.reads_values and not (
            isinstance(record, Embedding) or getattr(trained, "trained", False)
        ):
            layer = QatValues(integer, record, **options)
        else:
            layer = self._weighted(index, options)
        self._codes[index] = layer(codes)
        if hasattr(holder_of(layer), "integers"):
            self._holders[index] = holder_of(layer)

    def _weighted(self, index: int, options: dict[str, Any]) -> Any:
        """A layer with weights."""
        record = self._integer.layers[index]
        first = next((g[0].layer for g in self._groups if index in [u.layer for u in g]), index)
        place = LayerPlace(
            model=self._integer,
            index=index,
            columns=self._columns[index],
            weights=None if first == index else self._holders[first].float_weights,
        )
        if isinstance(record, Embedding):
            return QatEmbedding(place, **options)
        if isinstance(record, Merge):
            return QatDepthwise(place, **options)
        if isinstance(record, Dense):
            return QatDense(place, **options)
        return QatRNN(
            QatCell(place, name=record.kind, dtype="float32"),
            return_sequences=index in self._every_step,
            stateful=self._trained.stateful,
            **options,
        )


def holder_of(layer: Any) -> Any:
    """What holds the weights of a layer."""
    return layer.cell if isinstance(layer, QatRNN) else layer


def _answer(logits: Any, name: str) -> Any:
    return keras.layers.Softmax(name=name, dtype="float32")(logits)


def _groups(trained: FloatModel) -> tuple[Shared, ...]:
    """The uses of weights that several layers have.

    Raises:
        TrainingError: a scaling of one of them has a gain of 0.
    """
    for uses in trained.shared:
        for use in uses:
            if not (use.gain.all() and use.out_gain.all()):
                raise TrainingError(
                    f"{trained.layers[use.layer].name}: expected scalings with nonzero gains "
                    "around a layer that is called more than once, got a gain of 0. Train "
                    "without the features that a scaling makes constant."
                )
    return trained.shared


def _weights(source: FloatLayer, unit: FloatArray) -> dict[str, FloatArray]:
    """The weights of a trained layer in the units of its columns [N], biases left out."""
    # Delays have none; rates and attention are refused.
    assert not isinstance(source, (FloatDelay, FloatDenseRows, FloatMemory))
    if isinstance(source, FloatEmbedding):
        return {EMBEDDINGS: source.table}
    if isinstance(source, FloatMerge):
        return {KERNEL: source.gain * unit.reshape(source.gain.shape)}
    if isinstance(source, FloatCell):
        return {
            name: values.T * unit[:, None] if name.endswith(".x") else values.T
            for name, values in source.by_name.items()
        }
    assert not isinstance(source, (FloatPointwise, FloatPReLU))  # their constants stay
    weights = {KERNEL: (source.kernel * unit).T}
    if not isinstance(source, FloatDense):
        weights[RECURRENT] = source.recurrent.T
    return weights


def _leaky_weights(source: FloatLayer, record: LeakyRNN, unit: FloatArray) -> dict[str, FloatArray]:
    """The same of a layer that keeps a share of each unit apart, which is not trained."""
    if isinstance(source, FloatCell):
        (matrix,) = (values for name, values in source.by_name.items() if name.endswith(".x"))
        return {"gates.x": (matrix * unit).T}
    assert isinstance(source, FloatSimpleRNN)
    lost = (record.leak.high.astype(np.float64) * 32768.0 + record.leak.low) / 2.0**30
    rest = source.recurrent - np.diag(1.0 - lost)
    return {"gates.x": (source.kernel * unit).T, "gates.h": rest.T}
