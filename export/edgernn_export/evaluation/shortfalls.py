"""Where the integer model falls short: answers that depart, readings clipped, values saturated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.border.masks import masked_rows
from edgernn.model.formats import FloatArray, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.calibration.unmasked import unmasked
from edgernn_export.evaluation.answers import steps_of
from edgernn_export.evaluation.recording import IntArray
from edgernn_export.guards.recorded_run import (
    AnswerRecorder,
    clipped_shares,
    recorded_run,
    saturated_shares,
)
from edgernn_firmware_sim.reference.reference import Reference, State

#: Parts of a recording, one after the other.
TENTHS: Final = 10
#: The error grows where its rise is this share of its mean, and this many standard errors.
_RISE: Final = 0.5
_STANDARD_ERRORS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Integer minus float for one output.

    Attributes:
        output: its name.
        rmse: root of the mean square.
        relative: the same as a share of the standard deviation of the float output; None where
            that does not move.
        bias: mean.
        largest: largest magnitude.
    """

    output: str
    rmse: float
    relative: float | None
    bias: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTime:
    """How the difference develops.

    Attributes:
        along: "steps since the zero state", or "outputs in order".
        tenths: its root mean square in each tenth, as a share of the float outputs' standard
            deviation; None where a tenth has no answer.
        rise: of a straight line through the tenths from the first to the last, over their mean.
        grows: the rise is more than chance, and more than half the mean.
    """

    along: str
    tenths: tuple[float | None, ...]
    rise: float | None
    grows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An answer of the integer model that is far from the float network's.

    Attributes:
        stream: name of the stream.
        place: line or reading.
        time: of the time column, "" without one.
        output: which output is farthest away.
        target: what it should have been, None if unknown.
        float_value: what the float network answers.
        integer_value: what the integer model answers.
    """

    stream: str
    place: int
    time: str
    output: str
    target: float | None
    float_value: float
    integer_value: float


def departures(names: Sequence[str], float_y: FloatArray, integer_y: FloatArray) -> list[Departure]:
    """Integer minus float, per output; answers are [N, O] with N >= 1."""
    found = []
    for k, name in enumerate(names):
        difference = integer_y[:, k] - float_y[:, k]
        root = float(np.sqrt(np.mean(np.square(difference))))
        spread = float(np.std(float_y[:, k]))
        found.append(
            Departure(
                output=name,
                rmse=root,
                relative=root / spread if spread > 0 else None,
                bias=float(np.mean(difference)),
                largest=float(np.max(np.abs(difference))),
            )
        )
    return found


def relative_size(float_y: FloatArray, integer_y: FloatArray) -> FloatArray:
    """Size of each difference [N, O] in standard deviations of the float output.

    An output that does not move counts by its magnitude, one that is always 0 counts unchanged.
    """
    spread = np.std(float_y, axis=0)
    magnitude = np.max(np.abs(float_y), axis=0)
    unit = np.where(spread > 0, spread, np.where(magnitude > 0, magnitude, 1.0))
    sizes: FloatArray = np.abs(integer_y - float_y) / unit
    return sizes


def over_time(sizes: FloatArray, position: IntArray, along: str) -> OverTime:
    """The difference in tenths.

    Args:
        sizes: of `relative_size`, [N, O].
        position: when each answer was given [N], from 0.
        along: what a position counts.
    """
    square = np.mean(np.square(sizes), axis=1)
    which = position * TENTHS // (int(position.max()) + 1)
    counts = np.bincount(which, minlength=TENTHS)
    sums = np.bincount(which, weights=square, minlength=TENTHS)
    there = counts > 0
    tenths = np.sqrt(sums[there] / counts[there])
    rise, grows = _trend(np.flatnonzero(there).astype(np.float64), tenths)
    values = np.full(TENTHS, np.nan)
    values[there] = tenths
    return OverTime(
        along=along,
        tenths=tuple(None if np.isnan(v) else float(v) for v in values),
        rise=rise,
        grows=grows,
    )


def _trend(x: FloatArray, y: FloatArray) -> tuple[float | None, bool]:
    """Rise of the least-squares line over the mean, and whether it is one."""
    mean = float(y.mean())
    if len(x) < 5 or mean <= 0:
        return None, False
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - mean - slope * centred
    error = float(np.sqrt(rest @ rest / (len(x) - 2) / (centred @ centred)))
    rise = slope * float(x[-1] - x[0]) / mean
    return rise, rise > _RISE and slope > _STANDARD_ERRORS * error


def worst_answers(size: FloatArray, stream: IntArray, row: IntArray, count: int) -> list[int]:
    """The answers that differ most, no two of them close together in one stream.

    Args:
        size: of the difference [N].
        stream: number of the stream [N].
        row: reading in its stream [N].
        count: how many at most.
    """
    apart = max(1, (int(row.max()) + 1) // 50)
    chosen: list[int] = []
    for n in np.argsort(-size, kind="stable"):
        if len(chosen) == count or size[n] == 0:
            break
        if all(stream[n] != stream[m] or abs(row[n] - row[m]) >= apart for m in chosen):
            chosen.append(int(n))
    return chosen


#: Steps that the reference looks at; it is slow.
_STEPS: Final = 20_000
#: Readings of an endless stream that are looked at without a gap.
_STRETCH: Final = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Clipped:
    """Readings of one channel beyond the range of its codes.

    Attributes:
        channel: its name.
        share: of the readings that are clipped.
        low: the smallest reading that has a distinct code.
        high: the largest one.
        least: the smallest reading there is.
        largest: the largest reading there is.
    """

    channel: str
    share: float
    low: float
    high: float
    least: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """Values inside the integer model that a saturation changed.

    Attributes:
        shares: of each tensor that saturated at all, by name, the largest first.
        steps: how many steps were looked at, spread evenly over the recording.
        of_steps: how many there are.
    """

    shares: tuple[tuple[str, float], ...]
    steps: int
    of_steps: int


def clipped(model: IntegerModel, streams: Sequence[FloatArray]) -> list[Clipped]:
    """Clipped readings of every channel."""
    source = model.input
    bounds = source.code_bounds(model.precision)
    low, high = (
        source.offset + bounds.low * source.scale,
        source.offset + bounds.high * source.scale,
    )
    streams = [x[unmasked(x, source.mask)] for x in streams]
    streams = [x for x in streams if len(x)] or [source.offset[None]]
    share = clipped_shares(model, streams)
    least = np.min([x.min(axis=0) for x in streams], axis=0)
    largest = np.max([x.max(axis=0) for x in streams], axis=0)
    return [
        Clipped(
            channel=name,
            share=float(share[i]),
            low=float(low[i]),
            high=float(high[i]),
            least=float(least[i]),
            largest=float(largest[i]),
        )
        for i, name in enumerate(source.names)
    ]


def saturation(
    model: IntegerModel, streams: Sequence[FloatArray], rows: Sequence[IntArray], of_steps: int
) -> Saturation:
    """Run the reference with a recorder over some of the recording.

    Args:
        model: the integer model.
        streams: readings [T, I] each.
        rows: of each stream, the readings that are answered.
        of_steps: steps of the whole recording.
    """
    interface = model.interface()
    recorder = AnswerRecorder()
    reference = Reference(model, recorder)
    codes = [interface.quantize(x) for x in streams]
    if model.window is None and model.input.mask is not None:
        codes = [q[~masked_rows(q, interface.mask_row)] for q in codes]
        codes = [q for q in codes if len(q)]
    steps = 0
    if model.window is not None:
        batches = _windows(model, model.window.steps, codes, rows)
    elif model.rate is not None:
        batches = _begun(model, codes)
    else:
        batches = _stretches(model, codes) if codes else []
    for q_xs, state in batches:
        recorded_run(model, reference, recorder, q_xs, state)
        steps += q_xs.shape[0] * q_xs.shape[1]
    return Saturation(
        shares=saturated_shares(recorder.tensors),
        steps=steps,
        of_steps=of_steps,
    )


Batch = tuple[OperandArray, State | None]


def _spread(count: int, most: int) -> IntArray:
    """Up to ``most`` of ``count`` indices, evenly apart, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, max(1, most))).round().astype(np.int64))


