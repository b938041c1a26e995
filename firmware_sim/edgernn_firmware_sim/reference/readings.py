"""Preparation and decisions on a device (NUMERICS.md section 12), reading by reading."""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

#: Most readings of a window, and of a majority.
MAX_WINDOW = 4096


class FeatureKind(enum.IntEnum):
    """How clause 12.2 computes a feature; the numbers are those of the C code."""

    VALUE = 0
    LAG = 1
    DIFFERENCE = 2
    MEAN = 3
    MINIMUM = 4
    MAXIMUM = 5
    DEVIATION = 6

    @property
    def looks_back(self) -> bool:
        """Whether N readings ago counts, not N readings."""
        return self in (FeatureKind.LAG, FeatureKind.DIFFERENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawChannel:
    """Constants of clause 12.1.

    Attributes:
        name: of the channel.
        frac_bits: a reading x of the device is the value times 2^frac_bits, rounded.
        center: c.
        reach: e.
        multiplier: m.
        shift: k.
    """

    name: str
    frac_bits: int
    center: int
    reach: int
    multiplier: int
    shift: int

    def value(self, x: int) -> int:
        """Clause 12.1."""
        d = min(max(x, self.center - self.reach), self.center + self.reach) - self.center
        n = ((abs(d) * self.multiplier >> 32) + (1 << (self.shift - 1))) >> self.shift
        return min(n, 32767) if d >= 0 else -min(n, 32767)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFeature:
    """Constants of clauses 12.2 to 12.4.

    Attributes:
        channel: number of the raw channel.
        kind: how the feature is computed.
        readings: N.
        least: l, of values before they enter the window.
        greatest: h.
        fraction: f, fractional bits of a deviation.
        multiplier: a.
        bias: β.
        shift: σ.
        low: least code before clause 12.4 multiplies it.
        high: greatest code.
    """

    channel: int
    kind: FeatureKind
    readings: int = 1
    least: int = -32768
    greatest: int = 32767
    fraction: int = 0
    multiplier: int
    bias: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePreparation:
    """The integer form of a preparation.

    Attributes:
        channels: raw channels, in the order of a reading.
        features: one for each input of the model.
        step: what codes are multiples of: 4 in `w8a16`.
    """

    channels: tuple[RawChannel, ...]
    features: tuple[DeviceFeature, ...]
    step: int


class DeviceReadings:
    """One stream of readings through a preparation."""

    def __init__(self, preparation: DevicePreparation) -> None:
        """Begin a stream.

        Args:
            preparation: its constants.
        """
        self._of = preparation
        self._values = [0] * len(preparation.channels)
        self._rings = [
            deque[int](maxlen=feature.readings + feature.kind.looks_back)
            for feature in preparation.features
        ]

    def push(self, reading: Sequence[int | None]) -> list[int]:
        """The codes of one reading.

        Args:
            reading: int32 of each raw channel; None where it is missing.

        Returns:
            Input codes of the model.
        """
        for index, (channel, x) in enumerate(zip(self._of.channels, reading, strict=True)):
            if x is not None:
                self._values[index] = channel.value(x)
        codes = []
        for feature, ring in zip(self._of.features, self._rings, strict=True):
            ring.append(min(max(self._values[feature.channel], feature.least), feature.greatest))
            w = feature_value(feature, ring)
            u = (feature.multiplier * w + feature.bias + (1 << (feature.shift - 1))) >> (
                feature.shift
            )
            codes.append(self._of.step * min(max(u, feature.low), feature.high))
        return codes


def feature_value(of: DeviceFeature, ring: deque[int]) -> int:
    """Clause 12.2.

    Args:
        of: the feature.
        ring: the values in its window, the newest last.
    """
    match of.kind:
        case FeatureKind.VALUE:
            return ring[-1]
        case FeatureKind.LAG:
            return ring[0]
        case FeatureKind.DIFFERENCE:
            return ring[-1] - ring[0]
        case FeatureKind.MINIMUM:
            return min(ring)
        case FeatureKind.MAXIMUM:
            return max(ring)
    mean = (2 * sum(ring) + len(ring)) // (2 * len(ring))
    return mean if of.kind is FeatureKind.MEAN else _deviation(ring, mean, of.fraction)


def _deviation(ring: deque[int], mean: int, fraction: int) -> int:
    """Clause 12.3."""
    count = len(ring)
    most = max(abs(z - mean) for z in ring)
    bits = (30 - (count - 1).bit_length()) >> 1
    e = max(0, most.bit_length() - bits)
    rounding = (1 << e) >> 1
    squares = sum(((z - mean + rounding) >> e) ** 2 for z in ring)
    if squares == 0:
        return 0
    g = 0
    while (squares << 2 * (g + 1)) // count < 1 << 30:
        g += 1
    root = math.isqrt((squares << 2 * g) // count)
    s = g - e - fraction
    if s < 0:
        return min(root << -s, 32767)
    return (root + ((1 << s) >> 1)) >> s


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceThreshold:
    """Constants of clause 12.6.

    Attributes:
        name: of the decision.
        output: number of the output.
        on: code that turns it on.
        off: code that turns it off.
        below: on while the output is low.
        on_readings: m.
        off_readings: n.
    """

    name: str
    output: int
    on: int
    off: int
    below: bool
    on_readings: int
    off_readings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMajority:
    """Constants of clause 12.7.

    Attributes:
        name: of the decision.
        outputs: numbers of the outputs that are compared.
        readings: N.
    """

    name: str
    outputs: tuple[int, ...]
    readings: int


class DeviceDecisions:
    """One stream of answers through decisions."""

    def __init__(self, decisions: Sequence[DeviceThreshold | DeviceMajority]) -> None:
        """Begin a stream.

        Args:
            decisions: their constants.
        """
        self._of = tuple(decisions)
        self._switches = [[0, 0] for _ in self._of]
        self._votes = [
            deque[int](maxlen=of.readings if isinstance(of, DeviceMajority) else 1)
            for of in self._of
        ]

    def push(self, q_y: Sequence[int]) -> list[int]:
        """What is decided of one answer.

        Args:
            q_y: output codes of the model.

        Returns:
            For a threshold 0 or 1; for a majority the number of the class among those compared.
        """
        return [
            self._vote(own, self._votes[index], q_y)
            if isinstance(own, DeviceMajority)
            else self._switch(own, self._switches[index], int(q_y[own.output]))
            for index, own in enumerate(self._of)
        ]

    @staticmethod
    def _vote(of: DeviceMajority, votes: deque[int], q_y: Sequence[int]) -> int:
        """Clause 12.7."""
        codes = [int(q_y[output]) for output in of.outputs]
        votes.append(codes.index(max(codes)))
        counts = [votes.count(number) for number in range(len(codes))]
        return counts.index(max(counts))

    @staticmethod
    def _switch(of: DeviceThreshold, state: list[int], y: int) -> int:
        """Clause 12.6."""
        is_on, count = state
        if is_on:
            changes, needed = (y > of.off if of.below else y < of.off), of.off_readings
        else:
            changes, needed = (y <= of.on if of.below else y >= of.on), of.on_readings
        count = count + 1 if changes else 0
        if count >= needed and changes:
            is_on, count = 1 - is_on, 0
        state[:] = is_on, count
        return is_on
