"""Whether the inputs still are what the model was calibrated with."""

from __future__ import annotations

import dataclasses
import math
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final

import numpy as np

from edgernn.decide.decision import Decided, DecisionDeclaration, DecisionPart
from edgernn.declared import Declaration, canonical_json, like, one_of, setting

#: Bins that the calibration values of a channel are split into.
_BINS: Final = 10
#: Added to every count, so that an empty bin has a share.
_PRIOR: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceValues(Declaration):
    """What calibration saw of one input channel.

    Attributes:
        channel: its name.
        low: least value.
        high: greatest value.
        edges: between the bins, ascending.
        shares: of the values in each bin; one more than edges.
    """

    channel: str = setting("name of the input channel")
    low: float = setting("least calibration value")
    high: float = setting("greatest calibration value")
    edges: tuple[float, ...] = setting("edges between the bins")
    shares: tuple[float, ...] = setting("share of the values in each bin", low=0.0, high=1.0)

    def problems(self) -> Iterator[str]:
        """Edges and shares that are no histogram."""
        if len(self.shares) != len(self.edges) + 1 or min(self.shares) <= 0.0:
            yield f"shares: expected {len(self.edges) + 1} above 0, got {len(self.shares)}."
        if any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            yield "edges: expected ascending values, got others."
        if self.low > self.high:
            yield f"high: expected at least low ({self.low:g}), got {self.high:g}."

    @staticmethod
    def of(channel: str, values: Any) -> ReferenceValues:
        """Measure calibration values.

        Args:
            channel: name of the input channel.
            values: float64 [N]; those that are not finite are left out.
        """
        finite = np.asarray(values, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        if not finite.size:
            finite = np.zeros(1)
        ranks = np.arange(1, _BINS) / _BINS
        edges = np.unique(np.quantile(finite, ranks, method="inverted_cdf"))
        counts = np.bincount(np.searchsorted(edges, finite, "right"), minlength=len(edges) + 1)
        return ReferenceValues(
            channel=channel,
            low=float(finite.min()),
            high=float(finite.max()),
            edges=tuple(edges.tolist()),
            shares=tuple(_shares(counts.tolist())),
        )


def _shares(counts: Sequence[float]) -> list[float]:
    total = math.fsum(counts) + _PRIOR * len(counts)
    return [(count + _PRIOR) / total for count in counts]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAlarm(DecisionDeclaration):
    """On while the last whole window of inputs differs from the calibration data.

    A window is ``readings`` long; one follows the other. At its end, for every channel:
    ``name_outside`` is the share of values beyond the calibrated range, and ``name_psi`` the
    population stability index of its histogram against that of calibration, the sum over the bins
    of (a - e) ln(a / e); both are the largest over the channels. The alarm is on if one of them is
    above its limit. Choose a window that covers the usual cycles, such as whole days.

    Attributes:
        name: of the result, true or false.
        channels: inputs of the model that are watched; () for all.
        readings: length of a window.
        outside: largest share of values beyond the calibrated range.
        psi: largest stability index; 0.1 is a small change and 0.25 a large one.
        references: what calibration saw, one per channel; measured when the model is quantized.
    """

    kind: ClassVar[str] = "drift"
    needs_inputs: ClassVar[bool] = True

    name: str = setting("name of the result")
    channels: tuple[str, ...] = setting("inputs to watch; all by default", default=())
    readings: int = setting("length of a window", default=1_000, low=20, high=100_000_000)
    outside: float = setting("largest share beyond the range", default=0.05, low=0.0, high=1.0)
    psi: float = setting("largest population stability index", default=0.25, low=0.0, high=100.0)
    references: tuple[ReferenceValues, ...] = ()

    def problems(self) -> Iterator[str]:
        """References that are not those of the channels."""
        object.__setattr__(self, "references", tuple(self.references))
        known = tuple(reference.channel for reference in self.references)
        if known and self.channels and known != self.channels:
            yield f"references: expected those of {self.channels!r:.60}, got {known!r:.60}."

    def results(self) -> tuple[str, ...]:
        """The alarm and its two reasons."""
        return self.name, f"{self.name}_outside", f"{self.name}_psi"

    def to_table(self) -> dict[str, Any]:
        """See `Declaration.to_table`."""
        table = Declaration.to_table(self)
        if self.references:
            table["references"] = [reference.to_table() for reference in self.references]
        return table

    def misfits(
        self, inputs: tuple[str, ...], _outputs: tuple[str, ...], _earlier: tuple[str, ...]
    ) -> list[str]:
        """See `DecisionDeclaration.misfits`."""
        names = self.channels or tuple(reference.channel for reference in self.references)
        return [
            f"channels: expected {one_of(inputs)}, got {name!r:.60}.{like(name, inputs)}"
            for name in names
            if name not in inputs
        ]

    def measured(self, channels: Mapping[str, Any]) -> DriftAlarm:
        """See `DecisionDeclaration.measured`."""
        if self.references:
            return self
        names = self.channels or tuple(channels)
        found = tuple(ReferenceValues.of(name, channels[name]) for name in names)
        return dataclasses.replace(self, references=found)

    def begin(self, inputs: tuple[str, ...], _outputs: tuple[str, ...], /) -> DecisionPart:
        """See `DecisionDeclaration.begin`."""
        return _Watch(self, [inputs.index(reference.channel) for reference in self.references])


class _Watch:
    """The drift alarm of one stream."""

    __slots__ = ("_beyond", "_counts", "_crc", "_outside", "_psi", "_readings", "_slots", "_step")

    def __init__(self, step: DriftAlarm, slots: list[int]) -> None:
        self._step, self._slots = step, slots
        self._crc = _crc(step.references)
        self._begin()

    def _begin(self) -> None:
        #: Of the last whole window.
        self._outside, self._psi = 0.0, 0.0
        self._begin_window()

    def reset(self) -> None:
        """The window goes on: inputs drift whether the model's stream goes on or not."""

    def _begin_window(self) -> None:
        self._readings = 0
        self._beyond = [0] * len(self._slots)
        self._counts = [[0] * len(r.shares) for r in self._step.references]

    def decide(
        self, _time_s: float, x: Sequence[float] | None, _y: Sequence[float], decided: Decided, /
    ) -> None:
        step = self._step
        if x is not None:
            for i, (slot, reference) in enumerate(zip(self._slots, step.references, strict=True)):
                value = x[slot]
                if value == value:
                    self._counts[i][bisect_right(reference.edges, value)] += 1
                    self._beyond[i] += not reference.low <= value <= reference.high
            self._readings += 1
            if self._readings >= step.readings:
                self._judge()
        decided[step.name] = self._outside > step.outside or self._psi > step.psi
        decided[f"{step.name}_outside"] = self._outside
        decided[f"{step.name}_psi"] = self._psi

    def _judge(self) -> None:
        """The figures of the window that has ended."""
        self._outside = self._psi = 0.0
        for reference, counts, beyond in zip(
            self._step.references, self._counts, self._beyond, strict=True
        ):
            total = sum(counts)
            if total:
                self._outside = max(self._outside, beyond / total)
                pairs = zip(_shares(counts), reference.shares, strict=True)
                terms = [(now - then) * math.log(now / then) for now, then in pairs]
                self._psi = max(self._psi, math.fsum(terms))
        self._begin_window()

    def state(self) -> list[float]:
        """The window, and the CRC-32 of what it is compared with."""
        counts = [float(count) for own in self._counts for count in own]
        figures = [self._outside, self._psi, float(self._readings)]
        return [self._crc, *figures, *map(float, self._beyond), *counts]

    def restore(self, values: list[float], /) -> None:
        """Go on; a window that was compared with other calibration data begins again."""
        if values[0] != self._crc:
            self._begin()
            return
        values = values[1:]
        self._outside, self._psi, self._readings = values[0], values[1], int(values[2])
        rest = iter([int(value) for value in values[3:]])
        self._beyond = [next(rest) for _ in self._slots]
        self._counts = [[next(rest) for _ in r.shares] for r in self._step.references]


@lru_cache(maxsize=64)
def _crc(references: tuple[ReferenceValues, ...]) -> float:
    table = {"references": [reference.to_table() for reference in references]}
    return float(zlib.crc32(canonical_json(table).encode()))