def _windows(
    model: IntegerModel, steps: int, codes: Sequence[OperandArray], rows: Sequence[IntArray]
) -> list[Batch]:
    """Windows that are answered, from their beginning, without masked steps."""
    ends = [(b, int(end)) for b, picked in enumerate(rows) for end in picked]
    chosen = [ends[n] for n in _spread(len(ends), _STEPS // steps)]
    windows = [codes[b][end - steps + 1 : end + 1] for b, end in chosen]
    by_length: dict[int, list[OperandArray]] = {}
    for window in windows:
        taken = window[~masked_rows(window, model.interface().mask_row)]
        by_length.setdefault(len(taken), []).append(taken)
    return [Reference(model).begun(np.stack(group)) for count, group in by_length.items() if count]


def _begun(model: IntegerModel, codes: Sequence[OperandArray]) -> list[Batch]:
    """What the steps of streams with a rate read, as far as it is looked at."""
    batches: list[Batch] = []
    room = _STEPS
    for q_xs in codes:
        steps, state = Reference(model).begun(q_xs[None])
        batches.append((steps[:, :room], state))
        room -= min(room, steps.shape[1])
    return [batch for batch in batches if batch[0].shape[1]]


def _stretches(model: IntegerModel, codes: Sequence[OperandArray]) -> list[Batch]:
    """Stretches of endless streams with the state in which each begins; one batch per length."""
    begins = [(b, t) for b, q in enumerate(codes) for t in range(0, len(q), _STRETCH)]
    length = min(_STRETCH, max(map(len, codes)))
    chosen = [begins[n] for n in _spread(len(begins), _STEPS // length)]
    states = _states(model, codes, chosen)
    by_length: dict[int, list[int]] = {}
    stretches = [codes[b][t : t + _STRETCH] for b, t in chosen]
    for n, stretch in enumerate(stretches):
        by_length.setdefault(len(stretch), []).append(n)
    return [
        (
            np.stack([stretches[n] for n in group]),
            tuple(np.stack(vectors) for vectors in zip(*(states[n] for n in group), strict=True)),
        )
        for group in by_length.values()
    ]


def _states(
    model: IntegerModel, codes: Sequence[OperandArray], begins: Sequence[tuple[int, int]]
) -> list[State]:
    """The state before each beginning; beginnings are in the order of streams and readings."""
    stream = steps_of(model)
    states: list[State] = []
    at = (-1, 0)
    for b, t in begins:
        if b != at[0]:
            stream.reset()
            at = (b, 0)
        if t > at[1]:
            stream.advance(codes[b][at[1] : t])
        at = (b, t)
        states.append(stream.state)
    return states
