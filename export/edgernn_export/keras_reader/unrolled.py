"""Layers that have values at some readings only, as one step over several (NUMERICS.md 6.9).

A network with strides answers every R readings. The values that its layers compute for the readings
of one step follow one another, the newest first; the readings themselves the oldest first. A value
is known by its age: how many readings before the newest one of the step it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.interface import MAX_RATE_READINGS, Rate
from edgernn.model.routes import MODEL_INPUT, Route, RoutePart
from edgernn_export.float_model.model import (
    RECURRENT,
    FloatDelay,
    FloatDense,
    FloatDenseRows,
    FloatEmbedding,
    FloatLayer,
    FloatLayerNorm,
    FloatMemory,
    FloatMerge,
    FloatPointwise,
    FloatPReLU,
)
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.flows import Grid, in_one

#: Most readings that a step may take: routes have a part for each.
MAX_STEP_READINGS: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrolled:
    """A network over steps.

    Attributes:
        layers: its layers.
        routes: what they read, and what the network puts out.
        rate: None where every reading is answered.
        before: [I], the values used for the readings before the stream; None for zeros.
    """

    layers: list[FloatLayer]
    routes: list[Route]
    rate: Rate | None = None
    before: FloatArray | None = None


def unrolled(
    layers: Sequence[FloatLayer],
    routes: Sequence[Route],
    grids: Sequence[Grid],
    output: Grid,
    inputs: int,
    owner: str,
    findings: Findings,
) -> Unrolled:
    """A network of layers with grids as one over steps.

    Args:
        layers: in order.
        routes: what they read at one reading, and what the network puts out.
        grids: at which readings each of them has a value.
        output: at which readings the network answers.
        inputs: width of a reading.
        owner: of the network, for reasons.
        findings: receives reasons.
    """
    plain = Unrolled(layers=list(layers), routes=list(routes))
    if output == Grid() and all(grid == output for grid in grids):
        return plain
    if not _can_be(layers, grids, output, owner, findings):
        return plain
    late = _latency(layers, routes, grids, output)
    if late is None:
        findings.add(
            owner,
            "strides and padding for which no output reads the padding of a layer that has started",
            "convolutions with padding='causal' after padding='valid', or padding after strides",
            findings.wording.causal,
        )
        return plain
    before = _before(layers, routes, inputs, owner, findings)
    steps = _Steps(layers, routes, grids, output, late, inputs)
    if not any(isinstance(layer, (*RECURRENT, FloatDelay, FloatMemory)) for layer in steps.made):
        findings.add(
            owner,
            "a layer with a state or a convolution that reads earlier steps",
            f"outputs that each depend on {output.stride} separate readings",
            findings.wording.stateless,
        )
    first = output.offset + late + 1
    rate = None
    if (output.stride, first) != (1, 1):
        rate = Rate(readings=output.stride, first=first, latency=late)
    return Unrolled(
        layers=steps.made,
        routes=[in_one(route) for route in steps.routes],
        rate=rate,
        before=before if rate is not None and before.any() else None,
    )


def _can_be(
    layers: Sequence[FloatLayer],
    grids: Sequence[Grid],
    output: Grid,
    owner: str,
    findings: Findings,
) -> bool:
    """Note what cannot be done in steps."""
    good = True
    for layer, grid in zip(layers, grids, strict=True):
        if isinstance(layer, (*RECURRENT, FloatMemory)) and grid != output:
            findings.add(
                f"layer '{layer.name}'",
                f"recurrent layers and attention with a value at the readings that have an output "
                f"({output})",
                f"one with a value {grid}",
                findings.wording.causal_first,
            )
            good = False
    if output.stride > MAX_STEP_READINGS or output.offset > MAX_RATE_READINGS // 2:
        findings.add(
            owner,
            f"an output at least every {MAX_STEP_READINGS} readings",
            f"one {output}",
            "Train with smaller strides, or feed readings at a lower rate.",
        )
        good = False
    return good


def _latency(
    layers: Sequence[FloatLayer], routes: Sequence[Route], grids: Sequence[Grid], output: Grid
) -> int | None:
    """The fewest readings to put answers off, so that no row is computed that is padding.

    A row of a layer that lies before the stream is 0 where a convolution pads; computed from
    padding it is not. None where no latency avoids that.
    """
    padding = [
        grid
        for layer, route, grid in zip(layers, routes, grids, strict=False)
        if isinstance(layer, FloatDelay)
        and layer.padded
        and any(part.source != MODEL_INPUT for part in route)
    ]
    if not padding:
        return 0
    for late in range(output.stride):
        newest = output.offset + late
        oldest = (newest - _ages(grid, output.stride, newest)[-1] for grid in padding)
        begun = all(reading >= grid.offset for reading, grid in zip(oldest, padding, strict=True))
        if begun and newest < output.stride:
            return late
    return None


def _ages(grid: Grid, stride: int, newest: int) -> range:
    """Ages of the values that a layer has in a step of that many readings."""
    return range((newest - grid.offset) % grid.stride, stride, grid.stride)


def _before(
    layers: Sequence[FloatLayer],
    routes: Sequence[Route],
    inputs: int,
    owner: str,
    findings: Findings,
) -> FloatArray:
    """The values used for the readings before the stream, per channel."""
    found = np.full(inputs, np.nan)
    for layer, route in zip(layers, routes, strict=False):
        if not isinstance(layer, FloatDelay) or not layer.padded:
            continue
        at = 0
        for part in route:
            if part.source == MODEL_INPUT:
                channels = slice(part.start, part.start + part.width)
                start, there = layer.start[at : at + part.width], found[channels]
                if np.any(there != start, where=~np.isnan(there)):
                    findings.add(
                        owner,
                        "one scaling of an input that is read by convolutions with strides",
                        "several",
                        "Scale the readings once, before all branches.",
                    )
                found[channels] = start
            at += part.width
    return np.nan_to_num(found)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the values of a layer are in a step: each behind the one that is newer."""

    source: int
    width: int
    ages: range


