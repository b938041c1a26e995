"""What exported files and the backends that run them agree on: the tensors of a step, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import State
from edgernn.errors import FormatError, ModelError, ShapeError, StateError
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Interface, Port, port_slices

#: Shape and dtype name of a graph's tensor.
StepTensor = tuple[tuple[int, ...], str]
_INT16: Final = np.dtype(np.int16)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTensor:
    """The tensor that holds one input or output of a step.

    Attributes:
        name: in the file.
        channels: where its channels are in the model's vector.
        readings: of an input, how many readings of these channels it holds one behind another.
    """

    name: str
    channels: slice
    readings: int = 1

    @property
    def width(self) -> int:
        """Number of elements."""
        return int(self.channels.stop - self.channels.start) * self.readings

    @property
    def place(self) -> slice:
        """Where its elements are in those of all tensors of its side, one behind another."""
        return slice(self.channels.start * self.readings, self.channels.stop * self.readings)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPorts:
    """The tensors of a step besides its states: one for each port, "x" and "y" where there is one.

    An output that has the name of an input is called "<name>_out", as states are.

    Attributes:
        inputs: in the order of their channels.
        outputs: in the order of their channels.
    """

    inputs: tuple[PortTensor, ...]
    outputs: tuple[PortTensor, ...]


def step_ports(about: Interface | IntegerModel) -> StepPorts:
    """The tensors of a step besides its states.

    Args:
        about: a model, or what a file says of it.

    Raises:
        ModelError: see `named_ports`.
    """
    return named_ports(
        about.input.ports or (Port(name="x", width=about.input.width),),
        about.output.ports or (Port(name="y", width=about.output.width),),
        [spec.name for spec in about.states],
        about.step_readings,
    )


def named_ports(
    sources: tuple[Port, ...], sinks: tuple[Port, ...], states: Sequence[str], readings: int = 1
) -> StepPorts:
    """The tensors of inputs, outputs and states.

    Args:
        sources: the inputs.
        sinks: the outputs.
        states: names of the states.
        readings: that a step takes.

    Raises:
        ModelError: two tensors would have one name, or one has a name that a file cannot hold.
    """
    inputs = tuple(replace(tensor, readings=readings) for tensor in _tensors(sources))
    before = [*(tensor.name for tensor in inputs), *states]
    outputs = tuple(
        replace(tensor, name=f"{tensor.name}_out") if tensor.name in before else tensor
        for tensor in _tensors(sinks)
    )
    names = before + [tensor.name for tensor in outputs] + [f"{name}_out" for name in states]
    for name in names:
        if name.startswith("/") or names.count(name) > 1:
            raise ModelError(
                "tensors of a step: expected distinct names that do not start with '/', got "
                f"'{name}'. Rename that input or output in the float model and quantize again."
            )
    return StepPorts(inputs=inputs, outputs=outputs)


def _tensors(ports: tuple[Port, ...]) -> tuple[PortTensor, ...]:
    places = port_slices(ports)
    return tuple(PortTensor(name=name, channels=place) for name, place in places.items())


class StepInputs:
    """Lets through what one model's step accepts, in the order of its tensors.

    Args:
        owner: name of the backend, for messages.
        interface: of the model.
    """

    __slots__ = ("_dtype", "_order", "_owner", "_shape", "_widths")

    def __init__(self, owner: str, interface: Interface) -> None:
        """Take widths and dtypes from the interface."""
        self._owner = owner
        self._shape = (interface.step_width,)
        self._dtype = interface.code_dtype
        self._order = _order(step_ports(interface).inputs, interface)
        self._widths = [spec.units for spec in interface.states]

    def of_step(self, q_x: OperandArray) -> OperandArray:
        """Operand codes [I], those of every tensor one behind another.

        Raises:
            ShapeError: another shape or dtype.
        """
        if q_x.shape != self._shape or q_x.dtype != self._dtype:
            raise self._shape_error(q_x, self._shape)
        return q_x if self._order is None else q_x[self._order]

    def of_run(self, q_xs: OperandArray) -> OperandArray:
        """Operand codes [T, I], those of every tensor one behind another.

        Raises:
            ShapeError: another shape or dtype.
        """
        if q_xs.shape != (*q_xs.shape[:1], *self._shape) or q_xs.dtype != self._dtype:
            raise self._shape_error(q_xs, ("T", *self._shape))
        return q_xs if self._order is None else q_xs[:, self._order]

    def copy_state(self, state: State, into: Sequence[Int16Array]) -> None:
        """Copy a checked state into the runtime's memory.

        Raises:
            StateError: the state does not belong to this model.
        """
        if len(state) != len(self._widths):
            raise StateError(
                f"backend '{self._owner}': expected {len(self._widths)} state vectors, "
                f"got {len(state)}."
            )
        for array, value, width in zip(into, state, self._widths, strict=True):
            if value.shape != (width,) or value.dtype != _INT16:
                raise StateError(
                    f"backend '{self._owner}': expected int16 state of shape ({width},), "
                    f"got {value.dtype} {value.shape}."
                )
            np.copyto(array, value)

    def _shape_error(self, got: OperandArray, wanted: tuple[object, ...]) -> ShapeError:
        shape = ", ".join(str(n) for n in wanted)
        return ShapeError(
            f"backend '{self._owner}': expected {self._dtype} codes of shape ({shape}), "
            f"got {got.dtype} {got.shape}."
        )


def _order(ports: tuple[PortTensor, ...], interface: Interface) -> npt.NDArray[np.intp] | None:
    """Which elements of a step follow each other in the tensors; None where they do in it."""
    if len(ports) == 1 or interface.step_readings == 1:
        return None
    elements = np.arange(interface.step_width).reshape(interface.step_readings, -1)
    order: npt.NDArray[np.intp]
    order = np.concatenate([elements[:, port.channels].ravel() for port in ports])
    return order


def check_tensors(
    kind: str,
    interface: Interface,
    inputs: Mapping[str, StepTensor],
    outputs: Mapping[str, StepTensor],
) -> None:
    """Compare a step graph's tensors with the interface in its metadata.

    Args:
        kind: kind of file, for messages.
        interface: from the file's metadata.
        inputs: of the graph, by name.
        outputs: of the graph, by name.

    Raises:
        FormatError: a tensor is missing, unexpected, or of another shape or dtype.
    """
    ports, dtype = step_ports(interface), interface.code_dtype.name
    states: dict[str, StepTensor] = {s.name: ((1, s.units), "int16") for s in interface.states}
    wanted_in: dict[str, StepTensor] = {t.name: ((1, t.width), dtype) for t in ports.inputs}
    wanted_in.update(states)
    wanted_out: dict[str, StepTensor] = {t.name: ((1, t.width), "int16") for t in ports.outputs}
    wanted_out.update({f"{name}_out": tensor for name, tensor in states.items()})
    for wanted, got in ((wanted_in, inputs), (wanted_out, outputs)):
        for name in sorted(wanted.keys() | got.keys()):
            if wanted.get(name) != got.get(name):
                raise FormatError(
                    f"{kind} file: expected tensor '{name}' {_describe(wanted.get(name))}, got "
                    f"{_describe(got.get(name))}. Metadata and graph disagree; export the file "
                    "again."
                )


def _describe(tensor: StepTensor | None) -> str:
    return "absent" if tensor is None else f"{tensor[1]} {list(tensor[0])}"
