"""Prepared readings on their way to the model, and what a reading may not be."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from edgernn.connections.arrival import Arrival
from edgernn.errors import ClippedReadingsWarning
from edgernn.model.formats import FloatArray
from edgernn.model.interface import Interface

#: So many streams with clipped readings are told by their keys.
_MOST_CLIPPED: Final = 1000


class WaitingRows:
    """Prepared readings that wait for the model.

    Attributes:
        arrivals: what each was prepared from.
        keys: of their streams.
        numbers: of the results.
        times: seconds since 1970-01-01 UTC.
        values: in the order of the model's channels.
    """

    __slots__ = ("arrivals", "keys", "numbers", "times", "values")

    def __init__(self) -> None:
        """Begin empty."""
        self.clear()

    def clear(self) -> None:
        """Forget all of them."""
        self.arrivals: list[Arrival] = []
        self.keys: list[str] = []
        self.numbers: list[int] = []
        self.times: list[float] = []
        self.values: list[Any] = []

    def add(self, arrival: Arrival, time_s: float, number: int, values: Any) -> None:
        """Add one."""
        self.arrivals.append(arrival)
        self.keys.append(arrival.key)
        self.numbers.append(number)
        self.times.append(time_s)
        self.values.append(values)

    def table(self, width: int) -> FloatArray:
        """The values [B, width]; NaN in the place of what is no number."""
        try:
            table = np.array(self.values, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            table = np.array([[_number(v) for v in row] for row in self.values], dtype=np.float64)
        return table.reshape(len(self.keys), width)


class ClippedStreams:
    """Tells which streams have readings outside the calibrated range, each once.

    Args:
        interface: of the model.
    """

    def __init__(self, interface: Interface) -> None:
        """No reading was clipped yet."""
        self._spec = interface.input
        self._range = interface.coder().range
        self._counts: Sequence[int] = (0,) * interface.input.width
        self._keys: set[str] = set()

    def look(
        self,
        rows: WaitingRows,
        xs: FloatArray,
        counts: Sequence[int],
        told: Callable[[str, str], None],
    ) -> None:
        """Look for clipped readings among those that the model has answered.

        Args:
            rows: the readings.
            xs: their values [B, I].
            counts: clipped readings of all streams, per channel [I].
            told: hears of a stream: its key and a sentence.
        """
        if counts == self._counts or len(self._keys) >= _MOST_CLIPPED:
            return
        self._counts = counts
        low, high = self._range
        beyond = np.isfinite(xs) & ((xs < low) | (xs > high))
        for row, channel in np.argwhere(beyond).tolist():
            key = rows.keys[row]
            if key in self._keys or len(self._keys) >= _MOST_CLIPPED:
                continue
            self._keys.add(key)
            names, units = self._spec.names, self._spec.units
            unit = f" {units[channel]}" if units[channel] else ""
            told(
                key,
                f"expected '{names[channel]}' within the calibrated range [{low[channel]:.6g}, "
                f"{high[channel]:.6g}]{unit}, got {xs[row, channel]:.6g}. The value was clipped. "
                "If the sensor is right, quantize again with data that cover its range.",
            )


def ignore_clipping() -> None:
    """Ignore the warning of the model, which names no stream, where `ClippedStreams` tells."""
    warnings.filterwarnings("ignore", "session: expected .* calibrated", ClippedReadingsWarning)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def is_text(key: str) -> bool:
    """Whether a key can be saved: not empty, and text that every store can hold."""
    try:
        return bool(key) and b"\0" not in key.encode()
    except UnicodeEncodeError:  # half of a pair
        return False