@dataclass(slots=True)
class _Steps:
    """The layers of a step, made one after another.

    Attributes:
        layers, routes, grids, output, late, inputs: of the network.
        made: layers of the step.
        routes_made: what they read.
    """

    layers: Sequence[FloatLayer]
    network: Sequence[Route]
    grids: Sequence[Grid]
    output: Grid
    late: int
    inputs: int
    made: list[FloatLayer] = field(default_factory=list, init=False)
    routes: list[Route] = field(default_factory=list, init=False)
    _places: dict[int, _Place] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Make all layers, then the output."""
        for index, layer in enumerate(self.layers):
            if isinstance(layer, FloatDelay):
                self._delay(index, layer)
            else:
                self._layer(index, layer)
        (age,) = self._ages_of(self.output)
        self.routes.append(self._read(self.network[-1], age))

    def _ages_of(self, grid: Grid) -> range:
        return _ages(grid, self.output.stride, self.output.offset + self.late)

    def _put(self, index: int, layer: FloatLayer, route: Route, width: int, ages: range) -> None:
        self.made.append(layer)
        self.routes.append(route)
        self._places[index] = _Place(len(self.made) - 1, width, ages)

    def _layer(self, index: int, layer: FloatLayer) -> None:
        ages = self._ages_of(self.grids[index])
        count = len(ages)
        read = self.network[index]
        if isinstance(layer, FloatMerge):
            terms = [_within(read, j * layer.units, layer.units) for j in range(layer.count)]
            route = tuple(part for term in terms for age in ages for part in self._read(term, age))
            gain, offset = (np.tile(values, count) for values in (layer.gain, layer.offset))
            self._put(index, replace(layer, gain=gain, offset=offset), route, layer.units, ages)
            return
        route = tuple(part for age in ages for part in self._read(read, age))
        width, wide = layer.units, layer
        if count > 1 and isinstance(layer, FloatEmbedding):
            wide = replace(layer, tokens=layer.tokens * count)
        elif count > 1 and isinstance(layer, FloatPointwise):
            wide = replace(layer, units=layer.units * count)
        elif count > 1 and isinstance(layer, FloatPReLU):
            wide = replace(layer, slope=np.tile(layer.slope, count))
        elif count > 1 and isinstance(layer, FloatLayerNorm):
            wide = replace(layer, count=layer.count * count)
        elif count > 1:
            assert isinstance(layer, FloatDense)  # recurrent layers have one value
            wide = FloatDenseRows(name=layer.name, dense=layer, count=count)
        self._put(index, wide, route, width, ages)

    def _delay(self, index: int, layer: FloatDelay) -> None:
        """Hold rows of earlier steps, where those of the step are not enough."""
        ages = self._ages_of(self.grids[index])
        count, width = len(ages), layer.inputs
        needed = -(-max(self._ends(index, ages, width)) // width)
        if needed <= count:
            return
        depth = -(-needed // count)
        held = replace(layer, depth=depth, start=np.tile(layer.start, count))
        route = tuple(part for age in ages for part in self._read(self.network[index], age))
        self._put(index, held, route, width, ages)

    def _ends(self, index: int, ages: range, width: int) -> list[int]:
        """Ends of what the readers of a delay read, in elements behind its newest row."""
        readers = zip((*self.grids, self.output), self.network, strict=True)
        return [
            (age - ages.start) // ages.step * width + part.start + part.width
            for grid, route in readers
            for part in route
            if part.source == index
            for age in self._ages_of(grid)
        ]

    def _read(self, route: Route, age: int) -> Route:
        """What a layer reads whose value has this age."""
        return tuple(found for part in route for found in self._find(part, age))

    def _find(self, part: RoutePart, age: int) -> Route:
        if part.source == MODEL_INPUT:
            start = (self.output.stride - 1 - age) * self.inputs + part.start
            return (replace(part, start=start),)
        layer, ages = self.layers[part.source], self._ages_of(self.grids[part.source])
        place = self._places.get(part.source)
        if place is not None:
            start = (age - ages.start) // ages.step * place.width + part.start
            return (replace(part, source=place.source, start=start),)
        # Rows of the step itself, that no delay needs to hold.
        found: list[RoutePart] = []
        start, stop = part.start, part.start + part.width
        while start < stop:
            back, within = divmod(start, layer.inputs)
            width = min(stop - start, layer.inputs - within)
            row = _within(self.network[part.source], within, width)
            found += self._read(row, age + back * ages.step)
            start += width
        return tuple(found)


def _within(route: Route, start: int, width: int) -> Route:
    """Consecutive elements of what a route reads."""
    found, at = [], 0
    for part in route:
        low, high = max(start - at, 0), min(start + width - at, part.width)
        if low < high:
            found.append(replace(part, start=part.start + low, width=high - low))
        at += part.width
    return tuple(found)


def late_windows(steps: int | None, rate: Rate | None) -> int:
    """How many readings more a window needs so that its last answer comes in it.

    Args:
        steps: of the window; None where there is none.
        rate: of the network.
    """
    if steps is None or rate is None:
        return 0
    behind = (steps - (rate.first - rate.latency)) % rate.readings
    return max(0, rate.latency - behind)
