"""Events of NUMERICS.md section 10: saturations and ranges, recorded without touching a bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgernn_firmware_sim.reference.arithmetic import Int32, sat8, sat16

#: Names of tensors stacked in one array, in their order.
Names = tuple[str, ...]


class Quiet:
    """Saturates and records nothing; what a plain run uses."""

    def sat16(self, name: str, wide: Int32) -> Int32:  # noqa: ARG002 - the name is for recorders
        """Saturate a named tensor to int16."""
        return sat16(wide)

    def sat8(self, name: str, wide: Int32) -> Int32:  # noqa: ARG002 - the name is for recorders
        """Saturate a named tensor to int8."""
        return sat8(wide)

    def see(self, name: str, tensor: Int32) -> Int32:  # noqa: ARG002 - the name is for recorders
        """Pass a named tensor on."""
        return tensor

    def sat16_each(self, names: Names, wide: Int32) -> Int32:  # noqa: ARG002 - as above
        """Saturate tensors stacked along the last axis, in equal parts, to int16."""
        return sat16(wide)

    def see_each(self, names: Names, tensors: Int32) -> Int32:  # noqa: ARG002 - as above
        """Pass stacked tensors on."""
        return tensors


@dataclass(slots=True)
class TensorEvents:
    """What was seen of one tensor.

    Attributes:
        values: number of values seen.
        saturated: how many of them a saturation changed.
        low: smallest value before saturation.
        high: largest value before saturation.
    """

    values: int = 0
    saturated: int = 0
    low: int = 0
    high: int = 0


class Recorder(Quiet):
    """Counts saturations and ranges of every named tensor (clauses 10.1, 10.2)."""

    def __init__(self) -> None:
        """Start with no events."""
        self.tensors: dict[str, TensorEvents] = {}

    def sat16(self, name: str, wide: Int32) -> Int32:
        """Saturate to int16 and count what changed."""
        return self._record(name, wide, sat16(wide))

    def sat8(self, name: str, wide: Int32) -> Int32:
        """Saturate to int8 and count what changed."""
        return self._record(name, wide, sat8(wide))

    def see(self, name: str, tensor: Int32) -> Int32:
        """Record a tensor's range."""
        return self._record(name, tensor, tensor)

    def sat16_each(self, names: Names, wide: Int32) -> Int32:
        """Saturate stacked tensors and count for each of them."""
        return self._record_each(names, wide, sat16(wide))

    def see_each(self, names: Names, tensors: Int32) -> Int32:
        """Record the range of each of the stacked tensors."""
        return self._record_each(names, tensors, tensors)

    def _record_each(self, names: Names, wide: Int32, narrow: Int32) -> Int32:
        parts = (np.split(stacked, len(names), axis=-1) for stacked in (wide, narrow))
        for name, before, after in zip(names, *parts, strict=True):
            self._record(name, before, after)
        return narrow

    def _record(self, name: str, wide: Int32, narrow: Int32) -> Int32:
        low, high = int(wide.min()), int(wide.max())
        events = self.tensors.get(name)
        if events is None:
            events = self.tensors[name] = TensorEvents(low=low, high=high)
        events.values += wide.size
        events.low = min(events.low, low)
        events.high = max(events.high, high)
        if narrow is not wide:
            events.saturated += int(np.count_nonzero(wide != narrow))
        return narrow
