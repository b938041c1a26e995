"""The layers of a network under training, wired as the integer model's."""

from __future__ import annotations

from typing import Any

import keras

from edgernn.model.interface import Port, port_slices
from edgernn.model.layers import Delay, Dense, Embedding
from edgernn.model.merges import Merge
from edgernn.model.routes import MODEL_INPUT, Route
from edgernn_export.compress.qat.ends import DequantizeOutput, QuantizeInput, Routed
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan
from edgernn_export.compress.qat.integer_side.sequences import is_whole
from edgernn_export.compress.qat.layers import QatCell, QatDense, QatRNN
from edgernn_export.compress.qat.value_layers import (
    QatDelay,
    QatDepthwise,
    QatEmbedding,
    QatValues,
)


class TrainedNetwork:
    """The Keras layers and tensors of a network.

    Attributes:
        given: its inputs, one for each port.
        holders: what holds weights, by layer.
    """

    def __init__(self, plan: TrainingPlan, batch: int | None) -> None:
        """Make the inputs and all layers.

        Args:
            plan: what is trained.
            batch: streams that continue from batch to batch; None where none does.
        """
        self._plan, self._batch = plan, batch
        integer = plan.integer
        self.given = self._inputs()
        start = self.given if len(self.given) > 1 else self.given[0]
        quantized = QuantizeInput(integer, name="quantize_input", dtype="float32")(start)
        self._codes = {MODEL_INPUT: quantized}
        self.holders: dict[int, Any] = {}
        for index in range(len(integer.layers)):
            self._add(index)

    def outputs(self) -> Any:
        """What the network puts out: a tensor, or one for each port."""
        integer, ports = self._plan.integer, self._plan.trained.output_ports
        every_step = self._plan.trained.return_sequences
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

    def _inputs(self) -> list[Any]:
        trained = self._plan.trained
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
        if is_whole(route, sources[0]) and (every_step or len(sources[0].shape) == 2):
            return sources[0]
        layer = Routed(route, last_step=not every_step, name=f"{reader}_reads", dtype="float32")
        return layer(sources)

    def _add(self, index: int) -> None:
        """Make a layer and the codes of its output."""
        integer = self._plan.integer
        record = integer.layers[index]
        every_step = index in self._plan.every_step
        route = integer.wiring[index]
        codes = self._fed(route, record.name, every_step=every_step or bool(record.states))
        options: dict[str, Any] = {"name": record.name, "dtype": "float32"}
        if isinstance(record, Delay):
            batch = self._batch if self._plan.trained.stateful else None
            layer = QatDelay(record, batch=batch, last_step=not every_step, **options)
        elif self._plan.has_constants(index):
            layer = QatValues(integer, record, **options)
        else:
            layer = self._weighted(index, options)
        self._codes[index] = layer(codes)
        if hasattr(holder_of(layer), "integers"):
            self.holders[index] = holder_of(layer)

    def _weighted(self, index: int, options: dict[str, Any]) -> Any:
        """A layer with weights."""
        plan = self._plan
        record, place = plan.integer.layers[index], plan.place(index, self.holders)
        if isinstance(record, Embedding):
            return QatEmbedding(place, **options)
        if isinstance(record, Merge):
            return QatDepthwise(place, **options)
        if isinstance(record, Dense):
            return QatDense(place, **options)
        return QatRNN(
            QatCell(place, name=record.kind, dtype="float32"),
            return_sequences=index in plan.every_step,
            stateful=plan.trained.stateful,
            **options,
        )


def holder_of(layer: Any) -> Any:
    """What holds the weights of a layer."""
    return layer.cell if isinstance(layer, QatRNN) else layer


def _answer(logits: Any, name: str) -> Any:
    return keras.layers.Softmax(name=name, dtype="float32")(logits)
