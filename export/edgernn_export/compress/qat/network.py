"""The layers of a network under training, wired as the integer model's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras

from edgernn.cells.memories import MemoryLayer
from edgernn.model.interface import Port, port_slices
from edgernn.model.layers import Delay, Dense, Embedding
from edgernn.model.merges import Merge
from edgernn.model.routes import MODEL_INPUT, Route, RoutePart
from edgernn_export.compress.qat.ends import DequantizeOutput, QuantizeInput, Routed
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan
from edgernn_export.compress.qat.integer_side.sequences import is_whole
from edgernn_export.compress.qat.layers import QatCell, QatDense, QatRNN
from edgernn_export.compress.qat.links import InitialCodes
from edgernn_export.compress.qat.value_layers import (
    QatDelay,
    QatDepthwise,
    QatEmbedding,
    QatMemory,
    QatValues,
)
from edgernn_export.float_model.model import FloatModel


class LayerNames:
    """Names of the layers of a Keras model: those of its programs, as far as they are free."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, program: str, name: str) -> str:
        """A name that no other layer has."""
        while name in self._taken:
            name = f"{program}_{name}"
        self._taken.add(name)
        return name


class TrainedNetwork:
    """The Keras layers and tensors of a program.

    Attributes:
        plan: what is trained.
        states: codes [B, H] of the states that others begin with, after the last step, by name.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        codes: Any,
        names: LayerNames,
        *,
        batch: int | None = None,
        begun: Mapping[str, Any] = MappingProxyType({}),
        asked: Collection[str] = (),
    ) -> None:
        """Make all layers.

        Args:
            plan: what is trained.
            codes: of the input, [B, T, I].
            names: of the layers of the Keras model.
            batch: streams that continue from batch to batch; None where none does.
            begun: codes [B, H] that states begin with, where they are not always the same.
            asked: names of the states that others begin with.
        """
        self.plan, self._batch, self._names = plan, batch, names
        self._begun, self._asked = begun, asked
        self.states: dict[str, Any] = {}
        self._codes = {MODEL_INPUT: codes}
        for index in range(len(plan.integer.layers)):
            self._add(index)

    def codes(self) -> Any:
        """What the program puts out, codes [B, T, O], or [B, O] of the last step."""
        every_step = self.plan.trained.return_sequences
        return self._fed(self.plan.integer.wiring[-1], "output", every_step=every_step)

    def outputs(self, codes: Any) -> list[Any]:
        """Real outputs, one for each port; probabilities of those that end in a softmax.

        Args:
            codes: what the program puts out.
        """
        integer, ports = self.plan.integer, self.plan.trained.output_ports
        name = self._name("dequantize_output")
        outputs = DequantizeOutput(integer.output.scale, name=name, dtype="float32")(codes)
        if not ports:
            return [self._answer(outputs, "softmax") if integer.output.softmax else outputs]
        made = []
        for port, cut in zip(ports, port_slices(ports).values(), strict=True):
            own = RoutePart(source=MODEL_INPUT, start=cut.start, width=cut.stop - cut.start)
            name = self._name(f"answer_{port.name}")
            part = Routed((own,), last_step=False, name=name, dtype="float32")([outputs])
            made.append(self._answer(part, f"softmax_{port.name}") if port.softmax else part)
        return made

    def _name(self, name: str) -> str:
        return self._names.of(self.plan.integer.name, name)

    def _answer(self, logits: Any, name: str) -> Any:
        # Not keras.layers.Softmax, which takes the mask of steps for one of the outputs.
        return keras.layers.Activation("softmax", name=self._name(name), dtype="float32")(logits)

    def _fed(self, route: Route, reader: str, *, every_step: bool) -> Any:
        """The codes of a route, of all steps or of the last one."""
        sources = [self._codes[part.source] for part in route]
        if is_whole(route, sources[0]) and (every_step or len(sources[0].shape) == 2):
            return sources[0]
        name = self._name(f"{reader}_reads")
        return Routed(route, last_step=not every_step, name=name, dtype="float32")(sources)

    def _add(self, index: int) -> None:
        """Make a layer and the codes of its output."""
        plan = self.plan
        record = plan.integer.layers[index]
        every_step = index in plan.every_step
        route = plan.integer.wiring[index]
        codes = self._fed(route, record.name, every_step=every_step or bool(record.states))
        options: dict[str, Any] = {"name": self._name(record.name), "dtype": "float32"}
        if isinstance(record, Delay):
            batch = self._batch if plan.trained.stateful else None
            layer = QatDelay(record, batch=batch, last_step=not every_step, **options)
        elif isinstance(record, MemoryLayer):
            layer = QatMemory(plan.integer, record, last_step=not every_step, **options)
        elif plan.has_constants(index):
            layer = QatValues(plan.integer, record, **options)
        else:
            layer = self._weighted(index, options)
        self._codes[index] = self._called(layer, index, codes)
        if hasattr(holder_of(layer), "integers"):
            plan.holders[index] = holder_of(layer)

    def _called(self, layer: Any, index: int, codes: Any) -> Any:
        """What a layer puts out; its states are noted where others begin with them."""
        specs = self.plan.integer.layers[index].states
        given = [spec.name for spec in specs if spec.name in self._begun]
        options: dict[str, Any] = {}
        if given:
            options["initial_state"] = [
                self._begun[spec.name]
                if spec.name in given
                else InitialCodes(spec, name=self._name(f"{spec.name}_start"))(codes)
                for spec in specs
            ]
        if not any(spec.name in self._asked for spec in specs):
            return layer(codes, **options)
        layer.return_state = True
        made, *states = layer(codes, **options)
        for spec, state in zip(specs, states, strict=True):
            self.states[spec.name] = state
        return made

    def _weighted(self, index: int, options: dict[str, Any]) -> Any:
        """A layer with weights."""
        plan = self.plan
        record, place = plan.integer.layers[index], plan.place(index)
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


def inputs_of(
    trained: FloatModel,
    axes: Sequence[int],
    batch: int | None = None,
    name: str = "",
) -> list[Any]:
    """The inputs of a program, one for each port.

    Args:
        trained: the float network.
        axes: how many each of its inputs has behind that of the batch: tokens may have one.
        batch: streams that continue from batch to batch; None where none does.
        name: of its input where it has one; "" for any.
    """
    ports = trained.input_ports or (Port(name=name, width=trained.inputs),)
    sizes = trained.vocabulary or (0,) * trained.inputs
    made = []
    for port, cut, count in zip(ports, port_slices(ports).values(), axes, strict=True):
        tokens = any(sizes[cut])
        made.append(
            keras.Input(
                (None, port.width)[:count],
                batch_size=batch,
                dtype="int32" if tokens else "float32",
                name=port.name or None,
            )
        )
    return made


def quantized(plan: TrainingPlan, given: list[Any], names: LayerNames, origin: Any) -> Any:
    """The codes [B, T, I] of what a program reads.

    Args:
        plan: of the program.
        given: its inputs.
        names: of the layers of the Keras model.
        origin: the integer model, or the programs, that training starts from.
    """
    name = names.of(plan.integer.name, "quantize_input")
    layer = QuantizeInput(plan.integer, origin, name=name, dtype="float32")
    return layer(given if len(given) > 1 else given[0])


def holder_of(layer: Any) -> Any:
    """What holds the weights of a layer."""
    return layer.cell if isinstance(layer, QatRNN) else layer
