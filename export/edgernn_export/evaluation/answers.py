"""What a float network and an integer model answer to streams, many windows or streams at a time.

A window is answered from the zero state; an endless stream keeps its state from its first reading
to its last. Streams do not see each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from edgernn.backends import model_backend, open_model
from edgernn.backends.base import Backend, SequenceBackend, Stream, runs_sequences
from edgernn.backends.streams.value_stream import new_stream
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Rate, Window
from edgernn_export.calibration.unmasked import unmasked
from edgernn_export.evaluation.recording import IntArray
from edgernn_export.float_model import float_run
from edgernn_export.float_model.float_run import at_readings, begun
from edgernn_export.float_model.model import FloatModel
from edgernn_firmware_sim.reference.reference import Reference

#: Values of windows that are run at a time.
_BATCH_VALUES: Final = 1 << 18
#: Most streams or windows that are run at a time.
_BATCH: Final = 1024
#: Streams that run in one call of the native backend, and from how many on; a few tell of every
#: chunk instead.
_AT_ONCE: Final = 64
_FEW: Final = 4
#: Readings of an endless stream between two calls of the progress bar.
_CHUNK: Final = 4096

#: Called with a number of network steps that are done.
Tell = Callable[[int], None]
Array = npt.NDArray[Any]


class AnsweringNetwork(Protocol):
    """A network that runs windows and streams; readings are what `operands` returns for them."""

    @property
    def outputs(self) -> int:
        """Width O."""
        ...

    def operands(self, x: FloatArray) -> Array:
        """What the network computes on, of readings [T, I]."""
        ...

    def last(self, windows: Array, tell: Tell) -> FloatArray:
        """Answers [B, O] to windows [B, T, I], each from the zero state."""
        ...

    def whole(self, streams: Sequence[Array], tell: Tell) -> list[FloatArray]:
        """Answers [T, O] to every reading of each stream [T, I]."""
        ...


def answer_rows(
    readings: int, window: Window | None, only_last: bool, rate: Rate | None = None
) -> IntArray:
    """Which readings of a stream have an output.

    Args:
        readings: length of the stream.
        window: of the model; None for an endless stream.
        only_last: the last answer alone.
        rate: of the model; None where every reading is answered.
    """
    rows = np.arange(readings)
    if window is None and rate is not None:
        rows = np.array(rate.answered(readings), dtype=np.int64)
    if window is not None:
        rows = rows[window.steps - 1 :: window.hop]
    return rows[-1:] if only_last else rows


def answers(
    network: AnsweringNetwork,
    streams: Sequence[FloatArray],
    rows: Sequence[IntArray],
    window: Window | None,
    tell: Tell,
) -> FloatArray:
    """Answers [N, O] at the given rows of all streams, one stream after the other.

    Args:
        network: answers.
        streams: readings [T, I] each.
        rows: which readings of each stream.
        window: None for endless streams.
        tell: hears of steps.

    Returns:
        float64; NaN where a window has not enough readings before its end.
    """
    if window is None:
        whole = network.whole([network.operands(x) for x in streams], tell)
        return np.concatenate([ys[picked] for ys, picked in zip(whole, rows, strict=True)])
    steps = window.steps
    found = np.full((sum(map(len, rows)), network.outputs), np.nan)
    size = max(1, min(_BATCH, _BATCH_VALUES // (steps * streams[0].shape[1])))
    waiting: list[Array] = []
    at: list[IntArray] = []

    def run() -> None:
        if at:
            found[np.concatenate(at)] = network.last(np.concatenate(waiting), tell)
            waiting.clear()
            at.clear()

    position = 0
    for x, ends in zip(streams, rows, strict=True):
        index = position + np.arange(len(ends))
        position += len(ends)
        full = ends >= steps - 1
        if not full.any():
            continue
        view = np.lib.stride_tricks.sliding_window_view(network.operands(x), steps, axis=0)
        begins, index = ends[full] - (steps - 1), index[full]
        for start in range(0, len(begins), size):
            waiting.append(view[begins[start : start + size]].swapaxes(1, 2))
            at.append(index[start : start + size])
            if sum(map(len, at)) >= size:
                run()
    run()
    return found


def network_steps(
    streams: Sequence[FloatArray],
    rows: Sequence[IntArray],
    window: Window | None,
    rate: Rate | None = None,
) -> int:
    """Steps that `answers` takes; of a model with a rate, those that it answers."""

    def of(readings: int) -> int:
        return readings if rate is None else rate.answers(readings)

    if window is None:
        return sum(of(len(stream)) for stream in streams)
    return sum(int(np.count_nonzero(r >= window.steps - 1)) for r in rows) * of(window.steps)


class FloatNetwork:
    """A float model in float64, with the probabilities that Keras gives where it ends in a softmax.

    Args:
        model: the float model.
    """

    def __init__(self, model: FloatModel) -> None:
        """Take the model."""
        self._model = model

    @property
    def outputs(self) -> int:
        """See `AnsweringNetwork.outputs`."""
        return self._model.outputs

    def operands(self, x: FloatArray) -> Array:
        """See `AnsweringNetwork.operands`."""
        return x

    def last(self, windows: Array, tell: Tell) -> FloatArray:
        """See `AnsweringNetwork.last`."""
        steps, state = begun(self._model, windows)
        each = _each(tell, len(windows) * windows.shape[1] // steps.shape[1])
        ys, _ = float_run.run(self._model, steps, state, progress=each)
        return float_run.with_softmax(self._model, ys[:, -1])

    def whole(self, streams: Sequence[Array], tell: Tell) -> list[FloatArray]:
        """See `AnsweringNetwork.whole`."""
        if self._model.rate is not None:
            return [self._answered(self._model.rate, x, tell) for x in streams]
        found = [np.empty((len(x), self.outputs)) for x in streams]
        longest_first = sorted(range(len(streams)), key=lambda b: -len(streams[b]))
        for start in range(0, len(streams), _BATCH):
            self._together(longest_first[start : start + _BATCH], streams, found, tell)
        return [float_run.with_softmax(self._model, ys) for ys in found]

    def _answered(self, rate: Rate, x: Array, tell: Tell) -> FloatArray:
        """One stream of a network with a rate; NaN at readings without an output."""
        (found,) = at_readings(self._model, rate, x[None])
        tell(len(x))
        return float_run.with_softmax(self._model, found)

    def _together(
        self, which: list[int], streams: Sequence[Array], found: list[FloatArray], tell: Tell
    ) -> None:
        """Streams side by side, the longest first: those that have ended are the last ones."""
        state = float_run.initial_state(self._model, len(which))
        start = 0
        for end in sorted({len(streams[b]) for b in which}):
            which = [b for b in which if len(streams[b]) >= end]
            state = tuple(tuple(h[: len(which)] for h in layer) for layer in state)
            xs = np.stack([streams[b][start:end] for b in which])
            ys, state = float_run.run(self._model, xs, state, progress=_each(tell, len(which)))
            for b, answered in zip(which, ys, strict=True):
                found[b][start:end] = answered
            start = end


def _each(tell: Tell, streams: int) -> Tell:
    """Hears of steps in time, tells those of all streams."""
    return lambda steps: tell(steps * streams)


class IntegerNetwork:
    """An integer model on the fastest backend there is, with real outputs or probabilities.

    Args:
        model: the integer model.
    """

    def __init__(self, model: IntegerModel) -> None:
        """Lay out the weights."""
        self._model = model
        self._interface = model.interface()
        self._native = runs_natively(model)
        self._rate = model.rate
        backend = _endless_backend(model) if self._native and model.rate is None else None
        #: Runs many windows or streams in one call.
        self._together = backend if backend is not None and runs_sequences(backend) else None

    @property
    def outputs(self) -> int:
        """See `AnsweringNetwork.outputs`."""
        return self._model.output.width

    def operands(self, x: FloatArray) -> Array:
        """See `AnsweringNetwork.operands`."""
        return self._interface.quantize(x)

    def last(self, windows: Array, tell: Tell) -> FloatArray:
        """See `AnsweringNetwork.last`."""
        if not self._native:
            reference = Reference(self._model)
            q_ys, _ = reference.run(*reference.begun(windows))
            tell(windows.shape[0] * windows.shape[1])
            return self._real(q_ys[:, -1])
        if self._together is not None:
            q_ys = np.concatenate(self._together.run_sequences(list(windows), last=True))
            tell(windows.shape[0] * windows.shape[1])
            return self._real(q_ys)
        stream = steps_of(self._model)
        codes = np.empty((len(windows), self.outputs), dtype=np.int16)
        for b, window in enumerate(windows):
            stream.reset()
            codes[b] = stream.advance(window)[-1]
            tell(len(window))
        return self._real(codes)

    def whole(self, streams: Sequence[Array], tell: Tell) -> list[FloatArray]:
        """See `AnsweringNetwork.whole`."""
        if not self._native and self._rate is None:
            return self._in_blocks(streams, tell)
        if self._together is not None and len(streams) >= _FEW:
            return self._at_once(self._together, streams, tell)
        stream = steps_of(self._model)
        found = []
        for q_xs in streams:
            stream.reset()
            codes = np.empty((len(q_xs), self.outputs), dtype=np.int16)
            for start in range(0, len(q_xs), _CHUNK):
                chunk = q_xs[start : start + _CHUNK]
                codes[start : start + _CHUNK] = stream.advance(chunk)
                tell(len(chunk))
            found.append(self._real(codes))
        return found

    def _at_once(
        self, backend: SequenceBackend, streams: Sequence[Array], tell: Tell
    ) -> list[FloatArray]:
        """Some streams in a call, those of about the same length."""
        found = [np.empty((0, self.outputs))] * len(streams)
        longest_first = sorted(range(len(streams)), key=lambda b: -len(streams[b]))
        for start in range(0, len(streams), _AT_ONCE):
            which = longest_first[start : start + _AT_ONCE]
            q_ys = backend.run_sequences([streams[b] for b in which])
            for b, codes in zip(which, q_ys, strict=True):
                found[b] = self._real(codes)
                tell(len(codes))
        return found

    def _in_blocks(self, streams: Sequence[Array], tell: Tell) -> list[FloatArray]:
        """Streams of one length side by side, which the reference is fastest at."""
        found = [np.empty((0, self.outputs))] * len(streams)
        by_length: dict[int, list[int]] = {}
        for b, q_xs in enumerate(streams):
            by_length.setdefault(len(q_xs), []).append(b)
        for group in by_length.values():
            q_ys, _ = Reference(self._model).run(np.stack([streams[b] for b in group]))
            for b, codes in zip(group, q_ys, strict=True):
                found[b] = self._real(codes)
                tell(len(codes))
        return found

    def _real(self, codes: npt.NDArray[np.int16]) -> FloatArray:
        return self._interface.real_outputs(codes, self._model.output.softmax)


class MaskedNetwork:
    """A network that takes no step at masked readings (NUMERICS.md 6.13).

    Args:
        network: runs the readings that are not masked.
        mask: of its model.
        first: what it answers before the first reading that is not masked, [O].
    """

    def __init__(self, network: AnsweringNetwork, mask: float, first: FloatArray) -> None:
        """Take the network."""
        self._network, self._mask, self._first = network, mask, first

    @property
    def outputs(self) -> int:
        """See `AnsweringNetwork.outputs`."""
        return self._network.outputs

    def operands(self, x: FloatArray) -> Array:
        """See `AnsweringNetwork.operands`: the readings, whose masked ones only they tell."""
        return x

    def last(self, windows: Array, tell: Tell) -> FloatArray:
        """See `AnsweringNetwork.last`."""
        steps = unmasked(windows, self._mask)
        found = np.repeat(self._first[None], len(windows), axis=0)
        counts = steps.sum(axis=1)
        for count in np.unique(counts[counts > 0]):
            which = np.flatnonzero(counts == count)
            left = windows[which][steps[which]].reshape(len(which), count, -1)
            codes = np.stack([self._network.operands(x) for x in left])
            found[which] = self._network.last(codes, tell)
        tell(int(np.count_nonzero(~steps)))
        return found

    def whole(self, streams: Sequence[Array], tell: Tell) -> list[FloatArray]:
        """See `AnsweringNetwork.whole`."""
        steps = [unmasked(x, self._mask) for x in streams]
        left = [
            self._network.operands(x[which])
            for x, which in zip(streams, steps, strict=True)
            if which.any()
        ]
        answered = iter(self._network.whole(left, tell) if left else [])
        found = []
        for which in steps:
            ys = next(answered) if which.any() else self._first[None][:0]
            found.append(np.concatenate([self._first[None], ys])[np.cumsum(which)])
            tell(int(np.count_nonzero(~which)))
        return found


def float_network(model: FloatModel) -> AnsweringNetwork:
    """What runs a float model."""
    network = FloatNetwork(model)
    if model.mask is None:
        return network
    first = float_run.with_softmax(model, float_run.masked_output(model))
    return MaskedNetwork(network, model.mask, first)


def integer_network(model: IntegerModel) -> AnsweringNetwork:
    """What runs an integer model."""
    network = IntegerNetwork(model)
    if model.input.mask is None:
        return network
    codes = np.array(model.output.masked, np.int16)
    first = model.interface().real_outputs(codes, model.output.softmax)
    return MaskedNetwork(network, model.input.mask, first)


def runs_natively(model: IntegerModel) -> bool:
    """Whether the native backend is the fastest there is for the model."""
    return model_backend() == "native" and not model.input.vocabulary


def steps_of(model: IntegerModel) -> Stream:
    """A stream of the model's steps, not of its windows, on the fastest backend there is."""
    return new_stream(_endless_backend(model))


def _endless_backend(model: IntegerModel) -> Backend:
    """The fastest backend there is for the model's steps, not for its windows."""
    return open_model(
        replace(model, window=None), "native" if runs_natively(model) else "reference"
    )
