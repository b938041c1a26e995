"""Checks that backends of exported files share: codes and states going in, tensors of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from edgernn.backends.base import State
from edgernn.errors import FormatError, ShapeError, StateError
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.interface import Interface

#: Shape and dtype name of a graph's tensor.
StepTensor = tuple[tuple[int, ...], str]
_INT16: Final = np.dtype(np.int16)


class StepInputs:
    """Lets through what one model's step accepts.

    Args:
        owner: name of the backend, for messages.
        interface: of the model.
    """

    __slots__ = ("_dtype", "_owner", "_shape", "_widths")

    def __init__(self, owner: str, interface: Interface) -> None:
        """Take widths and dtypes from the interface."""
        self._owner = owner
        self._shape = (interface.input.width,)
        self._dtype = interface.precision.operand_dtype
        self._widths = [spec.units for spec in interface.states]

    def check_step(self, q_x: OperandArray) -> None:
        """Refuse anything but operand codes [I].

        Raises:
            ShapeError: another shape or dtype.
        """
        if q_x.shape != self._shape or q_x.dtype != self._dtype:
            raise self._shape_error(q_x, self._shape)

    def check_run(self, q_xs: OperandArray) -> None:
        """Refuse anything but operand codes [T, I].

        Raises:
            ShapeError: another shape or dtype.
        """
        if q_xs.shape != (*q_xs.shape[:1], *self._shape) or q_xs.dtype != self._dtype:
            raise self._shape_error(q_xs, ("T", *self._shape))

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
    states: dict[str, StepTensor] = {s.name: ((1, s.units), "int16") for s in interface.states}
    x = ((1, interface.input.width), interface.precision.operand_dtype.name)
    wanted_in: dict[str, StepTensor] = {"x": x, **states}
    wanted_out: dict[str, StepTensor] = {"y": ((1, interface.output.width), "int16")}
    wanted_out.update({f"{name}_out": tensor for name, tensor in states.items()})
    for wanted, got in ((wanted_in, inputs), (wanted_out, outputs)):
        for name in sorted(wanted.keys() | got.keys()):
            if wanted.get(name) != got.get(name):
                raise FormatError(
                    f"{kind} file: expected tensor '{name}' {_describe(wanted.get(name))}, "
                    f"got {_describe(got.get(name))}. Metadata and graph disagree; "
                    "write the file again."
                )


def _describe(tensor: StepTensor | None) -> str:
    return "absent" if tensor is None else f"{tensor[1]} {list(tensor[0])}"
