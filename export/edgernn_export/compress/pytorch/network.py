"""The PyTorch module of a network under quantization-aware training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgernn.errors import ShapeError, TrainingError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Port, port_slices
from edgernn.model.routes import MODEL_INPUT, Route
from edgernn_export.compress.pytorch.layers import AffineLayer, CarriedCodes, made_layers, weighted
from edgernn_export.compress.qat.integer_side.models import changed
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan
from edgernn_export.compress.qat.integer_side.sequences import InputQuantizer, is_whole, routed
from edgernn_export.compress.tensors.back_ends import constant

#: What the layers of a network keep from call to call.
StreamStates = tuple[CarriedCodes, ...]


class QatModule(nn.Module):
    """A module that computes what the integer model computes, and can be trained.

    Its parameters are the float weights of the network, float32; every pass rounds them, and
    gradients pass the rounding straight through. In training mode each pass lets the steps of the
    weights follow them; in evaluation mode, and in the integer model, they are those of the last
    pass in training mode.

    Args:
        plan: what is trained.

    Attributes:
        plan: the same.
        layers: of the network, in the order of the integer model.
        paths: of the layers of the module that the network was read from, by position in `layers`,
            as far as they are known.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        super().__init__()
        self.plan = plan
        self._quantizer = InputQuantizer(plan.integer)
        self.layers = nn.ModuleList(made_layers(plan))
        self.paths: dict[int, str] = {}

    def forward(self, *readings: Tensor | Mapping[str, Tensor]) -> Any:
        """The outputs of whole streams, which begin at the start states.

        Args:
            *readings: [B, T, I] in physical units, tokens [B, T] or [B, T, n]; of several inputs
                one of each in their order, or a mapping of them by their names.

        Returns:
            [B, T, O], or [B, O] of a network that answers at the last step alone; of several
            outputs a list. A softmax is applied where the network has one.

        Raises:
            ShapeError: readings of another shape.
            TrainingError: the weights are no longer float32.
        """
        return self.stream(*readings)[0]

    def stream(
        self, *readings: Tensor | Mapping[str, Tensor], states: StreamStates | None = None
    ) -> tuple[Any, StreamStates]:
        """The same of a part of streams.

        Args:
            *readings: as of `forward`.
            states: after the part before it; None at the start. Detach them to cut gradients.

        Returns:
            Outputs, and the states after the part.
        """
        codes, after = self._run(readings, states)
        return self._outputs(codes), after

    def codes(self, *readings: Tensor | Mapping[str, Tensor]) -> Tensor:
        """The codes [..., O] that the integer model puts out, as float32."""
        return self._run(readings, None)[0]

    def integer_model(self) -> IntegerModel:
        """The integer model of the weights as they are now.

        Where the last step of training made an accumulator unsafe, the steps of its row or layer
        become coarser, in this module too.

        Raises:
            TrainingError: a weight is not finite, or no longer float32.
            OverflowRefused: no allowed step keeps an accumulator within its bound.
        """
        self._prepare()
        with torch.no_grad():
            return changed(self.plan.integer, weighted(list(self.layers)))

    def _prepare(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dtype is not torch.float32:
                raise TrainingError(
                    f"{name}: expected float32 weights, got {parameter.dtype}. Call .float() on "
                    "the module; the integers are the same on every device."
                )
        for layer in weighted(list(self.layers)):
            layer.keep_bounds()

    def _run(
        self, readings: Sequence[Tensor | Mapping[str, Tensor]], states: StreamStates | None
    ) -> tuple[Tensor, StreamStates]:
        plan = self.plan
        wiring = plan.integer.wiring
        self._prepare()
        given = _by_port(plan.trained.input_ports, plan.trained.inputs, readings)
        after: list[CarriedCodes] = []
        # No other type holds the codes, whatever the loop around it computes in.
        with torch.autocast(given[0].device.type, enabled=False):
            codes, taken = {MODEL_INPUT: self._quantizer(given)}, self._quantizer.taken(given)
            for index, layer in enumerate(self.layers):
                every = index in plan.every_step
                whole = every or bool(plan.integer.layers[index].states)
                fed = _fed(wiring[index], codes, last_step=not whole)
                given_states = () if states is None else states[index]
                if isinstance(layer, AffineLayer):
                    made, kept = layer(fed, given_states, taken)
                else:
                    made, kept = layer(fed, given_states)
                codes[index] = made if every or made.dim() == 2 else made[:, -1]
                after.append(kept)
            last_step = not plan.trained.return_sequences
            return _fed(wiring[-1], codes, last_step=last_step), tuple(after)

    def _outputs(self, codes: Tensor) -> Any:
        output, ports = self.plan.integer.output, self.plan.trained.output_ports
        outputs = codes * constant(output.scale, codes)
        if not ports:
            return outputs.softmax(-1) if output.softmax else outputs
        parts = [outputs[..., cut] for cut in port_slices(ports).values()]
        pairs = zip(ports, parts, strict=True)
        return [part.softmax(-1) if port.softmax else part for port, part in pairs]


def _fed(route: Route, codes: Mapping[int, Tensor], *, last_step: bool) -> Tensor:
    """The codes of a route, of all steps or of the last one."""
    sources = [codes[part.source] for part in route]
    if is_whole(route, sources[0]) and (not last_step or sources[0].dim() == 2):
        return sources[0]
    made: Tensor = routed(route, sources, last_step=last_step)
    return made


def _by_port(
    ports: Sequence[Port], width: int, readings: Sequence[Tensor | Mapping[str, Tensor]]
) -> list[Tensor]:
    """What each input reads, in their order.

    Raises:
        ShapeError: there are more or fewer of them, or they have another shape.
    """
    ports = ports or (Port(name="readings", width=width),)
    names = [port.name for port in ports]
    given: Any = readings
    if len(readings) == 1 and isinstance(readings[0], Mapping):
        given = [readings[0].get(name) for name in names]
    if len(given) != len(ports) or any(not isinstance(x, Tensor) for x in given):
        raise ShapeError(
            f"readings: expected a tensor of each of {', '.join(names)}, got "
            f"{[type(x).__name__ for x in given]}. Pass them in this order, or as a mapping."
        )
    for port, x in zip(ports, given, strict=True):
        tokens = x.dim() == 2 and port.width == 1
        if not (tokens or (x.dim() == 3 and x.shape[-1] == port.width)) or not x.shape[1]:
            raise ShapeError(
                f"{port.name}: expected shape [B, T, {port.width}] with at least one step, got "
                f"{tuple(x.shape)}. Put the batch first: x[None] of one stream, x.transpose(0, 1) "
                "of [T, B, I]."
            )
    return [x if x.dtype is torch.float64 else x.float() for x in given]
