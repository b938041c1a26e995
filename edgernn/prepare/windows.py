"""Features of the last readings of a channel: mean, deviation, extremes, difference, lag."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from edgernn.declared import one_of, setting
from edgernn.prepare.part import Counts, RowPart, StepDeclaration

#: Most readings of a window.
MAX_READINGS: Final = 4_096
#: Larger values count as missing in windows, so that no sum of squares overflows.
_LARGEST: Final = 1e150


_FEATURES: Final = ("mean", "deviation", "min", "max")


class _Ring:
    """The last readings of a channel, oldest first."""

    __slots__ = ("_ring", "_slot")

    def __init__(self, slot: int, readings: int) -> None:
        self._slot = slot
        self._ring: deque[float] = deque(maxlen=readings)

    def reset(self) -> None:
        self._ring.clear()

    def state(self) -> list[float]:
        return list(self._ring)

    def restore(self, values: list[float], /) -> None:
        self._ring.clear()
        self._ring.extend(values)


class _Features(_Ring):
    """Features of the values in the ring."""

    __slots__ = ("_features",)

    def __init__(self, slot: int, readings: int, features: tuple[str, ...]) -> None:
        super().__init__(slot, readings)
        self._features = features

    def apply(self, _time_s: float, row: list[float], /) -> None:
        x = row[self._slot]
        self._ring.append(x if -_LARGEST < x < _LARGEST else math.nan)
        values = [x for x in self._ring if x == x]
        if not values:
            row.extend([math.nan] * len(self._features))
            return
        # Sums are rounded once, so that the order of the values changes no bit.
        mean = math.fsum(values) / len(values)
        for feature in self._features:
            if feature == "mean":
                row.append(mean)
            elif feature == "deviation":
                squares = [(x - mean) * (x - mean) for x in values]
                row.append(math.sqrt(math.fsum(squares) / len(values)))
            else:
                row.append(min(values) if feature == "min" else max(values))


class _Earlier(_Ring):
    """The value some readings ago, or the difference from it."""

    __slots__ = ("_difference",)

    def __init__(self, slot: int, readings: int, difference: bool) -> None:
        super().__init__(slot, readings + 1)
        self._difference = difference

    def apply(self, _time_s: float, row: list[float], /) -> None:
        x = row[self._slot]
        self._ring.append(x)
        row.append(x - self._ring[0] if self._difference else self._ring[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFeatures(StepDeclaration):
    """Features of the last readings of a channel, each a new channel.

    Until there are enough readings, the features are those of the readings so far. Missing values
    are left out; a window of missing values alone gives a missing value.

    Attributes:
        channel: that is read.
        readings: length of the window, this reading included.
        features: "mean", "deviation" (of the population), "min" and "max", in the order of the new
            channels.
        names: of the new channels; () for ``channel_feature_readings``.
    """

    kind: ClassVar[str] = "window"

    channel: str = setting("channel to read")
    readings: int = setting("length of the window", low=2, high=MAX_READINGS)
    features: tuple[str, ...] = setting(
        "features, one new channel each", default=("mean",), choices=_FEATURES
    )
    names: tuple[str, ...] = setting("names of the new channels", default=())

    def problems(self) -> Iterator[str]:
        """No feature, one twice, or another number of names."""
        if not self.features or len(set(self.features)) < len(self.features):
            yield f"features: expected distinct ones of {one_of(_FEATURES)}, got {self.features}."
        if self.names and len(self.names) != len(self.features):
            yield f"names: expected {len(self.features)}, got {len(self.names)}."

    def reads(self) -> tuple[str, ...]:
        """The channel."""
        return (self.channel,)

    def adds(self) -> tuple[str, ...]:
        """One channel per feature."""
        return self.names or tuple(f"{self.channel}_{f}_{self.readings}" for f in self.features)

    def begin(self, names: tuple[str, ...], _counts: Counts, /) -> RowPart:
        """See `StepDeclaration.begin`."""
        return _Features(names.index(self.channel), self.readings, self.features)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierReading(StepDeclaration):
    """A new channel that compares a channel with its value some readings ago, or repeats it.

    Attributes:
        channel: that is read.
        readings: how many readings ago.
        name: of the new channel; "" for ``channel_kind_readings``.
    """

    channel: str = setting("channel to read")
    readings: int = setting("how many readings ago", default=1, low=1, high=MAX_READINGS)
    name: str = setting("name of the new channel", default="")

    def reads(self) -> tuple[str, ...]:
        """The channel."""
        return (self.channel,)

    def adds(self) -> tuple[str, ...]:
        """The new channel."""
        return (self.name or f"{self.channel}_{self.kind}_{self.readings}",)

    def begin(self, names: tuple[str, ...], _counts: Counts, /) -> RowPart:
        """See `StepDeclaration.begin`."""
        difference = isinstance(self, Difference)
        return _Earlier(names.index(self.channel), self.readings, difference=difference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(EarlierReading):
    """How much a channel has changed since some readings ago; before, since the first reading."""

    kind: ClassVar[str] = "difference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag(EarlierReading):
    """The value of a channel some readings ago; before, that of the first reading."""

    kind: ClassVar[str] = "lag"
