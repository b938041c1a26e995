"""A quantile of a stream in constant memory: the P² algorithm of Jain and Chlamtac (1985)."""

from __future__ import annotations

from typing import Final

#: Values that a state holds.
STATE_VALUES: Final = 11


class StreamingQuantile:
    """Estimates a quantile of all values so far from five markers.

    Of the first five values the estimate is exact (the value of that rank).
    """

    __slots__ = ("_heights", "_places", "_steps", "count", "quantile")

    def __init__(self, quantile: float) -> None:
        """No value yet.

        Args:
            quantile: between 0 and 1.
        """
        self.quantile = quantile
        self._steps = (0.0, quantile / 2.0, quantile, (1.0 + quantile) / 2.0, 1.0)
        self.reset()

    def reset(self) -> None:
        """Forget all values."""
        #: Values so far.
        self.count = 0
        self._heights: list[float] = []
        self._places = [0.0, 1.0, 2.0, 3.0, 4.0]

    @property
    def value(self) -> float:
        """The estimate; 0 before the first value."""
        heights = self._heights
        if self.count > 5:
            return heights[2]
        return heights[min(int(self.quantile * len(heights)), len(heights) - 1)] if heights else 0.0

    def push(self, x: float) -> None:
        """Take one finite value."""
        heights, places = self._heights, self._places
        self.count += 1
        if self.count <= 5:
            heights.append(x)
            heights.sort()
            return
        if x < heights[0]:
            heights[0] = x
        elif x > heights[4]:
            heights[4] = x
        above = next((i for i in (1, 2, 3) if x < heights[i]), 4)
        for i in range(above, 5):
            places[i] += 1.0
        last = self.count - 1.0
        for i in (1, 2, 3):
            off = self._steps[i] * last - places[i]
            if off >= 1.0 and places[i + 1] - places[i] > 1.0:
                self._move(i, 1.0)
            elif off <= -1.0 and places[i - 1] - places[i] < -1.0:
                self._move(i, -1.0)

    def _move(self, i: int, d: float) -> None:
        """Move a marker by one place, along a parabola where that keeps the order."""
        q, n = self._heights, self._places
        right = (n[i] - n[i - 1] + d) * (q[i + 1] - q[i]) / (n[i + 1] - n[i])
        left = (n[i + 1] - n[i] - d) * (q[i] - q[i - 1]) / (n[i] - n[i - 1])
        height = q[i] + d / (n[i + 1] - n[i - 1]) * (right + left)
        if not q[i - 1] < height < q[i + 1]:
            other = i + int(d)
            height = q[i] + d * (q[other] - q[i]) / (n[other] - n[i])
        q[i] = height
        n[i] += d

    def state(self) -> list[float]:
        """What it remembers: always `STATE_VALUES` values."""
        heights = self._heights + [0.0] * (5 - len(self._heights))
        return [float(self.count), *heights, *self._places]

    def restore(self, values: list[float]) -> None:
        """Remember what `state` gave."""
        self.count = int(values[0])
        self._heights = values[1:6][: self.count]
        self._places = values[6:STATE_VALUES]
