"""Units and limits of raw values: conversion, gain and offset, clipping, logarithm."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from edgernn.declared import like, setting
from edgernn.errors import ClippedReadingsWarning
from edgernn.prepare.part import Counts, Memoryless, RowPart, StepDeclaration

#: By quantity: unit -> (gain, offset) to the first unit of the quantity.
UNITS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "temperature": {
        "degC": (1.0, 0.0),
        "K": (1.0, -273.15),
        "degF": (5.0 / 9.0, -160.0 / 9.0),
        "mdegC": (0.001, 0.0),
    },
    "pressure": {
        "hPa": (1.0, 0.0),
        "mbar": (1.0, 0.0),
        "Pa": (0.01, 0.0),
        "kPa": (10.0, 0.0),
        "bar": (1000.0, 0.0),
        "mmHg": (1.33322387415, 0.0),
        "inHg": (33.86388640341, 0.0),
        "psi": (68.94757293168361, 0.0),
    },
    "speed": {
        "m/s": (1.0, 0.0),
        "km/h": (1.0 / 3.6, 0.0),
        "mph": (0.44704, 0.0),
        "kn": (1852.0 / 3600.0, 0.0),
    },
    "acceleration": {"m/s2": (1.0, 0.0), "g": (9.80665, 0.0), "mg": (0.00980665, 0.0)},
    "length": {
        "m": (1.0, 0.0),
        "mm": (0.001, 0.0),
        "cm": (0.01, 0.0),
        "km": (1000.0, 0.0),
        "in": (0.0254, 0.0),
        "ft": (0.3048, 0.0),
    },
    "energy": {"J": (1.0, 0.0), "kJ": (1e3, 0.0), "Wh": (3600.0, 0.0), "kWh": (3.6e6, 0.0)},
    "power": {"W": (1.0, 0.0), "mW": (0.001, 0.0), "kW": (1000.0, 0.0)},
    "current": {"A": (1.0, 0.0), "mA": (0.001, 0.0), "uA": (1e-6, 0.0)},
    "voltage": {"V": (1.0, 0.0), "mV": (0.001, 0.0), "uV": (1e-6, 0.0)},
    "share": {"1": (1.0, 0.0), "%": (0.01, 0.0), "permille": (0.001, 0.0), "ppm": (1e-6, 0.0)},
    "angle": {"rad": (1.0, 0.0), "deg": (math.pi / 180.0, 0.0)},
    "time": {"s": (1.0, 0.0), "ms": (0.001, 0.0), "min": (60.0, 0.0), "h": (3600.0, 0.0)},
}  # fmt: skip


class _Line(Memoryless):
    """y = gain * x + offset of some values."""

    __slots__ = ("_gain", "_offset", "_slots")

    def __init__(self, slots: list[int], gain: float, offset: float) -> None:
        self._slots, self._gain, self._offset = slots, gain, offset

    def apply(self, _time_s: float, row: list[float], /) -> None:
        for i in self._slots:
            row[i] = row[i] * self._gain + self._offset


@dataclass(frozen=True, slots=True, kw_only=True)
class GainOffset(StepDeclaration):
    """y = gain * x + offset.

    Attributes:
        channels: that are changed.
        gain: factor.
        offset: added after.
    """

    kind: ClassVar[str] = "gain"

    channels: tuple[str, ...] = setting("channels to change")
    gain: float = setting("factor", default=1.0)
    offset: float = setting("what is added after the factor", default=0.0)

    def reads(self) -> tuple[str, ...]:
        """The channels."""
        return self.channels

    def begin(self, names: tuple[str, ...], _counts: Counts, /) -> RowPart:
        """See `StepDeclaration.begin`."""
        return _Line([names.index(name) for name in self.channels], self.gain, self.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitConversion(StepDeclaration):
    """Another unit of the same quantity, by the factors of `UNITS`.

    Attributes:
        channels: that are converted.
        source: unit of the raw values.
        target: unit that the model expects.
    """

    kind: ClassVar[str] = "convert"

    channels: tuple[str, ...] = setting("channels to convert")
    source: str = setting("unit of the raw values")
    target: str = setting("unit that the model expects")

    def problems(self) -> Iterator[str]:
        """Units that are unknown or of two quantities."""
        known = [unit for units in UNITS.values() for unit in units]
        for name in ("source", "target"):
            unit = getattr(self, name)
            if unit not in known:
                yield (
                    f"{name}: expected one of {', '.join(known)}, got {unit!r:.40}."
                    f'{like(unit, known)} For others use kind = "gain".'
                )
                return
        if not any(self.source in units and self.target in units for units in UNITS.values()):
            yield f"target: expected a unit of the quantity of {self.source}, got {self.target}."

    def line(self) -> tuple[float, float]:
        """Gain and offset of the conversion."""
        units = next(units for units in UNITS.values() if self.source in units)
        (gain, offset), (other_gain, other_offset) = units[self.source], units[self.target]
        return gain / other_gain, (offset - other_offset) / other_gain

    def reads(self) -> tuple[str, ...]:
        """The channels."""
        return self.channels

    def begin(self, names: tuple[str, ...], _counts: Counts, /) -> RowPart:
        """See `StepDeclaration.begin`."""
        return _Line([names.index(name) for name in self.channels], *self.line())


class _Clip:
    """Limits of some values; counts them, and warns once per stream."""

    __slots__ = ("_counts", "_slots", "_step", "_told")

    def __init__(self, slots: list[int], step: Clipping, counts: Counts) -> None:
        self._slots, self._step, self._counts = slots, step, counts
        self._told = False

    def apply(self, _time_s: float, row: list[float], /) -> None:
        step = self._step
        for i in self._slots:
            x = row[i]
            if x < step.low:
                row[i] = step.low
            elif x > step.high:
                row[i] = step.high
            else:
                continue
            self._counts["clipped"] += 1
            if not self._told:
                self._told = True
                warnings.warn(
                    f"preparation: expected {', '.join(step.channels)} in {step.low:g} to "
                    f"{step.high:g}, got a value outside. It was clipped; further ones are only "
                    "counted.",
                    ClippedReadingsWarning,
                    stacklevel=4,
                )

    def reset(self) -> None:
        pass

    def state(self) -> list[float]:
        return [float(self._told)]

    def restore(self, values: list[float], /) -> None:
        self._told = bool(values[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Clipping(StepDeclaration):
    """Values beyond the limits become the limit; they are counted.

    Attributes:
        channels: that are limited.
        low: least value.
        high: greatest value.
    """

    kind: ClassVar[str] = "clip"

    channels: tuple[str, ...] = setting("channels to limit")
    low: float = setting("least value")
    high: float = setting("greatest value")

    def problems(self) -> Iterator[str]:
        """Limits that leave nothing."""
        if self.low >= self.high:
            yield f"high: expected more than low ({self.low:g}), got {self.high:g}."

    def reads(self) -> tuple[str, ...]:
        """The channels."""
        return self.channels

    def begin(self, names: tuple[str, ...], counts: Counts, /) -> RowPart:
        """See `StepDeclaration.begin`."""
        return _Clip([names.index(name) for name in self.channels], self, counts)


class _Log(Memoryless):
    """log(max(x, floor)) of some values."""

    __slots__ = ("_floor", "_slots")

    def __init__(self, slots: list[int], floor: float) -> None:
        self._slots, self._floor = slots, floor

    def apply(self, _time_s: float, row: list[float], /) -> None:
        for i in self._slots:
            x = row[i]
            row[i] = x if math.isnan(x) else math.log(max(x, self._floor))


@dataclass(frozen=True, slots=True, kw_only=True)
class Logarithm(StepDeclaration):
    """The natural logarithm; values below the floor count as the floor.

    Attributes:
        channels: that are changed.
        floor: least value of which the logarithm is taken.
    """

    kind: ClassVar[str] = "log"

    channels: tuple[str, ...] = setting("channels to change")
    floor: float = setting("least value of which it is taken", default=1e-6, low=1e-300)

    def reads(self) -> tuple[str, ...]:
        """The channels."""
        return self.channels

    def begin(self, names: tuple[str, ...], _counts: Counts, /) -> RowPart:
        """See `StepDeclaration.begin`."""
        return _Log([names.index(name) for name in self.channels], self.floor)
