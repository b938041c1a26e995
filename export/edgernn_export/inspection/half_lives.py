"""How long each unit of a recurrent layer remembers: the decay of a change of its state."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from edgernn.cli.style import table
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import INT16_MAX, LOW, FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import RECURRENT, FloatCell, FloatLSTM, FloatModel
from edgernn_firmware_sim.reference.reference import Reference

#: Change of a float state, as a share of the spread of its unit: small enough to be linear.
_SMALL: Final = 1e-6
#: Least spread that counts, and the least change of an integer state in codes.
_LEAST_SPREAD: Final = 1e-3
_LEAST_CODES: Final = 64
_HALF: Final = 0.5

#: States of all layers [B, N], in their order, as one of the two arithmetics has them.
States = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StateMemory:
    """The units of one state.

    Attributes:
        name: "<layer>.<state>", such as "lstm.c".
        half_lives: steps [H] after which less than half of a change is left; infinite where half
            of it is left after the longest distance.
        left: share of the change that is left [K, H] after 0 to K - 1 steps.
    """

    name: str
    half_lives: FloatArray
    left: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """How long the units of a model remember.

    Attributes:
        model: its name.
        arithmetic: "integer" or "float".
        longest: distance in steps up to which it was measured.
        states: one for each state vector of a recurrent layer.
    """

    model: str
    arithmetic: str
    longest: int
    states: tuple[StateMemory, ...]

    def __getitem__(self, name: str) -> StateMemory:
        """The state of this name, such as "lstm.c"."""
        return {state.name: state for state in self.states}[name]

    def record(self) -> dict[str, Any]:
        """As a JSON value; null stands for a half-life beyond the longest distance."""
        return {
            "model": self.model,
            "arithmetic": self.arithmetic,
            "longest_steps": self.longest,
            "states": [
                {
                    "name": state.name,
                    "half_life_steps": [
                        steps if math.isfinite(steps) else None
                        for steps in state.half_lives.tolist()
                    ],
                }
                for state in self.states
            ],
        }

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(self.record(), allow_nan=False)

    def table(self) -> str:
        """For people: one line for each state."""
        rows = []
        for state in self.states:
            steps = np.sort(state.half_lives)
            beyond = int(np.isinf(steps).sum())
            middle = steps[len(steps) // 2]
            figures = [_steps(value, self.longest) for value in (steps[0], middle, steps[-1])]
            rows.append((state.name, len(steps), *figures, beyond))
        title = f"{self.model}, {self.arithmetic}: half-life of units, in steps"
        heads = ("state", "units", "shortest", "median", "longest", f"beyond {self.longest}")
        return "\n".join([title, *table(heads, rows, "<>>>>>")])

    def plot(self, path: str | Path) -> Path:
        """Draw a histogram of half-lives for each state; needs Matplotlib."""
        from edgernn_export.inspection.pictures import draw_half_lives

        pairs = [(state.name, state.half_lives) for state in self.states]
        return draw_half_lives(pairs, self.longest, self.model, Path(path))


def _steps(value: float, longest: int) -> str:
    return f"{value:.1f}" if math.isfinite(value) else f"> {longest}"


def memory(
    model: IntegerModel | FloatModel,
    readings: FloatArray | None = None,
    *,
    longest: int = 200,
    starts: int = 4,
    seed: int = 0,
) -> Memory:
    """Measure the half-life of every unit.

    At several moments of a stream, the state of one unit is changed. Both runs continue with the
    same readings, and the distance between the states of the layer is the rest of the change.
    The figure is the mean over the moments. In a float network the change is tiny, so that it shows
    the linear decay. In an integer model it is a quarter of what the unit usually does, so that
    roundings do not hide it.

    Args:
        model: an integer model, or a float network as `read_keras` returns it.
        readings: [T, I], physical units; None generates them: over the calibrated range of an
            integer model, from the standard normal distribution for a float network.
        longest: distance in steps up to which changes are followed.
        starts: moments at which states are changed.
        seed: of generated readings.

    Raises:
        EdgeRnnError: too few readings, or no recurrent layer.
    """
    run = _IntegerRun(model) if isinstance(model, IntegerModel) else _FloatRun(model)
    if not run.slots:
        raise EdgeRnnError(f"{model.name}: expected a recurrent layer, got none.")
    if longest < 1 or starts < 1:
        raise EdgeRnnError(
            f"memory: expected at least one step and one moment, got {longest} and {starts}."
        )
    if readings is None:
        readings = generated_readings(model, longest * (starts + 1), seed)
    steps = run.steps(np.asarray(readings, dtype=np.float64))
    first = len(steps) - longest
    if first < 1:
        raise EdgeRnnError(
            f"readings: expected more than {longest} steps, got {len(steps)}. Pass a longer "
            "recording, or a shorter distance."
        )
    moments = sorted({int(m) for m in np.linspace(max(1, first // starts), first, starts)})
    left = [
        sum(shares) / len(moments)
        for shares in zip(*(_followed(run, steps, m, longest) for m in moments), strict=True)
    ]
    return Memory(
        model=model.name,
        arithmetic="integer" if isinstance(model, IntegerModel) else "float",
        longest=longest,
        states=tuple(
            StateMemory(name=slot.name, half_lives=half_lives(shares), left=shares)
            for slot, shares in zip(run.slots, left, strict=True)
        ),
    )


def generated_readings(model: IntegerModel | FloatModel, count: int, seed: int = 0) -> FloatArray:
    """Random readings [count, I] where there is no recording; tokens where the model reads them."""
    rng = np.random.default_rng(seed)
    if isinstance(model, IntegerModel):
        low, high = model.interface().coder().range
        xs, sizes = rng.uniform(low, high, (count, len(low))), model.input.vocabulary
    else:
        xs, sizes = rng.standard_normal((count, model.inputs)), model.vocabulary
    for channel, size in enumerate(sizes):
        if size:
            xs[:, channel] = rng.integers(0, size, count)
    return xs


def half_lives(left: FloatArray) -> FloatArray:
    """Steps [H] after which the share that is left [K, H] stays below one half.

    Between two steps the share is taken to decay exponentially; where nothing is left, evenly.
    """
    found = np.zeros(left.shape[1])
    for unit, shares in enumerate(left.T):
        above = np.flatnonzero(shares >= _HALF)
        last = int(above[-1])  # the change itself is above
        if last == len(shares) - 1:
            found[unit] = math.inf
            continue
        before, after = float(shares[last]), float(shares[last + 1])
        if after > 0.0:
            found[unit] = last + math.log(before / _HALF) / math.log(before / after)
        else:
            found[unit] = last + (before - _HALF) / before
    return found


class _Slot(NamedTuple):
    """A state of a recurrent layer.

    Attributes:
        name: "<layer>.<state>".
        place: its position among all states.
        width: H.
        layer: positions of all states of the layer.
    """

    name: str
    place: int
    width: int
    layer: tuple[int, ...]


class _FloatRun:
    """Steps of a float network."""

    def __init__(self, model: FloatModel) -> None:
        self.model = model
        self.slots: list[_Slot] = []
        index = 0
        for layer in model.layers:
            widths = float_run.state_widths(layer)
            places = tuple(range(index, index + len(widths)))
            index += len(widths)
            if not isinstance(layer, RECURRENT):
                continue
            names: tuple[str, ...] = ("h", "c") if isinstance(layer, FloatLSTM) else ("h",)
            if isinstance(layer, FloatCell):
                names = tuple(name.rpartition(".")[2] for name in layer.state_names)
            self.slots += [
                _Slot(f"{layer.name}.{name}", place, width, places)
                for name, place, width in zip(names, places, widths, strict=True)
            ]

    def steps(self, xs: FloatArray) -> FloatArray:
        blocks, _ = float_run.begun(self.model, xs[None])
        stream: FloatArray = blocks[0]
        return stream

    def start(self) -> States:
        return tuple(array for layer in float_run.initial_state(self.model, 1) for array in layer)

    def step(self, x: FloatArray, states: States) -> States:
        arrays = iter(states)
        by_layer = tuple(
            tuple(next(arrays) for _ in float_run.state_widths(layer))
            for layer in self.model.layers
        )
        rows = np.broadcast_to(x, (len(states[0]), len(x)))
        _, after = float_run.step(self.model, rows, by_layer)
        return tuple(array for layer in after for array in layer)

    def changes(self, spread: FloatArray, state: FloatArray) -> FloatArray:
        """What is added to each unit of a state."""
        del state
        return _SMALL * np.maximum(spread, _LEAST_SPREAD)

    def scale(self, index: int) -> float:
        del index
        return 1.0


class _IntegerRun:
    """Steps of an integer model."""

    def __init__(self, model: IntegerModel) -> None:
        self.model, self._reference = model, Reference(model)
        self.slots: list[_Slot] = []
        index = 0
        for layer in model.layers:
            places = tuple(range(index, index + len(layer.states)))
            index += len(layer.states)
            if layer.kind == "delay":
                continue
            whole = tuple(p for p, s in zip(places, layer.states, strict=True) if _is_whole(s.name))
            self.slots += [
                _Slot(model.states[place].name, place, model.states[place].units, whole)
                for place in whole
            ]

    def steps(self, xs: FloatArray) -> Any:
        codes = self.model.interface().quantize(xs)
        return self._reference.begun(codes[None])[0][0]

    def start(self) -> States:
        return self._reference.initial_state(1)

    def step(self, x: Any, states: States) -> States:
        rows = np.broadcast_to(x, (len(states[0]), len(x)))
        return self._reference.step(np.ascontiguousarray(rows), states)[1]

    def changes(self, spread: FloatArray, state: Any) -> Any:
        codes = np.maximum(np.rint(spread / 4), _LEAST_CODES).astype(np.int32)
        return np.where(state + codes > INT16_MAX, -codes, codes)

    def scale(self, index: int) -> float:
        return self.model.states[index].format.scale


def _is_whole(name: str) -> bool:
    """Not the low part of a wide state."""
    return not name.endswith(LOW)


def _followed(run: Any, steps: Any, moment: int, longest: int) -> Iterator[FloatArray]:
    """Share of a change at a moment that is left [K, H], for each state."""
    states, seen = run.start(), []
    for x in steps[:moment]:
        states = run.step(x, states)
        seen.append([state[0] for state in states])
    over_time = zip(*seen, strict=True)
    spread = [np.sqrt(np.mean(np.square(np.array(s, np.float64)), axis=0)) for s in over_time]
    for slot in run.slots:
        changed = run.changes(spread[slot.place], states[slot.place][0])
        batch = [np.repeat(state, slot.width + 1, axis=0) for state in states]
        rows = batch[slot.place]
        rows[np.arange(slot.width), np.arange(slot.width)] += changed.astype(rows.dtype)
        distance = _distance_of(run, slot)
        now, shares = tuple(batch), [distance(tuple(batch))]
        for x in steps[moment : moment + longest]:
            now = run.step(x, now)
            shares.append(distance(now))
        yield np.array(shares) / shares[0]


def _distance_of(run: Any, slot: _Slot) -> Callable[[States], FloatArray]:
    """Distance [H] of the states of a layer from those of the last row, which nothing changed."""

    def distance(states: States) -> FloatArray:
        total = np.zeros(slot.width)
        for index in slot.layer:
            values = np.asarray(states[index], np.float64)
            total += np.square((values[:-1] - values[-1]) * run.scale(index)).sum(axis=1)
        root: FloatArray = np.sqrt(total)
        return root

    return distance
