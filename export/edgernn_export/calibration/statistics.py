"""Calibration: what the float model's tensors look like on long, stateful streams.

Nothing grows with the length of the streams but a stretch of time: low and high ends are running
figures, and samples are evenly spaced and bounded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import CalibrationError
from edgernn.model.formats import FloatArray
from edgernn.model.routes import MODEL_INPUT, before_states
from edgernn_export.float_model.float_run import Progress, State, batches, begun, run, stretch_steps
from edgernn_export.float_model.model import (
    RECURRENT,
    FloatCell,
    FloatDelay,
    FloatLayer,
    FloatMemory,
    FloatModel,
)

#: Rows sampled of the operands of matrix products, where there are as many: about as many to twice
#: as many. The rounding of weights looks at how they vary together: they all have the same steps.
_OPERAND_ROWS: Final = 1 << 14
#: Rows sampled of what says how long a state is kept.
_KEEP_ROWS: Final = 1 << 12
#: Pre-activation of the gate that keeps a state: its median tells how long a unit remembers.
KEEP: Final = "keep"
_SAMPLED: Final = dict.fromkeys(("x", "h_in", "r*h"), _OPERAND_ROWS) | {KEEP: _KEEP_ROWS}
#: The same of a tensor whose range depends on how its values are spread, by its width.
_SPREAD_ROWS: Final = 1 << 17
_SPREAD_VALUES: Final = 1 << 22
#: Tensors whose ranges the quantizer chooses.
_RANGED: Final = frozenset({"x", "h", "c", "y"})


@dataclass(slots=True)
class TensorStatistics:
    """One float tensor over all calibration steps.

    Attributes:
        low: minimum per column.
        high: maximum per column.
        rms: root mean square per column.
        sample: rows evenly spaced in time, of operands, the same steps for all of them, and of
            `KEEP`; none of the others.
        spread: more rows, for ranges that depend on how values are spread; none by default.
    """

    low: FloatArray
    high: FloatArray
    rms: FloatArray
    sample: FloatArray
    spread: FloatArray

    def of_rows(self, count: int) -> TensorStatistics:
        """The same for rows that follow one another in the tensor."""
        low, high, square = (v.reshape(count, -1) for v in (self.low, self.high, self.rms**2))
        width = low.shape[1]
        return TensorStatistics(
            low=low.min(axis=0),
            high=high.max(axis=0),
            rms=np.sqrt(square.mean(axis=0)),
            sample=self.sample.reshape(-1, width),
            spread=self.spread.reshape(-1, width),
        )

    @property
    def limit(self) -> float:
        """Largest magnitude."""
        return float(max(np.max(self.high), -np.min(self.low)))


#: (layer index, tensor name) -> statistics
Calibration = dict[tuple[int, str], TensorStatistics]


class _Sample:
    """Rows of one tensor, evenly spaced among all rows."""

    def __init__(self, rows: int, stride: int, width: int) -> None:
        self._stride = stride
        self.kept: FloatArray = np.empty((-(-rows // stride), width))

    def add(self, rows: FloatArray, numbers: npt.NDArray[np.int64]) -> None:
        places, rest = np.divmod(numbers, self._stride)
        chosen = rest == 0
        self.kept[places[chosen]] = rows[chosen]


class _Collector:
    """Accumulates one tensor: its ends and power, and the requested samples.

    Args:
        first: rows [N, W] of the tensor.
        samples: where sampled rows go.
    """

    def __init__(self, first: FloatArray, samples: dict[str, _Sample]) -> None:
        self.low: FloatArray = first[0].copy()
        self.high: FloatArray = first[0].copy()
        self._squares: FloatArray = np.zeros(first.shape[1])
        self._rows = 0
        self._samples = samples

    def add(self, rows: FloatArray, numbers: npt.NDArray[np.int64]) -> None:
        """Take rows [N, W]; ``numbers`` are their places among all rows of the calibration."""
        np.minimum(self.low, rows.min(axis=0), out=self.low)
        np.maximum(self.high, rows.max(axis=0), out=self.high)
        self._squares += np.einsum("nw,nw->w", rows, rows)
        self._rows += len(rows)
        for sample in self._samples.values():
            sample.add(rows, numbers)

    def finish(self) -> TensorStatistics:
        none = np.empty((0, self.low.size))
        kept = {name: sample.kept for name, sample in self._samples.items()}
        return TensorStatistics(
            low=self.low,
            high=self.high,
            rms=np.sqrt(self._squares / self._rows),
            sample=kept.get("sample", none),
            spread=kept.get("spread", none),
        )


def calibrate(
    model: FloatModel,
    blocks: Sequence[FloatArray],
    progress: Progress | None = None,
    *,
    spread: bool = False,
    windows: bool = False,
    starts: Sequence[State] | None = None,
) -> Calibration:
    """Run the float model over streams from the zero state, keeping its state throughout.

    Args:
        model: the float model.
        blocks: float64 [B, T, I], one run each.
        progress: called with the steps that are finished, of one stream after another.
        spread: also sample the tensors whose ranges are chosen, for ranges other than minmax.
        windows: the blocks are windows: layers behind all states are looked at in the last step of
            each, where the network answers, and nowhere else.
        starts: what each block begins with, [B, H] each; from the zero state where None.

    Returns:
        Statistics of the operands, states and dense outputs of every layer.

    Raises:
        CalibrationError: the float model leaves the finite numbers; names the layer and tensor.
    """
    # Of a network with a rate, a step for every answer; those before the first are not looked at.
    steps_in = {
        t: t if model.rate is None else model.rate.answers(t)
        for t in {block.shape[1] for block in blocks}
    }
    rows = sum(block.shape[0] * steps_in[block.shape[1]] for block in blocks)
    if not rows and model.rate is not None:
        raise CalibrationError(
            f"calibration: expected streams of at least {model.rate.first} readings, after "
            f"which {model.name} has its first output, got at most {max(steps_in)}. Calibrate "
            "with longer streams."
        )
    answers = sum(block.shape[0] for block in blocks)
    head = head_of(model) if windows else frozenset()
    watched = {index: _watched(layer) for index, layer in enumerate(model.layers)}
    watched[MODEL_INPUT] = (_SAMPLED, _RANGED)
    lengths = {steps_in[block.shape[1]] for block in blocks if block.shape[0] > 1} - {0}
    collectors: dict[tuple[int, str], _Collector] = {}
    numbers = ended = np.empty(0, dtype=np.int64)
    ends = False

    def samples(layer: int, name: str, width: int) -> dict[str, _Sample]:
        wanted = {}
        sampled, ranged = watched[layer]
        if name in sampled:
            wanted["sample"] = sampled[name]
        if spread and name in ranged:
            wanted["spread"] = max(_OPERAND_ROWS, min(_SPREAD_ROWS, _SPREAD_VALUES // width))
        if layer in head:
            strides = {kind: max(1, answers // least) for kind, least in wanted.items()}
            return {kind: _Sample(answers, stride, width) for kind, stride in strides.items()}
        return {
            kind: _Sample(rows, _stride(rows, least, lengths), width)
            for kind, least in wanted.items()
        }

    def observe(layer: int, name: str, tensor: FloatArray) -> None:
        sampled, ranged = watched[layer]
        if name not in sampled.keys() | ranged:
            return
        seen, places = tensor.reshape(-1, tensor.shape[-1]), numbers
        if layer in head:
            if not ends:
                return
            seen, places = tensor[-1], ended
        if (layer, name) not in collectors:
            collectors[layer, name] = _Collector(seen, samples(layer, name, seen.shape[1]))
        collector = collectors[layer, name]
        collector.add(seen, places)
        finite = np.isfinite(collector.low).all() and np.isfinite(collector.high).all()
        # An earlier h is named as h, and a gate may be infinitely shut.
        if not finite and name not in ("h_in", KEEP):
            owner = "input" if layer == MODEL_INPUT else model.layers[layer].name
            raise CalibrationError(
                f"{owner}.{name}: expected finite values in calibration, got NaN or infinite "
                "ones. The float model diverges on these streams. Check the units of the "
                "readings, or train again."
            )

    with np.errstate(over="ignore", invalid="ignore"):  # `observe` refuses what they leave behind
        done = first = 0
        for readings, streams, state in _beginnings(model, blocks, starts):
            batch, steps, _ = streams.shape
            ended = np.arange(done, done + batch)
            done += batch
            length = stretch_steps(model, batch)
            for start in range(0, steps, length):
                stretch = streams[:, start : start + length]
                times = np.arange(start, start + stretch.shape[1])
                ends = start + stretch.shape[1] == steps
                numbers = (first + times[:, None] + steps * np.arange(batch)).reshape(-1)
                _, state = run(model, stretch, state, observe)
                if progress is not None:
                    progress(stretch.shape[0] * stretch.shape[1] * readings.shape[1] // steps)
            first += batch * steps
    found = {key: collector.finish() for key, collector in collectors.items()}
    for state in starts or ():
        _hold(model, found, state)
    return found


def _beginnings(
    model: FloatModel, blocks: Sequence[FloatArray], starts: Sequence[State] | None
) -> Iterator[tuple[FloatArray, FloatArray, State]]:
    """Readings of as many streams as are run at once, what their steps read, and their state."""
    for number, block in enumerate(blocks):
        row = 0
        for readings, _ in batches(model, [block]):
            if starts is None:
                yield (readings, *begun(model, readings))
            else:
                stop = row + len(readings)
                state = tuple(tuple(h[row:stop] for h in layer) for layer in starts[number])
                yield readings, readings, state
                row = stop


def _hold(model: FloatModel, found: Calibration, state: State) -> None:
    """Let the ranges of states hold what streams begin with."""
    for index, (layer, carried) in enumerate(zip(model.layers, state, strict=True)):
        names: tuple[str, ...] = ("h", "c")
        if isinstance(layer, FloatCell):
            names = layer.plan.states
        for name, values in zip(names, carried, strict=False):
            if (index, name) in found:
                seen = found[index, name]
                found[index, name] = replace(
                    seen,
                    low=np.minimum(seen.low, values.min(axis=0)),
                    high=np.maximum(seen.high, values.max(axis=0)),
                )


def _watched(layer: FloatLayer) -> tuple[dict[str, int], frozenset[str]]:
    """Rows sampled of a layer's tensors by name, and those whose ranges are chosen."""
    if not isinstance(layer, FloatCell):
        return _SAMPLED, _RANGED
    plan = layer.plan
    kept = [found.value for found in plan.kept if found.value]
    sampled = dict.fromkeys(kept, _KEEP_ROWS)
    sampled |= dict.fromkeys(("x", *plan.operands.values()), _OPERAND_ROWS)
    return sampled, frozenset({"x", *plan.ranged})


def head_of(model: FloatModel) -> frozenset[int]:
    """The layers behind all states: those without one that no recurrent layer reads."""
    kinds = (*RECURRENT, FloatDelay, FloatMemory)
    recurrent = [isinstance(layer, kinds) for layer in model.layers]
    carried = before_states(model.wiring, recurrent)
    return frozenset(i for i, state in enumerate(recurrent) if not state and i not in carried)


def readings_of(model: FloatModel, statistics: Calibration) -> TensorStatistics:
    """What calibration saw of the model's input, per channel, whatever steps read of it."""
    seen = statistics[MODEL_INPUT if model.routes else 0, "x"]
    return seen if model.rate is None else seen.of_rows(model.rate.readings)


def _stride(rows: int, wanted: int, lengths: set[int]) -> int:
    """The distance of sampled rows, without a common divisor with the lengths of many streams.

    With one, only some of the steps of each stream would ever be sampled.
    """
    stride = max(1, rows // wanted)
    for away in itertools.count():
        for candidate in (stride + away, stride - away):
            if candidate > 0 and all(math.gcd(candidate, length) == 1 for length in lengths):
                return candidate
    raise AssertionError("1 has no common divisor with anything")
