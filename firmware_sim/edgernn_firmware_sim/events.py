"""Events of NUMERICS.md section 10: saturations and ranges, recorded without touching a bit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgernn_firmware_sim.arithmetic import Int32, sat8, sat16


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


@dataclass(slots=True)
class TensorEvents:
    """What was seen of one tensor.

    Attributes:
        values: number of values seen.
        saturated: how many of them a saturation changed.
        low: smallest value before saturation.
        high: largest value before saturation.
        saturated_per_unit: per column, how often it saturated.
    """

    values: int = 0
    saturated: int = 0
    low: int = 0
    high: int = 0
    saturated_per_unit: list[int] = field(default_factory=list)


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

    def _record(self, name: str, wide: Int32, narrow: Int32) -> Int32:
        low, high = int(wide.min()), int(wide.max())
        events = self.tensors.get(name)
        if events is None:
            events = self.tensors[name] = TensorEvents(
                low=low, high=high, saturated_per_unit=[0] * wide.shape[-1]
            )
        events.values += wide.size
        events.low = min(events.low, low)
        events.high = max(events.high, high)
        if narrow is not wide:
            changed = np.count_nonzero((wide != narrow).reshape(-1, wide.shape[-1]), axis=0)
            if changed.any():
                events.saturated += int(changed.sum())
                events.saturated_per_unit = [
                    a + int(b) for a, b in zip(events.saturated_per_unit, changed, strict=True)
                ]
        return narrow
